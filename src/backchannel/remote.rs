//! The engine of a gate that has none of its own: the port [`SessionEngine`] over the back-channel, with a
//! primary list (the own data centre) and a secondary one (other data centres) (M-055, MDC-TOPO-2).
//!
//! What an engine said of a session is kept and serves the hot path without waiting, for as long as the
//! gate follows what ends there: nothing is honoured on knowledge older than [`FRESH`]. Loses the gate an
//! engine, it asks the next; it goes home as soon as its own data centre is back. Silence of all is never
//! a permit. Nothing is decided about users here; the engines do that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::sync::broadcast;

use crate::backchannel::Reloaded;
use crate::backchannel::StartError;
use crate::backchannel::TrustError;
use crate::backchannel::World;
use crate::backchannel::gate_wire::GateAnswer;
use crate::backchannel::gate_wire::GateClaim;
use crate::backchannel::gate_wire::GateQuestion;
use crate::backchannel::remote::known::Known;
use crate::backchannel::remote::known::Remembered;
use crate::backchannel::remote::node::EngineNode;
use crate::backchannel::remote::outbox::Outbox;
use crate::backchannel::trust::Trust;
use crate::config::mdc;
use crate::decision::upstream::Tiers;
use crate::engine::spent::SpentTokens;
use crate::model::claim::Claim;
use crate::model::claim::NotLive;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::name::HostName;
use crate::model::peer::Silence;
use crate::model::session::EndCause;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::cookie_terms::CookieTerms;
use crate::ports::session_engine::Ended;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;
use crate::ports::session_store::StoreError;

mod asking;
mod follow;
mod known;
mod lines;
mod node;
mod outbox;
mod terms;
#[cfg(test)]
pub(in crate::backchannel) mod tests;

/// The engines of a gate that has none of its own.
pub struct RemoteEngine {
    nodes: Tiers<Arc<EngineNode>>,
    known: Known,
    outbox: Outbox,
    spent: SpentTokens,
    ended: broadcast::Sender<SsoId>,
    /// How long an engine may take to answer.
    timeout: Duration,
    clock: Arc<dyn Clock>,
    trust: Option<Arc<Trust>>,
    /// What holds about cookies at the data centres of the engines.
    terms: Arc<CookieTerms>,
    is_told: Notify,
}

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum RemoteFault {
    #[error("the engine has it in memory only")]
    NotDurable,
    #[error("users sign in at an engine, and this node is a gate only")]
    GateOnly,
    #[error("no engine answered")]
    Silent(#[source] Silence),
}

impl RemoteEngine {
    /// Reads and checks the certificates and puts the lines to the engines together. Nothing is connected
    /// before [`Self::run`].
    ///
    /// # Errors
    /// When a certificate, key or CA file cannot be used, or a password is missing.
    pub fn new(
        config: &mdc::RemoteEngine,
        world: &World,
        read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, StartError> {
        let lines = lines::lines(config, world, read)?;
        let engine = Self::of(lines.nodes, config, Arc::clone(&world.clock));
        Ok(Self {
            trust: Some(lines.trust),
            ..engine
        })
    }

    fn of(
        nodes: Tiers<Arc<EngineNode>>,
        config: &mdc::RemoteEngine,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (ended, _) = broadcast::channel(ENDED_BUFFER);
        Self {
            nodes,
            known: Known::new(config.cache_max, ended.clone()),
            outbox: Outbox::default(),
            spent: SpentTokens::default(),
            ended,
            timeout: config.timeout,
            clock,
            trust: None,
            terms: Arc::default(),
            is_told: Notify::new(),
        }
    }

    /// Whether an engine is followed, so that there is one to ask.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let now = self.clock.now();
        self.nodes.members().any(|(_, node)| node.is_followed(now))
    }

    /// Reads certificates, keys and CAs again; connections made with the earlier ones are replaced.
    ///
    /// # Errors
    /// When they cannot be used. Everything goes on as before, and the same fault is not answered again.
    pub fn reload(
        &self,
        read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<Reloaded, TrustError> {
        let trust = self.trust.as_ref();
        trust.map_or(Ok(Reloaded::Unchanged), |trust| trust.reload(read))
    }
}

#[async_trait]
impl SessionEngine for RemoteEngine {
    fn lookup(&self, claim: &Claim, now: Timestamp) -> Lookup {
        match self.known.get(&claim.facts.sso) {
            Some(Remembered::Ended) => Lookup::NotLive(NotLive::Ended),
            Some(Remembered::Held(held)) if held.serves(claim, now) && self.is_good(&held, now) => {
                Lookup::Live(Arc::clone(&held.session))
            }
            // Memory may have forgotten an end that was said here.
            None if self.outbox.holds(&claim.facts.sso) => Lookup::NotLive(NotLive::Ended),
            Some(Remembered::Held(_)) | None => Lookup::Unknown,
        }
    }

    async fn resolve(&self, claim: &Claim, _: Timestamp) -> Lookup {
        let question = GateQuestion::Judge {
            claim: GateClaim::from(claim),
        };
        self.judge_by(claim, question).await
    }

    /// Whether the gate has it from an engine and has heard of no end since. What it could not follow for
    /// long, it has forgotten.
    fn is_standing(&self, sso: &SsoId) -> bool {
        matches!(self.known.get(sso), Some(Remembered::Held(_)))
    }

    fn holder(&self, session: &Session) -> Option<Holder> {
        let Remembered::Held(held) = self.known.get(&session.facts.sso)? else {
            return None;
        };
        let is_same = held.session.id == session.id;
        let node = self.node(held.engine).filter(|_| is_same)?;
        Some(Holder {
            cluster: node.cluster().clone(),
            session: session.id,
        })
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        if let Some(Remembered::Held(held)) = self.known.get(sso)
            && held.touch(now)
        {
            self.outbox.touched(*sso);
        }
    }

    async fn sign_in(&self, _: SignIn) -> Result<Arc<Session>, SignInError> {
        Err(failed("sign a user in", RemoteFault::GateOnly).into())
    }

    async fn visit(&self, claim: &Claim, host: &HostName) -> Lookup {
        let question = GateQuestion::Visit {
            claim: GateClaim::from(claim),
            host: host.clone(),
        };
        self.judge_by(claim, question).await
    }

    fn spend(&self, token: TokenId, expires: Timestamp) -> bool {
        self.spent.spend(token, expires, self.clock.now())
    }

    /// A token that no engine takes note of is not good: another gate might take it too.
    async fn spend_once(&self, token: TokenId, expires: Timestamp) -> bool {
        if !self.spend(token, expires) {
            return false;
        }
        let question = GateQuestion::Spend { token, expires };
        let answered = self.ask(token.as_bytes(), &question).await;
        answered.is_ok_and(|answered| answered.answer == GateAnswer::Done)
    }

    /// Ends it here at once; if no engine answers, it is told later, and the user that it is not yet
    /// confirmed (S-15).
    async fn end(&self, facts: &SsoFacts, cause: EndCause) -> Ended {
        // Before anything else: whoever signs out may not wait for the answer.
        let telling = self.outbox.tell(facts, cause);
        self.known.end(facts.sso);
        match self.end_at_engine(facts, cause).await {
            Ok(ended) => {
                telling.said();
                ended
            }
            Err(silence) => Ended {
                cluster: None,
                visited: Vec::new(),
                durable: Err(failed(ENDING, RemoteFault::Silent(silence))),
                peers: Vec::new(),
            },
        }
    }

    fn watch_ended(&self) -> broadcast::Receiver<SsoId> {
        self.ended.subscribe()
    }
}

impl std::fmt::Debug for RemoteEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nodes: Vec<_> = self.nodes.members().map(|(_, node)| node).collect();
        f.debug_struct("RemoteEngine")
            .field("nodes", &nodes)
            .finish_non_exhaustive()
    }
}

fn failed(operation: &'static str, fault: RemoteFault) -> StoreError {
    StoreError::Failed {
        operation,
        source: Box::new(fault),
    }
}

const ENDING: &str = "make an end durable";
/// The oldest knowledge that anything is honoured on.
const FRESH: Duration = Duration::from_secs(1);
/// Ends that a slow watcher may lag behind before it has to look every session up.
const ENDED_BUFFER: usize = 8192;
