//! What was in vain a moment ago: refusals that were given, and data centres that gave no answer (S-7).
//!
//! A refusal holds for the place where it was given: an application host and the collector conclude
//! differently from the same answers. That a data centre is silent about a session holds for all of them,
//! so that a page which leads from one to the other waits for it once.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::claim::NotLive;
use crate::model::claim::Place;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::time::Timestamp;

/// What is remembered of adoptions that came to nothing.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    given: Mutex<HashMap<(SsoId, Place), Refused>>,
    silences: Mutex<HashMap<SsoId, Silent>>,
}

#[derive(Clone, Copy, Debug)]
struct Refused {
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
    pub(super) fn given(&self, sso: &SsoId, place: Place, now: Timestamp) -> Option<NotLive> {
        let given = self.given.lock();
        let refused = given.get(&(*sso, place))?;
        is_recent(refused.at, now).then_some(refused.why)
    }

    pub(super) fn note(&self, sso: SsoId, place: Place, why: NotLive, now: Timestamp) {
        let mut given = self.given.lock();
        if given.len() >= REMEMBERED_MAX {
            given.retain(|_, refused| is_recent(refused.at, now));
        }
        if given.len() < REMEMBERED_MAX {
            given.insert((sso, place), Refused { at: now, why });
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
        let mut given = self.given.lock();
        for place in [Place::Application, Place::Arrival, Place::Collector] {
            given.remove(&(*sso, place));
        }
        drop(given);
        self.silences.lock().remove(sso);
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
