//! What the operator chose about cookies, and how long and from when on one is believed.

use std::time::Duration;

use crate::crypto::tags::Clusters;
use crate::decision::adoption::Anchor;
use crate::decision::cookies::gito::Gito;
use crate::model::name::ClusterId;
use crate::model::time::Timestamp;

/// What the operator chose about cookies; gate and collector of a node have the same.
#[derive(Clone, Debug)]
pub struct CookieSettings {
    /// This data centre.
    pub cluster: ClusterId,
    /// All data centres that are configured, this one among them.
    pub clusters: Clusters,
    /// Whether a session has one holder at a time, and so the chain one member (MDC-COOKIE-2).
    pub anchor: Anchor,
    /// How long an authn cookie is good; none: as long as its session (MDC-COOKIE-3, M-078).
    pub authn_lifetime: Option<Duration>,
    /// The GITO cookie; none where there is no common domain (MDC-COOKIE-4).
    pub gito: Option<Gito>,
    /// How far ahead the clock that wrote a cookie may be (MDC-COOKIE-6, S-22).
    pub skew_allowance: Duration,
    /// How far apart the clocks of data centres may be between which sessions move; zero where there is
    /// one (S-22).
    pub skew_hard: Duration,
}

impl CookieSettings {
    /// The settings of a data centre that has no peers.
    #[must_use]
    pub fn of_one(cluster: ClusterId) -> Self {
        Self {
            cluster,
            clusters: Clusters::default(),
            anchor: Anchor::Free,
            authn_lifetime: None,
            gito: None,
            skew_allowance: SKEW_ALLOWANCE,
            skew_hard: Duration::ZERO,
        }
    }

    /// Whether a cookie that says to be of this time is believed: a clock that ran far ahead cannot be
    /// trusted in what else it wrote (MDC-COOKIE-6).
    #[must_use]
    pub fn believes(&self, written: Timestamp, now: Timestamp) -> bool {
        written <= now.after(self.skew_allowance)
    }

    /// Until when a one-step token is taken that is good until `expires` by the clock of the data centre
    /// that made it: by another clock within the hard limit that may be over on arrival (S-22, S-24).
    #[must_use]
    pub fn last_moment_of(&self, expires: Timestamp) -> Timestamp {
        expires.after(self.skew_hard)
    }

    /// Whether an authn cookie of this issue time is good; one that has lapsed is renewed at the collector
    /// (MDC-COOKIE-3, M-078).
    #[must_use]
    pub fn is_good(&self, issued: Timestamp, now: Timestamp) -> bool {
        let has_lapsed = self
            .authn_lifetime
            .is_some_and(|lifetime| now >= issued.after(lifetime));
        !has_lapsed && self.believes(issued, now)
    }
}

/// How far clocks may differ where nothing else is configured (S-22).
const SKEW_ALLOWANCE: Duration = Duration::from_secs(30);
