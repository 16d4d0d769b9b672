//! Answers gates without an engine: the port `SessionEngine` behind the verbs of `gate_wire` (M-055).
//!
//! The desk has proven who asks, and that the gate is enrolled here. What a verdict is worth later is the
//! gate's to know, by the feed of ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::backchannel::World;
use crate::backchannel::desk::Services;
use crate::backchannel::desk::services::GateVerbs;
use crate::backchannel::gate_server::feed::Feed;
use crate::backchannel::gate_server::shares::Shares;
use crate::backchannel::gate_terms::GateTerms;
use crate::backchannel::gate_wire::GateAnswer;
use crate::backchannel::gate_wire::GateQuestion;
use crate::backchannel::gate_wire::Mark;
use crate::backchannel::gate_wire::News;
use crate::backchannel::gate_wire::Verdict;
use crate::backchannel::gate_wire::millis;
use crate::backchannel::wire;
use crate::backchannel::wire::Letterhead;
use crate::backchannel::wire::WireError;
use crate::crypto::claims::TOKEN_LIFETIME;
use crate::model::claim::Claim;
use crate::model::claim::NotLive;
use crate::model::end::Confirmed;
use crate::model::end::End;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::name::ClusterId;
use crate::model::session::EndCause;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::session_engine::Ended;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;

mod feed;
mod shares;

impl Services {
    /// Answers gates without an engine by this one. `terms` is what they are told to go by.
    #[must_use]
    pub fn answering_gates(
        self,
        engine: Arc<dyn SessionEngine>,
        terms: GateTerms,
        limits: GateLimits,
        world: &World,
    ) -> Self {
        let service = GateService::new(engine, terms, limits, world);
        self.with_gates(Arc::new(service))
    }
}

/// What gates are answered by.
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// How long sessions may see no request.
    pub idle_timeout: Duration,
    /// How far clocks may differ before nothing is asked any more (S-22).
    pub hard_skew: Duration,
}

/// Answers gates.
struct GateService {
    engine: Arc<dyn SessionEngine>,
    feed: Feed,
    tokens: Shares,
    ends: Shares,
    terms: GateTerms,
    limits: GateLimits,
    clock: Arc<dyn Clock>,
}

impl GateService {
    fn new(
        engine: Arc<dyn SessionEngine>,
        terms: GateTerms,
        limits: GateLimits,
        world: &World,
    ) -> Self {
        Self {
            feed: Feed::new(engine.watch_ended(), Arc::clone(&world.entropy)),
            engine,
            tokens: Shares::of_tokens(),
            ends: Shares::of_ends(),
            terms,
            limits,
            clock: Arc::clone(&world.clock),
        }
    }

    async fn act(&self, gate: &ClusterId, question: GateQuestion) -> GateAnswer {
        match question {
            GateQuestion::End { facts, cause } => self.end(gate, &facts, cause).await,
            GateQuestion::Judge { claim } => {
                let claim = Claim::from(claim);
                let found = self.engine.judge(&claim, self.clock.now()).await;
                self.judged(&claim, found)
            }
            GateQuestion::Spend { token, expires } => {
                if self.spend(gate, token, expires) {
                    GateAnswer::Done
                } else {
                    GateAnswer::SpentBefore
                }
            }
            GateQuestion::Standing { sessions } => self.standing(sessions),
            GateQuestion::Terms => GateAnswer::Terms(self.terms.clone()),
            GateQuestion::Touch { sessions } => {
                let now = self.clock.now();
                for (sso, ago) in sessions {
                    let when = now.before(Duration::from_millis(ago));
                    self.engine.touch(&sso, when);
                }
                GateAnswer::Done
            }
            GateQuestion::Visit { claim, host } => {
                let claim = Claim::from(claim);
                let found = self.engine.visit(&claim, &host).await;
                self.judged(&claim, found)
            }
            GateQuestion::Watch { after, hold } => {
                self.watch(after, Duration::from_millis(hold)).await
            }
        }
    }

    /// Ends a session for a gate. One that does not stand here has to be believed, since the end may be all
    /// that is known of it (S-18), and is remembered until the session would have expired; so a gate may
    /// have only so many of these remembered.
    async fn end(&self, gate: &ClusterId, facts: &SsoFacts, cause: EndCause) -> GateAnswer {
        let now = self.clock.now();
        let expires = facts.expires.min(now.after(End::KEPT_MAX));
        let is_believed =
            self.engine.is_standing(&facts.sso) || self.ends.take(gate, expires, now, || true);
        if is_believed {
            ended(self.engine.end(facts, cause).await)
        } else {
            GateAnswer::NotDurable
        }
    }

    /// Spends a token for a gate, which neither has it remembered for longer than a token is good, give or
    /// take what clocks may differ, nor fills the memory of all (S-24). The clock that made it may be ahead
    /// by as much, and the gate takes it for as much longer.
    fn spend(&self, gate: &ClusterId, token: TokenId, expires: Timestamp) -> bool {
        let now = self.clock.now();
        let skew = self.limits.hard_skew.saturating_mul(2);
        if expires > now.after(TOKEN_LIFETIME).after(skew) {
            tracing::debug!(%gate, "a gate sent a token that is good for longer than any is");
            return false;
        }
        let spend = || self.engine.spend(token, expires);
        self.tokens.take(gate, expires, now, spend)
    }

    /// Looks again after the place in the feed is taken: judging may have taken long, and an end before
    /// that place is not told again.
    fn judged(&self, claim: &Claim, found: Lookup) -> GateAnswer {
        let at = self.feed.mark();
        let found = match found {
            Lookup::Live(_) => self.engine.lookup(claim, self.clock.now()),
            found @ (Lookup::NotLive(_) | Lookup::Unknown) => found,
        };
        let verdict = match found {
            Lookup::Live(session) => Verdict::Live {
                session: Box::new(Arc::unwrap_or_clone(session)),
                idle_timeout: millis(self.limits.idle_timeout),
            },
            Lookup::NotLive(why) => Verdict::NotLive(why),
            Lookup::Unknown => Verdict::NotLive(NotLive::Unanswered),
        };
        GateAnswer::Judged { verdict, at }
    }

    fn standing(&self, mut sessions: Vec<SsoId>) -> GateAnswer {
        sessions.retain(|sso| !self.engine.is_standing(sso));
        GateAnswer::NotStanding(sessions)
    }

    async fn watch(&self, after: Option<Mark>, hold: Duration) -> GateAnswer {
        // Listening begins before the first look, so that nothing comes between the two.
        let mut wake = self.engine.watch_ended();
        let (at, news) = self.feed.since(after);
        let is_quiet = matches!(&news, News::Ended { sessions, .. } if sessions.is_empty());
        if !is_quiet || hold.is_zero() {
            return GateAnswer::Watched { at, news };
        }
        tokio::select! {
            _ = wake.recv() => {}
            () = self.clock.sleep(hold.min(HOLD_MAX)) => {}
        }
        let (at, news) = self.feed.since(after);
        GateAnswer::Watched { at, news }
    }
}

#[async_trait]
impl GateVerbs for GateService {
    async fn answer(
        &self,
        gate: &ClusterId,
        message: &[u8],
        head: &Letterhead,
    ) -> Result<Vec<u8>, WireError> {
        let question = wire::body(message)?;
        wire::enclose(head, &self.act(gate, question).await)
    }
}

fn ended(ended: Ended) -> GateAnswer {
    GateAnswer::Ended {
        visited: ended.visited,
        durability: Confirmed::from(&ended.durable),
        peers: ended.peers,
    }
}

/// Longest time that a question about ends is held back.
const HOLD_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
