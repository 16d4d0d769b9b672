//! What there is to ask of a node: the table of verbs. A file for each says what it reads and answers.
//!
//! Paths are below `/v1`. A verb that only tells is a GET; one that changes something is a POST, and is noted in the
//! audit trail with whoever asked.

use http::Method;
use http::StatusCode;

use crate::admin::Desk;
use crate::admin::door;
use crate::admin::reply::Reply;
use crate::logbook::event::Actor;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;

mod keys;
mod parameters;
mod pools;
mod reload;
mod sessions;
mod status;
mod upgrade;

/// What was asked: method, the segments of the path below `/v1`, the query, and the body; and by whom.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) actor: Actor,
    pub(super) method: Method,
    pub(super) path: Vec<String>,
    pub(super) query: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Question {
    /// That it was asked, for the audit trail: noted before anything is done, so that what follows in the trail
    /// has somebody who brought it about.
    fn given(&self, command: &'static str) -> Event {
        Event::new(EventKind::CommandGiven)
            .with("command", command)
            .by(&self.actor)
    }
}

/// Answers a question.
pub(super) async fn answer(question: &Question, desk: &Desk) -> Reply {
    let path: Vec<&str> = question.path.iter().map(String::as_str).collect();
    match (&question.method, path.as_slice()) {
        (&Method::GET, ["status"]) => status::show(desk),
        (&Method::GET, ["keys"]) => keys::list(desk).await,
        (&Method::GET, ["pools"]) => pools::list(desk, question.query.as_deref()),
        (&Method::GET, ["pools", "idle"]) => pools::idle(desk, question.query.as_deref()).await,
        (&Method::GET, ["sessions"]) => sessions::list(desk, question.query.as_deref()).await,
        (&Method::GET, ["sessions", "show"]) => {
            sessions::show(desk, question.query.as_deref()).await
        }
        (&Method::POST, [door::DOOR]) => door::answer(desk, &question.body).await,
        (&Method::POST, ["keys", "retire"]) => keys::retire(desk, question).await,
        (&Method::POST, ["keys", "rotate"]) => {
            desk.audit.note(question.given("keys rotate"));
            keys::rotate(desk).await
        }
        (&Method::POST, ["pools", "drain"]) => pools::drain(desk, question).await,
        (&Method::POST, ["pools", "undrain"]) => pools::undrain(desk, question).await,
        (&Method::POST, ["reload"]) => {
            desk.audit.note(question.given("reload"));
            reload::reload(desk).await
        }
        (&Method::POST, ["sessions", "end"]) => sessions::end(desk, question).await,
        (&Method::POST, ["upgrade"]) => upgrade::upgrade(desk, question).await,
        (
            _,
            ["door" | "keys" | "pools" | "reload" | "sessions" | "status" | "upgrade"]
            | ["door", "ended"]
            | ["keys", "retire" | "rotate"]
            | ["pools", "drain" | "idle" | "undrain"]
            | ["sessions", "end" | "show"],
        ) => Reply::refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "this verb has another method",
        ),
        _ => Reply::refused(StatusCode::NOT_FOUND, "there is no such verb"),
    }
}
