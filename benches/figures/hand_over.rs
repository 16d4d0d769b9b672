//! A hand-over of sessions in memory. Nobody signs in a million times for it: this program is the predecessor of a
//! gateway, gives it the sessions, and has it hand them over to a real successor.

use std::fs::File;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use portway::model::session::Session;
use portway::ports::clock::Clock;
use portway::system::SystemClock;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;

use crate::fill::random_sso;
use crate::fill::session;
use crate::table::Figure;

/// Measures a hand-over of so many sessions.
pub(crate) fn measure(sessions: usize) -> Vec<Figure> {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gateway.yaml");
    std::fs::write(&config, CONFIG).unwrap();
    let mut gateway = filled(folder.path(), &config, sessions);
    let before = memory(gateway.id(), "VmRSS:");
    let began = Instant::now();
    let said = verb("upgrade", &config);
    let took = began.elapsed();
    let successor: u32 = said
        .strip_prefix("process ")
        .and_then(|said| said.split(' ').next()?.parse().ok())
        .unwrap();
    let peak = memory(successor, "VmHWM:");
    // It tells its successor what it knows last.
    assert!(gateway.wait().unwrap().success());
    let id = i32::try_from(successor).ok().and_then(Pid::from_raw);
    rustix::process::kill_process(id.unwrap(), Signal::KILL).unwrap();
    let held = format!("{sessions} sessions in memory; with nobody connected");
    vec![
        Figure::new("hand-over: the whole of it", took.as_secs_f64(), "s", &held),
        Figure::new(
            "hand-over: most memory of the successor",
            peak as f64 / 1024.0,
            "MiB",
            &format!(
                "resident; {:.1} MiB in the process before, which holds the same",
                before as f64 / 1024.0
            ),
        ),
    ]
}

/// A gateway that has taken over so many sessions.
fn filled(folder: &Path, config: &Path, sessions: usize) -> Child {
    let state = folder.join("state");
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&state)
        .unwrap();
    let control = UnixListener::bind(state.join("control.sock")).unwrap();
    let lock = File::create(state.join("control.lock")).unwrap();
    let (here, there) = UnixStream::pair().unwrap();
    let gateway = Command::new(PORTWAY)
        .args(["run", "--log", "warn", "--take-over", "--config"])
        .arg(config)
        .stdin(Stdio::from(OwnedFd::from(there)))
        .spawn()
        .unwrap();
    let mut heir = Heir(here);
    assert!(heir.hear().get("Hello").is_some());
    heir.send(&json!({ "Offer": {
        "state_dir": std::fs::canonicalize(&state).unwrap(),
        "keeping": "InMemory",
        "listeners": [],
        "ops": null,
        "back_channel": null,
        "passed": [],
    } }));
    heir.give(control.as_fd());
    heir.give(lock.as_fd());
    assert_eq!(heir.hear(), "Ready");
    let now = SystemClock.now();
    let mut left = sessions;
    while left > 0 {
        let count = left.min(PIECE);
        let of = |number| session(now, number, random_sso());
        let piece: Vec<Session> = (left - count..left).map(of).collect();
        heir.send(&json!({ "Piece": { "Sessions": piece } }));
        left -= count;
    }
    heir.send(&json!("Yours"));
    assert!(heir.hear().get("Able").is_some());
    heir.send(&json!("Go"));
    // It answers once it serves.
    verb("status", config);
    gateway
}

/// The way to a gateway that takes over.
struct Heir(UnixStream);

impl Heir {
    fn send(&mut self, letter: &Value) {
        let bytes = serde_json::to_vec(letter).unwrap();
        let length = u32::try_from(bytes.len()).unwrap();
        self.0.write_all(&length.to_be_bytes()).unwrap();
        self.0.write_all(&bytes).unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn give(&self, descriptor: BorrowedFd<'_>) {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut room);
        let descriptors = [descriptor];
        assert!(beside.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let byte = [IoSlice::new(&[0])];
        rustix::net::sendmsg(&self.0, &byte, &mut beside, SendFlags::NOSIGNAL).unwrap();
    }
}

/// What a command of the gateway says.
fn verb(verb: &str, config: &Path) -> String {
    let mut command = Command::new(PORTWAY);
    command.arg(verb).arg("--config").arg(config);
    let output: Output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

/// What the kernel says of the memory of a process, in KiB.
fn memory(process: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(what)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

const PORTWAY: &str = env!("CARGO_BIN_EXE_portway");
const CONFIG: &str = "\
threads: 2
session: { store: memory }
listeners: [{ name: http, bind: \"127.0.0.1:0\" }]
virtual_hosts:
  - host: app.test
    plain_http: serve
    routes: [{ path: /, access: excluded, respond: { status: 200 } }]
";
/// As many sessions as a gateway gives at once.
const PIECE: usize = 256;
