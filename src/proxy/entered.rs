//! What streams were let in for, so that they are judged again by what is served now (D-13, D-16): a WebSocket may
//! outlive the rule that let it in by hours.
//!
//! When that is done, and what becomes of those that would not be let in, is `app`'s matter. A request that is over
//! soon is judged once.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use http::Uri;
use pingora::http::RequestHeader;

use crate::decision::admission::Decision;
use crate::decision::admission::Standing;
use crate::decision::facts::RequestFacts;
use crate::decision::forwarded::Scheme;
use crate::decision::path::normalise;
use crate::model::claim::Claim;
use crate::model::id::RequestId;
use crate::model::name::HostName;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::proxy::context::ConnectionFacts;
use crate::proxy::context::RequestContext;
use crate::proxy::serving::Serving;

/// What a stream was let in for, as far as rules read it.
#[derive(Debug)]
pub struct Entered {
    /// The virtual host that it asked for.
    pub host: HostName,
    id: RequestId,
    connection: Arc<ConnectionFacts>,
    /// Whether no proxy stands between the client and that connection.
    is_direct: bool,
    method: Method,
    scheme: Scheme,
    uri: Uri,
    headers: HeaderMap,
    address: IpAddr,
}

/// Keeps in mind what a request was let in for that has become a stream.
pub(super) fn note(head: &RequestHeader, ctx: &mut RequestContext) {
    let (Some(current), Some(admitted)) = (&ctx.current, &mut ctx.admitted) else {
        return;
    };
    let Some(registration) = &mut admitted.registration else {
        return;
    };
    registration.enter(|| Entered {
        host: admitted.arrived.host.clone(),
        id: ctx.id,
        connection: Arc::clone(&current.connection),
        is_direct: admitted.arrived.origin.is_direct(),
        method: head.method.clone(),
        scheme: admitted.arrived.origin.scheme,
        uri: head.uri.clone(),
        headers: head.headers.clone(),
        address: admitted.arrived.origin.client,
    });
}

impl Serving {
    /// Whether a stream of a session that serves would be let in if it came now. One whose host or route is gone
    /// would not.
    #[must_use]
    pub fn lets_in(
        &self,
        entered: &Entered,
        (claim, session): (&Claim, Arc<Session>),
        now: Timestamp,
    ) -> bool {
        let Some(host) = self.host_at(entered.host.as_str(), &entered.connection.entrance) else {
            return false;
        };
        let Ok(client) = self.client_of(&entered.connection, Some(host)) else {
            return false;
        };
        let tls = client.as_deref().or(entered.connection.tls.as_ref());
        let Ok(path) = normalise(entered.uri.path()) else {
            return false;
        };
        let request = RequestFacts {
            id: entered.id,
            method: &entered.method,
            scheme: entered.scheme,
            host: entered.host.as_str(),
            path: path.as_str(),
            query: entered.uri.query(),
            headers: &entered.headers,
            address: entered.address,
            tls: tls.filter(|_| entered.is_direct),
        };
        let level = claim.facts.level.min(session.facts.level);
        let foreseen = host.foresee(&path, &request, Standing::SignedIn(session, level), now);
        matches!(foreseen, Some((_, Decision::Allow(_))))
    }
}
