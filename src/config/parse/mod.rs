//! Text → `Config`, with every fault of the file in one run. Pure: files and variables are asked for
//! through `Surroundings`.
//!
//! `reading` walks, `scalar` reads single values, and one file per section knows its keys, defaults
//! and rules. Key names are written here and nowhere else.

use std::path::Path;

use crate::config::Config;
use crate::config::diagnostic::Fault;
use crate::config::diagnostic::Faults;
use crate::config::problem::Problem;
use crate::config::problem::ReadFileError;
use crate::config::raw::Misread;
use crate::config::raw::Node;
use crate::config::raw::read_tree;
use crate::model::name::ClusterId;
use crate::model::name::DeploymentId;

use host::Declared;
use reading::Found;
use reading::Reading;

pub mod expand;
mod health;
mod host;
mod listener;
mod nearest;
mod policy;
mod pool;
pub mod quantity;
mod reading;
mod route;
mod scalar;
mod settings;

/// What a configuration may ask of the world around its text.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The folder that relative paths start from.
    pub folder: &'a Path,
    /// The value of a variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The bytes of a file.
    pub read: &'a dyn Fn(&Path) -> Result<Vec<u8>, ReadFileError>,
    /// How many threads the edge gets when the file does not say.
    pub threads: usize,
}

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
    let root = read_tree(text).map_err(|misread| Faults::one(file, text, of_misread(misread)))?;
    let mut reading = Reading::new(surroundings);
    let config = reading.config(&root);
    match (Faults::collect(file, text, reading.faults), config) {
        (Some(faults), _) => Err(faults),
        (None, Some(config)) => Ok(config),
        (None, None) => {
            let fault = Fault {
                at: None,
                path: String::new(),
                problem: Problem::Incomplete,
            };
            Err(Faults::one(file, text, fault))
        }
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

impl Reading<'_> {
    fn config(&mut self, root: &Node) -> Option<Config> {
        let section = self.section(&Found::root(root), KEYS)?;
        let cluster = match section.get("cluster_id") {
            Some(found) => self.name(found, "a cluster id", ClusterId::parse),
            None => ClusterId::parse(CLUSTER_DEFAULT).ok(),
        };
        let deployment = match section.get("deployment") {
            Some(found) => self.name(found, "a deployment id", DeploymentId::parse),
            None => DeploymentId::parse(DEPLOYMENT_DEFAULT).ok(),
        };
        let state_dir = self.surroundings.folder.join(STATE_DIR_DEFAULT);
        let state_dir = self.or(&section, "state_dir", state_dir, Self::path);
        let threads = self.surroundings.threads;
        let threads = self.or(&section, "threads", threads, |this, found| {
            this.count(found, 1..=1024)
        });
        let trusted_proxies = self.or(&section, "trusted_proxies", Vec::new(), |this, found| {
            let items = this.list(found)?;
            this.each(&items, Self::network)
        });

        let limits = self.limits(section.get("limits"));
        let listeners = self.required(&section, "listeners").cloned();
        let listeners = listeners
            .map(|found| self.listeners(&found))
            .unwrap_or_default();
        let collector = section
            .get("collector")
            .and_then(|found| self.collector(found));
        let authentication = section
            .get("authentication")
            .and_then(|found| self.authentication(found));
        let session = self.session(section.get("session"));
        let identity_headers = self.identity_headers(section.get("identity_headers"));
        let policies = self.policies(section.get("policies"));
        let pools = self.pools(section.get("pools"));
        let declared = Declared {
            listeners: &listeners,
            policies: &policies,
            pools: &pools,
            body_bytes_max: limits.body_bytes_max,
            authentication: section
                .get("authentication")
                .map(|_| authentication.as_ref()),
            collector: section.get("collector").map(|_| collector.as_ref()),
        };
        let hosts = self.required(&section, "virtual_hosts").cloned();
        let virtual_hosts = hosts.map(|found| self.virtual_hosts(&found, &declared));
        if let Some(found) = section.get("collector")
            && !listeners.offers_tls()
        {
            self.fault_at_key(found, Problem::NeedsTlsListener);
        }

        Some(Config {
            cluster: cluster?,
            deployment: deployment?,
            state_dir,
            threads,
            trusted_proxies,
            listeners: listeners.valid,
            collector,
            session,
            authentication,
            identity_headers,
            limits,
            pools: pools.valid,
            virtual_hosts: virtual_hosts?,
        })
    }
}

const KEYS: &[&str] = &[
    "authentication",
    "cluster_id",
    "collector",
    "deployment",
    "identity_headers",
    "limits",
    "listeners",
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
const STATE_DIR_DEFAULT: &str = "state";
