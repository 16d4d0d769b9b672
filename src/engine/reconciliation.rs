//! Asks the data centres of a session's chain for a newer access, before anyone is told that it idled
//! out (S-20).
//!
//! What the answers come to is decided in `decision::idle`.

use futures_util::stream::FuturesUnordered;
use futures_util::stream::StreamExt;

use crate::decision::adoption::Outcome;
use crate::decision::idle::Accesses;
use crate::decision::idle::Limits;
use crate::decision::idle::Reconciliation;
use crate::decision::idle::Verdict;
use crate::engine::EmbeddedEngine;
use crate::engine::federation::Federation;
use crate::model::claim::Claim;
use crate::model::claim::NotLive;
use crate::model::name::ClusterId;
use crate::model::peer::Question;
use crate::model::peer::Silence;
use crate::model::session::Session;

impl EmbeddedEngine {
    /// Looks for a newer access where else the session was used, before anyone is told that it idled
    /// out (S-20).
    pub(super) async fn reconcile_idle(
        &self,
        federation: &Federation,
        claim: &Claim,
        record: &Session,
    ) -> Result<(), NotLive> {
        let begun = self.parts.clock.now();
        let limit = federation.settings.adoption.attempt_limit;
        let own = self.parts.store.last_access(&claim.facts.sso);
        let known = Accesses {
            local: own.or(Some(record.last_access)),
            cookie: claim.last_access,
        };
        let here = &claim.presented.limits;
        let limits = Limits {
            idle_timeout: here.idle_timeout(self.terms().idle_timeout),
            now: begun,
            deadline: begun.after(limit),
        };
        let chain = self.chain_of(claim, Some(record));
        let mut reconciliation = Reconciliation::begin(known, chain, limits);
        // Who was waited for in vain a moment ago is not waited for again (S-7).
        for peer in federation.refusals.silent(&claim.facts.sso, begun) {
            reconciliation.handle(&peer, Err(Silence::TimedOut));
        }
        let peers: Vec<ClusterId> = reconciliation.asks().cloned().collect();
        let mut silent = peers.clone();
        let ask = |peer: ClusterId| async move {
            let facts = record.facts.clone();
            let question = Question::LastAccess { facts };
            let answer = self.ask_for_adoption(&peer, question, limit).await;
            (peer, answer)
        };
        let mut asked: FuturesUnordered<_> = peers.into_iter().map(ask).collect();
        let verdict = loop {
            if let Some(verdict) = reconciliation.verdict(self.parts.clock.now()) {
                break verdict;
            }
            match asked.next().await {
                Some((peer, answer)) => {
                    let is_silent = answer.as_ref().is_err_and(|silence| silence.is_total());
                    silent.retain(|other| is_silent || *other != peer);
                    reconciliation.handle(&peer, answer.as_ref().map_err(|silence| *silence));
                }
                None => break Verdict::Undecided,
            }
        };
        match verdict {
            Verdict::Fresh(last_access) => {
                self.parts.store.touch(&claim.facts.sso, last_access);
                Ok(())
            }
            Verdict::Ended => self.conclude(&record.facts, Outcome::Ended).await,
            // Whether it is idle for other hosts too is found when they ask.
            Verdict::Idle if here.idle_timeout.is_some() => Err(NotLive::IdleHere),
            Verdict::Idle => Err(NotLive::Idle),
            Verdict::Undecided => {
                self.note_silence(&claim.facts.sso, silent, begun);
                Err(NotLive::Unanswered)
            }
        }
    }
}
