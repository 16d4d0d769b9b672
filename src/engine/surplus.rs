//! Ends what a user has too many of (S-21): at a sign-in, and once a data centre that was out of touch is
//! heard of again.
//!
//! Bringing a session here ends none, and sessions that are held elsewhere count there (MDC-TIME-3, X-16).
//! Which ones go is decided in `decision::surplus`.

use std::collections::HashSet;
use std::time::Duration;

use parking_lot::Mutex;

use crate::decision::surplus::surplus;
use crate::engine::EmbeddedEngine;
use crate::model::end::Pulled;
use crate::model::name::ClusterId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::EndCause;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::ports::session_store::StoreError;

/// Users to whom adoptions have brought more sessions here than they may have.
#[derive(Debug, Default)]
pub(super) struct Crowded(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    users: HashSet<User>,
    /// Those of them whose oldest sessions are to go, since a data centre was heard of again.
    due: Vec<User>,
    /// Peers whose end log could not be read when that was tried last.
    missed: HashSet<ClusterId>,
}

type User = (StoreName, UserName);

impl Crowded {
    fn note(&self, user: User) {
        let mut noted = self.0.lock();
        if noted.users.len() < CROWDED_MAX {
            noted.users.insert(user);
        }
    }

    /// The end log of a peer could not be read.
    pub(super) fn note_missed(&self, peer: &ClusterId) {
        self.0.lock().missed.insert(peer.clone());
    }

    /// The end log of a peer was read to its end, as it had been before; whether it had been out of touch,
    /// and not only slow for once.
    pub(super) fn note_read(&self, peer: &ClusterId, before: Option<Pulled>, now: Pulled) -> bool {
        let mut noted = self.0.lock();
        let is_late = |before: Pulled| now.sent.since(before.sent) >= OUT_OF_TOUCH;
        let is_heard_again = noted.missed.remove(peer) && before.is_some_and(is_late);
        if is_heard_again {
            let users = std::mem::take(&mut noted.users);
            noted.due.extend(users);
        }
        is_heard_again
    }

    fn take_due(&self) -> Vec<User> {
        let mut noted = self.0.lock();
        let rest = noted.due.len().saturating_sub(THINNED_MAX);
        noted.due.split_off(rest)
    }
}

impl EmbeddedEngine {
    /// Ends the user's oldest sessions until at most `most` stand (S-21).
    pub(super) async fn keep_newest(
        &self,
        store: &StoreName,
        subject: &UserName,
        most: usize,
    ) -> Result<(), StoreError> {
        let standing = self.standing_of(store, subject).await;
        let turns = standing
            .iter()
            .map(|facts| (facts.first_authenticated, facts.sso));
        for sso in surplus(turns, most) {
            if let Some(old) = standing.iter().find(|facts| facts.sso == sso) {
                let ended = self.end_session(old, EndCause::Evicted).await;
                ended.durable?;
            }
        }
        Ok(())
    }

    /// Keeps in mind a user to whom an adoption has brought more sessions than they may have.
    pub(super) async fn note_if_crowded(&self, facts: &SsoFacts) {
        let Some(federation) = &self.federation else {
            return;
        };
        let standing = self.standing_of(&facts.store, &facts.subject).await.len();
        if standing > self.terms().per_user_max {
            let user = (facts.store.clone(), facts.subject.clone());
            federation.crowded.note(user);
        }
    }

    /// Ends what is too many of some of the users for whom that is due; the others follow with the next
    /// reading.
    pub(super) async fn thin_out(&self) {
        let Some(federation) = &self.federation else {
            return;
        };
        for (store, subject) in federation.crowded.take_due() {
            let most = self.terms().per_user_max;
            if let Err(error) = self.keep_newest(&store, &subject, most).await {
                tracing::error!(
                    user = subject.as_str(),
                    error = &error as &dyn std::error::Error,
                    "a session too many could not be ended; it goes at the next sign-in"
                );
            }
        }
    }

    /// The sessions of a user that are held here, or about to be.
    async fn standing_of(&self, store: &StoreName, subject: &UserName) -> Vec<SsoFacts> {
        let all = self.parts.store.list_by_user(store, subject).await;
        let counts = |session: &Session| {
            matches!(session.state, SessionState::Live | SessionState::Pending(_))
        };
        let standing = all.iter().filter(|session| counts(session));
        standing.map(|session| session.facts.clone()).collect()
    }
}

/// How long the end log of a peer could not be read where they were parted.
const OUT_OF_TOUCH: Duration = Duration::from_secs(10);
/// Users kept in mind; of more, the oldest sessions go at the next sign-in.
const CROWDED_MAX: usize = 65_536;
/// Users in one step, so that the reading of end logs is not held up.
const THINNED_MAX: usize = 64;
