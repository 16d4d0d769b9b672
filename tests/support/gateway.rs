//! A gateway under test: the built binary in a folder of its own.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use argon2::Argon2;
use argon2::Params;
use argon2::password_hash::PasswordHasher;
use http_body_util::BodyExt;
use rustix::process::Pid;
use rustix::process::Signal;
use tempfile::TempDir;

use super::certificates;
use super::parts;
use super::wait::PATIENCE;
use super::wait::until;

/// A running gateway; it is killed when dropped, and its log shown when the test fails.
pub(crate) struct Gateway {
    folder: TempDir,
    listeners: usize,
    environment: Vec<(String, String)>,
    config: PathBuf,
    child: Child,
    /// The processes that followed it, by `portway upgrade`, the last of which serves.
    heirs: parking_lot::Mutex<Vec<u32>>,
    log: Log,
    addresses: Addresses,
}

/// Where the listeners are, by name; shared with browsers, so that they find a gateway that was
/// started again on other ports.
pub(crate) type Addresses = Arc<Mutex<BTreeMap<String, SocketAddr>>>;

/// Its lock is not poisoned by a test that fails, which shows the log then.
type Log = Arc<parking_lot::Mutex<Vec<String>>>;

/// While there is one, nobody reads the log of a gateway.
pub(crate) struct Unread<'g> {
    _log: parking_lot::MutexGuard<'g, Vec<String>>,
}

/// Something to be changed about a gateway before it starts.
pub(crate) struct Setup {
    folder: TempDir,
    environment: Vec<(String, String)>,
    config: Option<PathBuf>,
}

impl Setup {
    /// A folder with `cert.pem`, `key.pem`, `ca.pem` and `users.yaml`, to which relative paths of the
    /// configuration refer.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issued = certificates::issue(certificates::NAMES);
        let setup = Self {
            folder,
            environment: Vec::new(),
            config: None,
        };
        setup
            .file("cert.pem", &issued.certificate)
            .file("key.pem", &issued.key)
            .file("ca.pem", &certificates::authority_pem())
            .file("users.yaml", &users())
    }

    /// Writes a file into the folder, readable by nobody else.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        self
    }

    /// Sets a variable of the gateway's environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives the gateway a clock that [`Gateway::set_clock_ahead`] moves; `None` when faketime is not
    /// installed. Only the time of day moves: what the gateway waits for passes as ever.
    pub(crate) fn with_clock(self) -> Option<Self> {
        let library = parts::find_library("faketime/libfaketime.so.1")?;
        let file = self.path(CLOCK).display().to_string();
        let setup = self
            .file(CLOCK, "+0")
            .variable("LD_PRELOAD", &library.display().to_string())
            .variable("FAKETIME_TIMESTAMP_FILE", &file)
            .variable("FAKETIME_NO_CACHE", "1")
            .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Some(setup)
    }

    /// Where a file of the folder is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts with this configuration, written into the folder.
    pub(crate) async fn start(mut self, yaml: &str) -> Gateway {
        let path = self.path("gateway.yaml");
        self = self.file("gateway.yaml", yaml);
        self.config = Some(path);
        self.go().await
    }

    /// Starts with a configuration that stands somewhere else.
    pub(crate) async fn start_with(mut self, config: &Path) -> Gateway {
        self.config = Some(config.to_owned());
        self.go().await
    }

    async fn go(self) -> Gateway {
        let config = self.config.unwrap();
        let text = std::fs::read_to_string(&config).unwrap();
        let sockets = text.matches("bind: \"unix:").count();
        let listeners = text.matches("bind:").count() - sockets;
        let (child, log) = spawn(&config, &self.environment);
        let mut gateway = Gateway {
            folder: self.folder,
            listeners,
            environment: self.environment,
            config,
            child,
            heirs: parking_lot::Mutex::default(),
            log,
            addresses: Addresses::default(),
        };
        gateway.wait_until_listening().await;
        gateway
    }
}

impl Gateway {
    /// Starts a gateway with this configuration. Its folder has `cert.pem`, `key.pem`, `ca.pem` and
    /// `users.yaml` with alice (staff), bob (staff), carol (staff, admins) and dora (no groups, no
    /// e-mail) and ed (disabled); passwords are what [`password`] gives.
    pub(crate) async fn start(yaml: &str) -> Self {
        Setup::new().start(yaml).await
    }

    /// Where a listener accepts.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        self.addresses.lock().unwrap()[listener]
    }

    /// Where all listeners accept.
    pub(crate) fn addresses(&self) -> Addresses {
        Arc::clone(&self.addresses)
    }

    /// The folder of the configuration.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the gateway has written so far, since its last start.
    pub(crate) fn log(&self) -> String {
        self.log.lock().join("\n")
    }

    /// Has nobody read what the gateway writes until what this gives is dropped.
    pub(crate) fn stop_reading(&self) -> Unread<'_> {
        Unread {
            _log: self.log.lock(),
        }
    }

    /// Waits until the log says something.
    pub(crate) async fn wait_for_log(&self, words: &str) {
        until(&format!("the log says {words:?}"), PATIENCE, || async {
            self.log().contains(words).then_some(())
        })
        .await;
    }

    /// Moves the clock that [`Setup::with_clock`] gave this far ahead of the real one.
    pub(crate) fn set_clock_ahead(&self, by: Duration) {
        // Renamed into place, so that the gateway never reads half of it.
        let (new, old) = (self.folder().join("clock.new"), self.folder().join(CLOCK));
        std::fs::write(&new, format!("+{}", by.as_secs())).unwrap();
        std::fs::rename(new, old).unwrap();
    }

    /// Writes another configuration, for the next start.
    pub(crate) fn configure(&self, yaml: &str) {
        std::fs::write(&self.config, yaml).unwrap();
    }

    /// Writes another configuration into the place of the one it was started with, as editors do: whole, by a
    /// rename. A running gateway notices by itself.
    pub(crate) fn edit(&self, yaml: &str) {
        self.replace("gateway.yaml", yaml);
    }

    /// Replaces a file of the folder by a rename.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;

        let (new, old) = (self.folder().join("replaced.new"), self.folder().join(name));
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::rename(new, old).unwrap();
    }

    /// A command line in the folder of the configuration.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portway"));
        command.args(words).current_dir(self.folder());
        command.env("NO_COLOR", "1");
        command
    }

    /// The keys of the ring and their stages, the one that seals or is to first.
    pub(crate) async fn key_stages(&self) -> Vec<(String, String)> {
        let output = self.verb(&["keys", "list", "--json"]).await;
        assert!(output.status.success(), "{output:?}");
        stages_in(&serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Runs a verb of the command line on this gateway, found by its state directory.
    pub(crate) async fn verb(&self, words: &[&str]) -> Output {
        let mut command = self.command(words);
        command.arg("--state-dir").arg(self.folder().join("state"));
        let run = move || command.output().unwrap();
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// Has it read its configuration again; what is said, and the exit code.
    pub(crate) async fn reload(&self) -> (String, i32) {
        let output = self.verb(&["reload"]).await;
        let said = [output.stdout, output.stderr].concat();
        (
            String::from_utf8(said).unwrap(),
            output.status.code().unwrap(),
        )
    }

    /// Has it go on as another process; what is said, and the exit code.
    pub(crate) async fn upgrade(&self, more: &[&str]) -> (String, i32) {
        let output = self.verb(&[&["upgrade"], more].concat()).await;
        let said = String::from_utf8(output.stdout).unwrap();
        let heir = said.strip_prefix("process ");
        let heir = heir.and_then(|said| said.split_whitespace().next()?.parse().ok());
        self.heirs.lock().extend::<Option<u32>>(heir);
        let complaints = String::from_utf8(output.stderr).unwrap();
        (said + &complaints, output.status.code().unwrap())
    }

    /// The processes that have served it, each following the one before.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let heirs = self.heirs.lock();
        std::iter::once(self.pid())
            .chain(heirs.iter().copied())
            .collect()
    }

    /// Writes another configuration and has it read; fails unless it is in effect.
    pub(crate) async fn reload_with(&self, yaml: &str) {
        self.edit(yaml);
        let (said, code) = self.reload().await;
        assert_eq!(code, 0, "{said}");
    }

    /// What `portway status --json` says.
    pub(crate) async fn status(&self) -> serde_json::Value {
        let output = self.verb(&["status", "--json"]).await;
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The state of each upstream of its first pool, in order.
    pub(crate) async fn upstream_states(&self) -> Vec<String> {
        let status = self.status().await;
        let upstreams = status.pointer("/pools/0/upstreams").unwrap();
        let each = upstreams.as_array().unwrap().iter();
        each.map(|at| at.get("state").unwrap().as_str().unwrap().to_owned())
            .collect()
    }

    /// Asks its control socket, and reads the answer.
    pub(crate) async fn control(&self, method: http::Method, path: &str) -> serde_json::Value {
        let socket = self.folder().join("state/control.sock");
        let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
        let stream = hyper_util::rt::TokioIo::new(stream);
        let connected = hyper::client::conn::http1::handshake(stream).await;
        let (mut sender, connection) = connected.unwrap();
        tokio::spawn(connection);
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("host", "node").body(String::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    /// Sends it SIGHUP.
    pub(crate) fn hang_up(&self) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::HUP).unwrap();
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The memory that the process holds, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        resident_kib(&self.pid().to_string())
    }

    /// Kills the process as a crash would, and waits until it is gone.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the process again on the same state; it must have ended.
    pub(crate) async fn restart(&mut self) {
        assert!(self.child.try_wait().unwrap().is_some(), "still running");
        (self.child, self.log) = spawn(&self.config, &self.environment);
        self.wait_until_listening().await;
    }

    /// Asks the process to stop (SIGTERM).
    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
    }

    /// Waits until the process has ended.
    pub(crate) async fn wait_for_exit(&mut self, bound: Duration) -> ExitStatus {
        let child = Mutex::new(&mut self.child);
        until("the gateway ends", bound, || async {
            child.lock().unwrap().try_wait().unwrap()
        })
        .await
    }

    async fn wait_until_listening(&mut self) {
        let child = Mutex::new(&mut self.child);
        let log = || self.log.lock().clone();
        let found = until("the gateway listens", PATIENCE, || async {
            let found = listening(&log());
            let missing = found.len() < self.listeners;
            let ended = child.lock().unwrap().try_wait().unwrap();
            if let Some(status) = ended.filter(|_| missing) {
                panic!("the gateway ended: {status}\n{}", log().join("\n"));
            }
            (!missing).then_some(found)
        })
        .await;
        *self.addresses.lock().unwrap() = found;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
        for heir in self.heirs.lock().iter() {
            let heir = i32::try_from(*heir).ok().and_then(Pid::from_raw);
            // All but the last have ended by themselves, or will.
            heir.map(|heir| rustix::process::kill_process(heir, Signal::KILL).ok());
        }
        if std::thread::panicking() {
            let log = self.log.lock();
            let tail = log.len().saturating_sub(LOG_SHOWN);
            eprintln!("--- gateway\n{}\n---", log[tail..].join("\n"));
        }
    }
}

/// The password of a user.
pub(crate) fn password(user: &str) -> String {
    format!("correct horse {user}")
}

/// The users file that gateways have unless a test says otherwise.
fn users() -> String {
    let mut text = users_with(&[
        ("alice", "[staff]", "alice@mail.test", "Alice Ärmel"),
        ("bob", "[staff]", "bob@mail.test", "Bob"),
        ("carol", "[staff, admins]", "carol@mail.test", "Carol"),
    ]);
    let others = [("dora", ""), ("ed", ", disabled: true")];
    for (name, more) in others {
        let hash = hash(&password(name));
        text.push_str(&format!(
            "  - {{ name: {name}, password: \"{hash}\"{more} }}\n"
        ));
    }
    text
}

/// A users file with these names, groups, addresses and shown names; its hashes are cheap to check.
pub(crate) fn users_with(known: &[(&str, &str, &str, &str)]) -> String {
    let mut text = String::from("users:\n");
    for (name, groups, email, shown) in known {
        let hash = hash(&password(name));
        text.push_str(&format!(
            "  - {{ name: {name}, groups: {groups}, email: {email}, display_name: \"{shown}\", password: \"{hash}\" }}\n"
        ));
    }
    text
}

fn hash(password: &str) -> String {
    let cheap = Params::new(64, 1, 1, None).unwrap();
    let hash: argon2::password_hash::phc::PasswordHash = Argon2::from(cheap)
        .hash_password(password.as_bytes())
        .unwrap();
    hash.to_string()
}

/// The keys of a list that a verb gives as JSON, and their stages.
pub(crate) fn stages_in(list: &serde_json::Value) -> Vec<(String, String)> {
    let text = |line: &serde_json::Value, name: &str| line[name].as_str().unwrap().to_owned();
    let keys = list["keys"].as_array().unwrap().iter();
    keys.map(|line| (text(line, "key"), text(line, "stage")))
        .collect()
}

/// The memory that a process holds, in KiB; `self` is this one.
pub(crate) fn resident_kib(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn spawn(config: &Path, environment: &[(String, String)]) -> (Child, Log) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portway"))
        .args(["run", "--config"])
        .arg(config)
        .env("NO_COLOR", "1")
        .env(
            "PORTWAY_LOG",
            std::env::var_os("PORTWAY_LOG").unwrap_or_else(|| "info".into()),
        )
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Log::default();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let written = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            written.lock().push(line);
        }
    });
    (child, log)
}

/// Reads `listening listener="https" address=127.0.0.1:1234` lines.
fn listening(log: &[String]) -> BTreeMap<String, SocketAddr> {
    let after = |line: &str, key: &str| {
        let (_, rest) = line.split_once(key)?;
        Some(rest.split_whitespace().next()?.trim_matches('"').to_owned())
    };
    log.iter()
        .filter(|line| line.contains("listening") && !line.contains("no longer"))
        .filter_map(|line| {
            Some((
                after(line, "listener=")?,
                after(line, "address=")?.parse().ok()?,
            ))
        })
        .collect()
}

/// How far the clock is ahead, for faketime.
const CLOCK: &str = "clock";
/// Lines of the log shown when a test fails.
const LOG_SHOWN: usize = 60;
