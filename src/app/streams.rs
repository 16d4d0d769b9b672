//! Ends the requests in flight of sessions that serve no more: at the word of the engine, and by a check of
//! their own: a session may be in use beyond what the engine here sees, and a host may be stricter than the engine
//! (S-17, S-20, D-13, D-19). Streams are held against what is served now as well: a rule may be another one by now.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use futures_util::stream::StreamExt;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::model::claim::Claim;
use crate::model::claim::HostLimits;
use crate::model::claim::NotLive;
use crate::model::id::SsoId;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;
use crate::proxy::live::Live;
use crate::proxy::serving::Serving;
use crate::proxy::streams::Running;
use crate::proxy::streams::Streams;

/// Watches over the requests in flight.
pub(super) struct StreamWatch {
    engine: Arc<dyn SessionEngine>,
    running: Arc<Streams>,
    live: Arc<Live>,
    clock: Arc<dyn Clock>,
    /// Sessions that have just moved to another data centre: asking for them would bring them back.
    moving: Mutex<HashSet<SsoId>>,
}

impl StreamWatch {
    pub(super) fn new(
        engine: Arc<dyn SessionEngine>,
        (running, live): (Arc<Streams>, Arc<Live>),
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            running,
            live,
            clock,
            moving: Mutex::default(),
        })
    }

    /// Cuts the requests of every session that stops serving. An ordinary request may finish first: an
    /// answer that is nearly there is not broken off, and what an upstream is at when the session moves to
    /// another data centre would be done twice.
    pub(super) async fn close(self: Arc<Self>, mut ended: broadcast::Receiver<SsoId>) {
        loop {
            match ended.recv().await {
                Ok(sso) => self.close_one(sso),
                Err(RecvError::Lagged(_)) => self.cut_all_dead(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn close_one(self: &Arc<Self>, sso: SsoId) {
        let Some(claim) = self.running.claim(&sso) else {
            return;
        };
        match self.engine.lookup(&claim, self.clock.now()) {
            Lookup::NotLive(why) if !why.holds_here_alone() => {
                cut_after(self.running.take(&sso), ENDED_GRACE);
            }
            // Nobody has ended it: it is to be asked for elsewhere.
            Lookup::Live(_) | Lookup::NotLive(_) | Lookup::Unknown => {
                if self.moving.lock().insert(sso) {
                    tokio::spawn(Arc::clone(self).let_go(sso));
                }
            }
        }
    }

    /// Cuts what is still there of a session some time after it has moved, unless it has come back.
    async fn let_go(self: Arc<Self>, sso: SsoId) {
        tokio::time::sleep(MOVED_GRACE).await;
        self.moving.lock().remove(&sso);
        if !self.engine.is_standing(&sso) {
            cut_after(self.running.take(&sso), Duration::ZERO);
        }
    }

    /// Cuts the requests of every session that stands no more: ends were announced faster than heard.
    fn cut_all_dead(&self) {
        let running = self.running.sessions();
        for sso in running.iter().filter(|sso| !self.engine.is_standing(sso)) {
            cut_after(self.running.take(sso), ENDED_GRACE);
        }
    }

    /// Judges the sessions of all requests in flight again and again, as if each request came now, and cuts
    /// those that are not served. To be judged is no access.
    pub(super) async fn check(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut settled = HashMap::new();
        let (mut served, mut checks) = (self.live.take(), 0);
        loop {
            ticks.tick().await;
            self.check_once(&mut settled).await;
            let serving = self.live.take();
            checks += 1;
            if !Arc::ptr_eq(&serving, &served) || checks >= JUDGE_EVERY {
                self.judge(&serving);
                (served, checks) = (serving, 0);
            }
        }
    }

    /// Cuts the streams that would not be let in now: the configuration is another one, their users are, or it is
    /// another time of day. Those whose session does not serve are left to the check of sessions.
    fn judge(&self, serving: &Serving) {
        let now = self.clock.now();
        let mut cut = 0_usize;
        for stream in self.running.streams() {
            let Lookup::Live(session) = self.engine.lookup(&stream.claim, now) else {
                continue;
            };
            if serving.lets_in(&stream.entered, (&stream.claim, session), now) {
                continue;
            }
            stream.watch.cut();
            cut += 1;
            tracing::debug!(
                user = stream.claim.facts.subject.as_str(),
                session = stream.claim.facts.sso.short_hash(),
                virtual_host = %stream.entered.host,
                "a stream that would not be let in now is cut"
            );
        }
        if cut > 0 {
            tracing::info!(streams = cut, "streams cut that would not be let in now");
        }
    }

    /// `settled` says until when those that were asked about are not asked about again.
    async fn check_once(&self, settled: &mut HashMap<(SsoId, HostLimits), Timestamp>) {
        let now = self.clock.now();
        settled.retain(|_, until| now < *until);
        let mut doubtful = Vec::new();
        for claim in self.running.claims() {
            match self.engine.lookup(&claim, now) {
                Lookup::Live(_) => {}
                Lookup::NotLive(why) => self.cut(&claim, why),
                Lookup::Unknown => doubtful.push(claim),
            }
        }
        doubtful.retain(|claim| {
            !settled.contains_key(&judged(claim)) && !self.moving.lock().contains(&claim.facts.sso)
        });
        let ask = |claim: Arc<Claim>| async move {
            let found = self.engine.resolve(&claim, now).await;
            (claim, found)
        };
        let mut answers = stream::iter(doubtful)
            .map(ask)
            .buffer_unordered(CHECKS_AT_ONCE);
        while let Some((claim, found)) = answers.next().await {
            match found {
                Lookup::Live(_) => {
                    settled.insert(judged(&claim), now.after(SETTLED));
                }
                Lookup::NotLive(why) => self.cut(&claim, why),
                Lookup::Unknown => {}
            }
        }
    }

    /// Cuts the requests of a session that is not served. A silence is not the last word yet: it is asked
    /// again until the engine that holds the session lets it go, or is itself given up.
    fn cut(&self, claim: &Claim, why: NotLive) {
        if why == NotLive::Unanswered {
            return;
        }
        let sso = &claim.facts.sso;
        let running = if why.holds_here_alone() {
            self.running.take_within(sso, claim.presented.limits)
        } else {
            self.running.take(sso)
        };
        let streams = running.len();
        cut_after(running, ENDED_GRACE);
        if streams > 0 {
            tracing::info!(
                user = claim.facts.subject.as_str(),
                session = sso.short_hash(),
                reason = ?why,
                streams,
                "streams cut"
            );
        }
    }
}

/// What a judgement of a claim holds for.
fn judged(claim: &Claim) -> (SsoId, HostLimits) {
    (claim.facts.sso, claim.presented.limits)
}

/// Cuts requests once they have lasted for as long as they may finish in; those that have lasted longer are
/// streams, and are cut at once.
fn cut_after(running: Vec<Running>, grace: Duration) {
    let is_stream = |running: &Running| running.watch.age() >= grace;
    let (streams, ordinary): (Vec<_>, Vec<_>) = running.into_iter().partition(is_stream);
    streams.iter().for_each(|stream| stream.watch.cut());
    if ordinary.is_empty() {
        return;
    }
    tokio::spawn(async move {
        tokio::time::sleep(grace).await;
        ordinary.iter().for_each(|request| request.watch.cut());
    });
}

/// How long a request may take to finish when its session has ended: streams are closed within a second
/// (D-13).
const ENDED_GRACE: Duration = Duration::from_millis(500);
/// And when the session has moved to another data centre, where it serves on.
const MOVED_GRACE: Duration = Duration::from_secs(3);
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// After how many checks streams are judged again by their policies while the configuration stays the same.
const JUDGE_EVERY: u32 = 30;
/// Sessions that are asked about at a time: requests that come meanwhile have to get through too.
const CHECKS_AT_ONCE: usize = 16;
/// How long the answer about a session holds which the engine here cannot see by itself.
const SETTLED: Duration = Duration::from_secs(5);
