//! The door to the sessions of this process, which can be shut while they are handed over to another one, and leads
//! there afterwards.
//!
//! While it is shut, questions wait; what can neither wait nor be answered is put aside. Before, while it settles, only
//! new sign-ins wait: those that are under way may be many, and take long. In what order it is shut and opened is
//! `succession`'s matter.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::broadcast;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::admin::SuccessorEngine;
use crate::decision::kept_posts::Kept;
use crate::decision::kept_posts::KeptPost;
use crate::engine::EmbeddedEngine;
use crate::model::attribute::Attribute;
use crate::model::claim::Claim;
use crate::model::end::ProviderEnd;
use crate::model::id::Nonce;
use crate::model::id::PostId;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::peer::Answer;
use crate::model::peer::Question;
use crate::model::session::EndCause;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::peer_service::PeerService;
use crate::ports::session_engine::ChangePassword;
use crate::ports::session_engine::ChangePasswordError;
use crate::ports::session_engine::Ended;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;
use crate::ports::session_store::StoreError;

/// The door of a process with an engine of its own.
pub(super) struct Door {
    own: Arc<EmbeddedEngine>,
    successor: OnceLock<Arc<SuccessorEngine>>,
    /// Where it leads. Whoever waits is told of it by `turned`.
    leads: AtomicUsize,
    turned: watch::Sender<()>,
    /// Those who sign in or change a password here.
    signing_in: Crowd,
    /// Whoever else is being answered here.
    within: Crowd,
    aside: Mutex<Aside>,
}

/// What came while the door was shut and is to be done once it is not.
#[derive(Default)]
struct Aside {
    touched: BTreeMap<SsoId, Timestamp>,
    posts: Vec<(PostId, KeptPost, IpAddr)>,
}

/// Whom a question goes to.
enum Way<'d> {
    Here(Within<'d>),
    There(&'d SuccessorEngine),
}

/// How many there are, and word of it when there are none.
#[derive(Default)]
struct Crowd {
    count: AtomicUsize,
    is_gone: Notify,
}

/// A question that is being answered here; the sessions stay for as long.
pub(super) struct Within<'d>(&'d Crowd);

impl Crowd {
    fn enter(&self) -> Within<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        Within(self)
    }

    /// Waits until there are none.
    async fn gone(&self) {
        loop {
            let mut gone = pin!(self.is_gone.notified());
            gone.as_mut().enable();
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            gone.await;
        }
    }
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.is_gone.notify_waiters();
        }
    }
}

impl Door {
    pub(super) fn new(own: Arc<EmbeddedEngine>) -> Self {
        Self {
            own,
            successor: OnceLock::new(),
            leads: AtomicUsize::new(HERE),
            turned: watch::Sender::new(()),
            signing_in: Crowd::default(),
            within: Crowd::default(),
            aside: Mutex::default(),
        }
    }

    /// Has new sign-ins wait, and nobody else, until those that are under way are done; whether that came to be in
    /// time. They wait on until the door is opened or leads elsewhere.
    pub(super) async fn settle(&self, limit: Duration) -> bool {
        self.leads.store(HERE_BUT_SIGN_INS, Ordering::SeqCst);
        timeout(limit, self.signing_in.gone()).await.is_ok()
    }

    /// Lets nobody in any more, and waits until everybody is out; whether that came to be in time.
    pub(super) async fn shut(&self, limit: Duration) -> bool {
        self.leads.store(NOWHERE, Ordering::SeqCst);
        let empty = async {
            self.signing_in.gone().await;
            self.within.gone().await;
        };
        timeout(limit, empty).await.is_ok()
    }

    /// Leads to the engine here again.
    pub(super) fn open(&self) {
        self.leads.store(HERE, Ordering::SeqCst);
        self.turned.send_replace(());
        let Aside { touched, posts } = std::mem::take(&mut *self.aside.lock());
        for (sso, at) in touched {
            self.own.touch(&sso, at);
        }
        for (id, post, from) in posts {
            self.own.keep_post(id, post, from);
        }
    }

    /// Leads to the process that has followed this one, for good.
    pub(super) fn lead_to(&self, successor: Arc<SuccessorEngine>) {
        let successor = self.successor.get_or_init(|| successor);
        self.leads.store(THERE, Ordering::SeqCst);
        self.turned.send_replace(());
        let Aside { touched, posts } = std::mem::take(&mut *self.aside.lock());
        for (sso, at) in touched {
            successor.touch(&sso, at);
        }
        for (id, post, from) in posts {
            successor.keep_post(id, post, from);
        }
    }

    /// The engine of the process that has followed this one.
    pub(super) fn successor(&self) -> Option<&Arc<SuccessorEngine>> {
        self.successor.get()
    }

    /// Keeps the sessions here for as long as the answer is held; none where they are being handed over.
    pub(super) fn stay(&self) -> Option<Within<'_>> {
        let within = self.within.enter();
        self.is_here().then_some(within)
    }

    /// The same for somebody who is about to sign in.
    fn sign_in_here(&self) -> Option<Within<'_>> {
        let within = self.signing_in.enter();
        (self.leads.load(Ordering::SeqCst) == HERE).then_some(within)
    }

    async fn way(&self) -> Way<'_> {
        self.way_by(Self::stay).await
    }

    async fn way_by<'d>(&'d self, stay: fn(&'d Self) -> Option<Within<'d>>) -> Way<'d> {
        loop {
            let mut turned = self.turned.subscribe();
            if let Some(within) = stay(self) {
                return Way::Here(within);
            }
            if let Some(successor) = self.there() {
                return Way::There(successor);
            }
            turned.changed().await.ok();
        }
    }

    /// The engine of the process that has followed, if the door leads there by now.
    fn there(&self) -> Option<&SuccessorEngine> {
        let successor = self.successor.get()?;
        (self.leads.load(Ordering::SeqCst) == THERE).then_some(successor)
    }

    fn is_here(&self) -> bool {
        matches!(self.leads.load(Ordering::SeqCst), HERE | HERE_BUT_SIGN_INS)
    }
}

#[async_trait]
impl SessionEngine for Door {
    fn lookup(&self, claim: &Claim, now: Timestamp) -> Lookup {
        if self.is_here() {
            return self.own.lookup(claim, now);
        }
        let there = self.there();
        there.map_or(Lookup::Unknown, |successor| successor.lookup(claim, now))
    }

    async fn resolve(&self, claim: &Claim, now: Timestamp) -> Lookup {
        match self.way().await {
            Way::Here(_within) => self.own.resolve(claim, now).await,
            Way::There(successor) => successor.resolve(claim, now).await,
        }
    }

    /// While the door is shut nothing ends.
    fn is_standing(&self, sso: &SsoId) -> bool {
        match self.there() {
            None => self.own.is_standing(sso),
            Some(successor) => successor.is_standing(sso),
        }
    }

    fn holder(&self, session: &Session) -> Option<Holder> {
        self.own.holder(session)
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        if self.is_here() {
            self.own.touch(sso, now);
        } else if let Some(successor) = self.there() {
            successor.touch(sso, now);
        } else {
            let mut aside = self.aside.lock();
            if aside.touched.len() < TOUCHED_MAX {
                aside.touched.insert(*sso, now);
            }
        }
    }

    async fn note(&self, sso: &SsoId, new: &[Attribute]) -> Result<(), StoreError> {
        match self.way().await {
            Way::Here(_within) => SessionEngine::note(&*self.own, sso, new).await,
            Way::There(successor) => successor.note(sso, new).await,
        }
    }

    async fn sign_in(&self, request: SignIn) -> Result<Arc<Session>, SignInError> {
        match self.way_by(Self::sign_in_here).await {
            Way::Here(_within) => self.own.sign_in(request).await,
            Way::There(successor) => successor.sign_in(request).await,
        }
    }

    async fn change_password(
        &self,
        request: ChangePassword,
    ) -> Result<Arc<Session>, ChangePasswordError> {
        match self.way_by(Self::sign_in_here).await {
            Way::Here(_within) => self.own.change_password(request).await,
            Way::There(successor) => successor.change_password(request).await,
        }
    }

    async fn visit(&self, claim: &Claim, host: &HostName) -> Lookup {
        match self.way().await {
            Way::Here(_within) => self.own.visit(claim, host).await,
            Way::There(successor) => successor.visit(claim, host).await,
        }
    }

    fn spend(&self, token: TokenId, expires: Timestamp) -> bool {
        match self.stay() {
            Some(_within) => self.own.spend(token, expires),
            None => false,
        }
    }

    async fn spend_once(&self, token: TokenId, expires: Timestamp) -> bool {
        match self.way().await {
            Way::Here(_within) => self.own.spend_once(token, expires).await,
            Way::There(successor) => successor.spend_once(token, expires).await,
        }
    }

    fn keep_post(&self, id: PostId, post: KeptPost, from: IpAddr) -> Kept {
        if let Some(_within) = self.stay() {
            return self.own.keep_post(id, post, from);
        }
        if let Some(successor) = self.there() {
            return successor.keep_post(id, post, from);
        }
        let mut aside = self.aside.lock();
        if aside.posts.len() >= POSTS_MAX {
            return Kept::No;
        }
        aside.posts.push((id, post, from));
        Kept::Yes
    }

    /// While the door is shut there is none: it may be on its way to the other process, and is good once (D-22).
    fn take_post(&self, id: PostId, nonces: &[Nonce], host: &HostName) -> Option<KeptPost> {
        match self.stay() {
            Some(_within) => self.own.take_post(id, nonces, host),
            None => self.there()?.take_post(id, nonces, host),
        }
    }

    async fn end(&self, facts: &SsoFacts, cause: EndCause) -> Ended {
        match self.way().await {
            Way::Here(_within) => self.own.end(facts, cause).await,
            Way::There(successor) => successor.end(facts, cause).await,
        }
    }

    async fn end_at_provider(&self, over: ProviderEnd) -> Result<(), StoreError> {
        match self.way().await {
            Way::Here(_within) => self.own.end_at_provider(over).await,
            Way::There(successor) => successor.end_at_provider(over).await,
        }
    }

    /// What ends at the process that has followed is told here as well.
    fn watch_ended(&self) -> broadcast::Receiver<SsoId> {
        self.own.watch_ended()
    }
}

#[async_trait]
impl PeerService for Door {
    async fn answer(&self, from: &ClusterId, question: Question) -> Answer {
        match self.way().await {
            Way::Here(_within) => self.own.answer(from, question).await,
            Way::There(successor) => successor.answer(from, question).await,
        }
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

const HERE: usize = 0;
const NOWHERE: usize = 1;
const THERE: usize = 2;
const HERE_BUT_SIGN_INS: usize = 3;
/// Accesses that are put aside for the moment of a hand-over.
const TOUCHED_MAX: usize = 1 << 16;
const POSTS_MAX: usize = 64;
