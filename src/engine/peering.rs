//! Answers the engines of other data centres: lets sessions go, tells of ends, takes note of theirs.
//!
//! What is right to answer is decided in `decision::release`; asking is in `adoption` and `following`.

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::decision::following::plausible::plausible;
use crate::decision::release;
use crate::decision::release::Change;
use crate::decision::release::Holding;
use crate::decision::release::Known;
use crate::decision::release::Reply;
use crate::engine::EmbeddedEngine;
use crate::engine::REPLACE_TRIES_MAX;
use crate::engine::audit;
use crate::engine::federation::Federation;
use crate::engine::federation::PeerState;
use crate::engine::yielding::TakeEndError;
use crate::model::end::End;
use crate::model::end::Incarnation;
use crate::model::end::Position;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::peer::Answer;
use crate::model::peer::ENDS_MAX;
use crate::model::peer::Greeting;
use crate::model::peer::Question;
use crate::model::peer::Refusal;
use crate::model::peer::Rest;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::ports::entropy::id_bytes;
use crate::ports::peer_service::PeerService;
use crate::ports::session_store::Found;
use crate::ports::session_store::Replaced;

#[async_trait]
impl PeerService for EmbeddedEngine {
    async fn answer(&self, from: &ClusterId, question: Question) -> Answer {
        let Some(federation) = &self.federation else {
            return Answer::Refused(Refusal::NotPermitted);
        };
        let Some(peer) = federation.peer(from) else {
            return Answer::Refused(Refusal::NotPermitted);
        };
        match question {
            Question::Hello(_) => Answer::Hello(self.greeting(federation)),
            // Ends are taken from every peer, whatever its clock (S-15, S-22).
            Question::PushEnds { ends } => self.take_ends(federation, ends).await,
            Question::PullEnds { incarnation, after } => {
                self.page_of_ends(peer, incarnation, after).await
            }
            _ if peer.is_beyond_skew() => Answer::Refused(Refusal::Skew),
            Question::Fetch { facts, session } => {
                if let Some(refusal) = self.refuse_store(from, &facts.store) {
                    return refusal;
                }
                let reply =
                    |h: &Holding<'_>, k: &Known<'_>| release::fetch(h, k, from, &facts, session);
                self.reply_unless_cut_off(federation, &facts, reply).await
            }
            Question::Reserve {
                facts,
                adoption,
                data,
            } => {
                if let Some(refusal) = self.refuse_store(from, &facts.store) {
                    return refusal;
                }
                let reserve = release::Reserve {
                    facts: &facts,
                    adoption,
                    data,
                };
                let reply = |h: &Holding<'_>, k: &Known<'_>| release::reserve(h, k, from, &reserve);
                self.reply_unless_cut_off(federation, &facts, reply).await
            }
            Question::Commit {
                sso,
                adoption,
                version,
                generation,
                session,
            } => {
                let commit = release::Commit {
                    adoption,
                    version,
                    generation,
                    session,
                };
                let reply = |h: &Holding<'_>, k: &Known<'_>| release::commit(h, k, from, &commit);
                self.reply(federation, &sso, reply).await
            }
            Question::Abort { sso, adoption } => {
                let reply = |h: &Holding<'_>, k: &Known<'_>| release::abort(h, k, from, adoption);
                self.reply(federation, &sso, reply).await
            }
            Question::LastAccess { facts } => {
                let reply = |h: &Holding<'_>, k: &Known<'_>| release::last_access(h, k, &facts);
                self.reply_unless_cut_off(federation, &facts, reply).await
            }
        }
    }
}

impl EmbeddedEngine {
    /// As [`Self::reply`], where the session may have gone with everything of its user: the record does
    /// then, and the log has no tombstone for it (S-7).
    async fn reply_unless_cut_off(
        &self,
        federation: &Federation,
        facts: &SsoFacts,
        decide: impl Fn(&Holding<'_>, &Known<'_>) -> Reply,
    ) -> Answer {
        let cut_off = self.parts.ends.cut_off(&facts.store, &facts.subject);
        if cut_off.is_some_and(|before| facts.first_authenticated < before) {
            return Answer::Ended;
        }
        self.reply(federation, &facts.sso, decide).await
    }

    /// Decides on an answer, and gives it once what it promises is durable (S-6).
    async fn reply(
        &self,
        federation: &Federation,
        sso: &SsoId,
        decide: impl Fn(&Holding<'_>, &Known<'_>) -> Reply,
    ) -> Answer {
        for _ in 0..REPLACE_TRIES_MAX {
            let holding = self.holding(federation);
            let found = self.parts.store.find(sso);
            let known = match &found {
                Found::Absent => Known::Absent,
                Found::Ended => Known::Ended,
                Found::Record(session) => Known::Record {
                    session,
                    last_access: self.noted_access(session),
                },
            };
            let Reply { answer, change } = decide(&holding, &known);
            let session = match (change, &answer, &found) {
                (Change::Replace(session), ..) => session,
                // The stub that this answer goes by may still be on its way to the disk, and be taken back.
                (Change::None, Answer::Committed(_), Found::Record(stub)) => {
                    Box::new(Session::clone(stub))
                }
                (Change::None, ..) => return answer,
            };
            let stops_serving = session.state != SessionState::Live;
            let moves = audit::moved(&session.facts);
            match self.parts.store.replace_if_version(*session).await {
                Ok(Replaced::Replaced) if stops_serving => {
                    // Streams, and gates that remember it, must let go of what moved away (S-17).
                    self.announce(*sso);
                    self.audit.note(moves);
                    return answer;
                }
                Ok(Replaced::Replaced) => return answer,
                Ok(Replaced::Ended | Replaced::Missing | Replaced::Stale(_)) => {}
                Err(error) => {
                    tracing::error!(
                        session = sso.short_hash(),
                        error = &error as &dyn std::error::Error,
                        "a promise to a peer could not be stored, and is not given"
                    );
                    return Answer::NotDurable;
                }
            }
        }
        Answer::Unknown
    }

    fn holding<'h>(&'h self, federation: &Federation) -> Holding<'h> {
        Holding {
            own: &self.cluster,
            now: self.parts.clock.now(),
            idle_timeout: self.terms().idle_timeout,
            min_hold: federation.settings.min_hold,
            lapse: federation.settings.reservation_lapse,
            hard_skew: federation.settings.skew.hard,
            remembers_since: self.parts.store.remembers_since(),
        }
    }

    fn refuse_store(&self, from: &ClusterId, store: &StoreName) -> Option<Answer> {
        let known = self.parts.provider.store() == store || self.stores.load().contains(store);
        (!known).then(|| {
            tracing::warn!(
                peer = %from, store = store.as_str(),
                "a peer asked about a user of an identity store that is not known here"
            );
            Answer::Refused(Refusal::UnknownStore)
        })
    }

    /// What this engine tells about itself.
    pub(super) fn greeting(&self, federation: &Federation) -> Greeting {
        let own = federation.keys.load();
        Greeting {
            cluster: self.cluster.clone(),
            incarnation: self.parts.ends.incarnation(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: self.parts.clock.now(),
            keys: own.opens.clone(),
            seals: own.seals,
            stores: self.known_stores(),
        }
    }

    async fn take_ends(&self, federation: &Federation, ends: Vec<End>) -> Answer {
        let mut visited: Vec<HostName> = Vec::new();
        for end in &ends {
            if let End::Tombstone { sso, .. } = end {
                let hosts = match self.parts.store.find(sso) {
                    Found::Record(session) => session.visited.clone(),
                    // It may have been read in the peer's log a moment before the peer told of it.
                    Found::Absent | Found::Ended => federation.visited(sso, self.parts.clock.now()),
                };
                let new = hosts.into_iter().filter(|host| !visited.contains(host));
                let new: Vec<_> = new.collect();
                visited.extend(new);
            }
        }
        visited.truncate(Session::VISITED_MAX);
        match self.apply_ends(ends).await {
            Ok(()) => Answer::Noted { visited },
            Err(_) => Answer::NotDurable,
        }
    }

    /// Takes over ends that a peer told of; they share their commits.
    pub(super) async fn apply_ends(&self, ends: Vec<End>) -> Result<(), TakeEndError> {
        let Some(federation) = &self.federation else {
            return Ok(());
        };
        let (now, hard) = (self.parts.clock.now(), federation.settings.skew.hard);
        let ends = ends.into_iter().take(ENDS_MAX);
        let ends = ends.map(|end| plausible(end, now, hard));
        let applied = join_all(ends.map(|end| self.apply_end(end))).await;
        applied.into_iter().collect()
    }

    async fn page_of_ends(
        &self,
        peer: &PeerState,
        incarnation: Incarnation,
        after: Position,
    ) -> Answer {
        self.renew_if_outrun(incarnation, after).await;
        let own = self.parts.ends.incarnation();
        let after = if incarnation == own {
            after
        } else {
            Position::default()
        };
        peer.note_read(after);
        let ends = self.parts.ends.since(after, ENDS_MAX);
        let rest = if ends.len() < ENDS_MAX {
            Rest::Complete
        } else {
            Rest::More
        };
        Answer::Ends {
            incarnation: own,
            ends,
            rest,
        }
    }

    /// Begins a new life of the own log where a peer has read further than it reaches: it was put back to an
    /// earlier state, and would give out the places again that the peer has read (S-15).
    async fn renew_if_outrun(&self, incarnation: Incarnation, after: Position) {
        let ends = &self.parts.ends;
        let next = Incarnation(id_bytes(self.parts.entropy.as_ref()));
        let now = self.parts.clock.now();
        let renewed = ends.renew_if_outrun(incarnation, after, next, now).await;
        if ends.incarnation() == next {
            tracing::warn!(
                "a peer has read ends that are not here any more; the end log begins a new life"
            );
        }
        if let Err(error) = renewed {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the new life of the end log is not durable; it holds in memory"
            );
        }
    }

    /// Takes over an end that a peer told of, wherever it happened. It stands in the own log from then
    /// on, so that peers who could not be reached from there learn of it here (S-15).
    async fn apply_end(&self, end: End) -> Result<(), TakeEndError> {
        match &end {
            End::Tombstone { sso, .. } => {
                let sso = *sso;
                if let (Some(federation), Found::Record(session)) =
                    (&self.federation, self.parts.store.find(&sso))
                {
                    federation.note_visited(sso, &session.visited, self.parts.clock.now());
                }
                Ok(self.append_announcing(end, &[sso]).await?)
            }
            End::Moved {
                sso,
                holder,
                expires,
            } => {
                // What the disk does not take of the one may be told of by the other.
                let stepped_down = self.step_down(sso, holder).await;
                let (sso, expires) = (*sso, *expires);
                let outranking = self.outranking(&sso, holder);
                self.append_announcing(end, &[]).await?;
                stepped_down?;
                if let Some(holder) = outranking {
                    // Whoever ranks below steps down only when it hears of it (S-4).
                    let own = End::Moved {
                        sso,
                        holder,
                        expires,
                    };
                    self.note_end(own).await;
                }
                Ok(())
            }
            End::UserCutOff {
                store,
                subject,
                authenticated_before,
                ..
            } => {
                let sessions = self.parts.store.list_by_user(store, subject).await;
                let concerned: Vec<SsoId> = sessions
                    .iter()
                    .filter(|session| session.facts.first_authenticated < *authenticated_before)
                    .map(|session| session.facts.sso)
                    .collect();
                Ok(self.append_announcing(end, &concerned).await?)
            }
            End::ProviderCutOff { .. } => Ok(self.cut_off_provider(end).await?),
        }
    }
}
