//! One run from beginning to end: data centres, network, users and fate, put together from a seed.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;

use portway::crypto::key_ring::KeyRing;
use portway::model::name::ClusterId;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;

use crate::browser::Browser;
use crate::centre;
use crate::centre::Centre;
use crate::centre::Shared;
use crate::directory::Directory;
use crate::event::Dc;
use crate::event::Event;
use crate::event::Link;
use crate::event::NAMES;
use crate::executor::Executor;
use crate::executor::Owner;
use crate::executor::Step;
use crate::fate;
use crate::mutant::Mutation;
use crate::network::Network;
use crate::plan::Plan;
use crate::plan::millis;
use crate::random::Random;
use crate::settled;
use crate::tally::Tally;
use crate::witness::Telling;
use crate::witness::Witness;

/// Everything in a run.
pub(crate) struct World {
    pub(crate) shared: Arc<Shared>,
    pub(crate) centres: Vec<Centre>,
    browsers: OnceLock<Vec<Arc<Browser>>>,
    over: OnceLock<()>,
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) broken: Option<String>,
    pub(crate) story: Vec<String>,
    pub(crate) tally: Tally,
}

/// Runs a seed, to its end or to the first broken rule.
pub(crate) fn run(seed: u64, mutation: Option<Mutation>, telling: Telling) -> Ran {
    let mut plan = Plan::of(seed);
    if let Some(mutation) = mutation {
        mutation.shape(&mut plan);
    }
    let mut executor = Executor::new(seed);
    let handle = executor.handle();
    let witness = Witness::new(&plan, &handle, telling);
    witness.tell(|| format!("{plan:#?}"));
    let world = World::new(plan, mutation, &executor, &witness);
    handle.spawn(Owner::WORLD, play(Arc::clone(&world)));
    let mut steps = 0_u64;
    while !witness.is_broken() && executor.step() != Step::Idle {
        steps += 1;
        if world.is_over() {
            break;
        }
        if steps > STEPS_MAX {
            witness.fail("the run does not come to an end".to_owned());
        }
    }
    if !witness.is_broken() && !world.is_over() {
        witness.fail("everybody waits for something that does not come".to_owned());
    }
    drop(executor);
    world.centres.iter().for_each(Centre::crash);
    Ran {
        broken: witness.broken(),
        story: witness.take_story(),
        tally: witness.tally(),
    }
}

/// The course of a run: everybody is at it, then everything is healed, then all must agree.
async fn play(world: Arc<World>) {
    let shared = &world.shared;
    let handle = &shared.handle;
    world.centres.iter().for_each(Centre::start);
    for browser in world.browsers() {
        handle.spawn(Owner::WORLD, Arc::clone(browser).live(Arc::clone(&world)));
    }
    handle.spawn(Owner::WORLD, fate::befall(Arc::clone(&world)));
    handle.sleep(shared.plan.active).await;
    world.heal();
    if let Err(broken) = settled::settle(&world).await {
        shared.witness.fail(broken);
    }
    world.over.set(()).ok();
}

impl World {
    fn new(
        plan: Plan,
        mutation: Option<Mutation>,
        executor: &Executor,
        witness: &Arc<Witness>,
    ) -> Arc<Self> {
        let handle = executor.handle();
        let names = NAMES.iter().take(plan.centres);
        let names: Vec<_> = names.map(|name| ClusterId::parse(name).unwrap()).collect();
        let network = Network::new(plan.seed, names, plan.weather, &handle, witness);
        let shared = Arc::new(Shared {
            mutation,
            witness: Arc::clone(witness),
            network: Arc::new(network),
            directory: Arc::new(Directory::new(plan.rereading)),
            keys: key_ring(),
            origins: Arc::new(centre::origins(&plan)),
            owners: AtomicU32::new(0),
            handle,
            plan,
        });
        let mut dice = Random::stream(shared.plan.seed, "clocks");
        let numbers = (0..shared.plan.centres).map(Dc);
        let centres = numbers.map(|dc| Centre::new(dc, fate::usual_skew(dice.next()), &shared));
        let world = Arc::new(Self {
            centres: centres.collect(),
            shared,
            browsers: OnceLock::new(),
            over: OnceLock::new(),
        });
        let browsers = (0..world.shared.plan.browsers).map(|number| Browser::new(number, &world));
        world.browsers.set(browsers.map(Arc::new).collect()).ok();
        world
    }

    pub(crate) fn browsers(&self) -> &[Arc<Browser>] {
        self.browsers.get().map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn browser(&self, drawn: u64) -> &Browser {
        let browsers = self.browsers();
        let number = usize::try_from(drawn % (browsers.len() as u64)).unwrap_or(0);
        &browsers[number]
    }

    /// Whether the time of misfortunes is over.
    pub(crate) fn is_healed(&self) -> bool {
        self.shared.handle.now() >= millis(self.shared.plan.active)
    }

    fn is_over(&self) -> bool {
        self.over.get().is_some()
    }

    /// An administrator ends some session that has been begun, at some data centre.
    pub(crate) fn kill_some_session(&self, drawn: u64) {
        let facts: Vec<SsoFacts> = self.shared.witness.ask(|truth| {
            truth
                .sessions
                .values()
                .map(|born| born.facts.clone())
                .collect()
        });
        if facts.is_empty() {
            return;
        }
        let draw = |most: usize| usize::try_from(drawn % (most as u64)).unwrap_or(0);
        let facts = facts[draw(facts.len())].clone();
        self.centres[draw(self.centres.len())].kill_session(facts);
    }

    /// Mends everything that can be mended.
    fn heal(&self) {
        self.shared.network.heal();
        for centre in &self.centres {
            centre.empty_disk();
            centre.reach_directory(Link::Whole);
            centre.set_clock(0);
            centre.thaw();
            centre.start();
        }
        self.shared.witness.note(&Event::Healed);
    }
}

/// One key ring for all runs: expanding keys takes longer than a run.
fn key_ring() -> Arc<KeyRing> {
    static KEYS: OnceLock<Arc<KeyRing>> = OnceLock::new();
    let make = || {
        let file = KeyRing::first_file(&[7; 32].into(), Timestamp::from_millis(0)).unwrap();
        Arc::new(KeyRing::parse(&file).unwrap())
    };
    Arc::clone(KEYS.get_or_init(make))
}

/// More than any run takes.
const STEPS_MAX: u64 = 2_000_000;
