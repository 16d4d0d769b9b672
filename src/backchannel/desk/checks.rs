//! The checks that a question passes before anybody answers it: signature, time, sender (R11).

use std::time::Duration;

use http::HeaderMap;

use super::Path;
use crate::backchannel::standing::ProvenCaller;
use crate::backchannel::standing::TurnedAway;
use crate::backchannel::wire::Code;
use crate::backchannel::wire::Letterhead;
use crate::backchannel::wire::Signature;
use crate::backchannel::wire::WireError;
use crate::crypto::peer_proof::Message;
use crate::crypto::peer_proof::Side;
use crate::crypto::pki::node_name::NodeName;
use crate::model::peer::Question;
use crate::model::time::Timestamp;

/// Makes sure that a message without TLS is signed, and was not seen before. Answers its number.
pub(super) fn signed(
    caller: &ProvenCaller,
    path: Path,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<u64, TurnedAway> {
    let Some(claimed) = &caller.keys else {
        return Ok(0);
    };
    let unsigned = || TurnedAway::new(Code::NotProven, format!("{} did not sign", caller.node));
    let signature = Signature::read(headers).ok_or_else(unsigned)?;
    let counter = signature.counter;
    let from = Side::Dialler;
    let said = Message {
        from,
        counter,
        path: path.as_str(),
        body,
    };
    if !claimed.keys.is_signed(&said, &signature.tag) {
        return Err(unsigned());
    }
    if !caller.seen.lock().take(counter) {
        let why = format!("{} sent a message twice", caller.node);
        return Err(TurnedAway::new(Code::NotProven, why));
    }
    Ok(counter)
}

/// Whether a question comes within its time, give or take what clocks may differ (R11).
pub(super) fn is_in_time(head: &Letterhead, now: Timestamp, hard_skew: Duration) -> bool {
    let is_over = head.valid_until < now.before(hard_skew);
    let is_ahead = head.sent > now.after(hard_skew);
    let is_endless = head.valid_until > head.sent.after(VALID_FOR_MAX);
    !is_over && !is_ahead && !is_endless
}

/// Whether a question does something that a later repetition must not do. Ends are taken from every peer
/// whatever its clock (S-15), a greeting is how a clock that is off is found out (S-22), and both may come
/// twice.
pub(super) const fn is_bound_to_time(question: &Question) -> bool {
    match question {
        Question::Hello(_) | Question::PullEnds { .. } | Question::PushEnds { .. } => false,
        Question::Abort { .. }
        | Question::Commit { .. }
        | Question::Fetch { .. }
        | Question::LastAccess { .. }
        | Question::Reserve { .. } => true,
    }
}

pub(super) fn other_sender(caller: &ProvenCaller, named: &NodeName) -> TurnedAway {
    let why = format!("{} speaks as {named}", caller.node);
    TurnedAway::new(Code::WrongSender, why)
}

pub(super) fn unreadable(error: &WireError) -> TurnedAway {
    let code = match error {
        WireError::Bound(_) | WireError::Malformed(_) => Code::Malformed,
        WireError::UnknownVerb(_) => Code::UnknownVerb,
        WireError::Version(_) => Code::Version,
    };
    TurnedAway::new(code, error.to_string())
}

/// Longest time that a question may claim to be good.
const VALID_FOR_MAX: Duration = Duration::from_mins(2);
