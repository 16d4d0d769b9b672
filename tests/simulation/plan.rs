//! What one run is: how many data centres, under which policy, with which users, and what befalls them.
//! All of it follows from the seed.

use std::time::Duration;

use portway::config::mdc::SkewLimits;
use portway::decision::adoption::AdoptionPolicy;
use portway::decision::adoption::Anchor;
use portway::decision::adoption::Hop;
use portway::decision::adoption::OnMissing;
use portway::decision::adoption::OnSilence;
use portway::decision::adoption::Retrieval;

use crate::random::Random;

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) centres: usize,
    pub(crate) policy: AdoptionPolicy,
    /// How often a GITO cookie is set, where there is a common domain.
    pub(crate) gito: Option<Duration>,
    pub(crate) idle: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) authn_lifetime: Duration,
    pub(crate) lease: Duration,
    pub(crate) min_hold: Duration,
    pub(crate) lapse: Duration,
    pub(crate) pull_every: Duration,
    pub(crate) per_user_max: usize,
    pub(crate) records: Records,
    pub(crate) rereading: Rereading,
    pub(crate) users: usize,
    pub(crate) browsers: usize,
    pub(crate) hosts: usize,
    pub(crate) balancer: Balancer,
    pub(crate) weather: Weather,
    pub(crate) faults: Faults,
    pub(crate) habits: &'static [(u64, Act)],
    /// The longest time between two things that a user does.
    pub(crate) thinking_max: Duration,
    /// How long users and fate are at it, before everything is healed.
    pub(crate) active: Duration,
}

/// Whether session records survive a crash; the end log always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    Durable,
    Lost,
}

/// Whether the identity store can say something of a user without a credential (S-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rereading {
    Supported,
    Unsupported,
}

/// To which data centre a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Balancer {
    /// Away from wherever the last request went.
    Adversarial,
    Random,
    /// To the same one as long as it answers, and now and then elsewhere.
    Sticky,
}

/// What a user may do, or somebody with the user's cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    BeIdle,
    BeKilled,
    ChangeUser,
    ClearCookies,
    MixCookies,
    OpenTabs,
    ReplayACopy,
    SignOut,
    Visit,
}

/// How likely each is, against the others.
const HABITS: [(u64, Act); 9] = [
    (58, Act::Visit),
    (12, Act::OpenTabs),
    (9, Act::MixCookies),
    (8, Act::ReplayACopy),
    (7, Act::SignOut),
    (3, Act::BeIdle),
    (2, Act::ClearCookies),
    (2, Act::ChangeUser),
    (2, Act::BeKilled),
];

/// Sessions are left behind, and found again by somebody.
pub(crate) const FORGETFUL: [(u64, Act); 3] = [
    (60, Act::Visit),
    (30, Act::MixCookies),
    (10, Act::ClearCookies),
];

/// What the network does to messages. Numbers are of a thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weather {
    /// The usual delay, at most, in milliseconds.
    pub(crate) delay_max: u64,
    /// Messages that are late, by up to some seconds, and so overtaken by others.
    pub(crate) late: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
}

/// How likely each kind of misfortune is, against the others. None at all is a calm run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) partition: u64,
    pub(crate) one_way: u64,
    pub(crate) estrangement: u64,
    pub(crate) crash: u64,
    pub(crate) freeze: u64,
    pub(crate) clock: u64,
    pub(crate) full_disk: u64,
    pub(crate) lost_log: u64,
    pub(crate) deaf_store: u64,
}

impl Faults {
    pub(crate) fn total(&self) -> u64 {
        self.partition
            + self.one_way
            + self.estrangement
            + self.crash
            + self.freeze
            + self.clock
            + self.full_disk
            + self.lost_log
            + self.deaf_store
    }
}

impl Weather {
    pub(crate) const FAIR: Self = Self {
        delay_max: 20,
        late: 0,
        lost: 0,
        doubled: 0,
    };
    const ROUGH: Self = Self {
        delay_max: 60,
        late: 60,
        lost: 60,
        doubled: 60,
    };
    const DOUBLING: Self = Self {
        delay_max: 40,
        late: 150,
        lost: 10,
        doubled: 250,
    };
    const LOSING: Self = Self {
        delay_max: 40,
        late: 20,
        lost: 200,
        doubled: 20,
    };
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Random::stream(seed, "plan");
        let policy = policy(&mut dice);
        // Anchoring without a common domain is refused by the validator.
        let has_gito = policy.anchor == Anchor::Anchored || dice.chance(500);
        let idle = *dice.pick(&[40, 60, 90]);
        let lifetime = idle * dice.between(2, 4);
        let idle = Duration::from_secs(idle);
        // A hold that takes up the deadline leaves no time for anything else.
        let hold_max = policy.deadline() / 5;
        let granularity = *dice.pick(&[Duration::ZERO, idle / 10]);
        Self {
            seed,
            centres: dice.weighted(&[(50, 2), (30, 3), (12, 4), (8, 5)]),
            policy,
            gito: has_gito.then_some(granularity),
            idle,
            lifetime: Duration::from_secs(lifetime),
            authn_lifetime: if has_gito { idle } else { idle / 2 },
            lease: *dice.pick(&[idle, idle, idle / 2]),
            min_hold: Duration::from_millis(*dice.pick(&[0, 100, 250, 250])).min(hold_max),
            lapse: Duration::from_millis(dice.between(2_000, 8_000)),
            pull_every: Duration::from_secs(dice.between(4, 12)),
            per_user_max: *dice.pick(&[1, 2, 3, 8]),
            records: *dice.pick(&[Records::Durable, Records::Durable, Records::Lost]),
            rereading: *dice.pick(&[Rereading::Supported, Rereading::Unsupported]),
            users: dice.weighted(&[(50, 1), (40, 2), (10, 3)]),
            browsers: dice.weighted(&[(30, 1), (45, 2), (25, 3)]),
            hosts: dice.weighted(&[(40, 1), (60, 2)]),
            balancer: *dice.pick(&[Balancer::Sticky, Balancer::Random, Balancer::Adversarial]),
            weather: *dice.pick(&[
                Weather::FAIR,
                Weather::FAIR,
                Weather::ROUGH,
                Weather::DOUBLING,
                Weather::LOSING,
            ]),
            faults: faults(&mut dice),
            habits: &HABITS,
            thinking_max: Duration::from_secs(*dice.pick(&[3, 8, 20])),
            active: Duration::from_secs(dice.between(60, 200)),
        }
    }

    /// Whether nothing can go wrong in this run: then a second holder is a fault at any moment.
    pub(crate) fn is_calm(&self) -> bool {
        self.faults.total() == 0 && self.weather == Weather::FAIR
    }

    /// How far two clocks may be apart, at most, in milliseconds.
    pub(crate) fn skew_max(&self) -> u64 {
        if self.faults.clock > 0 {
            SKEW_MAX
        } else {
            SKEW_USUAL
        }
    }
}

fn policy(dice: &mut Random) -> AdoptionPolicy {
    AdoptionPolicy {
        anchor: dice.weighted(&[(65, Anchor::Anchored), (35, Anchor::Free)]),
        retrieval: dice.weighted(&[(75, Retrieval::Fetch), (25, Retrieval::Off)]),
        hop: dice.weighted(&[(93, Hop::Silent), (7, Hop::Reauthenticate)]),
        retries: *dice.pick(&[0, 1, 2]),
        attempt_limit: Duration::from_millis(*dice.pick(&[300, 600, 1_000])),
        on_missing: *dice.pick(&[OnMissing::Create, OnMissing::Challenge]),
        on_silence: *dice.pick(&[OnSilence::Challenge, OnSilence::Continue]),
    }
}

/// Some runs have one kind of misfortune, some all, some none.
fn faults(dice: &mut Random) -> Faults {
    let none = Faults::default();
    let cut = Faults {
        partition: 30,
        one_way: 15,
        estrangement: 10,
        ..none
    };
    let crash = Faults { crash: 30, ..none };
    let clocks = Faults {
        clock: 20,
        freeze: 20,
        ..none
    };
    let disks = Faults {
        full_disk: 20,
        lost_log: 20,
        deaf_store: 10,
        crash: 10,
        ..none
    };
    let all = Faults {
        partition: 30,
        one_way: 15,
        estrangement: 8,
        crash: 25,
        freeze: 15,
        clock: 8,
        full_disk: 8,
        lost_log: 3,
        deaf_store: 6,
    };
    dice.weighted(&[
        (15, none),
        (25, cut),
        (15, crash),
        (8, clocks),
        (12, disks),
        (25, all),
    ])
}

/// A span as the clock of a run counts it.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// How far clocks may be apart: less than in a real deployment, as everything here goes faster.
pub(crate) const SKEW: SkewLimits = SkewLimits {
    allowance: Duration::from_secs(1),
    hard: Duration::from_secs(4),
};
/// Clocks are never exactly alike.
pub(crate) const SKEW_USUAL: u64 = 200;
/// Where clocks are set, they are set this wrong at most: beyond the hard limit of S-22.
pub(crate) const SKEW_MAX: u64 = 6_000;
