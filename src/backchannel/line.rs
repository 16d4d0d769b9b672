//! The line to one peer: its addresses in two tiers, the bound on questions, the circuit, and one question
//! from beginning to end (MDC-TOPO-2, M-053, M-079, R12).
//!
//! A question that was sent is never sent again from here: the engine knows whether it may be. Only an
//! address that cannot be connected to is passed over for the next, and a connection that was closing, so
//! that nothing was sent over it, for a new one.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::backchannel::address::Address;
use crate::backchannel::address::Upkeep;
use crate::backchannel::circuit::Circuit;
use crate::backchannel::connection::PostError;
use crate::backchannel::dial::Dialler;
use crate::backchannel::dial::Target;
use crate::backchannel::status::AddressStatus;
use crate::backchannel::status::Asked;
use crate::backchannel::status::LineStatus;
use crate::backchannel::status::Tier;
use crate::backchannel::wire;
use crate::backchannel::wire::Body;
use crate::backchannel::wire::Code;
use crate::backchannel::wire::Letterhead;
use crate::backchannel::wire::WireError;
use crate::config::mdc::BackChannel;
use crate::decision::upstream::Pick;
use crate::decision::upstream::Tiers;
use crate::decision::upstream::choose;
use crate::model::peer::Silence;
use crate::ports::clock::Clock;

/// The line to one peer.
pub(super) struct Line {
    tiers: Tiers<Arc<Address>>,
    dialler: Dialler,
    upkeep: Upkeep,
    turn: AtomicU64,
    places: Semaphore,
    places_max: usize,
    circuit: Mutex<Circuit>,
    asked: Asked,
    clock: Arc<dyn Clock>,
}

/// An address to put on a line.
#[derive(Clone, Debug)]
pub(super) struct LineAddress {
    /// Where it is, and whom to expect there.
    pub(super) target: Target,
    /// Its share of the questions.
    pub(super) weight: u32,
}

/// How much a line bears.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineLimits {
    /// Questions that may be under way.
    pub(super) questions_max: usize,
    /// Silences in a row that open the circuit.
    pub(super) circuit_failures: u32,
    /// How long it stays open.
    pub(super) circuit_pause: Duration,
    /// A connection is replaced before this age.
    pub(super) connection_age_max: Duration,
}

impl From<&BackChannel> for LineLimits {
    fn from(config: &BackChannel) -> Self {
        Self {
            questions_max: config.questions_max,
            circuit_failures: config.circuit_failures,
            circuit_pause: config.circuit_pause,
            connection_age_max: config.connection_age_max,
        }
    }
}

impl Line {
    /// Puts a line together; [`Self::run`] connects it.
    pub(super) fn new(
        addresses: Tiers<LineAddress>,
        dialler: Dialler,
        limits: LineLimits,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let upkeep = Upkeep {
            age_max: limits.connection_age_max,
            fail_timeout: limits.circuit_pause,
        };
        let address = |line: LineAddress| {
            let clock = Arc::clone(clock);
            Arc::new(Address::new(line.target, line.weight, &upkeep, clock))
        };
        // A semaphore counts to less than a number does.
        let places_max = limits.questions_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            tiers: Tiers {
                primary: addresses.primary.into_iter().map(address).collect(),
                secondary: addresses.secondary.into_iter().map(address).collect(),
                failover_threshold: addresses.failover_threshold,
            },
            dialler,
            upkeep,
            turn: AtomicU64::new(0),
            places: Semaphore::new(places_max),
            places_max,
            circuit: Mutex::new(Circuit::new(limits.circuit_failures, limits.circuit_pause)),
            asked: Asked::default(),
            clock: Arc::clone(clock),
        }
    }

    /// Keeps every address connected, until the future is dropped.
    pub(super) async fn run(&self) {
        let members = self.tiers.members();
        let keeping = members.map(|(_, address)| address.keep(&self.dialler, self.upkeep));
        join_all(keeping).await;
    }

    /// Asks one question at `path` and waits at most `limit` for the answer.
    ///
    /// # Errors
    /// [`Silence`] when none came.
    pub(super) async fn ask<Q: Body + Sync, A: Body>(
        &self,
        path: &'static str,
        question: &Q,
        limit: Duration,
    ) -> Result<A, Silence> {
        let asked = self.ask_within(path, question, limit).await;
        self.asked.note(asked.as_ref().err().copied());
        asked
    }

    async fn ask_within<Q: Body + Sync, A: Body>(
        &self,
        path: &'static str,
        question: &Q,
        limit: Duration,
    ) -> Result<A, Silence> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Silence::Busy);
        };
        self.circuit.lock().admit(self.clock.now())?;
        let attempt = Attempt(Some(self));
        let limit = limit.min(LIMIT_MAX);
        let sent_to: Mutex<Option<Arc<Address>>> = Mutex::new(None);
        let sending = self.try_addresses(path, question, limit, &sent_to);
        let answer = tokio::time::timeout(limit, sending).await;
        let answer = answer.unwrap_or_else(|_| {
            if let Some(address) = sent_to.lock().take() {
                address.failed(self.clock.now());
            }
            Err(Unanswered::by_peer(Silence::TimedOut))
        });
        attempt.came_to(answer.as_ref().err());
        answer.map_err(|unanswered| unanswered.why)
    }

    /// Sends the question to the first address that can be connected to.
    async fn try_addresses<Q: Body + Sync, A: Body>(
        &self,
        path: &'static str,
        question: &Q,
        limit: Duration,
        sent_to: &Mutex<Option<Arc<Address>>>,
    ) -> Result<A, Unanswered> {
        let mut tried = Vec::new();
        let mut silence = Unanswered::by_peer(Silence::Unreachable);
        loop {
            let turn = Pick::Turn(self.turn.fetch_add(1, Ordering::Relaxed));
            let Some(chosen) = choose(&self.tiers, turn, &tried) else {
                return Err(silence);
            };
            let address = chosen.member;
            let _under_way = address.enter(self.clock.now());
            let asking = Asking {
                path,
                limit,
                sent_to,
            };
            match self.ask_at(address, question, &asking).await {
                Ok(answer) => return answer,
                // Whoever is there and will not speak has answered for all of them (S-8).
                Err(_) if silence.why == Silence::Protocol => {}
                Err(why) => silence = Unanswered::by_peer(why),
            }
            tried.push(chosen.index);
        }
    }

    /// Asks at one address. A connection that turns out to be closing is waited for again, once.
    ///
    /// # Errors
    /// When nothing was sent.
    async fn ask_at<Q: Body + Sync, A: Body>(
        &self,
        address: &Arc<Address>,
        question: &Q,
        asking: &Asking<'_>,
    ) -> Result<Result<A, Unanswered>, Silence> {
        for _ in 0..CONNECTIONS_MAX {
            let connection = address.connection().await?;
            let now = self.clock.now();
            let head = Letterhead {
                from: self.dialler.own.clone(),
                to: address.target().node.clone(),
                sent: now,
                valid_until: now.after(asking.limit),
            };
            let message = match wire::enclose(&head, question) {
                Ok(message) => message,
                Err(error) => return Ok(Err(self.unreadable(&error))),
            };
            *asking.sent_to.lock() = Some(Arc::clone(address));
            let answer = match connection.post(asking.path, message).await {
                Err(PostError::Unsent(_)) => {
                    *asking.sent_to.lock() = None;
                    continue;
                }
                Ok(_) if !connection.is_proven(self.clock.now()) => Err(PostError::Expired),
                answer => answer,
            };
            return Ok(self.judge(address, answer.map(|answer| self.read(&head, &answer))));
        }
        Err(Silence::Unreachable)
    }

    fn read<A: Body>(&self, asked: &Letterhead, answer: &[u8]) -> Result<A, WireError> {
        let head = wire::letterhead(answer)?;
        if head.from == asked.to && head.to == asked.from {
            wire::body(answer)
        } else {
            Err(WireError::Malformed("it is not for this node".to_owned()))
        }
    }

    fn judge<A>(
        &self,
        address: &Address,
        answer: Result<Result<A, WireError>, PostError>,
    ) -> Result<A, Unanswered> {
        let now = self.clock.now();
        match answer {
            Ok(Ok(answer)) => {
                address.succeeded(now);
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.unreadable(&error)),
            Err(PostError::Refused(Code::Busy)) => Err(Unanswered::by_nobody(Silence::Busy)),
            Err(error) => {
                self.tell(&error);
                Err(match error {
                    PostError::Broken(_) | PostError::Body(_) => {
                        address.failed(now);
                        Unanswered::by_peer(Silence::Unreachable)
                    }
                    // It speaks, only not this word: an earlier release.
                    PostError::Refused(Code::UnknownVerb) => {
                        Unanswered::by_nobody(Silence::Protocol)
                    }
                    PostError::Unsent(_) => Unanswered::by_nobody(Silence::Unreachable),
                    PostError::Expired
                    | PostError::Refused(_)
                    | PostError::Unsigned
                    | PostError::Unwritable(_) => Unanswered::by_peer(Silence::Protocol),
                })
            }
        }
    }

    fn unreadable(&self, error: &WireError) -> Unanswered {
        self.tell(error);
        Unanswered::by_peer(Silence::Protocol)
    }

    /// One line for each question; the circuit bounds how many there can be.
    fn tell(&self, error: &(dyn std::error::Error + 'static)) {
        let peer = self.peer();
        tracing::warn!(peer, error, "a question to a peer got no answer");
    }

    fn peer(&self) -> Option<String> {
        let first = self.tiers.members().next();
        first.map(|(_, address)| address.target().node.to_string())
    }

    /// What the line looks like now.
    pub(super) fn status(&self) -> LineStatus {
        let primaries = self.tiers.primary.len();
        let addresses = self.tiers.members().map(|(place, address)| AddressStatus {
            authority: address.authority().to_owned(),
            tier: if place < primaries {
                Tier::Primary
            } else {
                Tier::Secondary
            },
            connected: address.is_connected(),
        });
        LineStatus {
            addresses: addresses.collect(),
            circuit: self.circuit.lock().state(),
            under_way: self.places_max - self.places.available_permits(),
            asked: self.asked.counts(),
        }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("dialler", &self.dialler)
            .finish_non_exhaustive()
    }
}

/// How a question is asked.
struct Asking<'a> {
    path: &'static str,
    limit: Duration,
    /// Where it was sent, for whoever runs out of time.
    sent_to: &'a Mutex<Option<Arc<Address>>>,
}

/// A question that got no answer.
#[derive(Clone, Copy, Debug)]
struct Unanswered {
    why: Silence,
    /// Whether it speaks against the peer, so that the circuit counts it.
    blames_peer: bool,
}

impl Unanswered {
    const fn by_peer(why: Silence) -> Self {
        Self {
            why,
            blames_peer: !matches!(why, Silence::Busy),
        }
    }

    const fn by_nobody(why: Silence) -> Self {
        Self {
            why,
            blames_peer: false,
        }
    }
}

/// A question that the circuit let through, until it is known what became of it.
struct Attempt<'a>(Option<&'a Line>);

impl Attempt<'_> {
    fn came_to(mut self, unanswered: Option<&Unanswered>) {
        let Some(line) = self.0.take() else { return };
        let mut circuit = line.circuit.lock();
        match unanswered {
            None => {
                if circuit.answered() {
                    tracing::info!(peer = line.peer(), "the peer answers again");
                }
            }
            Some(unanswered) if unanswered.blames_peer => {
                let why = unanswered.why;
                if circuit.was_silent(why, line.clock.now()) {
                    let peer = line.peer();
                    tracing::warn!(peer, %why, "the peer is not asked for a while");
                }
            }
            Some(_) => circuit.abandoned(),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // Whoever asked gave up first; that says nothing about the peer.
        if let Some(line) = self.0 {
            line.circuit.lock().abandoned();
        }
    }
}

/// Connections of one address that a question waits for: the first may be closing.
const CONNECTIONS_MAX: usize = 2;
/// Longest time that a question is worth an answer: what is older is told from a replay (R11).
pub(super) const LIMIT_MAX: Duration = Duration::from_mins(1);
