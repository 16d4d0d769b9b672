//! A thread of the edge that hangs while everything else goes on: the service manager is not told that the gateway is
//! alive.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use tokio::time::Instant;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Request;
use crate::support::gateway::Setup;
use crate::support::parts;
use crate::support::until;
use crate::support::wait::PATIENCE;

/// How long the service manager does without a word: long beside what a busy machine is late by.
const WATCHDOG: Duration = Duration::from_secs(3);

/// A thread of another process that stands still until this is dropped.
struct Halted {
    go_on: Option<mpsc::Sender<()>>,
    halts: Option<JoinHandle<()>>,
}

impl Halted {
    /// None where the machine lets no process trace another.
    fn new(thread: i32) -> Option<Self> {
        let (go_on, until) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        // Whoever has stopped a thread is the only one that may let it go on.
        let halts = std::thread::spawn(move || {
            let thread = Pid::from_raw(thread);
            let halted = ptrace::seize(thread, ptrace::Options::empty())
                .and_then(|()| ptrace::interrupt(thread))
                .and_then(|()| waitpid(thread, Some(WaitPidFlag::__WALL)));
            let is_halted = halted.is_ok();
            tell.send(halted.map(|_| ())).unwrap();
            if is_halted {
                until.recv().ok();
                ptrace::detach(thread, None).unwrap();
            }
        });
        match told.recv().unwrap() {
            Err(Errno::EPERM | Errno::ENOSYS) => None,
            halted => {
                halted.unwrap();
                Some(Self {
                    go_on: Some(go_on),
                    halts: Some(halts),
                })
            }
        }
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        drop(self.go_on.take());
        self.halts.take().map(|halts| halts.join().ok());
    }
}

/// The threads of a gateway that serve.
fn threads_of_the_edge(gateway: &Gateway) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
    let tasks = tasks.map(|task| task.unwrap());
    let edge = tasks.filter(|task| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "edge\n")
    });
    edge.map(|task| task.file_name().to_str().unwrap().parse().unwrap())
        .collect()
}

/// Hears what the service manager is told, until the watchdog is or for this long.
fn is_alive_within(manager: &UnixDatagram, limit: Duration) -> bool {
    let began = Instant::now();
    let mut message = [0; 4096];
    loop {
        let left = limit.saturating_sub(began.elapsed());
        if left.is_zero() {
            return false;
        }
        manager.set_read_timeout(Some(left)).unwrap();
        let Ok(length) = manager.recv(&mut message) else {
            continue;
        };
        let said = std::str::from_utf8(message.get(..length).unwrap()).unwrap();
        if said.lines().any(|line| line == "WATCHDOG=1") {
            return true;
        }
    }
}

/// Waits as a service manager does that ends a gateway when it has not heard of it for the time of its watchdog.
fn is_given_up(manager: &UnixDatagram) -> bool {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if !is_alive_within(manager, WATCHDOG) {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_thread_of_the_edge_that_hangs_silences_the_watchdog_until_it_goes_on() {
    let setup = Setup::new();
    let path = setup.path("manager.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    let setup = setup
        .variable("NOTIFY_SOCKET", path.to_str().unwrap())
        .variable("WATCHDOG_USEC", &WATCHDOG.as_micros().to_string());
    let yaml = format!(
        "{HEAD}virtual_hosts:
  - host: app.test
    routes: [{{ path: /, access: excluded, respond: {{ status: 200 }} }}]
"
    );
    let gateway = setup.start(&yaml).await;
    let client = Browser::new(&gateway);
    // They are there, and count, by the time that it serves.
    until("it serves", PATIENCE, || async {
        let answer = client.try_send(Request::get("https://app.test/")).await;
        answer
            .is_ok_and(|answer| answer.status == 200)
            .then_some(())
    })
    .await;
    // Whatever is started by one of them has its name for a moment.
    let edge = until("there are two of them", PATIENCE, || async {
        let edge = threads_of_the_edge(&gateway);
        (edge.len() == 2).then_some(edge)
    })
    .await;
    for thread in edge {
        assert!(is_alive_within(&manager, PATIENCE), "it never was alive");
        let Some(halted) = Halted::new(thread) else {
            parts::not_allowed("a process that traces another");
            return;
        };
        assert!(is_given_up(&manager), "thread {thread} is not missed");
        gateway.wait_for_log("threads=1").await;
        // All else goes on.
        assert_eq!(gateway.status().await["process_id"], gateway.pid());
        assert!(!is_alive_within(&manager, WATCHDOG), "told meanwhile");
        drop(halted);
        assert!(is_alive_within(&manager, PATIENCE), "it stays silent");
    }
    let missed = "threads that serve do not turn";
    assert_eq!(
        gateway.log().matches(missed).count(),
        2,
        "{}",
        gateway.log()
    );
}
