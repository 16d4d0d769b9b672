//! Asking name servers for the addresses of a name, both families side by side.
//!
//! Names that are not whole are completed as `resolv.conf` says. A server's silence is never taken for the
//! word that there is nothing.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::config::ResolverOpts;
use hickory_resolver::net::DnsError;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::system_conf::read_system_conf;

use crate::config::names::Families;
use crate::dns::addresses;
use crate::dns::record_types;
use crate::ports::resolver::Family;

/// Name servers, and how names are completed for them.
pub(super) struct Servers {
    pub(super) client: TokioResolver,
    /// Domains in which names are looked for that are not whole.
    search: Vec<Name>,
    /// A name with fewer dots is looked for in those first.
    dots: usize,
}

/// What servers say about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its addresses, at least one, in order.
    pub(super) addresses: Vec<IpAddr>,
    /// The shortest lifetime of the records.
    pub(super) valid_for: Duration,
    /// The family that there was no answer about.
    pub(super) unknown: Option<Family>,
}

/// Why a name has no addresses.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("the name server knows no such name")]
    NoName(Option<Duration>),
    #[error("the name has no addresses")]
    NoAddresses(Option<Duration>),
    #[error("the name server knows no such service")]
    NoService(Option<Duration>),
    #[error("the name server answers {0}")]
    Refused(ResponseCode),
    #[error("no name server answers")]
    Silent(#[source] NetError),
    #[error("no name server answers about all addresses of a host")]
    Half,
    #[error("the name cannot be asked for")]
    Name(#[source] hickory_resolver::proto::ProtoError),
    #[error("the configuration of the resolver cannot be used")]
    Settings(#[source] NetError),
}

impl AskError {
    /// How long this answer holds; none where it is no answer, or says nothing of it.
    pub(super) fn valid_for(&self) -> Option<Duration> {
        match self {
            Self::NoName(holds) | Self::NoAddresses(holds) | Self::NoService(holds) => *holds,
            Self::Refused(_) | Self::Silent(_) | Self::Half | Self::Name(_) | Self::Settings(_) => {
                None
            }
        }
    }

    const fn is_an_answer(&self) -> bool {
        match self {
            Self::NoName(_) | Self::NoAddresses(_) | Self::NoService(_) | Self::Refused(_) => true,
            Self::Silent(_) | Self::Half | Self::Name(_) | Self::Settings(_) => false,
        }
    }
}

impl Servers {
    /// The servers that `resolv.conf` names.
    ///
    /// # Errors
    /// When there is none that can be read, or it names no server.
    pub(super) fn of_system() -> Result<Self, AskError> {
        let (config, options) = read_system_conf().map_err(AskError::Settings)?;
        let mut search = config.search().to_vec();
        if search.is_empty() {
            search.extend(config.domain().cloned());
        }
        let dots = options.ndots;
        Self::new(config, options, (search, dots))
    }

    /// These servers, which are asked for names as they are written.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub(super) fn these(servers: &[SocketAddr]) -> Result<Self, AskError> {
        let servers = servers.iter().map(|at| {
            let ways = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            let ways = ways.map(|mut way| {
                way.port = at.port();
                way
            });
            NameServerConfig::new(at.ip(), true, ways.into())
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        let mut options = ResolverOpts::default();
        options.timeout = ANSWER_WITHIN;
        Self::new(config, options, (Vec::new(), 1))
    }

    fn new(
        config: ResolverConfig,
        mut options: ResolverOpts,
        (search, dots): (Vec<Name>, usize),
    ) -> Result<Self, AskError> {
        // Whoever asks keeps answers for their lifetime; a second cache would stretch it.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let provider = TokioRuntimeProvider::default();
        let builder = TokioResolver::builder_with_config(config, provider).with_options(options);
        Ok(Self {
            client: builder.build().map_err(AskError::Settings)?,
            search,
            dots,
        })
    }

    /// Asks for the addresses of a name.
    ///
    /// # Errors
    /// See [`AskError`]. A name that a server refuses to speak about is looked for in the next domain, as
    /// the C library does; servers that are silent end the search, so that a name is not found in another
    /// place than usual because of them.
    pub(super) async fn ask(&self, name: &str, families: Families) -> Result<Answer, AskError> {
        let asked = move |candidate: Name| async move { self.ask_for(&candidate, families).await };
        self.first_answer(name, asked).await
    }

    /// The first answer about one of the names that a name may stand for.
    pub(super) async fn first_answer<T, Asked>(
        &self,
        name: &str,
        ask: impl Fn(Name) -> Asked,
    ) -> Result<T, AskError>
    where
        Asked: Future<Output = Result<T, AskError>>,
    {
        let mut refused = None;
        let mut last = None;
        for candidate in self.candidates(name)? {
            match ask(candidate).await {
                Ok(answer) => return Ok(answer),
                Err(error) if !error.is_an_answer() => return Err(error),
                Err(error @ AskError::Refused(_)) => refused = refused.or(Some(error)),
                Err(error) => last = Some(error),
            }
        }
        Err(refused.or(last).unwrap_or(AskError::NoName(None)))
    }

    /// The whole names that a name may stand for, in the order in which they are asked for.
    fn candidates(&self, name: &str) -> Result<Vec<Name>, AskError> {
        let name = Name::from_utf8(name).map_err(AskError::Name)?;
        let mut whole = name.clone();
        whole.set_fqdn(true);
        if name.is_fqdn() {
            return Ok(vec![whole]);
        }
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let completed = self.search.iter();
        let completed = completed.filter_map(|domain| name.clone().append_domain(domain).ok());
        let mut candidates: Vec<Name> = completed.collect();
        let at = if dots >= self.dots {
            0
        } else {
            candidates.len()
        };
        candidates.insert(at, whole);
        Ok(candidates)
    }

    pub(super) async fn ask_for(
        &self,
        name: &Name,
        families: Families,
    ) -> Result<Answer, AskError> {
        let questions = record_types(families)
            .map(|(kind, family)| async move { (family, self.records(name, kind).await) });
        together(join_all(questions).await)
    }

    async fn records(&self, name: &Name, kind: RecordType) -> Result<Records, AskError> {
        let lookup = self.client.lookup(name.clone(), kind).await;
        let lookup = lookup.map_err(sorted)?;
        let addresses: Vec<IpAddr> = addresses(lookup.answers()).collect();
        // Aliases on the way have lifetimes too.
        let lifetime = lookup.answers().iter().map(|record| record.ttl).min();
        let valid_for = Duration::from_secs(lifetime.unwrap_or_default().into());
        if addresses.is_empty() {
            return Err(AskError::NoAddresses(None));
        }
        Ok((addresses, valid_for))
    }
}

/// Addresses of one family, and how long they hold.
type Records = (Vec<IpAddr>, Duration);

/// Puts the answers about both families together. That there are none takes the word of a server for each.
fn together(answers: Vec<(Family, Result<Records, AskError>)>) -> Result<Answer, AskError> {
    let mut found: Option<Answer> = None;
    let mut unknown = None;
    let mut nothing = None;
    let mut failed = None;
    for (family, answer) in answers {
        match answer {
            Ok((addresses, valid_for)) => {
                let both = found.get_or_insert(Answer {
                    addresses: Vec::new(),
                    valid_for,
                    unknown: None,
                });
                both.addresses.extend(addresses);
                both.valid_for = both.valid_for.min(valid_for);
            }
            // This holds for both families.
            Err(error @ AskError::NoName(_)) => nothing = Some(error),
            Err(error @ AskError::NoAddresses(_)) => nothing = nothing.or(Some(error)),
            Err(error) => {
                unknown = Some(family);
                failed = Some(error);
            }
        }
    }
    match (found, nothing) {
        (Some(mut found), _) => {
            found.addresses.sort_unstable();
            found.addresses.dedup();
            found.unknown = unknown;
            Ok(found)
        }
        (None, Some(nothing @ AskError::NoName(_))) => Err(nothing),
        (None, nothing) => Err(failed.or(nothing).unwrap_or(AskError::NoAddresses(None))),
    }
}

/// Tells what a server has said from what nobody has.
pub(super) fn sorted(error: NetError) -> AskError {
    if let NetError::Dns(DnsError::ResponseCode(code)) = error {
        return AskError::Refused(code);
    }
    let NetError::Dns(DnsError::NoRecordsFound(nothing)) = error else {
        return AskError::Silent(error);
    };
    let seconds = nothing.negative_ttl;
    let holds = seconds.map(|seconds| Duration::from_secs(seconds.into()));
    if nothing.response_code == ResponseCode::NXDomain {
        AskError::NoName(holds)
    } else if nothing.response_code == ResponseCode::NoError {
        AskError::NoAddresses(holds)
    } else {
        AskError::Refused(nothing.response_code)
    }
}

/// How long a server may take that the configuration names; `resolv.conf` has a word of its own.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
