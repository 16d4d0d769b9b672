//! Background steps of the engine. `app` calls them from time to time; nothing here waits.

use std::time::Duration;

use futures_util::future::join;
use futures_util::future::join_all;

use crate::engine::EmbeddedEngine;
use crate::ports::session_store::StoreError;

/// What one sweep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// Everything due is gone.
    Done,
    /// There is more to do at once.
    More,
}

impl EmbeddedEngine {
    /// Drops sessions whose lifetime or idle time is over, a bounded number, and closes their
    /// streams. Idleness writes no tombstone, and nobody is asked; where there are other data centres to ask,
    /// what is idle here stays for a while, so that a request, or the check of a stream, can do it (S-20).
    ///
    /// # Errors
    /// When a removal could not be written; the session is refused all the same.
    pub async fn sweep(&self) -> Result<Swept, StoreError> {
        let now = self.parts.clock.now();
        self.spent.forget_expired(now);
        self.posts.lock().forget_old(now);
        let idle = self.terms().idle_timeout.saturating_add(self.idle_kept());
        let due = self.parts.store.due(now, idle, SWEEP_MAX);
        // The removals are gone from memory once each has been polled, which is before any stream is cut,
        // and share their commits.
        let removals = join_all(due.iter().map(|sso| self.parts.store.remove(sso)));
        let announcements = async { due.iter().for_each(|sso| self.announce(*sso)) };
        let (removed, ()) = join(removals, announcements).await;
        removed.into_iter().collect::<Result<(), _>>()?;
        Ok(if due.len() < SWEEP_MAX {
            Swept::Done
        } else {
            Swept::More
        })
    }

    fn idle_kept(&self) -> Duration {
        self.federation.as_ref().map_or(Duration::ZERO, |others| {
            IDLE_KEPT.saturating_add(others.settings.adoption.deadline())
        })
    }

    /// Forgets ends of sessions that would have expired long ago (S-15).
    ///
    /// # Errors
    /// When the removal could not be written.
    pub async fn trim_ends(&self) -> Result<usize, StoreError> {
        let now = self.parts.clock.now();
        let federation = self.federation.as_ref();
        let skew = federation.map_or(SKEW_HARD_LIMIT, |others| others.settings.skew.hard);
        self.parts.ends.trim(now.before(2 * skew)).await
    }
}

/// Sessions dropped in one step, so that a sweep never holds anything up.
const SWEEP_MAX: usize = 1024;
/// The largest clock difference tolerated where nothing else is configured (S-22).
const SKEW_HARD_LIMIT: Duration = Duration::from_secs(120);
/// How long a session that is idle here is kept where other data centres may know of a later access: long
/// enough for the streams of very many to be checked.
const IDLE_KEPT: Duration = Duration::from_secs(30);
