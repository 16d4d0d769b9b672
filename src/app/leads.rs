//! Where the names of virtual hosts and of the collector lead (W-32).
//!
//! Looked up when somebody wants it told, and never while a gateway runs: it serves its names wherever they lead.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::UdpSocket;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::app::verify::chain_of;
use crate::config::Bind;
use crate::config::Config;
use crate::config::mdc::CollectorPlace;
use crate::config::names::Families;
use crate::decision::routing::HostPattern;
use crate::dns::HickoryResolver;
use crate::ports::resolver::Resolver;

/// Where names lead, and what is odd about it.
#[derive(Debug, Default)]
pub(crate) struct Leads {
    /// Each name and where it leads, in a line.
    pub(crate) lines: Vec<String>,
    /// Names that lead nowhere, or to others than this machine.
    pub(crate) doubts: Vec<String>,
}

/// Who is to serve what a name leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    ThisNode,
    OtherNodes,
}

/// Looks up all names, within seconds for each [`NAMES_AT_ONCE`] of them.
pub(crate) fn leads(config: &Config) -> Leads {
    let mut leads = Leads::default();
    let names = names(config);
    let mut rules = config.names.clone();
    // Which families pools use is nothing to those who come.
    rules.families = Families::Both;
    let resolver = HickoryResolver::new(rules);
    let runtime = Builder::new_current_thread().enable_all().build();
    let found = match runtime {
        Ok(runtime) => runtime.block_on(all(&resolver, &names)),
        Err(error) => {
            leads.doubts.push(format!("no name is looked up: {error}"));
            return leads;
        }
    };
    for ((name, server), addresses) in names.iter().zip(found) {
        match addresses {
            Ok(addresses) => leads.tell(name, *server, &own(&addresses, config)),
            Err(why) => {
                leads.lines.push(format!("{name} leads nowhere"));
                leads
                    .doubts
                    .push(format!("the name {name} leads nowhere: {why}"));
            }
        }
    }
    leads
}

impl Leads {
    fn tell(&mut self, name: &str, server: Server, addresses: &[(IpAddr, Whose)]) {
        let shown: Vec<String> = addresses
            .iter()
            .map(|(address, whose)| match whose {
                Whose::ThisMachine => format!("{address} (this machine)"),
                Whose::Another => address.to_string(),
            })
            .collect();
        let shown = shown.join(", ");
        self.lines.push(format!("{name} leads to {shown}"));
        let is_here = addresses
            .iter()
            .any(|(_, whose)| *whose == Whose::ThisMachine);
        if !is_here && server == Server::ThisNode {
            self.doubts.push(format!(
                "the name {name} leads to {shown}, which is not this machine; it has to be a balancer in front of it"
            ));
        }
    }
}

/// Every name, but for wildcards, which are no names.
fn names(config: &Config) -> BTreeMap<String, Server> {
    let hosts = config.virtual_hosts.iter().flat_map(|host| &host.hosts);
    let exact = hosts.filter_map(|host| match host {
        HostPattern::Exact(name) => Some((name.to_string(), Server::ThisNode)),
        HostPattern::Wildcard(_) => None,
    });
    let collector = config.collector.iter().map(|collector| {
        let server = match collector.place {
            CollectorPlace::Here => Server::ThisNode,
            CollectorPlace::Elsewhere => Server::OtherNodes,
        };
        (collector.host.to_string(), server)
    });
    exact.chain(collector).collect()
}

/// The addresses of each name, or why it has none.
async fn all(
    resolver: &HickoryResolver,
    names: &BTreeMap<String, Server>,
) -> Vec<Result<Vec<IpAddr>, String>> {
    let names: Vec<&str> = names.keys().map(String::as_str).collect();
    let mut found = Vec::new();
    for some in names.chunks(NAMES_AT_ONCE) {
        found.extend(join_all(some.iter().map(|name| one(resolver, name))).await);
    }
    found
}

async fn one(resolver: &HickoryResolver, name: &str) -> Result<Vec<IpAddr>, String> {
    // Browsers ask nobody for these (RFC 6761 §6.3).
    let name = if name.ends_with(".localhost") {
        "localhost"
    } else {
        name
    };
    match timeout(ANSWER_WITHIN, resolver.resolve(name)).await {
        Ok(Ok(resolved)) => Ok(resolved.addresses),
        Ok(Err(error)) => Err(chain_of(&*error.source)),
        Err(_) => Err("no name server answers in time".to_owned()),
    }
}

/// Whose an address is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Another,
    ThisMachine,
}

/// Which of the addresses are this machine's: those that it could listen at, or is told to. Nothing is sent.
fn own(addresses: &[IpAddr], config: &Config) -> Vec<(IpAddr, Whose)> {
    let mut listeners = Vec::new();
    for listener in &config.listeners {
        if let Bind::Tcp(at) = &listener.bind {
            listeners.push(at.ip());
        }
    }
    let whose = |address: &IpAddr| {
        let is_own = listeners.contains(address) || UdpSocket::bind((*address, 0)).is_ok();
        let whose = if is_own {
            Whose::ThisMachine
        } else {
            Whose::Another
        };
        (*address, whose)
    };
    addresses.iter().map(whose).collect()
}

/// Names that are looked up side by side.
const NAMES_AT_ONCE: usize = 64;
/// How long each may take, with what is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
