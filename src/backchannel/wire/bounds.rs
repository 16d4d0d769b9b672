//! The verbs between engines, and the bounds that their contents keep.
//!
//! A peer that has proven itself may still be broken, or somebody else's by now: nothing it says makes
//! this end hold more than the bounds say.

use std::time::Duration;

use super::Body;
use super::WireError;
use crate::model::identity::Identity;
use crate::model::peer::Answer;
use crate::model::peer::ENDS_MAX;
use crate::model::peer::Greeting;
use crate::model::peer::Question;
use crate::model::session::Session;

impl Body for Question {
    const VERBS: &'static [&'static str] = &[
        "Abort",
        "Commit",
        "Fetch",
        "Hello",
        "LastAccess",
        "PullEnds",
        "PushEnds",
        "Reserve",
    ];

    fn check(&self) -> Result<(), WireError> {
        match self {
            Self::Hello(said) => greeting(said),
            Self::PushEnds { ends } => at_most(ends, ENDS_MAX, "ends"),
            Self::Abort { .. }
            | Self::Commit { .. }
            | Self::Fetch { .. }
            | Self::LastAccess { .. }
            | Self::PullEnds { .. }
            | Self::Reserve { .. } => Ok(()),
        }
    }
}

impl Body for Answer {
    const VERBS: &'static [&'static str] = &[
        "Committed",
        "Done",
        "Ended",
        "Ends",
        "Expired",
        "Hello",
        "Idle",
        "Lapsed",
        "LastAccess",
        "Missing",
        "Moved",
        "NotDurable",
        "Noted",
        "Refused",
        "Reserved",
        "Session",
        "TooSoon",
        "Unknown",
    ];

    fn check(&self) -> Result<(), WireError> {
        match self {
            Self::Hello(said) => greeting(said),
            Self::Session(found) | Self::Committed(Some(found)) => session(found),
            Self::Ends { ends, .. } => at_most(ends, ENDS_MAX, "ends"),
            Self::Noted { visited } => at_most(visited, NOTED_MAX, "visited hosts"),
            Self::TooSoon(wait) => within(*wait <= TOO_SOON_MAX, "wait"),
            Self::Committed(None)
            | Self::Done
            | Self::Ended
            | Self::Expired
            | Self::Idle
            | Self::Lapsed
            | Self::LastAccess(_)
            | Self::Missing
            | Self::Moved { .. }
            | Self::NotDurable
            | Self::Refused(_)
            | Self::Reserved
            | Self::Unknown => Ok(()),
        }
    }
}

fn greeting(said: &Greeting) -> Result<(), WireError> {
    at_most(&said.keys, KEYS_MAX, "keys")?;
    at_most(&said.stores, STORES_MAX, "identity stores")?;
    let version = &said.version;
    let is_text = version.len() <= VERSION_BYTES_MAX && !version.chars().any(char::is_control);
    within(is_text, "program version")
}

pub(in crate::backchannel) fn session(said: &Session) -> Result<(), WireError> {
    identity(&said.identity)?;
    at_most(&said.aliases, Session::ALIASES_MAX, "aliases")?;
    at_most(&said.visited, Session::VISITED_MAX, "visited hosts")
}

fn identity(said: &Identity) -> Result<(), WireError> {
    at_most(&said.groups, GROUPS_MAX, "groups")?;
    let mut texts = [&said.name, &said.email].into_iter().flatten();
    within(texts.all(|text| text.len() <= TEXT_BYTES_MAX), "attributes")
}

pub(in crate::backchannel) fn at_most<T>(
    list: &[T],
    most: usize,
    what: &'static str,
) -> Result<(), WireError> {
    within(list.len() <= most, what)
}

fn within(keeps: bool, what: &'static str) -> Result<(), WireError> {
    if keeps {
        Ok(())
    } else {
        Err(WireError::Bound(what))
    }
}

const KEYS_MAX: usize = 256;
const STORES_MAX: usize = 64;
const VERSION_BYTES_MAX: usize = 64;
const GROUPS_MAX: usize = 10_000;
const TEXT_BYTES_MAX: usize = 1024;
const NOTED_MAX: usize = 10_000;
const TOO_SOON_MAX: Duration = Duration::from_hours(1);

/// Keeps the largest honest message within what is read at all.
const _: () = assert!(ENDS_MAX * END_BYTES_MAX < super::QUESTION_BYTES_MAX);
const END_BYTES_MAX: usize = 1000;
