//! What each client may take of a route, compiled; and what is said where it takes more.
//!
//! What was taken is kept in `limiters`.

use std::hash::Hash;
use std::net::IpAddr;

use crate::config::VirtualHost;
use crate::config::allowance::Allowance;
use crate::config::allowance::PerClient;
use crate::decision::admission::Permit;
use crate::decision::rate::RequestRate;
use crate::model::id::RequestId;
use crate::model::network::Network;
use crate::proxy::counts::Limit;
use crate::proxy::found::Found;
use crate::proxy::limiters::Limiters;
use crate::proxy::limiters::RuleId;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;

/// What each client may take of a route: by the rules of its virtual host, and by its own.
#[derive(Debug, Default)]
pub struct Allowances(Vec<Rules>);

/// Those of one of the two.
#[derive(Debug)]
struct Rules {
    written: Allowance,
    requests: PerClient<RuleId>,
}

impl Allowances {
    /// Those of the routes of a virtual host, in their order.
    pub(super) fn of_routes(host: &VirtualHost, limiters: &Limiters) -> Vec<Self> {
        let name = host.hosts.first().map(ToString::to_string);
        let name = name.unwrap_or_default();
        let routes = host.routes.iter().enumerate();
        let each = routes.map(|(index, route)| {
            // Several may have the same name, for other methods or kinds of paths.
            let earlier = host.routes.iter().take(index);
            let ordinal = earlier.filter(|other| other.name == route.name).count();
            let of_host = Rules::new(&host.allowance, limiters, &name);
            let scope = (&name, &route.name, ordinal);
            let of_route = Rules::new(&route.allowance, limiters, scope);
            Self(of_host.into_iter().chain(of_route).collect())
        });
        each.collect()
    }
}

impl Rules {
    fn new(written: &Allowance, limiters: &Limiters, scope: impl Hash) -> Option<Self> {
        if *written == Allowance::default() {
            return None;
        }
        let rates = &written.requests;
        let rule = |what: Limit, rate: Option<RequestRate>| {
            rate.map(|rate| limiters.rule((&scope, what, rate)))
        };
        Some(Self {
            requests: PerClient {
                address: rule(Limit::RequestsPerAddress, rates.address),
                user: rule(Limit::RequestsPerUser, rates.user),
            },
            written: written.clone(),
        })
    }

    fn admit(&self, limit: Limit, client: impl Hash, limiters: &Limiters) -> Result<(), Refusal> {
        let (rate, rule) = match limit {
            Limit::RequestsPerAddress => (self.written.requests.address, self.requests.address),
            Limit::RequestsPerUser => (self.written.requests.user, self.requests.user),
        };
        let (Some(rate), Some(rule)) = (rate, rule) else {
            return Ok(());
        };
        let place = limiters.place(rule, client);
        let admitted = limiters.admit(place, &rate);
        admitted.map_err(Refusal::TooManyRequests)
    }
}

impl Serving {
    /// Counts a request of an address, before anything is looked up for it.
    pub(super) fn admit_address(&self, found: &Found<'_>, id: RequestId) -> Result<(), Refusal> {
        let network = Network::of(found.origin.client);
        self.admit(found, id, (Limit::RequestsPerAddress, network))
    }

    /// Counts a request of a user, where there is one.
    pub(super) fn admit_user(
        &self,
        found: &Found<'_>,
        id: RequestId,
        permit: &Permit,
    ) -> Result<(), Refusal> {
        let Some(session) = permit.session() else {
            return Ok(());
        };
        let user = (&session.facts.store, &session.facts.subject);
        self.admit(found, id, (Limit::RequestsPerUser, user))
    }

    fn admit(
        &self,
        found: &Found<'_>,
        id: RequestId,
        (limit, client): (Limit, impl Hash),
    ) -> Result<(), Refusal> {
        let address = found.origin.client;
        for rules in found.route.allowances.for_client(address) {
            if let Err(refusal) = rules.admit(limit, &client, &self.limiters) {
                self.tell_of_limit(found, id, limit);
                return Err(refusal);
            }
        }
        Ok(())
    }

    fn tell_of_limit(&self, found: &Found<'_>, id: RequestId, limit: Limit) {
        self.counts.note_limit(limit);
        let (client, limit) = (found.origin.client, limit.as_str());
        let (network, now) = (Network::of(client), self.clock.now());
        if let Some(kept_back) = self.limiters.complaints.note(network, limit, now) {
            tracing::warn!(
                request_id = %id, %client, virtual_host = %found.inbound.host,
                route = %found.route.config.name, limit, kept_back, "a client takes more than it may"
            );
        }
    }
}

impl Allowances {
    fn for_client(&self, address: IpAddr) -> impl Iterator<Item = &Rules> {
        let rules = self.0.iter();
        rules.filter(move |rules| rules.written.is_for(address))
    }
}
