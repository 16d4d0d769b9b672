//! Reads bytes as every kind of message there is on the back-channel, for those who try it with bytes that no
//! peer would send. The gateway itself asks `wire` for the one kind that it expects.

use http::HeaderMap;
use http::HeaderValue;

use crate::backchannel::gate_wire::GateAnswer;
use crate::backchannel::gate_wire::GateQuestion;
use crate::backchannel::wire;
use crate::backchannel::wire::Body;
use crate::backchannel::wire::Opening;
use crate::backchannel::wire::Signature;
use crate::backchannel::wire::WireError;
use crate::model::peer::Answer;
use crate::model::peer::Question;

/// A message that is another one once it was written and read again: two ends could take it for two things.
#[derive(Debug, thiserror::Error)]
#[error("a message reads differently once it was written: {0}")]
pub struct Unstable(&'static str);

/// Reads bytes as each kind of message, writes what was read and reads it again; how many kinds they are.
///
/// # Errors
/// [`Unstable`] for the first that comes back as another one.
pub fn kinds(bytes: &[u8]) -> Result<usize, Unstable> {
    let _code = wire::read_code(bytes);
    let value = HeaderValue::from_bytes(bytes);
    if let Ok(value) = value {
        let names = ["portway-counter", "portway-signature"];
        let headers: HeaderMap = names
            .into_iter()
            .map(|name| (http::HeaderName::from_static(name), value.clone()))
            .collect();
        let _signature = Signature::read(&headers);
    }
    let read = [
        is_stable(opening(bytes), "opening")?,
        is_stable(proof(bytes), "proof")?,
        is_stable(enveloped::<Question>(bytes), "question")?,
        is_stable(enveloped::<Answer>(bytes), "answer")?,
        is_stable(enveloped::<GateQuestion>(bytes), "question of a gate")?,
        is_stable(enveloped::<GateAnswer>(bytes), "answer to a gate")?,
    ];
    Ok(read.into_iter().sum())
}

/// What was read, written once, and read and written once more; none where nothing was read.
type Written = Option<Result<(Vec<u8>, Vec<u8>), WireError>>;

fn is_stable(written: Written, kind: &'static str) -> Result<usize, Unstable> {
    match written {
        None => Ok(0),
        Some(Ok((once, twice))) if once == twice => Ok(1),
        Some(Ok(_) | Err(_)) => Err(Unstable(kind)),
    }
}

fn opening(bytes: &[u8]) -> Written {
    let read = Opening::read(bytes).ok()?;
    let again = || {
        let once = read.enclose()?;
        let twice = Opening::read(&once)?.enclose()?;
        Ok((once, twice))
    };
    Some(again())
}

fn proof(bytes: &[u8]) -> Written {
    let read = wire::read_proof(bytes).ok()?;
    let again = || {
        let once = wire::enclose_proof(read)?;
        let twice = wire::enclose_proof(wire::read_proof(&once)?)?;
        Ok((once, twice))
    };
    Some(again())
}

fn enveloped<B: Body>(bytes: &[u8]) -> Written {
    let (head, body) = (wire::letterhead(bytes).ok()?, wire::body::<B>(bytes).ok()?);
    let again = || {
        let once = wire::enclose(&head, &body)?;
        let twice = wire::enclose(&wire::letterhead(&once)?, &wire::body::<B>(&once)?)?;
        Ok((once, twice))
    };
    Some(again())
}
