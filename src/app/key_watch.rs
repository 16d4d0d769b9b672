//! The key ring while the node runs: takes over a file that has changed, lets a new key seal once everybody can
//! open it, counts uses, and makes another key or lets an old one go when that is due (S-23, X-23, D-15).
//!
//! Whoever holds the ring goes on with what is put into it; nothing is restarted, and nobody is signed out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use parking_lot::MutexGuard;
use zeroize::Zeroizing;

use crate::app::assembly::Ports;
use crate::app::engine::Engine;
use crate::config::Config;
use crate::config::mdc::EngineSource;
use crate::config::sources::Sources;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::RingFile;
use crate::decision::key_life::KeyRules;
use crate::decision::key_life::Ledger;
use crate::decision::key_life::Noted;
use crate::decision::key_life::PeerKeys;
use crate::decision::key_life::Sealing;
use crate::decision::key_life::Sighting;
use crate::decision::key_life::Silence;
use crate::decision::key_life::Written;
use crate::engine::OwnKeys;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::end::End;
use crate::model::id::KeyId;
use crate::model::name::ClusterId;
use crate::model::time::Timestamp;
use crate::ports::audit_trail::AuditTrail;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;

mod due;
mod following;
mod ledger_file;

/// Watches over the key ring of a node.
pub(super) struct KeyWatch {
    pub(super) ring: Arc<KeyRing>,
    pub(super) path: PathBuf,
    pub(super) sharing: Sharing,
    ledger_path: PathBuf,
    engine: Engine,
    pub(super) clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    audit: Arc<dyn AuditTrail>,
    /// How the ledger was found at the start.
    found: Written,
    began: Timestamp,
    state: Mutex<State>,
}

/// Who else needs the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Nobody.
    Alone,
    /// Engine nodes, whose ring this gate has.
    Engines,
    /// Other data centres, or gates without an engine.
    Others,
}

/// What is known between two looks; one look at a time.
pub(super) struct State {
    pub(super) file: RingFile,
    pub(super) ledger: Ledger,
    pub(super) rules: KeyRules,
    /// How long what is sealed now may be good.
    keep_for: Duration,
    /// The file as it was read last.
    seen: Sources,
    /// A version of the file that was complained about.
    refused: Option<Sources>,
    /// How the file and the ring that the node goes by agree.
    agreement: Agreement,
    /// Whether the ledger has to be written.
    noted: Noted,
    /// The key about which it was said that another one is due.
    told_due: Option<KeyId>,
    /// When the ring could not be changed, if the last try went wrong.
    failed: Option<Timestamp>,
    /// Whether it was said that the ledger cannot be written.
    is_unwritten: bool,
}

/// How the file and the ring that the node goes by agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// The file lacks keys that the node kept, and has to be written.
    Lacking,
    /// The file lacks them, and it was said that it cannot be written.
    LackingAndTold,
    /// They are the same.
    Same,
}

impl KeyWatch {
    /// Takes up where an earlier process left off. Before this nothing is sealed that is for users.
    pub(super) fn begin(
        config: &Config,
        ports: &Ports,
        (ring, file): (Arc<KeyRing>, RingFile),
        engine: Engine,
    ) -> anyhow::Result<Self> {
        let ledger_path = config.state_dir.join(LEDGER);
        let ledger = ledger_file::read(&ledger_path)?;
        for key in ring.ids() {
            ring.count_from(key, ledger.uses(key));
        }
        let mut seen = Sources::default();
        seen.note(&config.key_ring_file);
        let watch = Self {
            ring,
            path: config.key_ring_file.clone(),
            sharing: match (&engine, &config.mdc) {
                (Engine::Remote(_), _) => Sharing::Engines,
                (Engine::Own(_), Some(_)) => Sharing::Others,
                (Engine::Own(_), None) => Sharing::Alone,
            },
            ledger_path,
            engine,
            clock: Arc::clone(&ports.clock),
            entropy: Arc::clone(&ports.entropy),
            audit: Arc::clone(&ports.audit),
            found: ledger.written(keep_for(config), ports.clock.now()),
            began: ports.clock.now(),
            state: Mutex::new(State {
                file,
                ledger,
                rules: config.keys,
                keep_for: keep_for(config),
                seen,
                refused: None,
                agreement: Agreement::Same,
                noted: Noted::Changed,
                told_due: None,
                failed: None,
                is_unwritten: false,
            }),
        };
        watch.warn_of_lost_keys(&watch.state.lock());
        // What seals as it did before the start is no change.
        watch.choose(&watch.state.lock(), &watch.said());
        watch.look();
        Ok(watch)
    }

    /// Goes by another configuration from now on.
    pub(super) fn retune(&self, config: &Config) {
        let mut state = self.state.lock();
        state.rules = config.keys;
        // What was sealed before lives as long as it was told to; the ledger has that.
        state.keep_for = keep_for(config);
    }

    /// Goes on until the process ends.
    pub(super) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let watch = Arc::clone(&self);
            // A disk that takes its time must hold up nothing else.
            if let Err(error) = tokio::task::spawn_blocking(move || watch.look()).await {
                tracing::error!(%error, "the look at the key ring broke off");
            }
        }
    }

    /// Looks once, and does what is due.
    fn look(&self) {
        let mut state = self.state.lock();
        self.follow(&mut state);
        self.settle(&mut state);
        let now = self.clock.now();
        match self.sharing {
            Sharing::Alone => self.rotate_when_due(&mut state, now),
            Sharing::Others => self.tell_when_due(&mut state, now),
            Sharing::Engines => {}
        }
    }

    /// The state, as it is after a look.
    pub(super) fn settled(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        self.follow(&mut state);
        self.settle(&mut state);
        state
    }

    /// Has the right key seal, and notes how keys are used.
    pub(super) fn settle(&self, state: &mut State) {
        let now = self.clock.now();
        let said = self.said();
        let own = self.ring.ids();
        if let Some(key) = self.choose(state, &said) {
            // Sealed with the new key already, so that the trail never ends with one that goes.
            self.tell("sealing", &[key]);
        }
        let seals = self.ring.seals_with();
        self.tell_peers(OwnKeys {
            opens: own.clone(),
            seals: Some(seals),
        });
        let silence = Silence::of(self.found, self.began, now);
        let noted = state.ledger.note(&Sighting {
            uses: &self.ring.uses(),
            sealing: &Sealing::anywhere(seals, &own, &said, silence),
            keep_for: state.keep_for,
            now,
        });
        if noted == Noted::Changed {
            state.noted = Noted::Changed;
        }
        self.write_ledger(state);
    }

    fn choose(&self, state: &State, said: &[PeerKeys]) -> Option<KeyId> {
        let common = state.ledger.common(&self.ring.ids(), said);
        let common = (self.sharing == Sharing::Others).then_some(common.as_slice());
        self.ring.choose(common, self.clock.now())
    }

    fn said(&self) -> Vec<PeerKeys> {
        self.peers().into_iter().map(|(_, said)| said).collect()
    }

    /// What the other data centres have said of their keys.
    pub(super) fn peers(&self) -> Vec<(ClusterId, PeerKeys)> {
        match &self.engine {
            Engine::Own(own) => own.engine.peer_keys().unwrap_or_default(),
            Engine::Remote(_) => Vec::new(),
        }
    }

    fn tell_peers(&self, keys: OwnKeys) {
        if let Engine::Own(own) = &self.engine {
            own.engine.tell_of_keys(keys);
        }
    }

    /// Makes another key, where none is on its way, and writes the ring.
    pub(super) fn publish(&self, state: &mut State) -> anyhow::Result<KeyId> {
        let now = self.clock.now();
        let seals_from = match self.sharing {
            Sharing::Alone => now,
            Sharing::Engines | Sharing::Others => now.after(state.rules.publish_for),
        };
        let mut secret = Zeroizing::new([0; 32]);
        self.entropy.fill(secret.as_mut_slice());
        let mut key = None;
        self.change(state, |file| {
            key = Some(file.publish(&secret, now, seals_from));
            Ok(())
        })?;
        let key = key.context("no key was made")?;
        state.ledger.begin(key, now);
        state.noted = Noted::Changed;
        self.tell("published", &[key]);
        self.settle(state);
        Ok(key)
    }

    /// Takes keys out of the ring, and writes it.
    pub(super) fn remove(&self, state: &mut State, gone: &[KeyId]) -> anyhow::Result<()> {
        self.change(state, |file| {
            for key in gone {
                file.retire(*key)?;
            }
            Ok(())
        })?;
        self.tell("retired", gone);
        self.settle(state);
        Ok(())
    }

    /// The keys that do not seal anywhere, and that nothing good is sealed with any more.
    pub(super) fn unneeded(&self, state: &State, now: Timestamp) -> Vec<KeyId> {
        let seals = self.ring.seals_with();
        // The first is the one that seals or is to.
        let facts = state.file.facts().into_iter().skip(1);
        let gone =
            facts.filter(|facts| facts.id != seals && state.ledger.needed_until(facts.id) <= now);
        gone.map(|facts| facts.id).collect()
    }

    fn tell(&self, change: &'static str, keys: &[KeyId]) {
        for key in keys {
            let key = shown(*key);
            tracing::info!(key, change, "key ring changed");
            let event = Event::new(EventKind::KeysChanged);
            self.audit
                .note(event.with("change", change).with("key", key));
        }
    }

    fn write_ledger(&self, state: &mut State) {
        if state.noted == Noted::Unchanged {
            return;
        }
        match ledger_file::write(&self.ledger_path, &state.ledger) {
            Ok(()) => {
                state.noted = Noted::Unchanged;
                state.is_unwritten = false;
            }
            Err(error) if !std::mem::replace(&mut state.is_unwritten, true) => tracing::error!(
                path = %self.ledger_path.display(),
                error = %format_args!("{error:#}"),
                "the uses of keys could not be written; it is tried again"
            ),
            Err(_) => {}
        }
    }
}

/// A key as it is shown.
pub(super) fn shown(key: KeyId) -> String {
    format!("{:08x}", key.0)
}

/// Nothing that is sealed now is good for longer. A gate has not been told how long sessions live.
fn keep_for(config: &Config) -> Duration {
    let hard = config
        .mdc
        .as_ref()
        .map_or(Duration::ZERO, |mdc| mdc.skew.hard);
    match &config.engine {
        EngineSource::Embedded => config.session.lifetime.saturating_add(hard),
        EngineSource::Remote(_) => End::KEPT_MAX,
    }
}

/// Below the state directory.
const LEDGER: &str = "key-use.json";
const EVERY: Duration = Duration::from_secs(1);
