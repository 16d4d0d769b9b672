//! `pools`: upstreams in two tiers, how one is chosen.
//!
//! `health` reads health checks and time-outs. Names of hosts are not resolved here; that is the
//! resolver's, every time to live anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Http2Terms;
use crate::config::Pool;
use crate::config::Timeouts;
use crate::config::Upstream;
use crate::config::UpstreamTls;
use crate::config::Verify;
use crate::config::parse::listener::CERTIFICATE_KEYS;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::scalar::short;
use crate::config::problem::Problem;
use crate::decision::proxy_header::HeaderVersion;
use crate::decision::upstream::Balance;
use crate::decision::upstream::BudgetTerms;
use crate::decision::upstream::HashOf;
use crate::model::name::HostName;
use crate::model::name::PoolName;

/// The pools of a file: the valid ones, and the names of all.
pub(super) struct Pools {
    pub(super) valid: BTreeMap<PoolName, Arc<Pool>>,
    pub(super) names: Vec<String>,
}

impl Reading<'_> {
    pub(super) fn pools(&mut self, found: Option<&Found<'_>>) -> Pools {
        let mut pools = Pools {
            valid: BTreeMap::new(),
            names: Vec::new(),
        };
        let Some(section) = found.and_then(|found| self.map(found)) else {
            return pools;
        };
        for (name, found) in section.entries() {
            pools.names.push((*name).to_owned());
            let pool = self.pool(name, found);
            pools
                .valid
                .extend(pool.map(|pool| (pool.name.clone(), Arc::new(pool))));
        }
        pools
    }

    fn pool(&mut self, name: &str, found: &Found<'_>) -> Option<Pool> {
        let name = PoolName::parse(name).map_err(|error| {
            let problem = Problem::Name {
                text: short(name),
                what: "the name of a pool",
                error,
            };
            self.fault_at_key(found, problem);
        });
        let section = self.section(found, KEYS)?;
        let protocol = self.protocol(&section);
        let balance = self.or(&section, "balance", Balance::RoundRobin, Self::balance);
        let (primary, secondary) = self.pool_tiers(&section);
        // A name may have any number of addresses, each of which counts.
        let literal = primary
            .as_ref()
            .filter(|tier| !tier.iter().any(Upstream::is_name));
        let failover_threshold = self.failover_threshold(&section, literal.map(Vec::len));
        let max_fails = self.or(&section, "max_fails", 1, |this, found| {
            this.number(found, 0..=1000)
        });
        let fail_timeout = self.or(&section, "fail_timeout", FAIL_TIMEOUT, Self::duration);
        let outliers = section.get("outliers").map(|found| self.outliers(found));
        let slow_start = self.or(&section, "slow_start", None, Self::span_or_none);
        let health_check = section
            .get("health_check")
            .map(|found| self.health_check(found, tls_of(protocol.as_ref())));
        let timeouts = self.or(&section, "timeouts", TIMEOUTS, |this, found| {
            this.timeouts(found, TIMEOUTS)
        });
        let connect_retries = self.or(&section, "connect_retries", 3, |this, found| {
            this.number(found, 0..=100)
        });
        let retry_budget = self.or(&section, "retry_budget", BUDGET, Self::retry_budget);
        let (tls, http2) = protocol?;
        let proxy_protocol = self.announced(&section, http2);
        Some(Pool {
            name: name.ok()?,
            tls,
            http2,
            proxy_protocol,
            balance,
            primary: primary?,
            secondary: secondary?,
            failover_threshold,
            max_fails,
            fail_timeout,
            outliers: outliers.map_or(Some(None), |terms| terms.map(Some))?,
            slow_start,
            health_check: health_check.map_or(Some(None), |check| check.map(Some))?,
            timeouts,
            connect_retries,
            retry_budget,
        })
    }

    fn retry_budget(&mut self, found: &Found<'_>) -> Option<BudgetTerms> {
        let section = self.section(found, BUDGET_KEYS)?;
        Some(BudgetTerms {
            percent: self.or(&section, "percent", BUDGET.percent, |this, found| {
                this.number(found, 0..=100)
            }),
            per_second_min: self.or(
                &section,
                "per_second_min",
                BUDGET.per_second_min,
                |this, found| this.number(found, 0..=100_000),
            ),
        })
    }

    /// At most the number of primaries, where that is known.
    pub(super) fn failover_threshold(
        &mut self,
        section: &Section<'_>,
        primaries: Option<usize>,
    ) -> usize {
        let Some(found) = section.get("failover_threshold") else {
            return 1;
        };
        let threshold = self.count(found, 0..=10_000).unwrap_or(1);
        if let Some(primaries) = primaries.filter(|count| threshold > *count) {
            self.fault(
                found,
                Problem::FailoverThreshold {
                    threshold,
                    primaries,
                },
            );
        }
        threshold
    }

    /// What is spoken to the upstreams: over which TLS, if any, and on which terms of HTTP/2, if any.
    fn protocol(
        &mut self,
        section: &Section<'_>,
    ) -> Option<(Option<UpstreamTls>, Option<Http2Terms>)> {
        let scheme = self.or(section, "scheme", Scheme::Http, |this, found| {
            this.word(found, SCHEMES)
        });
        let place = scheme.place();
        let tls = match (scheme, section.get("tls")) {
            (Scheme::Http | Scheme::H2c, None) => Some(None),
            (Scheme::Http | Scheme::H2c, Some(found)) => {
                self.fault_at_key(found, Problem::NoEffect { key: "tls", place });
                None
            }
            (Scheme::Https | Scheme::H2, None) => Some(Some(VERIFIED)),
            (Scheme::Https | Scheme::H2, Some(found)) => self.upstream_tls(found).map(Some),
        };
        let http2 = match (scheme, section.get("http2")) {
            (Scheme::Http | Scheme::Https, None) => Some(None),
            (Scheme::Http | Scheme::Https, Some(found)) => {
                let key = "http2";
                self.fault_at_key(found, Problem::NoEffect { key, place });
                None
            }
            (Scheme::H2 | Scheme::H2c, None) => Some(Some(HTTP2)),
            (Scheme::H2 | Scheme::H2c, Some(found)) => self.http2_terms(found).map(Some),
        };
        Some((tls?, http2?))
    }

    /// How upstreams are told of clients. A connection of HTTP/2 carries the requests of many.
    fn announced(
        &mut self,
        section: &Section<'_>,
        http2: Option<Http2Terms>,
    ) -> Option<HeaderVersion> {
        let found = section.get("proxy_protocol")?;
        if http2.is_some() {
            let (key, place) = (
                "proxy_protocol",
                "a pool of HTTP/2, where clients share connections",
            );
            self.fault_at_key(found, Problem::NoEffect { key, place });
        }
        self.word(found, HeaderVersion::WORDS)
    }

    fn http2_terms(&mut self, found: &Found<'_>) -> Option<Http2Terms> {
        let section = self.section(found, HTTP2_KEYS)?;
        Some(Http2Terms {
            streams: self.or(&section, "streams", HTTP2.streams, |this, found| {
                this.number(found, 1..=STREAMS_MAX)
            }),
        })
    }

    pub(super) fn upstream_tls(&mut self, found: &Found<'_>) -> Option<UpstreamTls> {
        let section = self.section(found, TLS_KEYS)?;
        let verify = self.or(&section, "verify", true, Self::switch);
        let server_name = section.get("server_name");
        let server_name = server_name.map(|found| self.name(found, "a host name", HostName::parse));
        let ca = self.authorities(&section);
        let client = section
            .first_of(CERTIFICATE_KEYS)
            .map(|_| self.certificate_in(&section));
        Some(UpstreamTls {
            client: client.map_or(Some(None), |client| client.map(Some))?,
            server_name: server_name.map_or(Some(None), |name| name.map(Some))?,
            ca_pem: ca?,
            verify: if verify { Verify::Full } else { Verify::Off },
        })
    }

    fn balance(&mut self, found: &Found<'_>) -> Option<Balance> {
        if !found.is_map() {
            return self.word(found, BALANCES);
        }
        let section = self.section(found, &["hash"])?;
        let hash = self.required(&section, "hash")?;
        if !hash.is_map() {
            return self.word(hash, &[("session", Balance::Hash(HashOf::Session))]);
        }
        let section = self.section(hash, HASH_KEYS)?;
        match (section.get("cookie"), section.get("header")) {
            (Some(cookie), None) => self.cookie_name(cookie).map(HashOf::Cookie),
            (None, Some(header)) => self.header_name(header).map(HashOf::Header),
            (Some(_), Some(_)) | (None, None) => {
                self.fault(hash, Problem::MissingOneOf(HASH_KEYS));
                None
            }
        }
        .map(Balance::Hash)
    }

    pub(super) fn cookie_name(&mut self, found: &Found<'_>) -> Option<String> {
        self.shaped(found, ("the name of a cookie", "JSESSIONID"), |text| {
            let token =
                |byte: u8| byte.is_ascii_graphic() && !br#"()<>@,;:\"/[]?={}"#.contains(&byte);
            (!text.is_empty() && text.bytes().all(token)).then(|| text.to_owned())
        })
    }
}

/// The TLS of what a pool speaks, as far as it was understood.
fn tls_of(protocol: Option<&(Option<UpstreamTls>, Option<Http2Terms>)>) -> Option<UpstreamTls> {
    protocol.and_then(|(tls, _)| tls.clone())
}

/// TLS that nothing is said about.
pub(super) const VERIFIED: UpstreamTls = UpstreamTls {
    server_name: None,
    ca_pem: None,
    verify: Verify::Full,
    client: None,
};

#[derive(Clone, Copy)]
enum Scheme {
    H2,
    H2c,
    Http,
    Https,
}

impl Scheme {
    /// A pool of this scheme, in the words of a fault.
    const fn place(self) -> &'static str {
        match self {
            Self::H2 => "a pool with `scheme: h2`",
            Self::H2c => "a pool with `scheme: h2c`",
            Self::Http => "a pool with `scheme: http`",
            Self::Https => "a pool with `scheme: https`",
        }
    }
}

pub(super) const KEYS: &[&str] = &[
    "balance",
    "connect_retries",
    "fail_timeout",
    "failover_threshold",
    "health_check",
    "http2",
    "max_fails",
    "outliers",
    "primary",
    "proxy_protocol",
    "retry_budget",
    "scheme",
    "secondary",
    "slow_start",
    "timeouts",
    "tls",
];
pub(super) const TLS_KEYS: &[&str] = &[
    "ca",
    "ca_file",
    "certificate",
    "certificate_file",
    "key",
    "key_file",
    "server_name",
    "verify",
];
pub(super) const HASH_KEYS: &[&str] = &["cookie", "header"];
pub(super) const HTTP2_KEYS: &[&str] = &["streams"];
const SCHEMES: &[(&str, Scheme)] = &[
    ("http", Scheme::Http),
    ("https", Scheme::Https),
    ("h2", Scheme::H2),
    ("h2c", Scheme::H2c),
];
/// As many as most servers allow.
const HTTP2: Http2Terms = Http2Terms { streams: 100 };
/// What of unread answers a connection holds grows with it.
const STREAMS_MAX: u32 = 1000;
const BALANCES: &[(&str, Balance)] = &[
    ("round_robin", Balance::RoundRobin),
    ("least_connections", Balance::LeastConnections),
    ("random_two", Balance::RandomTwo),
    ("ip_hash", Balance::Hash(HashOf::ClientAddress)),
];

/// A fifth, and enough for a pool that few requests go to.
const BUDGET: BudgetTerms = BudgetTerms {
    percent: 20,
    per_second_min: 10,
};
pub(super) const BUDGET_KEYS: &[&str] = &["per_second_min", "percent"];

/// How long upstreams may take that nothing is said about.
pub(super) const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_mins(1),
    read_idle: Duration::from_mins(1),
    write_idle: Duration::from_mins(1),
    total: None,
};
const FAIL_TIMEOUT: Duration = Duration::from_secs(10);
