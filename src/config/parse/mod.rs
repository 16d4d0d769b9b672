//! Text → `Config`, with every fault of the file in one run. Pure: files and variables are asked for
//! through `Surroundings`.
//!
//! `reading` walks, `scalar` reads single values, and one file per section knows its keys, defaults
//! and common. Key names are written here and nowhere else.

use std::path::Path;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::config::Config;
use crate::config::diagnostic::Fault;
use crate::config::diagnostic::Faults;
use crate::config::diagnostic::Warning;
use crate::config::diagnostic::Warnings;
use crate::config::mdc::Mdc;
use crate::config::problem::Problem;
use crate::config::problem::ReadFileError;
use crate::config::raw::Content;
use crate::config::raw::Misread;
use crate::config::raw::Node;
use crate::config::texts::Texts;
use crate::decision::key_life::KeyRules;
use crate::model::name::ClusterId;
use crate::model::name::DeploymentId;

use engine::EnginePlace;
use host::Declared;
use listener::Listeners;
use mdc::Site;
use reading::Found;
use reading::Reading;
use reading::Section;
use security::Given;

mod address_rules;
mod adoption;
mod allowance;
mod back_channel;
mod binding;
mod branding;
mod circles;
mod client_certificates;
mod common_rules;
mod compression;
mod condition;
mod destination;
mod doubt;
mod engine;
mod error_pages;
pub mod expand;
mod header_rules;
mod health;
mod host;
mod include;
mod identity;
mod keys;
mod listener;
mod logs;
mod maintenance;
mod mdc;
pub(super) mod nearest;
mod names;
mod narrowing;
mod openid;
mod ops;
mod outcome;
mod peer;
mod policy;
mod pool;
pub mod quantity;
mod reach;
mod reading;
mod response;
mod rewrite;
mod route;
mod scalar;
pub mod schema;
mod security;
mod settings;
mod throttle;
mod tier;

pub use include::INCLUDABLE;
pub use response::is_reserved_header;
mod template;

/// What a configuration may ask of the world around its text.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The folder that relative paths start from.
    pub folder: &'a Path,
    /// The value of a variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The bytes of a file that may have this many.
    pub read: &'a ReadFile<'a>,
    /// The names of what is in a folder.
    pub list: &'a dyn Fn(&Path) -> Result<Vec<String>, ReadFileError>,
    /// How many threads the edge gets when the file does not say.
    pub threads: usize,
}

/// Reads the bytes of a file, unless it has more than this many.
pub type ReadFile<'a> = dyn Fn(&Path, u64) -> Result<Vec<u8>, ReadFileError> + 'a;

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Reads a configuration from its text; `file` is the name that faults carry.
///
/// # Errors
/// Every fault of the text, in its order.
pub fn parse(text: &str, file: &str, surroundings: &Surroundings<'_>) -> Result<Config, Faults> {
    let (root, config) = configuration(text, file, surroundings)?;
    Ok(Config {
        sha256: schema::effective::sha256(&root, surroundings),
        ..config
    })
}

/// A configuration, and its tree with what it includes.
fn configuration(
    text: &str,
    file: &str,
    surroundings: &Surroundings<'_>,
) -> Result<(Node, Config), Faults> {
    let mut texts = Texts::of(file, text);
    let (root, doubts) = match include::whole(text, &mut texts, surroundings) {
        Ok(whole) => whole,
        Err(faults) => return Err(refused(&texts, faults)),
    };
    let (config, warnings) = read(&root, doubts, &texts, surroundings)?;
    let warnings = Warnings::collect(&texts, warnings);
    Ok((root, Config { warnings, ..config }))
}

/// What a tree means, and all that is doubtful.
fn read(
    root: &Node,
    doubts: Vec<Warning>,
    texts: &Texts,
    surroundings: &Surroundings<'_>,
) -> Result<(Config, Vec<Warning>), Faults> {
    let mut reading = Reading::new(surroundings, texts);
    reading.warnings = doubts;
    let config = reading.config(root);
    match config {
        Some(config) if reading.faults.is_empty() => Ok((config, reading.warnings)),
        _ => Err(refused(texts, reading.faults)),
    }
}

/// Writes a configuration as it counts: with what it includes, variables filled in, defaults written out, and
/// no secret in it.
///
/// # Errors
/// Every fault of the text, as [`parse`] has them.
pub fn effective(
    text: &str,
    file: &str,
    surroundings: &Surroundings<'_>,
) -> Result<String, Faults> {
    let (root, _) = configuration(text, file, surroundings)?;
    Ok(schema::effective::text(&root, surroundings))
}

/// Without a fault that is known, nothing came out all the same.
fn refused(texts: &Texts, faults: Vec<Fault>) -> Faults {
    let faults = Faults::collect(texts, faults);
    faults.unwrap_or_else(|| Faults::one(texts.name(), "", incomplete()))
}

fn incomplete() -> Fault {
    Fault {
        at: None,
        path: String::new(),
        problem: Problem::Incomplete,
    }
}

/// What a tree says about `state_dir`, if anything, before variables are put in.
pub(super) fn state_dir_written(root: &Node) -> Option<&str> {
    let Content::Map(entries) = &root.content else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == "state_dir")?;
    match &entry.value.content {
        Content::Text(written) => Some(written),
        Content::List(_) | Content::Map(_) | Content::Null => None,
    }
}

fn of_misread(misread: Misread) -> Fault {
    let problem = Problem::Tree(misread.error);
    Fault {
        at: Some(misread.at),
        path: String::new(),
        problem,
    }
}

/// What the top of a file says about the process.
struct Process {
    cluster: Option<ClusterId>,
    deployment: Option<DeploymentId>,
    state_dir: PathBuf,
    key_ring_file: PathBuf,
    threads: usize,
    trusted_proxies: Vec<IpNet>,
    keys: KeyRules,
}

impl Reading<'_> {
    fn config(&mut self, root: &Node) -> Option<Config> {
        let section = self.section(&Found::root(root), KEYS)?;
        let process = self.process(&section);
        let pki = process.state_dir.join(PKI_DIR);
        let given = Given::at_the_top(&pki);
        let (engine_place, engine) = self.engine(section.get("engine"), given);
        let mut listeners = self.all_listeners(&section, &process.trusted_proxies);
        let limits = self.limits(section.get("limits"), &listeners.valid);
        let ops = self.ops(section.get("ops"), &mut listeners);
        let logs = self.logs(section.get("logs"), &process.state_dir);
        let collector = section.get("collector");
        let collector = collector.and_then(|found| self.collector(found, engine_place));
        let signs_in = section.get("authentication");
        let ways_in = self.ways_in(signs_in);
        let session = self.session(section.get("session"));
        let common = self.common_rules(&section);
        let pools = self.pools(section.get("pools"));
        let declared = Declared {
            compression: None,
            error_pages: None,
            listeners: &listeners,
            policies: &common.policies,
            pools: &pools,
            body_bytes_max: limits.body_bytes_max,
            upstreams: &common.upstreams,
            level: signs_in.map(|_| ways_in.level),
            collector: section.get("collector").map(|_| collector.as_ref()),
            engine: engine_place,
            session: (engine_place == EnginePlace::Embedded).then_some(&session),
            preset_headers: &common.preset_headers,
        };
        let at = self.required(&section, "virtual_hosts").cloned();
        let virtual_hosts = at.map(|at| self.virtual_hosts(&at, &declared, common.redirects));
        self.check_tls(&section, &listeners);
        let site = Site {
            cluster: process.cluster.as_ref(),
            session: &session,
            collector: collector.as_ref(),
            virtual_hosts: virtual_hosts.as_deref().unwrap_or_default(),
            listeners: &listeners,
            given,
        };
        let mdc = self.several(&section, engine_place, &site);
        self.check_used(&section, site.virtual_hosts, &common.policies);

        Some(Config {
            sha256: String::new(),
            cluster: process.cluster?,
            deployment: process.deployment?,
            state_dir: process.state_dir,
            key_ring_file: process.key_ring_file,
            threads: process.threads,
            trusted_proxies: process.trusted_proxies,
            listeners: listeners.valid,
            collector,
            branding: self.branding(section.get("branding")),
            session,
            keys: process.keys,
            engine: engine?,
            mdc: mdc?,
            authentication: ways_in.passwords,
            providers: ways_in.providers,
            identity_headers: common.identity_headers,
            preset_headers: common.preset_headers,
            limits,
            names: self.dns(section.get("dns")),
            pools: pools.valid,
            virtual_hosts: virtual_hosts?,
            ops,
            logs,
            warnings: Warnings::default(),
        })
    }

    fn all_listeners(&mut self, section: &Section<'_>, trusted: &[IpNet]) -> Listeners {
        let found = self.required(section, "listeners").cloned();
        found
            .map(|found| self.listeners(&found, trusted))
            .unwrap_or_default()
    }

    /// Signing in takes a listener with TLS.
    fn check_tls(&mut self, section: &Section<'_>, listeners: &Listeners) {
        if let Some(found) = section.get("collector")
            && !listeners.offers_tls()
        {
            self.fault_at_key(found, Problem::NeedsTlsListener);
        }
    }

    fn process(&mut self, section: &Section<'_>) -> Process {
        let cluster = match section.get("cluster_id") {
            Some(found) => self.name(found, "a cluster id", ClusterId::parse),
            None => ClusterId::parse(CLUSTER_DEFAULT).ok(),
        };
        let deployment = match section.get("deployment") {
            Some(found) => self.name(found, "a deployment id", DeploymentId::parse),
            None => DeploymentId::parse(DEPLOYMENT_DEFAULT).ok(),
        };
        let state_dir = self.surroundings.folder.join(STATE_DIR_DEFAULT);
        let state_dir = self.or(section, "state_dir", state_dir, Self::path);
        let key_ring_file = state_dir.join(KEY_RING_DEFAULT);
        let threads = self.surroundings.threads;
        Process {
            cluster,
            deployment,
            key_ring_file: self.or(section, "key_ring_file", key_ring_file, Self::path),
            state_dir,
            threads: self.or(section, "threads", threads, |this, found| {
                this.count(found, 1..=1024)
            }),
            trusted_proxies: self.or(section, "trusted_proxies", Vec::new(), Self::proxies),
            keys: self.keys(section.get("keys")),
        }
    }

    /// `mdc`, where it may stand. The outer `None` is a fault.
    fn several(
        &mut self,
        section: &Section<'_>,
        engine: EnginePlace,
        site: &Site<'_>,
    ) -> Option<Option<Mdc>> {
        match (section.get("mdc"), engine) {
            (_, EnginePlace::Remote) => {
                self.check_gate_only(section);
                Some(None)
            }
            (Some(found), EnginePlace::Embedded | EnginePlace::Unknown) => {
                self.mdc(found, site).map(Some)
            }
            (None, _) => Some(None),
        }
    }
}

const KEYS: &[&str] = &[
    "authentication",
    "branding",
    "cluster_id",
    "collector",
    "deployment",
    "dns",
    "engine",
    "forwarded_headers",
    "identity_headers",
    "include",
    "key_ring_file",
    "keys",
    "limits",
    "listeners",
    "logs",
    "mdc",
    "ops",
    "policies",
    "pools",
    "session",
    "state_dir",
    "threads",
    "trusted_proxies",
    "virtual_hosts",
];

const CLUSTER_DEFAULT: &str = "local";
const DEPLOYMENT_DEFAULT: &str = "main";
pub(super) const STATE_DIR_DEFAULT: &str = "state";
const KEY_RING_DEFAULT: &str = "key-ring.json";
/// Below the state directory; `portway pki` knows it too.
const PKI_DIR: &str = "pki";
/// Most bytes of the configuration and of every file that it names, but for revocation lists.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most bytes of a file of revocation lists: a million entries or so.
pub const LISTS_BYTES_MAX: u64 = 64 << 20;
