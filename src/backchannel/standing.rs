//! Who is at the other end of a connection, as far as it has been proven.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch;

use crate::backchannel::answers::Answers;
use crate::backchannel::server::Mode;
use crate::backchannel::server::Server;
use crate::backchannel::wire::Code;
use crate::crypto::peer_proof::ConnectionKeys;
use crate::crypto::peer_proof::Seen;
use crate::crypto::peer_tls::Proven;
use crate::crypto::pki::node_name::NodeName;
use crate::model::time::Timestamp;

/// The standing of a caller on its connection.
#[derive(Debug)]
pub(super) struct Standing {
    state: Mutex<State>,
    settled: watch::Sender<Option<Result<(), Code>>>,
    /// One of the connections that the caller may have.
    counted: Mutex<Option<OwnedSemaphorePermit>>,
    answers: Arc<Answers>,
    /// Counts questions, so that a connection without any is noticed.
    asked: watch::Sender<u64>,
    closing: Notify,
}

#[derive(Clone, Debug)]
enum State {
    /// It has said nothing yet.
    Unknown,
    /// It has said who it is, and is about to prove it.
    Claimed(Arc<Claimed>),
    /// It has proven it.
    Proven(Arc<ProvenCaller>),
    /// It is turned away, whatever it asks.
    Turned(TurnedAway),
}

/// A caller that has not proven its name yet.
#[derive(Debug)]
pub(super) struct Claimed {
    /// The name.
    pub(super) node: NodeName,
    /// What the proof must be made with.
    pub(super) keys: ConnectionKeys,
}

/// A caller that has proven its name.
#[derive(Debug)]
pub(super) struct ProvenCaller {
    /// The name.
    pub(super) node: NodeName,
    /// Until when the proof is good.
    until: Option<Timestamp>,
    /// What messages are signed with, without TLS.
    pub(super) keys: Option<Arc<Claimed>>,
    /// The counters of the messages so far.
    pub(super) seen: Mutex<Seen>,
}

/// Why a caller, or one question of it, is turned away.
#[derive(Clone, Debug)]
pub(super) struct TurnedAway {
    /// What it is told.
    pub(super) code: Code,
    /// What the log is told.
    pub(super) why: String,
}

impl TurnedAway {
    pub(super) fn new(code: Code, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { code, why }
    }
}

impl Standing {
    /// A caller without TLS.
    pub(super) fn plain(server: &Server) -> Self {
        let mut modes = server.known.values().map(|known| &known.mode);
        if modes.any(|mode| matches!(mode, Mode::Password(_))) {
            Self::new(State::Unknown)
        } else {
            Self::turned(
                Code::ModeMismatch,
                "it does not speak TLS, and everybody here is configured to",
            )
        }
    }

    /// A caller whose certificate was verified.
    pub(super) fn certified(server: &Server, proven: Proven) -> Self {
        match server.known.get(&proven.node).map(|known| &known.mode) {
            Some(Mode::Tls) => {
                let standing = Self::new(State::Unknown);
                if let Err(turned) = standing.prove(server, proven.node, Some(proven.until), None) {
                    standing.turn(&turned);
                }
                standing
            }
            Some(Mode::Password(_)) => Self::turned(
                Code::ModeMismatch,
                format!("{} speaks TLS and is configured as open", proven.node),
            ),
            None => Self::turned(
                Code::UnknownPeer,
                format!("{} is not configured here", proven.node),
            ),
        }
    }

    /// A caller that is turned away, whatever it asks.
    pub(super) fn turned(code: Code, why: impl Into<String>) -> Self {
        let standing = Self::new(State::Turned(TurnedAway::new(code, why)));
        standing.settled.send_replace(Some(Err(code)));
        standing
    }

    fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            settled: watch::Sender::new(None),
            counted: Mutex::default(),
            answers: Arc::default(),
            asked: watch::Sender::new(0),
            closing: Notify::new(),
        }
    }

    /// Notes a name that is about to be proven. A connection has one chance.
    ///
    /// # Errors
    /// When a name was said before.
    pub(super) fn claim(&self, claimed: Claimed) -> Result<(), TurnedAway> {
        let mut state = self.state.lock();
        match &*state {
            State::Unknown => {
                *state = State::Claimed(Arc::new(claimed));
                Ok(())
            }
            State::Claimed(_) | State::Proven(_) => {
                Err(TurnedAway::new(Code::NotProven, "it opened twice"))
            }
            State::Turned(turned) => Err(turned.clone()),
        }
    }

    /// The name that is about to be proven.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn claimed(&self) -> Result<Arc<Claimed>, TurnedAway> {
        match &*self.state.lock() {
            State::Claimed(claimed) => Ok(Arc::clone(claimed)),
            State::Turned(turned) => Err(turned.clone()),
            State::Unknown | State::Proven(_) => Err(TurnedAway::new(
                Code::NotProven,
                "it proves what it has not said",
            )),
        }
    }

    /// Notes that the name is proven.
    ///
    /// # Errors
    /// When the caller has too many connections; nothing is noted then.
    pub(super) fn prove(
        &self,
        server: &Server,
        node: NodeName,
        until: Option<Timestamp>,
        keys: Option<Arc<Claimed>>,
    ) -> Result<(), TurnedAway> {
        let unknown =
            || TurnedAway::new(Code::UnknownPeer, format!("{node} is not configured here"));
        let known = server.known.get(&node).ok_or_else(unknown)?;
        let surplus = |_| TurnedAway::new(Code::Busy, format!("{node} has too many connections"));
        let counted = Arc::clone(&known.connections).try_acquire_owned();
        *self.counted.lock() = Some(counted.map_err(surplus)?);
        *self.state.lock() = State::Proven(Arc::new(ProvenCaller {
            node,
            until,
            keys,
            seen: Mutex::default(),
        }));
        self.settled.send_replace(Some(Ok(())));
        Ok(())
    }

    /// Turns the caller away from here on.
    pub(super) fn turn(&self, turned: &TurnedAway) {
        *self.state.lock() = State::Turned(turned.clone());
        self.settled.send_replace(Some(Err(turned.code)));
    }

    /// Who calls.
    ///
    /// # Errors
    /// When that is not proven, or no longer (R11).
    pub(super) fn proven(&self, now: Timestamp) -> Result<Arc<ProvenCaller>, TurnedAway> {
        let proven = match &*self.state.lock() {
            State::Proven(proven) => Arc::clone(proven),
            State::Turned(turned) => return Err(turned.clone()),
            State::Unknown | State::Claimed(_) => {
                return Err(TurnedAway::new(
                    Code::NotProven,
                    "it has not said who it is",
                ));
            }
        };
        if proven.until.is_some_and(|until| until < now) {
            self.closing.notify_one();
            let why = format!("the certificate of {} has expired", proven.node);
            return Err(TurnedAway::new(Code::CertificateExpired, why));
        }
        self.asked.send_modify(|asked| *asked += 1);
        Ok(proven)
    }

    /// Waits until it is known who calls, or that it is nobody.
    ///
    /// # Errors
    /// When the caller is turned away.
    pub(super) async fn settled(&self) -> Result<(), Code> {
        let mut settled = self.settled.subscribe();
        let settled = settled.wait_for(Option::is_some).await;
        settled.map_or(Err(Code::Other), |settled| {
            settled.unwrap_or(Err(Code::Other))
        })
    }

    /// Whether the caller is turned away, whatever it asks.
    pub(super) fn is_turned(&self) -> bool {
        matches!(&*self.state.lock(), State::Turned(_))
    }

    /// The one of the caller's connections that this is, once it is proven.
    pub(super) fn take_connection(&self) -> Option<OwnedSemaphorePermit> {
        self.counted.lock().take()
    }

    /// The answers that are on their way to the caller.
    pub(super) const fn answers(&self) -> &Arc<Answers> {
        &self.answers
    }

    /// Waits until nothing was asked for so long.
    pub(super) async fn idle(&self, limit: Duration) {
        let mut asked = self.asked.subscribe();
        while tokio::time::timeout(limit, asked.changed()).await.is_ok() {}
    }

    /// Waits until the connection is to be closed.
    pub(super) async fn to_be_closed(&self) {
        self.closing.notified().await;
    }
}
