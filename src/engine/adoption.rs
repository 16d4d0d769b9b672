//! Brings a session here that another data centre holds: does what `decision::adoption` says, one
//! adoption of an SSO session at a time (MDC-INDEX-3).
//!
//! What a data centre does when it is asked is in `peering`.

use std::time::Duration;

use futures_util::future::Either;
use futures_util::future::select;
use tokio::sync::futures::OwnedNotified;

use crate::decision::adoption::Adoption;
use crate::decision::adoption::Case;
use crate::decision::adoption::Creation;
use crate::decision::adoption::Effect;
use crate::decision::adoption::Input;
use crate::decision::adoption::Local;
use crate::decision::adoption::OnSilence;
use crate::decision::adoption::Outcome;
use crate::engine::EmbeddedEngine;
use crate::engine::audit;
use crate::engine::federation::Boarding;
use crate::engine::federation::Federation;
use crate::model::claim::Claim;
use crate::model::claim::HostLimits;
use crate::model::claim::NotLive;
use crate::model::claim::Place;
use crate::model::claim::Presented;
use crate::model::end::End;
use crate::model::id::AdoptionId;
use crate::model::id::SessionId;
use crate::model::name::ClusterId;
use crate::model::session::EndCause;
use crate::model::session::Holder;
use crate::model::session::Rank;
use crate::model::session::Release;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::entropy::id_bytes;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_store::Found;

impl EmbeddedEngine {
    /// Judges a claim, asking the other data centres where that may help. Of requests that come
    /// together one asks, and the others look when it is done.
    pub(super) async fn resolve_claim(&self, claim: &Claim) -> Lookup {
        let Some(federation) = &self.federation else {
            return self.lookup(claim, self.parts.clock.now());
        };
        let sso = claim.facts.sso;
        let begun = self.parts.clock.now();
        let deadline = federation.settings.adoption.deadline();
        for _ in 0..LOOKS_MAX {
            let now = self.parts.clock.now();
            let known = self.lookup(claim, now);
            if !matches!(known, Lookup::Unknown) {
                return known;
            }
            // Whoever has waited for another's adoption has that much less time for an own one (S-7).
            let rest = deadline.saturating_sub(now.since(begun));
            let found = match federation.board(sso) {
                Boarding::Wait(bell) => self.wait_for(bell, rest).await,
                Boarding::Lead(_flight) => self.lead(federation, claim, rest).await,
            };
            if let Some(found) = found {
                return found;
            }
        }
        Lookup::NotLive(NotLive::Unanswered)
    }

    /// Waits for whoever has the lead; an answer only where that takes too long.
    async fn wait_for(&self, bell: OwnedNotified, rest: Duration) -> Option<Lookup> {
        let rung = std::pin::pin!(bell);
        match select(rung, self.parts.clock.sleep(rest)).await {
            Either::Left(_) => None,
            Either::Right(_) => Some(Lookup::NotLive(NotLive::Unanswered)),
        }
    }

    /// Brings the session here; none where that worked, so that it is to be looked up.
    async fn lead(&self, federation: &Federation, claim: &Claim, rest: Duration) -> Option<Lookup> {
        // Whoever had the lead before may have finished since the last look.
        let known = self.lookup(claim, self.parts.clock.now());
        if !matches!(known, Lookup::Unknown) {
            return Some(known);
        }
        let Some(_seat) = federation.seat(claim.presented.client_address) else {
            // That is the address's own affair: another one may ask for this session at once.
            return Some(Lookup::NotLive(NotLive::Unanswered));
        };
        let sso = claim.facts.sso;
        let Err(why) = self.bring_here(federation, claim, rest).await else {
            federation.refusals.forget(&sso);
            return None;
        };
        tracing::info!(
            user = claim.facts.subject.as_str(),
            session = sso.short_hash(),
            reason = ?why,
            "session not adopted"
        );
        let now = self.parts.clock.now();
        federation.refusals.note(sso, &claim.presented, why, now);
        Some(Lookup::NotLive(why))
    }

    /// Commits releases whose outcome is not known, after a crash or a silence (S-6). A copy is promoted
    /// by a request only, never from here.
    pub async fn settle_pending(&self) {
        let Some(federation) = &self.federation else {
            return;
        };
        for pending in self.parts.store.pending(SETTLE_MAX) {
            let SessionState::Pending(release) = &pending.state else {
                continue;
            };
            let Boarding::Lead(_flight) = federation.board(pending.facts.sso) else {
                continue;
            };
            let local = Local::Pending(Box::new(Session::clone(&pending)));
            let mut case = self.case(federation, &claim_of(&pending, release), local);
            case.policy.on_silence = OnSilence::Challenge;
            case.policy.retries = 0;
            // Nobody waits for this.
            case.silent.clear();
            // Why it is not settled is in the log; it is tried again.
            self.adopt(case).await.ok();
        }
    }

    async fn bring_here(
        &self,
        federation: &Federation,
        claim: &Claim,
        rest: Duration,
    ) -> Result<(), NotLive> {
        let local = match self.parts.store.find(&claim.facts.sso) {
            Found::Absent => Local::Absent,
            Found::Ended => return Err(NotLive::Ended),
            Found::Record(record) => {
                let mut session = Box::new(Session::clone(&record));
                session.last_access = self.noted_access(&record);
                match &record.state {
                    SessionState::Ended => return Err(NotLive::Ended),
                    SessionState::Pending(_) => Local::Pending(session),
                    SessionState::Moved { .. } => Local::Stub(session),
                    SessionState::Live if self.is_outranked(&record, claim) => {
                        Local::Outranked(session)
                    }
                    SessionState::Live => {
                        return self.reconcile_idle(federation, claim, &record).await;
                    }
                }
            }
        };
        let mut case = self.case(federation, claim, local);
        case.policy = case.policy.within(rest);
        self.adopt(case).await
    }

    /// Does what the machine says until it is done.
    async fn adopt(&self, case: Case) -> Result<(), NotLive> {
        let facts = case.facts.clone();
        let mut stands = !matches!(case.local, Local::Absent);
        let mut questions = 0_u32;
        let mut announced = None;
        let begun = self.parts.clock.now();
        let (mut adoption, mut effect) = Adoption::begin(case, begun);
        loop {
            let input = match effect {
                Effect::Finish(outcome) => {
                    self.tell_outcome(&facts, &outcome, questions, begun);
                    self.note_silence(&facts.sso, adoption.fell_silent(), begun);
                    return self.conclude(&facts, outcome).await;
                }
                Effect::Ask {
                    peer,
                    question,
                    limit,
                } => {
                    questions = questions.saturating_add(1);
                    let answer = self.ask_for_adoption(&peer, *question, limit).await;
                    answer.map_or_else(Input::Silence, Input::Answer)
                }
                Effect::Announce(holder) => {
                    self.announce_rank(&facts, holder.clone()).await;
                    announced = Some(holder);
                    Input::Announced
                }
                Effect::Wait(span) => {
                    self.parts.clock.sleep(span).await;
                    Input::Waited
                }
                Effect::Reread => Input::Reread(self.reread(&facts).await),
                Effect::Keep(session) => {
                    let kept = match stands {
                        true => self.keep_over(*session).await,
                        false => self.keep_first(*session).await,
                    };
                    stands = true;
                    self.yield_to_higher(&facts, announced.take()).await;
                    Input::Kept(kept)
                }
            };
            effect = adoption.handle(input, self.parts.clock.now());
        }
    }

    fn tell_outcome(&self, facts: &SsoFacts, outcome: &Outcome, questions: u32, begun: Timestamp) {
        if let Some(federation) = &self.federation {
            federation.adoptions.note(outcome);
        }
        if *outcome != Outcome::Serve {
            return;
        }
        let took = self.parts.clock.now().since(begun).as_millis();
        tracing::info!(
            user = facts.subject.as_str(),
            session = facts.sso.short_hash(),
            questions,
            milliseconds = u64::try_from(took).unwrap_or(u64::MAX),
            "session adopted"
        );
        self.audit.note(audit::adopted(facts));
    }

    pub(super) async fn conclude(&self, facts: &SsoFacts, outcome: Outcome) -> Result<(), NotLive> {
        match outcome {
            Outcome::Serve => {
                self.note_if_crowded(facts).await;
                Ok(())
            }
            Outcome::Ended => {
                let end = End::Tombstone {
                    sso: facts.sso,
                    cause: EndCause::LoggedOut,
                    expires: facts.expires,
                };
                self.note_end(end).await;
                Err(NotLive::Ended)
            }
            Outcome::CutOff => {
                if let Err(error) = self.end_all(&facts.store, &facts.subject).await {
                    tracing::error!(
                        user = facts.subject.as_str(),
                        error = &error as &dyn std::error::Error,
                        "a cut-off is not durable; it holds in memory"
                    );
                }
                Err(NotLive::Disabled)
            }
            Outcome::Refuse(why) => Err(why),
        }
    }

    async fn announce_rank(&self, facts: &SsoFacts, holder: Rank) {
        self.note_end(moved(facts, holder)).await;
    }

    fn case(&self, federation: &Federation, claim: &Claim, local: Local) -> Case {
        let now = self.parts.clock.now();
        let entropy = self.parts.entropy.as_ref();
        let record = match &local {
            Local::Absent => None,
            Local::Outranked(record) | Local::Pending(record) | Local::Stub(record) => Some(record),
        };
        let mut candidates = Vec::new();
        if let Some(record) = record
            && let SessionState::Moved { to, .. } = &record.state
            && federation.peer(to).is_some()
        {
            candidates.push(to.clone());
        }
        for cluster in self.chain_of(claim, record.map(AsRef::as_ref)) {
            if !candidates.contains(&cluster) {
                candidates.push(cluster);
            }
        }
        let mut facts = claim.facts.clone();
        if let Some(record) = record {
            facts.generation = facts.generation.max(record.facts.generation);
            if let SessionState::Moved { generation, .. } = &record.state {
                facts.generation = facts.generation.max(*generation);
            }
            facts.expires = facts.expires.min(record.facts.expires);
        }
        // With a record here the cookie's word is not all there is (S-5, S-6).
        let creation = if federation.may_create(now).is_err() {
            Creation::LeaseOver
        } else if record.is_some() {
            Creation::Allowed
        } else {
            match federation.peer(self.origin(claim)) {
                None => Creation::NoOrigin,
                Some(origin) if origin.is_beyond_skew() => Creation::Skew,
                Some(_) => Creation::Allowed,
            }
        };
        Case {
            own: self.cluster.clone(),
            policy: federation.settings.adoption,
            facts,
            presented: claim.presented,
            local,
            candidates,
            silent: federation.refusals.silent(&claim.facts.sso, now),
            chain: chain(claim),
            last_access: claim.last_access.map(|access| access.min(now)),
            idle_timeout: self.terms().idle_timeout,
            creation,
            adoption: AdoptionId::from_bytes(id_bytes(entropy)),
            session: SessionId::from_bytes(id_bytes(entropy)),
        }
    }

    /// The data centre whose word is wanting where no record stands here: the one that issued the cookie. That
    /// is not this one if a GITO cookie says that the session was used elsewhere since: what stood here may
    /// have gone for want of requests, and the session is where it was last (MDC-ADOPT-5).
    fn origin<'c>(&self, claim: &'c Claim) -> &'c ClusterId {
        let newest = claim.hints.first().map(|hint| &hint.holder.cluster);
        match newest {
            Some(elsewhere) if claim.cluster == self.cluster => elsewhere,
            _ => &claim.cluster,
        }
    }

    /// The configured data centres that a claim or a record names, newest last access first (S-7).
    pub(super) fn chain_of(&self, claim: &Claim, record: Option<&Session>) -> Vec<ClusterId> {
        let hinted = claim.hints.iter().map(|hint| &hint.holder.cluster);
        let aliases = record.into_iter().flat_map(|record| &record.aliases);
        let named = hinted
            .chain(std::iter::once(&claim.cluster))
            .chain(aliases.rev().map(|holder| &holder.cluster));
        let mut chain: Vec<ClusterId> = Vec::new();
        for cluster in named {
            let is_peer = self.parts.peers.peers().contains(cluster);
            if is_peer && !chain.contains(cluster) {
                chain.push(cluster.clone());
            }
        }
        chain
    }
}

fn moved(facts: &SsoFacts, holder: Rank) -> End {
    End::Moved {
        sso: facts.sso,
        holder,
        expires: facts.expires,
    }
}

/// What the cookies say that other data centres hold, the latest last.
fn chain(claim: &Claim) -> Vec<Holder> {
    let mut chain: Vec<Holder> = claim.hints.iter().map(|hint| hint.holder.clone()).collect();
    chain.reverse();
    chain.push(Holder {
        cluster: claim.cluster.clone(),
        session: claim.session,
    });
    chain
}

/// What a pending copy itself claims, when no browser is there to do it.
fn claim_of(pending: &Session, release: &Release) -> Claim {
    Claim {
        facts: pending.facts.clone(),
        cluster: release.from.clone(),
        session: pending.id,
        hints: Vec::new(),
        last_access: Some(pending.last_access),
        presented: Presented {
            at: Place::Application,
            client_address: pending.client_address,
            limits: HostLimits::NONE,
        },
    }
}

/// Looks at a session in one request: whoever waited looks again, and a record may change meanwhile.
const LOOKS_MAX: usize = 3;
/// Pending copies settled in one step.
const SETTLE_MAX: usize = 256;
