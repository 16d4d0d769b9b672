//! Which page of the operator's takes the place of an error, of Portway's own or of an upstream's.
//!
//! A page is the same for everybody: it holds nothing of a request, and nothing is looked up for it. Deliberately
//! absent: another route that an error would be handed to, which might be one that nobody has been let into.

use http::StatusCode;

use crate::decision::facts::Subject;
use crate::decision::fixed_answer::FixedAnswer;
use crate::decision::fixed_answer::FixedReply;

/// The pages of a virtual host or a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorPages(Vec<ErrorPage>);

/// What is answered in place of some errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// The errors, from 400 to 599.
    pub statuses: Vec<StatusCode>,
    /// Whether upstreams' errors with these statuses are meant as well.
    pub upstream_errors: UpstreamErrors,
    /// Which status the page is given with.
    pub status: PageStatus,
    /// The page, or where it is.
    pub answer: FixedAnswer,
}

/// What becomes of an upstream's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamErrors {
    /// They are passed on as they are.
    Pass,
    /// The page takes their place.
    Replace,
}

/// Which status a page is given with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus {
    /// That of the error.
    Kept,
    /// That of the answer.
    Own,
}

/// Whose error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Portway's own.
    Portway,
    /// An upstream's.
    Upstream,
}

impl ErrorPages {
    /// These pages; each status stands in one of them.
    #[must_use]
    pub const fn new(pages: Vec<ErrorPage>) -> Self {
        Self(pages)
    }

    /// The page in place of an error, if there is one.
    #[must_use]
    pub fn find(&self, status: StatusCode, origin: Origin) -> Option<&ErrorPage> {
        let mut pages = self.0.iter();
        let page = pages.find(|page| page.statuses.contains(&status))?;
        let is_meant = match origin {
            Origin::Portway => true,
            Origin::Upstream => page.upstream_errors == UpstreamErrors::Replace,
        };
        is_meant.then_some(page)
    }
}

impl ErrorPage {
    /// What is answered in place of an error with this status; none where the page is at an address that a fact is
    /// missing for.
    #[must_use]
    pub fn reply(&self, error: StatusCode, subject: &Subject<'_>) -> Option<FixedReply> {
        let reply = self.answer.reply(subject)?;
        Some(match self.status {
            PageStatus::Kept => FixedReply {
                status: error,
                ..reply
            },
            PageStatus::Own => reply,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use bytes::Bytes;
    use http::HeaderMap;
    use http::HeaderValue;
    use http::Method;

    use super::*;
    use crate::decision::facts::RequestFacts;
    use crate::decision::forwarded::Scheme;
    use crate::model::id::RequestId;
    use crate::model::time::Timestamp;

    #[test]
    fn a_page_stands_for_the_errors_that_it_names_and_for_upstreams_only_where_that_is_said() {
        let both = page(&[502, 503], UpstreamErrors::Replace, PageStatus::Kept);
        let own = page(&[404], UpstreamErrors::Pass, PageStatus::Own);
        let pages = ErrorPages::new(vec![own, both]);
        let found = |status: u16, origin| pages.find(code(status), origin).is_some();
        assert!(found(502, Origin::Portway) && found(503, Origin::Upstream));
        assert!(found(404, Origin::Portway) && !found(404, Origin::Upstream));
        assert!(!found(500, Origin::Portway) && !found(500, Origin::Upstream));
    }

    #[test]
    fn a_page_has_the_status_of_its_error_or_one_of_its_own() {
        let status = |status| {
            let page = page(&[404, 410], UpstreamErrors::Pass, status);
            let reply = replied(&page, 410).unwrap();
            assert_eq!(reply.body, "<p>Sorry.</p>");
            reply.status.as_u16()
        };
        assert_eq!(status(PageStatus::Kept), 410);
        assert_eq!(status(PageStatus::Own), 200);
    }

    fn code(status: u16) -> StatusCode {
        StatusCode::from_u16(status).unwrap()
    }

    fn page(statuses: &[u16], upstream_errors: UpstreamErrors, status: PageStatus) -> ErrorPage {
        ErrorPage {
            statuses: statuses.iter().map(|status| code(*status)).collect(),
            upstream_errors,
            status,
            answer: FixedAnswer::Content(FixedReply {
                status: StatusCode::OK,
                location: None,
                content_type: Some(HeaderValue::from_static("text/html")),
                body: Bytes::from_static(b"<p>Sorry.</p>"),
            }),
        }
    }

    fn replied(page: &ErrorPage, error: u16) -> Option<FixedReply> {
        let headers = HeaderMap::new();
        let request = RequestFacts {
            id: RequestId::from_bytes([7; 16]),
            method: &Method::GET,
            scheme: Scheme::Https,
            host: "app.test",
            path: "/",
            query: None,
            headers: &headers,
            address: IpAddr::from([192, 0, 2, 1]),
            tls: None,
        };
        let subject = Subject::of(None, &request, Timestamp::from_millis(0));
        page.reply(code(error), &subject)
    }
}
