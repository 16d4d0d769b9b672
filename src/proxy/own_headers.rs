//! What the response rules of a virtual host or route say of the answers that Portway gives there itself: the
//! redirect to a sign-in, refusals, pages.
//!
//! They add to what such an answer has, and change nothing of it: its own headers keep its pages safe and its
//! redirects whole.

use http::header;
use pingora::http::RequestHeader;
use pingora::http::ResponseHeader;

use crate::decision::facts::RequestFacts;
use crate::decision::facts::Subject;
use crate::decision::forwarded::Scheme;
use crate::decision::header_rules::HeaderChange;
use crate::proxy::context::RequestContext;
use crate::proxy::serving::Serving;

impl Serving {
    /// What is to be changed about an answer of Portway's own; nothing before its virtual host is known.
    pub(super) fn own_changes(
        &self,
        head: &RequestHeader,
        ctx: &RequestContext,
    ) -> Vec<HeaderChange> {
        if let Some(admitted) = &ctx.admitted {
            let changes = admitted.headers.as_ref();
            return changes.map_or_else(Vec::new, |changes| changes.response.clone());
        }
        let noted = &ctx.noted;
        let Some(arrived) = &noted.arrived else {
            return Vec::new();
        };
        let (host, origin) = (&arrived.host, &arrived.origin);
        let of_route = noted.route.as_ref().map(|route| &route.config.headers);
        let of_host = || self.hosts.find(host.as_str()).map(|host| &host.headers);
        let Some(rules) = of_route.or_else(of_host) else {
            return Vec::new();
        };
        let request = RequestFacts {
            id: ctx.id,
            method: &head.method,
            scheme: origin.scheme,
            host: host.as_str(),
            path: head.uri.path(),
            query: head.uri.query(),
            headers: &head.headers,
            address: origin.client,
            tls: None,
        };
        let changes = rules.answer_changes(&Subject::of(None, &request, self.clock.now()));
        let mut changes = changes.unwrap_or_else(|error| {
            tracing::error!(
                request_id = %ctx.id,
                error = &error as &dyn std::error::Error,
                "a header could not be written"
            );
            Vec::new()
        });
        if origin.scheme == Scheme::Http {
            // Not to be said where anybody could have said it (RFC 6797 §7.2).
            changes.retain(|change| change.name != header::STRICT_TRANSPORT_SECURITY);
        }
        changes
    }
}

/// Adds to an answer of Portway's own what it does not have.
///
/// # Errors
/// When a header cannot be set.
pub(super) fn apply(head: &mut ResponseHeader, changes: &[HeaderChange]) -> pingora::Result<()> {
    for change in changes {
        if let Some(value) = &change.value
            && !head.headers.contains_key(&change.name)
        {
            head.append_header(&change.name, value)?;
        }
    }
    Ok(())
}
