//! A deterministic executor: one thread, virtual time, a seeded choice among the tasks that are ready.
//!
//! Time passes only when nothing is ready. Every task belongs to somebody; whoever is killed takes the
//! tasks along, in the middle of whatever they were doing, as a process does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;

use crate::random::Random;

/// Whom a task belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner(pub(crate) u32);

impl Owner {
    /// Nobody that can be killed: users, wires and fate.
    pub(crate) const WORLD: Self = Self(0);
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs tasks.
pub(crate) struct Executor {
    shared: Arc<Shared>,
    tasks: BTreeMap<u64, Task>,
    frozen: Vec<u64>,
    choices: Random,
}

/// What tasks may do with the executor that runs them.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Shared>);

struct Task {
    owner: Owner,
    work: Work,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Shared {
    /// Milliseconds since the run began.
    now: AtomicU64,
    next: AtomicU64,
    ready: Mutex<Vec<u64>>,
    timers: Mutex<BTreeMap<(u64, u64), Waker>>,
    orders: Mutex<Orders>,
}

#[derive(Default)]
struct Orders {
    spawned: Vec<(u64, Owner, Work)>,
    killed: Vec<Owner>,
    frozen: BTreeSet<Owner>,
}

struct Bell {
    task: u64,
    is_queued: AtomicBool,
    shared: Arc<Shared>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            self.shared.ready.lock().push(self.task);
        }
    }
}

/// What a step of the executor came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A task went on.
    Ran,
    /// Nothing was ready; time has passed.
    TimePassed,
    /// Nothing is left that could happen.
    Idle,
}

impl Executor {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            shared: Arc::default(),
            tasks: BTreeMap::new(),
            frozen: Vec::new(),
            choices: Random::stream(seed, "executor"),
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Lets one task go on, or time pass up to the next timer.
    pub(crate) fn step(&mut self) -> Step {
        self.obey();
        if let Some(id) = self.choose() {
            self.run(id);
            self.obey();
            return Step::Ran;
        }
        let mut timers = self.shared.timers.lock();
        let Some((&(at, _), _)) = timers.first_key_value() else {
            return Step::Idle;
        };
        let later = timers.split_off(&(at + 1, 0));
        let due = std::mem::replace(&mut *timers, later);
        drop(timers);
        self.shared.now.store(at, Ordering::Relaxed);
        due.into_values().for_each(Waker::wake);
        Step::TimePassed
    }

    fn choose(&mut self) -> Option<u64> {
        let mut ready = self.shared.ready.lock();
        while !ready.is_empty() {
            let chosen = self.choices.below(ready.len());
            let id = ready.swap_remove(chosen);
            let Some(task) = self.tasks.get(&id) else {
                continue;
            };
            task.bell.is_queued.store(false, Ordering::Relaxed);
            if self.shared.orders.lock().frozen.contains(&task.owner) {
                self.frozen.push(id);
                continue;
            }
            return Some(id);
        }
        None
    }

    fn run(&mut self, id: u64) {
        let Some(mut task) = self.tasks.remove(&id) else {
            return;
        };
        let waker = Waker::from(Arc::clone(&task.bell));
        let polled = task.work.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            self.tasks.insert(id, task);
        }
    }

    /// Does what the tasks asked of the executor.
    fn obey(&mut self) {
        let (spawned, killed, thawed) = {
            let mut orders = self.shared.orders.lock();
            let is_frozen = |id: &u64| {
                self.tasks
                    .get(id)
                    .is_some_and(|task| orders.frozen.contains(&task.owner))
            };
            let (still, thawed): (Vec<_>, Vec<_>) = self.frozen.drain(..).partition(is_frozen);
            self.frozen = still;
            let spawned = std::mem::take(&mut orders.spawned);
            (spawned, std::mem::take(&mut orders.killed), thawed)
        };
        for (id, owner, work) in spawned {
            let bell = Arc::new(Bell {
                task: id,
                is_queued: AtomicBool::new(false),
                shared: Arc::clone(&self.shared),
            });
            bell.wake_by_ref();
            self.tasks.insert(id, Task { owner, work, bell });
        }
        for owner in killed {
            self.tasks.retain(|_, task| task.owner != owner);
        }
        for id in thawed {
            if let Some(task) = self.tasks.get(&id) {
                task.bell.wake_by_ref();
            }
        }
    }
}

impl Drop for Executor {
    /// Tasks hold handles, and through them each other; without this a run would never be freed.
    fn drop(&mut self) {
        self.tasks.clear();
        self.shared.timers.lock().clear();
        let mut orders = std::mem::take(&mut *self.shared.orders.lock());
        orders.spawned.clear();
    }
}

impl Handle {
    /// Milliseconds since the run began.
    pub(crate) fn now(&self) -> u64 {
        self.0.now.load(Ordering::Relaxed)
    }

    pub(crate) fn spawn(&self, owner: Owner, work: impl Future<Output = ()> + Send + 'static) {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let mut orders = self.0.orders.lock();
        orders.spawned.push((id, owner, Box::pin(work)));
    }

    /// Drops every task of an owner as soon as the one that is running pauses.
    pub(crate) fn kill(&self, owner: Owner) {
        let mut orders = self.0.orders.lock();
        orders.frozen.remove(&owner);
        orders.killed.push(owner);
        // What was begun for it in this very moment dies with it.
        orders.spawned.retain(|(_, of, _)| *of != owner);
    }

    /// Stops the tasks of an owner where they are; time goes on without them.
    pub(crate) fn freeze(&self, owner: Owner) {
        self.0.orders.lock().frozen.insert(owner);
    }

    pub(crate) fn thaw(&self, owner: Owner) {
        self.0.orders.lock().frozen.remove(&owner);
    }

    pub(crate) fn sleep(&self, span: Duration) -> Sleep {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Sleep {
            shared: Arc::clone(&self.0),
            at: self.now().saturating_add(millis),
            key: None,
        }
    }

    pub(crate) async fn pause(&self, millis: u64) {
        self.sleep(Duration::from_millis(millis)).await;
    }

    /// What a future comes to, unless time is up first.
    pub(crate) async fn within<F: Future + Send>(
        &self,
        span: Duration,
        future: F,
    ) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        let mut sleep = std::pin::pin!(self.sleep(span));
        std::future::poll_fn(move |context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            sleep.as_mut().poll(context).map(|()| None)
        })
        .await
    }
}

/// Waits for virtual time to pass.
pub(crate) struct Sleep {
    shared: Arc<Shared>,
    at: u64,
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.shared.now.load(Ordering::Relaxed) >= self.at {
            return Poll::Ready(());
        }
        let key = match self.key {
            Some(key) => key,
            None => (self.at, self.shared.next.fetch_add(1, Ordering::Relaxed)),
        };
        self.key = Some(key);
        let waker = context.waker().clone();
        self.shared.timers.lock().insert(key, waker);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.timers.lock().remove(&key);
        }
    }
}

#[test]
fn time_passes_only_when_nothing_is_ready() {
    let mut executor = Executor::new(1);
    let handle = executor.handle();
    let seen: Arc<Mutex<Vec<(u64, &str)>>> = Arc::default();
    for (name, millis) in [("late", 20), ("early", 5), ("now", 0)] {
        let (inside, seen) = (handle.clone(), Arc::clone(&seen));
        handle.spawn(Owner::WORLD, async move {
            inside.pause(millis).await;
            seen.lock().push((inside.now(), name));
        });
    }
    while executor.step() != Step::Idle {}
    assert_eq!(*seen.lock(), [(0, "now"), (5, "early"), (20, "late")]);
}

#[test]
fn a_killed_owner_takes_its_tasks_along_and_a_frozen_one_goes_on_later() {
    let mut executor = Executor::new(1);
    let handle = executor.handle();
    let seen: Arc<Mutex<Vec<(u64, u32)>>> = Arc::default();
    for owner in [1, 2, 3] {
        let (inside, seen) = (handle.clone(), Arc::clone(&seen));
        handle.spawn(Owner(owner), async move {
            inside.pause(10).await;
            seen.lock().push((inside.now(), owner));
        });
    }
    let inside = handle.clone();
    handle.spawn(Owner::WORLD, async move {
        inside.pause(5).await;
        inside.kill(Owner(1));
        inside.freeze(Owner(2));
        inside.pause(50).await;
        inside.thaw(Owner(2));
    });
    while executor.step() != Step::Idle {}
    assert_eq!(*seen.lock(), [(10, 3), (55, 2)]);
}

#[test]
fn what_takes_too_long_is_given_up() {
    let mut executor = Executor::new(1);
    let handle = executor.handle();
    let seen: Arc<Mutex<Vec<Option<u64>>>> = Arc::default();
    let (inside, noted) = (handle.clone(), Arc::clone(&seen));
    handle.spawn(Owner::WORLD, async move {
        for span in [5, 15] {
            let waited = async {
                inside.pause(10).await;
                inside.now()
            };
            let got = inside.within(Duration::from_millis(span), waited).await;
            noted.lock().push(got);
        }
    });
    while executor.step() != Step::Idle {}
    assert_eq!(*seen.lock(), [None, Some(15)]);
}
