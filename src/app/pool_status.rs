//! How pools are, for those who run the node.

use crate::decision::upstream::Member;
use crate::logbook::moment::rfc3339_seconds;
use crate::ports::control::NameFault;
use crate::ports::control::NameStatus;
use crate::ports::control::PoolStatus;
use crate::ports::control::UpstreamStatus;
use crate::proxy::member::MemberRuntime;
use crate::proxy::member::Rank;
use crate::proxy::pool::PoolRuntime;
use crate::proxy::serving::Serving;
use crate::proxy::upstream::Naming;
use crate::proxy::upstream::UpstreamRuntime;

/// All pools that are served.
pub(super) fn of_all(serving: &Serving) -> Vec<PoolStatus> {
    serving.pools.values().map(|at| of(&at.pool)).collect()
}

/// One pool, as it is.
pub(super) fn of(pool: &PoolRuntime) -> PoolStatus {
    let primaries = pool.upstreams.primary.len();
    let upstreams = pool.upstreams.members().flat_map(|(index, upstream)| {
        let members = upstream.members().into_iter();
        members.map(move |at| {
            let is_primary = index < primaries && at.rank == Rank::First;
            member(&at, if is_primary { "primary" } else { "secondary" })
        })
    });
    let names = pool.upstreams.members().map(|(_, upstream)| upstream);
    let names = names.filter(|upstream| upstream.upstream.is_name());
    PoolStatus {
        name: pool.config.name.to_string(),
        upstreams: upstreams.collect(),
        names: names.map(|upstream| name(upstream)).collect(),
    }
}

fn member(member: &MemberRuntime, tier: &str) -> UpstreamStatus {
    let is_name = member.upstream.is_name();
    let (ejections, ejected_until) = member.ejections();
    let (requests, failures) = member.requests();
    UpstreamStatus {
        address: member.shown.clone(),
        name: is_name.then(|| member.name.clone()),
        tier: tier.to_owned(),
        state: member.state().as_str().to_owned(),
        weight: member.weight(),
        percent_of_share: Some(member.percent_of_share()).filter(|percent| *percent < 100),
        in_flight: member.in_flight(),
        is_drained: member.is_drained(),
        check_fault: member.check_fault(),
        ejected_until: ejected_until.map(rfc3339_seconds),
        ejections,
        requests,
        failures,
    }
}

fn name(upstream: &UpstreamRuntime) -> NameStatus {
    NameStatus {
        name: upstream.name.clone(),
        addresses: upstream.members().len(),
        failing: match upstream.naming() {
            Naming::Working => None,
            Naming::Failing { since, why } => Some(NameFault {
                since: rfc3339_seconds(since),
                why,
            }),
        },
    }
}
