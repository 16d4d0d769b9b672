//! What forwarding a request takes: its upstream, the limits of its body, and what a failure means.
//!
//! pingora calls the phases in `service`; the choice of a member is `connect`'s.

use std::sync::Arc;
use std::time::Duration;

use pingora::Error;
use pingora::ErrorSource;
use pingora::ErrorType;
use pingora::prelude::HttpPeer;
use pingora::protocols::ALPN;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpUpstreamRequestPolicy;

use crate::config::Flow;
use crate::config::Timeouts;
use crate::decision::forwarded::Scheme;
use crate::decision::retry::Failure;
use crate::decision::upstream::stable_hash;
use crate::ports::entropy::id_bytes;
use crate::proxy::activity;
use crate::proxy::announcing;
use crate::proxy::connect;
use crate::proxy::context::Admitted;
use crate::proxy::context::Link;
use crate::proxy::context::RequestContext;
use crate::proxy::exchange;
use crate::proxy::framing::PerHop;
use crate::proxy::hosts::Target;
use crate::proxy::outliers;
use crate::proxy::refusal;
use crate::proxy::refusal::Refusal;
use crate::proxy::retry;
use crate::proxy::serving::Serving;

/// The upstream of a request, as pingora connects to it; none when no member of the pool is left.
pub(super) fn choose_peer(
    session: &mut Session,
    ctx: &mut RequestContext,
) -> Option<Box<HttpPeer>> {
    let serving = &ctx.serving;
    let admitted = ctx.admitted.as_mut()?;
    let target = Arc::clone(target_of(admitted)?);
    let timeouts = admitted.route.config.timeouts;
    let headers = &session.req_header().headers;
    let chosen = connect::choose_member(&target.pool, admitted, headers, ctx.id)?;
    let mut peer = target.peer.peer(&chosen, &timeouts);
    if let (Some(version), Some(current)) = (target.pool.config.proxy_protocol, &ctx.current) {
        let whose = (current.connection.as_ref(), admitted.arrived.as_ref());
        announcing::announce(&mut peer, version, whose, timeouts.connect);
    }
    if admitted.arrived.per_hop == PerHop::Plain {
        // pingora looks for ten names one by one; there is nothing to find but `Connection`, see `outbound`.
        peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
    }
    if session.is_upgrade_req() {
        // A kept connection is watched by the thread that made it, which could note the acceptance too
        // early (ADR 0010). In a group of its own an upgrade finds none, and makes a connection.
        peer.group_key ^= stable_hash(&id_bytes(serving.entropy.as_ref()));
        // There is none in HTTP/2 (RFC 9113 §8.6).
        peer.options.alpn = ALPN::H1;
    }
    admitted.link = Link::Own;
    if peer.options.alpn == ALPN::H2 {
        let (link, each) = exchange::shared_link(session, &admitted.route.config);
        admitted.link = link;
        peer.options.read_timeout = each;
        if admitted.route.config.flow == Flow::Streaming {
            connect::widen(&mut peer);
        }
    }
    admitted.in_flight = Some(chosen.enter(serving.clock.now()));
    admitted.tried.push(chosen);
    Some(Box::new(peer))
}

/// A piece of the request's body is on its way up; `end` with the last one.
pub(super) fn body_moves(
    session: &Session,
    ctx: &mut RequestContext,
    piece: &[u8],
    end: bool,
) -> pingora::Result<()> {
    let (Some(current), Some(admitted)) = (&ctx.current, &ctx.admitted) else {
        return Error::e_explain(ErrorType::HTTPStatus(500), "a body without a permit");
    };
    let timeouts = &admitted.route.config.timeouts;
    if session.was_upgraded() {
        // Either direction keeps a tunnel open.
        let age = current.watch.await_next_byte(timeouts.read_idle);
        activity::client_sent(session, ctx, piece, age);
        return Ok(());
    }
    let most = admitted.route.config.body_bytes_max;
    if admitted.route.config.flow == Flow::Streaming {
        let age = exchange::stream_moves(ctx, end);
        ctx.body.bytes = ctx.body.bytes.saturating_add(piece.len() as u64);
        activity::client_sent(session, ctx, piece, age);
        let broken = (ctx.body.bytes > most).then_some(Refusal::BodyTooLarge);
        return broken.map_or(Ok(()), |broken| Err(fault_of(ctx, broken)));
    }
    let is_empty = piece.is_empty() && ctx.body.bytes == 0;
    if end && is_empty && current.watch.awaits_answer() {
        return Ok(());
    }
    if end {
        current
            .watch
            .await_first_byte(exchange::first_byte(admitted));
    } else {
        current.watch.await_body(ctx.serving.body_idle(timeouts));
    }
    ctx.body.bytes = ctx.body.bytes.saturating_add(piece.len() as u64);
    let now = current.watch.age();
    let elapsed = now.saturating_sub(ctx.body.begins(now));
    let elapsed = elapsed.saturating_sub(ctx.body.waited);
    activity::client_sent(session, ctx, piece, now);
    let broken = ctx.serving.body_fault(ctx.body.bytes, elapsed, most);
    broken.map_or(Ok(()), |broken| Err(fault_of(ctx, broken)))
}

/// The end of a request whose body breaks a limit.
fn fault_of(ctx: &RequestContext, broken: Refusal) -> Box<Error> {
    let status = broken.status().as_u16();
    let fault = Error::explain(ErrorType::HTTPStatus(status), "the body breaks a limit");
    if exchange::is_shared(ctx) {
        // Over HTTP/2 pingora waits for the answer after any fault but the client's.
        fault.into_down()
    } else {
        fault
    }
}

/// Takes a member out of the choice that could not be connected to, and tries another while the pool
/// allows.
pub(super) fn could_not_connect(session: &Session, ctx: &mut RequestContext, error: &mut Error) {
    // A kept connection of HTTP/2 that turned out to be over.
    if error.etype() == &ErrorType::H2Error && retry::has_another_turn(ctx) {
        error.set_retry(true);
        return;
    }
    let tells = tells_of_health(session, ctx);
    let Some(admitted) = ctx.admitted.as_mut() else {
        return;
    };
    if let Some(at) = admitted.in_flight.take().filter(|_| tells) {
        let why = || refusal::reason(error, Some(admitted));
        at.member().failed(ctx.serving.clock.now(), why);
        outliers::failed(admitted, &at);
    }
    let Some(target) = target_of(admitted) else {
        return;
    };
    let pool = &target.pool;
    let most = usize::try_from(pool.config.connect_retries).unwrap_or(usize::MAX);
    let may_retry = admitted.tried.len() <= most && pool.may_retry(ctx.serving.clock.now());
    error.set_retry(may_retry);
}

/// Judges an exchange that broke off. A request that no byte of its body was sent of goes on: by another
/// connection, where a kept one was to blame, or to another upstream, where its route says so.
pub(super) fn was_broken_off(
    session: &mut Session,
    ctx: &mut RequestContext,
    error: &mut Error,
    reused: bool,
) {
    if ctx.replacement.is_some() {
        // The upstream has answered; nobody waits for the rest.
        is_not_waited_for(ctx, error);
        return;
    }
    let (late, unanswered) = lateness(ctx, error);
    if retry::is_turned_away(error) {
        if !late && retry::can_send_again(session) && retry::has_another_turn(ctx) {
            return;
        }
        error.set_retry(false);
    }
    if !late && retry::is_swept_along(session, ctx, error) {
        error.set_retry(true);
        return;
    }
    let is_given_up = error.etype() == &retry::ANOTHER;
    if is_given_up {
        error.as_up();
    } else if late || ctx.body.bytes > 0 || !session.req_header().method.is_idempotent() {
        error.set_retry(false);
    } else if reused && error.etype() == &ErrorType::WriteError {
        // Whoever is at a socket of the file system has closed it: by TCP that shows when the answer is read.
        error.set_retry(true);
    } else {
        error.retry.decide_reuse(reused);
    }
    if error.esource() != &ErrorSource::Upstream {
        return;
    }
    let at = ctx
        .admitted
        .as_mut()
        .and_then(|admitted| admitted.in_flight.take());
    if error.retry() && !is_given_up {
        // A kept connection that the upstream closed says nothing about its health.
        if let Some(admitted) = ctx.admitted.as_mut() {
            admitted.tried.pop();
        }
        retry::begins_anew(ctx);
        return;
    }
    let tells = tells_of_health(session, ctx);
    if let Some(at) = at.filter(|_| tells && (!late || unanswered)) {
        let why = || refusal::reason(error, ctx.admitted.as_deref());
        at.member().failed(ctx.serving.clock.now(), why);
        if late && exchange::is_shared(ctx) {
            at.member().standing().connects_anew();
        }
        // Of an answer that is given up its status has been taken in.
        if let Some(admitted) = ctx.admitted.as_ref().filter(|_| !is_given_up) {
            outliers::failed(admitted, &at);
        }
    }
    let failure = match (late, unanswered) {
        (false, _) => Some(Failure::Broken),
        (true, true) => Some(Failure::Late),
        (true, false) => None,
    };
    let goes_on = is_given_up || failure.is_some_and(|why| retry::goes_on(session, ctx, why));
    error.set_retry(goes_on);
    if goes_on {
        retry::begins_anew(ctx);
    }
}

fn is_not_waited_for(ctx: &RequestContext, error: &mut Error) {
    error.as_up();
    error.set_retry(false);
    if let Some(current) = &ctx.current {
        current.watch.upstream_is_done();
    }
}

/// Whether an upstream was late, and whether it had not even begun to answer. Of one whose connection is shared
/// that comes to light at the client's end, or by pingora's time-out.
fn lateness(ctx: &RequestContext, error: &mut Error) -> (bool, bool) {
    let Some(current) = &ctx.current else {
        return (false, false);
    };
    let watch = &current.watch;
    if watch.is_late() {
        if exchange::is_shared(ctx) {
            error.as_up();
        }
        return (true, watch.is_unanswered());
    }
    let is_late =
        error.etype() == &ErrorType::ReadTimedout && error.esource() == &ErrorSource::Upstream;
    let unanswered = is_late && watch.awaits_answer();
    watch.upstream_is_done();
    (is_late, unanswered)
}

/// Whether a failure says anything about the upstream. Whether one of HTTP/2 takes upgrades, which there are
/// only in HTTP/1.1, is nothing that clients may turn against it.
fn tells_of_health(session: &Session, ctx: &RequestContext) -> bool {
    let target = ctx
        .admitted
        .as_ref()
        .and_then(|admitted| target_of(admitted));
    let is_http2 = target.is_some_and(|target| target.pool.config.http2.is_some());
    !(is_http2 && session.is_upgrade_req())
}

/// The pool of a request: routes may have one for plain connections and one for TLS (W-04).
/// None where the route answers by itself.
pub(super) fn target_of(admitted: &Admitted) -> Option<&Arc<Target>> {
    let targets = admitted.route.targets.as_ref()?;
    Some(match admitted.arrived.origin.scheme {
        Scheme::Http => &targets.http,
        Scheme::Https => &targets.https,
    })
}

impl Serving {
    /// How long the next piece of a body may take. An upstream that takes its time to read holds the
    /// client up. The second more lets pingora's own time-out come first, which can still answer; over
    /// HTTP/2 it has none.
    pub(super) fn body_idle(&self, timeouts: &Timeouts) -> Duration {
        self.limits.body_idle_timeout.max(timeouts.write_idle) + Duration::from_secs(1)
    }

    /// The limit that a body breaks, if it breaks one.
    fn body_fault(&self, bytes: u64, elapsed: Duration, most: u64) -> Option<Refusal> {
        if bytes > most {
            return Some(Refusal::BodyTooLarge);
        }
        let due = self.limits.body_rate_min.saturating_mul(elapsed.as_secs());
        (elapsed > self.limits.body_idle_timeout && bytes < due).then_some(Refusal::BodyTooSlow)
    }
}
