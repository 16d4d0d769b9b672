//! An SSO session and the record that a data centre keeps of it (S-1, S-2).

use std::net::IpAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::time::Timestamp;

/// Counts the anchored adoptions of an SSO session; the higher generation holds it (S-4).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u32);

/// The facts of an SSO session that travel in every cookie and message (S-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SsoFacts {
    /// The SSO session.
    pub sso: SsoId,
    /// Who signed in.
    pub subject: UserName,
    /// The identity store that knows the subject.
    pub store: StoreName,
    /// When the first authentication happened; the lifetime counts from here.
    pub first_authenticated: Timestamp,
    /// When the SSO session ends whatever happens; never moved later.
    pub expires: Timestamp,
    /// The anchored adoptions so far.
    pub generation: Generation,
    /// How surely the subject was authenticated.
    pub level: AuthLevel,
    /// When that level was reached.
    pub level_reached: Timestamp,
}

/// The state of a record (S-2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionState {
    /// The whole SSO session is over; the record serves nobody again.
    Ended,
    /// It serves requests.
    Live,
    /// Another data centre holds it; this record forwards there.
    Moved {
        /// The data centre that took it over.
        to: ClusterId,
        /// The generation it has there.
        generation: Generation,
    },
    /// Adopted, but its release is not yet committed; it serves nobody.
    Pending,
}

/// The record that one data centre keeps of an SSO session (S-2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The id of this data centre's record.
    pub id: SessionId,
    /// The facts that never differ between data centres.
    pub facts: SsoFacts,
    /// The state of the record.
    pub state: SessionState,
    /// What the identity provider vouched for.
    pub identity: Identity,
    /// The last request that counted as activity and was written back.
    pub last_access: Timestamp,
    /// The address that signed in.
    pub client_address: IpAddr,
    /// Ids that other data centres know the same SSO session by, oldest first.
    pub aliases: Vec<(ClusterId, SessionId)>,
    /// Application hosts that hold an authn cookie of this SSO session, in visiting order.
    pub visited: Vec<HostName>,
    /// Grows with every replacement of the record; a replacement names the version it read.
    pub version: u64,
}

impl Session {
    /// Most aliases that a record keeps.
    pub const ALIASES_MAX: usize = 16;
    /// Most visited hosts that a record keeps.
    pub const VISITED_MAX: usize = 64;
}

/// Why an SSO session ended as a whole (S-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndCause {
    /// The user may no longer sign in.
    Disabled,
    /// The user had too many sessions and this was the oldest (S-21).
    Evicted,
    /// An administrator ended it.
    Killed,
    /// The user signed out.
    LoggedOut,
    /// A new sign-in in the same browser took its place (S-11).
    Replaced,
}
