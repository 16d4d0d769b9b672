//! An SSO session and the record that a data centre keeps of it (S-1, S-2).

use std::net::IpAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::model::attribute::AttributeSet;
use crate::model::id::AdoptionId;
use crate::model::id::ProviderSessionId;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::ClusterId;
use crate::model::name::DATA_CENTRES_MAX;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::peer::Data;
use crate::model::time::Timestamp;

/// Counts the anchored adoptions of an SSO session; the higher generation holds it (S-4).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

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

/// A data centre that holds, or held, a record of an SSO session, and that record's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The data centre.
    pub cluster: ClusterId,
    /// Its record.
    pub session: SessionId,
}

/// How holders of one SSO session rank under the anchored policy: the higher one keeps it, the other
/// becomes a stub on contact (S-4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rank {
    /// The generation it holds.
    pub generation: Generation,
    /// Its name, which decides between equal generations.
    pub cluster: ClusterId,
}

/// The release that a pending copy waits for (S-6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The adoption.
    pub adoption: AdoptionId,
    /// The data centre that still serves the session.
    pub from: ClusterId,
    /// The generation it holds there.
    pub generation: Generation,
    /// The version of its record that was read.
    pub version: u64,
}

/// A promise to let another data centre take a session over (S-6). The holder serves on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The adoption it is made for.
    pub adoption: AdoptionId,
    /// The data centre it is made to.
    pub by: ClusterId,
    /// When it lapses, by the holder's clock.
    pub until: Timestamp,
    /// The version of the record that it came with. A commit that read an older one belongs to a promise
    /// that lapsed.
    pub version: u64,
    /// Whether the attributes were wanted, and so whether they go along with the commit (M-061).
    pub data: Data,
}

/// How far the attributes of a record's identity can be relied on (S-10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attributes {
    /// The identity provider vouched for them, here or where they were fetched.
    #[default]
    Known,
    /// The record was built from a cookie's facts: a rule that reads an attribute refuses.
    Unknown,
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
        /// The adoption that took it, so that a commit asked again is answered alike; none where the
        /// move was heard of from elsewhere.
        adoption: Option<AdoptionId>,
    },
    /// Adopted, but its release is not yet committed; it serves nobody.
    Pending(Release),
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
    /// Since when this data centre has held the session (S-9).
    #[serde(default)]
    pub held_since: Timestamp,
    /// Who it is about to be released to.
    #[serde(default)]
    pub reserved: Option<Reservation>,
    /// The session at the identity provider that it began with, where the provider has one.
    #[serde(default)]
    pub provider_session: Option<ProviderSessionId>,
    /// How far the attributes of `identity` can be relied on.
    #[serde(default)]
    pub attributes: Attributes,
    /// The attributes that policies gave the session; none where they were not fetched, and so cannot be
    /// told (S-10).
    #[serde(default = "nothing_noted")]
    pub noted: Option<AttributeSet>,
    /// What other data centres hold of the same SSO session, the latest visited last: the data-centre
    /// chain without this one (M-012).
    pub aliases: Vec<Holder>,
    /// Application hosts that hold an authn cookie of this SSO session, in visiting order.
    pub visited: Vec<HostName>,
    /// Grows with every replacement of the record; a replacement names the version it read.
    pub version: u64,
}

impl Session {
    /// Most aliases that a record keeps.
    pub const ALIASES_MAX: usize = DATA_CENTRES_MAX;
    /// Most visited hosts that a record keeps.
    pub const VISITED_MAX: usize = 64;

    /// Notes what another data centre holds: one entry each, the latest last, the oldest out (S-2).
    pub fn note_alias(&mut self, holder: Holder) {
        self.aliases.retain(|known| known.cluster != holder.cluster);
        if self.aliases.len() >= Self::ALIASES_MAX {
            self.aliases.remove(0);
        }
        self.aliases.push(holder);
    }
}

/// Records that do not speak of such attributes were written when there were none.
#[expect(
    clippy::unnecessary_wraps,
    reason = "serde wants the type of the field"
)]
fn nothing_noted() -> Option<AttributeSet> {
    Some(AttributeSet::default())
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
