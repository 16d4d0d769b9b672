//! What engines of different data centres say to each other: questions, answers, and silence.
//!
//! How it travels is the back-channel's matter. An answer is what the peer said; [`Silence`] is that it
//! said nothing, and the two lead to different decisions (S-8).

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::end::End;
use crate::model::end::Incarnation;
use crate::model::end::Position;
use crate::model::id::AdoptionId;
use crate::model::id::KeyId;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::session::Generation;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// What one engine asks another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Who are you? Each side tells about itself.
    Hello(Greeting),
    /// A copy of a session's data; the peer goes on serving it (MDC-ADOPT-3).
    Fetch {
        /// The SSO session as the cookie has it.
        facts: SsoFacts,
        /// The record that the asker is about to make, an alias for the peer's chain.
        session: SessionId,
    },
    /// The promise to let go of a session, and its data (S-6).
    Reserve {
        /// The SSO session as the cookie has it.
        facts: SsoFacts,
        /// The adoption; asking twice with the same one is asking once.
        adoption: AdoptionId,
        /// Whether the attributes are wanted.
        data: Data,
    },
    /// Let go of a reserved session now (S-6).
    Commit {
        /// The SSO session.
        sso: SsoId,
        /// The adoption.
        adoption: AdoptionId,
        /// The version of the peer's record that was read.
        version: u64,
        /// The generation that the asker will hold; it must rank above the peer's.
        generation: Generation,
        /// The asker's record, an alias for the peer's chain.
        session: SessionId,
    },
    /// Forget a reservation.
    Abort {
        /// The SSO session.
        sso: SsoId,
        /// The adoption.
        adoption: AdoptionId,
    },
    /// When was this session last used at your place? (S-20)
    LastAccess {
        /// The SSO session as the cookie has it.
        facts: SsoFacts,
    },
    /// These have ended (S-15).
    PushEnds {
        /// The ends, oldest first, at most [`ENDS_MAX`].
        ends: Vec<End>,
    },
    /// What has ended since? (S-15)
    PullEnds {
        /// The life of the peer's log that `after` belongs to; another life is read from its beginning.
        incarnation: Incarnation,
        /// The last entry known.
        after: Position,
    },
}

/// Which data of a session is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Data {
    /// All attributes (MDC-ADOPT-7).
    All,
    /// None: sign-on travels, data does not (M-061).
    None,
}

/// What an engine tells about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Its data centre.
    pub cluster: ClusterId,
    /// The life of its end log.
    pub incarnation: Incarnation,
    /// Its program version, for people.
    pub version: String,
    /// Its clock (S-22).
    pub now: Timestamp,
    /// The keys that it can open with (S-23).
    pub keys: Vec<KeyId>,
    /// The key that it seals with, if it says so (S-23).
    #[serde(default)]
    pub seals: Option<KeyId>,
    /// The identity stores that it knows (MDC-ADOPT-8).
    pub stores: Vec<StoreName>,
}

/// What an engine answers another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To a hello.
    Hello(Greeting),
    /// The session, live, with its last access merged in. To `Reserve`: it is reserved.
    Session(Box<Session>),
    /// It has not been held long enough to be let go of; ask again after this time (S-9).
    TooSoon(#[serde(with = "millis")] Duration),
    /// Another adoption has reserved it (S-8).
    Reserved,
    /// It is the asker's now. The newer record comes with it where it changed after it was read (S-6).
    Committed(Option<Box<Session>>),
    /// The reservation lapsed; the peer goes on serving.
    Lapsed,
    /// Another data centre holds it, at this generation.
    Moved {
        /// Who.
        to: ClusterId,
        /// The generation there.
        generation: Generation,
    },
    /// The SSO session has ended; this is final (S-7).
    Ended,
    /// The session is there and has seen no request for too long.
    Idle,
    /// The session is there and its lifetime is over.
    Expired,
    /// No such session, by an engine whose memory reaches back before its beginning (S-19).
    Missing,
    /// The engine cannot tell: it counts as silence (S-19).
    Unknown,
    /// The peer will not answer this; it is no silence (S-8).
    Refused(Refusal),
    /// The last access of a live session.
    LastAccess(Timestamp),
    /// The ends stand here, durably.
    Noted {
        /// Application hosts that the ended sessions had visited through this data centre.
        visited: Vec<HostName>,
    },
    /// What was asked for could not be stored: ends stand here in memory only and are not confirmed, and
    /// nothing is promised.
    NotDurable,
    /// Entries of the end log.
    Ends {
        /// The life of this log.
        incarnation: Incarnation,
        /// The entries, oldest first, at most [`ENDS_MAX`].
        ends: Vec<(Position, End)>,
        /// Whether there are more behind them.
        rest: Rest,
    },
    /// Done.
    Done,
}

/// Whether a log holds more than was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rest {
    /// This was the end of it.
    Complete,
    /// There is more.
    More,
}

/// Why a peer will not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The facts differ from the record in subject or store (S-3).
    Mismatched,
    /// The asker may not do this (MDC-SEC-6).
    NotPermitted,
    /// The clocks differ too much (S-22).
    Skew,
    /// The identity store is not known here (MDC-ADOPT-8).
    UnknownStore,
}

/// Why there is no answer (S-8). Whatever the cause, the peer may or may not have acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// No address of the peer could be reached, or the connection broke.
    #[error("the peer could not be reached")]
    Unreachable,
    /// The time for an answer was over.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The peer has been silent too often; it is not asked for a while (R12).
    #[error("the circuit to the peer is open")]
    CircuitOpen,
    /// Too many questions to the peer are waiting.
    #[error("too many questions to the peer are waiting")]
    Busy,
    /// The other end would not speak with us, or what it said was no answer.
    #[error("the peer did not speak the protocol")]
    Protocol,
}

impl Silence {
    /// Whether nobody answered at all, so that `continue_on_sync_failure` applies (S-8). A peer that is
    /// there and will not speak has refused; and what this side did not send is nobody's silence.
    #[must_use]
    pub const fn is_total(self) -> bool {
        match self {
            Self::CircuitOpen | Self::TimedOut | Self::Unreachable => true,
            Self::Busy | Self::Protocol => false,
        }
    }

    /// Whether the same question may fare better at once.
    #[must_use]
    pub const fn is_worth_another_try(self) -> bool {
        match self {
            Self::TimedOut | Self::Unreachable => true,
            Self::Busy | Self::CircuitOpen | Self::Protocol => false,
        }
    }
}

/// Most ends in one message.
pub const ENDS_MAX: usize = 1000;

mod millis {
    use std::time::Duration;

    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
