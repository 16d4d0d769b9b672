//! `responses`: headers, cookies and session attributes that permitted requests are given.
//!
//! A name that belongs to the protocol, to the forwarding headers or to Portway is refused here, so that
//! nothing has to be checked when a request comes.

use std::collections::BTreeMap;
use std::sync::Arc;

use cookie::SameSite;
use http::HeaderName;

use crate::config::parse::engine::EnginePlace;
use crate::config::parse::host::Declared;
use crate::config::parse::policy::Named;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::scalar::short;
use crate::config::problem::Problem;
use crate::config::problem::policy::PolicyProblem;
use crate::decision::cookies::is_reserved;
use crate::decision::identity_headers::folded;
use crate::decision::identity_headers::folds_alike;
use crate::decision::policy::Access;
use crate::decision::response::COOKIE_BYTES_MAX;
use crate::decision::response::CookieTemplate;
use crate::decision::response::Responses;
use crate::decision::response::Scripts;
use crate::decision::template::Form;
use crate::decision::template::Template;
use crate::model::name::AttributeName;

impl Reading<'_> {
    /// What the route and its policy give, the route first, and the presets of identity headers.
    pub(super) fn route_responses(
        &mut self,
        section: &Section<'_>,
        declared: &Declared<'_>,
        (access, policy): (Option<Access>, Option<&Named>),
    ) -> Arc<Responses> {
        let found = section.get("responses");
        if access == Some(Access::Excluded) {
            if let Some(found) = found {
                let (key, place) = ("responses", "an excluded route");
                self.fault_at_key(found, Problem::NoEffect { key, place });
            }
            return Arc::default();
        }
        let own = found.and_then(|found| self.responses(found));
        let mut responses = own.unwrap_or_default();
        if let Some(named) = policy {
            responses = responses.or(&named.responses);
        }
        if declared.engine == EnginePlace::Remote && !responses.attributes.is_empty() {
            let place = found.unwrap_or(&section.found);
            self.fault(place, Problem::Policy(PolicyProblem::SessionElsewhere));
        }
        let presets = Responses {
            headers: declared.preset_headers.to_vec(),
            ..Responses::default()
        };
        Arc::new(responses.or(&presets))
    }

    pub(super) fn responses(&mut self, found: &Found<'_>) -> Option<Responses> {
        let section = self.section(found, KEYS)?;
        let mut responses = Responses::default();
        if let Some(found) = section.get("headers") {
            responses.headers = self.response_headers(found);
        }
        if let Some(found) = section.get("cookies") {
            responses.cookies = self.response_cookies(found);
        }
        if let Some(found) = section.get("session") {
            responses.attributes = self.session_attributes(found);
        }
        Some(responses)
    }

    fn response_headers(&mut self, found: &Found<'_>) -> Vec<(HeaderName, Template)> {
        let mut headers = Vec::new();
        let mut seen = BTreeMap::new();
        let Some(section) = self.map(found) else {
            return headers;
        };
        for (written, value) in section.entries() {
            let template = self.template(value, Some(Form::Header));
            let Some(name) = self.header_key(written, value) else {
                continue;
            };
            if is_reserved_header(name.as_str()) || self.is_told(&name) {
                let name = name.as_str().to_owned();
                self.fault_at_key(value, Problem::Policy(PolicyProblem::ReservedHeader(name)));
            }
            self.note_header(value, &name, &mut seen);
            headers.extend(template.map(|template| (name, template)));
        }
        headers
    }

    /// The name of a header that stands as a key.
    pub(super) fn header_key(&mut self, written: &str, value: &Found<'_>) -> Option<HeaderName> {
        let name = HeaderName::from_bytes(written.as_bytes()).ok();
        if name.is_none() {
            let text = short(written);
            let (what, example) = ("the name of a header", "X-Department");
            let problem = Problem::Address {
                text,
                what,
                example,
            };
            self.fault_at_key(value, problem);
        }
        name
    }

    /// Refuses a header that was given before under a name that servers may read alike (D-17); `seen` has the
    /// line of each, folded.
    pub(super) fn note_header(
        &mut self,
        found: &Found<'_>,
        name: &HeaderName,
        seen: &mut BTreeMap<String, usize>,
    ) {
        let form = folded(name.as_str());
        if let Some(first) = seen.get(&form) {
            let problem = Problem::Duplicate {
                what: "header",
                text: short(name.as_str()),
                first: *first,
            };
            self.fault_at_key(found, problem);
        }
        seen.entry(form).or_insert(found.key.line);
    }

    /// Whether a header tells an application who is signed in.
    pub(super) fn is_told(&self, name: &HeaderName) -> bool {
        let mut told = self.told.iter();
        told.any(|told| folds_alike(told.as_str(), name.as_str()))
    }

    fn response_cookies(&mut self, found: &Found<'_>) -> Vec<CookieTemplate> {
        let Some(section) = self.map(found) else {
            return Vec::new();
        };
        let entries: Vec<_> = section.entries().cloned().collect();
        let cookies = entries.iter().map(|(name, value)| self.cookie(name, value));
        cookies.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn cookie(&mut self, name: &str, found: &Found<'_>) -> Option<CookieTemplate> {
        let is_token = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b));
        if !is_token || is_reserved(name.as_bytes()) {
            let name = short(name);
            let problem = if is_token {
                PolicyProblem::ReservedCookie(name)
            } else {
                PolicyProblem::CookieName(name)
            };
            self.fault_at_key(found, Problem::Policy(problem));
        }
        let mut cookie = CookieTemplate {
            name: Box::from(name),
            value: Template::new("", Vec::new()),
            path: Box::from("/"),
            seconds_max: None,
            scripts: Scripts::Refused,
            same_site: SameSite::Lax,
        };
        if !found.is_map() {
            cookie.value = self.template(found, Some(Form::Cookie))?;
            self.check_length(found, cookie.bytes_min(&[]), COOKIE_BYTES_MAX);
            return Some(cookie);
        }
        let section = self.section(found, COOKIE_KEYS)?;
        cookie.path = self.or(&section, "path", cookie.path, |this, found| {
            this.shaped(found, ("the path of a cookie", "/app"), |text| {
                let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b';');
                (text.starts_with('/') && is_plain).then(|| Box::from(text))
            })
        });
        cookie.seconds_max = section.get("max_age").and_then(|found| {
            let span = self.duration(found)?;
            i64::try_from(span.as_secs()).ok()
        });
        cookie.scripts = self.or(&section, "http_only", cookie.scripts, |this, found| {
            let http_only = this.switch(found)?;
            Some(if http_only {
                Scripts::Refused
            } else {
                Scripts::Read
            })
        });
        cookie.same_site = self.or(&section, "same_site", cookie.same_site, |this, found| {
            this.word(found, SAME_SITES)
        });
        let value = self.required(&section, "value").cloned()?;
        cookie.value = self.template(&value, Some(Form::Cookie))?;
        self.check_length(&value, cookie.bytes_min(&[]), COOKIE_BYTES_MAX);
        Some(cookie)
    }

    fn session_attributes(&mut self, found: &Found<'_>) -> Vec<(AttributeName, Template)> {
        let mut attributes = Vec::new();
        let Some(section) = self.map(found) else {
            return attributes;
        };
        for (written, value) in section.entries() {
            let template = self.template(value, None);
            match AttributeName::parse(written) {
                Ok(name) => attributes.extend(template.map(|template| (name, template))),
                Err(error) => {
                    let problem = Problem::Name {
                        text: short(written),
                        what: "the name of an attribute",
                        error,
                    };
                    self.fault_at_key(value, problem);
                }
            }
        }
        attributes
    }
}

/// Whether no rule may name a header: the protocol, the forwarding headers or Portway need it.
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    let form = folded(name);
    RESERVED.contains(&form.as_str())
}

pub(super) const KEYS: &[&str] = &["cookies", "headers", "session"];
pub(super) const COOKIE_KEYS: &[&str] = &["http_only", "max_age", "path", "same_site", "value"];
const SAME_SITES: &[(&str, SameSite)] = &[
    ("lax", SameSite::Lax),
    ("none", SameSite::None),
    ("strict", SameSite::Strict),
];

/// Headers that the protocol or the gateway itself needs, folded.
const RESERVED: &[&str] = &[
    "connection",
    "contentlength",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keepalive",
    "proxy",
    "proxyauthenticate",
    "proxyauthenticationinfo",
    "proxyauthorization",
    "proxyconnection",
    "proxystatus",
    "setcookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transferencoding",
    "upgrade",
    "xforwardedfor",
    "xforwardedhost",
    "xforwardedport",
    "xforwardedprefix",
    "xforwardedproto",
    "xforwardedserver",
    "xrealip",
    "xrequestid",
];
