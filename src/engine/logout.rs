//! Ending sessions: one, or all of a user. An end is durable before it is answered (S-14, S-15).

use std::time::Duration;

use futures_util::future::join;
use futures_util::future::join_all;

use crate::engine::EmbeddedEngine;
use crate::engine::audit;
use crate::engine::federation::Federation;
use crate::model::end::Confirmed;
use crate::model::end::End;
use crate::model::end::ProviderEnd;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::peer::Answer;
use crate::model::peer::ENDS_MAX;
use crate::model::peer::Question;
use crate::model::peer::Silence;
use crate::model::session::EndCause;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::session_engine::Ended;
use crate::ports::session_store::Found;
use crate::ports::session_store::StoreError;

impl EmbeddedEngine {
    /// Ends an SSO session, whether or not a record of it stands here (S-18). Whoever signs out learns
    /// which data centres have confirmed it; other ends are told without waiting (S-15).
    pub(super) async fn end_session(&self, facts: &SsoFacts, cause: EndCause) -> Ended {
        let found = self.parts.store.find(&facts.sso);
        let mut visited = match &found {
            Found::Record(session) => session.visited.clone(),
            Found::Absent | Found::Ended => Vec::new(),
        };
        let end = self.tombstone(facts, cause);
        let concerned = [facts.sso];
        let (appended, peers) = match (cause, &self.federation) {
            (EndCause::LoggedOut | EndCause::Killed, Some(federation)) => {
                // The disk and the peers are waited for together: neither holds the other up.
                let appended = self.append_announcing(end.clone(), &concerned);
                let told = self.tell_all(federation, end);
                let (appended, told) = join(appended, told).await;
                (appended, self.confirmations(told, &mut visited))
            }
            (_, Some(federation)) => {
                federation.tell_later(end.clone());
                (self.append_announcing(end, &concerned).await, Vec::new())
            }
            (_, None) => (self.append_announcing(end, &concerned).await, Vec::new()),
        };
        // It was told when it ended; anybody may come with its cookies again and again.
        if !matches!(found, Found::Ended) {
            self.tell_of_end(facts, cause);
        }
        tell_of_trouble(facts, &appended);
        Ended {
            cluster: Some(self.cluster.clone()),
            visited,
            durable: appended,
            peers,
        }
    }

    /// Ends several SSO sessions because whoever runs the node wants it. The peers are told without waiting
    /// for them. Answers how many of the ends are not durable yet; they hold in memory.
    pub async fn end_several(&self, sessions: &[SsoFacts]) -> usize {
        let cause = EndCause::Killed;
        let ends = sessions.iter().map(|facts| async move {
            let end = self.tombstone(facts, cause);
            if let Some(federation) = &self.federation {
                federation.tell_later(end.clone());
            }
            let appended = self.append_announcing(end, &[facts.sso]).await;
            self.tell_of_end(facts, cause);
            tell_of_trouble(facts, &appended);
            appended.is_err()
        });
        let failed = join_all(ends).await;
        failed.into_iter().filter(|failed| *failed).count()
    }

    fn tombstone(&self, facts: &SsoFacts, cause: EndCause) -> End {
        End::Tombstone {
            sso: facts.sso,
            cause,
            // A gate may say anything: no entry is to be kept for ever.
            expires: facts
                .expires
                .min(self.parts.clock.now().after(End::KEPT_MAX)),
        }
    }

    fn tell_of_end(&self, facts: &SsoFacts, cause: EndCause) {
        tracing::info!(
            user = facts.subject.as_str(),
            session = facts.sso.short_hash(),
            reason = ?cause,
            "session ended"
        );
        self.audit.note(audit::ended(facts, cause));
    }

    /// Notes an end or a move that was decided here, and has the peers told.
    pub(super) async fn note_end(&self, end: End) {
        if let Some(federation) = &self.federation {
            federation.tell_later(end.clone());
        }
        let concerned = match &end {
            End::Tombstone { sso, .. } => vec![*sso],
            End::Moved { .. } | End::UserCutOff { .. } | End::ProviderCutOff { .. } => Vec::new(),
        };
        if let Err(error) = self.append_announcing(end, &concerned).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an end is not durable; it holds in memory"
            );
        }
    }

    /// Appends an end and closes the streams it concerns. It holds in memory as soon as the append has
    /// been polled; streams do not wait for the disk.
    pub(super) async fn append_announcing(
        &self,
        end: End,
        concerned: &[SsoId],
    ) -> Result<(), StoreError> {
        let announcements = async { concerned.iter().for_each(|sso| self.announce(*sso)) };
        let (appended, ()) = join(self.parts.ends.append(end), announcements).await;
        appended.map(drop)
    }

    /// Tells every peer of an end and waits for each, within a bound.
    async fn tell_all(
        &self,
        federation: &Federation,
        end: End,
    ) -> Vec<(ClusterId, Result<Answer, Silence>)> {
        let tell = |cluster: &ClusterId| {
            let (cluster, ends) = (cluster.clone(), vec![end.clone()]);
            async move {
                let question = Question::PushEnds { ends };
                let answer = self.parts.peers.ask(&cluster, question, CONFIRM_WAIT).await;
                (cluster, answer)
            }
        };
        join_all(federation.peers.iter().map(|peer| tell(&peer.cluster))).await
    }

    /// What the peers said to an end; the hosts visited through them are added to `visited`.
    fn confirmations(
        &self,
        told: Vec<(ClusterId, Result<Answer, Silence>)>,
        visited: &mut Vec<HostName>,
    ) -> Vec<(ClusterId, Confirmed)> {
        let mut confirmations = Vec::new();
        for (cluster, answer) in told {
            let confirmation = match answer {
                Ok(Answer::Noted { visited: there }) => {
                    let new = there.into_iter().filter(|host| !visited.contains(host));
                    let new: Vec<_> = new.collect();
                    visited.extend(new);
                    visited.truncate(Session::VISITED_MAX);
                    Confirmed::Durable
                }
                Ok(_) | Err(_) => Confirmed::Outstanding,
            };
            confirmations.push((cluster, confirmation));
        }
        confirmations
    }

    /// Ends everything that a user authenticated before now; answers how many sessions that were. It is for
    /// the data centre itself to find that a user is gone: no gate has a word for it.
    ///
    /// # Errors
    /// When the cut-off is not durable; it holds in memory all the same.
    pub async fn end_all(
        &self,
        store: &StoreName,
        subject: &UserName,
    ) -> Result<usize, StoreError> {
        let now = self.parts.clock.now();
        // A sign-in of this same millisecond may have begun before, and the clock of another data centre
        // may be as far ahead as its sessions are honoured (S-15, S-22).
        let allowance = self
            .federation
            .as_ref()
            .map_or(MOMENT, |federation| federation.settings.skew.hard);
        self.cut_off_before(store, subject, now.after(allowance))
            .await
    }

    /// Ends everything that a user authenticated until now; who has the new password signs in again at once.
    ///
    /// # Errors
    /// When the end is not durable; it holds in memory then.
    pub async fn end_until_now(
        &self,
        store: &StoreName,
        subject: &UserName,
    ) -> Result<usize, StoreError> {
        let before = self.parts.clock.now().after(MOMENT);
        self.cut_off_before(store, subject, before).await
    }

    /// Whether everything that a user authenticated before a moment is over already, as far as that is known, or
    /// because nothing lasts for so long.
    #[must_use]
    pub fn is_over_before(&self, store: &StoreName, subject: &UserName, moment: Timestamp) -> bool {
        let now = self.parts.clock.now();
        let known = self.parts.ends.cut_off(store, subject);
        let is_known = known.is_some_and(|before| before >= moment.min(now));
        is_known || now.since(moment) > End::KEPT_MAX
    }

    /// Ends what an identity provider says is over there; peers are told without waiting for them.
    pub(super) async fn end_elsewhere(&self, over: ProviderEnd) -> Result<(), StoreError> {
        let session = match over {
            ProviderEnd::User { store, subject } => {
                return self.end_until_now(&store, &subject).await.map(drop);
            }
            ProviderEnd::Session(session) => session,
        };
        let end = End::ProviderCutOff {
            session,
            expires: self.parts.clock.now().after(End::KEPT_MAX),
        };
        if let Some(federation) = &self.federation {
            federation.tell_later(end.clone());
        }
        self.cut_off_provider(end).await
    }

    /// Ends whatever began with one session at an identity provider. The log has a tombstone for each
    /// session that it took, which is how their streams are found.
    pub(super) async fn cut_off_provider(&self, end: End) -> Result<(), StoreError> {
        let position = self.parts.ends.append(end).await?;
        for (_, end) in self.parts.ends.since(position, ENDS_MAX) {
            if let End::Tombstone { sso, .. } = end {
                self.announce(sso);
                tracing::info!(session = sso.short_hash(), "session ended at its provider");
                self.audit.note(audit::ended_at_provider(&sso));
            }
        }
        Ok(())
    }

    /// Ends everything that a user authenticated before a moment; answers how many sessions that were.
    pub(super) async fn cut_off_before(
        &self,
        store: &StoreName,
        subject: &UserName,
        before: Timestamp,
    ) -> Result<usize, StoreError> {
        let concerned: Vec<_> = self
            .parts
            .store
            .list_by_user(store, subject)
            .await
            .into_iter()
            .filter(|session| session.facts.first_authenticated < before)
            .map(|session| session.facts.sso)
            .collect();
        let end = End::UserCutOff {
            store: store.clone(),
            subject: subject.clone(),
            authenticated_before: before,
            // Other data centres may have longer lifetimes, and so may this one have had.
            expires: self.parts.clock.now().after(End::KEPT_MAX),
        };
        if let Some(federation) = &self.federation {
            federation.tell_later(end.clone());
        }
        let appended = self.append_announcing(end, &concerned).await;
        self.audit.note(audit::cut_off(subject, concerned.len()));
        appended?;
        Ok(concerned.len())
    }
}

fn tell_of_trouble(facts: &SsoFacts, appended: &Result<(), StoreError>) {
    if let Err(error) = appended {
        tracing::error!(
            session = facts.sso.short_hash(),
            error = error as &dyn std::error::Error,
            "an end is not durable; it holds in memory"
        );
    }
}

/// How long a sign-out waits for the other data centres; who is later is told all the same.
const CONFIRM_WAIT: Duration = Duration::from_secs(1);
/// The least that two points in time differ by.
pub(super) const MOMENT: Duration = Duration::from_millis(1);
