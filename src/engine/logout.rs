//! Ending sessions: one, or all of a user. An end is durable before it is answered (S-14, S-15).

use std::time::Duration;

use futures_util::future::join;

use crate::engine::EmbeddedEngine;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::EndCause;
use crate::model::session::SsoFacts;
use crate::ports::end_log::End;
use crate::ports::session_engine::Ended;
use crate::ports::session_store::Found;
use crate::ports::session_store::StoreError;

impl EmbeddedEngine {
    /// Ends an SSO session, whether or not a record of it stands here (S-18).
    pub(super) async fn end_session(&self, facts: &SsoFacts, cause: EndCause) -> Ended {
        let visited = match self.parts.store.find(&facts.sso) {
            Found::Record(session) => session.visited.clone(),
            Found::Absent | Found::Ended => Vec::new(),
        };
        let end = End::Tombstone {
            sso: facts.sso,
            cause,
            expires: facts.expires,
        };
        // The end holds in memory as soon as the append has been polled; streams do not wait for the disk.
        let announcement = async { self.announce(facts.sso) };
        let (appended, ()) = join(self.parts.ends.append(end), announcement).await;
        let durable = appended.map(drop);
        tracing::info!(
            user = facts.subject.as_str(),
            session = facts.sso.short_hash(),
            reason = ?cause,
            "session ended"
        );
        if let Err(error) = &durable {
            tracing::error!(
                session = facts.sso.short_hash(),
                error = error as &dyn std::error::Error,
                "an end is not durable; it holds in memory"
            );
        }
        Ended { visited, durable }
    }

    /// Ends everything that a user authenticated before now; answers how many sessions that were.
    pub(super) async fn cut_off(
        &self,
        store: &StoreName,
        subject: &UserName,
    ) -> Result<usize, StoreError> {
        let now = self.parts.clock.now();
        // A sign-in of this same millisecond may have begun before.
        let before = now.after(MOMENT);
        let concerned: Vec<_> = self
            .parts
            .store
            .list_by_user(store, subject)
            .into_iter()
            .filter(|session| session.facts.first_authenticated < before)
            .collect();
        let end = End::UserCutOff {
            store: store.clone(),
            subject: subject.clone(),
            authenticated_before: before,
            expires: now.after(self.settings.lifetime),
        };
        let announcements = async {
            let each = concerned.iter();
            each.for_each(|session| self.announce(session.facts.sso));
        };
        let (durable, ()) = join(self.parts.ends.append(end), announcements).await;
        durable.map(|_| concerned.len())
    }
}

/// The least that two points in time differ by.
const MOMENT: Duration = Duration::from_millis(1);
