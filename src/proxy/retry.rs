//! Tries a request again at another upstream, as far as its route, its method and the budget of the pool
//! allow.

use http::StatusCode;
use pingora::Error;
use pingora::ErrorType;
use pingora::proxy::Session;

use crate::decision::retry::Body;
use crate::decision::retry::Failure;
use crate::decision::retry::may_repeat;
use crate::proxy::connect;
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

/// Readies what is watched for another try: the whole exchange stays within its limit.
pub(super) fn begins_anew(ctx: &RequestContext) {
    let (Some(current), Some(admitted)) = (&ctx.current, &ctx.admitted) else {
        return;
    };
    current.watch.upstream_is_done();
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
