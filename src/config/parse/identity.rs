//! `identity_headers`: the headers that tell applications who is signed in, by name or as a preset that
//! other gateways made customary.

use http::HeaderName;

use crate::config::IdentityHeaderNames;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::scalar::short;
use crate::config::problem::Problem;
use crate::decision::facts::Fact;
use crate::decision::facts::UserFact;
use crate::decision::identity_headers::folded;
use crate::decision::template::Template;

/// The headers that applications are told by.
pub(super) type Told = (IdentityHeaderNames, Vec<(HeaderName, Template)>);

impl Reading<'_> {
    pub(super) fn identity_headers(&mut self, found: Option<&Found<'_>>) -> Told {
        let section = found.and_then(|found| self.section(found, KEYS));
        let Some(section) = section else {
            return (customary(), Vec::new());
        };
        let presets = self.or(&section, "preset", Vec::new(), |this, found| {
            this.some(found, |this, found| this.word(found, PRESETS))
        });
        // A preset takes the place of the customary names.
        let mut names = match section.get("preset") {
            None => customary(),
            Some(_) => IdentityHeaderNames::default(),
        };
        let headers: Vec<(HeaderName, Template)> = presets
            .into_iter()
            .flatten()
            .map(|(name, fact)| {
                let fact = Fact::User(fact.clone());
                (HeaderName::from_static(name), Template::of(fact))
            })
            .collect();
        let mut seen: Vec<(HeaderName, usize)> = Vec::new();
        for (key, place) in [
            ("user", &mut names.user),
            ("groups", &mut names.groups),
            ("email", &mut names.email),
            ("name", &mut names.name),
        ] {
            self.set(&section, key, place, Self::header_or_none);
            let (Some(name), Some(found)) = (place.as_ref(), section.get(key)) else {
                continue;
            };
            let of_preset = headers
                .iter()
                .find(|(other, _)| folded(other.as_str()) == folded(name.as_str()));
            let preset = section.get("preset").map(|found| found.key.line);
            let earlier = seen.iter().find(|(other, _)| other == name);
            let first = earlier.map(|(_, line)| *line);
            if let Some(first) = first.or_else(|| of_preset.and(preset)) {
                let text = short(name.as_str());
                let problem = Problem::Duplicate {
                    what: "header",
                    text,
                    first,
                };
                self.fault(found, problem);
            }
            seen.push((name.clone(), found.node.at.line));
        }
        (names, headers)
    }

    /// The name of a header, or `null` or `false` for none.
    pub(super) fn header_or_none(&mut self, found: &Found<'_>) -> Option<Option<HeaderName>> {
        if found.is_null() || self.text(found)? == "false" {
            return Some(None);
        }
        self.header_name(found).map(Some)
    }
}

fn customary() -> IdentityHeaderNames {
    IdentityHeaderNames {
        user: Some(HeaderName::from_static("remote-user")),
        groups: Some(HeaderName::from_static("remote-groups")),
        email: Some(HeaderName::from_static("remote-email")),
        name: Some(HeaderName::from_static("remote-name")),
    }
}

pub(super) const KEYS: &[&str] = &["email", "groups", "name", "preset", "user"];

type Preset = &'static [(&'static str, UserFact)];

const PRESETS: &[(&str, Preset)] = &[
    ("oam", OAM),
    ("oauth2_proxy", OAUTH2_PROXY),
    ("pomerium", POMERIUM),
];

const OAM: Preset = &[
    ("oam_remote_user", UserFact::Id),
    ("oam_remote_user_email", UserFact::Email),
    ("oam_remote_user_groups", UserFact::Groups),
    ("oam_identity_domain", UserFact::Store),
];

const OAUTH2_PROXY: Preset = &[
    ("x-forwarded-user", UserFact::Id),
    ("x-forwarded-email", UserFact::Email),
    ("x-forwarded-groups", UserFact::Groups),
    ("x-forwarded-preferred-username", UserFact::Id),
    ("x-auth-request-user", UserFact::Id),
    ("x-auth-request-email", UserFact::Email),
    ("x-auth-request-groups", UserFact::Groups),
    ("x-auth-request-preferred-username", UserFact::Id),
];

const POMERIUM: Preset = &[
    ("x-pomerium-claim-sub", UserFact::Id),
    ("x-pomerium-claim-user", UserFact::Id),
    ("x-pomerium-claim-name", UserFact::Name),
    ("x-pomerium-claim-email", UserFact::Email),
    ("x-pomerium-claim-groups", UserFact::Groups),
];
