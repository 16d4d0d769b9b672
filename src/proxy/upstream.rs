//! An upstream of a pool as it is configured, with the members that it has now: one for a literal address or a
//! socket, one for each address of a name.
//!
//! Asking for the addresses is `naming`'s; how a member is, `member`'s.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::Pool;
use crate::config::Upstream;
use crate::config::UpstreamPlace;
use crate::decision::upstream::Drains;
use crate::model::name::PoolName;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::resolver::Family;
use crate::ports::resolver::Offered;
use crate::ports::resolver::Resolved;
use crate::ports::resolver::Target;
use crate::proxy::address::Address;
use crate::proxy::member::MemberRuntime;
use crate::proxy::member::Rank;
use crate::proxy::member::Wanted;
use crate::proxy::standing::Standing;

/// An upstream at run time.
pub struct UpstreamRuntime {
    /// As configured.
    pub upstream: Upstream,
    /// What it is called: host and port as written, the service, or the socket.
    pub name: String,
    known: Mutex<Known>,
    clock: Arc<dyn Clock>,
}

/// What is known of the members of an upstream.
#[derive(Default)]
struct Known {
    /// By their addresses, IPv4 first.
    members: Vec<Arc<MemberRuntime>>,
    /// Those that the name has left, the latest last: answers may name some of many addresses by turns,
    /// and one that comes back is as well as it was.
    gone: Vec<Gone>,
    /// Requests that were sent to members which nothing else is known of any more.
    forgotten: u64,
    naming: Naming,
    /// Whether it came into a pool that was served before, so that its first members are new there.
    joins: bool,
}

#[derive(Clone)]
struct Gone {
    address: Address,
    standing: Arc<Standing>,
    at: Timestamp,
}

/// How the resolving of a name goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// It fails; the addresses from before go on to be used.
    Failing {
        /// Since when.
        since: Timestamp,
        /// Why, in the words of the resolver.
        why: String,
    },
    /// The last answer came, or none was asked for yet.
    #[default]
    Working,
}

/// What has changed about the members of an upstream.
#[derive(Debug, PartialEq, Eq)]
pub struct Turnover {
    /// Addresses that are members now.
    pub come: Vec<Address>,
    /// Addresses that are members no more.
    pub gone: Vec<Address>,
    /// How many of those that have come were not members lately either.
    pub strangers: usize,
}

impl UpstreamRuntime {
    /// Begins with what is known of the same upstream from the configuration `before`.
    pub(super) fn new(
        upstream: &Upstream,
        pool: &Pool,
        before: Option<&Self>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let name = upstream.called();
        let member = |wanted: &Wanted, standing| {
            Arc::new(MemberRuntime::new(&name, wanted, standing, clock))
        };
        let known = match (before, Address::fixed(upstream)) {
            (Some(before), _) => {
                let before = before.known.lock();
                let members = before.members.iter();
                Known {
                    members: members
                        .map(|old| member(&of(upstream, old), Arc::clone(old.standing())))
                        .collect(),
                    gone: before.gone.clone(),
                    forgotten: before.forgotten,
                    naming: before.naming.clone(),
                    joins: before.joins,
                }
            }
            (None, Some(address)) => {
                let wanted = Wanted {
                    address,
                    upstream: upstream.clone(),
                    rank: Rank::First,
                };
                Known {
                    members: vec![member(&wanted, Arc::new(Standing::new(pool)))],
                    ..Known::default()
                }
            }
            (None, None) => Known::default(),
        };
        Self {
            upstream: upstream.clone(),
            name,
            known: Mutex::new(known),
            clock: Arc::clone(clock),
        }
    }

    /// Comes into a pool that was served before.
    pub(super) fn joins(&self) {
        let mut known = self.known.lock();
        known.joins = true;
        for member in &known.members {
            member.standing().is_new(self.clock.now());
        }
    }

    /// Its members now, by their addresses.
    #[must_use]
    pub fn members(&self) -> Vec<Arc<MemberRuntime>> {
        self.known.lock().members.clone()
    }

    /// How the resolving of its name goes.
    #[must_use]
    pub fn naming(&self) -> Naming {
        self.known.lock().naming.clone()
    }

    /// Requests that were ever sent to it.
    pub(super) fn requests(&self) -> u64 {
        let known = self.known.lock();
        let members = known.members.iter().map(|member| member.standing());
        let all = members.chain(known.gone.iter().map(|gone| &gone.standing));
        all.map(|standing| standing.requests())
            .fold(known.forgotten, u64::saturating_add)
    }

    /// Has its members judged by other settings.
    pub(super) fn retune(&self, pool: &Pool) {
        let known = self.known.lock();
        let members = known.members.iter().map(|member| member.standing());
        for standing in members.chain(known.gone.iter().map(|gone| &gone.standing)) {
            standing.retune(pool);
        }
    }

    /// Takes out those of its members that are drained, and lets the others in.
    pub(super) fn keep_drained(&self, pool: &PoolName, drains: &Drains) {
        let now = self.clock.now();
        for member in &self.known.lock().members {
            let is_drained = drains.holds(pool.as_str(), &self.name, &member.shown);
            member.standing().set_drained(is_drained, now);
        }
    }

    /// Notes that its name could not be resolved; tells whether it could before.
    pub(super) fn not_resolved(&self, why: String) -> bool {
        let mut known = self.known.lock();
        let since = match &known.naming {
            Naming::Failing { since, .. } => Some(*since),
            Naming::Working => None,
        };
        known.naming = Naming::Failing {
            since: since.unwrap_or_else(|| self.clock.now()),
            why,
        };
        since.is_none()
    }

    /// Notes that its name is resolved; tells whether it was not before.
    pub(super) fn is_resolved(&self) -> bool {
        let before = std::mem::take(&mut self.known.lock().naming);
        before != Naming::Working
    }

    /// Takes over what its name resolved to: members whose addresses stay go on as they are. `None` where
    /// all stay.
    pub(super) fn resolved_to(&self, resolved: &Resolved, pool: &Pool) -> Option<Turnover> {
        let mut known = self.known.lock();
        let addresses = self.addresses(&known.members, resolved);
        let wanted = addresses.into_iter().map(|address| Wanted {
            address: Address::from(address),
            upstream: self.upstream.clone(),
            rank: Rank::First,
        });
        self.become_of(&mut known, &wanted.collect::<Vec<_>>(), pool)
    }

    /// Takes over what offers it as a service. `None` where all stay as they are.
    pub(super) fn offered_by(&self, offered: &Offered, pool: &Pool) -> Option<Turnover> {
        let wanted = self.targets(&offered.targets);
        self.become_of(&mut self.known.lock(), &wanted, pool)
    }

    fn become_of(&self, known: &mut Known, wanted: &[Wanted], pool: &Pool) -> Option<Turnover> {
        let now = self.clock.now();
        let same = known.members.len() == wanted.len();
        let mut pairs = known.members.iter().zip(wanted);
        if same && pairs.all(|(member, wanted)| member.is_as(wanted)) {
            return None;
        }
        known.forget(now);
        let mut turnover = Turnover {
            come: Vec::new(),
            gone: Vec::new(),
            strangers: 0,
        };
        let before = std::mem::take(&mut known.members);
        // Whoever answers first has nobody beside it to leave requests to.
        let is_joined = known.joins || !before.is_empty();
        for one in wanted {
            if let Some(stays) = before.iter().find(|member| member.address == one.address) {
                known.members.push(self.staying(stays, one));
                continue;
            }
            let known_yet = known.come_back(&one.address);
            let is_stranger = known_yet.is_none();
            let standing = known_yet.unwrap_or_else(|| {
                turnover.strangers += 1;
                Arc::new(Standing::new(pool))
            });
            if is_joined && is_stranger {
                standing.is_new(now);
            }
            let member = MemberRuntime::new(&self.name, one, standing, &self.clock);
            known.members.push(Arc::new(member));
            turnover.come.push(one.address.clone());
        }
        for member in before {
            if !wanted.iter().any(|one| one.address == member.address) {
                turnover.gone.push(member.address.clone());
                known.gone.push(Gone {
                    address: member.address.clone(),
                    standing: Arc::clone(member.standing()),
                    at: now,
                });
            }
        }
        Some(turnover)
    }

    /// A member whose address stays, with what else is wanted of it now.
    fn staying(&self, member: &Arc<MemberRuntime>, wanted: &Wanted) -> Arc<MemberRuntime> {
        if member.is_as(wanted) {
            return Arc::clone(member);
        }
        let standing = Arc::clone(member.standing());
        let member = MemberRuntime::new(&self.name, wanted, standing, &self.clock);
        Arc::new(member)
    }

    /// The members that a service is to have, each address once and in order. Those of the lowest priority come
    /// first; of too many the others are left out.
    fn targets(&self, targets: &[Target]) -> Vec<Wanted> {
        let lowest = targets.iter().map(|target| target.priority).min();
        let wanted = targets.iter().flat_map(|target| {
            let weight = self
                .upstream
                .weight
                .saturating_mul(target.weight.max(1).into());
            let (host, port) = (target.host.clone(), target.port);
            let upstream = Upstream {
                place: UpstreamPlace::Inet { host, port },
                weight,
            };
            let rank = if Some(target.priority) == lowest {
                Rank::First
            } else {
                Rank::Later
            };
            let addresses = target.addresses.iter();
            addresses.map(move |ip| Wanted {
                address: Address::from(SocketAddr::new(*ip, target.port)),
                upstream: upstream.clone(),
                rank,
            })
        });
        let mut wanted: Vec<Wanted> = wanted.collect();
        wanted.sort_by_key(|one| (one.rank, one.address.clone()));
        let mut seen = BTreeSet::new();
        wanted.retain(|one| seen.insert(one.address.clone()));
        wanted.truncate(MEMBERS_MAX);
        wanted.sort_by_key(|one| one.address.clone());
        wanted
    }

    /// The addresses that members are to have: those of the answer, and of a family that it says nothing
    /// about those from before; each once, in order.
    fn addresses(&self, members: &[Arc<MemberRuntime>], resolved: &Resolved) -> Vec<SocketAddr> {
        let UpstreamPlace::Inet { port, .. } = self.upstream.place else {
            return Vec::new();
        };
        let answered = resolved.addresses.iter().copied();
        let before = members.iter().filter_map(|member| member.address.inet());
        let before = before.map(|address| address.ip());
        let unknown = before.filter(|ip| resolved.unknown == Some(Family::of(*ip)));
        let mut all: Vec<IpAddr> = answered.chain(unknown).collect();
        all.sort_unstable();
        all.dedup();
        all.truncate(MEMBERS_MAX);
        all.into_iter()
            .map(|ip| SocketAddr::new(ip, port))
            .collect()
    }
}

/// What a member of an earlier configuration is in this one: a host of a service stays what it is.
fn of(upstream: &Upstream, old: &MemberRuntime) -> Wanted {
    let upstream = if upstream.is_service() {
        old.upstream.clone()
    } else {
        upstream.clone()
    };
    Wanted {
        address: old.address.clone(),
        upstream,
        rank: old.rank,
    }
}

impl Known {
    /// What is known of an address that was left lately.
    fn come_back(&mut self, address: &Address) -> Option<Arc<Standing>> {
        let at = self.gone.iter().position(|gone| gone.address == *address)?;
        Some(self.gone.remove(at).standing)
    }

    /// Forgets those that went long ago, and of too many the first.
    fn forget(&mut self, now: Timestamp) {
        let surplus = self.gone.len().saturating_sub(GONE_MAX);
        let old = self
            .gone
            .iter()
            .position(|gone| now.since(gone.at) < GONE_KEPT);
        let old = old.unwrap_or(self.gone.len());
        for gone in self.gone.drain(..surplus.max(old)) {
            self.forgotten = self.forgotten.saturating_add(gone.standing.requests());
        }
    }
}

impl std::fmt::Debug for UpstreamRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamRuntime")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// More addresses of one name are not used: each request looks at all of them.
const MEMBERS_MAX: usize = 256;
/// How long and of how many addresses it is remembered how well they were.
const GONE_KEPT: Duration = Duration::from_mins(10);
const GONE_MAX: usize = 256;

#[cfg(test)]
mod tests;
