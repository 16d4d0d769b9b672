//! What moves over a request that runs on as activity in its session (D-19): who types into a WebSocket, uploads or
//! downloads is not idle.
//!
//! What an application pushes by itself is none, nor what a browser answers without its user: a page that was left
//! open must not keep anybody signed in.

use std::time::Duration;

use http::header;
use pingora::proxy::Session;

use crate::model::claim::Activity;
use crate::proxy::context::RequestContext;
use crate::proxy::entered;
use crate::proxy::homeward;

/// Notes a piece that the client has sent, at this time in the life of its request.
pub(super) fn client_sent(
    session: &Session,
    ctx: &mut RequestContext,
    piece: &[u8],
    age: Duration,
) {
    if !piece.is_empty()
        && is_due(ctx, age)
        && !(session.was_upgraded() && is_control_alone(session, piece))
    {
        note(ctx, age);
    }
}

/// Notes that a piece of the answer has moved, at this time in the life of its request.
pub(super) fn answer_moved(session: &Session, ctx: &mut RequestContext, age: Duration) {
    if !is_due(ctx, age) || session.was_upgraded() {
        return;
    }
    match flow(session) {
        Some(Flow::AskedFor) => note(ctx, age),
        Some(Flow::Pushed) => entered::note(session.req_header(), ctx),
        None => {}
    }
}

/// Whether a piece may be an access. The request itself was one when it began, which may be long after its
/// connection was first waited on.
fn is_due(ctx: &RequestContext, age: Duration) -> bool {
    let watch = ctx.current.as_ref().map(|current| &current.watch);
    let since_head = || watch.and_then(|watch| watch.since_head());
    age.saturating_sub(ctx.body.accessed) >= ACCESS_EVERY
        && since_head().is_some_and(|since| since >= ACCESS_EVERY)
}

/// How an answer comes.
enum Flow {
    /// Its user asked for it.
    AskedFor,
    /// The application says it whenever it likes.
    Pushed,
}

/// How an answer comes. Before its head has been sent that cannot be told.
fn flow(session: &Session) -> Option<Flow> {
    let head = session.response_written()?;
    if homeward::is_interim(head.status) {
        return None;
    }
    let kind = head.headers.get(header::CONTENT_TYPE);
    let kind = kind.map_or(&[][..], |kind| kind.as_bytes());
    let is = |pushed: &&str| {
        let begin = kind.get(..pushed.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(pushed.as_bytes()))
    };
    Some(if PUSHED.iter().any(is) {
        Flow::Pushed
    } else {
        Flow::AskedFor
    })
}

/// Whether there is nothing in a piece but pings, pongs and closes of a WebSocket. Browsers answer pings by
/// themselves, and one at a time, so a piece is taken to begin with a frame (RFC 6455 §5.2).
fn is_control_alone(session: &Session, piece: &[u8]) -> bool {
    let upgrade = session.req_header().headers.get(header::UPGRADE);
    let is_websocket = upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    is_websocket && are_control_frames(piece)
}

fn are_control_frames(mut piece: &[u8]) -> bool {
    while let [first, second, rest @ ..] = piece {
        let is_control = first & 0x88 == 0x88 && second & 0x80 != 0;
        let length = MASK_BYTES + usize::from(second & 0x7f);
        let Some(rest) = rest.get(length..).filter(|_| is_control) else {
            return false;
        };
        piece = rest;
    }
    piece.is_empty()
}

/// Counts it as an access, if the session serves as it would serve a request that came now.
fn note(ctx: &mut RequestContext, age: Duration) {
    ctx.body.accessed = age;
    let Some(admitted) = &ctx.admitted else {
        return;
    };
    let claim = admitted.registration.as_ref();
    let claim = claim.and_then(|registered| registered.claim());
    if let Some(claim) = claim
        && admitted.route.config.activity == Activity::Counts
    {
        ctx.serving.gate.goes_on(&claim);
    }
}

/// One access for so long: short beside any idle time-out, long beside the pieces of a body.
const ACCESS_EVERY: Duration = Duration::from_secs(1);
/// Kinds of answers that come without being asked for.
const PUSHED: [&str; 2] = ["text/event-stream", "application/grpc"];
const MASK_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const PING: [u8; 6] = [0x89, 0x80, 1, 2, 3, 4];
    const PONG: [u8; 8] = [0x8a, 0x82, 1, 2, 3, 4, 5, 6];
    const TEXT: [u8; 7] = [0x81, 0x81, 1, 2, 3, 4, 5];

    #[test]
    fn pings_and_pongs_alone_are_told_from_what_carries_data_d_19() {
        assert!(are_control_frames(&PING));
        assert!(are_control_frames(&[&PING[..], &PONG].concat()));
        for data in [
            &TEXT[..],
            &[&PONG[..], &TEXT].concat(),
            &PONG[..7],
            &PONG[..1],
            // A frame of a client that is not masked is none.
            &[0x8a, 0x00],
            // A length that control frames do not have reaches beyond the piece.
            &[0x8a, 0xff, 0, 0, 0, 0],
        ] {
            assert!(!are_control_frames(data), "{data:?}");
        }
    }
}
