//! What the successor has judged lately, for as long as it is heard what ends there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::claim::Claim;
use crate::model::claim::HostLimits;
use crate::model::id::SsoId;
use crate::model::session::Session;
use crate::model::time::Timestamp;

/// Sessions that serve, as the successor said.
#[derive(Default)]
pub(super) struct Judged(Mutex<Known>);

#[derive(Default)]
struct Known {
    sessions: HashMap<(SsoId, HostLimits), Judgement>,
    /// How often it began to be heard what ends.
    feeds: u64,
}

struct Judgement {
    claim: Claim,
    session: Arc<Session>,
    until: Timestamp,
}

/// What was heard when a question was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feed(u64);

impl Judged {
    /// It begins to be heard what ends. What was judged before may have ended since, unheard.
    pub(super) fn begin(&self) {
        let mut known = self.0.lock();
        known.feeds = known.feeds.wrapping_add(1);
        known.sessions.clear();
    }

    /// What is heard now, for [`Judged::remember`].
    pub(super) fn feed(&self) -> Feed {
        Feed(self.0.lock().feeds)
    }

    /// What was judged of a claim, if that still holds.
    pub(super) fn find(&self, claim: &Claim, now: Timestamp) -> Option<Arc<Session>> {
        let known = self.0.lock();
        let same = known.sessions.get(&key(claim));
        let same = same.filter(|judged| judged.claim == *claim && now < judged.until);
        same.map(|judged| Arc::clone(&judged.session))
    }

    /// Remembers the answer to a question that was asked while this was heard.
    pub(super) fn remember(
        &self,
        claim: &Claim,
        session: &Arc<Session>,
        (feed, now): (Feed, Timestamp),
    ) {
        let mut known = self.0.lock();
        if Feed(known.feeds) != feed {
            return;
        }
        if known.sessions.len() >= JUDGED_MAX {
            known.sessions.clear();
        }
        let judgement = Judgement {
            claim: claim.clone(),
            session: Arc::clone(session),
            until: now.after(HOLDS_FOR),
        };
        known.sessions.insert(key(claim), judgement);
    }

    /// A session has ended.
    pub(super) fn forget(&self, ended: SsoId) {
        self.0.lock().sessions.retain(|(of, _), _| *of != ended);
    }
}

const fn key(claim: &Claim) -> (SsoId, HostLimits) {
    (claim.facts.sso, claim.presented.limits)
}

const JUDGED_MAX: usize = 1 << 14;
/// How long a judgement holds while ends are heard: longer than streams are left alone for.
const HOLDS_FOR: Duration = Duration::from_secs(6);
