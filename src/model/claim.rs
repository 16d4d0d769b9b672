//! What a browser claims by a cookie that opened, and why a claim may not be honoured.
//!
//! Judging claims is the engine's matter; opening cookies is that of `crypto`.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::id::SessionId;
use crate::model::name::ClusterId;
use crate::model::session::Holder;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// What a cookie that opened says: the facts of S-1 and the record they were issued for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The facts of the SSO session.
    pub facts: SsoFacts,
    /// The data centre that issued the cookie.
    pub cluster: ClusterId,
    /// That data centre's record.
    pub session: SessionId,
    /// Where else to ask, newest last access first: the chain and a matching GITO cookie (S-7).
    pub hints: Vec<Hint>,
    /// The newest last access that the cookies vouch for (MDC-TIME-1).
    pub last_access: Option<Timestamp>,
    /// Who presents it.
    pub presented: Presented,
}

/// A data centre that may hold the session (S-7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The data centre and its record.
    pub holder: Holder,
    /// When it was last used there, as far as the cookie knows.
    pub last_access: Timestamp,
}

/// How a claim came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presented {
    /// At what place.
    pub at: Place,
    /// From where.
    pub client_address: IpAddr,
    /// What the virtual host asks of a session beyond what holds everywhere.
    pub limits: HostLimits,
}

/// How long idle, and how old, a session may be at a virtual host; of these and what holds everywhere the
/// stricter counts (D-19). Beyond them the session goes on, and serves at other hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostLimits {
    /// Without a request anywhere for this long, it does not serve there.
    pub idle_timeout: Option<Duration>,
    /// This long after the first authentication, it does not serve there.
    pub lifetime: Option<Duration>,
}

impl HostLimits {
    /// What a host asks that says nothing of its own.
    pub const NONE: Self = Self {
        idle_timeout: None,
        lifetime: None,
    };

    /// The idle time-out that counts, where this one holds everywhere.
    #[must_use]
    pub fn idle_timeout(&self, everywhere: Duration) -> Duration {
        self.idle_timeout
            .map_or(everywhere, |here| here.min(everywhere))
    }

    /// Whether a session that was begun then is too old.
    #[must_use]
    pub fn is_outlived(&self, begun: Timestamp, now: Timestamp) -> bool {
        self.lifetime
            .is_some_and(|lifetime| now >= begun.after(lifetime))
    }
}

/// Where a claim is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// At an application host, by an authn cookie.
    Application,
    /// At an application host, by the token of a user who has just signed in to go there: a hop asks no
    /// more of them (MDC-ADOPT-4).
    Arrival,
    /// At the collector, by the ID cookie, which itself proves the authentication (MDC-ADOPT-2).
    Collector,
}

/// Whether a request counts as activity in its session: one that a page makes by itself, again and again,
/// says nothing of its user (D-19).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// It is an access.
    #[default]
    Counts,
    /// It is served, and renews nothing.
    None,
}

/// Why a session does not serve. Nothing of it is told to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotLive {
    /// The SSO session, or everything the user had, has been ended.
    Ended,
    /// The policy asks for a new sign-in in each data centre (MDC-ADOPT-4).
    Reauthenticate,
    /// The user is gone or disabled (S-10).
    Disabled,
    /// A data centre has not been heard of for longer than the lease (S-16).
    LeaseOver,
    /// Another data centre holds it and did not let go of it in time.
    HeldElsewhere,
    /// Its absolute lifetime is over.
    Expired,
    /// It is too old for the virtual host, and goes on elsewhere.
    ExpiredHere,
    /// It saw no activity for too long.
    Idle,
    /// It saw no activity for too long for the virtual host, and goes on elsewhere.
    IdleHere,
    /// The data centre that holds it refused to be asked (S-8).
    Refused,
    /// The clock of the data centre that it would come from is too far off (S-22).
    Skew,
    /// The record differs from the cookie in subject or store (S-3).
    Mismatched,
    /// No record of it exists.
    Missing,
    /// No engine gave an answer; silence is never a permit.
    Unanswered,
    /// Its identity store is not known where it is asked for (MDC-ADOPT-8).
    UnknownStore,
}

impl NotLive {
    /// Whether it holds for the virtual host that was asked for alone: the session goes on elsewhere (D-19).
    #[must_use]
    pub const fn holds_here_alone(self) -> bool {
        match self {
            Self::ExpiredHere | Self::IdleHere => true,
            Self::Disabled
            | Self::Ended
            | Self::Expired
            | Self::HeldElsewhere
            | Self::Idle
            | Self::LeaseOver
            | Self::Mismatched
            | Self::Missing
            | Self::Reauthenticate
            | Self::Refused
            | Self::Skew
            | Self::Unanswered
            | Self::UnknownStore => false,
        }
    }
}
