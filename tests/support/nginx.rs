//! Real nginx as an upstream: it answers with its name and what it saw of the request.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::certificates;
use super::gateway::Gateway;
use super::gateway::Setup;
use super::parts;
use super::wait::PATIENCE;
use super::wait::until;
use super::yaml;

/// A running nginx; it is killed when dropped.
pub(crate) struct Nginx {
    name: String,
    program: PathBuf,
    folder: TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

/// A gateway with the hosts of [`yaml::applications`] before an nginx; `None` when that is not installed.
pub(crate) async fn applications() -> Option<(Nginx, Gateway)> {
    before_nginx(Setup::new()).await
}

/// The same with a clock that the test moves; `None` when that is not installed either.
pub(crate) async fn applications_with_clock() -> Option<(Nginx, Gateway)> {
    before_nginx(Setup::new().with_clock()?).await
}

async fn before_nginx(setup: Setup) -> Option<(Nginx, Gateway)> {
    let nginx = Nginx::start("one").await?;
    let gateway = setup.start(&yaml::applications(&[nginx.address])).await;
    Some((nginx, gateway))
}

/// How an nginx is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http,
    Https,
}

impl Nginx {
    /// Starts one on a free port; `None` when nginx is not installed.
    pub(crate) async fn start(name: &str) -> Option<Self> {
        Self::speaking(name, Speaks::Http).await
    }

    /// Starts one that speaks https, with a certificate of the tests' authority for `localhost`.
    pub(crate) async fn speaking(name: &str, speaks: Speaks) -> Option<Self> {
        let program = parts::find("nginx")?;
        for _ in 0..START_TRIES {
            let folder = tempfile::tempdir().unwrap();
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            write_files(&folder, name, address, speaks);
            let name = name.to_owned();
            let mut nginx = Self {
                name,
                program: program.clone(),
                folder,
                address,
                child: None,
            };
            if nginx.begin().await {
                return Some(nginx);
            }
        }
        panic!("nginx does not start");
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name, which is in each of its answers.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().unwrap();
        }
    }

    /// Starts it again, on the same port.
    pub(crate) async fn start_again(&mut self) {
        self.kill();
        assert!(self.begin().await, "nginx does not start again");
    }

    async fn begin(&mut self) -> bool {
        let child = Command::new(&self.program)
            .arg("-p")
            .arg(self.folder.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let child = std::sync::Mutex::new(self.child.insert(child));
        let address = self.address;
        until("nginx accepts", PATIENCE, || async {
            if child.lock().unwrap().try_wait().unwrap().is_some() {
                return Some(false);
            }
            TcpStream::connect(address).await.ok().map(|_| true)
        })
        .await
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on, outside the range from which the system takes ports by itself, so
/// that nobody takes it while a stopped upstream is away.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() * 131 % u32::from(PORTS)).unwrap();
    for _ in 0..PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS_FROM + own.wrapping_add(step) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

fn write_files(folder: &TempDir, name: &str, address: SocketAddr, speaks: Speaks) {
    let path = |name: &str| folder.path().join(name);
    let (ssl, tls) = match speaks {
        Speaks::Http => ("", ""),
        Speaks::Https => {
            let issued = certificates::issue(&["localhost"]);
            std::fs::write(path("cert.pem"), issued.certificate).unwrap();
            std::fs::write(path("key.pem"), issued.key).unwrap();
            (
                " ssl",
                "ssl_certificate cert.pem; ssl_certificate_key key.pem;",
            )
        }
    };
    let large = std::fs::File::create(path("large.bin")).unwrap();
    large.set_len(LARGE_BYTES).unwrap();
    let told: String = TOLD
        .iter()
        .map(|header| format!("{header}: $http_{}\\n", header.replace('-', "_")))
        .collect();
    let conf = CONF
        .replace("@ADDRESS@", &address.to_string())
        .replace("@SSL@", ssl)
        .replace("@TLS@", tls)
        .replace("@NAME@", name)
        .replace("@TOLD@", &told);
    std::fs::write(path("nginx.conf"), conf).unwrap();
}

/// The request headers that nginx repeats, each on a line of its own.
const TOLD: &[&str] = &[
    "host",
    "connection",
    "upgrade",
    "cookie",
    "proxy-mutual-auth-header",
    "remote-user",
    "remote-groups",
    "remote-email",
    "remote-name",
    "x-remote-user",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
    "x-request-id",
    "x-own",
];

/// `large.bin` and `slow.bin` hold as many zeros; the latter come at 2 MiB a second.
pub(crate) const LARGE_BYTES: u64 = 4 * 1024 * 1024;

const CONF: &str = r#"
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  underscores_in_headers on;
  ignore_invalid_headers off;
  client_max_body_size 0;
  keepalive_requests 1000000;
  default_type text/plain;
  server {
    listen @ADDRESS@@SSL@;
    @TLS@
    add_header X-Upstream "@NAME@" always;
    location / {
      return 200 "upstream: @NAME@\nmethod: $request_method\nuri: $request_uri\n@TOLD@";
    }
    location /healthz { return 200 "well"; }
    location = /files/large.bin { alias large.bin; }
    location = /files/slow.bin { alias large.bin; limit_rate 2m; }
    location /moved { return 302 http://$http_host/target; }
    location /cookies {
      add_header Set-Cookie "__Host-portway-authn-main=forged; Path=/; Secure";
      add_header Set-Cookie "__Host-Portway-ID-main=forged; Path=/; Secure";
      add_header Set-Cookie "app=\"a b\"; Path=/";
      return 200 "cookie: $http_cookie\n";
    }
    location /cached { add_header Cache-Control "public, max-age=600"; return 200 "cached"; }
  }
}
"#;
const PORTS_FROM: u16 = 18_000;
const PORTS: u16 = 12_000;
const START_TRIES: usize = 5;
