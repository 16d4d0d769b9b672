//! Users and their browsers: they visit, sign in and out, open several tabs, walk away, come back with
//! cookies of long ago, and give up when it takes too long.

use std::sync::Arc;

use parking_lot::Mutex;
use portway::decision::endpoints;
use portway::model::name::HostName;

use crate::centre::COLLECTOR;
use crate::centre::address;
use crate::centre::application;
use crate::event::Dc;
use crate::executor::Owner;
use crate::jar::Jar;
use crate::plan::Act;
use crate::plan::millis;
use crate::random::Random;
use crate::serve::Request;
use crate::serve::RequestKind;
use crate::serve::ResponseKind;
use crate::serve::Url;
use crate::trip::Cookies;
use crate::trip::STEPS_MAX;
use crate::trip::Trip;
use crate::trip::Zeal;
use crate::world::World;

/// One browser and whoever sits in front of it.
pub(crate) struct Browser {
    pub(crate) number: usize,
    pub(crate) state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) user: String,
    pub(crate) jar: Jar,
    /// Where the last request went.
    pub(crate) last: Dc,
    /// Jars of earlier, which somebody may have copied.
    pub(crate) copies: Vec<Jar>,
    pub(crate) dice: Random,
}

impl Browser {
    pub(crate) fn new(number: usize, world: &World) -> Self {
        let plan = &world.shared.plan;
        let mut dice = Random::stream(plan.seed, &format!("browser {number}"));
        let last = Dc(dice.below(plan.centres));
        let user = user(dice.below(plan.users));
        Self {
            number,
            state: Mutex::new(State {
                user,
                jar: Jar::default(),
                last,
                copies: Vec::new(),
                dice,
            }),
        }
    }

    /// Does one thing after the other, until it is time to stop.
    pub(crate) async fn live(self: Arc<Self>, world: Arc<World>) {
        let plan = world.shared.plan.clone();
        let until = millis(plan.active);
        loop {
            let pause = self.draw(|dice| dice.between(10, millis(plan.thinking_max)));
            world.shared.handle.pause(pause).await;
            if world.shared.handle.now() >= until {
                return;
            }
            self.act(&world).await;
        }
    }

    async fn act(self: &Arc<Self>, world: &Arc<World>) {
        let act = self.draw(|dice| dice.weighted(world.shared.plan.habits));
        let host = self.some_host(world);
        match act {
            Act::Visit => {
                self.visit(world, &Trip::to(&host, Zeal::SignIn)).await;
            }
            Act::OpenTabs => self.open_tabs(world),
            Act::SignOut => self.sign_out(world, &host).await,
            Act::ReplayACopy => self.replay(world, &host).await,
            Act::MixCookies => self.mix(world, &host).await,
            Act::BeIdle => {
                let idle = millis(world.shared.plan.idle);
                let rest = self.draw(|dice| dice.between(idle * 7 / 10, idle * 13 / 10));
                world.shared.handle.pause(rest).await;
            }
            Act::ClearCookies => {
                self.tell(world, "forgets all cookies");
                self.state.lock().jar = Jar::default();
            }
            Act::ChangeUser => {
                let user = self.draw(|dice| user(dice.below(world.shared.plan.users)));
                self.tell(world, &format!("is {user} now"));
                self.state.lock().user = user;
                let login = HostName::parse(COLLECTOR).unwrap();
                self.visit(world, &Trip::to(&login, Zeal::SignIn)).await;
            }
            Act::BeKilled => world.kill_some_session(self.draw(Random::next)),
        }
    }

    /// Several requests at once, as a page with many parts makes them.
    fn open_tabs(self: &Arc<Self>, world: &Arc<World>) {
        let count = self.draw(|dice| dice.between(2, 5));
        self.tell(world, &format!("opens {count} tabs"));
        for _ in 0..count {
            let (browser, inside) = (Arc::clone(self), Arc::clone(world));
            let host = self.some_host(world);
            let zeal = self.draw(|dice| *dice.pick(&[Zeal::SignIn, Zeal::WalkAway]));
            let tab = async move {
                browser.visit(&inside, &Trip::to(&host, zeal)).await;
            };
            world.shared.handle.spawn(Owner::WORLD, tab);
        }
    }

    async fn sign_out(&self, world: &Arc<World>, host: &HostName) {
        self.tell(world, "signs out");
        let mut url = Url::new(host, endpoints::LOGOUT);
        let mut kind = RequestKind::Post;
        let trip = Trip::to(host, Zeal::WalkAway);
        for _ in 0..STEPS_MAX {
            let sent = (url.clone(), kind);
            let Some(response) = self.send(world, sent, &trip).await else {
                return;
            };
            (url, kind) = match response.kind {
                ResponseKind::Redirect(to) => (Url::parse(&url.host, &to), RequestKind::Get),
                ResponseKind::ConfirmSignOut => (url, RequestKind::Post),
                ResponseKind::Circling
                | ResponseKind::Login(_)
                | ResponseKind::Page
                | ResponseKind::Refused
                | ResponseKind::Served(_) => return,
            };
        }
    }

    /// Somebody presents cookies of earlier.
    async fn replay(&self, world: &Arc<World>, host: &HostName) {
        let copy = {
            let mut state = self.state.lock();
            let state = &mut *state;
            let copies = state.copies.len();
            if copies == 0 {
                return;
            }
            state.copies[state.dice.below(copies)].clone()
        };
        self.tell(world, "is robbed of old cookies, which are presented");
        let cookies = Cookies::Copied(Arc::new(Mutex::new(copy)));
        let trip = Trip {
            cookies,
            ..Trip::to(host, Zeal::WalkAway)
        };
        self.visit(world, &trip).await;
    }

    /// Somebody presents old cookies beside the GITO cookie of today, or that of somebody else, to an
    /// application or to the collector.
    async fn mix(&self, world: &Arc<World>, application: &HostName) {
        let host = match self.draw(|dice| dice.below(2)) {
            0 => application.clone(),
            _ => HostName::parse(COLLECTOR).unwrap(),
        };
        let other = world.browser(self.draw(Random::next));
        let today = header(&other.state.lock().jar, &host);
        let gito = today.split("; ").filter(|pair| pair.contains("-gito-"));
        let old = {
            let mut state = self.state.lock();
            let state = &mut *state;
            let drawn = state.dice.below(state.copies.len());
            header(state.copies.get(drawn).unwrap_or(&state.jar), &host)
        };
        let old = old.split("; ").filter(|pair| !pair.contains("-gito-"));
        let mixed: Vec<_> = old.chain(gito).collect();
        let request = Request {
            url: Url::new(&host, "/"),
            cookies: mixed.join("; "),
            address: address(self.number),
            kind: RequestKind::Get,
        };
        self.tell(
            world,
            "is robbed of old cookies, which are presented with a GITO cookie of today",
        );
        let dc = self.balance(world);
        self.exchange(world, dc, request).await;
    }

    /// The jars that somebody may have copied.
    pub(crate) fn copies(&self) -> Vec<Jar> {
        self.state.lock().copies.clone()
    }

    fn some_host(&self, world: &World) -> HostName {
        self.draw(|dice| application(dice.below(world.shared.plan.hosts)))
    }

    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.state.lock().dice)
    }

    fn tell(&self, world: &World, what: &str) {
        let witness = &world.shared.witness;
        witness.tell(|| format!("browser {} {what}", self.number));
    }
}

/// What a jar sends to a host.
pub(crate) fn header(jar: &Jar, host: &HostName) -> String {
    jar.header(host.as_str(), "https", "/").unwrap_or_default()
}

/// A user, by number.
pub(crate) fn user(number: usize) -> String {
    ["alice", "bob", "carol"][number % 3].to_owned()
}
