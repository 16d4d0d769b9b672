//! `authentication.openid_connect`: providers at which users sign in.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::ClientKey;
use crate::config::OpenIdProvider;
use crate::config::parse::listener::holds_block;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::scalar::name_problem;
use crate::config::problem::Problem;
use crate::decision::openid::claim_map::ClaimMap;
use crate::decision::openid::claim_map::ClaimPath;
use crate::decision::openid::discovery::Issuer;
use crate::model::identity::AuthLevel;
use crate::model::name::AttributeName;
use crate::model::name::StoreName;
use crate::model::secret::Secret;

impl Reading<'_> {
    /// The providers; each is a store of its own, beside that of passwords.
    pub(super) fn openid_connect(
        &mut self,
        found: &Found<'_>,
        passwords: Option<(&StoreName, usize)>,
    ) -> Option<Vec<OpenIdProvider>> {
        let items = self.some_list(found)?;
        let mut names: BTreeMap<StoreName, usize> = passwords
            .into_iter()
            .map(|(store, line)| (store.clone(), line))
            .collect();
        self.each(&items, |this, item| this.openid_provider(item, &mut names))
    }

    fn openid_provider(
        &mut self,
        found: &Found<'_>,
        names: &mut BTreeMap<StoreName, usize>,
    ) -> Option<OpenIdProvider> {
        let section = self.section(found, KEYS)?;
        let store = self.required(&section, "name").cloned();
        let store = store.and_then(|found| {
            let store = self.name(&found, "the name of an identity store", StoreName::parse)?;
            self.distinct(&found, ("identity store", &store), names);
            Some(store)
        });
        let title = section.get("title").cloned();
        let title = title.and_then(|found| self.title(&found));
        let issuer = self.required(&section, "issuer").cloned();
        let issuer = issuer.and_then(|found| self.shaped(&found, ISSUER, Issuer::parse));
        let client_id = self.required(&section, "client_id").cloned();
        let client_id = client_id.and_then(|found| self.shaped(&found, CLIENT, client));
        let client_secret = self.client_secret(&section);
        let client_key = self.client_key(&section);
        let scopes = self.or(&section, "scopes", scopes(), |this, found| {
            let items = this.some_list(found)?;
            this.each(&items, |this, item| this.shaped(item, SCOPE, scope))
        });
        let level = match section.get("level") {
            Some(found) => self.level(found, 1),
            None => AuthLevel::new(LEVEL_DEFAULT),
        };
        let levels = section.get("levels").cloned();
        let levels = levels.map(|found| self.named_levels(&found));
        let claims = self.claims(section.get("claims"));
        let ca = self.authorities(&section);
        let timeout = self.or(&section, "timeout", TIMEOUT_DEFAULT, Self::duration);
        let rp_initiated_logout = self.or(&section, "rp_initiated_logout", true, Self::switch);
        let store = store?;
        Some(OpenIdProvider {
            title: title.unwrap_or_else(|| store.as_str().to_owned()),
            store,
            issuer: issuer?,
            client_id: client_id?,
            client_secret: client_secret?,
            client_key: client_key?,
            scopes: with_openid(scopes),
            claims: claims?,
            level: level?,
            levels: levels.unwrap_or(Some(Vec::new()))?,
            ca_pem: ca?,
            rp_initiated_logout,
            timeout,
        })
    }

    fn named_levels(&mut self, found: &Found<'_>) -> Option<Vec<(String, AuthLevel)>> {
        let map = self.map(found)?;
        let levels: Vec<_> = map
            .entries()
            .map(|(name, found)| Some(((*name).to_owned(), self.level(found, 1)?)))
            .collect();
        levels.into_iter().collect()
    }

    /// The outer `None` is a fault.
    fn client_secret(&mut self, section: &Section<'_>) -> Option<Option<Secret>> {
        if section.first_of(SECRET_KEYS).is_none() {
            return Some(None);
        }
        let (found, mut bytes) =
            self.inline_or_file(section, "client_secret", "client_secret_file", SECRET_KEYS)?;
        let end = bytes.trim_ascii_end().len();
        bytes.truncate(end);
        if bytes.is_empty() || std::str::from_utf8(&bytes).is_err() {
            self.fault(&found, Problem::Missing("client_secret"));
            return None;
        }
        Some(Some(Secret::new(bytes)))
    }

    /// Likewise.
    fn client_key(&mut self, section: &Section<'_>) -> Option<Option<ClientKey>> {
        if section.first_of(KEY_KEYS).is_none() {
            return Some(None);
        }
        if let (Some((key, _)), Some((secret, found))) =
            (section.first_of(KEY_KEYS), section.first_of(SECRET_KEYS))
        {
            self.fault_at_key(
                found,
                Problem::Exclusive {
                    first: secret,
                    second: key,
                },
            );
        }
        let id = section.get("client_key_id").cloned();
        let id = id.map(|found| self.text(&found));
        let (found, pem) =
            self.inline_or_file(section, "client_key", "client_key_file", KEY_KEYS)?;
        if !holds_block(&pem, &["PRIVATE KEY"]) {
            self.fault(&found, Problem::Pem("private key (PKCS#8)"));
            return None;
        }
        Some(Some(ClientKey {
            pem: Secret::new(pem),
            id: id.map_or(Some(None), |id| id.map(Some))?,
        }))
    }

    fn claims(&mut self, found: Option<&Found<'_>>) -> Option<ClaimMap> {
        let section = found.map(|found| self.section(found, CLAIM_KEYS));
        let section = section.map_or(Some(None), |section| section.map(Some))?;
        let mut path = |key: &str, default: &str| match section
            .as_ref()
            .and_then(|section| section.get(key))
        {
            Some(found) => self.shaped(found, CLAIM, ClaimPath::parse),
            None => ClaimPath::parse(default),
        };
        let [user, name, email, groups] = [
            path("user", "sub"),
            path("name", "name"),
            path("email", "email"),
            path("groups", "groups"),
        ];
        let attributes = section.and_then(|section| section.get("attributes").cloned());
        let attributes = attributes.map(|found| self.claim_attributes(&found));
        Some(ClaimMap {
            user: user?,
            name: name?,
            email: email?,
            groups: groups?,
            attributes: attributes.unwrap_or(Some(Vec::new()))?,
        })
    }

    fn claim_attributes(&mut self, found: &Found<'_>) -> Option<Vec<(AttributeName, ClaimPath)>> {
        let map = self.map(found)?;
        let mut attributes = Vec::new();
        for (key, found) in map.entries() {
            let name = AttributeName::parse(key);
            if let Err(error) = &name {
                let what = "the name of an attribute";
                self.fault_at_key(found, name_problem(key, what, error.clone()));
            }
            let path = self.shaped(found, CLAIM, ClaimPath::parse);
            attributes.push(name.ok().zip(path));
        }
        attributes.into_iter().collect()
    }
}

/// Without this scope it is not OpenID Connect (Core 1.0 §3.1.2.1).
fn with_openid(mut scopes: Vec<String>) -> Vec<String> {
    if !scopes.iter().any(|scope| scope == OPENID) {
        scopes.insert(0, OPENID.to_owned());
    }
    scopes
}

fn scopes() -> Vec<String> {
    [OPENID, "profile", "email"].map(str::to_owned).to_vec()
}

/// RFC 6749 §3.3.
fn scope(text: &str) -> Option<String> {
    let is_one = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    (!text.is_empty() && text.bytes().all(is_one)).then(|| text.to_owned())
}

/// RFC 6749 appendix A.1.
fn client(text: &str) -> Option<String> {
    let is_one = |byte: u8| matches!(byte, 0x20..=0x7e);
    (!text.is_empty() && text.bytes().all(is_one)).then(|| text.to_owned())
}

pub(super) const KEYS: &[&str] = &[
    "ca",
    "ca_file",
    "claims",
    "client_id",
    "client_key",
    "client_key_file",
    "client_key_id",
    "client_secret",
    "client_secret_file",
    "issuer",
    "level",
    "levels",
    "name",
    "rp_initiated_logout",
    "scopes",
    "timeout",
    "title",
];
pub(super) const CLAIM_KEYS: &[&str] = &["attributes", "email", "groups", "name", "user"];
const KEY_KEYS: &[&str] = &["client_key", "client_key_file"];
const SECRET_KEYS: &[&str] = &["client_secret", "client_secret_file"];
const OPENID: &str = "openid";
const ISSUER: (&str, &str) = ("the https URL of an issuer", "https://idp.example.com");
const CLIENT: (&str, &str) = ("the id of a client", "portway");
const SCOPE: (&str, &str) = ("a scope", "profile");
const CLAIM: (&str, &str) = ("the name of a claim", "realm_access.roles");
const LEVEL_DEFAULT: u8 = 10;
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
