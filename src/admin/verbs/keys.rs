//! The keys of the node.
//!
//! `GET /v1/keys` tells of them and `POST /v1/keys/rotate` makes another one, both as
//! [`crate::ports::keys::KeyList`]. `POST /v1/keys/retire` lets those go that its body names, as
//! [`crate::ports::keys::Retiring`].

use http::StatusCode;

use crate::admin::Desk;
use crate::admin::reply::Reply;
use crate::admin::verbs::Question;
use crate::ports::keys::KeysError;
use crate::ports::keys::Retiring;

pub(super) async fn list(desk: &Desk) -> Reply {
    answer(desk.keys.list().await)
}

pub(super) async fn rotate(desk: &Desk) -> Reply {
    answer(desk.keys.rotate().await)
}

pub(super) async fn retire(desk: &Desk, question: &Question) -> Reply {
    match serde_json::from_slice::<Retiring>(&question.body) {
        Ok(which) => {
            let given = question.given("keys retire");
            desk.audit.note(match &which {
                Retiring::EvenIfNeeded(key) => given.with("key", key).with("even_if_needed", "yes"),
                Retiring::Key(key) => given.with("key", key),
                Retiring::Unneeded => given,
            });
            answer(desk.keys.retire(&which).await)
        }
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
