//! Tries a request again at another upstream, as far as its route, its method and the budget of the pool
//! allow.

use std::sync::Arc;

use http::StatusCode;
use pingora::Error;
use pingora::ErrorType;
use pingora::RetryType;
use pingora::proxy::Session;

use crate::decision::retry::Body;
use crate::decision::retry::Failure;
use crate::decision::retry::may_repeat;
use crate::proxy::connect;
use crate::proxy::context::Admitted;
use crate::proxy::context::BodyProgress;
use crate::proxy::context::RequestContext;
use crate::proxy::forward::target_of;
use crate::proxy::homeward;

/// Why an answer is given up that could have been passed on.
pub(super) const ANOTHER: ErrorType = ErrorType::Custom("another upstream is tried");

/// Gives an answer up because another upstream may have a better one; says nothing where it is passed on.
///
/// # Errors
/// [`ANOTHER`], to be tried again.
pub(super) fn give_up(
    session: &mut Session,
    ctx: &mut RequestContext,
    status: StatusCode,
) -> pingora::Result<()> {
    if !goes_on(session, ctx, Failure::Status(status)) {
        return Ok(());
    }
    let mut error = Error::new(ANOTHER);
    error.set_retry(true);
    Err(error)
}

/// Whether a request is tried again at another upstream after a failure; what that takes of the budget is
/// taken.
pub(super) fn goes_on(session: &mut Session, ctx: &mut RequestContext, failure: Failure) -> bool {
    let Some(admitted) = &ctx.admitted else {
        return false;
    };
    let Some(target) = target_of(admitted) else {
        return false;
    };
    if !admitted.route.config.retry_on.includes(failure) {
        return false;
    }
    let body = if ctx.body.bytes == 0 && session.as_mut().is_body_done() {
        Body::None
    } else {
        Body::Some
    };
    let head = session.req_header();
    if !may_repeat(&head.method, body) || session.is_upgrade_req() || is_answered(session) {
        return false;
    }
    let pool = &target.pool;
    let most = usize::try_from(pool.config.connect_retries).unwrap_or(usize::MAX);
    admitted.tried.len() <= most
        && connect::is_another_left(pool, &admitted.tried)
        && time_is_left(ctx)
        && pool.may_retry(ctx.serving.clock.now())
}

/// Gives a request that its upstream did not begin with another turn, as far as the pool's limits allow. What it
/// asks for makes no difference then (RFC 9113 §8.7). A connection that ends says nothing about the health of an
/// upstream; one that goes on turning requests away is passed over.
pub(super) fn has_another_turn(ctx: &mut RequestContext) -> bool {
    let is_in_time = time_is_left(ctx);
    let Some(admitted) = ctx.admitted.as_mut() else {
        return false;
    };
    let Some(pool) = target_of(admitted).map(|target| Arc::clone(&target.pool)) else {
        return false;
    };
    let is_within = admitted.turned_away < pool.config.connect_retries;
    if !is_within || !is_in_time || !pool.may_retry(ctx.serving.clock.now()) {
        return false;
    }
    admitted.turned_away += 1;
    admitted.in_flight = None;
    if admitted.turned_away == 1 || !connect::is_another_left(&pool, &admitted.tried) {
        admitted.tried.pop();
    }
    ctx.body = BodyProgress::default();
    begins_anew(ctx);
    true
}

/// Whether an upstream has said that it did not begin with a request.
pub(super) fn is_turned_away(error: &Error) -> bool {
    error.etype() == &ErrorType::H2Error && error.retry == RetryType::Decided(true)
}

/// Whether a request whose connection ended under it, which others may have brought about that shared it, gets
/// another turn: once, and where nothing is the matter if its upstream had begun with it (RFC 9110 §9.2.2).
pub(super) fn is_swept_along(
    session: &mut Session,
    ctx: &mut RequestContext,
    error: &Error,
) -> bool {
    let ended = error.root_cause().downcast_ref::<h2::Error>();
    let has_ended = ended.is_some_and(|why| why.is_remote() && why.is_go_away() || why.is_io());
    let is_first = |admitted: &Admitted| admitted.turned_away == 0;
    has_ended
        && ctx.admitted.as_deref().is_some_and(is_first)
        && ctx.body.bytes == 0
        && session.as_mut().is_body_done()
        && session.req_header().method.is_idempotent()
        && !is_answered(session)
        && has_another_turn(ctx)
}

/// Whether all of a request that an upstream did not begin with is still at hand.
pub(super) fn can_send_again(session: &Session) -> bool {
    !session.as_ref().retry_buffer_truncated() && !is_answered(session)
}

/// Readies what is watched for another try: the whole exchange stays within its limit.
pub(super) fn begins_anew(ctx: &RequestContext) {
    let (Some(current), Some(admitted)) = (&ctx.current, &ctx.admitted) else {
        return;
    };
    current.watch.begins_anew();
    if let Some(total) = admitted.route.config.timeouts.total {
        let spent = current.watch.since_head().unwrap_or_default();
        current.watch.limit_total(total.saturating_sub(spent));
    }
}

fn time_is_left(ctx: &RequestContext) -> bool {
    let (Some(current), Some(admitted)) = (&ctx.current, &ctx.admitted) else {
        return false;
    };
    let spent = current.watch.since_head().unwrap_or_default();
    let total = admitted.route.config.timeouts.total;
    total.is_none_or(|total| spent < total)
}

/// Whether the answer has begun; interim ones are only on the way to it (RFC 9110 §15.2).
pub(super) fn is_answered(session: &Session) -> bool {
    session
        .response_written()
        .is_some_and(|head| !homeward::is_interim(head.status))
}
