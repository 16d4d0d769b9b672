//! What the edge has to tell: requests, connections, pools.

use std::fmt;

use crate::decision::upstream::MemberState;
use crate::telemetry::histogram::HistogramSnapshot;
use crate::telemetry::metrics::page::Page;

/// What the edge has to tell.
#[derive(Clone, Debug, Default)]
pub struct EdgeSnapshot {
    /// Requests that were answered, by the class of the status.
    pub requests: Vec<(&'static str, u64)>,
    /// Those that a route took, by virtual host and protection.
    pub hosts: Vec<HostSnapshot>,
    /// How long they took, from their head to their end.
    pub duration: HistogramSnapshot,
    /// What could not be read, by why not.
    pub unread: Vec<(&'static str, u64)>,
    /// Requests that were cut off half-way.
    pub cut: u64,
    /// Requests to virtual hosts in maintenance.
    pub in_maintenance: u64,
    /// Bodies that had to wait for bandwidth, by their direction.
    pub delayed: Vec<(&'static str, u64)>,
    /// Requests beyond what a client may take, by what of.
    pub limited: Vec<(&'static str, u64)>,
    /// TLS handshakes, by what came of them.
    pub handshakes: Vec<(&'static str, u64)>,
    /// Connections, by whether they were let in.
    pub connections: Vec<(&'static str, u64)>,
    /// Connections that are open.
    pub open: usize,
}

/// The requests to a virtual host that are protected alike.
#[derive(Clone, Debug)]
pub struct HostSnapshot {
    /// The first name of the virtual host, as configured.
    pub host: String,
    /// How they are protected.
    pub access: &'static str,
    /// How many there were, by the class of the status.
    pub requests: Vec<(&'static str, u64)>,
}

/// What there is to tell of one pool.
#[derive(Clone, Debug)]
pub struct PoolSnapshot {
    /// Its name.
    pub pool: String,
    /// Further upstreams tried for a request.
    pub retries: u64,
    /// Those that were not tried, because the budget was spent.
    pub retries_refused: u64,
    /// Times that a member was not ejected, because the pool could not do without it.
    pub ejections_spared: u64,
    /// The members of its upstreams.
    pub upstreams: Vec<UpstreamSnapshot>,
    /// Its upstreams that are given by name.
    pub names: Vec<NameSnapshot>,
}

/// What there is to tell of an upstream that is given by name.
#[derive(Clone, Debug)]
pub struct NameSnapshot {
    /// Host and port, as configured.
    pub upstream: String,
    /// How many addresses it has.
    pub addresses: usize,
    /// Whether the last look-up went well.
    pub is_resolved: bool,
}

/// What there is to tell of one member of an upstream.
#[derive(Clone, Debug)]
pub struct UpstreamSnapshot {
    /// Host and port of the upstream, as configured.
    pub upstream: String,
    /// IP address and port.
    pub address: String,
    /// `primary` or `secondary`.
    pub tier: &'static str,
    /// Whether requests are sent there, and why not.
    pub state: MemberState,
    /// Requests that were sent there.
    pub requests: u64,
    /// Those that failed there.
    pub failures: u64,
    /// How often it was ejected.
    pub ejections: u64,
    /// Those that are there now.
    pub in_flight: usize,
}

impl EdgeSnapshot {
    pub(super) fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters(
            ("portway_requests", "Requests answered, by class of status"),
            "status",
            &self.requests,
        )?;
        let of_host = |host: &'_ HostSnapshot| {
            let (name, access) = (host.host.clone(), host.access);
            host.requests
                .clone()
                .into_iter()
                .map(move |(status, count)| {
                    let labels = [
                        ("virtual_host", name.clone()),
                        ("access", access.to_owned()),
                        ("status", status.to_owned()),
                    ];
                    (labels, count)
                })
        };
        page.counter_family(
            (
                "portway_virtual_host_requests",
                "Requests that a route took, by virtual host, protection and class of status",
            ),
            self.hosts.iter().flat_map(of_host),
        )?;
        page.histogram(
            (
                "portway_request_duration_seconds",
                "From the head of a request to its end",
            ),
            &self.duration,
        )?;
        page.counter(
            (
                "portway_requests_cut",
                "Requests cut off half-way by a deadline or the end of their session",
            ),
            self.cut,
        )?;
        self.encode_limits(page)?;
        page.counters(
            (
                "portway_requests_unread",
                "Requests that could not be read, by why not",
            ),
            "why",
            &self.unread,
        )?;
        page.counters(
            ("portway_tls_handshakes", "TLS handshakes, by outcome"),
            "outcome",
            &self.handshakes,
        )?;
        page.counters(
            (
                "portway_connections_accepted",
                "Connections, by whether there was room for them",
            ),
            "outcome",
            &self.connections,
        )?;
        let open = ("portway_connections", "Connections that are open");
        page.gauge(open, self.open as u64)
    }

    /// What clients were kept from.
    fn encode_limits(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters(
            (
                "portway_requests_limited",
                "Requests refused because a client took more than it may, by what of",
            ),
            "limit",
            &self.limited,
        )?;
        page.counter(
            (
                "portway_requests_in_maintenance",
                "Requests answered with the page of a virtual host in maintenance",
            ),
            self.in_maintenance,
        )?;
        page.counters(
            (
                "portway_bodies_delayed",
                "Bodies that had to wait for the bandwidth their client may have",
            ),
            "direction",
            &self.delayed,
        )
    }
}

/// Writes what there is to tell of all pools.
pub(super) fn encode_pools(pools: &[PoolSnapshot], page: &mut Page<'_>) -> fmt::Result {
    let label = |pool: &PoolSnapshot| ("pool", pool.pool.clone());
    page.counter_family(
        (
            "portway_upstream_retries",
            "Further upstreams tried for a request",
        ),
        pools.iter().map(|pool| ([label(pool)], pool.retries)),
    )?;
    page.counter_family(
        (
            "portway_upstream_retries_refused",
            "Further upstreams not tried because the retry budget was spent",
        ),
        pools
            .iter()
            .map(|pool| ([label(pool)], pool.retries_refused)),
    )?;
    let each = |value: fn(&UpstreamSnapshot) -> u64| {
        pools.iter().flat_map(move |pool| {
            pool.upstreams.iter().map(move |upstream| {
                let labels = [
                    label(pool),
                    ("upstream", upstream.upstream.clone()),
                    ("address", upstream.address.clone()),
                ];
                (labels, value(upstream))
            })
        })
    };
    page.counter_family(
        ("portway_upstream_requests", "Requests sent to an upstream"),
        each(|upstream| upstream.requests),
    )?;
    page.counter_family(
        (
            "portway_upstream_failures",
            "Requests that failed at an upstream: not connected, broken off, late",
        ),
        each(|upstream| upstream.failures),
    )?;
    page.gauge_family(
        (
            "portway_upstream_up",
            "Whether an upstream is sent requests",
        ),
        each(|upstream| u64::from(upstream.state == MemberState::Healthy)),
    )?;
    encode_ejections(pools, page)?;
    encode_states(pools, page)?;
    page.gauge_family(
        (
            "portway_upstream_in_flight",
            "Requests that are at an upstream now",
        ),
        each(|upstream| upstream.in_flight as u64),
    )?;
    encode_names(pools, page)
}

/// Writes how often upstreams were ejected, and how often one was not that should have been.
fn encode_ejections(pools: &[PoolSnapshot], page: &mut Page<'_>) -> fmt::Result {
    let ejections = pools.iter().flat_map(|pool| {
        pool.upstreams.iter().map(|upstream| {
            let labels = [
                ("pool", pool.pool.clone()),
                ("upstream", upstream.upstream.clone()),
                ("address", upstream.address.clone()),
            ];
            (labels, upstream.ejections)
        })
    });
    page.counter_family(
        (
            "portway_upstream_ejections",
            "Times that an upstream was ejected because it answered with errors",
        ),
        ejections,
    )?;
    page.counter_family(
        (
            "portway_upstream_ejections_spared",
            "Answers and failures that would have ejected an upstream which the pool could not do without",
        ),
        pools
            .iter()
            .map(|pool| ([("pool", pool.pool.clone())], pool.ejections_spared)),
    )
}

/// Writes why upstreams are sent requests or not, and how many of each tier are.
fn encode_states(pools: &[PoolSnapshot], page: &mut Page<'_>) -> fmt::Result {
    let states = pools.iter().flat_map(|pool| {
        let upstreams = pool.upstreams.iter();
        upstreams.flat_map(|upstream| {
            MemberState::ALL.map(|state| {
                let labels = [
                    ("pool", pool.pool.clone()),
                    ("upstream", upstream.upstream.clone()),
                    ("address", upstream.address.clone()),
                    ("state", state.as_str().to_owned()),
                ];
                (labels, u64::from(upstream.state == state))
            })
        })
    });
    page.gauge_family(
        (
            "portway_upstream_state",
            "1 for the state that an upstream is in, 0 for the others",
        ),
        states,
    )?;
    let tiers = pools.iter().flat_map(|pool| {
        ["primary", "secondary"].map(|tier| {
            let labels = [("pool", pool.pool.clone()), ("tier", tier.to_owned())];
            let of_tier = pool.upstreams.iter().filter(|at| at.tier == tier);
            let healthy = of_tier.filter(|at| at.state == MemberState::Healthy);
            (labels, healthy.count() as u64)
        })
    });
    page.gauge_family(
        (
            "portway_pool_healthy",
            "Upstreams of a tier that are sent requests",
        ),
        tiers,
    )
}

/// Writes what there is to tell of upstreams that are given by name.
fn encode_names(pools: &[PoolSnapshot], page: &mut Page<'_>) -> fmt::Result {
    let each = |value: fn(&NameSnapshot) -> u64| {
        pools.iter().flat_map(move |pool| {
            pool.names.iter().map(move |name| {
                let pool = ("pool", pool.pool.clone());
                let labels = [pool, ("upstream", name.upstream.clone())];
                (labels, value(name))
            })
        })
    };
    page.gauge_family(
        (
            "portway_upstream_addresses",
            "Addresses of an upstream that is given by name",
        ),
        each(|name| name.addresses as u64),
    )?;
    page.gauge_family(
        (
            "portway_upstream_resolved",
            "Whether the last look-up of the name of an upstream went well",
        ),
        each(|name| u64::from(name.is_resolved)),
    )
}
