//! The keys of the node.
//!
//! `GET /v1/keys` tells of them and `POST /v1/keys/rotate` makes another one, both as
//! [`crate::ports::keys::KeyList`]. `POST /v1/keys/retire` lets those go that its body names, as
//! [`crate::ports::keys::Retiring`].

use http::StatusCode;

use crate::admin::Desk;
use crate::admin::reply::Reply;
use crate::ports::keys::KeysError;
use crate::ports::keys::Retiring;

pub(super) async fn list(desk: &Desk) -> Reply {
    answer(desk.keys.list().await)
}

pub(super) async fn rotate(desk: &Desk) -> Reply {
    answer(desk.keys.rotate().await)
}

pub(super) async fn retire(desk: &Desk, body: &[u8]) -> Reply {
    match serde_json::from_slice::<Retiring>(body) {
        Ok(which) => answer(desk.keys.retire(&which).await),
        Err(error) => Reply::refused(StatusCode::BAD_REQUEST, &error),
    }
}

fn answer<T: serde::Serialize>(told: Result<T, KeysError>) -> Reply {
    match told {
        Ok(told) => Reply::ok(&told),
        Err(error) => {
            let status = match error {
                KeysError::BrokeOff | KeysError::Ring(_) => StatusCode::INTERNAL_SERVER_ERROR,
                KeysError::Gate
                | KeysError::Needed { .. }
                | KeysError::Seals(_)
                | KeysError::UnderWay(_) => StatusCode::CONFLICT,
            };
            Reply::refused(status, &error)
        }
    }
}
