//! What was in vain a moment ago: refusals that were given, and data centres that gave no answer (S-7).
//!
//! A refusal holds for the place where it was given: an application host and the collector conclude
//! differently from the same answers, and so do hosts with limits of their own. That a data centre is silent about a session holds for all of them,
//! so that a page which leads from one to the other waits for it once.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::claim::HostLimits;
use crate::model::claim::NotLive;
use crate::model::claim::Place;
use crate::model::claim::Presented;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::time::Timestamp;

/// What is remembered of adoptions that came to nothing.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    given: Mutex<HashMap<SsoId, Vec<Refused>>>,
    silences: Mutex<HashMap<SsoId, Silent>>,
}

#[derive(Clone, Copy, Debug)]
struct Refused {
    place: Place,
    limits: HostLimits,
    at: Timestamp,
    why: NotLive,
}

#[derive(Clone, Debug)]
struct Silent {
    at: Timestamp,
    peers: Vec<ClusterId>,
}

impl Refusals {
    /// A refusal given a moment ago.
    pub(super) fn given(
        &self,
        sso: &SsoId,
        presented: &Presented,
        now: Timestamp,
    ) -> Option<NotLive> {
        let given = self.given.lock();
        let mut refused = given.get(sso)?.iter();
        let refused = refused.find(|refused| refused.is_alike(presented))?;
        is_recent(refused.at, now).then_some(refused.why)
    }

    pub(super) fn note(&self, sso: SsoId, presented: &Presented, why: NotLive, now: Timestamp) {
        let mut given = self.given.lock();
        if given.len() >= REMEMBERED_MAX {
            given.retain(|_, refused| refused.iter().any(|refused| is_recent(refused.at, now)));
        }
        if given.len() >= REMEMBERED_MAX {
            return;
        }
        let refused = given.entry(sso).or_default();
        refused.retain(|other| is_recent(other.at, now) && !other.is_alike(presented));
        if refused.len() < PLACES_MAX {
            refused.push(Refused {
                place: presented.at,
                limits: presented.limits,
                at: now,
                why,
            });
        }
    }

    /// Who gave no answer about a session a moment ago.
    pub(super) fn silent(&self, sso: &SsoId, now: Timestamp) -> Vec<ClusterId> {
        let silences = self.silences.lock();
        let silent = silences.get(sso);
        silent
            .filter(|silent| is_recent(silent.at, now))
            .map_or_else(Vec::new, |silent| silent.peers.clone())
    }

    /// Notes who was waited for in vain.
    pub(super) fn note_silent(&self, sso: SsoId, peers: Vec<ClusterId>, now: Timestamp) {
        if peers.is_empty() {
            return;
        }
        let mut silences = self.silences.lock();
        if silences.len() >= REMEMBERED_MAX {
            silences.retain(|_, silent| is_recent(silent.at, now));
        }
        if silences.len() < REMEMBERED_MAX {
            silences.insert(sso, Silent { at: now, peers });
        }
    }

    /// Forgets what was in vain for a session that has come here since.
    pub(super) fn forget(&self, sso: &SsoId) {
        self.given.lock().remove(sso);
        self.silences.lock().remove(sso);
    }
}

impl Refused {
    /// Whether a claim that is presented like this would be refused for the same reason.
    fn is_alike(&self, presented: &Presented) -> bool {
        self.place == presented.at && self.limits == presented.limits
    }
}

/// A clock that was set back makes nothing recent again.
fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    at <= now && now.since(at) < LIFETIME
}

/// How long it stands before the data centres are asked again.
const LIFETIME: Duration = Duration::from_secs(2);
/// Sessions kept in mind; more are simply asked about again.
const REMEMBERED_MAX: usize = 65_536;
/// Places that are kept in mind for each of them.
const PLACES_MAX: usize = 16;
