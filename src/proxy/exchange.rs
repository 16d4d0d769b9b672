//! A request and its answer on their way between client and upstream: what is waited for next, and what is
//! noted of what has come.
//!
//! An exchange over HTTP/2 shares its connection with others, so that nothing can be done to the connection on
//! its account. `forward` chooses the upstream and judges failures; what bodies may do is `forward`'s, too.

use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::StatusCode;
use http::Version;
use http::header;
use pingora::Error;
use pingora::ErrorSource;
use pingora::ErrorType;
use pingora::http::RequestHeader;
use pingora::http::ResponseHeader;
use pingora::protocols::http::v1::common::is_expect_continue_req;
use pingora::proxy::Session;

use crate::config::Flow;
use crate::config::Limits;
use crate::config::Route;
use crate::proxy::access;
use crate::proxy::activity;
use crate::proxy::context::Admitted;
use crate::proxy::context::Link;
use crate::proxy::context::RequestContext;
use crate::proxy::entered;
use crate::proxy::error_pages;
use crate::proxy::homeward;
use crate::proxy::outliers;
use crate::proxy::retry;

/// What connects a request to an upstream of HTTP/2, and how long pingora may wait there for each part of the
/// answer. It counts from the beginning of a request, and not on while a client takes its time to read; so it
/// keeps the time wherever nothing is sent but the head.
pub(super) fn shared_link(session: &mut Session, route: &Route) -> (Link, Option<Duration>) {
    if route.flow == Flow::Streaming || !session.as_mut().is_body_done() {
        return (Link::Shared, None);
    }
    let timeouts = &route.timeouts;
    let each = timeouts.first_byte.max(timeouts.read_idle);
    (Link::SharedAndTimed, Some(each))
}

/// The request has a connection to its upstream.
pub(super) fn begins(session: &mut Session, socket: RawFd, ctx: &RequestContext) {
    let (Some(current), Some(admitted)) = (&ctx.current, &ctx.admitted) else {
        return;
    };
    let (watch, route) = (&current.watch, &admitted.route.config);
    match admitted.link {
        Link::Own => watch.is_connected(socket),
        // Of a client of HTTP/2 only the stream can be ended, which dropping the request does.
        Link::Shared | Link::SharedAndTimed if session.is_http2() => {}
        Link::Shared | Link::SharedAndTimed => watch.is_connected_among_others(),
    }
    if session.is_upgrade_req() || session.as_mut().is_body_done() {
        watch.await_first_byte(first_byte(admitted));
    } else if route.flow == Flow::Streaming {
        watch.await_either(next_byte(admitted, &ctx.serving.limits));
    } else {
        watch.await_body(ctx.serving.body_idle(&route.timeouts));
    }
}

/// Readies the head of a request for HTTP/2. What concerns the client's connection alone goes, which pingora sees
/// to only for clients of HTTP/1.1 (RFC 9110 §7.6.1). Its upstream is never asked whether the body may come, for nobody
/// would hear the answer: the client hears it from here.
///
/// # Errors
/// When the upstream turns out to speak something else, or the client is gone.
pub(super) async fn ready_for_http2(
    session: &mut Session,
    head: &mut RequestHeader,
    ctx: &RequestContext,
) -> pingora::Result<()> {
    if head.version != Version::HTTP_2 {
        tracing::warn!(request_id = %ctx.id, "an upstream of a pool of HTTP/2 does not speak it");
        return Error::e_explain(ErrorType::HTTPStatus(502), "HTTP/2 was not agreed on");
    }
    for name in OF_ONE_HOP {
        head.remove_header(&name);
    }
    let expects = head.remove_header(&header::EXPECT).is_some();
    if expects && ctx.body.began.is_none() {
        go_ahead(session).await?;
    }
    Ok(())
}

/// Tells a client that waits to be told so that the body may come (RFC 9110 §10.1.1). pingora sends clients of
/// HTTP/2 nothing before the answer.
///
/// # Errors
/// When the client is gone.
pub(super) async fn go_ahead(session: &mut Session) -> pingora::Result<()> {
    if !is_expect_continue_req(session.req_header()) || session.as_mut().is_body_done() {
        return Ok(());
    }
    let told = session.write_continue_response().await;
    told.map_err(Error::into_down)
}

/// The head of an answer has come.
///
/// # Errors
/// When it is given up for another upstream's or for an error page, or can be read in more than one way.
pub(super) fn head_comes(
    session: &mut Session,
    head: &ResponseHeader,
    ctx: &mut RequestContext,
) -> pingora::Result<()> {
    outliers::answered(ctx, head.status);
    retry::give_up(session, ctx, head.status)?;
    access::is_answered(ctx, head.status.as_u16());
    let (Some(current), Some(admitted)) = (&ctx.current, &ctx.admitted) else {
        return Ok(());
    };
    if homeward::is_interim(head.status) {
        return Ok(());
    }
    let is_tunnel = head.status == StatusCode::SWITCHING_PROTOCOLS;
    if !homeward::is_framed_plainly(head) || (is_tunnel && !session.is_upgrade_req()) {
        let why = "the answer can be read in more than one way";
        return Error::e_explain(ErrorType::HTTPStatus(502), why);
    }
    if is_tunnel {
        current.watch.lift_total();
    }
    current
        .watch
        .await_next_byte(next_byte(admitted, &ctx.serving.limits));
    if let Some(at) = &admitted.in_flight {
        at.member().succeeded(ctx.serving.clock.now());
    }
    if is_tunnel {
        entered::note(session.req_header(), ctx);
        return Ok(());
    }
    error_pages::intercept(session, head, ctx)
}

/// A piece of the answer's body has come.
pub(super) fn body_comes(session: &Session, ctx: &mut RequestContext) {
    if let (Some(current), Some(admitted)) = (&ctx.current, &ctx.admitted) {
        let age = current
            .watch
            .await_next_byte(next_byte(admitted, &ctx.serving.limits));
        activity::answer_moved(session, ctx, age);
    }
}

/// The answer is over.
pub(super) fn is_answered(ctx: &RequestContext) {
    if let Some(current) = &ctx.current {
        current.watch.upstream_is_done();
    }
}

/// A request is dropped before its answer was over. Where the answer was late, which only dropping it could tell
/// the client, the connection may hang.
pub(super) fn is_dropped(ctx: &RequestContext) {
    let watch = ctx.current.as_ref().map(|current| &current.watch);
    if !is_shared(ctx) || !watch.is_some_and(|watch| watch.is_unanswered_now()) {
        return;
    }
    let admitted = ctx.admitted.as_ref();
    if let Some(at) = admitted.and_then(|admitted| admitted.in_flight.as_ref()) {
        at.member().standing().connects_anew();
        let why = || "no answer came in time".to_owned();
        at.member().failed(ctx.serving.clock.now(), why);
        if let Some(admitted) = admitted {
            outliers::failed(admitted, at);
        }
    }
}

/// A request is over. Notes whether its client took the answer: one that takes back streams, or does not read, is
/// not waited for for ever.
pub(super) fn is_over(session: &Session, fault: Option<&Error>, ctx: &RequestContext) {
    let Some(current) = &ctx.current else {
        return;
    };
    let connection = &current.connection;
    // pingora does not say of each whose it is.
    let fault = fault.filter(|fault| fault.esource() != &ErrorSource::Upstream);
    if session.is_http2() {
        if fault.is_some() && !retry::is_answered(session) {
            connection.resets.taken_back(ctx.serving.clock.now());
        } else {
            connection.resets.answered();
        }
    } else if fault.is_some_and(|fault| fault.etype() == &ErrorType::WriteTimedout) {
        connection.is_stalled.store(true, Ordering::Relaxed);
    }
}

/// Whether a request goes by a connection with others on it.
pub(super) fn is_shared(ctx: &RequestContext) -> bool {
    let admitted = ctx.admitted.as_ref();
    admitted.is_some_and(|admitted| admitted.link != Link::Own)
}

/// What follows an answer's body has come: nothing in it may say what only a head says (RFC 9110 §6.5.1).
pub(super) fn trailers_come(trailers: &mut HeaderMap, ctx: &RequestContext) {
    is_answered(ctx);
    for name in HEAD_ONLY {
        trailers.remove(name);
    }
}

/// A piece of a stream is on its way up; `end` with the last one. Answers how long the request has been watched.
pub(super) fn stream_moves(ctx: &RequestContext, end: bool) -> Duration {
    let (Some(current), Some(admitted)) = (&ctx.current, &ctx.admitted) else {
        return Duration::ZERO;
    };
    if end {
        current.watch.await_first_byte(first_byte(admitted));
        return current.watch.age();
    }
    current
        .watch
        .await_either(next_byte(admitted, &ctx.serving.limits))
}

/// How long the first byte of an answer may take. Where pingora keeps the time it comes first: it can still have
/// the client answered, and no other request gets onto the connection.
pub(super) fn first_byte(admitted: &Admitted) -> Duration {
    let timeouts = &admitted.route.config.timeouts;
    let is_timed = admitted.link == Link::SharedAndTimed;
    if is_timed && timeouts.first_byte >= timeouts.read_idle {
        timeouts.first_byte.saturating_add(Duration::from_secs(1))
    } else {
        timeouts.first_byte
    }
}

/// How long the next byte may take. What waits on a connection with others to be read cannot be seen, so a
/// client is given its time beside that of the upstream.
pub(super) fn next_byte(admitted: &Admitted, limits: &Limits) -> Duration {
    let read_idle = admitted.route.config.timeouts.read_idle;
    match admitted.link {
        Link::Own => read_idle,
        Link::Shared => read_idle.saturating_add(limits.send_timeout),
        Link::SharedAndTimed => Duration::MAX,
    }
}

/// Of HTTP/1.1 only, or for the next hop only; the others no stream of HTTP/2 can bring.
const OF_ONE_HOP: [HeaderName; 4] = [
    HeaderName::from_static("http2-settings"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TRAILER,
];
/// What is about the message, its way or its sender, and cookies.
const HEAD_ONLY: [HeaderName; 14] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::HOST,
    header::LOCATION,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::WWW_AUTHENTICATE,
];
