//! The network between data centres: messages take their time, get lost, come twice or late; links are
//! cut, in one direction or both, and mended.
//!
//! What is said over it is the truth that the witness sees. A mutation stands between an engine and its
//! network, never in here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use portway::model::name::ClusterId;
use portway::model::peer::Answer;
use portway::model::peer::Question;
use portway::model::peer::Silence;
use portway::ports::peer_channel::PeerChannel;
use portway::ports::peer_service::PeerService;
use tokio::sync::oneshot;

use crate::event::Asking;
use crate::event::Dc;
use crate::event::Event;
use crate::event::Link;
use crate::executor::Handle;
use crate::executor::Owner;
use crate::plan::Weather;
use crate::random::Random;
use crate::witness::Witness;

/// All links.
pub(crate) struct Network {
    handle: Handle,
    witness: Arc<Witness>,
    names: Vec<ClusterId>,
    dice: Mutex<Random>,
    state: Mutex<State>,
}

struct State {
    weather: Weather,
    cut: BTreeSet<(Dc, Dc)>,
    /// Who does not speak with whom.
    estranged: BTreeSet<(Dc, Dc)>,
    asked: u64,
    listeners: BTreeMap<Dc, Listener>,
}

/// Who answers at a data centre.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) owner: Owner,
    pub(crate) service: Arc<dyn PeerService>,
}

/// What becomes of a message.
enum Fate {
    Arrives(Vec<u64>),
    Lost,
}

impl Network {
    pub(crate) fn new(
        seed: u64,
        names: Vec<ClusterId>,
        weather: Weather,
        handle: &Handle,
        witness: &Arc<Witness>,
    ) -> Self {
        Self {
            handle: handle.clone(),
            witness: Arc::clone(witness),
            names,
            dice: Mutex::new(Random::stream(seed, "network")),
            state: Mutex::new(State {
                weather,
                cut: BTreeSet::new(),
                estranged: BTreeSet::new(),
                asked: 0,
                listeners: BTreeMap::new(),
            }),
        }
    }

    pub(crate) fn name(&self, dc: Dc) -> &ClusterId {
        &self.names[dc.0]
    }

    fn number(&self, cluster: &ClusterId) -> Option<Dc> {
        self.names.iter().position(|name| name == cluster).map(Dc)
    }

    pub(crate) fn listen(&self, dc: Dc, listener: Listener) {
        self.state.lock().listeners.insert(dc, listener);
    }

    pub(crate) fn hang_up(&self, dc: Dc) {
        self.state.lock().listeners.remove(&dc);
    }

    pub(crate) fn cut(&self, from: Dc, to: Dc) {
        if self.state.lock().cut.insert((from, to)) {
            self.witness.note(&Event::Linked(from, to, Link::Cut));
        }
    }

    pub(crate) fn mend(&self, from: Dc, to: Dc) {
        if self.state.lock().cut.remove(&(from, to)) {
            self.witness.note(&Event::Linked(from, to, Link::Whole));
        }
    }

    /// Two that reach each other, and do not speak: a certificate has expired, or the modes differ.
    pub(crate) fn estrange(&self, one: Dc, other: Dc) {
        self.state
            .lock()
            .estranged
            .extend([(one, other), (other, one)]);
        self.witness
            .tell(|| format!("{one} and {other} do not speak with each other"));
    }

    pub(crate) fn reconcile(&self, one: Dc, other: Dc) {
        let estranged = &mut self.state.lock().estranged;
        estranged.remove(&(one, other));
        estranged.remove(&(other, one));
        self.witness
            .tell(|| format!("{one} and {other} speak with each other"));
    }

    fn are_estranged(&self, one: Dc, other: Dc) -> bool {
        self.state.lock().estranged.contains(&(one, other))
    }

    /// Mends every link, and lets the sun shine.
    pub(crate) fn heal(&self) {
        let cut = std::mem::take(&mut self.state.lock().cut);
        self.state.lock().estranged.clear();
        for (from, to) in cut {
            self.witness.note(&Event::Linked(from, to, Link::Whole));
        }
        self.state.lock().weather = Weather::FAIR;
    }

    fn is_cut(&self, from: Dc, to: Dc) -> bool {
        self.state.lock().cut.contains(&(from, to))
    }

    fn fate(&self) -> Fate {
        let weather = self.state.lock().weather;
        let mut dice = self.dice.lock();
        if dice.chance(weather.lost) {
            return Fate::Lost;
        }
        let copies = if dice.chance(weather.doubled) { 2 } else { 1 };
        let delay = |_| {
            if dice.chance(weather.late) {
                dice.between(weather.delay_max, LATE_MAX)
            } else {
                dice.between(1, weather.delay_max)
            }
        };
        Fate::Arrives((0..copies).map(delay).collect())
    }

    /// Sends a question, each copy on its way of its own.
    fn send(self: &Arc<Self>, asking: Asking, question: &Question, reply: oneshot::Sender<Answer>) {
        let mut reply = Some(reply);
        let Fate::Arrives(delays) = self.fate() else {
            return self.lose(reply);
        };
        for delay in delays {
            let (network, question) = (Arc::clone(self), question.clone());
            let reply = reply.take();
            self.handle.spawn(Owner::WORLD, async move {
                network.handle.pause(delay).await;
                network.arrive(asking, question, reply);
            });
        }
    }

    /// Hands a question to whoever listens; nobody refuses the connection.
    fn arrive(
        self: &Arc<Self>,
        asking: Asking,
        question: Question,
        reply: Option<oneshot::Sender<Answer>>,
    ) {
        if self.is_cut(asking.from, asking.to) {
            return self.lose(reply);
        }
        let listener = self.state.lock().listeners.get(&asking.to).cloned();
        let Some(listener) = listener else {
            return;
        };
        let network = Arc::clone(self);
        self.handle.spawn(listener.owner, async move {
            let from = network.name(asking.from).clone();
            let answer = listener.service.answer(&from, question.clone()).await;
            let noted = Event::Answered(asking, &question, &answer);
            network.witness.note(&noted);
            network.reply(asking, answer, reply);
        });
    }

    fn reply(
        self: &Arc<Self>,
        asking: Asking,
        answer: Answer,
        reply: Option<oneshot::Sender<Answer>>,
    ) {
        let Fate::Arrives(delays) = self.fate() else {
            return self.lose(reply);
        };
        let network = Arc::clone(self);
        let delay = delays.first().copied().unwrap_or_default();
        self.handle.spawn(Owner::WORLD, async move {
            network.handle.pause(delay).await;
            if network.is_cut(asking.to, asking.from) {
                return network.lose(reply);
            }
            if let Some(reply) = reply {
                reply.send(answer).ok();
            }
        });
    }

    /// A lost message is not noticed before its time is up.
    fn lose(&self, reply: Option<oneshot::Sender<Answer>>) {
        let Some(reply) = reply else {
            return;
        };
        let sleep = self.handle.sleep(LOST_FOR);
        self.handle.spawn(Owner::WORLD, async move {
            sleep.await;
            drop(reply);
        });
    }
}

/// The network as one process uses it.
pub(crate) struct Channel {
    dc: Dc,
    network: Arc<Network>,
    peers: Vec<ClusterId>,
    circuits: Mutex<BTreeMap<Dc, Circuit>>,
}

/// Silences in a row, and when the last of them was.
#[derive(Clone, Copy, Default)]
struct Circuit {
    silences: u32,
    last: u64,
}

impl Channel {
    pub(crate) fn new(dc: Dc, network: &Arc<Network>) -> Self {
        let others = network
            .names
            .iter()
            .filter(|name| *name != network.name(dc));
        Self {
            dc,
            peers: others.cloned().collect(),
            network: Arc::clone(network),
            circuits: Mutex::default(),
        }
    }

    fn is_open(&self, to: Dc) -> bool {
        let circuit = self.circuits.lock().get(&to).copied().unwrap_or_default();
        circuit.silences >= CIRCUIT_SILENCES
            && self.network.handle.now() < circuit.last + CIRCUIT_PAUSE
    }

    fn note(&self, to: Dc, result: &Result<Answer, Silence>) {
        let mut circuits = self.circuits.lock();
        let circuit = circuits.entry(to).or_default();
        circuit.last = self.network.handle.now();
        circuit.silences = match result {
            Ok(_) => 0,
            Err(_) => circuit.silences + 1,
        };
    }

    async fn exchange(
        &self,
        asking: Asking,
        question: &Question,
        limit: Duration,
    ) -> Result<Answer, Silence> {
        if self.is_open(asking.to) {
            return Err(Silence::CircuitOpen);
        }
        if self.network.are_estranged(self.dc, asking.to) {
            self.network.handle.pause(1).await;
            return Err(Silence::Protocol);
        }
        let (reply, answer) = oneshot::channel();
        self.network.send(asking, question, reply);
        let result = match self.network.handle.within(limit, answer).await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(_)) => Err(Silence::Unreachable),
            None => Err(Silence::TimedOut),
        };
        self.note(asking.to, &result);
        result
    }
}

#[async_trait]
impl PeerChannel for Channel {
    fn peers(&self) -> &[ClusterId] {
        &self.peers
    }

    async fn ask(
        &self,
        peer: &ClusterId,
        question: Question,
        limit: Duration,
    ) -> Result<Answer, Silence> {
        let Some(to) = self.network.number(peer) else {
            return Err(Silence::Unreachable);
        };
        let id = {
            let mut state = self.network.state.lock();
            state.asked += 1;
            state.asked
        };
        let asking = Asking {
            id,
            from: self.dc,
            to,
        };
        self.network.witness.note(&Event::Asked(asking, &question));
        let mut waiting = Waiting {
            network: &self.network,
            asking,
            question: &question,
            is_over: false,
        };
        let result = self.exchange(asking, &question, limit).await;
        waiting.is_over = true;
        let heard = result.as_ref().map_err(|silence| *silence);
        self.network
            .witness
            .note(&Event::Returned(asking, &question, heard));
        result
    }
}

/// Notes that whoever asked does not listen any more, unless the answer came.
struct Waiting<'w> {
    network: &'w Network,
    asking: Asking,
    question: &'w Question,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let heard = Err(Silence::TimedOut);
            let noted = Event::Returned(self.asking, self.question, heard);
            self.network.witness.note(&noted);
        }
    }
}

/// The longest that a late message is on its way, in milliseconds: longer than any deadline.
const LATE_MAX: u64 = 9_000;
/// Longer than anybody waits.
const LOST_FOR: Duration = Duration::from_secs(30);
/// Silences in a row after which a peer is not asked for a while.
const CIRCUIT_SILENCES: u32 = 4;
/// How long not, in milliseconds.
const CIRCUIT_PAUSE: u64 = 1_500;
