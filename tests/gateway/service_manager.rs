//! What deploy/systemd has a service manager do: sockets that it passes, what it is told, and the unit files.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;
use tokio::task::spawn_blocking;

use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::parts;
use crate::support::ports::kept_port;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;

const PORTWAY: &str = env!("CARGO_BIN_EXE_portway");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// What the script ends with where the machine allows no systemd of one's own.
const SKIPPED: i32 = 77;

/// The script has the figures: nobody is refused over kills, a stop and a hang.
#[tokio::test]
async fn nobody_is_refused_while_a_service_manager_starts_the_gateway_again() {
    let Some(python) = parts::find("python3") else {
        return;
    };
    let script = format!("{ROOT}/scripts/restart.py");
    let run = move || Command::new(python).args([&script, PORTWAY]).output();
    let output = spawn_blocking(run).await.unwrap().unwrap();
    let said = text(&output);
    eprintln!("{said}");
    assert!(output.status.success(), "{said}");
    assert!(said.contains("; 0 refused, "), "{said}");
}

/// The script says what it went through, and why where the machine does not let it.
#[tokio::test]
async fn the_units_hold_under_a_systemd_of_their_own() {
    let systemd = parts::find_at(Path::new("/usr/lib/systemd/systemd"));
    let (Some(_), Some(_), Some(python)) =
        (systemd, parts::find("openssl"), parts::find("python3"))
    else {
        return;
    };
    let script = format!("{ROOT}/scripts/units.py");
    let run = move || Command::new(python).args([&script, PORTWAY]).output();
    let output = spawn_blocking(run).await.unwrap().unwrap();
    let said = text(&output);
    eprintln!("{said}");
    if output.status.code() == Some(SKIPPED) {
        parts::not_allowed("a systemd of its own, in namespaces, as root");
        return;
    }
    assert!(output.status.success(), "{said}");
}

#[tokio::test]
async fn a_socket_of_systemd_is_served_and_one_that_no_listener_has_is_a_fault() {
    let Some(activate) = parts::find("systemd-socket-activate") else {
        return;
    };
    let (wanted, unwanted) = (kept_port(), kept_port());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.yaml");
    let yaml = format!(
        "listeners: [{{ name: http, bind: \"127.0.0.1:{wanted}\" }}]
virtual_hosts:
  - host: app.test
    plain_http: serve
    routes: [{{ path: /, access: excluded, respond: {{ status: 200, body: here }} }}]
"
    );
    std::fs::write(&path, yaml).unwrap();
    let start = |ports: &[u16]| {
        let mut started = Command::new(&activate);
        for port in ports {
            started.arg("-l").arg(format!("127.0.0.1:{port}"));
        }
        started.args([PORTWAY, "run", "--config"]).arg(&path);
        started.stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut good = start(&[wanted]);
    let heard = ask(wanted).await;
    good.kill().unwrap();
    good.wait().unwrap();
    assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");

    let bad = start(&[wanted, unwanted]);
    let mut ended = spawn_blocking(|| bad.wait_with_output());
    // It is started by whoever connects first, and ends before it answers anybody.
    let connected = until("a connection", PATIENCE, || async {
        TcpStream::connect(("127.0.0.1", wanted)).ok()
    });
    let output = tokio::select! {
        output = &mut ended => output,
        _connection = connected => within("its end", PATIENCE, ended).await,
    };
    let output = output.unwrap().unwrap();
    let said = text(&output);
    assert!(!output.status.success(), "{said}");
    let fault = format!("listens at 127.0.0.1:{unwanted}, where no listener is");
    assert!(said.contains(&fault), "{said}");
}

/// Its sockets go from process to process and are never one's own; and it knows the new process before the old one
/// ends.
#[tokio::test]
async fn what_is_systemds_stays_so_after_an_upgrade() {
    let Some(activate) = parts::find("systemd-socket-activate") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (socket, config) = (at("http.sock"), at("gateway.yaml"));
    let manager = UnixDatagram::bind(at("manager.sock")).unwrap();
    manager.set_nonblocking(true).unwrap();
    let listener = format!("{{ name: http, bind: \"unix:{}\" }}", socket.display());
    let with = |listeners: &str| {
        let yaml = format!(
            "listeners: [{{ name: other, bind: \"127.0.0.1:0\" }}{listeners}]
virtual_hosts:
  - host: app.test
    plain_http: serve
    routes: [{{ path: /, access: excluded, respond: {{ status: 200, body: here }} }}]
"
        );
        std::fs::write(&config, yaml).unwrap();
    };
    with(&format!(", {listener}"));
    let mut command = Command::new(activate);
    command.arg("-l").arg(&socket);
    let says = format!("NOTIFY_SOCKET={}", at("manager.sock").display());
    command.arg("-E").arg(says);
    command.args([PORTWAY, "run", "--config"]).arg(&config);
    let mut first = command.spawn().unwrap();
    assert!(ask_at(&socket).await.starts_with("HTTP/1.1 200 OK\r\n"));

    let heir = upgraded(&config).await;
    let mut heard = String::new();
    let mut message = [0; 4096];
    while let Ok(length) = manager.recv(&mut message) {
        heard += std::str::from_utf8(message.get(..length).unwrap()).unwrap();
    }
    assert!(heard.contains(&format!("MAINPID={heir}\n")), "{heard}");
    let ended = spawn_blocking(move || first.wait());
    within("the end of the first", PATIENCE, ended)
        .await
        .unwrap()
        .unwrap();

    with("");
    let said = command_of("reload", &config).await;
    assert!(said.contains("where no listener is any more"), "{said}");
    with(&format!(", {listener}"));
    command_of("reload", &config).await;
    assert!(ask_at(&socket).await.starts_with("HTTP/1.1 200 OK\r\n"));

    end(heir, Signal::TERM).await;
    assert!(socket.exists(), "the socket was taken away");
}

/// A reload may stop to use a socket of systemd's. Neither an upgrade nor the next start is refused over it.
#[tokio::test]
async fn a_socket_of_systemd_that_a_reload_has_left_keeps_nobody_from_serving() {
    let Some(activate) = parts::find("systemd-socket-activate") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (kept, left, config) = (at("kept.sock"), at("left.sock"), at("gateway.yaml"));
    let write = |sockets: &[&Path]| {
        let listeners = sockets.iter().enumerate().map(|(number, socket)| {
            let socket = socket.display();
            format!("  - {{ name: number-{number}, bind: \"unix:{socket}\" }}\n")
        });
        let yaml = format!(
            "listeners:
{}virtual_hosts:
  - host: app.test
    plain_http: serve
    routes: [{{ path: /, access: excluded, respond: {{ status: 200, body: here }} }}]
",
            listeners.collect::<String>()
        );
        std::fs::write(&config, yaml).unwrap();
    };
    let start = || {
        let mut started = Command::new(&activate);
        started.arg("-l").arg(&kept).arg("-l").arg(&left);
        started.args([PORTWAY, "run", "--config"]).arg(&config);
        started.stderr(Stdio::piped()).spawn().unwrap()
    };
    write(&[&kept, &left]);
    let first = start();
    assert!(ask_at(&left).await.starts_with("HTTP/1.1 200 OK\r\n"));

    write(&[&kept]);
    let said = command_of("reload", &config).await;
    assert!(said.contains("where no listener is any more"), "{said}");
    let heir = upgraded(&config).await;
    assert!(ask_at(&kept).await.starts_with("HTTP/1.1 200 OK\r\n"));
    end(heir, Signal::KILL).await;
    let ended = spawn_blocking(move || first.wait_with_output());
    let ended = within("the end of the first", PATIENCE, ended).await;
    let said = text(&ended.unwrap().unwrap());
    assert!(said.contains("where no listener is any more"), "{said}");

    for stale in [&kept, &left] {
        std::fs::remove_file(stale).ok();
    }
    let mut second = start();
    assert!(ask_at(&kept).await.starts_with("HTTP/1.1 200 OK\r\n"));
    second.kill().unwrap();
    let said = text(&second.wait_with_output().unwrap());
    let warning = format!(
        "listens at unix:{}, where no listener is any",
        left.display()
    );
    assert!(said.contains(&warning), "{said}");
}

/// Has another process take over, and says which.
async fn upgraded(config: &Path) -> i32 {
    let said = command_of("upgrade", config).await;
    let heir = said.strip_prefix("process ").unwrap();
    heir.split(' ').next().unwrap().parse().unwrap()
}

/// Ends a process that is no child of this one, and waits until it is gone.
async fn end(process: i32, how: Signal) {
    let id = Pid::from_raw(process).unwrap();
    rustix::process::kill_process(id, how).unwrap();
    until("its end", PATIENCE, || async {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat"));
        let is_gone = status.map_or(true, |status| status.contains(") Z "));
        is_gone.then_some(())
    })
    .await;
}

/// What a command of the gateway says when it has done what it was to.
async fn command_of(verb: &'static str, config: &Path) -> String {
    let mut command = Command::new(PORTWAY);
    command.arg(verb).arg("--config").arg(config);
    let output = spawn_blocking(move || command.output()).await.unwrap();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

/// Asks at a socket of the file system until somebody answers.
async fn ask_at(path: &Path) -> String {
    until("an answer", PATIENCE, || async {
        let path = path.to_owned();
        let asking = spawn_blocking(move || asked(UnixStream::connect(path).ok()?));
        asking.await.unwrap()
    })
    .await
}

#[tokio::test]
async fn the_units_are_such_as_systemd_reads() {
    let Some(analyze) = parts::find("systemd-analyze") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for name in ["portway.service", "portway.socket"] {
        let unit = std::fs::read_to_string(Path::new(ROOT).join("deploy/systemd").join(name));
        // Neither the program nor its user is on this machine.
        let unit = unit.unwrap().replace("/usr/local/bin/portway", PORTWAY);
        let unit = unit
            .replace("=portway\n", "=root\n")
            .replace("StateDirectory=root", "StateDirectory=portway");
        let path = folder.path().join(name);
        std::fs::write(&path, unit.replace("Documentation=man:portway(1)\n", "")).unwrap();
        files.push(path);
    }
    let run = move || Command::new(analyze).arg("verify").args(files).output();
    let output = spawn_blocking(run).await.unwrap().unwrap();
    let said = text(&output);
    assert!(
        output.status.success() && !said.contains("portway."),
        "{said}"
    );
}

/// Without a service manager nothing is said, and nothing fails.
#[tokio::test]
async fn a_gateway_without_a_service_manager_has_nothing_to_say_to_it() {
    let gateway = Gateway::start(&format!(
        "{HEAD}virtual_hosts:
  - host: app.test
    routes: [{{ path: /, access: excluded, respond: {{ status: 200 }} }}]
"
    ))
    .await;
    assert!(
        !gateway.log().contains("service manager"),
        "{}",
        gateway.log()
    );
}

/// Asks until somebody answers.
async fn ask(port: u16) -> String {
    until("an answer", PATIENCE, || async {
        let asking = spawn_blocking(move || asked(TcpStream::connect(("127.0.0.1", port)).ok()?));
        asking.await.unwrap()
    })
    .await
}

fn asked(mut stream: impl Read + Write) -> Option<String> {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard).ok();
    Some(heard)
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}
