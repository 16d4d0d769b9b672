//! Background work of a gate without an engine: following what ends at each engine, asking about what
//! could not be followed, and telling engines what they have to know.
//!
//! `app` drives [`RemoteEngine::run`]; nothing here starts a task.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use futures_util::future::join_all;
use tokio::sync::watch;

use crate::backchannel::gate_wire::GateAnswer;
use crate::backchannel::gate_wire::GateQuestion;
use crate::backchannel::gate_wire::Mark;
use crate::backchannel::gate_wire::News;
use crate::backchannel::gate_wire::SESSIONS_MAX;
use crate::backchannel::gate_wire::millis;
use crate::backchannel::remote::FRESH;
use crate::backchannel::remote::RemoteEngine;
use crate::backchannel::remote::known::Remembered;
use crate::backchannel::remote::node::EngineNode;
use crate::backchannel::status::Tier;
use crate::decision::upstream::Pick;
use crate::decision::upstream::choose;
use crate::model::id::SsoId;
use crate::model::peer::Rest;
use crate::model::peer::Silence;
use crate::model::time::Timestamp;

impl RemoteEngine {
    /// Keeps the connections to all engines and follows what ends there, until the shutdown begins. The
    /// gate knows nothing without it.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let engine = self.as_ref();
        let nodes = engine.nodes.members();
        let following = nodes.map(|(index, node)| join(node.run(), engine.follow(index, node)));
        tokio::select! {
            _ = join(join_all(following), engine.tell()) => {}
            // Without anybody to say so there is no shutdown; an error means that the end is near.
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
        tokio::select! {
            () = engine.tell_once() => {}
            () = engine.clock.sleep(LAST_WORDS) => {}
        }
    }

    /// Asks one engine again and again what has stopped serving. Each answer proves that everything before
    /// its question is known, which is what bounds how old knowledge can be.
    async fn follow(&self, index: usize, node: &EngineNode) {
        let (mut is_followed, mut is_given_up) = (false, false);
        loop {
            let doubtful = take_some(&mut node.tracking().doubtful);
            let hearing = self.hear(index, node);
            let (heard, ()) = join(hearing, self.verify(index, node, doubtful)).await;
            let now = self.clock.now();
            if heard.is_ok() != is_followed {
                is_followed = heard.is_ok();
                tell_change(node, heard);
            }
            let is_silent = heard.is_err() && node.silent_for(now) >= STREAMS_GRACE;
            if is_silent && !is_given_up {
                self.give_up(index);
            }
            is_given_up = is_silent;
            if heard.is_err() {
                self.clock.sleep(PAUSE).await;
            }
        }
    }

    async fn hear(&self, index: usize, node: &EngineNode) -> Result<(), Silence> {
        // Whoever is followed has said what holds there.
        if node.is_untold() {
            let learned = self.learn(node).await;
            learned.inspect_err(|why| node.was_silent(*why))?;
        }
        let after = node.tracking().mark();
        let question = GateQuestion::Watch {
            after,
            hold: millis(HOLD),
        };
        let asked = self.clock.now();
        let answer = node.ask(&question, FRESH).await;
        match answer {
            Ok(GateAnswer::Watched { at, news }) => {
                self.take_news(index, node, (at, asked), news);
                Ok(())
            }
            Ok(_) => {
                node.was_silent(Silence::Protocol);
                Err(Silence::Protocol)
            }
            Err(why) => {
                node.was_silent(why);
                Err(why)
            }
        }
    }

    fn take_news(
        &self,
        index: usize,
        node: &EngineNode,
        (at, asked): (Mark, Timestamp),
        news: News,
    ) {
        match news {
            News::Ended { sessions, rest } => {
                let mut tracking = node.tracking();
                for sso in &sessions {
                    self.stopped(index, node, *sso);
                }
                tracking.advance(&sessions, at);
                match rest {
                    Rest::Complete => node.is_heard(asked),
                    Rest::More => node.is_alive(asked),
                }
            }
            News::Lost => {
                let mut tracking = node.tracking();
                node.begin(&mut tracking, at);
                let held = self.known.held_by(index);
                tracking.doubtful.clear();
                tracking.doubt(held.iter().map(|held| held.session.facts.sso));
                node.is_heard(asked);
            }
        }
    }

    /// A session stopped serving at an engine. That is the end of what this engine said of it, and of its
    /// streams, unless it serves at another engine: where it moved to when the gate came home.
    fn stopped(&self, index: usize, node: &EngineNode, sso: SsoId) {
        let elsewhere = match self.known.get(&sso) {
            Some(Remembered::Held(held)) if held.engine != index => Some(held.engine),
            Some(Remembered::Held(_)) if node.tier() == Tier::Secondary => self.home_of(&sso),
            Some(Remembered::Ended | Remembered::Held(_)) | None => None,
        };
        let elsewhere = elsewhere.filter(|other| *other != index);
        match elsewhere.and_then(|other| self.node(other)) {
            Some(other) => {
                self.known.forget(&sso, index);
                other.tracking().doubt([sso]);
            }
            None => self.known.stopped(sso, index),
        }
    }

    /// The engine of the own data centre that a session belongs to, if that one is followed.
    fn home_of(&self, sso: &SsoId) -> Option<usize> {
        let chosen = choose(&self.nodes, Pick::Key(sso.as_bytes()), &[])?;
        let is_home = chosen.member.tier() == Tier::Primary;
        (is_home && chosen.member.is_followed(self.clock.now())).then_some(chosen.index)
    }

    /// Asks an engine which of these sessions stand, and forgets those that do not.
    async fn verify(&self, index: usize, node: &EngineNode, sessions: Vec<SsoId>) {
        if sessions.is_empty() {
            return;
        }
        let question = GateQuestion::Standing { sessions };
        match node.ask(&question, FRESH).await {
            Ok(GateAnswer::NotStanding(gone)) => {
                for sso in gone {
                    self.known.stopped(sso, index);
                }
            }
            Ok(_) | Err(_) => {
                if let GateQuestion::Standing { sessions } = question {
                    node.tracking().doubt(sessions);
                }
            }
        }
    }

    /// Lets go of every session that only a silent engine vouched for: nobody would hear of its end.
    fn give_up(&self, index: usize) {
        for held in self.known.held_by(index) {
            self.known.stopped(held.session.facts.sso, index);
        }
    }

    async fn tell(&self) {
        loop {
            self.clock.sleep(TELL_EVERY).await;
            self.tell_once().await;
        }
    }

    async fn tell_once(&self) {
        join(self.tell_touches(), self.tell_ends()).await;
    }

    /// Tells each engine which of the sessions that it vouched for saw requests.
    async fn tell_touches(&self) {
        let touched = self.outbox.take_touched();
        if touched.is_empty() {
            return;
        }
        let now = self.clock.now();
        let mut batches: Vec<Vec<(SsoId, u64)>> = Vec::new();
        batches.resize_with(self.nodes.members().count(), Vec::new);
        for sso in touched {
            let Some(Remembered::Held(held)) = self.known.get(&sso) else {
                continue;
            };
            if let Some(batch) = batches.get_mut(held.engine) {
                batch.push((sso, millis(now.since(held.take_touch()))));
            }
        }
        let telling = self.nodes.members().zip(batches);
        join_all(telling.map(|((_, node), batch)| self.tell_batch(node, batch))).await;
    }

    async fn tell_batch(&self, node: &EngineNode, batch: Vec<(SsoId, u64)>) {
        for some in batch.chunks(SESSIONS_MAX) {
            let question = GateQuestion::Touch {
                sessions: some.to_vec(),
            };
            if node.ask(&question, FRESH).await.is_ok() {
                continue;
            }
            for (sso, _) in some {
                self.touch_again(sso);
            }
        }
    }

    /// What an engine did not hear is told again.
    fn touch_again(&self, sso: &SsoId) {
        if let Some(Remembered::Held(held)) = self.known.get(sso)
            && held.touch(Timestamp::default())
        {
            self.outbox.touched(*sso);
        }
    }

    /// Tells of ends that no engine has heard, until one is not heard again.
    async fn tell_ends(&self) {
        while let Some(telling) = self.outbox.tell_next(self.clock.now()) {
            let told = self.end_at_engine(&telling.facts, telling.cause).await;
            if told.is_err() {
                return;
            }
            telling.said();
        }
    }
}

fn take_some(doubtful: &mut Vec<SsoId>) -> Vec<SsoId> {
    let some = doubtful.len().min(SESSIONS_MAX);
    doubtful.drain(..some).collect()
}

fn tell_change(node: &EngineNode, heard: Result<(), Silence>) {
    match heard {
        Ok(()) => tracing::info!(engine = node.name(), "the engine is followed"),
        Err(why) => tracing::warn!(engine = node.name(), reason = %why, "the engine is silent"),
    }
}

/// How long an engine holds its answer back without news: twice this and the way there and back is how old
/// knowledge may become, and must stay below [`FRESH`].
const HOLD: Duration = Duration::from_millis(200);
/// Between two attempts to reach an engine that is silent.
const PAUSE: Duration = Duration::from_millis(100);
/// How long streams go on while the engine that vouched for their session is silent.
const STREAMS_GRACE: Duration = Duration::from_secs(10);
/// How long the engines may take for what they are told at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often engines are told of accesses.
const TELL_EVERY: Duration = Duration::from_millis(300);
