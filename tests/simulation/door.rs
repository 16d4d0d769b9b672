//! The door of a data centre as the witness watches it: every judgement, sign-in and end passes here.
//!
//! Behind it stands one engine, or, where single flight is mutated away, two over the same store.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use portway::engine::EmbeddedEngine;
use portway::model::claim::Claim;
use portway::model::id::SsoId;
use portway::model::id::TokenId;
use portway::model::name::HostName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::EndCause;
use portway::model::session::Holder;
use portway::model::session::Session;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;
use portway::ports::session_engine::Ended;
use portway::ports::session_engine::Lookup;
use portway::ports::session_engine::SessionEngine;
use portway::ports::session_engine::SignIn;
use portway::ports::session_engine::SignInError;
use portway::ports::session_store::StoreError;
use tokio::sync::broadcast;

use crate::event::Dc;
use crate::event::Durability;
use crate::event::Event;
use crate::event::Judgement;
use crate::event::Took;
use crate::executor::Handle;
use crate::mutant;
use crate::mutant::Mutation;
use crate::witness::Witness;

/// Watches the door.
pub(crate) struct Door {
    pub(crate) dc: Dc,
    pub(crate) engines: Vec<Arc<EmbeddedEngine>>,
    pub(crate) turn: AtomicUsize,
    pub(crate) handle: Handle,
    pub(crate) witness: Arc<Witness>,
    pub(crate) mutation: Option<Mutation>,
}

impl Door {
    /// Whose turn it is.
    /// Cuts a user off, at the node whose turn it is.
    pub(crate) async fn end_all(
        &self,
        store: &StoreName,
        subject: &UserName,
    ) -> Result<usize, StoreError> {
        let ended = self.engine().end_all(store, subject).await;
        let durability = durability(&ended);
        let noted = Event::CutOffAnswered(self.dc, subject, durability);
        self.witness.note(&noted);
        ended
    }

    fn engine(&self) -> &EmbeddedEngine {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        &self.engines[turn % self.engines.len()]
    }

    fn note(&self, claim: &Claim, lookup: &Lookup, took: Took) {
        let result = match lookup {
            Lookup::Live(session) => Ok(session.as_ref()),
            Lookup::NotLive(why) => Err(Some(*why)),
            Lookup::Unknown => Err(None),
        };
        let judged = Event::Judged(self.dc, claim, Judgement { result, took });
        self.witness.note(&judged);
    }
}

/// Notes that nobody waits for an answer any more, unless it came.
struct Waiting<'d> {
    door: &'d Door,
    kind: Kind,
    is_over: bool,
}

enum Kind {
    Resolving(SsoId),
    SigningIn,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let dc = self.door.dc;
        self.door.witness.note(&match self.kind {
            Kind::Resolving(sso) => Event::GaveUp(dc, sso),
            Kind::SigningIn => Event::SignedIn(dc, None, None),
        });
    }
}

#[async_trait]
impl SessionEngine for Door {
    fn lookup(&self, claim: &Claim, now: Timestamp) -> Lookup {
        let lookup = self
            .engine()
            .lookup(&mutant::claim(self.mutation, claim), now);
        self.note(claim, &lookup, Took::Nothing);
        lookup
    }

    async fn resolve(&self, claim: &Claim, now: Timestamp) -> Lookup {
        let begun = self.handle.now();
        self.witness.note(&Event::Resolving(self.dc, claim));
        let mut waiting = Waiting {
            door: self,
            kind: Kind::Resolving(claim.facts.sso),
            is_over: false,
        };
        let presented = mutant::claim(self.mutation, claim);
        let lookup = self.engine().resolve(&presented, now).await;
        waiting.is_over = true;
        let took = Duration::from_millis(self.handle.now() - begun);
        self.note(claim, &lookup, Took::Time(took));
        lookup
    }

    fn is_standing(&self, sso: &SsoId) -> bool {
        self.engine().is_standing(sso)
    }

    fn holder(&self, session: &Session) -> Option<Holder> {
        self.engine().holder(session)
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        self.engine().touch(sso, now);
        self.witness.note(&Event::Touched(self.dc, *sso));
    }

    async fn sign_in(&self, request: SignIn) -> Result<Arc<Session>, SignInError> {
        let replaced = request.replaces.clone();
        self.witness.note(&Event::SigningIn(self.dc));
        let mut waiting = Waiting {
            door: self,
            kind: Kind::SigningIn,
            is_over: false,
        };
        let signed_in = self.engine().sign_in(request).await;
        waiting.is_over = true;
        let session = signed_in.as_ref().ok().map(AsRef::as_ref);
        let noted = Event::SignedIn(self.dc, session, replaced.as_ref());
        self.witness.note(&noted);
        signed_in
    }

    async fn visit(&self, claim: &Claim, host: &HostName) -> Lookup {
        let begun = self.handle.now();
        self.witness.note(&Event::Resolving(self.dc, claim));
        let mut waiting = Waiting {
            door: self,
            kind: Kind::Resolving(claim.facts.sso),
            is_over: false,
        };
        let presented = mutant::claim(self.mutation, claim);
        let lookup = self.engine().visit(&presented, host).await;
        waiting.is_over = true;
        let took = Duration::from_millis(self.handle.now() - begun);
        let noted = Event::Visited(self.dc, claim, took);
        self.witness.note(&noted);
        lookup
    }

    fn spend(&self, token: TokenId, expires: Timestamp) -> bool {
        self.engines[0].spend(token, expires)
    }

    async fn end(&self, facts: &SsoFacts, cause: EndCause) -> Ended {
        let ended = self.engine().end(facts, cause).await;
        let durability = durability(&ended.durable);
        let noted = Event::EndAnswered(self.dc, facts, cause, durability);
        self.witness.note(&noted);
        ended
    }

    fn watch_ended(&self) -> broadcast::Receiver<SsoId> {
        self.engines[0].watch_ended()
    }
}

fn durability<T>(result: &Result<T, StoreError>) -> Durability {
    match result {
        Ok(_) => Durability::Durable,
        Err(_) => Durability::Memory,
    }
}
