//! `portway demo`: a gateway with sample applications behind it, for a first look on one machine.
//!
//! Everything listens on 127.0.0.1 only and lives in one folder. The gateway is the real one, started
//! from a configuration file like any other; nothing in the product knows that it is a demonstration.

use std::io;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;
use tokio::runtime::Runtime;

use crate::app;
use crate::config;
use crate::demo::apps::Apps;
use crate::demo::folder::WorkFolder;
use crate::demo::script::Script;
use crate::demo::site::APP;
use crate::demo::site::LOGIN;
use crate::demo::site::OTHER;
use crate::demo::site::Site;

mod apps;
mod certificate;
mod client;
mod folder;
mod form;
mod jar;
mod script;
mod site;

/// What the demonstration is to do, and where.
#[derive(Clone, Debug)]
pub struct DemoArgs {
    /// Serve, or walk through by itself.
    pub mode: Mode,
    /// The port for https; 0 takes any free one.
    pub port: u16,
    /// The port for http; 0 takes any free one.
    pub plain_port: u16,
    /// Where the files go.
    pub folder: Folder,
}

/// What the demonstration does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Walks the journey of a user by itself, says what it sees, and ends.
    Script,
    /// Serves until it is told to stop.
    Serve,
}

/// Where the files of the demonstration go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Into a new folder, removed at the end.
    Fresh {
        /// The folder it is made in.
        under: PathBuf,
    },
    /// Into this folder, which stays; certificates and users found there are kept.
    Kept(PathBuf),
}

/// The port for https unless another is asked for.
pub const PORT: u16 = 8443;
/// The port for http unless another is asked for.
pub const PLAIN_PORT: u16 = 8080;

/// Runs the demonstration: until a signal when serving, to the end of its journey as a script.
///
/// # Errors
/// When it cannot be started, or, as a script, when a step shows something else than it should.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let site = choose_ports(args)?;
    let folder = WorkFolder::make(&args.folder)?;
    let runtime = Runtime::new().context("the demonstration's threads could not be started")?;
    let apps = Arc::new(Apps::bind(site).context("the sample applications could not be bound")?);
    {
        let _within = runtime.enter();
        apps.start_all()?;
    }
    let config_file = folder.write(site, &apps)?;
    let config = config::load::load(&config_file).context("the demonstration's configuration")?;
    let ca_pem = folder.ca_pem()?;
    let running = app::start(config)?;
    match args.mode {
        Mode::Script => {
            let walked = runtime.block_on(Script::walk(site, &apps, &ca_pem));
            // What the journey found matters more than how the gateway stopped.
            let stopped = running.stop();
            walked.and(stopped)
        }
        Mode::Serve => {
            invite(&mut io::stdout(), site, &folder)?;
            running.wait()
        }
    }
}

/// The ports of the listeners. The configuration must name them, because redirects carry them; so free
/// ones are looked up here and left to the gateway.
fn choose_ports(args: &DemoArgs) -> anyhow::Result<Site> {
    // Both are held until both are known, so that they differ.
    let (https, http) = (claim_port(args.port)?, claim_port(args.plain_port)?);
    Ok(Site {
        https: https.local_addr()?.port(),
        http: http.local_addr()?.port(),
    })
}

fn claim_port(wanted: u16) -> anyhow::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            bail!("port {wanted} is taken; another can be given with --port or --plain-port")
        }
        Err(error) => Err(error).with_context(|| format!("port {wanted} cannot be used")),
    }
}

fn invite(out: &mut dyn Write, site: Site, folder: &WorkFolder) -> io::Result<()> {
    let (app, other, login) = (
        site.https_url(APP, "/"),
        site.https_url(OTHER, "/"),
        site.https_url(LOGIN, "/"),
    );
    let public = site.https_url(APP, "/public");
    let (ca, folder) = (folder.ca_file(), folder.path());
    write!(
        out,
        "
Portway is running, on 127.0.0.1 only. Its files are in
  {folder}

Users        alice / alice-demo   group staff
             carol / carol-demo   groups staff, admins

Open         {app}
Certificate  the browser warns once per name, or trust {ca}
             for the time being; it can only vouch for *.portway.localhost

Try
  1. Open {app}some/deep/link?with=query and sign in as alice:
     you arrive where you wanted to go, and the page shows what the application was told.
  2. Open {other}: another application, no second sign-in.
  3. Open {app}clock: a WebSocket that lives as long as the session.
  4. Open {app}admin: forbidden for alice. Sign out, sign in as carol: the page
     stops and starts the sample applications, so that fail-over can be watched.
  5. Sign out in one window and watch the clock in another.
  6. Without a browser:
       curl --cacert {ca} {public}
       curl --cacert {ca} -H 'Accept: application/json' {app}

The sign-in page is at {login}. Stop with Ctrl-C.
",
        folder = folder.display(),
        ca = ca.display(),
    )
}
