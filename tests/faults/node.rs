//! A gateway of the run: the built binary in a folder of its own, with a log that is read as it is written,
//! a clock that can be moved and a disk that can be filled.

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rustix::process::Pid;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::chronicle::Chronicle;
use crate::disk::Disk;
use crate::history::Millis;
use crate::history::NodeId;
use crate::history::Said;
use crate::history::Word;
use crate::support::certificates;
use crate::support::gateway::users_with;
use crate::support::parts;
use crate::support::until;

/// A gateway.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    // Ends before its disk goes.
    process: Mutex<Process>,
    reader: Mutex<Option<JoinHandle<()>>>,
    seen: Arc<Seen>,
    chronicle: Arc<Chronicle>,
    clock: PathBuf,
    disk: Option<Disk>,
    folder: TempDir,
}

struct Process(Option<Child>);

/// What its log said.
#[derive(Default)]
struct Seen {
    https: Mutex<Option<SocketAddr>>,
    back_channel: Mutex<Option<SocketAddr>>,
    lines: Mutex<Vec<(Millis, String)>>,
}

impl Node {
    /// Makes its folder; nothing runs yet.
    pub(crate) fn new(id: NodeId, users: &[String], chronicle: &Arc<Chronicle>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issued = certificates::issue(certificates::NAMES);
        let users: Vec<_> = users
            .iter()
            .map(|user| (user.as_str(), "[staff]", "user@mail.test", "User"))
            .collect();
        write(&folder.path().join("cert.pem"), &issued.certificate);
        write(&folder.path().join("key.pem"), &issued.key);
        write(&folder.path().join("users.yaml"), &users_with(&users));
        let clock = parts::find_library(FAKETIME);
        let clock = clock.expect("no clock can be moved: scripts/test-parts.sh installs faketime");
        write(&folder.path().join(CLOCK), "+0");
        let node = Self {
            id,
            process: Mutex::new(Process(None)),
            reader: Mutex::new(None),
            seen: Arc::default(),
            chronicle: Arc::clone(chronicle),
            clock,
            disk: Disk::mount(),
            folder,
        };
        std::fs::create_dir(node.state()).unwrap();
        permit_nobody_else(&node.state(), 0o700);
        node
    }

    /// Where its state is.
    pub(crate) fn state(&self) -> PathBuf {
        let disk = self.disk.as_ref().map(Disk::path);
        disk.unwrap_or_else(|| self.folder.path()).join("state")
    }

    pub(crate) fn configure(&self, yaml: &str) {
        write(&self.folder.path().join("gateway.yaml"), yaml);
    }

    /// Takes over the keys of another one, before the first start (MDC-COOKIE-5).
    pub(crate) fn share_keys_of(&self, other: &Self) {
        let keys = std::fs::read_to_string(other.state().join(KEYS)).unwrap();
        write(&self.state().join(KEYS), &keys);
    }

    /// Leaves it no room to write to, or forbids it to where it has no disk of its own.
    pub(crate) fn fill_disk(&self) {
        match &self.disk {
            Some(disk) => disk.fill(),
            None => self.limit_writing(Some(0)),
        }
    }

    /// Gives it room again.
    pub(crate) fn clear_disk(&self) {
        match &self.disk {
            Some(disk) => disk.clear(),
            None => self.limit_writing(None),
        }
    }

    /// Where browsers reach it; `None` while it is down.
    pub(crate) fn https(&self) -> Option<SocketAddr> {
        *self.seen.https.lock()
    }

    /// Where peers reach it.
    pub(crate) fn back_channel(&self) -> impl Fn() -> Option<SocketAddr> + Send + Sync + 'static {
        let seen = Arc::clone(&self.seen);
        move || *seen.back_channel.lock()
    }

    /// Starts it, and waits until it listens.
    pub(crate) async fn start(&self) {
        let mut child = self.command().spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        self.read(stderr);
        self.process.lock().0 = Some(child);
        until("the gateway listens", START, || async {
            let ended = {
                let mut process = self.process.lock();
                let child = process.0.as_mut();
                child.and_then(|child| child.try_wait().unwrap())
            };
            if let Some(status) = ended {
                self.end();
                panic!("{} ended: {status}\n{}", self.id, self.tail());
            }
            let listens = self.https().is_some() && self.seen.back_channel.lock().is_some();
            listens.then_some(())
        })
        .await;
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub(crate) fn kill9(&self) {
        *self.seen.https.lock() = None;
        *self.seen.back_channel.lock() = None;
        let child = self.process.lock().0.take();
        if let Some(mut child) = child {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends it for good, and reads its log to the end.
    pub(crate) fn end(&self) {
        self.kill9();
        let reader = self.reader.lock().take();
        reader.map(JoinHandle::join).transpose().unwrap();
    }

    /// Has it stand still.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Has it go on.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Lets it write files up to this size only; `None` lifts that.
    pub(crate) fn limit_writing(&self, bytes: Option<u64>) {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        // Who was killed meanwhile is free of it when it is started again.
        if let Some(pid) = self.pid() {
            rustix::process::prlimit(Some(pid), Resource::Fsize, limit).unwrap();
        }
    }

    /// Moves its clock this many seconds ahead of the real one.
    pub(crate) fn set_clock_ahead(&self, seconds: i64) {
        // Renamed into place, so that the gateway never reads half of it.
        let (new, old) = (
            self.folder.path().join("clock.new"),
            self.folder.path().join(CLOCK),
        );
        write(&new, &format!("{seconds:+}"));
        std::fs::rename(new, old).unwrap();
    }

    /// The lines of its log that say one of these.
    pub(crate) fn lines_about(&self, words: &[&str]) -> Vec<(Millis, String)> {
        let lines = self.seen.lines.lock();
        let about = lines
            .iter()
            .filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        about.cloned().collect()
    }

    /// The last lines of its log.
    pub(crate) fn tail(&self) -> String {
        let lines = self.seen.lines.lock();
        let last = lines.iter().rev().take(TAIL).rev();
        last.map(|(at, line)| format!("{at} {line}\n")).collect()
    }

    fn command(&self) -> Command {
        // Who is not to write is told by an error, not by the end of the process.
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_portway"))
            .args(["run", "--config"])
            .arg(self.folder.path().join("gateway.yaml"))
            .env("NO_COLOR", "1")
            .env(
                "PORTWAY_LOG",
                "info,portway::gate=debug,portway::engine=debug",
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("LD_PRELOAD", &self.clock)
            .env("FAKETIME_TIMESTAMP_FILE", self.folder.path().join(CLOCK))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    }

    fn read(&self, stderr: ChildStderr) {
        let (id, seen, chronicle) = (self.id, Arc::clone(&self.seen), Arc::clone(&self.chronicle));
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(stderr).lines();
            lines
                .map_while(Result::ok)
                .for_each(|line| take_in(line, id, &seen, &chronicle));
        });
        *self.reader.lock() = Some(reader);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            rustix::process::kill_process(pid, signal).unwrap();
        }
    }

    /// The process, if it runs.
    fn pid(&self) -> Option<Pid> {
        let process = self.process.lock();
        let id = process.0.as_ref()?.id();
        Pid::from_raw(i32::try_from(id).unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Takes a line of the log in.
fn take_in(line: String, node: NodeId, seen: &Seen, chronicle: &Chronicle) {
    let at = chronicle.now();
    listening(&line, seen);
    look_at_clock(&line, chronicle);
    if let Some((session, said)) = said(&line) {
        chronicle.word(Word {
            node,
            at,
            session,
            said,
        });
    }
    if line.contains("sessions could not be written") {
        chronicle.counts.writes_failed.add();
    }
    seen.lines.lock().push((at, line));
}

/// Counts lines whose time is far from the real one: there the clock was moved indeed.
fn look_at_clock(line: &str, chronicle: &Chronicle) {
    let stamp = line.split_whitespace().next();
    let Some(shown) = stamp.and_then(|stamp| stamp.parse::<Timestamp>().ok()) else {
        return;
    };
    match shown.as_second() - Timestamp::now().as_second() {
        FAR_OFF.. => chronicle.counts.lines_ahead.add(),
        ..=FAR_BACK => chronicle.counts.lines_behind.add(),
        _ => {}
    }
}

fn listening(line: &str, seen: &Seen) {
    let (Some(listener), Some(address)) = (field(line, "listener"), field(line, "address")) else {
        return;
    };
    let address = address.parse().ok().filter(|_| line.contains("listening"));
    match listener {
        "back-channel" if address.is_some() => *seen.back_channel.lock() = address,
        "https" if address.is_some() => *seen.https.lock() = address,
        _ => {}
    }
}

/// What a line says of a session.
fn said(line: &str) -> Option<(String, Said)> {
    let session = field(line, "session")?.to_owned();
    let said = if line.contains("INFO signed in ") {
        let user = field(line, "user")?.to_owned();
        Said::SignedIn { user }
    } else if line.contains(" session adopted ") {
        Said::Adopted
    } else if line.contains(" session not adopted ") {
        Said::NotAdopted
    } else if line.contains(" cookie was not honoured ") {
        Said::Refused(field(line, "reason")?.to_owned())
    } else {
        return None;
    };
    Some((session, said))
}

/// The value of `name=value` or `name="value"` in a line.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(&format!(" {name}="))?;
    Some(rest.split_whitespace().next()?.trim_matches('"'))
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    permit_nobody_else(path, 0o600);
}

fn permit_nobody_else(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;

    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn lines_of_a_log_are_understood() {
    let line = "00:00  INFO signed in user=\"u1\" session=\"f35\" client=127.0.0.1";
    let user = "u1".to_owned();
    assert_eq!(
        said(line),
        Some(("f35".to_owned(), Said::SignedIn { user }))
    );
    let line = "00:00 DEBUG an ID cookie was not honoured session=\"f35\" reason=Ended";
    let refused = Said::Refused("Ended".to_owned());
    assert_eq!(said(line), Some(("f35".to_owned(), refused)));
    let line = "00:00  INFO session adopted user=\"u\" session=\"f35\" milliseconds=2";
    assert_eq!(said(line), Some(("f35".to_owned(), Said::Adopted)));
    assert_eq!(said("00:00  INFO listening"), None);
}

const FAKETIME: &str = "faketime/libfaketime.so.1";
/// How far the clock is ahead, for faketime.
const CLOCK: &str = "clock";
/// By so many seconds no clock of a line is off by itself.
const FAR_OFF: i64 = 60;
const FAR_BACK: i64 = -FAR_OFF;
const KEYS: &str = "key-ring.json";
/// How long a start may take, on a machine that is busy.
const START: Duration = Duration::from_secs(60);
/// Lines of the log shown when a gateway does not start.
const TAIL: usize = 60;
