//! What serves a route: `pool` or `pools`, or `redirect` or `respond` where no upstream is asked.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;

use crate::config::Pool;
use crate::config::Timeouts;
use crate::config::destination::Destination;
use crate::config::destination::RoutePools;
use crate::config::parse::host::Declared;
use crate::config::parse::outcome::host_of;
use crate::config::parse::pool::TIMEOUTS;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::config::problem::forward::ForwardProblem;
use crate::config::problem::policy::PolicyProblem;
use crate::decision::facts::Fact;
use crate::decision::facts::RequestFact;
use crate::decision::fixed_answer::Address;
use crate::decision::fixed_answer::FixedAnswer;
use crate::decision::fixed_answer::FixedReply;
use crate::decision::fixed_answer::Query;
use crate::decision::fixed_answer::Redirect;
use crate::decision::template::Form;
use crate::decision::template::Part;
use crate::decision::template::Template;
use crate::model::name::PoolName;

impl Reading<'_> {
    /// What serves a route, and how long upstreams may take.
    pub(super) fn destination(
        &mut self,
        section: &Section<'_>,
        declared: &Declared<'_>,
    ) -> Option<(Destination, Timeouts)> {
        let mut written = DESTINATION_KEYS.iter().filter_map(|key| {
            let found = section.get(key)?;
            Some((*key, found))
        });
        let Some((key, found)) = written.next() else {
            self.fault(&section.found, Problem::MissingOneOf(DESTINATION_KEYS));
            return None;
        };
        if let Some((second, found)) = written.next() {
            let first = key;
            self.fault_at_key(found, Problem::Exclusive { first, second });
        }
        match key {
            "redirect" => self.answering(section, |this| this.redirect(found)),
            "respond" => self.answering(section, |this| this.respond(found)),
            _ => {
                let pools = self.route_pools(key, found, declared)?;
                let both = (Arc::clone(&pools.http), Arc::clone(&pools.https));
                let timeouts = self.route_timeouts(section, &both)?;
                Some((Destination::Pools(pools), timeouts))
            }
        }
    }

    /// A route that answers by itself has no use for what is about upstreams.
    fn answering(
        &mut self,
        section: &Section<'_>,
        read: impl FnOnce(&mut Self) -> Option<FixedAnswer>,
    ) -> Option<(Destination, Timeouts)> {
        for key in UPSTREAM_KEYS {
            if let Some(found) = section.get(key) {
                let place = "a route that answers by itself";
                self.fault_at_key(found, Problem::NoEffect { key, place });
            }
        }
        let answer = read(self)?;
        Some((Destination::Answer(Arc::new(answer)), TIMEOUTS))
    }

    /// The pool for plain listeners and the one for TLS listeners (W-04).
    fn route_pools(
        &mut self,
        key: &str,
        found: &Found<'_>,
        declared: &Declared<'_>,
    ) -> Option<RoutePools> {
        if key == "pool" {
            let pool = self.pool_reference(found, declared)?;
            return Some(RoutePools {
                http: Arc::clone(&pool),
                https: pool,
            });
        }
        let section = self.section(found, BOTH_POOLS)?;
        let http = self.required(&section, "http").cloned();
        let http = http.and_then(|found| self.pool_reference(&found, declared));
        let https = self.required(&section, "https").cloned();
        let https = https.and_then(|found| self.pool_reference(&found, declared));
        Some(RoutePools {
            http: http?,
            https: https?,
        })
    }

    fn pool_reference(&mut self, found: &Found<'_>, declared: &Declared<'_>) -> Option<Arc<Pool>> {
        let name = self.text(found)?;
        let known = &declared.pools.names;
        if !known.contains(&name) {
            self.unknown_name(found, "pool", &name, known.iter().map(String::as_str));
            return None;
        }
        let name = PoolName::parse(&name).ok()?;
        declared.pools.valid.get(&name).cloned()
    }

    fn redirect(&mut self, found: &Found<'_>) -> Option<FixedAnswer> {
        let section = self.section(found, REDIRECT_KEYS)?;
        let status = self.redirect_status(&section);
        let query = self.or(&section, "query", Query::Keep, |this, found| {
            this.word(found, QUERIES)
        });
        let to = self.required(&section, "to").cloned()?;
        let to = match section.get("regex") {
            Some(pattern) => self.grouped_address(pattern, &to)?,
            None => Address::Template(self.location(&to)?),
        };
        Some(FixedAnswer::Redirect(Redirect { status, to, query }))
    }

    pub(super) fn redirect_status(&mut self, section: &Section<'_>) -> StatusCode {
        self.or(section, "status", StatusCode::FOUND, |this, found| {
            this.word(found, REDIRECT_STATUSES)
        })
    }

    /// A path, or an address whose host is written out.
    pub(super) fn location(&mut self, found: &Found<'_>) -> Option<Template> {
        let template = self.template(found, Some(Form::Location))?;
        self.check_host(found, Beginning::of(&template));
        Some(template)
    }

    /// An address with what an expression matches of the path in it.
    fn grouped_address(&mut self, pattern: &Found<'_>, to: &Found<'_>) -> Option<Address> {
        let groups = self.pattern_rewrite(pattern, to)?;
        let text = self.text(to)?;
        let beginning = match text.split_once('$') {
            Some((text, _)) => Beginning::Open(text),
            None => Beginning::Closed(&text),
        };
        self.check_host(to, beginning);
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
            self.fault(to, Problem::Policy(PolicyProblem::Character(odd)));
        }
        Some(Address::Groups(groups))
    }

    fn check_host(&mut self, found: &Found<'_>, beginning: Beginning<'_>) {
        if !beginning.says_its_host() {
            let problem = ForwardProblem::RedirectAddress;
            self.fault(found, Problem::Forward(problem));
        }
    }

    fn respond(&mut self, found: &Found<'_>) -> Option<FixedAnswer> {
        self.content(found).map(|(_, answer)| answer)
    }

    /// What is answered, and the status that is said; where none is, it is 200 in the answer.
    pub(super) fn content(
        &mut self,
        found: &Found<'_>,
    ) -> Option<(Option<StatusCode>, FixedAnswer)> {
        let section = self.section(found, RESPOND_KEYS)?;
        let said = self.or(&section, "status", None, |this, found| {
            this.number(found, 200_u16..=599).map(Some)
        });
        let said = said.and_then(|status| StatusCode::from_u16(status).ok());
        let status = said.unwrap_or(StatusCode::OK);
        let content_type = self.or(&section, "content_type", PLAIN_TEXT, |this, found| {
            this.shaped(found, MEDIA_TYPE, media_type)
        });
        let body = self.response_body(&section, status)?;
        let answer = FixedAnswer::Content(FixedReply {
            status,
            location: None,
            content_type: (!body.is_empty()).then_some(content_type),
            body: Bytes::from(body),
        });
        Some((said, answer))
    }

    fn response_body(&mut self, section: &Section<'_>, status: StatusCode) -> Option<Vec<u8>> {
        let Some((key, found)) = section.first_of(BODY_KEYS) else {
            return Some(Vec::new());
        };
        self.exclusive(section, "body", "body_file");
        let (key, is_inline) = match key {
            "body" => ("body", true),
            _ => ("body_file", false),
        };
        if is_bare(status) {
            let place = "an answer with this status";
            self.fault_at_key(found, Problem::NoEffect { key, place });
        }
        if is_inline {
            self.text(found).map(String::into_bytes)
        } else {
            self.file(found)
        }
    }
}

fn media_type(text: &str) -> Option<HeaderValue> {
    let value = HeaderValue::from_str(text).ok();
    value.filter(|_| text.contains('/') && text.is_ascii())
}

/// Whether an answer with this status has no body (RFC 9110 §6.4.1).
fn is_bare(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    )
}

/// What is written out of an address, up to the first thing in it that requests choose.
#[derive(Clone, Copy)]
enum Beginning<'a> {
    /// Nothing follows, or a path with its slash.
    Closed(&'a str),
    /// What follows could go on with it.
    Open(&'a str),
}

impl<'a> Beginning<'a> {
    fn of(address: &'a Template) -> Self {
        let mut parts = address.parts().iter();
        let Some(Part::Text(text)) = parts.next() else {
            return Self::Open("");
        };
        match parts.next() {
            None | Some(Part::Fact(Fact::Request(RequestFact::Path))) => Self::Closed(text),
            Some(Part::Fact(_) | Part::Text(_)) => Self::Open(text),
        }
    }

    /// Whether no request chooses the host that the address leads to.
    fn says_its_host(self) -> bool {
        let (Self::Closed(text) | Self::Open(text)) = self;
        if text.starts_with('/') {
            return !text.starts_with("//") && !text.starts_with("/\\");
        }
        let rest = text.strip_prefix("https://");
        let Some(rest) = rest.or_else(|| text.strip_prefix("http://")) else {
            return false;
        };
        let authority = match (rest.find(['/', '?', '#']), self) {
            (Some(end), _) => rest.split_at_checked(end).map(|(authority, _)| authority),
            (None, Self::Closed(_)) => Some(rest),
            // What follows must not become a part of the host.
            (None, Self::Open(_)) => None,
        };
        authority.and_then(host_of).is_some()
    }
}

pub(super) const BOTH_POOLS: &[&str] = &["http", "https"];
pub(super) const REDIRECT_KEYS: &[&str] = &["query", "regex", "status", "to"];
pub(super) const RESPOND_KEYS: &[&str] = &["body", "body_file", "content_type", "status"];
const DESTINATION_KEYS: &[&str] = &["pool", "pools", "redirect", "respond"];
const BODY_KEYS: &[&str] = &["body", "body_file"];
/// Keys that mean something only where an upstream is asked.
const UPSTREAM_KEYS: [&str; 9] = [
    "compression",
    "forwarded_headers",
    "only_groups",
    "preflight",
    "retry_on",
    "rewrite",
    "streaming",
    "timeouts",
    "upstream_host",
];
const MEDIA_TYPE: (&str, &str) = ("a media type", "text/html; charset=utf-8");
const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const REDIRECT_STATUSES: &[(&str, StatusCode)] = &[
    ("301", StatusCode::MOVED_PERMANENTLY),
    ("302", StatusCode::FOUND),
    ("303", StatusCode::SEE_OTHER),
    ("307", StatusCode::TEMPORARY_REDIRECT),
    ("308", StatusCode::PERMANENT_REDIRECT),
];
const QUERIES: &[(&str, Query)] = &[("drop", Query::Drop), ("keep", Query::Keep)];
