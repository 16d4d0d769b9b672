//! The resolver: host names to addresses through `/etc/hosts` and the name servers of the system.
//!
//! Answers are not kept here; whoever asks keeps them for as long as they hold.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::Hosts;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::RecordType;

use crate::ports::resolver::ResolveError;
use crate::ports::resolver::Resolved;
use crate::ports::resolver::Resolver;

/// Resolves names with the hosts file and the name servers that the system is configured with.
///
/// Literal addresses are answered without asking anyone, so a gateway whose upstreams are all
/// literal needs no name server at all.
pub struct HickoryResolver {
    /// A system without a usable `resolv.conf` is an answer per name, not a refusal to start.
    servers: Result<TokioResolver, NetError>,
}

impl HickoryResolver {
    /// Reads the system's configuration once; the hosts file is read anew for every question.
    #[must_use]
    pub fn from_system() -> Self {
        let servers = TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            // The caller keeps answers for their lifetime; a second cache would stretch it.
            options.cache_size = 0;
            options.use_hosts_file = ResolveHosts::Never;
            builder.build()
        });
        Self { servers }
    }

    async fn ask(&self, name: &str) -> Result<Resolved, NetError> {
        let servers = self.servers.as_ref().map_err(NetError::clone)?;
        let answer = servers.lookup_ip(name).await?;
        let lifetime = answer
            .as_lookup()
            .answers()
            .iter()
            .map(|record| record.ttl)
            .min();
        let lifetime = Duration::from_secs(lifetime.unwrap_or_default().into());
        Ok(Resolved {
            addresses: answer.iter().collect(),
            valid_for: lifetime.clamp(VALID_FOR_MIN, VALID_FOR_MAX),
        })
    }
}

impl std::fmt::Debug for HickoryResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HickoryResolver").finish_non_exhaustive()
    }
}

#[async_trait]
impl Resolver for HickoryResolver {
    async fn resolve(&self, name: &str) -> Result<Resolved, ResolveError> {
        if let Some(address) = literal(name) {
            return Ok(Resolved {
                addresses: vec![address],
                valid_for: VALID_FOR_MAX,
            });
        }
        if let Some(addresses) = from_hosts_file(name) {
            return Ok(Resolved {
                addresses,
                valid_for: HOSTS_VALID_FOR,
            });
        }
        self.ask(name).await.map_err(|error| ResolveError {
            name: name.to_owned(),
            source: Box::new(error),
        })
    }
}

/// Keeps a lifetime of zero from becoming a question per request.
const VALID_FOR_MIN: Duration = Duration::from_secs(1);
/// Keeps a forgotten lifetime of days from outliving a move of the upstream.
const VALID_FOR_MAX: Duration = Duration::from_secs(3600);
/// An edit of the hosts file is noticed within this time.
const HOSTS_VALID_FOR: Duration = Duration::from_secs(30);

fn literal(name: &str) -> Option<IpAddr> {
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(name).parse().ok()
}

/// The addresses that the hosts file gives a name; like the C library, it then asks nobody else.
fn from_hosts_file(name: &str) -> Option<Vec<IpAddr>> {
    let name = Name::from_utf8(name).ok()?;
    let hosts = Hosts::from_system().ok()?;
    let addresses: Vec<IpAddr> = [RecordType::A, RecordType::AAAA]
        .into_iter()
        .filter_map(|kind| hosts.lookup_static_host(&Query::query(name.clone(), kind)))
        .flat_map(|lookup| {
            lookup
                .answers()
                .iter()
                .filter_map(address)
                .collect::<Vec<_>>()
        })
        .collect();
    (!addresses.is_empty()).then_some(addresses)
}

fn address(record: &Record) -> Option<IpAddr> {
    record.data.ip_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_literal_address_is_answered_without_asking() {
        let resolver = HickoryResolver {
            servers: Err(NetError::Timeout),
        };
        for (name, address) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[::1]", "::1"),
        ] {
            let resolved = resolver.resolve(name).await.unwrap();
            assert_eq!(resolved.addresses, [address.parse::<IpAddr>().unwrap()]);
            assert_eq!(resolved.valid_for, VALID_FOR_MAX);
        }
    }

    #[test]
    fn localhost_is_a_loopback_address_and_the_resolver_is_made_before_any_runtime() {
        let resolver = HickoryResolver::from_system();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let resolved = runtime.block_on(resolver.resolve("localhost")).unwrap();
        assert!(!resolved.addresses.is_empty());
        assert!(resolved.addresses.iter().all(IpAddr::is_loopback));
        assert!(resolved.valid_for >= VALID_FOR_MIN);
    }

    #[tokio::test]
    async fn an_unresolved_name_is_named_in_the_error() {
        let resolver = HickoryResolver {
            servers: Err(NetError::Timeout),
        };
        let error = resolver.resolve("upstream.invalid").await.unwrap_err();
        assert_eq!(error.name, "upstream.invalid");
    }
}
