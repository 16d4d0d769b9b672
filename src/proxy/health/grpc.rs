//! The health check of gRPC servers: `grpc.health.v1.Health/Check`, over HTTP/2, with TLS or without.
//!
//! Its two messages have one field each, so they are read and written here by hand (Protocol Buffers, wire format).

use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::proxy::health::ask::CheckError;
use crate::proxy::health::ask::broken;

/// Asks whether a service serves; the server as a whole, where the name is empty.
pub(super) async fn ask<S>(
    stream: S,
    service: &str,
    (scheme, authority): (&str, &str),
) -> Result<(), CheckError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = http2::Builder::new(TokioExecutor::new());
    let connected = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(broken)?;
    let request = Request::post(format!("{scheme}://{authority}{METHOD}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, "portway-health-check")
        .body(Full::new(question(service)))
        .map_err(broken)?;
    let answered = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(CheckError::Status(status));
        }
        // An error may come without a body, and its status with the headers then.
        refuse_errors(answer.headers())?;
        serves(&message(answer.into_body()).await?)
    };
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        _ = connection => answered.await,
    }
}

/// The bytes of a body whose trailers say that all is well.
async fn message(mut body: Incoming) -> Result<Vec<u8>, CheckError> {
    let mut bytes = Vec::new();
    let mut has_ended = false;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(broken)?;
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
        if let Some(trailers) = frame.trailers_ref() {
            refuse_errors(trailers)?;
            has_ended = trailers.contains_key(STATUS);
        }
        if bytes.len() > ANSWER_MAX {
            return Err(broken("the answer is too long"));
        }
    }
    if has_ended {
        Ok(bytes)
    } else {
        Err(broken("the answer has no gRPC status"))
    }
}

fn refuse_errors(headers: &HeaderMap) -> Result<(), CheckError> {
    match headers.get(STATUS) {
        Some(status) if status != "0" => {
            let status = status.to_str().unwrap_or_default().to_owned();
            Err(CheckError::GrpcStatus(status))
        }
        Some(_) | None => Ok(()),
    }
}

/// The request: field 1 is the service.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(FIELD_1_TEXT);
        varint(&mut message, service.len());
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    // Not compressed, so long, and then the message.
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.append(&mut message);
    framed.into()
}

fn varint(to: &mut Vec<u8>, mut number: usize) {
    loop {
        let seven = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            to.push(seven);
            return;
        }
        to.push(seven | 0x80);
    }
}

/// Judges the answer: field 1 is the state.
fn serves(framed: &[u8]) -> Result<(), CheckError> {
    match state(framed) {
        None => Err(broken("the answer is no message of a health check")),
        Some(0) => Err(CheckError::NotServing("UNKNOWN")),
        Some(1) => Ok(()),
        Some(2) => Err(CheckError::NotServing("NOT_SERVING")),
        Some(3) => Err(CheckError::NotServing("SERVICE_UNKNOWN")),
        Some(_) => Err(CheckError::NotServing("in a state that is not known")),
    }
}

/// The state that an answer tells; 0 where it tells none, as the format has it.
fn state(framed: &[u8]) -> Option<u64> {
    let (head, mut rest) = framed.split_first_chunk::<5>()?;
    let [0, length @ ..] = head else {
        return None;
    };
    if usize::try_from(u32::from_be_bytes(*length)).ok()? != rest.len() {
        return None;
    }
    let mut state = 0;
    while !rest.is_empty() {
        let tag = number(&mut rest)?;
        let value = match tag & 7 {
            0 => number(&mut rest)?,
            1 => skip(&mut rest, 8)?,
            2 => {
                let length = number(&mut rest)?;
                skip(&mut rest, usize::try_from(length).ok()?)?
            }
            5 => skip(&mut rest, 4)?,
            _ => return None,
        };
        if tag == 1 << 3 {
            state = value;
        }
    }
    Some(state)
}

fn number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn skip(from: &mut &[u8], bytes: usize) -> Option<u64> {
    *from = from.get(bytes..)?;
    Some(0)
}

const METHOD: &str = "/grpc.health.v1.Health/Check";
const STATUS: &str = "grpc-status";
/// Field 1, of a length that follows.
const FIELD_1_TEXT: u8 = (1 << 3) | 2;
const ANSWER_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], &length[..], message].concat()
    }

    #[test]
    fn a_question_names_the_service_and_that_of_the_whole_server_nothing() {
        assert_eq!(question("").as_ref(), framed(&[]));
        let named = question("my.Service");
        assert_eq!(named.as_ref(), framed(b"\x0a\x0amy.Service"));
        let long = question(&"x".repeat(300));
        assert!(long.starts_with(&framed(&[0; 303])[..5]));
        assert_eq!(&long[5..8], [0x0a, 0xac, 0x02]);
    }

    #[test]
    fn only_the_state_serving_is_well() {
        assert!(serves(&framed(&[8, 1])).is_ok());
        for (message, expected) in [
            (&[][..], "UNKNOWN"),
            (&[8, 2], "NOT_SERVING"),
            (&[8, 3], "SERVICE_UNKNOWN"),
            (&[8, 0x80, 1], "not known"),
        ] {
            let said = serves(&framed(message)).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
        // What else is in a message is passed over.
        let more = [
            &[0x12, 2, 9, 9, 0x15, 1, 2, 3, 4, 0x19][..],
            &[7; 8],
            &[8, 1],
        ]
        .concat();
        assert!(serves(&framed(&more)).is_ok());
        for broken in [
            &[][..],
            &[1, 0, 0, 0, 0],
            &[0, 0, 0, 0, 9, 8, 1],
            &[0, 0, 0, 0, 1, 8],
        ] {
            assert!(serves(broken).is_err(), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_reading(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _state = state(&bytes);
            let _of_message = state(&framed(&bytes));
        }
    }
}
