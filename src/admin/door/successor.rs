//! The engine of a process that has handed its sessions over and ends its last requests: every question about a
//! session goes to the process that followed.
//!
//! Which sessions stop serving is heard as it happens. What was judged a moment ago holds for as long as that is
//! heard, so that streams are watched over without asking for each of them all the time. Silence is never a permit.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::admin::client;
use crate::admin::client::AskError;
use crate::admin::door::asking::DOOR;
use crate::admin::door::judged::Judged;
use crate::admin::door::outbox::Outbox;
use crate::admin::door::wire::Answer;
use crate::admin::door::wire::Question;
use crate::admin::door::wire::asked::PostAsked;
use crate::admin::door::wire::store_fault;
use crate::decision::kept_posts::Kept;
use crate::decision::kept_posts::KeptPost;
use crate::logbook::causes::with_causes;
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
use crate::model::peer;
use crate::model::session::EndCause;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::identity_provider::ChangeError;
use crate::ports::peer_service::PeerService;
use crate::ports::session_engine::ChangePassword;
use crate::ports::session_engine::ChangePasswordError;
use crate::ports::session_engine::Ended;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;
use crate::ports::session_store::StoreError;

/// The engine of the process that followed this one.
pub struct SuccessorEngine {
    pub(super) state_dir: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    judging: Semaphore,
    acting: Semaphore,
    /// Others than users have turns of their own: their questions may take a third node's time.
    peers: Semaphore,
    /// Sessions that have stopped serving since the hand-over.
    gone: Mutex<HashSet<SsoId>>,
    judged: Judged,
    /// When ends were heard of last, in milliseconds.
    heard: AtomicU64,
    outbox: Outbox,
    ended: broadcast::Sender<SsoId>,
}

impl SuccessorEngine {
    /// The engine behind the control socket of a state directory. What ends there is told by `ended`.
    #[must_use]
    pub fn new(state_dir: PathBuf, clock: Arc<dyn Clock>, ended: broadcast::Sender<SsoId>) -> Self {
        Self {
            state_dir,
            clock,
            judging: Semaphore::new(AT_ONCE),
            acting: Semaphore::new(AT_ONCE),
            peers: Semaphore::new(AT_ONCE),
            gone: Mutex::default(),
            judged: Judged::default(),
            heard: AtomicU64::new(UNHEARD),
            outbox: Outbox::default(),
            ended,
        }
    }

    /// Hears what ends, and tells of accesses, until the process ends. A process that follows the successor is
    /// found at the same place.
    pub async fn run(&self) {
        tokio::join!(self.listen(), self.tell());
    }

    /// Whether it is heard what ends.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        let heard = Timestamp::from_millis(self.heard.load(Ordering::Acquire));
        let now = self.clock.now();
        heard <= now && now.since(heard) < FRESH
    }

    /// Tells everything that is still to be told.
    pub async fn flush(&self) {
        for question in self.outbox.take() {
            if let Err(error) = self.ask(&self.acting, &question, ACT_WITHIN).await {
                tracing::warn!(error = %with_causes(&error), "the successor was not told of accesses");
            }
        }
    }

    async fn tell(&self) {
        loop {
            let news = self.outbox.news.notified();
            timeout(TELL_EVERY, news).await.ok();
            self.flush().await;
        }
    }

    async fn listen(&self) {
        loop {
            let heard = client::listen(&self.state_dir, ENDED, |line| self.hear(line)).await;
            self.heard.store(UNHEARD, Ordering::Release);
            if let Err(error) = heard {
                tracing::debug!(error = %with_causes(&error), "the successor is not heard");
            }
            self.clock.sleep(LISTEN_AGAIN).await;
        }
    }

    fn hear(&self, line: &[u8]) {
        if self.heard.load(Ordering::Acquire) == UNHEARD {
            self.judged.begin();
        }
        let now = self.clock.now().as_millis();
        self.heard.store(now, Ordering::Release);
        let Ok(Some(sso)) = serde_json::from_slice::<Option<SsoId>>(line) else {
            return;
        };
        let mut gone = self.gone.lock();
        if gone.len() >= GONE_MAX {
            // They are asked about one by one then, which is right and only slower.
            gone.clear();
        }
        gone.insert(sso);
        drop(gone);
        self.judged.forget(sso);
        // Nobody listens where no stream runs.
        self.ended.send(sso).ok();
    }

    async fn judge_by(&self, claim: &Claim, question: &Question) -> Lookup {
        let feed = self.judged.feed();
        let answer = self.ask(&self.judging, question, JUDGE_WITHIN).await;
        match answer {
            Ok(Answer::Live(session)) => {
                let session = Arc::new(*session);
                let asked = (feed, self.clock.now());
                self.judged.remember(claim, &session, asked);
                Lookup::Live(session)
            }
            Ok(Answer::NotLive(why)) => Lookup::NotLive(why),
            Ok(_) => Lookup::NotLive(NotLive::Unanswered),
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(%error, "the successor gave no answer about a session");
                Lookup::NotLive(NotLive::Unanswered)
            }
        }
    }
}

#[async_trait]
impl SessionEngine for SuccessorEngine {
    fn lookup(&self, claim: &Claim, now: Timestamp) -> Lookup {
        if self.gone.lock().contains(&claim.facts.sso) {
            return Lookup::NotLive(NotLive::Ended);
        }
        match self.judged.find(claim, now) {
            Some(session) if self.is_heard() => Lookup::Live(session),
            Some(_) | None => Lookup::Unknown,
        }
    }

    async fn resolve(&self, claim: &Claim, _: Timestamp) -> Lookup {
        self.judge_by(claim, &Question::Judge(claim.clone())).await
    }

    /// Whether nothing was heard of its end: whoever asks this has just been told that it stands.
    fn is_standing(&self, sso: &SsoId) -> bool {
        !self.gone.lock().contains(sso)
    }

    /// Whoever asks knows it: the data centre stays the same.
    fn holder(&self, _: &Session) -> Option<Holder> {
        None
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        self.outbox.touched(*sso, now);
    }

    async fn note(&self, sso: &SsoId, new: &[Attribute]) -> Result<(), StoreError> {
        let question = Question::Note {
            sso: *sso,
            attributes: new.to_vec(),
        };
        match self.ask(&self.acting, &question, ACT_WITHIN).await {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::NotNoted(said)) => Err(store_fault(NOTE, said)),
            other => Err(store_fault(NOTE, unexpected(other))),
        }
    }

    async fn sign_in(&self, request: SignIn) -> Result<Arc<Session>, SignInError> {
        let question = Question::SignIn((&request).into());
        match self.ask(&self.acting, &question, ACT_WITHIN).await {
            Ok(Answer::Begun(session)) => Ok(Arc::new(*session)),
            Ok(Answer::NotBegun(why)) => Err(why.into()),
            other => Err(store_fault(BEGIN, unexpected(other)).into()),
        }
    }

    async fn change_password(
        &self,
        request: ChangePassword,
    ) -> Result<Arc<Session>, ChangePasswordError> {
        let question = Question::ChangePassword((&request).into());
        match self.ask(&self.acting, &question, ACT_WITHIN).await {
            Ok(Answer::Begun(session)) => Ok(Arc::new(*session)),
            Ok(Answer::NotChanged(why)) => Err(why.into()),
            other => {
                let error = store_fault("change a password", unexpected(other));
                Err(ChangeError::Failed(Box::new(error)).into())
            }
        }
    }

    async fn visit(&self, claim: &Claim, host: &HostName) -> Lookup {
        let question = Question::Visit {
            claim: claim.clone(),
            host: host.clone(),
        };
        self.judge_by(claim, &question).await
    }

    /// Nobody can be asked without waiting, so none is spent here.
    fn spend(&self, _: TokenId, _: Timestamp) -> bool {
        false
    }

    async fn spend_once(&self, token: TokenId, expires: Timestamp) -> bool {
        let question = Question::Spend { token, expires };
        let answer = self.ask(&self.acting, &question, ACT_WITHIN).await;
        matches!(answer, Ok(Answer::Spent(true)))
    }

    fn keep_post(&self, id: PostId, post: KeptPost, from: IpAddr) -> Kept {
        if self.outbox.kept(PostAsked::new(id, &post, Some(from))) {
            Kept::Yes
        } else {
            Kept::No
        }
    }

    /// Waits for the answer, which is a matter of microseconds, or of a thousand times as long at most: nothing
    /// else comes between asking and answering here.
    fn take_post(&self, id: PostId, nonces: &[Nonce], host: &HostName) -> Option<KeptPost> {
        let question = Question::TakePost {
            id,
            nonces: nonces.to_vec(),
            host: host.clone(),
        };
        let body = serde_json::to_vec(&question).ok()?;
        let answer = client::ask_apart(&self.state_dir, DOOR, body, TAKE_WITHIN)?;
        match serde_json::from_slice(&answer) {
            Ok(Answer::Post(post)) => post.map(|post| post.into_post()),
            Ok(_) | Err(_) => None,
        }
    }

    async fn end(&self, facts: &SsoFacts, cause: EndCause) -> Ended {
        let question = Question::End {
            facts: facts.clone(),
            cause,
        };
        match self.ask(&self.acting, &question, ACT_WITHIN).await {
            Ok(Answer::Ended {
                cluster,
                visited,
                durable,
                peers,
            }) => Ended {
                cluster,
                visited,
                durable: durable.map_err(|said| store_fault(END, said)),
                peers,
            },
            other => Ended {
                cluster: None,
                visited: Vec::new(),
                durable: Err(store_fault(END, unexpected(other))),
                peers: Vec::new(),
            },
        }
    }

    async fn end_at_provider(&self, over: ProviderEnd) -> Result<(), StoreError> {
        let question = Question::EndAtProvider(over);
        match self.ask(&self.acting, &question, ACT_WITHIN).await {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::NotNoted(said)) => Err(store_fault(END, said)),
            other => Err(store_fault(END, unexpected(other))),
        }
    }

    fn watch_ended(&self) -> broadcast::Receiver<SsoId> {
        self.ended.subscribe()
    }
}

#[async_trait]
impl PeerService for SuccessorEngine {
    /// A successor that says nothing counts as a data centre that says nothing (S-19).
    async fn answer(&self, from: &ClusterId, question: peer::Question) -> peer::Answer {
        let question = Question::Peer {
            from: from.clone(),
            question: Box::new(question),
        };
        match self.ask(&self.peers, &question, JUDGE_WITHIN).await {
            Ok(Answer::Peer(answer)) => answer,
            other => {
                let error = unexpected(other);
                tracing::warn!(%error, peer = %from, "the successor gave no answer for another data centre");
                peer::Answer::Unknown
            }
        }
    }
}

impl std::fmt::Debug for SuccessorEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SuccessorEngine").finish_non_exhaustive()
    }
}

fn unexpected(answer: Result<Answer, AskError>) -> String {
    answer.map_or_else(
        |error| with_causes(&error),
        |_| "something that was not asked".to_owned(),
    )
}

/// They are not.
const UNHEARD: u64 = 0;
const ENDED: &str = "/v1/door/ended";
const BEGIN: &str = "begin a session";
const END: &str = "record an end";
const NOTE: &str = "note attributes";
/// Questions at a time, of each kind.
const AT_ONCE: usize = 16;
const GONE_MAX: usize = 1 << 16;
/// Without a word for so long, ends are not heard.
const FRESH: Duration = Duration::from_secs(1);
const JUDGE_WITHIN: Duration = Duration::from_secs(10);
/// A password takes its time, and may wait for others.
const ACT_WITHIN: Duration = Duration::from_secs(30);
const TAKE_WITHIN: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_millis(200);
const LISTEN_AGAIN: Duration = Duration::from_millis(50);
