//! Real nginx: what a test writes for it, or an upstream that answers with its name and what it saw of the request.

use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use super::certificates;
use super::gateway::Gateway;
use super::gateway::Setup;
use super::parts;
use super::ports::kept_port;
use super::wait::PATIENCE;
use super::wait::until;
use super::yaml;

/// A process of nginx; it is killed when dropped.
pub(crate) struct Process {
    child: Child,
}

/// Where an nginx accepts.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    At(SocketAddr),
    Socket(PathBuf),
}

/// Starts nginx in a folder with these lines in its section `http`, and waits until it accepts at all doors; `None`
/// when it is not installed.
pub(crate) async fn serving(folder: &Path, lines: &str, doors: &[Door]) -> Option<Process> {
    let program = parts::find("nginx")?;
    std::fs::write(folder.join("nginx.conf"), around(lines)).unwrap();
    let begun = Process::begin(&program, folder, doors).await;
    Some(begun.unwrap_or_else(|said| panic!("nginx ended: {said}")))
}

impl Process {
    /// Starts it with the `nginx.conf` of a folder. What it said, where it ended before it accepted at all doors.
    async fn begin(program: &Path, folder: &Path, doors: &[Door]) -> Result<Self, String> {
        let child = Command::new(program)
            .arg("-p")
            .arg(folder)
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut process = Self { child };
        for door in doors {
            let look = || std::future::ready(process.accepts_at(door));
            if !until("nginx accepts", PATIENCE, look).await {
                let said = std::fs::read_to_string(folder.join("error.log"));
                return Err(said.unwrap_or_default());
            }
        }
        Ok(process)
    }

    /// Whether it does, once that is known.
    fn accepts_at(&mut self, door: &Door) -> Option<bool> {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return Some(false);
        }
        let accepts = match door {
            Door::At(address) => TcpStream::connect(address).is_ok(),
            Door::Socket(path) => UnixStream::connect(path).is_ok(),
        };
        accepts.then_some(true)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A running upstream; it is killed when dropped.
pub(crate) struct Nginx {
    name: String,
    program: PathBuf,
    folder: TempDir,
    address: SocketAddr,
    process: Option<Process>,
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
            let address = SocketAddr::from(([127, 0, 0, 1], kept_port()));
            write_files(&folder, name, address, speaks);
            let name = name.to_owned();
            let mut nginx = Self {
                name,
                program: program.clone(),
                folder,
                address,
                process: None,
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
        self.process = None;
    }

    /// Starts it again, on the same port.
    pub(crate) async fn start_again(&mut self) {
        self.kill();
        assert!(self.begin().await, "nginx does not start again");
    }

    async fn begin(&mut self) -> bool {
        let doors = [Door::At(self.address)];
        let begun = Process::begin(&self.program, self.folder.path(), &doors).await;
        self.process = begun.ok();
        self.process.is_some()
    }
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
    let lines = UPSTREAM
        .replace("@ADDRESS@", &address.to_string())
        .replace("@SSL@", ssl)
        .replace("@TLS@", tls)
        .replace("@NAME@", name)
        .replace("@TOLD@", &told);
    std::fs::write(path("nginx.conf"), around(&lines)).unwrap();
}

/// A whole configuration, which says of itself nothing about how requests are served.
fn around(lines: &str) -> String {
    AROUND.replace("@LINES@", lines)
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

const AROUND: &str = "
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path temp-body;
  proxy_temp_path temp-proxy;
  fastcgi_temp_path temp-fastcgi;
  uwsgi_temp_path temp-uwsgi;
  scgi_temp_path temp-scgi;
@LINES@
}
";
const UPSTREAM: &str = r#"
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
"#;
const START_TRIES: usize = 5;
