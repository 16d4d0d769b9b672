//! What each client may take of a route, compiled; and what is said where it takes more.
//!
//! What was taken is kept in `limiters`.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::VirtualHost;
use crate::config::allowance::Allowance;
use crate::config::allowance::Bandwidth;
use crate::config::allowance::PerClient;
use crate::decision::admission::Permit;
use crate::decision::rate::ByteRate;
use crate::decision::rate::RequestRate;
use crate::model::id::RequestId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::network::Network;
use crate::proxy::counts::Direction;
use crate::proxy::counts::Limit;
use crate::proxy::found::Found;
use crate::proxy::limiters::Full;
use crate::proxy::limiters::Held;
use crate::proxy::limiters::Limiters;
use crate::proxy::limiters::RuleId;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;
use crate::proxy::shaping::Shaping;

/// What each client may take of a route: by the rules of its virtual host, and by its own.
#[derive(Debug, Default)]
pub struct Allowances(Vec<Arc<Rules>>);

/// Those of one of the two.
#[derive(Debug)]
struct Rules {
    written: Allowance,
    requests: PerClient<RuleId>,
    concurrent: PerClient<RuleId>,
    down: PerClient<RuleId>,
    up: PerClient<RuleId>,
}

/// What a request takes of what its client may have, until it is dropped.
#[derive(Debug, Default)]
pub struct Share {
    held: Held,
    /// How fast its bodies pass; none where they pass as they come.
    pub(super) shaping: Option<Box<Shaping>>,
}

impl Allowances {
    /// Those of the routes of a virtual host, in their order.
    pub(super) fn of_routes(host: &VirtualHost, limiters: &Limiters) -> Vec<Self> {
        let name = host.hosts.first().map(ToString::to_string);
        let name = name.unwrap_or_default();
        let of_host = Rules::new(&host.allowance, limiters, &name);
        // Several may have the same name, for other methods or kinds of paths.
        let mut alike: HashMap<&str, usize> = HashMap::new();
        let each = host.routes.iter().map(|route| {
            let ordinal = alike.entry(&route.name).or_default();
            *ordinal += 1;
            let scope = (&name, &route.name, *ordinal);
            let of_route = Rules::new(&route.allowance, limiters, &scope);
            Self(of_host.iter().cloned().chain(of_route).collect())
        });
        each.collect()
    }
}

impl Rules {
    fn new(written: &Allowance, limiters: &Limiters, scope: &impl Hash) -> Option<Arc<Self>> {
        if *written == Allowance::default() {
            return None;
        }
        let rates = &written.requests;
        let rule = |what: Limit, rate: Option<RequestRate>| {
            rate.map(|rate| limiters.rule((scope, what, rate)))
        };
        let most = &written.concurrent;
        // Whatever the bound, those in flight are the same.
        let bound = |what: Limit, most: Option<usize>| most.map(|_| limiters.rule((scope, what)));
        let byte_rule = |written: (Direction, &str, ByteRate)| limiters.rule((scope, written));
        Some(Arc::new(Self {
            requests: PerClient {
                address: rule(Limit::RequestsPerAddress, rates.address),
                user: rule(Limit::RequestsPerUser, rates.user),
            },
            concurrent: PerClient {
                address: bound(Limit::ConcurrentPerAddress, most.address),
                user: bound(Limit::ConcurrentPerUser, most.user),
            },
            down: Self::bandwidth(&written.download, Direction::Down, &byte_rule),
            up: Self::bandwidth(&written.upload, Direction::Up, &byte_rule),
            written: written.clone(),
        }))
    }

    fn bandwidth(
        written: &Bandwidth,
        direction: Direction,
        rule: &impl Fn((Direction, &'static str, ByteRate)) -> RuleId,
    ) -> PerClient<RuleId> {
        let of = |by, rate: Option<ByteRate>| rate.map(|rate| rule((direction, by, rate)));
        PerClient {
            address: of("address", written.client.address),
            user: of("user", written.client.user),
        }
    }

    /// Adds the rates by which the bodies of a client pass.
    fn shape(&self, client: &Client<'_>, limiters: &Limiters, shaping: &mut Shaping) {
        for (direction, written, rules) in self.directions() {
            if let Some((rate, rule)) = client.of(&written.client).zip(client.of(rules)) {
                shaping.add_shared(direction, rate, limiters.place(rule, client));
            }
        }
    }

    /// Refuses a request of a client of whom too much waits already: all that comes later would wait behind it.
    ///
    /// # Errors
    /// Where more waits than may.
    fn check_backlog(&self, client: &Client<'_>, limiters: &Limiters) -> Result<(), Refusal> {
        let waits = self.directions().map(|(_, written, rules)| {
            let (rate, rule) = client.of(&written.client).zip(client.of(rules))?;
            let wait = limiters.backlog(limiters.place(rule, client), &rate);
            Some(wait.saturating_sub(BACKLOG_MAX)).filter(|wait| !wait.is_zero())
        });
        match waits.into_iter().flatten().max() {
            Some(wait) => Err(Refusal::TooManyRequests(wait)),
            None => Ok(()),
        }
    }

    /// Adds those of a request alone.
    fn shape_alone(&self, shaping: &mut Shaping) {
        for (direction, written, _) in self.directions() {
            if let Some(rate) = written.request {
                shaping.add_own(direction, rate);
            }
        }
    }

    const fn directions(&self) -> [(Direction, &Bandwidth, &PerClient<RuleId>); 2] {
        [
            (Direction::Down, &self.written.download, &self.down),
            (Direction::Up, &self.written.upload, &self.up),
        ]
    }

    /// Counts a request of a client, if it may come now.
    fn admit(&self, client: &Client<'_>, limiters: &Limiters) -> Result<(), Refusal> {
        let (rate, rule) = (client.of(&self.written.requests), client.of(&self.requests));
        let Some((rate, rule)) = rate.zip(rule) else {
            return Ok(());
        };
        let place = limiters.place(rule, client);
        let admitted = limiters.admit(place, &rate);
        admitted.map_err(Refusal::TooManyRequests)
    }

    /// Takes a place for a request of a client, if one is left.
    fn hold(
        &self,
        client: &Client<'_>,
        limiters: &Arc<Limiters>,
        held: &mut Held,
    ) -> Result<(), Refusal> {
        let (most, rule) = (
            client.of(&self.written.concurrent),
            client.of(&self.concurrent),
        );
        let Some((most, rule)) = most.zip(rule) else {
            return Ok(());
        };
        let place = limiters.place(rule, client);
        let held = held.take(limiters, place, most);
        held.map_err(|Full| Refusal::TooManyAtOnce)
    }
}

/// What a client is told apart by.
#[derive(Clone, Copy, Debug, Hash)]
enum Client<'c> {
    Address(Network),
    User(&'c StoreName, &'c UserName),
}

impl<'c> Client<'c> {
    fn at(address: IpAddr) -> Self {
        Self::Address(Network::of(address))
    }

    /// The user of a permit, if there is one.
    fn of_permit(permit: &'c Permit) -> Option<Self> {
        let facts = &permit.session()?.facts;
        Some(Self::User(&facts.store, &facts.subject))
    }

    /// What is there for this client.
    const fn of<T: Copy>(&self, each: &PerClient<T>) -> Option<T> {
        match self {
            Self::Address(_) => each.address,
            Self::User(..) => each.user,
        }
    }

    const fn requests(&self) -> Limit {
        match self {
            Self::Address(_) => Limit::RequestsPerAddress,
            Self::User(..) => Limit::RequestsPerUser,
        }
    }

    const fn bandwidth(&self) -> Limit {
        match self {
            Self::Address(_) => Limit::BandwidthPerAddress,
            Self::User(..) => Limit::BandwidthPerUser,
        }
    }

    const fn concurrent(&self) -> Limit {
        match self {
            Self::Address(_) => Limit::ConcurrentPerAddress,
            Self::User(..) => Limit::ConcurrentPerUser,
        }
    }
}

impl Serving {
    /// Counts a request of an address, before anything is looked up for it.
    pub(super) fn admit_address(&self, found: &Found<'_>, id: RequestId) -> Result<(), Refusal> {
        if found.route.allowances.0.is_empty() {
            return Ok(());
        }
        self.admit(found, id, &Client::at(found.arrived.origin.client))
    }

    /// Counts a request of a user, where there is one, and takes its share until it is over.
    pub(super) fn admit_permitted(
        &self,
        found: &Found<'_>,
        id: RequestId,
        permit: &Permit,
    ) -> Result<Share, Refusal> {
        let mut share = Share::default();
        if found.route.allowances.0.is_empty() {
            return Ok(share);
        }
        let address = found.arrived.origin.client;
        let user = Client::of_permit(permit);
        if let Some(user) = &user {
            self.admit(found, id, user)?;
        }
        let mut shaping = Shaping::default();
        for client in std::iter::once(Client::at(address)).chain(user) {
            for rules in found.route.allowances.for_client(address) {
                let checked = rules.check_backlog(&client, &self.limiters);
                checked.inspect_err(|_| self.tell_of_limit(found, id, client.bandwidth()))?;
                rules.shape(&client, &self.limiters, &mut shaping);
                let taken = rules.hold(&client, &self.limiters, &mut share.held);
                taken.inspect_err(|_| self.tell_of_limit(found, id, client.concurrent()))?;
            }
        }
        for rules in found.route.allowances.for_client(address) {
            rules.shape_alone(&mut shaping);
        }
        share.shaping = (!shaping.is_empty()).then(|| Box::new(shaping));
        Ok(share)
    }

    fn admit(&self, found: &Found<'_>, id: RequestId, client: &Client<'_>) -> Result<(), Refusal> {
        for rules in found
            .route
            .allowances
            .for_client(found.arrived.origin.client)
        {
            let admitted = rules.admit(client, &self.limiters);
            admitted.inspect_err(|_| self.tell_of_limit(found, id, client.requests()))?;
        }
        Ok(())
    }

    fn tell_of_limit(&self, found: &Found<'_>, id: RequestId, limit: Limit) {
        self.counts.note_limit(limit);
        let (client, limit) = (found.arrived.origin.client, limit.as_str());
        if let Some(kept_back) = self.may_tell(client, limit) {
            tracing::warn!(
                request_id = %id, %client, virtual_host = %found.arrived.host,
                route = %found.route.config.name, limit, kept_back, "a client takes more than it may"
            );
        }
    }
}

impl Allowances {
    fn for_client(&self, address: IpAddr) -> impl Iterator<Item = &Rules> {
        let rules = self.0.iter().map(AsRef::as_ref);
        rules.filter(move |rules| rules.written.is_for(address))
    }
}

/// How long the bodies of a client may have to wait for each other when one more begins.
const BACKLOG_MAX: Duration = Duration::from_secs(30);
