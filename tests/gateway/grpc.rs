//! gRPC through the gateway: grpcio calls grpcio, over TLS and HTTP/2 on both sides.

use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tokio::sync::mpsc;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Url;
use crate::support::certificates;
use crate::support::gateway::Setup;
use crate::support::parts;
use crate::support::wait::CUT_WITHIN;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;

/// A script of `tests/gateway/grpc` that runs, and what it says; it is killed when dropped.
struct Script {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Script {
    /// Starts one; none where grpcio is not installed.
    fn start(name: &str, args: &[&str]) -> Option<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let python = parts::find_at(&root.join(".venv/bin/python3"))?;
        Some(Self::run(
            &python,
            &root.join("tests/gateway/grpc").join(name),
            args,
        ))
    }

    fn run(python: &Path, script: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(python)
            .arg(script)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        Self { child, lines }
    }

    /// The next line it says; none at its end.
    async fn line(&mut self) -> Option<String> {
        within("a line of a script", 3 * PATIENCE, self.lines.recv()).await
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A server of gRPC, and a gateway before it by this scheme.
async fn start(scheme: &str) -> Option<(Script, Gateway)> {
    let issued = certificates::issue(&["app.test"]);
    let setup = Setup::new()
        .file("server.pem", &issued.certificate)
        .file("server.key", &issued.key);
    let (certificate, key) = (setup.path("server.pem"), setup.path("server.key"));
    let paths = [certificate.to_str().unwrap(), key.to_str().unwrap()];
    let (args, tls) = match scheme {
        "h2" => (
            &paths[..],
            ", tls: { ca_file: ca.pem, server_name: app.test }",
        ),
        _ => (&[][..], ""),
    };
    let mut server = Script::start("server.py", args)?;
    let port = server.line().await.unwrap();
    let yaml = format!(
        "{HEAD}pools: {{ calls: {{ primary: [\"127.0.0.1:{port}\"], scheme: {scheme}{tls} }} }}
policies: {{ anybody: [{{ allow: signed_in }}] }}
virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /calls.Calls, access: excluded, pool: calls, streaming: true }}
      - {{ path: /secret.Calls, access: protected, policy: anybody, pool: calls, streaming: true }}
      - {{ path: /, access: protected, policy: anybody, respond: {{ body: hello }} }}
"
    );
    Some((server, setup.start(&yaml).await))
}

fn target(gateway: &Gateway) -> (String, String) {
    let url = Url::parse("https://app.test/");
    let ca = gateway.folder().join("ca.pem");
    let address = Browser::new(gateway).address(&url);
    (address.to_string(), ca.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn each_kind_of_call_passes_with_its_metadata_its_status_its_deadline_and_its_end() {
    for scheme in ["h2c", "h2"] {
        let Some((_server, gateway)) = start(scheme).await else {
            return;
        };
        let (address, ca) = target(&gateway);
        let mut client = Script::start("client.py", &["calls", &address, &ca]).unwrap();
        let mut said = Vec::new();
        while let Some(line) = client.line().await {
            said.push(line);
        }
        assert_eq!(said.last().map(String::as_str), Some("ok"), "{said:?}");
        assert_eq!(said.len(), 10, "{said:?}");
    }
}

#[tokio::test]
async fn a_sign_out_ends_a_call_that_streams_within_a_second_s_17_d_13() {
    let Some((_server, gateway)) = start("h2c").await else {
        return;
    };
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    let (address, ca) = target(&gateway);
    let cookie = alice.cookies_for("https://app.test/");
    let mut client = Script::start("client.py", &["stays", &address, &ca, &cookie]).unwrap();
    assert_eq!(client.line().await.as_deref(), Some("open"));
    alice
        .get("https://app.test/.portway/logout")
        .await
        .expect(303);
    let status = within("the call ends", CUT_WITHIN, client.line())
        .await
        .unwrap();
    assert!(status != "OK" && status != "DEADLINE_EXCEEDED", "{status}");
}
