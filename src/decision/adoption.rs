//! Adoption: how a data centre comes by a session that another one holds (S-5…S-9, MDC-ADOPT-1…5,
//! MDC-FAIL-1…4, the adoption table A.6).
//!
//! [`Adoption`] is a machine without I/O, clock or randomness: it is given what happened and says what
//! to do next, one thing at a time. The engine does it. What a peer does when it is asked is
//! `decision::release`.

use std::time::Duration;

mod case;
mod draft;
mod ending;
mod keeping;
mod machine;
#[cfg(test)]
mod tests;

pub use crate::decision::adoption::case::Case;
pub use crate::decision::adoption::case::Creation;
pub use crate::decision::adoption::case::Effect;
pub use crate::decision::adoption::case::Input;
pub use crate::decision::adoption::case::Kept;
pub use crate::decision::adoption::case::Local;
pub use crate::decision::adoption::case::Outcome;
pub use crate::decision::adoption::case::Reread;
pub use crate::decision::adoption::machine::Adoption;

/// What the operator chose about sessions of other data centres (`mdc.adoption`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdoptionPolicy {
    /// Whether a session has one holder at a time (`anchor_session`, M-060).
    pub anchor: Anchor,
    /// Whether the data of a session travels (`retrieve_data`, M-061).
    pub retrieval: Retrieval,
    /// Whether a hop asks the user to sign in again (`reauthenticate`, M-062).
    pub hop: Hop,
    /// Attempts after the first that failed (`retrieve_retries`, M-063).
    pub retries: u32,
    /// How long one attempt may take (`retrieve_timeout`, M-064).
    pub attempt_limit: Duration,
    /// What happens at the collector when the other data centre has no such session
    /// (`on_remote_missing`, X-03).
    pub on_missing: OnMissing,
    /// What happens when no answer comes (`continue_on_sync_failure`, M-065).
    pub on_silence: OnSilence,
}

/// Whether a session has one holder at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It does: the data centre that serves the user holds it, the others let go.
    Anchored,
    /// Each data centre that served the user keeps a record.
    Free,
}

/// Whether the data of a session travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retrieval {
    /// It is fetched from the data centre that holds it.
    Fetch,
    /// It is not: the cookie's facts and the identity store suffice.
    Off,
}

/// What a hop between data centres asks of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Nothing.
    Silent,
    /// A new sign-in.
    Reauthenticate,
}

/// What happens at the collector when the other data centre has no such session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMissing {
    /// The user signs in.
    Challenge,
    /// A session is made from the ID cookie's facts, under the lease (S-16).
    Create,
}

/// What happens when no answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSilence {
    /// The user signs in.
    Challenge,
    /// A session is made from the cookie's facts, under the lease (S-16).
    Continue,
}

impl Default for AdoptionPolicy {
    fn default() -> Self {
        Self {
            anchor: Anchor::Free,
            retrieval: Retrieval::Fetch,
            hop: Hop::Silent,
            retries: 2,
            attempt_limit: Duration::from_secs(1),
            on_missing: OnMissing::Create,
            on_silence: OnSilence::Challenge,
        }
    }
}

impl AdoptionPolicy {
    /// How long an adoption may take as a whole (S-7).
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.attempt_limit
            .saturating_mul(self.retries.saturating_add(1))
    }

    /// The policy for a request that has waited already and has this much time left: fewer attempts
    /// (S-7). Where not even one has its whole time, a silence is nobody's but its own (S-8).
    #[must_use]
    pub fn within(self, rest: Duration) -> Self {
        if rest >= self.deadline() {
            return self;
        }
        let attempts = rest
            .as_millis()
            .checked_div(self.attempt_limit.as_millis())
            .unwrap_or(0);
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        Self {
            retries: attempts.saturating_sub(1),
            attempt_limit: self.attempt_limit.min(rest),
            on_silence: match attempts {
                0 => OnSilence::Challenge,
                _ => self.on_silence,
            },
            ..self
        }
    }
}
