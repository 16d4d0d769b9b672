//! Which upstream of a pool gets a request, and when an upstream counts as out of order.
//!
//! Everything here is generic over the member, so that engines and peers are chosen like application
//! upstreams (MDC-TOPO-2). Connections, probes and counters live above.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderName;

pub use self::budget::BudgetTerms;
pub use self::budget::RetryBudget;
pub use self::drains::Drains;
pub use self::drains::Place;
pub use self::health::ActiveHealth;
pub use self::health::Answer;
pub use self::health::Change;
pub use self::health::PassiveHealth;
pub use self::outlier::Outcome;
pub use self::outlier::Outlier;
pub use self::outlier::OutlierTerms;
pub use self::outlier::Verdict;
pub use self::tiers::Chosen;
pub use self::tiers::Member;
pub use self::tiers::MemberState;
pub use self::tiers::Pick;
pub use self::tiers::Tiers;
pub use self::tiers::choose;
pub use self::tiers::is_any_left;
pub use self::warming::percent_of_share;

mod budget;
mod drains;
mod health;
mod outlier;
mod tiers;
mod warming;

/// How a request chooses among the healthy members of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// The same key goes to the same member.
    Hash(HashOf),
    /// The member with the fewest running requests for its weight.
    LeastConnections,
    /// The less busy of two members drawn at random, as often as the weights say.
    RandomTwo,
    /// In turn, as often as the weights say.
    RoundRobin,
}

/// What is hashed to choose a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOf {
    /// The client's address, as nginx's `ip_hash` takes it (W-05).
    ClientAddress,
    /// The value of this cookie.
    Cookie(String),
    /// The value of this header.
    Header(HeaderName),
    /// The session.
    Session,
}

/// The part of a client address that nginx's `ip_hash` hashes: the first three octets of an IPv4
/// address, the whole of an IPv6 address (W-05). IPv4 addresses mapped into IPv6 count as IPv4.
#[must_use]
pub fn nginx_address_key(address: IpAddr) -> AddressKey {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            AddressKey::V4([a, b, c])
        }
        IpAddr::V6(v6) => AddressKey::V6(v6.octets()),
    }
}

/// The bytes of an address that are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKey {
    /// The first three octets of an IPv4 address.
    V4([u8; 3]),
    /// A whole IPv6 address.
    V6([u8; 16]),
}

impl AddressKey {
    /// The bytes, as `Pick::Key` takes them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::V4(octets) => octets,
            Self::V6(octets) => octets,
        }
    }
}

/// Hashes bytes alike in every process and release: members' seeds and keys come from it (FNV-1a,
/// then SplitMix64's finaliser). It does not resist somebody who looks for collisions.
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// SplitMix64's finaliser: every bit of the input moves about half of the output.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl<M: Member> Member for Arc<M> {
    fn weight(&self) -> u32 {
        self.as_ref().weight()
    }

    fn percent_of_share(&self) -> u32 {
        self.as_ref().percent_of_share()
    }

    fn state(&self) -> MemberState {
        self.as_ref().state()
    }

    fn in_flight(&self) -> usize {
        self.as_ref().in_flight()
    }

    fn seed(&self) -> u64 {
        self.as_ref().seed()
    }
}
