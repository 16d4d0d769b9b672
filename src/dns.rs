//! The resolver: host names to addresses, by the hosts file and by name servers.
//!
//! Answers are not kept here; whoever asks keeps them for as long as they hold. How servers are asked is
//! `servers`'.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::Hosts;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::RecordType;
use parking_lot::Mutex;

use self::servers::Answer;
use self::servers::AskError;
use self::servers::Servers;
use crate::config::names::Families;
use crate::config::names::NameRules;
use crate::ports::resolver::Family;
use crate::ports::resolver::Offered;
use crate::ports::resolver::ResolveError;
use crate::ports::resolver::Resolved;
use crate::ports::resolver::Resolver;

mod servers;
mod services;

/// Resolves names with the hosts file and with name servers: the configured ones, or those of the system.
///
/// Literal addresses are answered without asking anyone, so a gateway whose upstreams are all literal needs
/// no name server at all.
pub struct HickoryResolver {
    inner: Mutex<Inner>,
}

struct Inner {
    rules: Arc<NameRules>,
    asked: Option<Asked>,
}

/// The servers that are asked, for as long as what names them stays as it was.
struct Asked {
    named_by: NamedBy,
    servers: Arc<Servers>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    Rules,
    /// `resolv.conf`, as it was when it was read.
    System(Option<Stamp>),
}

/// What a file is told by to have changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    written: (i64, i64),
}

impl HickoryResolver {
    /// Asks nobody yet; the system's configuration and hosts file are read when a name is asked for, and
    /// again when they have changed.
    #[must_use]
    pub fn new(rules: NameRules) -> Self {
        Self {
            inner: Mutex::new(Inner {
                rules: Arc::new(rules),
                asked: None,
            }),
        }
    }

    /// Goes by these rules from now on; tells whether they are others than before.
    pub fn retune(&self, rules: &NameRules) -> bool {
        let mut inner = self.inner.lock();
        let are_others = *inner.rules != *rules;
        if are_others {
            inner.rules = Arc::new(rules.clone());
            inner.asked = None;
        }
        are_others
    }

    fn rules(&self) -> Arc<NameRules> {
        Arc::clone(&self.inner.lock().rules)
    }

    /// The servers to ask now.
    fn servers(&self) -> Result<Arc<Servers>, AskError> {
        let mut inner = self.inner.lock();
        let named_by = if inner.rules.servers.is_empty() {
            NamedBy::System(Stamp::of_file(RESOLV_CONF))
        } else {
            NamedBy::Rules
        };
        if let Some(asked) = inner.asked.as_ref().filter(|at| at.named_by == named_by) {
            return Ok(Arc::clone(&asked.servers));
        }
        let servers = match named_by {
            NamedBy::Rules => Servers::these(&inner.rules.servers),
            NamedBy::System(_) => Servers::of_system(),
        };
        let servers = Arc::new(servers?);
        inner.asked = Some(Asked {
            named_by,
            servers: Arc::clone(&servers),
        });
        Ok(servers)
    }

    async fn ask(&self, name: &str, rules: &NameRules) -> Result<Answer, AskError> {
        self.servers()?.ask(name, rules.families).await
    }
}

impl Stamp {
    fn of_file(path: &str) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            size: metadata.size(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl std::fmt::Debug for HickoryResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HickoryResolver")
            .field("rules", &self.rules())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Resolver for HickoryResolver {
    async fn resolve(&self, name: &str) -> Result<Resolved, ResolveError> {
        let rules = self.rules();
        if let Some(address) = literal(name) {
            return Ok(Resolved {
                addresses: vec![address],
                valid_for: rules.ttl_max,
                unknown: None,
            });
        }
        if let Some(addresses) = from_hosts_file(name, rules.families) {
            return Ok(Resolved {
                addresses,
                valid_for: HOSTS_VALID_FOR.clamp(rules.ttl_min, rules.ttl_max),
                unknown: None,
            });
        }
        match self.ask(name, &rules).await {
            Ok(answer) => Ok(Resolved {
                addresses: answer.addresses,
                valid_for: answer.valid_for.clamp(rules.ttl_min, rules.ttl_max),
                unknown: answer.unknown,
            }),
            Err(error) => Err(unresolved(name, error, &rules)),
        }
    }

    async fn offered(&self, service: &str) -> Result<Offered, ResolveError> {
        let rules = self.rules();
        let asked = async { self.servers()?.offered(service, rules.families).await };
        let mut offered = asked
            .await
            .map_err(|error| unresolved(service, error, &rules))?;
        offered.valid_for = offered.valid_for.clamp(rules.ttl_min, rules.ttl_max);
        Ok(offered)
    }
}

fn unresolved(name: &str, error: AskError, rules: &NameRules) -> ResolveError {
    ResolveError {
        name: name.to_owned(),
        ask_again: ask_again(&error, rules),
        source: Box::new(error),
    }
}

/// When another answer may be expected: a server says how long there is none; servers that do not answer are
/// asked again soon.
fn ask_again(error: &AskError, rules: &NameRules) -> Duration {
    let longest = NOTHING_VALID_FOR.min(rules.ttl_max);
    let holds = error.valid_for().unwrap_or(FAILED_ASK_AGAIN);
    holds.clamp(rules.ttl_min.min(longest), longest)
}

fn literal(name: &str) -> Option<IpAddr> {
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(name).parse().ok()
}

/// The addresses that the hosts file gives a name; like the C library, it then asks nobody else.
fn from_hosts_file(name: &str, families: Families) -> Option<Vec<IpAddr>> {
    let name = Name::from_utf8(name).ok()?;
    let hosts = Hosts::from_system().ok()?;
    let mut addresses: Vec<IpAddr> = record_types(families)
        .filter_map(|(kind, _)| hosts.lookup_static_host(&Query::query(name.clone(), kind)))
        .flat_map(|lookup| addresses(lookup.answers()).collect::<Vec<_>>())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    (!addresses.is_empty()).then_some(addresses)
}

fn record_types(families: Families) -> impl Iterator<Item = (RecordType, Family)> {
    let v4 = (families != Families::V6).then_some((RecordType::A, Family::V4));
    let v6 = (families != Families::V4).then_some((RecordType::AAAA, Family::V6));
    v4.into_iter().chain(v6)
}

fn addresses(records: &[Record]) -> impl Iterator<Item = IpAddr> {
    records.iter().filter_map(|record| record.data.ip_addr())
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// An edit of the hosts file is noticed within this time.
const HOSTS_VALID_FOR: Duration = Duration::from_secs(30);
/// A name that was missing is found within this time, however long its servers meant it to be missing.
const NOTHING_VALID_FOR: Duration = Duration::from_secs(30);
/// Until servers are asked again that gave no answer.
const FAILED_ASK_AGAIN: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
