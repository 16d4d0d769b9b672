//! The choice of a member among two tiers; it keeps no state of its own.

use std::cmp::Ordering;
use std::cmp::Reverse;

use super::mix;
use super::stable_hash;

/// What the choice has to know of a member.
pub trait Member {
    /// Its share of the requests; 0 counts as 1.
    fn weight(&self) -> u32;

    /// How much of that share it gets now, in percent: less while it is new. Keys go by the whole share, or
    /// their clients would move twice.
    fn percent_of_share(&self) -> u32 {
        100
    }

    /// How well it is.
    fn state(&self) -> MemberState;

    /// How many requests it is serving.
    fn in_flight(&self) -> usize;

    /// A `stable_hash` of its address: what makes it the same member after a reload and in other
    /// processes.
    fn seed(&self) -> u64;
}

/// How well a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// An active check found it out of order: it is never chosen.
    Down,
    /// Whoever runs the gateway has taken it out: it is never chosen.
    Drained,
    /// It answered with errors where others did well: it is chosen when nobody else is left.
    Ejected,
    /// It is chosen.
    Healthy,
    /// Requests to it failed lately: it is chosen when no healthy member is left, because a pool never
    /// ejects its last members on suspicion.
    Suspected,
}

impl MemberState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Healthy,
        Self::Suspected,
        Self::Ejected,
        Self::Drained,
        Self::Down,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Drained => "drained",
            Self::Ejected => "ejected",
            Self::Healthy => "healthy",
            Self::Suspected => "suspected",
        }
    }

    /// Whether a member in this state is ever chosen.
    #[must_use]
    pub const fn may_be_chosen(self) -> bool {
        match self {
            Self::Ejected | Self::Healthy | Self::Suspected => true,
            Self::Down | Self::Drained => false,
        }
    }
}

/// The members of a pool.
#[derive(Clone, Debug)]
pub struct Tiers<M> {
    /// The members of this data centre.
    pub primary: Vec<M>,
    /// The members that join when too few primaries are healthy.
    pub secondary: Vec<M>,
    /// The secondaries join below this many healthy primaries; 0 counts as 1.
    pub failover_threshold: usize,
}

impl<M> Tiers<M> {
    /// Every member with its place, primaries first: the places that `choose` gives and `tried` names.
    pub fn members(&self) -> impl Iterator<Item = (usize, &M)> {
        (0..).zip(self.primary.iter().chain(&self.secondary))
    }
}

/// What decides among members that are equally well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick<'k> {
    /// This key goes to the same member as long as that member is there.
    Key(&'k [u8]),
    /// The fewest running requests for the weight; the counter breaks ties.
    Least(u64),
    /// The less busy of two that are drawn by this random number, as often as the weights say.
    Two(u64),
    /// The turn of a counter that grows by one with each request.
    Turn(u64),
}

/// The member that was chosen.
#[derive(Debug)]
pub struct Chosen<'t, M> {
    /// Its place: primaries first, then secondaries.
    pub index: usize,
    /// The member.
    pub member: &'t M,
}

/// Chooses a member for a request.
///
/// `tried` holds the places of members that this request has failed with; they count as unhealthy.
/// With fewer healthy primaries than `failover_threshold` the healthy secondaries join them
/// (MDC-TOPO-2); as soon as enough primaries are back, only they are chosen. Without any healthy
/// member the suspected ones are tried, then the ejected ones, primaries before secondaries. `None`
/// means that all that is left is down, drained or tried.
///
/// A key stays with its member while members come and go: it moves only when its own member goes, or
/// to one that comes (weighted rendezvous hashing, W-05). That holds across tiers too (W-06).
#[must_use]
pub fn choose<'t, M: Member>(
    tiers: &'t Tiers<M>,
    pick: Pick<'_>,
    tried: &[usize],
) -> Option<Chosen<'t, M>> {
    let open = |state: MemberState, places: std::ops::Range<usize>| {
        move |index: usize, member: &M| {
            places.contains(&index) && member.state() == state && !tried.contains(&index)
        }
    };
    let primaries = 0..tiers.primary.len();
    let secondaries = primaries.end..usize::MAX;
    let is_well = open(MemberState::Healthy, primaries.clone());
    let well = || {
        let members = tiers.members();
        members.filter(|(index, member)| is_well(*index, member))
    };
    let join = !tiers.secondary.is_empty() && well().count() < tiers.failover_threshold.max(1);
    let first = if join {
        0..usize::MAX
    } else {
        primaries.clone()
    };
    among(tiers, pick, open(MemberState::Healthy, first)).or_else(|| {
        let states = [MemberState::Suspected, MemberState::Ejected];
        let last = states
            .into_iter()
            .flat_map(|state| [(state, primaries.clone()), (state, secondaries.clone())]);
        let mut last = last.map(|(state, places)| open(state, places));
        last.find_map(|is_open| among(tiers, pick, is_open))
    })
}

/// Whether `choose` would find a member; no turn is used up by asking.
#[must_use]
pub fn is_any_left<M: Member>(tiers: &Tiers<M>, tried: &[usize]) -> bool {
    let is_open =
        |index: &usize, member: &M| member.state().may_be_chosen() && !tried.contains(index);
    tiers
        .members()
        .any(|(index, member)| is_open(&index, member))
}

fn among<'t, M: Member>(
    tiers: &'t Tiers<M>,
    pick: Pick<'_>,
    is_open: impl Fn(usize, &M) -> bool,
) -> Option<Chosen<'t, M>> {
    let open = || {
        tiers
            .members()
            .filter(|(index, member)| is_open(*index, member))
    };
    let found = match pick {
        Pick::Key(key) => drawn(open(), stable_hash(key), weight),
        Pick::Least(turn) => open().min_by(|(_, a), (_, b)| {
            load_order(*a, *b).then_with(|| {
                affinity(mix(turn), *b, weight).total_cmp(&affinity(mix(turn), *a, weight))
            })
        }),
        Pick::Turn(turn) => in_turn(open(), turn),
        Pick::Two(random) => of_two(open, random),
    };
    found.map(|(index, member)| Chosen { index, member })
}

fn weight<M: Member>(member: &M) -> u64 {
    u64::from(member.weight().max(1))
}

/// The weight as far as it counts now.
fn share<M: Member>(member: &M) -> u64 {
    weight(member) * u64::from(member.percent_of_share().clamp(1, 100))
}

/// Compares running requests per share, without dividing.
fn load_order<M: Member>(a: &M, b: &M) -> Ordering {
    let load = |of: &M, against: &M| (of.in_flight() as u128) * u128::from(share(against));
    load(a, b).cmp(&load(b, a))
}

/// How much a key and a member belong together: the highest wins, each in proportion to what it weighs.
fn affinity<M: Member>(key: u64, member: &M, weigh: impl Fn(&M) -> u64) -> f64 {
    const BITS: u32 = 53;
    let hash = mix(key ^ mix(member.seed()));
    // Strictly between 0 and 1, so that the logarithm is finite and not zero.
    let uniform = ((hash >> (u64::BITS - BITS)) as f64 + 0.5) / (1u64 << BITS) as f64;
    weigh(member) as f64 / -uniform.ln()
}

/// The member that a number draws, as often as what it weighs says.
fn drawn<'t, M: Member>(
    open: impl Iterator<Item = (usize, &'t M)>,
    number: u64,
    weigh: impl Fn(&M) -> u64 + Copy,
) -> Option<(usize, &'t M)> {
    let affinity = |member| affinity(number, member, weigh);
    open.max_by(|(_, a), (_, b)| affinity(*a).total_cmp(&affinity(*b)))
}

/// The less busy of two different members that a random number draws. Nodes that know nothing of each other do
/// not all rush to the one that is least busy just then.
fn of_two<'t, M: Member, I>(open: impl Fn() -> I, random: u64) -> Option<(usize, &'t M)>
where
    I: Iterator<Item = (usize, &'t M)>,
{
    let first = drawn(open(), random, share)?;
    let others = open().filter(|(index, _)| *index != first.0);
    let second = drawn(others, mix(random), share);
    let less_busy = second.filter(|second| load_order(second.1, first.1).is_lt());
    less_busy.or(Some(first))
}

/// Whose turn it is: in a round of as many turns as all weights together, each member has as many as
/// its weight, as far apart as can be. (A share is a hundred times the weight, or less: a round of shares that
/// are whole is a hundred rounds of weights, turn for turn.)
///
/// The heaviest member takes every so many-th turn; the turns that it leaves are dealt out among the
/// others in the same way. So a member's turns follow each other at most as often as it outweighs all
/// others together, rounded up.
fn in_turn<'t, M: Member>(
    open: impl Iterator<Item = (usize, &'t M)>,
    turn: u64,
) -> Option<(usize, &'t M)> {
    let mut open: Vec<_> = open
        .map(|(index, member)| (share(member), index, member))
        .collect();
    if let [(_, index, member)] = open.as_slice() {
        return Some((*index, *member));
    }
    open.sort_by_key(|(weight, ..)| Reverse(*weight));
    let mut total: u64 = open.iter().map(|(weight, ..)| *weight).sum();
    let mut turn = turn.checked_rem(total)?;
    for (weight, index, member) in open {
        let had = turns_of(weight, total, turn);
        if turns_of(weight, total, turn + 1) > had {
            return Some((index, member));
        }
        turn = turn.saturating_sub(had);
        total = total.saturating_sub(weight);
    }
    None
}

/// How many of the first turns of a round belong to a member of this weight.
fn turns_of(weight: u64, total: u64, turns: u64) -> u64 {
    let turns = (u128::from(turns) * u128::from(weight)).div_ceil(u128::from(total.max(1)));
    u64::try_from(turns).unwrap_or(u64::MAX)
}
