//! Asking engines for a gate without one: which of them, in which order, and what their answers are worth.
//!
//! What is kept of an answer is `known`'s, how engines are followed `follow`'s.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use futures_util::future::select;

use crate::backchannel::gate_wire::GateAnswer;
use crate::backchannel::gate_wire::GateQuestion;
use crate::backchannel::gate_wire::Mark;
use crate::backchannel::gate_wire::Verdict;
use crate::backchannel::remote::ENDING;
use crate::backchannel::remote::FRESH;
use crate::backchannel::remote::RemoteEngine;
use crate::backchannel::remote::RemoteFault;
use crate::backchannel::remote::failed;
use crate::backchannel::remote::known::Held;
use crate::backchannel::remote::node::Cover;
use crate::backchannel::remote::node::EngineNode;
use crate::backchannel::status::Tier;
use crate::decision::upstream::Member;
use crate::decision::upstream::MemberState;
use crate::decision::upstream::Pick;
use crate::decision::upstream::choose;
use crate::model::claim::Claim;
use crate::model::claim::NotLive;
use crate::model::end::Confirmed;
use crate::model::id::SsoId;
use crate::model::peer::Silence;
use crate::model::session::EndCause;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::session_engine::Ended;
use crate::ports::session_engine::Lookup;

impl RemoteEngine {
    /// Whether what is kept of a session may be relied on.
    pub(super) fn is_good(&self, held: &Held, now: Timestamp) -> bool {
        let Some(node) = self.node(held.engine) else {
            return false;
        };
        // A clock that was set back makes everything look younger than it is.
        let is_young = |age: Duration| held.asked <= now && now.since(held.asked) < age;
        let is_away = node.tier() == Tier::Secondary && self.is_home_well(now);
        is_young(VERIFY_AFTER) && !is_away && (is_young(FRESH) || node.covers(held.period, now))
    }

    /// Whether the own data centre has enough engines: then nobody is served by another one.
    fn is_home_well(&self, now: Timestamp) -> bool {
        let nodes = self.nodes.primary.iter();
        let well = nodes.filter(|node| node.is_followed(now)).count();
        well >= self.nodes.failover_threshold.max(1)
    }

    pub(super) fn node(&self, index: usize) -> Option<&Arc<EngineNode>> {
        let primaries = self.nodes.primary.len();
        match index.checked_sub(primaries) {
            None => self.nodes.primary.get(index),
            Some(index) => self.nodes.secondary.get(index),
        }
    }

    /// Asks the engines one after the other until one answers. The same session is asked about at the
    /// same engine as long as that one is well.
    pub(super) async fn ask(
        &self,
        key: &[u8],
        question: &GateQuestion,
    ) -> Result<Answered, Silence> {
        let mut tried = Vec::new();
        let mut silence = Silence::Unreachable;
        while tried.len() < ASKED_MAX {
            let Some(chosen) = choose(&self.nodes, Pick::Key(key), &tried) else {
                break;
            };
            let (engine, asked) = (chosen.index, self.clock.now());
            match self.ask_one(chosen.member, question).await {
                Ok(answer) => {
                    return Ok(Answered {
                        answer,
                        engine,
                        asked,
                    });
                }
                // It is there and has too much to do; going elsewhere would move sessions for that.
                Err(Silence::Busy) => return Err(Silence::Busy),
                Err(why) => {
                    silence = why;
                    tried.push(engine);
                }
            }
        }
        Err(silence)
    }

    /// Asks one engine. Nobody waits for an engine that turns out to be lost meanwhile, and only a moment
    /// for one that was lost before.
    async fn ask_one(
        &self,
        node: &EngineNode,
        question: &GateQuestion,
    ) -> Result<GateAnswer, Silence> {
        if node.state() != MemberState::Healthy {
            return node.ask(question, self.timeout.min(FRESH)).await;
        }
        let is_lost = async {
            while node.state() == MemberState::Healthy {
                self.clock.sleep(LOST_CHECK).await;
            }
        };
        let asking = node.ask(question, self.timeout);
        match select(pin!(asking), pin!(is_lost)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(Silence::TimedOut),
        }
    }

    pub(super) async fn judge_by(&self, claim: &Claim, question: GateQuestion) -> Lookup {
        let sso = &claim.facts.sso;
        for _ in 0..OVERTAKEN_MAX {
            // An end that was said here is final, whatever an engine has not heard yet.
            if self.outbox.holds(sso) {
                return Lookup::NotLive(NotLive::Ended);
            }
            let Ok(answered) = self.ask(sso.as_bytes(), &question).await else {
                return Lookup::NotLive(NotLive::Unanswered);
            };
            let GateAnswer::Judged { verdict, at } = answered.answer else {
                return Lookup::NotLive(NotLive::Unanswered);
            };
            let (session, idle_timeout) = match verdict {
                Verdict::NotLive(why) => return self.take_refusal(sso, why, answered.engine),
                Verdict::Live {
                    session,
                    idle_timeout,
                } => (session, Duration::from_millis(idle_timeout)),
            };
            if !is_meant(&session, claim) {
                return Lookup::NotLive(NotLive::Mismatched);
            }
            let held = Held::new(*session, answered.engine, answered.asked, idle_timeout);
            if let Some(session) = self.take(held, at) {
                return Lookup::Live(session);
            }
        }
        Lookup::NotLive(NotLive::Unanswered)
    }

    /// Keeps what an engine said of a session that serves; none if its end came in between.
    fn take(&self, mut held: Held, at: Mark) -> Option<Arc<Session>> {
        let sso = held.session.facts.sso;
        let node = Arc::clone(self.node(held.engine)?);
        // An end that is heard meanwhile waits for this, and then finds what is kept.
        let tracking = node.tracking();
        match tracking.cover(&sso, at) {
            Cover::Overtaken => return None,
            Cover::Alone => {}
            Cover::Followed => held.period = Some(node.period()),
        }
        let session = Arc::clone(&held.session);
        let is_kept = self.known.keep(held);
        // Memory alone might have forgotten an end that was said here. An end that is said after this look
        // finds what is kept.
        if self.outbox.holds(&sso) {
            self.known.end(sso);
            return None;
        }
        is_kept.then_some(session)
    }

    fn take_refusal(&self, sso: &SsoId, why: NotLive, engine: usize) -> Lookup {
        if why == NotLive::Ended {
            self.known.end(*sso);
        } else if !why.holds_here_alone() {
            self.known.forget(sso, engine);
        }
        Lookup::NotLive(why)
    }

    pub(super) async fn end_at_engine(
        &self,
        facts: &SsoFacts,
        cause: EndCause,
    ) -> Result<Ended, Silence> {
        let question = GateQuestion::End {
            facts: facts.clone(),
            cause,
        };
        let answered = self.ask(facts.sso.as_bytes(), &question).await?;
        let engine = self.node(answered.engine);
        let GateAnswer::Ended {
            visited,
            durability,
            peers,
        } = answered.answer
        else {
            return Err(Silence::Protocol);
        };
        Ok(Ended {
            cluster: engine.map(|node| node.cluster().clone()),
            visited,
            durable: match durability {
                Confirmed::Durable => Ok(()),
                Confirmed::Outstanding => Err(failed(ENDING, RemoteFault::NotDurable)),
            },
            peers,
        })
    }
}

/// Whether a record is of the session that was asked about, and serves (S-3).
fn is_meant(session: &Session, claim: &Claim) -> bool {
    let (own, theirs) = (&session.facts, &claim.facts);
    own.sso == theirs.sso
        && own.subject == theirs.subject
        && own.store == theirs.store
        && session.state == SessionState::Live
}

/// What an engine answered, and when it was asked.
pub(super) struct Answered {
    pub(super) answer: GateAnswer,
    pub(super) engine: usize,
    pub(super) asked: Timestamp,
}

/// After this an engine is asked again even if nothing was heard: a lease runs out without a word (S-16),
/// and attributes change.
const VERIFY_AFTER: Duration = Duration::from_secs(10);
/// How often whoever waits for an answer looks whether the engine is still there.
const LOST_CHECK: Duration = Duration::from_millis(100);
/// Engines asked for one answer.
const ASKED_MAX: usize = 3;
/// How often a question is put again because something ended between its answer and its arrival.
const OVERTAKEN_MAX: usize = 3;
