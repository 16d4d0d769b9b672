//! What a user does all day: signs in, comes back here and there, signs out, and tries what somebody would
//! who has kept a copy of every cookie.
//!
//! One thread for each user, so that a user's logins come one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::dice::Dice;
use crate::history::NodeId;
use crate::visitor::Landing;
use crate::visitor::Tab;
use crate::visitor::Visitor;
use crate::world::HOSTS;
use crate::world::NODES;
use crate::world::World;

/// A user.
pub(crate) struct Client {
    visitor: Visitor,
    dice: Dice,
    /// What is in use.
    tabs: Vec<Tab>,
    /// What was in use once, and is tried again.
    copies: Vec<Tab>,
    temper: Temper,
}

/// What a user is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    /// Signs in and out all the time, and tries old cookies often.
    Restless,
    /// Comes back until sessions are over by themselves, and leaves old cookies alone for long.
    Steady,
}

/// Whether users go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Over,
    Running,
}

impl Temper {
    /// One of three is steady.
    pub(crate) fn of_all() -> impl Iterator<Item = Self> {
        [Self::Steady, Self::Restless, Self::Restless]
            .into_iter()
            .cycle()
    }
}

impl Client {
    pub(crate) fn new(user: &str, world: &Arc<World>, temper: Temper, dice: Dice) -> Self {
        let visitor = Visitor {
            user: user.to_owned(),
            world: Arc::clone(world),
        };
        Self {
            visitor,
            dice,
            tabs: Vec::new(),
            copies: Vec::new(),
            temper,
        }
    }

    /// Goes on until it is over; then tries every copy everywhere, and signs in once more.
    pub(crate) async fn live(mut self, mut phase: watch::Receiver<Phase>) {
        if self.temper == Temper::Restless {
            self.crowd().await;
        }
        while *phase.borrow() == Phase::Running {
            self.act().await;
            let pause = Duration::from_millis(self.dice.between(5, 120));
            let over = phase.wait_for(|phase| *phase == Phase::Over);
            tokio::time::timeout(pause, over).await.ok();
        }
        self.come_back_once_more().await;
        self.try_copies_everywhere().await;
        self.be_served_everywhere().await;
    }

    async fn act(&mut self) {
        match (self.temper, self.dice.below(100)) {
            (Temper::Restless, 0..3) => self.crowd().await,
            (Temper::Restless, 3..20) => self.begin().await,
            (Temper::Restless, 20..38) => self.leave().await,
            (Temper::Restless, 38..60) => self.replay().await,
            (Temper::Restless, 60..63) => self.abandon(),
            (Temper::Steady, 0..1) => self.leave().await,
            (Temper::Steady, 1..3) => self.replay().await,
            (Temper::Steady, 3..8) if self.tabs.len() < TABS_MAX => self.begin().await,
            (Temper::Restless | Temper::Steady, _) => self.come_back().await,
        }
    }

    /// Signs in with fresh cookies.
    async fn begin(&mut self) {
        if self.tabs.len() >= TABS_MAX {
            return self.abandon();
        }
        let (node, host) = (self.any_node(), self.any_host());
        let tab = self.visitor.begin(node, host).await;
        self.tabs.extend(tab);
    }

    /// Visits an application with cookies in use; signs in again where that is asked.
    async fn come_back(&mut self) {
        let Some(at) = self.any_tab() else {
            return self.begin().await;
        };
        let node = self.node_for(at);
        let host = self.any_host();
        let mut tab = self.tabs.swap_remove(at);
        let landing = self.visitor.visit(&mut tab, node, host).await;
        let Landing::Form(page) = landing else {
            return self.tabs.push(tab);
        };
        // A copy from before the login that replaces it.
        self.keep(&tab);
        // Who does not sign in again leaves a session behind that may be alive elsewhere.
        if self.temper == Temper::Steady || self.dice.says(60) {
            self.visitor.sign_in(&mut tab, node, &page).await;
            self.tabs.push(tab);
        }
    }

    async fn leave(&mut self) {
        let Some(at) = self.any_tab() else { return };
        let node = self.node_for(at);
        let host = self.any_host();
        let mut tab = self.tabs.swap_remove(at);
        self.keep(&tab);
        self.visitor.sign_out(&mut tab, node, host).await;
    }

    /// Tries a copy, where it was used last or elsewhere.
    async fn replay(&mut self) {
        if self.copies.is_empty() {
            return;
        }
        let at = self.dice.below(self.copies.len());
        let mut copy = self.copies[at].clone();
        let node = match copy.last {
            Some(last) if self.dice.says(35) => last,
            _ => self.any_node(),
        };
        let host = self.any_host();
        self.visitor.visit(&mut copy, node, host).await;
    }

    /// Puts cookies away without signing out.
    fn abandon(&mut self) {
        if let Some(at) = self.any_tab() {
            let tab = self.tabs.swap_remove(at);
            self.keep(&tab);
        }
    }

    /// Signs in more often than is allowed, at one data centre, and comes back with all of it (R8).
    async fn crowd(&mut self) {
        let (node, host) = (self.any_node(), self.any_host());
        let most = self.visitor.world.chronicle.promises.per_user_max;
        let mut tabs = Vec::new();
        for _ in 0..most + 2 {
            tabs.extend(self.visitor.begin(node, host).await);
        }
        for tab in &mut tabs {
            self.visitor.visit(tab, node, host).await;
        }
        tabs.iter().for_each(|tab| self.keep(tab));
    }

    /// What is in use is so until the end.
    async fn come_back_once_more(&mut self) {
        for at in 0..self.tabs.len() {
            let node = self.node_for(at);
            let host = self.any_host();
            let mut tab = self.tabs[at].clone();
            self.visitor.visit(&mut tab, node, host).await;
            self.tabs[at] = tab;
        }
    }

    /// The end: every copy at every data centre.
    async fn try_copies_everywhere(&self) {
        for (at, copy) in self.copies.iter().enumerate() {
            let host = HOSTS[at % HOSTS.len()];
            for node in (0..NODES).map(NodeId) {
                self.visitor.visit(&mut copy.clone(), node, host).await;
            }
        }
    }

    /// All has healed: who signs in anywhere is served everywhere.
    async fn be_served_everywhere(&mut self) {
        let user = self.visitor.user.clone();
        let first = self.any_node();
        let host = self.any_host();
        let deadline = Instant::now() + HEALED;
        let mut tab = loop {
            if let Some(tab) = self.visitor.begin(first, host).await {
                break tab;
            }
            assert!(
                Instant::now() < deadline,
                "{user} cannot sign in at {first}"
            );
        };
        for node in (0..NODES).map(NodeId) {
            self.be_served(&mut tab, node, host, deadline).await;
        }
    }

    async fn be_served(&self, tab: &mut Tab, node: NodeId, host: &str, deadline: Instant) {
        while !self.visitor.visit(tab, node, host).await.is_in() {
            let (user, tail) = (&self.visitor.user, || self.visitor.world.node(node).tail());
            let in_time = Instant::now() < deadline;
            assert!(in_time, "{user} is not served at {node}\n{}", tail());
        }
    }

    fn keep(&mut self, tab: &Tab) {
        if self.copies.len() >= COPIES_MAX {
            let at = self.dice.below(self.copies.len());
            self.copies.swap_remove(at);
        }
        self.copies.push(tab.copied());
    }

    fn any_tab(&mut self) -> Option<usize> {
        let count = self.tabs.len();
        (count > 0).then(|| self.dice.below(count))
    }

    /// The data centre where it was last, more often than not.
    fn node_for(&mut self, tab: usize) -> NodeId {
        match self.tabs[tab].last {
            Some(last) if self.dice.says(50) => last,
            _ => self.any_node(),
        }
    }

    fn any_node(&mut self) -> NodeId {
        NodeId(self.dice.below(NODES))
    }

    fn any_host(&mut self) -> &'static str {
        HOSTS[self.dice.below(HOSTS.len())]
    }
}

/// Copies that a user keeps.
const COPIES_MAX: usize = 8;
/// Sessions that a user has in use.
const TABS_MAX: usize = 3;
/// By when everything works again after the last fault.
const HEALED: Duration = Duration::from_secs(40);
