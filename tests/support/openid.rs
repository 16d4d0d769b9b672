//! A real provider of OpenID Connect: oidc-provider, on Node.js.

use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use super::Browser;
use super::Gateway;
use super::certificates;
use super::message::Answer;
use super::parts;

/// Where the gateway under test takes browsers that come back from the provider.
pub(crate) const REDIRECT: &str = "https://login.test/.portway/provider/corp/callback";
/// What the gateway proves itself with.
pub(crate) const SECRET: &str = "a secret/of the+client: 100%";

/// A running provider; it is killed when dropped.
pub(crate) struct OpenId {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl OpenId {
    /// Starts one with a client `portway`; `more` are further settings of `openid.mjs`. None where it is not
    /// installed.
    pub(crate) async fn start(more: &serde_json::Value) -> Option<Self> {
        let node = parts::find("node")?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        parts::find_at(&root.join("node_modules/oidc-provider/package.json"))?;
        let folder = tempfile::tempdir().unwrap();
        let mut settings = serde_json::json!({
            "redirect": REDIRECT,
            "secret": SECRET,
            "gateway": folder.path().join("gateway.json"),
        });
        for (name, value) in more.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let mut child = Command::new(node)
            .arg(root.join("tests/support/openid.mjs"))
            .arg(settings.to_string())
            .current_dir(root)
            .env("NODE_NO_WARNINGS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let first = tokio::task::spawn_blocking(move || {
            let mut first = String::new();
            BufReader::new(output).read_line(&mut first).ok()?;
            first.trim().parse().ok()
        });
        let port = first.await.unwrap();
        let port = port.unwrap_or_else(|| panic!("the provider ended: {:?}", child.wait()));
        Some(Self {
            child,
            folder,
            port,
        })
    }

    /// Its name in its tokens.
    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The section `authentication` of a gateway whose users sign in here; `more` are further keys of the provider,
    /// each with a comma before it.
    pub(crate) fn section(&self, more: &str) -> String {
        let issuer = self.issuer();
        format!(
            "authentication:
  openid_connect:
    - {{ name: corp, title: Corporate, issuer: \"{issuer}\", client_id: portway, \
             client_secret_file: client.secret{more} }}
"
        )
    }

    /// Tells it where the gateway is that it is to tell of sessions that are over.
    pub(crate) fn meets(&self, gateway: &Gateway) {
        let port = gateway.address("https").port();
        let known = serde_json::json!({ "port": port, "ca": certificates::authority_pem() });
        let file = self.folder.path().join("gateway.json");
        std::fs::write(file, known.to_string()).unwrap();
    }

    /// Signs a user in on the page of the provider that an answer shows; the answer sends the browser back.
    pub(crate) async fn sign_in(browser: &mut Browser, page: &Answer, user: &str) -> Answer {
        let form = page.form().with("login", user).with("password", "any");
        let mut answer = browser.submit(page, &form).await;
        while answer.redirects() && answer.location().host() == "127.0.0.1" {
            answer = browser.follow(&answer).await;
        }
        answer
    }
}

impl Drop for OpenId {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
