//! `GET /v1/door/ended`: tells the process that this one has followed of every session that stops serving, for as
//! long as it listens: a line of JSON for each, and `null` from time to time as a sign of life.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::StreamBody;
use http_body_util::combinators::BoxBody;
use hyper::body::Frame;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::model::id::SsoId;

/// Tells until the listener goes away, or was too slow: it begins anew then, and trusts nothing from before.
pub(in crate::admin) fn ended(
    sessions: broadcast::Receiver<SsoId>,
) -> Response<BoxBody<Bytes, Infallible>> {
    let told = stream::unfold(Some(sessions), |sessions| async {
        let mut sessions = sessions?;
        let ended = match timeout(SIGN_OF_LIFE, sessions.recv()).await {
            Ok(Ok(sso)) => Some(sso),
            Ok(Err(RecvError::Closed | RecvError::Lagged(_))) => return None,
            Err(_) => None,
        };
        let mut line = serde_json::to_vec(&ended).ok()?;
        line.push(b'\n');
        let frame = Frame::data(Bytes::from(line));
        Some((Ok::<_, Infallible>(frame), Some(sessions)))
    });
    Response::new(StreamBody::new(told).boxed())
}

/// How often something is told at least.
const SIGN_OF_LIFE: Duration = Duration::from_millis(200);
