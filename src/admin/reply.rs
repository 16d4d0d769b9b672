//! What a verb answers: a status and a JSON body.

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::Full;
use serde::Deserialize;
use serde::Serialize;

/// The answer of a verb.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    body: Vec<u8>,
}

/// Why nothing was done, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    /// In words.
    pub(super) error: String,
}

impl Reply {
    /// What was asked for.
    pub(super) fn ok<T: Serialize>(value: &T) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// Nothing was done.
    pub(super) fn refused(status: StatusCode, why: &(impl ToString + ?Sized)) -> Self {
        let error = why.to_string();
        Self::json(status, &Refused { error })
    }

    fn json<T: Serialize>(status: StatusCode, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self { status, body },
            Err(error) => Self {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                body: format!("{{\"error\":\"the answer is no JSON: {error}\"}}").into_bytes(),
            },
        }
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.into()));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}
