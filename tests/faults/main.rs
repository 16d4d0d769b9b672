//! Three data centres of real processes, users who sign in, hop and sign out, and everything that goes
//! wrong in a data centre meanwhile; what came back is written down and checked against R1 to R9. Beside
//! them, three others in which next to nothing goes wrong, and time alone ends sessions.
//!
//! `PORTWAY_FAULTS_SECONDS` says how long it takes (about 40 s otherwise, and more on a machine that is
//! busy), `PORTWAY_FAULTS_SEED` chooses the plan of faults and the users' choices. What processes and
//! networks do in between is their own, so a seed does not repeat a run exactly.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "what goes wrong in a test stops the test, and says so"
)]

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use chronicle::Chronicle;
use client::Client;
use client::Phase;
use dice::Dice;
use history::Holding;
use history::Promises;
use regular::HABITS;
use regular::Regular;
use tally::Part;
use tally::Tally;
use world::Choice;
use world::NODES;
use world::OnSilence;
use world::World;

#[path = "../support/mod.rs"]
mod support;

mod checker;
mod chronicle;
mod client;
mod dice;
mod disk;
mod history;
mod node;
mod plan;
mod regular;
mod relay;
mod storm;
mod story;
mod tally;
mod visitor;
mod world;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_an_ended_session_is_never_honoured_r1_r2_r3_r4_r5_r6_r7_r8_r9() {
    let seed = number("PORTWAY_FAULTS_SEED").unwrap_or(SEED);
    let length = Duration::from_secs(number("PORTWAY_FAULTS_SECONDS").unwrap_or(SHORT));
    let mut dice = Dice::new(seed);
    let mut tallies = [Tally::default(), Tally::default()];
    let mut failed = Vec::new();
    let first = dice.below(POLICIES.len());
    let acts = if length < LONG { 1 } else { POLICIES.len() };
    for number in 0..acts + ACTS_MORE {
        let is_enough = tallies.iter().all(|tally| tally.wanting().is_empty());
        if number >= acts && (is_enough || !failed.is_empty()) {
            break;
        }
        let part = if number < acts {
            Part::Planned
        } else {
            Part::Besides
        };
        let policy = POLICIES[(first + number) % POLICIES.len()];
        let act = |scene| Act {
            name: format!("{seed}-{}-{scene:?}", number + 1),
            scene,
            choice: choose(scene, policy, length),
            length: length / u32::try_from(acts).unwrap(),
        };
        let (storm, still) = (act(Scene::Storm), act(Scene::Still));
        let played = tokio::join!(storm.play(dice.split()), still.play(dice.split()));
        for (tally, (counts, failures)) in tallies.iter_mut().zip([played.0, played.1]) {
            tally.add(&counts, part);
            failed.extend(failures);
        }
    }
    let [storms, stills] = tallies;
    eprintln!(
        "\nPORTWAY_FAULTS_SEED={seed}, {} s:\n{storms}where time alone ends sessions:\n{stills}",
        length.as_secs()
    );
    failed.extend(storms.wanting());
    failed.extend(stills.wanting());
    assert!(failed.is_empty(), "seed {seed}: {}", failed.join("\n"));
}

/// A part of a run, with gateways of its own.
struct Act {
    name: String,
    scene: Scene,
    choice: Choice,
    length: Duration,
}

/// What users have to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// Time alone ends sessions; a data centre is cut off now and then.
    Still,
    /// Everything goes wrong.
    Storm,
}

impl Act {
    /// Starts everything, has it go wrong, and judges; answers the counts and what was not as it should be.
    async fn play(&self, mut dice: Dice) -> (Tally, Vec<String>) {
        let Choice { promises, .. } = self.choice;
        eprintln!("\nact {}: {:?}, {:?}", self.name, self.length, self.choice);
        let users = match self.scene {
            Scene::Still => HABITS.len(),
            Scene::Storm => USERS,
        };
        let users: Vec<String> = (0..users).map(|number| format!("user{number}")).collect();
        let chronicle = Chronicle::begin(promises, NODES);
        let world = World::start(&self.choice, &users, Arc::clone(&chronicle)).await;
        let world = Arc::new(world);
        let storm = self.length.saturating_sub(promises.heal).max(LEAST);
        let plan = match self.scene {
            Scene::Still => plan::cuts(storm, promises.lease),
            Scene::Storm => plan::make(&mut dice, storm, NODES),
        };
        let (phase, running) = watch::channel(Phase::Running);
        let clients = match self.scene {
            Scene::Still => regulars(&users, &world, &running),
            Scene::Storm => clients(&users, &world, &running, &mut dice),
        };
        let over = tokio::time::Instant::now() + storm;
        storm::rage(&world, &plan).await;
        // Whatever has ended until now must be known everywhere after this time.
        let healed = tokio::time::Instant::now().max(over) + promises.heal;
        tokio::time::sleep_until(healed).await;
        phase.send_replace(Phase::Over);
        let joined = tokio::task::spawn_blocking(move || {
            let joined = clients.into_iter().map(JoinHandle::join);
            joined.filter(Result::is_err).count()
        });
        let unserved = joined.await.unwrap();
        let (tally, mut failures) = self.judge(&world);
        if unserved > 0 {
            failures.push(format!("{unserved} users are not served again"));
        }
        (tally, failures)
    }

    /// Checks the history and tells what it has of broken promises.
    fn judge(&self, world: &World) -> (Tally, Vec<String>) {
        world.nodes.iter().for_each(node::Node::end);
        let history = world.chronicle.history();
        let findings = checker::check(&history);
        let file = format!(
            "{}/faults-{}.history",
            env!("CARGO_TARGET_TMPDIR"),
            self.name
        );
        std::fs::write(&file, story::lines(&history)).unwrap();
        let tally = match self.scene {
            Scene::Still => Tally::of_time(&world.chronicle, &history, &findings),
            Scene::Storm => Tally::of(&world.chronicle, &history, &findings),
        };
        eprintln!("{tally}the history is in {file}");
        for violation in findings.violations.iter().take(STORIES_MAX) {
            eprintln!("\n{}", story::tell(violation, world, &history));
        }
        let broken = findings.violations.iter();
        let failures = broken.map(|broken| format!("{}: {broken:?}", self.name));
        (tally, failures.take(FAILURES_MAX).collect())
    }
}

/// Starts the users whom nothing spares, each in a thread of its own.
fn clients(
    users: &[String],
    world: &Arc<World>,
    running: &watch::Receiver<Phase>,
    dice: &mut Dice,
) -> Vec<JoinHandle<()>> {
    let tempers = users.iter().zip(client::Temper::of_all());
    let begin = |(user, temper): (&String, _)| {
        let client = Client::new(user, world, temper, dice.split());
        let running = running.clone();
        std::thread::spawn(move || run(client.live(running)))
    };
    tempers.map(begin).collect()
}

/// Starts the users whose sessions time ends, each in a thread of its own.
fn regulars(
    users: &[String],
    world: &Arc<World>,
    running: &watch::Receiver<Phase>,
) -> Vec<JoinHandle<()>> {
    let habits = users.iter().zip(HABITS);
    let begin = |(user, habit): (&String, _)| {
        let regular = Regular::new(user, world, habit, running.clone());
        std::thread::spawn(move || run(regular.live()))
    };
    habits.map(begin).collect()
}

/// What the operator chose.
fn choose(scene: Scene, (holding, on_silence): (Holding, OnSilence), length: Duration) -> Choice {
    let (lifetime, idle, lease) = match scene {
        // Short enough that a doubled one shows in the shortest run.
        Scene::Still => (10, 4, 3),
        // Long enough that most of what is refused is refused for another reason, short enough that some
        // sessions come to their natural end.
        Scene::Storm if length < LONG => (14, 6, 5),
        Scene::Storm => (40, 8, 5),
    };
    // A short run is one test of many on a machine that they all keep busy, and nothing excuses a machine that stalls.
    let fan_out = if length < LONG { 3 } else { 2 };
    Choice {
        promises: Promises {
            lifetime: Duration::from_secs(lifetime),
            idle: Duration::from_secs(idle),
            lease: Duration::from_secs(lease),
            per_user_max: 6,
            holding,
            fan_out: Duration::from_secs(fan_out),
            fan_out_disturbed: Duration::from_secs(5),
            heal: Duration::from_secs(10),
        },
        on_silence,
    }
}

/// Runs a user in a thread of its own.
fn run(life: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(life);
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var_os(variable)?;
    let value = value.to_str().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap())
}

/// A long run has an act for each.
const POLICIES: [(Holding, OnSilence); 4] = [
    (Holding::One, OnSilence::Continue),
    (Holding::Several, OnSilence::Challenge),
    (Holding::One, OnSilence::Challenge),
    (Holding::Several, OnSilence::Continue),
];
/// Of a run that nobody chose one for.
const SEED: u64 = 6;
/// Seconds of a run that nobody chose a length for.
const SHORT: u64 = 32;
/// Runs of this length have an act for each policy, and longer lives.
const LONG: Duration = Duration::from_mins(4);
/// Acts that are played besides where too little happened: a machine that is busy does less in the same time.
const ACTS_MORE: usize = 2;
const USERS: usize = 5;
/// Faults that fit into less time prove little.
const LEAST: Duration = Duration::from_secs(22);
/// Violations that are told in full, and in one line.
const STORIES_MAX: usize = 3;
const FAILURES_MAX: usize = 20;
