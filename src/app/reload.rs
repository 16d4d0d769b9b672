//! Reads the configuration again when somebody asks or a file has changed, and swaps it in as a whole.
//!
//! Everything that can fail is done before anything changes: a fault leaves what is served as it is. One
//! reload runs at a time. Requests keep what they began with; what they keep is given up here, not by them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use crate::app::changes::Changes;
use crate::app::hang_ups::HangUps;
use crate::app::lasting::Lasting;
use crate::app::lasting::warn_of_certificates;
use crate::app::lasting::warn_of_expiry;
use crate::app::notify;
use crate::app::pools::PoolWatch;
use crate::app::prepare::Prepared;
use crate::app::prepare::UsersChange;
use crate::app::prepare::prepare;
use crate::app::record::Record;
use crate::config::Config;
use crate::config::sources::Sources;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::ports::control::FaultReport;
use crate::ports::control::ReloadReport;
use crate::ports::control::ReloadResult;
use crate::ports::control::Trigger;
use crate::proxy::live::Live;
use crate::proxy::naming::Asking;
use crate::proxy::serving::Serving;

/// Somebody who waits for a reload.
pub(super) type Ask = oneshot::Sender<ReloadReport>;

/// What a reload starts from.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    /// What the process goes by.
    pub(super) running: Arc<Config>,
    pub(super) sources: Sources,
    pub(super) lasting: Arc<Lasting>,
    pub(super) live: Arc<Live>,
    pub(super) pools: PoolWatch,
    /// Who is asked for the addresses of upstreams.
    pub(super) asking: Asking,
    pub(super) record: Arc<Record>,
    pub(super) asks: mpsc::Receiver<Ask>,
}

impl Reloader {
    /// Begins to watch the pools that are served. What is answered is told when the names of upstreams have
    /// been looked up for the first time.
    pub(super) fn begin(&mut self) -> Vec<oneshot::Receiver<()>> {
        let serving = self.live.take();
        let beginning = self.pools.begin(&serving, &self.asking);
        self.pools = beginning.watch;
        beginning.names
    }

    /// Reads the configuration again when it is due. Ends only with the process, or where the watch over a
    /// pool has broken off, which the node cannot do without.
    pub(super) async fn run(mut self, hang_ups: HangUps) {
        let mut changes = Changes::since(self.sources.clone());
        let mut earlier: Vec<Arc<Serving>> = Vec::new();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut warned = self.lasting.ports.clock.now();
        loop {
            let mut asked = Vec::new();
            let trigger = tokio::select! {
                ask = self.asks.recv() => {
                    let Some(ask) = ask else { return };
                    asked.push(ask);
                    Trigger::Command
                }
                () = hang_ups.next() => Trigger::Signal,
                _ = ticks.tick() => {
                    // Whoever lets go of it last also takes it apart, which is not for a request to do.
                    earlier.retain(|serving| Arc::strong_count(serving) > 1);
                    self.record.earlier_in_use(earlier.len());
                    if self.pools.is_broken() {
                        return;
                    }
                    let now = self.lasting.ports.clock.now();
                    if now.since(warned) >= WARN_EVERY {
                        warn_of_expiry(&self.live.take(), now);
                        warned = now;
                    }
                    if !changes.are_over().await {
                        continue;
                    }
                    Trigger::Files
                }
            };
            // Whoever asked until now is answered by this one, because it begins after they asked.
            asked.extend(std::iter::from_fn(|| self.asks.try_recv().ok()));
            let changing = Arc::clone(&self.lasting.changing);
            let changing = changing.lock().await;
            notify::reloading().await;
            let report = self.reload(trigger, &mut earlier).await;
            drop(changing);
            notify::reloaded(&report).await;
            changes = Changes::since(self.sources.clone());
            self.record.earlier_in_use(earlier.len());
            for ask in asked {
                // Some have gone away meanwhile.
                ask.send(report.clone()).ok();
            }
        }
    }

    async fn reload(&mut self, trigger: Trigger, earlier: &mut Vec<Arc<Serving>>) -> ReloadReport {
        let (path, running) = (self.path.clone(), Arc::clone(&self.running));
        let (before, lasting) = (self.live.take(), Arc::clone(&self.lasting));
        // It reads files and may take long, which must hold up neither requests nor housekeeping.
        let work = move || prepare(&path, &running, &before, &lasting);
        let prepared = tokio::task::spawn_blocking(work).await;
        let clock = Arc::clone(&self.lasting.ports.clock);
        let now = || clock.now();
        let (outcome, sources) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::error!(%error, "reading the configuration broke off");
                let refused = refused_for("reading the configuration broke off".to_owned());
                return self.record.refused(now(), trigger, refused);
            }
        };
        match outcome {
            Ok(prepared) => {
                self.sources = sources;
                let told = (prepared.needs_restart.clone(), prepared.warnings.clone());
                earlier.push(self.apply(*prepared, trigger).await);
                let report = self.record.applied(now(), trigger, told);
                self.tell(&report);
                report
            }
            Err(result) => {
                // What was not reached this time may be what has to change next.
                let before = std::mem::take(&mut self.sources);
                self.sources = sources.and(before.again());
                let report = self.record.refused(now(), trigger, result);
                self.tell(&report);
                report
            }
        }
    }

    /// Goes by another users file. Who asks for a reload also answers for whomever the file leaves out; the same
    /// file with other contents is otherwise for the watch over it, which knows when it is whole.
    fn change_users(&self, change: UsersChange, trigger: Trigger) {
        let Some(current) = self.lasting.engine.users() else {
            return;
        };
        let is_asked_for = match trigger {
            Trigger::Command | Trigger::Signal => true,
            Trigger::Files => false,
        };
        match change {
            UsersChange::Other(users) => current.replace(users),
            UsersChange::SameFile(fresh) if is_asked_for => return current.now().take_over(fresh),
            UsersChange::None | UsersChange::SameFile(_) => {}
        }
        if is_asked_for {
            current.now().ask_for_these();
        }
    }

    fn tell(&self, report: &ReloadReport) {
        log(report);
        let event = event(report, &self.running);
        self.lasting.ports.audit.note(event);
    }

    /// Swaps in what was prepared, and answers what it takes the place of. Nothing in here can fail, and whatever
    /// is waited for comes before the first change that a request could notice.
    async fn apply(&mut self, prepared: Prepared, trigger: Trigger) -> Arc<Serving> {
        let Prepared {
            config,
            serving,
            sockets,
            users,
            ..
        } = prepared;
        // An answer by other rules might hold for long yet: every name is asked for anew then.
        let are_others = self.lasting.ports.resolver.retune(&config.names);
        let mut nothing = PoolWatch::default();
        let watched = if are_others {
            &mut nothing
        } else {
            &mut self.pools
        };
        let beginning = watched.begin(&serving, &self.asking);
        // Serving before the names of upstreams are known would refuse the first requests to them.
        let names = tokio::time::timeout(NAMES_WITHIN, join_all(beginning.names));
        names.await.ok();
        warn_of_certificates(&config, &serving, self.lasting.ports.clock.now());
        let removed = self.lasting.sockets.lock().close_those_without(&sockets);
        removed.await;
        let before = self.change(&config, Arc::new(serving), (users, trigger));
        self.lasting.sockets.lock().accept(sockets);
        self.lasting.key_watch.retune(&config);
        self.pools = beginning.watch;
        // Checks of before have ended: nothing that they find is held against anybody now.
        for target in self.live.look().pools.values() {
            target.pool.take_charge();
        }
        self.running = Arc::new(config);
        self.lasting.drains.fit(&self.running, &self.live).await;
        before
    }

    /// Changes everything that requests are judged by, and waits for nothing in between: a request that came
    /// meanwhile would be judged by the users and terms of one configuration and the routes of another.
    fn change(
        &self,
        config: &Config,
        serving: Arc<Serving>,
        (users, trigger): (UsersChange, Trigger),
    ) -> Arc<Serving> {
        self.change_users(users, trigger);
        self.lasting.engine.retune(config);
        self.live.swap(serving)
    }
}

/// A refusal for a reason that has no place in a file.
pub(super) fn refused_for(message: String) -> ReloadResult {
    ReloadResult::Refused {
        text: format!("error: {message}\n"),
        faults: vec![FaultReport {
            message,
            ..FaultReport::default()
        }],
    }
}

fn event(report: &ReloadReport, running: &Config) -> Event {
    let event = match &report.result {
        ReloadResult::Applied { generation, .. } => Event::new(EventKind::ConfigurationLoaded)
            .with("generation", generation.to_string())
            .with("sha256", &running.sha256),
        ReloadResult::Refused { faults, .. } => {
            let count = faults.len().to_string();
            Event::new(EventKind::ConfigurationRefused).with("faults", count)
        }
    };
    event.with("trigger", word(report.trigger))
}

const fn word(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Command => "command",
        Trigger::Files => "files",
        Trigger::Signal => "signal",
    }
}

fn log(report: &ReloadReport) {
    let trigger = word(report.trigger);
    match &report.result {
        ReloadResult::Applied {
            generation,
            needs_restart,
            warnings,
        } => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            tracing::info!(trigger, generation, "configuration reloaded");
            if !needs_restart.is_empty() {
                let keys = needs_restart.join(", ");
                tracing::warn!(keys, "changed in the configuration, and needs a restart");
            }
        }
        ReloadResult::Refused { faults, .. } => {
            for fault in faults {
                tracing::error!("{}", fault.line());
            }
            tracing::error!(
                trigger,
                faults = faults.len(),
                "configuration not reloaded; the one before goes on"
            );
        }
    }
}

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the log tells of certificates whose time ends.
const WARN_EVERY: Duration = Duration::from_hours(24);
/// How long a reload waits for the names of new upstreams.
const NAMES_WITHIN: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::pin::pin;

    use super::*;
    use crate::app::assembly::assemble;
    use crate::app::engine::Engine;
    use crate::config::load::load;

    #[tokio::test]
    async fn nothing_that_requests_go_by_changes_before_all_of_it_does_d_16() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        let two = "{ name: one, bind: '127.0.0.1:0' }, { name: two, bind: '127.0.0.1:0' }";
        write(&path, two, "30m");
        let running = Arc::new(load(&path).unwrap());
        let mut assembled = assemble(&running, None, Vec::new()).unwrap();
        let (lasting, live) = (Arc::clone(&assembled.lasting), Arc::clone(&assembled.live));
        let first = assembled.listeners.recv().await.unwrap();
        let mut second = assembled.listeners.recv().await.unwrap();
        write(&path, "{ name: one, bind: '127.0.0.1:0' }", "5m");
        let before = live.take();
        let (prepared, _) = prepare(&path, &running, &before, &lasting);
        let Ok(prepared) = prepared else {
            panic!("it is refused");
        };
        let (_asker, asks) = mpsc::channel(1);
        let now = lasting.ports.clock.now();
        let mut reloader = Reloader {
            path,
            running,
            sources: Sources::default(),
            lasting: Arc::clone(&lasting),
            live: Arc::clone(&live),
            pools: PoolWatch::default(),
            asking: Asking::new(lasting.ports.resolver.clone()),
            record: Arc::new(Record::new("gateway.yaml".to_owned(), now)),
            asks,
        };
        let mut applying = pin!(reloader.apply(*prepared, Trigger::Command));
        tokio::select! {
            biased;
            _ = &mut applying => panic!("the listener had not closed"),
            told = second.closing.changed() => told.unwrap(),
        }
        assert_eq!(idle_timeout(&lasting), Duration::from_mins(30));
        assert!(Arc::ptr_eq(&before, &live.take()));
        drop(second);
        applying.await;
        assert_eq!(idle_timeout(&lasting), Duration::from_mins(5));
        assert!(!Arc::ptr_eq(&before, &live.take()));
        drop(first);
    }

    fn idle_timeout(lasting: &Lasting) -> Duration {
        match &lasting.engine {
            Engine::Own(own) => own.engine.terms().idle_timeout,
            Engine::Remote(_) => panic!("the engine is elsewhere"),
        }
    }

    fn write(path: &Path, listeners: &str, idle_timeout: &str) {
        let state_dir = path.with_file_name("state");
        let text = format!(
            "state_dir: {}
listeners: [{listeners}]
session: {{ store: memory, idle_timeout: {idle_timeout} }}
pools: {{ app: {{ primary: ['10.0.0.1:80'] }} }}
virtual_hosts:
  - host: app.example.com
    plain_http: serve
    routes: [{{ path: /, access: excluded, pool: app }}]
",
            state_dir.display()
        );
        std::fs::write(path, text).unwrap();
    }
}
