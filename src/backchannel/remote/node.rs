//! One engine of a gate's lists: the line to it, how well it is, and how far what ends there is followed.
//!
//! Following happens in `follow`; here is what it has come to.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use parking_lot::Mutex;
use parking_lot::MutexGuard;

use crate::backchannel::gate_terms::GateTerms;
use crate::backchannel::gate_wire::GateAnswer;
use crate::backchannel::gate_wire::GateQuestion;
use crate::backchannel::gate_wire::Mark;
use crate::backchannel::remote::FRESH;
use crate::backchannel::status::Tier;
use crate::decision::upstream::Member;
use crate::decision::upstream::MemberState;
use crate::decision::upstream::stable_hash;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::peer::Silence;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;

/// How questions reach an engine.
#[async_trait]
pub(super) trait EngineLine: Send + Sync + 'static {
    /// Asks one question and waits at most `limit` for the answer.
    async fn ask(&self, question: &GateQuestion, limit: Duration) -> Result<GateAnswer, Silence>;

    /// Keeps the line open, until the future is dropped.
    async fn run(&self);
}

/// An engine.
pub(super) struct EngineNode {
    line: Box<dyn EngineLine>,
    tier: Tier,
    place: NodePlace,
    /// What it said of its data centre; none: it is still to be asked.
    terms: ArcSwapOption<GateTerms>,
    /// Whether it has begun anew since it was asked that.
    is_new: AtomicBool,
    /// When the question was sent whose answer completed what is known of ends there; 0: never.
    heard: AtomicU64,
    /// When it was heard of last, or began to be followed.
    alive: AtomicU64,
    /// Whether the last question found nobody.
    is_gone: AtomicBool,
    /// Counts the unbroken times of following it.
    period: AtomicU64,
    tracking: Mutex<Tracking>,
    in_flight: AtomicUsize,
    clock: Arc<dyn Clock>,
}

/// Which engine it is, and how much of the load it takes.
pub(super) struct NodePlace {
    /// The data centre that it has to prove to be of.
    pub(super) cluster: ClusterId,
    /// For logs.
    pub(super) name: String,
    pub(super) weight: u32,
}

/// What is known of the ends at an engine.
#[derive(Debug, Default)]
pub(super) struct Tracking {
    mark: Option<Mark>,
    /// Where the unbroken knowledge begins.
    since: u64,
    /// The latest ends with their positions, oldest first.
    recent: VecDeque<(u64, SsoId)>,
    /// Ends up to this position are in `recent` no more.
    forgotten: u64,
    /// Sessions to ask about, because something was heard of them elsewhere or not heard at all.
    pub(super) doubtful: Vec<SsoId>,
}

/// What an answer about a session is worth beside what is known of ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    /// It stands by itself: nothing will be heard of what came between.
    Alone,
    /// Every end after it is, or will be, heard.
    Followed,
    /// Its end has been heard already, or may have been.
    Overtaken,
}

impl EngineNode {
    pub(super) fn new(
        line: Box<dyn EngineLine>,
        tier: Tier,
        place: NodePlace,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            line,
            tier,
            place,
            terms: ArcSwapOption::empty(),
            is_new: AtomicBool::new(true),
            heard: AtomicU64::new(0),
            alive: AtomicU64::new(clock.now().as_millis()),
            is_gone: AtomicBool::new(false),
            period: AtomicU64::new(0),
            tracking: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            clock,
        }
    }

    pub(super) const fn tier(&self) -> Tier {
        self.tier
    }

    pub(super) fn name(&self) -> &str {
        &self.place.name
    }

    /// The data centre that it is of.
    pub(super) const fn cluster(&self) -> &ClusterId {
        &self.place.cluster
    }

    /// What it said of its data centre.
    pub(super) fn terms(&self) -> Option<Arc<GateTerms>> {
        self.terms.load_full()
    }

    /// Whether it is still to be asked for that, in this life of it.
    pub(super) fn is_untold(&self) -> bool {
        self.is_new.load(Ordering::Acquire)
    }

    /// Takes over what it said of its data centre.
    pub(super) fn take_terms(&self, terms: GateTerms) {
        self.terms.store(Some(Arc::new(terms)));
        self.is_new.store(false, Ordering::Release);
    }

    /// Asks one question.
    pub(super) async fn ask(
        &self,
        question: &GateQuestion,
        limit: Duration,
    ) -> Result<GateAnswer, Silence> {
        let _under_way = UnderWay::new(&self.in_flight);
        self.line.ask(question, limit).await
    }

    /// Keeps the line open.
    pub(super) async fn run(&self) {
        self.line.run().await;
    }

    /// Whether every end up to a moment ago has been heard.
    pub(super) fn is_followed(&self, now: Timestamp) -> bool {
        let heard = Timestamp::from_millis(self.heard.load(Ordering::Acquire));
        // A clock that was set back makes what was heard lie ahead; that says nothing.
        heard <= now && now.since(heard) < FRESH
    }

    /// Whether what was kept in a period of following still holds.
    pub(super) fn covers(&self, period: Option<u64>, now: Timestamp) -> bool {
        period == Some(self.period()) && self.is_followed(now)
    }

    /// The present period of following it.
    pub(super) fn period(&self) -> u64 {
        self.period.load(Ordering::Acquire)
    }

    /// How long it has not been heard of.
    pub(super) fn silent_for(&self, now: Timestamp) -> Duration {
        now.since(Timestamp::from_millis(self.alive.load(Ordering::Acquire)))
    }

    /// What is known of ends, locked.
    pub(super) fn tracking(&self) -> MutexGuard<'_, Tracking> {
        self.tracking.lock()
    }

    /// Notes an answer about ends that was complete.
    pub(super) fn is_heard(&self, asked: Timestamp) {
        self.heard.store(asked.as_millis(), Ordering::Release);
        self.is_alive(asked);
    }

    /// Notes an answer.
    pub(super) fn is_alive(&self, asked: Timestamp) {
        self.alive.store(asked.as_millis(), Ordering::Release);
        self.is_gone.store(false, Ordering::Release);
    }

    /// Notes that no answer came.
    pub(super) fn was_silent(&self, why: Silence) {
        let is_gone = match why {
            Silence::Protocol | Silence::Unreachable => true,
            // Time tells.
            Silence::Busy | Silence::CircuitOpen | Silence::TimedOut => return,
        };
        self.is_gone.store(is_gone, Ordering::Release);
    }

    /// Begins to follow it anew from a place: what was kept before holds no more.
    pub(super) fn begin(&self, tracking: &mut Tracking, at: Mark) {
        self.period.fetch_add(1, Ordering::AcqRel);
        // Another life of it may have another configuration.
        if tracking.mark.is_some() {
            self.is_new.store(true, Ordering::Release);
        }
        tracking.mark = Some(at);
        tracking.since = at.position;
        tracking.forgotten = at.position;
        tracking.recent.clear();
    }
}

impl Tracking {
    /// Up to where ends are known.
    pub(super) const fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// Takes in ends up to a place.
    pub(super) fn advance(&mut self, sessions: &[SsoId], at: Mark) {
        let before = at.position.saturating_sub(sessions.len() as u64);
        for (sso, position) in sessions.iter().zip(before.saturating_add(1)..) {
            self.recent.push_back((position, *sso));
        }
        while self.recent.len() > RECENT_MAX {
            if let Some((position, _)) = self.recent.pop_front() {
                self.forgotten = position;
            }
        }
        self.mark = Some(at);
    }

    /// What an answer about a session is worth that holds up to a place.
    pub(super) fn cover(&self, sso: &SsoId, at: Mark) -> Cover {
        let is_same_life = self.mark.is_some_and(|mark| mark.feed == at.feed);
        if !is_same_life || at.position < self.since {
            return Cover::Alone;
        }
        if at.position < self.forgotten {
            return Cover::Overtaken;
        }
        let after = self.recent.iter().rev();
        let mut after = after.take_while(|(position, _)| *position > at.position);
        if after.any(|(_, ended)| ended == sso) {
            Cover::Overtaken
        } else {
            Cover::Followed
        }
    }

    /// Notes sessions to ask about.
    pub(super) fn doubt(&mut self, sessions: impl IntoIterator<Item = SsoId>) {
        self.doubtful.extend(sessions);
    }
}

impl Member for EngineNode {
    fn weight(&self) -> u32 {
        self.place.weight
    }

    /// An engine that is being reached for the first time counts as well: a start must not begin with
    /// the secondaries.
    fn state(&self) -> MemberState {
        let is_gone = self.is_gone.load(Ordering::Acquire);
        if is_gone || self.silent_for(self.clock.now()) >= GONE_AFTER {
            MemberState::Suspected
        } else {
            MemberState::Healthy
        }
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn seed(&self) -> u64 {
        stable_hash(self.place.name.as_bytes())
    }
}

impl fmt::Debug for EngineNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineNode")
            .field("name", &self.place.name)
            .field("tier", &self.tier)
            .finish_non_exhaustive()
    }
}

/// Counts a question under way.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Silence after which others are asked first: longer than what is kept stays fresh, because going to
/// another data centre moves sessions.
const GONE_AFTER: Duration = Duration::from_secs(2);
/// Ends that an answer under way may be overtaken by and still be judged.
const RECENT_MAX: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: [u8; 16] = [1; 16];

    fn mark(position: u64) -> Mark {
        Mark {
            feed: LIFE,
            position,
        }
    }

    fn sso(number: u8) -> SsoId {
        SsoId::from_bytes([number; 16])
    }

    fn tracked_from(position: u64) -> Tracking {
        Tracking {
            mark: Some(mark(position)),
            since: position,
            forgotten: position,
            ..Tracking::default()
        }
    }

    #[test]
    fn an_answer_from_before_the_end_that_was_heard_is_overtaken() {
        let mut tracking = tracked_from(10);
        tracking.advance(&[sso(1), sso(2)], mark(12));
        assert_eq!(tracking.cover(&sso(1), mark(10)), Cover::Overtaken);
        assert_eq!(tracking.cover(&sso(2), mark(11)), Cover::Overtaken);
        assert_eq!(tracking.cover(&sso(1), mark(11)), Cover::Followed);
        assert_eq!(tracking.cover(&sso(3), mark(10)), Cover::Followed);
        assert_eq!(tracking.cover(&sso(1), mark(40)), Cover::Followed);
    }

    #[test]
    fn an_answer_from_before_the_following_or_of_another_life_stands_alone() {
        let mut tracking = tracked_from(10);
        assert_eq!(tracking.cover(&sso(1), mark(9)), Cover::Alone);
        let foreign = Mark {
            feed: [2; 16],
            position: 10,
        };
        assert_eq!(tracking.cover(&sso(1), foreign), Cover::Alone);
        assert_eq!(Tracking::default().cover(&sso(1), mark(0)), Cover::Alone);
        let many: Vec<_> = (0..RECENT_MAX + 5).map(|_| sso(9)).collect();
        tracking.advance(&many, mark(10 + many.len() as u64));
        assert_eq!(tracking.cover(&sso(1), mark(12)), Cover::Overtaken);
    }
}
