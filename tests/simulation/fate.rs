//! What befalls the data centres while users are at it: cuts, crashes, stops, wrong clocks, full and lost
//! disks, a directory out of reach. Every misfortune ends by itself, sooner or later.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use portway::model::name::UserName;

use crate::browser;
use crate::event::Dc;
use crate::event::Event;
use crate::event::Link;
use crate::executor::Owner;
use crate::plan::SKEW_MAX;
use crate::plan::SKEW_USUAL;
use crate::plan::millis;
use crate::random::Random;
use crate::world::World;

#[derive(Clone, Copy)]
enum Misfortune {
    Clock,
    Crash,
    DeafStore,
    Estrangement,
    Freeze,
    FullDisk,
    LostLog,
    OneWay,
    Partition,
}

/// Lets things happen until the time of the plan is over.
pub(crate) async fn befall(world: Arc<World>) {
    let plan = world.shared.plan.clone();
    let handle = world.shared.handle.clone();
    let mut dice = Random::stream(plan.seed, "fate");
    if dice.chance(120) {
        let at = dice.between(5_000, millis(plan.active));
        let user = UserName::parse(&browser::user(dice.below(plan.users))).unwrap();
        handle.spawn(
            Owner::WORLD,
            disable(Arc::clone(&world), user, at, dice.next()),
        );
    }
    let total = plan.faults.total();
    if total == 0 {
        return;
    }
    let faults = &plan.faults;
    let kinds = [
        (faults.clock, Misfortune::Clock),
        (faults.crash, Misfortune::Crash),
        (faults.deaf_store, Misfortune::DeafStore),
        (faults.estrangement, Misfortune::Estrangement),
        (faults.freeze, Misfortune::Freeze),
        (faults.full_disk, Misfortune::FullDisk),
        (faults.lost_log, Misfortune::LostLog),
        (faults.one_way, Misfortune::OneWay),
        (faults.partition, Misfortune::Partition),
    ];
    let has_lost_a_log = Arc::new(AtomicBool::new(false));
    loop {
        handle.pause(dice.between(500, GAP_MAX)).await;
        if handle.now() >= millis(plan.active) {
            return;
        }
        let kind = dice.weighted(&kinds);
        let span = if dice.chance(300) {
            dice.between(5_000, millis(plan.idle) * 3 / 2)
        } else {
            dice.between(200, 9_000)
        };
        let dc = Dc(dice.below(plan.centres));
        let other = Dc((dc.0 + 1 + dice.below(plan.centres - 1)) % plan.centres);
        let strike = strike(Arc::clone(&world), kind, (dc, other), span, dice.next());
        // One log is lost in a run at most: of what only that log had, nobody can be sure any more.
        let once = matches!(kind, Misfortune::LostLog);
        if !once || !has_lost_a_log.swap(true, Ordering::Relaxed) {
            handle.spawn(Owner::WORLD, strike);
        }
    }
}

async fn strike(world: Arc<World>, kind: Misfortune, (dc, other): (Dc, Dc), span: u64, drawn: u64) {
    let centre = &world.centres[dc.0];
    let network = &world.shared.network;
    let wait = world.shared.handle.pause(span);
    match kind {
        Misfortune::Clock => {
            let wrong = i64::try_from(drawn % (2 * SKEW_MAX)).unwrap_or(0);
            centre.set_clock(wrong - i64::try_from(SKEW_MAX).unwrap_or(0));
            wait.await;
            centre.set_clock(usual_skew(drawn));
        }
        Misfortune::Crash => {
            centre.crash();
            wait.await;
            centre.start();
        }
        Misfortune::DeafStore => {
            centre.reach_directory(Link::Cut);
            wait.await;
            centre.reach_directory(Link::Whole);
        }
        Misfortune::Estrangement => {
            network.estrange(dc, other);
            wait.await;
            network.reconcile(dc, other);
        }
        Misfortune::Freeze => {
            centre.freeze();
            wait.await;
            centre.thaw();
        }
        Misfortune::FullDisk => {
            centre.fill_disk();
            wait.await;
            centre.empty_disk();
        }
        Misfortune::LostLog => {
            centre.crash();
            centre.lose_disk();
            wait.await;
            centre.start();
            // The new log cannot read one of the others for a while.
            if !world.is_healed() {
                network.cut(dc, other);
                network.cut(other, dc);
                world.shared.handle.pause(drawn % UNREAD_MAX).await;
                network.mend(dc, other);
                network.mend(other, dc);
            }
        }
        Misfortune::OneWay => {
            network.cut(dc, other);
            wait.await;
            network.mend(dc, other);
        }
        Misfortune::Partition => {
            network.cut(dc, other);
            network.cut(other, dc);
            wait.await;
            network.mend(dc, other);
            network.mend(other, dc);
        }
    }
}

/// A user is disabled, and each data centre that is up notices a little later.
async fn disable(world: Arc<World>, user: UserName, at: u64, drawn: u64) {
    world.shared.handle.pause(at).await;
    world.shared.directory.disable(&user);
    world.shared.witness.note(&Event::Disabled(&user));
    world.shared.handle.pause(drawn % 4_000).await;
    for centre in &world.centres {
        centre.cut_off(user.clone());
    }
}

/// How a clock is off that nobody set wrong.
pub(crate) fn usual_skew(drawn: u64) -> i64 {
    let drawn = i64::try_from(drawn % SKEW_USUAL).unwrap_or(0);
    drawn - i64::try_from(SKEW_USUAL / 2).unwrap_or(0)
}

/// The longest time, in milliseconds, for which a new log has not read one of the others.
const UNREAD_MAX: u64 = 25_000;
/// The longest time, in milliseconds, in which nothing goes wrong.
const GAP_MAX: u64 = 14_000;
