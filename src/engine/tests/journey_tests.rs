//! A property: whatever happens in whatever order, the engine answers as a plain model does, and for
//! one cookie no permit follows a refusal (R4).

use std::collections::BTreeSet;

use futures_util::FutureExt;
use proptest::collection::vec;
use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::Index;

use super::*;

const USERS: [&str; 3] = ["alice", "bob", "carol"];

#[derive(Clone, Copy, Debug)]
enum Step {
    End(Index),
    EndAll(usize),
    Pass(Duration),
    Request(Index),
    SignIn(usize, Option<Index>),
    Sweep,
    Trim,
    Visit(Index, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let cookie = || proptest::arbitrary::any::<Index>();
    let user = 0..USERS.len();
    let replaced = proptest::option::weighted(0.3, cookie());
    prop_oneof![
        2 => cookie().prop_map(Step::End),
        1 => user.clone().prop_map(Step::EndAll),
        6 => pause().prop_map(Step::Pass),
        8 => cookie().prop_map(Step::Request),
        5 => (user, replaced).prop_map(|(user, cookie)| Step::SignIn(user, cookie)),
        2 => proptest::strategy::Just(Step::Sweep),
        1 => proptest::strategy::Just(Step::Trim),
        3 => (cookie(), 0_u8..70).prop_map(|(cookie, host)| Step::Visit(cookie, host)),
    ]
}

/// Spans around the bounds that matter.
fn pause() -> impl Strategy<Value = Duration> {
    let around = |span: Duration| {
        let span = u64::try_from(span.as_millis()).unwrap();
        span - 2..span + 3
    };
    prop_oneof![
        4 => 0_u64..3,
        4 => 0_u64..2_000_000,
        2 => around(IDLE),
        1 => around(LIFETIME),
    ]
    .prop_map(Duration::from_millis)
}

/// What is known of a session in the plainest way.
struct Known {
    session: Arc<Session>,
    last_access: Timestamp,
    standing: bool,
    ended: bool,
    refused: bool,
}

impl Known {
    fn is_live(&self, now: Timestamp) -> bool {
        self.standing && !self.is_due(now)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        now >= self.session.facts.expires || now >= self.last_access.after(IDLE)
    }

    fn is_of(&self, name: &str) -> bool {
        self.session.facts.subject.as_str() == name
    }

    fn end(&mut self) {
        self.standing = false;
        self.ended = true;
    }
}

struct Model {
    world: World,
    known: Vec<Known>,
    watch: broadcast::Receiver<SsoId>,
    told: BTreeSet<SsoId>,
    cut_off: Vec<(String, Timestamp)>,
}

impl Model {
    fn new() -> Self {
        let world = World::new();
        let watch = world.engine.watch_ended();
        Self {
            world,
            known: Vec::new(),
            watch,
            told: BTreeSet::new(),
            cut_off: Vec::new(),
        }
    }

    fn run(&mut self, step: Step) {
        let now = self.world.now();
        match step {
            Step::End(cookie) => {
                if let Some(known) = pick(&mut self.known, cookie) {
                    known.end();
                    let facts = known.session.facts.clone();
                    let ended = self.world.engine.end(&facts, EndCause::Killed);
                    assert!(ready(ended).durable.is_ok());
                }
            }
            Step::EndAll(user_index) => self.end_all(USERS[user_index], now),
            Step::Pass(span) => self.world.pass(span),
            Step::Request(cookie) => {
                if let Some(known) = pick(&mut self.known, cookie)
                    && self.world.request(&claim(&known.session)).is_none()
                {
                    known.last_access = now;
                }
            }
            Step::SignIn(user_index, replaced) => self.sign_in(USERS[user_index], replaced),
            Step::Sweep => self.sweep(now),
            Step::Trim => {
                ready(self.world.engine.trim_ends()).unwrap();
            }
            Step::Visit(cookie, host_number) => {
                if let Some(known) = pick(&mut self.known, cookie) {
                    let visited = host(&format!("app-{host_number}.test"));
                    ready(self.world.engine.visit(&claim(&known.session), &visited));
                }
            }
        }
        self.compare();
    }

    fn end_all(&mut self, name: &str, now: Timestamp) {
        let concerned = self.known.iter_mut().filter(|known| {
            known.standing && known.is_of(name) && known.session.facts.first_authenticated <= now
        });
        let count = concerned.map(Known::end).count();
        let ended = ready(self.world.engine.end_all(&staff(), &user(name)));
        assert_eq!(ended.unwrap(), count);
        self.cut_off.push((name.to_owned(), now));
    }

    fn sign_in(&mut self, name: &str, replaced: Option<Index>) {
        let replaced = replaced.and_then(|cookie| pick(&mut self.known, cookie));
        let facts = replaced.map(|known| {
            known.end();
            known.session.facts.clone()
        });
        let mut standing: Vec<_> = self
            .known
            .iter_mut()
            .filter(|known| known.standing && known.is_of(name))
            .collect();
        standing.sort_by_key(|known| {
            let facts = &known.session.facts;
            (facts.first_authenticated, facts.sso)
        });
        let surplus = (standing.len() + 1).saturating_sub(PER_USER_MAX);
        standing.into_iter().take(surplus).for_each(Known::end);
        let begun = ready(self.world.sign_in_replacing(name, facts));
        if self.cut_off.contains(&(name.to_owned(), self.world.now())) {
            assert!(begun.is_err(), "in the very moment of a cut-off");
            return;
        }
        let session = begun.unwrap();
        assert!(
            self.known
                .iter()
                .all(|known| known.session.facts.sso != session.facts.sso)
        );
        self.known.push(Known {
            last_access: session.last_access,
            session,
            standing: true,
            ended: false,
            refused: false,
        });
    }

    fn sweep(&mut self, now: Timestamp) {
        ready(self.world.engine.sweep()).unwrap();
        let due = self.known.iter_mut().filter(|known| known.is_due(now));
        due.for_each(|known| known.standing = false);
    }

    /// Every cookie ever handed out is asked about after every step.
    fn compare(&mut self) {
        let now = self.world.now();
        self.told.extend(announced(&mut self.watch));
        for known in &mut self.known {
            let refusal = self.world.refusal(&claim(&known.session));
            assert_eq!(refusal.is_none(), known.is_live(now), "{:?}", refusal);
            assert!(
                !(known.refused && refusal.is_none()),
                "a permit follows a refusal (R4)"
            );
            known.refused |= refusal.is_some();
            if let Some(record) = self.world.record(&known.session) {
                assert!(known.standing);
                assert_eq!(&record.facts, &known.session.facts, "R6");
                assert!(record.visited.len() <= Session::VISITED_MAX);
            } else {
                assert!(self.told.contains(&known.session.facts.sso));
            }
            if known.ended && now < known.session.facts.expires {
                assert!(refusal != Some(NotLive::Idle) && refusal != Some(NotLive::Expired));
            }
        }
        for name in USERS {
            let live = self
                .known
                .iter()
                .filter(|known| known.is_of(name) && known.is_live(now));
            assert!(live.count() <= PER_USER_MAX, "R8");
        }
    }
}

fn pick(known: &mut [Known], cookie: Index) -> Option<&mut Known> {
    if known.is_empty() {
        None
    } else {
        Some(cookie.get_mut(known))
    }
}

/// The memory store never makes anyone wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing to wait for")
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn for_one_cookie_no_permit_follows_a_refusal_r4(steps in vec(step(), 1..60)) {
        let mut model = Model::new();
        for step in steps {
            model.run(step);
        }
    }
}
