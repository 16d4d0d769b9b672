//! Tells the access log of requests that are over: done, cut off half-way, or never understood.
//!
//! What a line looks like is `logbook`'s matter. Nothing is gathered here while no log wants it.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::Uri;
use http::Version;
use http::header;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::decision::admission::Permit;
use crate::decision::endpoints;
use crate::logbook::access::AccessRecord;
use crate::logbook::access::AskedFor;
use crate::logbook::access::Decision;
use crate::logbook::access::Forwarded;
use crate::model::claim::Claim;
use crate::model::name::UserName;
use crate::proxy::arrival::Arrived;
use crate::proxy::context::Admitted;
use crate::proxy::context::ConnectionFacts;
use crate::proxy::context::RequestContext;
use crate::proxy::exchange;
use crate::proxy::forward::target_of;
use crate::proxy::hosts::RouteRuntime;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;
use crate::proxy::step::Step;

/// What is noted of a request that is not forwarded; of one that is, more is known.
#[derive(Debug, Default)]
pub struct Noted {
    /// What was decided; refused, unless something else is said.
    pub decision: Option<Decision>,
    /// Where it goes and where it comes from, once its head has been read.
    pub arrived: Option<Arc<Arrived>>,
    /// The route that would have taken it.
    pub route: Option<Arc<RouteRuntime>>,
    /// Who asked.
    pub user: Option<UserName>,
}

/// A request that is to have a line: kept apart from the head, which is gone when a request is cut off.
#[derive(Debug)]
pub struct OpenLine {
    method: Method,
    uri: Uri,
    version: Version,
    /// When the first upstream was tried, in the life of the request.
    forwarded: Option<Duration>,
    /// How long it took to begin its answer.
    upstream_time: Option<Duration>,
    /// The status of an answer that has begun.
    status: Option<u16>,
}

impl Noted {
    /// Notes that it was denied, and to whom.
    pub(super) fn is_denied(&mut self, claim: Option<&Claim>) {
        self.decision = Some(Decision::Deny);
        self.user = claim.map(|claim| claim.facts.subject.clone());
    }

    /// Notes whose it is.
    pub(super) fn is_of(&mut self, permit: &Permit) {
        let session = permit.session();
        self.user = session.map(|session| session.facts.subject.clone());
    }

    /// Notes what came of it, where that alone says what was decided.
    pub(super) fn came_to(&mut self, step: &Result<Step, Refusal>) {
        match step {
            Ok(Step::Move(_) | Step::Own(..) | Step::Readiness) => {
                self.decision = Some(Decision::Own);
            }
            Ok(Step::Maintain(_)) => self.decision = Some(Decision::Maintenance),
            // What is not a denial is a challenge, before anything is forwarded.
            Ok(Step::KeepPost(_) | Step::Reply(_)) => {
                self.decision.get_or_insert(Decision::LogIn);
            }
            Err(Refusal::BadRequest | Refusal::Expectation | Refusal::HeaderTooLarge) => {
                self.decision = Some(Decision::Malformed);
            }
            Err(Refusal::Barred | Refusal::Denied | Refusal::Untellable) => {
                self.decision = Some(Decision::Deny);
            }
            Err(Refusal::TooManyAtOnce | Refusal::TooManyRequests(_)) => {
                self.decision = Some(Decision::Limit);
            }
            Ok(Step::Answer(..) | Step::Disallow(_) | Step::Forward(_) | Step::Refuse(_))
            | Err(_) => {}
        }
    }
}

impl OpenLine {
    /// Begins the line of a request, where there is a log.
    pub(super) fn begin(serving: &Serving, head: &RequestHeader) -> Option<Self> {
        serving.access.as_ref()?;
        Some(Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            forwarded: None,
            upstream_time: None,
            status: None,
        })
    }
}

/// An upstream is about to be tried.
pub(super) fn is_forwarded(ctx: &mut RequestContext) {
    if let (Some(line), Some(current)) = (&mut ctx.line, &ctx.current)
        && line.forwarded.is_none()
        && wants_upstream_time(&ctx.serving)
    {
        line.forwarded = Some(current.watch.age());
    }
}

/// An upstream has begun to answer.
pub(super) fn is_answered(ctx: &mut RequestContext, status: u16) {
    let (Some(line), Some(current)) = (&mut ctx.line, &ctx.current) else {
        return;
    };
    line.status = Some(status);
    if let Some(forwarded) = line.forwarded {
        line.upstream_time = Some(current.watch.age().saturating_sub(forwarded));
    }
}

fn wants_upstream_time(serving: &Serving) -> bool {
    serving
        .access
        .as_ref()
        .is_some_and(|log| log.times_upstreams)
}

/// A request is done.
pub(super) fn is_done(session: &Session, ctx: &mut RequestContext) {
    let Some(mut line) = ctx.line.take() else {
        return;
    };
    line.status = session.response_written().map(|head| head.status.as_u16());
    let headers = &session.req_header().headers;
    let of = |name| {
        headers
            .get(name)
            .map_or(b"".as_slice(), |value| value.as_bytes())
    };
    let over = Over {
        bytes_sent: session.body_bytes_sent() as u64,
        bytes_received: session.as_ref().body_bytes_read() as u64,
        referer: of(header::REFERER),
        user_agent: of(header::USER_AGENT),
    };
    write(&line, ctx, &over);
}

/// A request is gone before it was done: a deadline, or the end of its session.
impl Drop for RequestContext {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        exchange::is_dropped(self);
        self.serving.counts.note_cut();
        if let Some(line) = self.line.take() {
            write(&line, self, &Over::default());
        }
    }
}

/// A connection came to no request that could be read, or not even to TLS.
pub(super) fn is_unread(serving: &Serving, facts: &ConnectionFacts, decision: Decision) {
    serving.counts.note_unread(decision);
    let Some(log) = &serving.access else {
        return;
    };
    log.note(&AccessRecord {
        at: serving.clock.now(),
        client: facts.peer.ip(),
        asked: None,
        listener: facts.entrance.listener.as_str(),
        tls: "",
        host: "",
        route: "",
        user: "",
        decision,
        status: (decision == Decision::Malformed).then_some(400),
        bytes_sent: 0,
        bytes_received: 0,
        duration: Duration::ZERO,
        upstream: None,
    });
}

/// What only a request that is done can tell.
#[derive(Default)]
struct Over<'a> {
    bytes_sent: u64,
    bytes_received: u64,
    referer: &'a [u8],
    user_agent: &'a [u8],
}

fn write(line: &OpenLine, ctx: &RequestContext, over: &Over<'_>) {
    let (Some(log), Some(current)) = (&ctx.serving.access, &ctx.current) else {
        return;
    };
    let (facts, noted, admitted) = (&current.connection, &ctx.noted, ctx.admitted.as_deref());
    let route = ctx.route();
    let arrived = admitted.map(|admitted| &admitted.arrived);
    let arrived = arrived.or(noted.arrived.as_ref());
    let session = admitted.and_then(|admitted| admitted.permit.session());
    let user = session.map(|session| &session.facts.subject);
    let decision = match (admitted, noted.decision) {
        (Some(_), _) => Decision::Allow,
        (None, Some(decision)) => decision,
        (None, None) => Decision::Refuse,
    };
    log.note(&AccessRecord {
        at: ctx.serving.clock.now(),
        client: arrived.map_or_else(|| facts.peer.ip(), |arrived| arrived.origin.client),
        asked: Some(asked(line, ctx, over)),
        listener: facts.entrance.listener.as_str(),
        tls: facts.tls_version(),
        host: arrived.map_or("", |arrived| arrived.host.as_str()),
        route: route.map_or("", |route| &route.config.name),
        user: user.or(noted.user.as_ref()).map_or("", UserName::as_str),
        decision,
        status: line.status,
        bytes_sent: over.bytes_sent,
        bytes_received: over.bytes_received.max(ctx.body.bytes),
        duration: current.watch.since_head().unwrap_or_default(),
        upstream: admitted.and_then(|admitted| forwarded(admitted, line)),
    });
}

fn asked<'a>(line: &'a OpenLine, ctx: &RequestContext, over: &Over<'a>) -> AskedFor<'a> {
    let path = line.uri.path();
    // Portway's own queries are sealed messages: some of them sign their bearer in.
    let is_own = path.starts_with(endpoints::PREFIX);
    AskedFor {
        id: ctx.id,
        method: line.method.as_str(),
        path,
        query: line.uri.query().filter(|_| !is_own),
        protocol: match line.version {
            Version::HTTP_09 | Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        },
        referer: without_own_query(over.referer),
        user_agent: over.user_agent,
    }
}

/// A `Referer` as it may be told: a page of Portway's own has a sealed message behind its question mark.
fn without_own_query(referer: &[u8]) -> &[u8] {
    let mark = referer.iter().position(|byte| *byte == b'?');
    let address = mark.and_then(|mark| referer.get(..mark));
    let prefix = endpoints::PREFIX.as_bytes();
    let is_own = |address: &&[u8]| address.windows(prefix.len()).any(|part| part == prefix);
    address.filter(is_own).unwrap_or(referer)
}

fn forwarded<'a>(admitted: &'a Admitted, line: &OpenLine) -> Option<Forwarded<'a>> {
    let pool = &target_of(admitted)?.pool;
    let at = admitted.in_flight.as_ref().map(|at| at.member());
    let member = at.or_else(|| admitted.tried.last())?;
    Some(Forwarded {
        address: &member.shown,
        pool: pool.config.name.as_str(),
        attempts: admitted.tried.len(),
        time: line.upstream_time,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_message_is_not_told_by_a_referer_either() {
        let own = b"https://login.test/.portway/callback?t=s3cret";
        assert_eq!(
            without_own_query(own),
            b"https://login.test/.portway/callback"
        );
        for other in [
            "",
            "https://app.test/?q=1",
            "https://app.test/?q=/.portway/",
        ] {
            assert_eq!(without_own_query(other.as_bytes()), other.as_bytes());
        }
    }
}
