//! Judges claims against records, and is the door [`SessionEngine`] of this engine.
//!
//! Judging reads only what is in memory; signing in and out are in `login` and `logout`.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::engine::EmbeddedEngine;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::EndCause;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::session_engine::Claim;
use crate::ports::session_engine::Ended;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::NotLive;
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
            Found::Absent => Lookup::NotLive(NotLive::Missing),
            Found::Ended => Lookup::NotLive(NotLive::Ended),
            Found::Record(session) => match self.judge(&session, claim, now) {
                Some(why) => Lookup::NotLive(why),
                None => Lookup::Live(session),
            },
        }
    }

    async fn resolve(&self, claim: &Claim, now: Timestamp) -> Lookup {
        self.lookup(claim, now)
    }

    fn is_standing(&self, sso: &SsoId) -> bool {
        let found = self.parts.store.find(sso);
        matches!(found, Found::Record(session) if session.state == SessionState::Live)
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        self.parts.store.touch(sso, now);
    }

    async fn sign_in(&self, request: SignIn) -> Result<Arc<Session>, SignInError> {
        self.begin(request).await
    }

    async fn visit(&self, claim: &Claim, host: &HostName) -> Lookup {
        self.note_visit(claim, host).await
    }

    fn spend(&self, token: TokenId, expires: Timestamp) -> bool {
        self.spent.spend(token, expires)
    }

    async fn end(&self, facts: &SsoFacts, cause: EndCause) -> Ended {
        self.end_session(facts, cause).await
    }

    async fn end_all(&self, store: &StoreName, subject: &UserName) -> Result<usize, StoreError> {
        self.cut_off(store, subject).await
    }

    fn watch_ended(&self) -> broadcast::Receiver<SsoId> {
        self.ended.subscribe()
    }
}

impl EmbeddedEngine {
    /// Why a record does not serve a claim; `None` when it does.
    fn judge(&self, session: &Session, claim: &Claim, now: Timestamp) -> Option<NotLive> {
        let (own, theirs) = (&session.facts, &claim.facts);
        match session.state {
            SessionState::Ended => return Some(NotLive::Ended),
            SessionState::Moved { .. } | SessionState::Pending => return Some(NotLive::Missing),
            SessionState::Live => {}
        }
        if own.subject != theirs.subject || own.store != theirs.store {
            return Some(NotLive::Mismatched);
        }
        if now >= own.expires.min(theirs.expires) {
            return Some(NotLive::Expired);
        }
        let last_access = self
            .parts
            .store
            .last_access(&own.sso)
            .unwrap_or(session.last_access);
        (now.since(last_access) >= self.settings.idle_timeout).then_some(NotLive::Idle)
    }

    async fn note_visit(&self, claim: &Claim, host: &HostName) -> Lookup {
        for _ in 0..REPLACE_TRIES_MAX {
            let found = self.lookup(claim, self.parts.clock.now());
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

/// Tries to replace a record that others keep changing before giving up.
const REPLACE_TRIES_MAX: usize = 16;
