//! Users of a world in which time alone ends sessions: they come back until long after a session is too old,
//! stay away for longer than it may idle, go on elsewhere while the data centre where it began is cut off, or
//! try copies as soon as everybody must have heard that it has ended.
//!
//! Each does one thing, over and over. Whom nothing spares is a client.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::checker;
use crate::client::Phase;
use crate::history::Millis;
use crate::history::NodeId;
use crate::history::millis;
use crate::plan::CUT_OFF;
use crate::visitor::Tab;
use crate::visitor::Visitor;
use crate::world::HOSTS;
use crate::world::NODES;
use crate::world::World;

/// A user of few habits.
pub(crate) struct Regular {
    visitor: Visitor,
    habit: Habit,
    /// Where this one signs in.
    home: NodeId,
    phase: watch::Receiver<Phase>,
}

/// What a user does, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Signs in at the data centre that will be cut off, and goes on in the others.
    Abroad,
    /// Stays away for longer than a session may idle, and comes back to every data centre.
    Away,
    /// Comes back all the time, until the session is too old.
    Constant,
    /// Signs out, and comes back with a copy once every data centre must have heard of it.
    Leaving,
}

/// The habits that there are, and where who has them signs in.
pub(crate) const HABITS: [(Habit, NodeId); 7] = [
    (Habit::Abroad, CUT_OFF),
    (Habit::Away, NodeId(1)),
    (Habit::Away, NodeId(2)),
    (Habit::Constant, NodeId(0)),
    (Habit::Constant, NodeId(1)),
    (Habit::Leaving, NodeId(1)),
    (Habit::Leaving, NodeId(2)),
];

impl Regular {
    pub(crate) fn new(
        user: &str,
        world: &Arc<World>,
        (habit, home): (Habit, NodeId),
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let visitor = Visitor {
            user: user.to_owned(),
            world: Arc::clone(world),
        };
        Self {
            visitor,
            habit,
            home,
            phase,
        }
    }

    /// Goes on until it is over.
    pub(crate) async fn live(mut self) {
        while self.goes_on(TICK).await {
            match self.habit {
                Habit::Abroad => self.work_abroad().await,
                Habit::Away => self.stay_away().await,
                Habit::Constant => self.grow_old().await,
                Habit::Leaving => self.leave().await,
            };
        }
    }

    /// The idle time-out passes without a request.
    async fn stay_away(&mut self) -> Option<()> {
        let mut tab = self.begin().await?;
        self.visitor.visit(&mut tab, self.next_to(1), HOST).await;
        let idle = millis(self.visitor.world.chronicle.promises.idle);
        self.goes_on(idle + checker::IDLE_SLACK + MARGIN).await;
        self.try_everywhere(&tab).await;
        Some(())
    }

    /// The lifetime passes, and the idle time-out never does.
    async fn grow_old(&mut self) -> Option<()> {
        let mut tab = self.begin().await?;
        let over = self.now() + millis(self.visitor.world.chronicle.promises.lifetime);
        while self.now() + 2 * TICK < over && self.goes_on(TICK).await {
            self.visitor.visit(&mut tab, self.home, HOST).await;
        }
        let rest = (over + checker::SLACK + MARGIN).saturating_sub(self.now());
        self.goes_on(rest).await;
        self.try_everywhere(&tab).await;
        Some(())
    }

    /// The time passes in which an end gets round.
    async fn leave(&mut self) -> Option<()> {
        let mut tab = self.begin().await?;
        for by in [1, 2] {
            self.visitor.visit(&mut tab, self.next_to(by), HOST).await;
        }
        let copy = tab.copied();
        self.visitor.sign_out(&mut tab, self.home, HOST).await;
        let fan_out = millis(self.visitor.world.chronicle.promises.fan_out);
        self.goes_on(fan_out + MARGIN).await;
        self.try_everywhere(&copy).await;
        Some(())
    }

    /// The lease passes, in use. A session is begun every few seconds, so that one is young enough when the
    /// cut comes.
    async fn work_abroad(&mut self) -> Option<()> {
        let lifetime = millis(self.visitor.world.chronicle.promises.lifetime);
        let mut tabs: Vec<(Millis, Tab)> = Vec::new();
        let mut by = 0;
        while self.goes_on(TICK).await {
            let now = self.now();
            tabs.retain(|(begun, _)| now < begun + lifetime);
            if tabs
                .last()
                .is_none_or(|(begun, _)| begun + lifetime / 3 < now)
            {
                let tab = self.begin().await;
                tabs.extend(tab.map(|tab| (now, tab)));
            }
            by += 1;
            let node = self.next_to(1 + by % (NODES - 1));
            for (_, tab) in &mut tabs {
                self.go_to(node, tab).await;
            }
        }
        Some(())
    }

    /// Goes there; whoever is sent away keeps the cookies, to try them again.
    async fn go_to(&self, node: NodeId, tab: &mut Tab) {
        let mut copy = tab.copied();
        if self.visitor.visit(&mut copy, node, HOST).await.is_in() {
            *tab = copy;
        }
    }

    async fn begin(&self) -> Option<Tab> {
        self.visitor.begin(self.home, HOST).await
    }

    async fn try_everywhere(&self, tab: &Tab) {
        for by in 0..NODES {
            let mut copy = tab.copied();
            self.visitor.visit(&mut copy, self.next_to(by), HOST).await;
        }
    }

    /// So many data centres further than home.
    fn next_to(&self, by: usize) -> NodeId {
        NodeId((self.home.0 + by) % NODES)
    }

    fn now(&self) -> Millis {
        self.visitor.world.chronicle.now()
    }

    /// Whether the run is not over within this time, or before.
    async fn goes_on(&mut self, span: Millis) -> bool {
        let over = self.phase.wait_for(|phase| *phase == Phase::Over);
        let waited = tokio::time::timeout(Duration::from_millis(span), over);
        waited.await.is_err()
    }
}

/// The application that they use.
const HOST: &str = HOSTS[0];
/// How often one comes back who does all the time.
const TICK: Millis = 500;
/// What is past a bound for certain.
const MARGIN: Millis = 200;
