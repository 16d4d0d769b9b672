//! Judges claims against records, and is the door [`SessionEngine`] of this engine.
//!
//! Judging reads what is in memory, and right after a start a record that was not taken up yet; signing in
//! and out are in `login` and `logout`.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::decision::adoption::Anchor;
use crate::decision::kept_posts::Kept;
use crate::decision::kept_posts::KeptPost;
use crate::engine::EmbeddedEngine;
use crate::engine::REPLACE_TRIES_MAX;
use crate::model::attribute::Attribute;
use crate::model::claim::Claim;
use crate::model::claim::NotLive;
use crate::model::end::ProviderEnd;
use crate::model::id::Nonce;
use crate::model::id::PostId;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::session::EndCause;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::session_engine::ChangePassword;
use crate::ports::session_engine::ChangePasswordError;
use crate::ports::session_engine::Ended;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;
use crate::ports::session_store::Found;
use crate::ports::session_store::Replaced;
use crate::ports::session_store::StoreError;

#[async_trait]
impl SessionEngine for EmbeddedEngine {
    fn lookup(&self, claim: &Claim, now: Timestamp) -> Lookup {
        match self.parts.store.find(&claim.facts.sso) {
            Found::Absent => self.absent(claim, now),
            Found::Ended => Lookup::NotLive(NotLive::Ended),
            Found::Record(session) => match self.weigh(&session, claim, now) {
                Judgement::Serves => Lookup::Live(session),
                Judgement::Refused(why) => Lookup::NotLive(why),
                Judgement::AskElsewhere(why) => self.ask_elsewhere(claim, why, now),
            },
        }
    }

    async fn resolve(&self, claim: &Claim, _: Timestamp) -> Lookup {
        self.resolve_claim(claim).await
    }

    fn is_standing(&self, sso: &SsoId) -> bool {
        let found = self.parts.store.find(sso);
        matches!(found, Found::Record(session) if session.state == SessionState::Live)
    }

    fn holder(&self, session: &Session) -> Option<Holder> {
        Some(Holder {
            cluster: self.cluster.clone(),
            session: session.id,
        })
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        self.parts.store.touch(sso, now);
    }

    async fn note(&self, sso: &SsoId, new: &[Attribute]) -> Result<(), StoreError> {
        self.note_attributes(sso, new).await
    }

    async fn sign_in(&self, request: SignIn) -> Result<Arc<Session>, SignInError> {
        self.begin_noting(request).await
    }

    async fn change_password(
        &self,
        request: ChangePassword,
    ) -> Result<Arc<Session>, ChangePasswordError> {
        self.change_noting(request).await
    }

    fn keep_post(&self, id: PostId, post: KeptPost, from: IpAddr) -> Kept {
        let now = self.parts.clock.now();
        self.posts.lock().keep(id, post, from, now)
    }

    fn take_post(&self, id: PostId, nonces: &[Nonce], host: &HostName) -> Option<KeptPost> {
        let now = self.parts.clock.now();
        self.posts.lock().take(id, nonces, host, now)
    }

    async fn visit(&self, claim: &Claim, host: &HostName) -> Lookup {
        self.note_visit(claim, host).await
    }

    fn spend(&self, token: TokenId, expires: Timestamp) -> bool {
        self.spent.spend(token, expires, self.parts.clock.now())
    }

    async fn end(&self, facts: &SsoFacts, cause: EndCause) -> Ended {
        self.end_session(facts, cause).await
    }

    async fn end_at_provider(&self, over: ProviderEnd) -> Result<(), StoreError> {
        self.end_elsewhere(over).await
    }

    fn watch_ended(&self) -> broadcast::Receiver<SsoId> {
        self.ended.subscribe()
    }
}

impl EmbeddedEngine {
    /// Whether a record serves a claim.
    fn weigh(&self, session: &Session, claim: &Claim, now: Timestamp) -> Judgement {
        let (own, theirs) = (&session.facts, &claim.facts);
        if session.state == SessionState::Ended {
            return Judgement::Refused(NotLive::Ended);
        }
        if own.subject != theirs.subject || own.store != theirs.store {
            return Judgement::Refused(NotLive::Mismatched);
        }
        if now >= own.expires.min(theirs.expires) {
            return Judgement::Refused(NotLive::Expired);
        }
        let limits = &claim.presented.limits;
        if limits.is_outlived(own.first_authenticated, now) {
            return Judgement::Refused(NotLive::ExpiredHere);
        }
        match session.state {
            SessionState::Moved { .. } | SessionState::Pending(_) | SessionState::Ended => {
                return Judgement::AskElsewhere(NotLive::Missing);
            }
            SessionState::Live if self.is_outranked(session, claim) => {
                return Judgement::AskElsewhere(NotLive::Missing);
            }
            SessionState::Live => {}
        }
        if !self.has_fresh_word(own, self.elsewhere(session, claim), now) {
            return Judgement::Refused(NotLive::LeaseOver);
        }
        let vouched = claim.last_access.map(|access| access.min(now));
        let noted = self.noted_access(session);
        let idle = now.since(vouched.map_or(noted, |vouched| vouched.max(noted)));
        if idle >= self.terms().idle_timeout {
            return Judgement::AskElsewhere(NotLive::Idle);
        }
        if limits.idle_timeout.is_some_and(|limit| idle >= limit) {
            return Judgement::AskElsewhere(NotLive::IdleHere);
        }
        Judgement::Serves
    }

    /// The other data centres that the record or the cookie names: each may know of an end (S-16). One that
    /// went on from the cookie alone is named by the cookie only.
    fn elsewhere<'c>(
        &'c self,
        session: &'c Session,
        claim: &'c Claim,
    ) -> impl Iterator<Item = &'c ClusterId> {
        let aliases = session.aliases.iter().map(|holder| &holder.cluster);
        let hinted = claim.hints.iter().map(|hint| &hint.holder.cluster);
        let named = aliases.chain(hinted).chain([&claim.cluster]);
        named.filter(|cluster| **cluster != self.cluster)
    }

    /// The last access of a session that has a record here: the one in the record may be older (S-20).
    pub(super) fn noted_access(&self, session: &Session) -> Timestamp {
        let noted = self.parts.store.last_access(&session.facts.sso);
        noted.map_or(session.last_access, |noted| noted.max(session.last_access))
    }

    /// What is to be said of a session that has no record here.
    fn absent(&self, claim: &Claim, now: Timestamp) -> Lookup {
        let facts = &claim.facts;
        let cut_off = self.parts.ends.cut_off(&facts.store, &facts.subject);
        if cut_off.is_some_and(|before| facts.first_authenticated < before) {
            return Lookup::NotLive(NotLive::Ended);
        }
        if now >= facts.expires {
            return Lookup::NotLive(NotLive::Expired);
        }
        // Whatever is held elsewhere, it is not brought here for this.
        let limits = &claim.presented.limits;
        if limits.is_outlived(facts.first_authenticated, now) {
            return Lookup::NotLive(NotLive::ExpiredHere);
        }
        if !self.has_fresh_word(facts, std::iter::empty(), now) {
            return Lookup::NotLive(NotLive::LeaseOver);
        }
        if self.chain_of(claim, None).is_empty() {
            return Lookup::NotLive(NotLive::Missing);
        }
        self.ask_elsewhere(claim, NotLive::Missing, now)
    }

    /// Leaves a claim to [`SessionEngine::resolve`], where there is anybody to ask and nobody was asked a
    /// moment ago.
    fn ask_elsewhere(&self, claim: &Claim, otherwise: NotLive, now: Timestamp) -> Lookup {
        let Some(federation) = &self.federation else {
            return Lookup::NotLive(otherwise);
        };
        match federation
            .refusals
            .given(&claim.facts.sso, &claim.presented, now)
        {
            Some(why) => Lookup::NotLive(why),
            None => Lookup::Unknown,
        }
    }

    /// Whether a cookie knows of a later holder than the record (S-4).
    pub(super) fn is_outranked(&self, session: &Session, claim: &Claim) -> bool {
        self.federation.as_ref().is_some_and(|federation| {
            federation.settings.adoption.anchor == Anchor::Anchored
                && claim.facts.generation > session.facts.generation
        })
    }

    /// Whether what is known of ends reaches far enough to honour a session whose chain names these data
    /// centres (S-15, S-16).
    fn has_fresh_word<'c>(
        &self,
        facts: &SsoFacts,
        chain: impl Iterator<Item = &'c ClusterId>,
        now: Timestamp,
    ) -> bool {
        let Some(federation) = &self.federation else {
            return true;
        };
        match federation.honours(chain, facts, now) {
            Ok(()) => true,
            Err(over) => {
                tracing::debug!(session = facts.sso.short_hash(), reason = %over, "the lease is over");
                false
            }
        }
    }

    async fn note_visit(&self, claim: &Claim, host: &HostName) -> Lookup {
        for _ in 0..REPLACE_TRIES_MAX {
            // The token may have been made in another data centre.
            let found = self.judge(claim, self.parts.clock.now()).await;
            let Lookup::Live(session) = &found else {
                return found;
            };
            if session.visited.contains(host) || session.visited.len() >= Session::VISITED_MAX {
                return found;
            }
            let mut visited = Session::clone(session);
            visited.visited.push(host.clone());
            match self.parts.store.replace_if_version(visited).await {
                Ok(Replaced::Replaced | Replaced::Stale(_)) => {}
                Ok(Replaced::Ended) => return Lookup::NotLive(NotLive::Ended),
                Ok(Replaced::Missing) => return Lookup::NotLive(NotLive::Missing),
                Err(error) => {
                    tracing::error!(
                        session = claim.facts.sso.short_hash(),
                        error = &error as &dyn std::error::Error,
                        "a visit could not be noted; its cookie will not be cleared at sign-out"
                    );
                    return found;
                }
            }
        }
        Lookup::NotLive(NotLive::Unanswered)
    }
}

/// What a record is worth to a claim.
enum Judgement {
    /// Another data centre may know more; if there is none to ask, it does not serve, for this reason.
    AskElsewhere(NotLive),
    /// It does not serve.
    Refused(NotLive),
    /// It serves.
    Serves,
}
