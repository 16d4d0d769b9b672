//! What happens in a run, as the witness is told of it. How a story tells it is in `story`.

use std::fmt;
use std::time::Duration;

use portway::model::claim::Claim;
use portway::model::claim::NotLive;
use portway::model::end::End;
use portway::model::id::SsoId;
use portway::model::name::UserName;
use portway::model::peer::Answer;
use portway::model::peer::Question;
use portway::model::peer::Silence;
use portway::model::session::EndCause;
use portway::model::session::Session;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;

/// A data centre, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dc(pub(crate) usize);

/// The names of the data centres: in this order they rank.
pub(crate) const NAMES: [&str; 5] = ["ams", "ber", "cph", "dub", "edi"];

impl fmt::Display for Dc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES[self.0])
    }
}

/// A question on its way, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asking {
    pub(crate) id: u64,
    pub(crate) from: Dc,
    pub(crate) to: Dc,
}

/// A cookie value, by a hash of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CookieHash(pub(crate) u64);

impl CookieHash {
    pub(crate) fn of(value: &str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in value.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(hash)
    }
}

impl fmt::Display for CookieHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cookie {:06x}", self.0 >> 40)
    }
}

/// What becomes of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Cut,
    Whole,
}

/// What a data centre has after a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) has_its_log: bool,
    /// When this life of its log began, by its own clock.
    pub(crate) log_began: Timestamp,
    /// How far back its records reach, by its own clock.
    pub(crate) remembers_since: Timestamp,
}

/// Something that happened.
pub(crate) enum Event<'e> {
    // Fate.
    Started(Dc, Start),
    Crashed(Dc),
    Froze(Dc),
    Thawed(Dc),
    ClockSet(Dc, i64),
    Disabled(&'e UserName),
    /// Whether the data centre reaches the directory.
    Directory(Dc, Link),
    DiskFull(Dc),
    Linked(Dc, Dc, Link),
    Healed,

    // Between data centres. What is seen here is the truth, whatever a mutation makes of it.
    Asked(Asking, &'e Question),
    Answered(Asking, &'e Question, &'e Answer),
    Returned(Asking, &'e Question, Result<&'e Answer, Silence>),

    // Inside one.
    Stored(Dc, Option<&'e Session>, &'e Session),
    Removed(Dc, &'e Session),
    /// What could not be written is as it was before: what stands again, and what does not.
    TakenBack(Dc, Option<&'e Session>, &'e Session),
    Logged(Dc, &'e End),
    LogDurable(Dc, &'e End),

    // At the door.
    Resolving(Dc, &'e Claim),
    Judged(Dc, &'e Claim, Judgement<'e>),
    /// An access was noted.
    Touched(Dc, SsoId),
    /// A visit was noted, or not, after as long as it took.
    Visited(Dc, &'e Claim, Duration),
    /// Nobody waits for the judgement any more.
    GaveUp(Dc, SsoId),
    SigningIn(Dc),
    /// The new session, and what it took the place of; nothing where the sign-in was refused.
    SignedIn(Dc, Option<&'e Session>, Option<&'e SsoFacts>),
    EndAnswered(Dc, &'e SsoFacts, EndCause, Durability),
    CutOffAnswered(Dc, &'e UserName, Durability),

    // In front of it.
    Permitted(Dc, CookieHash, &'e Session),
    Challenged(Dc, CookieHash),
    Told(String),
}

/// What the door said of a claim.
pub(crate) struct Judgement<'e> {
    pub(crate) result: Result<&'e Session, Option<NotLive>>,
    pub(crate) took: Took,
}

/// How long the door took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    /// It answered at once, from what it knew.
    Nothing,
    /// It asked around.
    Time(Duration),
}

/// Whether an end was durable when it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    Durable,
    Memory,
}

/// An SSO session in a story.
pub(crate) fn short(sso: &SsoId) -> String {
    let bytes = sso.as_bytes();
    format!("S-{:02x}{:02x}{:02x}", bytes[0], bytes[1], bytes[2])
}
