//! The tools of nghttp2 as clients: they speak HTTP/2 by the letter, and say what they see of it.

use std::process::Command;
use std::process::Output;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Manner;
use crate::support::Multiplexed;
use crate::support::Url;
use crate::support::parts;

/// `localhost` before one upstream of HTTP/1.1, and `/two` before one of HTTP/2.
async fn start() -> (Application, Multiplexed, Gateway) {
    let one = Application::start().await;
    let two = Multiplexed::start(Manner::Plain).await;
    let yaml = format!(
        "{HEAD}pools:
  one: {{ primary: [\"{}\"] }}
  two: {{ primary: [\"{}\"], scheme: h2c }}
virtual_hosts:
  - host: localhost
    routes:
      - {{ path: /two, access: excluded, pool: two, rewrite: {{ strip_prefix: /two }} }}
      - {{ path: /, access: excluded, pool: one }}
",
        one.address(),
        two.address()
    );
    let gateway = Gateway::start(&yaml).await;
    (one, two, gateway)
}

/// Runs one of the tools; the paths come last, on the gateway.
async fn run(tool: &str, args: &[&str], gateway: &Gateway, paths: &[&str]) -> Option<String> {
    let mut command = Command::new(parts::find(tool)?);
    let address = Browser::new(gateway).address(&Url::parse("https://localhost/"));
    let base = format!("https://localhost:{}", address.port());
    command.args(args);
    command.args(paths.iter().map(|path| format!("{base}{path}")));
    let running = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output: Output = running.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    Some(said)
}

#[tokio::test]
async fn h2load_gets_an_answer_to_all_that_it_asks_for() {
    let (_one, _two, gateway) = start().await;
    for (path, requests) in [("/", "5000"), ("/two/", "5000"), ("/bulk/100", "300")] {
        let args = ["-n", requests, "-c", "10", "-m", "30"];
        let Some(said) = run("h2load", &args, &gateway, &[path]).await else {
            return;
        };
        let all = format!(
            "requests: {requests} total, {requests} started, {requests} done, {requests} succeeded, \
             0 failed, 0 errored, 0 timeout"
        );
        assert!(said.contains(&all), "{path}: {said}");
        assert!(said.contains("Application protocol: h2"), "{said}");
    }
}

#[tokio::test]
async fn h2load_uploads_what_it_has() {
    let (_one, two, gateway) = start().await;
    let file = gateway.folder().join("upload");
    std::fs::write(&file, vec![b'x'; 300_000]).unwrap();
    let data = format!("--data={}", file.display());
    let args = ["-n", "100", "-c", "5", "-m", "10", &data];
    for path in ["/upload", "/two/sum"] {
        let Some(said) = run("h2load", &args, &gateway, &[path]).await else {
            return;
        };
        assert!(
            said.contains("100 succeeded, 0 failed, 0 errored"),
            "{said}"
        );
    }
    assert_eq!(two.heads().len(), 100);
}

#[tokio::test]
async fn nghttp_sees_the_limits_no_tunnels_and_an_end_without_an_error_rfc_8441() {
    let (_one, _two, gateway) = start().await;
    // Settings, windows, priorities and headers in several frames, each as another client would have them.
    for args in [
        &["-nv"][..],
        &["-nv", "--continuation"],
        &["-nv", "-w", "16", "-W", "18"],
        &["-nv", "--no-dep", "--hexdump"],
        &[
            "-nv",
            "-M",
            "10",
            "-m",
            "20",
            "--encoder-header-table-size=0",
        ],
        &["-nv", "--trailer", "x-after: 1", "-d", "/etc/hostname"],
    ] {
        let Some(said) = run("nghttp", args, &gateway, &["/", "/two/"]).await else {
            return;
        };
        let answers = if args.contains(&"-m") { 40 } else { 2 };
        assert_eq!(said.matches(":status: 200").count(), answers, "{said}");
        assert!(
            said.contains("SETTINGS_MAX_CONCURRENT_STREAMS(0x03):100"),
            "{said}"
        );
        assert!(!said.contains("SETTINGS_ENABLE_CONNECT_PROTOCOL"), "{said}");
        let received = said.split("recv ").skip(1);
        let mut bad = received.filter(|frame| {
            let is_end = frame.starts_with("GOAWAY") || frame.starts_with("RST_STREAM");
            is_end && !frame.contains("NO_ERROR")
        });
        assert_eq!(bad.next(), None, "{said}");
    }
}
