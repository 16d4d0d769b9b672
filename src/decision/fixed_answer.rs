//! Answers that a route has by itself, without an upstream: redirects, and fixed contents.
//!
//! Read and checked with the configuration. Whether a request may have one is decided as for any other
//! route; writing it is done above.

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;

use crate::decision::facts::Fact;
use crate::decision::facts::RequestFact;
use crate::decision::facts::Subject;
use crate::decision::rewrite::Rewrite;
use crate::decision::template::Form;
use crate::decision::template::Part;
use crate::decision::template::Template;

/// An answer that a route has by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FixedAnswer {
    /// These contents.
    Content(FixedReply),
    /// It is somewhere else.
    Redirect(Redirect),
}

/// Where a request belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// How that is said: a status of the 300s.
    pub status: StatusCode,
    /// The address.
    pub to: Address,
    /// What becomes of the query.
    pub query: Query,
}

/// The address that a redirect leads to. The host in it is written out, so that no request chooses where a browser
/// goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A text with what an expression matched of the path; nowhere where it does not match.
    Groups(Rewrite),
    /// A text with facts.
    Template(Template),
}

/// What becomes of the query of a request that is redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// It is left out.
    Drop,
    /// It goes along, unless the address has one of its own.
    Keep,
}

/// An answer, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedReply {
    /// The status.
    pub status: StatusCode,
    /// Where a redirect leads.
    pub location: Option<HeaderValue>,
    /// What the contents are.
    pub content_type: Option<HeaderValue>,
    /// The contents.
    pub body: Bytes,
}

impl FixedAnswer {
    /// The answer to a request; none where it would lead nowhere.
    #[must_use]
    pub fn reply(&self, subject: &Subject<'_>) -> Option<FixedReply> {
        match self {
            Self::Content(content) => Some(content.clone()),
            Self::Redirect(redirect) => Some(FixedReply {
                status: redirect.status,
                location: Some(redirect.location(subject)?),
                content_type: None,
                body: Bytes::new(),
            }),
        }
    }
}

impl Redirect {
    fn location(&self, subject: &Subject<'_>) -> Option<HeaderValue> {
        let text = match &self.to {
            Address::Groups(groups) => groups.text(subject.request.path)?,
            Address::Template(template) => {
                String::from_utf8(template.render(subject, Form::Location)?).ok()?
            }
        };
        // What browsers would read as an address on another host.
        if text.starts_with("//") || text.starts_with("/\\") {
            return None;
        }
        let query = match self.query {
            Query::Drop => None,
            Query::Keep => {
                let query = subject.request.query.filter(|_| !text.contains('?'));
                query.filter(|query| !query.is_empty() || self.to.ends_as_asked_for())
            }
        };
        let text = match (query, text.split_once('#')) {
            (None, _) => text,
            (Some(query), None) => format!("{text}?{query}"),
            (Some(query), Some((before, fragment))) => format!("{before}?{query}#{fragment}"),
        };
        HeaderValue::try_from(text).ok()
    }
}

impl Address {
    /// Whether the target of the request stands at its end as it is, a bare question mark included.
    fn ends_as_asked_for(&self) -> bool {
        match self {
            Self::Groups(_) => false,
            Self::Template(template) => {
                let path = Part::Fact(Fact::Request(RequestFact::Path));
                template.parts().last() == Some(&path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::Method;

    use super::*;
    use crate::decision::facts::RequestFacts;
    use crate::decision::forwarded::Scheme;
    use crate::model::id::RequestId;
    use crate::model::time::Timestamp;

    fn location(parts: &[&str], query: Query, (path, asked): (&str, Option<&str>)) -> String {
        let parts = parts.iter().map(|part| match Fact::parse(part) {
            Ok(fact) => Part::Fact(fact),
            Err(_) => Part::Text((*part).into()),
        });
        let to = Address::Template(Template::new("", parts.collect()));
        located(to, query, (path, asked))
    }

    fn located(to: Address, query: Query, (path, asked): (&str, Option<&str>)) -> String {
        let redirect = Redirect {
            status: StatusCode::FOUND,
            to,
            query,
        };
        let headers = HeaderMap::new();
        let request = RequestFacts {
            id: RequestId::from_bytes([7; 16]),
            method: &Method::GET,
            scheme: Scheme::Https,
            host: "app.test",
            path,
            query: asked,
            headers: &headers,
            address: "192.0.2.1".parse().unwrap(),
            tls: None,
        };
        let subject = Subject::of(None, &request, Timestamp::from_millis(0));
        let reply = FixedAnswer::Redirect(redirect).reply(&subject);
        let location = reply.and_then(|reply| reply.location);
        location.map_or_else(
            || "nowhere".to_owned(),
            |location| location.to_str().unwrap().to_owned(),
        )
    }

    #[test]
    fn a_redirect_takes_the_path_and_the_query_along_as_they_are() {
        let asked = ("/a%20b/c", Some("x=1&y=%2F"));
        let there = ["https://new.test", "request.path"];
        let whole = location(&there, Query::Keep, asked);
        assert_eq!(whole, "https://new.test/a%20b/c?x=1&y=%2F");
        let bare = location(&there, Query::Drop, asked);
        assert_eq!(bare, "https://new.test/a%20b/c");
        let own = location(&["/find?q=", "request.query.x"], Query::Keep, asked);
        assert_eq!(own, "/find?q=1");
        let fragment = location(&["/new#top"], Query::Keep, asked);
        assert_eq!(fragment, "/new?x=1&y=%2F#top");
        let bare = location(&there, Query::Keep, ("/a", Some("")));
        assert_eq!(bare, "https://new.test/a?");
        let other = location(&["/new"], Query::Keep, ("/a", Some("")));
        assert_eq!(other, "/new");
        // Anything else of a request is text.
        let text = location(&["/find/", "request.query.y"], Query::Drop, asked);
        assert_eq!(text, "/find/%2F");
    }

    #[test]
    fn what_an_expression_matched_stands_in_the_address_and_nothing_leads_past_it() {
        let led = |path: &str, query: Query| {
            let groups = Rewrite::pattern("/old/([^/]*)/(.*)", "/new/$2?of=$1").unwrap();
            located(Address::Groups(groups), query, (path, Some("x=1")))
        };
        assert_eq!(led("/old/a%20b/c/d", Query::Keep), "/new/c/d?of=a%20b");
        assert_eq!(led("/other", Query::Keep), "nowhere");
        let whole = |path: &str| {
            let groups = Rewrite::pattern("/old(/.*)", "$1").unwrap();
            located(Address::Groups(groups), Query::Keep, (path, Some("x=1")))
        };
        assert_eq!(whole("/old/a"), "/a?x=1");
        assert_eq!(whole("/old//evil.test/"), "nowhere");
    }

    #[test]
    fn no_request_makes_a_redirect_to_another_host() {
        let asked = ("/evil.test/", None);
        assert_eq!(
            location(&["/", "request.path"], Query::Keep, asked),
            "nowhere"
        );
        assert_eq!(
            location(&["/x/", "request.query.absent"], Query::Keep, asked),
            "nowhere"
        );
    }
}
