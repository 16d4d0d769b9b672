//! The choice of an upstream: tiers, weights, affinity, and what takes a member out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portway::decision::upstream::ActiveHealth;
use portway::decision::upstream::Answer;
use portway::decision::upstream::Change;
use portway::decision::upstream::Member;
use portway::decision::upstream::MemberState;
use portway::decision::upstream::PassiveHealth;
use portway::decision::upstream::Pick;
use portway::decision::upstream::Tiers;
use portway::decision::upstream::choose;
use portway::decision::upstream::is_any_left;
use portway::decision::upstream::nginx_address_key;
use portway::decision::upstream::stable_hash;
use portway::model::time::Timestamp;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Node {
    weight: u32,
    state: MemberState,
    in_flight: usize,
    seed: u64,
    percent: u32,
}

impl Member for Node {
    fn weight(&self) -> u32 {
        self.weight
    }

    fn percent_of_share(&self) -> u32 {
        self.percent
    }

    fn state(&self) -> MemberState {
        self.state
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn seed(&self) -> u64 {
        self.seed
    }
}

fn node(name: &str, weight: u32) -> Node {
    Node {
        weight,
        state: MemberState::Healthy,
        in_flight: 0,
        seed: stable_hash(name.as_bytes()),
        percent: 100,
    }
}

fn nodes(tier: &str, weights: &[u32]) -> Vec<Node> {
    weights
        .iter()
        .enumerate()
        .map(|(n, weight)| node(&format!("{tier}{n}:9763"), *weight))
        .collect()
}

fn tiers(primary: &[u32], secondary: &[u32], failover_threshold: usize) -> Tiers<Node> {
    Tiers {
        primary: nodes("p", primary),
        secondary: nodes("s", secondary),
        failover_threshold,
    }
}

fn index(tiers: &Tiers<Node>, pick: Pick<'_>) -> Option<usize> {
    choose(tiers, pick, &[]).map(|chosen| chosen.index)
}

/// How often each member is chosen in so many turns.
fn counts(tiers: &Tiers<Node>, turns: u64) -> Vec<u64> {
    let mut counts = vec![0; tiers.members().count()];
    for turn in 0..turns {
        counts[index(tiers, Pick::Turn(turn)).unwrap()] += 1;
    }
    counts
}

/// Who is chosen in so many turns.
fn turns(tiers: &Tiers<Node>, turns: u64) -> Vec<usize> {
    (0..turns)
        .map(|turn| index(tiers, Pick::Turn(turn)).unwrap())
        .collect()
}

/// The most turns that `member` has between two of another's, or in a row if there is no other.
fn most_between(turns: &[usize], member: usize, is_other: impl Fn(usize) -> bool) -> u64 {
    let between = turns.split(|chosen| is_other(*chosen));
    let own = between.map(|part| part.iter().filter(|chosen| **chosen == member).count());
    own.max().unwrap_or_default() as u64
}

fn owner(tiers: &Tiers<Node>, key: u32) -> usize {
    index(tiers, Pick::Key(&key.to_be_bytes())).unwrap()
}

#[test]
fn round_robin_keeps_the_weights_exactly_and_mixes_the_turns() {
    let tiers = tiers(&[5, 1, 1, 3], &[9], 1);
    assert_eq!(counts(&tiers, 1000), [500, 100, 100, 300, 0]);
    assert_eq!(turns(&tiers, 10), [0, 3, 0, 3, 0, 1, 0, 3, 0, 2]);
    assert_eq!(
        turns(&self::tiers(&[1, 2, 3], &[], 1), 6),
        [2, 1, 2, 1, 2, 0]
    );
}

#[test]
fn round_robin_survives_the_end_of_its_counter_and_huge_weights() {
    let tiers = tiers(&[u32::MAX, u32::MAX, 0], &[], 1);
    for turn in [0, 1, u64::MAX - 1, u64::MAX] {
        assert!(index(&tiers, Pick::Turn(turn)).is_some());
    }
}

#[test]
fn mdc_topo_2_secondaries_join_below_the_threshold_and_leave_at_once() {
    let mut tiers = tiers(&[1, 1, 1], &[1, 1], 2);
    assert_eq!(counts(&tiers, 300), [100, 100, 100, 0, 0]);
    tiers.primary[0].state = MemberState::Down;
    assert_eq!(counts(&tiers, 300), [0, 150, 150, 0, 0]);
    tiers.primary[1].state = MemberState::Suspected;
    assert_eq!(counts(&tiers, 300), [0, 0, 100, 100, 100]);
    tiers.primary[2].state = MemberState::Down;
    assert_eq!(counts(&tiers, 300), [0, 0, 0, 150, 150]);
    tiers.primary[0].state = MemberState::Healthy;
    tiers.primary[1].state = MemberState::Healthy;
    assert_eq!(counts(&tiers, 300), [150, 150, 0, 0, 0]);
}

#[test]
fn the_last_members_are_never_ejected_on_suspicion() {
    let mut tiers = tiers(&[1, 1], &[1, 1], 1);
    for member in tiers.primary.iter_mut().chain(&mut tiers.secondary) {
        member.state = MemberState::Suspected;
    }
    assert_eq!(counts(&tiers, 100), [50, 50, 0, 0]);
    tiers.primary[0].state = MemberState::Down;
    tiers.primary[1].state = MemberState::Down;
    assert_eq!(counts(&tiers, 100), [0, 0, 50, 50]);
    tiers.secondary[0].state = MemberState::Down;
    tiers.secondary[1].state = MemberState::Down;
    assert_eq!(index(&tiers, Pick::Turn(0)), None);
    assert_eq!(index(&self::tiers(&[], &[], 1), Pick::Turn(0)), None);
}

#[test]
fn retries_go_through_all_members_primaries_first() {
    let mut tiers = tiers(&[1, 1], &[1], 1);
    tiers.primary[1].state = MemberState::Suspected;
    for pick in [
        Pick::Turn(7),
        Pick::Least(7),
        Pick::Key(b"alice"),
        Pick::Two(7),
    ] {
        let mut tried = Vec::new();
        while let Some(chosen) = choose(&tiers, pick, &tried) {
            tried.push(chosen.index);
        }
        assert_eq!(tried, [0, 2, 1], "{pick:?}");
    }
}

#[test]
fn least_connections_counts_running_requests_against_the_weight() {
    let mut tiers = tiers(&[1, 2, 1], &[], 1);
    for (member, in_flight) in tiers.primary.iter_mut().zip([2, 3, 2]) {
        member.in_flight = in_flight;
    }
    assert!((0..50).all(|turn| index(&tiers, Pick::Least(turn)) == Some(1)));
    tiers.primary[1].in_flight = 5;
    let mut chosen = [0; 3];
    for turn in 0..1000 {
        chosen[index(&tiers, Pick::Least(turn)).unwrap()] += 1;
    }
    assert!(
        chosen[0] > 400 && chosen[1] == 0 && chosen[2] > 400,
        "{chosen:?}"
    );
}

#[test]
fn of_two_drawn_at_random_the_less_busy_is_chosen() {
    let mut tiers = tiers(&[1, 1, 1, 1], &[], 1);
    let drawn = |tiers: &Tiers<Node>| {
        let mut chosen = [0u32; 4];
        for random in 0..12_000 {
            let random = stable_hash(&u64::to_be_bytes(random));
            chosen[index(tiers, Pick::Two(random)).unwrap()] += 1;
        }
        chosen
    };
    let even = drawn(&tiers);
    assert!(
        even.iter().all(|count| count.abs_diff(3000) < 300),
        "{even:?}"
    );
    for (member, in_flight) in tiers.primary.iter_mut().zip([0, 10, 20, 30]) {
        member.in_flight = in_flight;
    }
    // The least busy wins half of all pairs, the next a third, the busiest none.
    let uneven = drawn(&tiers);
    for (count, expected) in uneven.into_iter().zip([6000u32, 4000, 2000, 0]) {
        assert!(count.abs_diff(expected) < 400, "{uneven:?}");
    }
    assert_eq!(index(&self::tiers(&[1], &[], 1), Pick::Two(5)), Some(0));
    assert_eq!(index(&self::tiers(&[], &[], 1), Pick::Two(5)), None);
}

#[test]
fn a_new_member_gets_as_much_of_its_share_as_it_is_due_and_moves_no_key() {
    let whole = tiers(&[2, 2, 1], &[], 1);
    let mut new = whole.clone();
    new.primary[0].percent = 10;
    // Of 2 × 10, 2 × 100 and 1 × 100 hundredths.
    assert_eq!(counts(&new, 320), [20, 200, 100]);
    let mut drawn = [0u32; 3];
    for random in 0..12_000 {
        let random = stable_hash(&u64::to_be_bytes(random));
        drawn[index(&new, Pick::Two(random)).unwrap()] += 1;
    }
    assert!(drawn[0] < 1500, "{drawn:?}");
    for (member, in_flight) in new.primary.iter_mut().zip([1, 9, 9]) {
        member.in_flight = in_flight;
    }
    // One request is as much for it as ten for its equal.
    assert!((0..50).all(|turn| index(&new, Pick::Least(turn)) == Some(1)));
    for key in 0..2000 {
        assert_eq!(owner(&new, key), owner(&whole, key));
    }
}

#[test]
fn w_05_hashed_keys_follow_the_weights() {
    let tiers = tiers(&[1, 2, 5], &[], 1);
    let mut chosen = [0u32; 3];
    for key in 0..16_000 {
        chosen[owner(&tiers, key)] += 1;
    }
    for (count, expected) in chosen.into_iter().zip([2000u32, 4000, 10_000]) {
        assert!(count.abs_diff(expected) < expected / 10, "{chosen:?}");
    }
}

#[test]
fn w_05_the_order_of_the_members_means_nothing_to_a_key() {
    let ahead = tiers(&[1, 1, 1], &[], 1);
    let mut turned = ahead.clone();
    turned.primary.reverse();
    for key in 0..1000 {
        assert_eq!(owner(&ahead, key), 2 - owner(&turned, key));
    }
}

#[test]
fn w_05_the_address_key_is_that_of_nginx() {
    let key = |text: &str| {
        nginx_address_key(text.parse::<IpAddr>().unwrap())
            .as_bytes()
            .to_vec()
    };
    assert_eq!(key("203.0.113.7"), [203, 0, 113]);
    assert_eq!(key("::ffff:203.0.113.9"), [203, 0, 113]);
    assert_eq!(key("2001:db8::7").len(), 16);
    assert_ne!(key("2001:db8::7"), key("2001:db8::8"));
}

#[test]
fn shared_members_are_members() {
    let tiers = Tiers {
        primary: vec![Arc::new(node("a", 1))],
        secondary: Vec::new(),
        failover_threshold: 1,
    };
    assert_eq!(
        choose(&tiers, Pick::Turn(3), &[]).unwrap().member.seed,
        stable_hash(b"a")
    );
}

#[test]
fn w_07_failures_in_a_row_take_an_upstream_out_for_the_timeout() {
    let at = Timestamp::from_millis;
    let mut health = PassiveHealth::new(2, Duration::from_secs(10));
    health.failed(at(100_000));
    assert!(!health.is_out(at(100_000)));
    health.failed(at(109_000));
    assert!(health.is_out(at(109_000)));
    assert!(health.is_out(at(118_999)));
    assert!(!health.is_out(at(119_000)));
    health.failed(at(119_500));
    assert!(
        health.is_out(at(119_500)),
        "one failure is enough after the timeout"
    );
    health.succeeded(at(119_600));
    assert!(
        health.is_out(at(119_600)),
        "a request from before proves nothing"
    );
    health.succeeded(at(130_000));
    health.failed(at(130_001));
    assert!(!health.is_out(at(130_001)));
}

#[test]
fn w_07_failures_far_apart_are_forgotten_and_zero_never_takes_out() {
    let at = Timestamp::from_millis;
    let mut health = PassiveHealth::new(2, Duration::from_secs(10));
    health.failed(at(100_000));
    health.failed(at(110_000));
    assert!(!health.is_out(at(110_000)));
    let mut tireless = PassiveHealth::new(0, Duration::from_secs(10));
    for n in 0..100 {
        tireless.failed(at(100_000 + n));
    }
    assert!(!tireless.is_out(at(100_100)));
    let mut default = PassiveHealth::new(1, Duration::from_secs(10));
    default.failed(at(100_000));
    assert!(default.is_out(at(100_001)));
    assert!(
        !default.is_out(at(50_000)),
        "a clock set back lets it in again"
    );
}

#[test]
fn w_07_one_request_at_a_time_tries_an_upstream_that_was_out() {
    let at = Timestamp::from_millis;
    let mut health = PassiveHealth::new(1, Duration::from_secs(10));
    health.failed(at(100_000));
    assert!(!health.is_out(at(110_000)));
    health.picked(at(110_000));
    assert!(health.is_out(at(110_001)));
    health.succeeded(at(110_050));
    assert!(!health.is_out(at(110_051)));
}

#[test]
fn w_34_that_requests_fail_and_that_they_are_answered_again_is_told_once_each() {
    let at = Timestamp::from_millis;
    let mut health = PassiveHealth::new(2, Duration::from_secs(10));
    assert_eq!(health.failed(at(100_000)), None);
    assert_eq!(health.failed(at(100_001)), Some(Change::Down));
    assert_eq!(health.failed(at(100_002)), None);
    assert_eq!(health.succeeded(at(100_003)), None, "it is still out");
    assert_eq!(health.failed(at(120_000)), None, "it has not been in");
    assert_eq!(health.succeeded(at(130_000)), Some(Change::Up));
    assert_eq!(health.succeeded(at(130_001)), None);
    assert_eq!(health.failed(at(140_000)), None);
}

#[test]
fn checks_change_a_state_only_after_enough_answers_in_a_row() {
    let mut health = ActiveHealth::new(2, 3);
    assert!(!health.is_down());
    let mut report = |answers: &str| -> Vec<Option<Change>> {
        let answer = |c| if c == '+' { Answer::Good } else { Answer::Bad };
        answers.chars().map(|c| health.report(answer(c))).collect()
    };
    assert_eq!(report("--+--"), [None; 5]);
    assert_eq!(report("-"), [Some(Change::Down)]);
    assert_eq!(report("--+-+"), [None; 5]);
    assert_eq!(report("+"), [Some(Change::Up)]);
    assert_eq!(report("+--"), [None; 3]);
}

fn state() -> impl Strategy<Value = MemberState> {
    prop::sample::select(vec![
        MemberState::Healthy,
        MemberState::Healthy,
        MemberState::Suspected,
        MemberState::Ejected,
        MemberState::Drained,
        MemberState::Down,
    ])
}

fn pool() -> impl Strategy<Value = Tiers<Node>> {
    let member = || (1u32..10, state(), 0usize..5);
    let tier = move || prop::collection::vec(member(), 0..6);
    (tier(), tier(), 0usize..4).prop_map(|(primary, secondary, failover_threshold)| {
        let build = |name: &str, tier: Vec<(u32, MemberState, usize)>| {
            let members = tier.into_iter().enumerate();
            members
                .map(|(n, (weight, state, in_flight))| Node {
                    state,
                    in_flight,
                    ..node(&format!("{name}{n}"), weight)
                })
                .collect()
        };
        Tiers {
            primary: build("p", primary),
            secondary: build("s", secondary),
            failover_threshold,
        }
    })
}

fn rank(tiers: &Tiers<Node>, tried: &[usize], index: usize) -> Option<u8> {
    let primaries = tiers.primary.len();
    let is_open = |(at, node): &(usize, &Node), state| node.state == state && !tried.contains(at);
    let well = tiers
        .members()
        .filter(|member| member.0 < primaries && is_open(member, MemberState::Healthy))
        .count();
    let joined = well < tiers.failover_threshold.max(1);
    let member = tiers.members().nth(index)?;
    match member.1.state {
        _ if tried.contains(&index) => None,
        MemberState::Healthy if index < primaries || joined => Some(0),
        MemberState::Healthy | MemberState::Down | MemberState::Drained => None,
        MemberState::Suspected if index < primaries => Some(1),
        MemberState::Suspected => Some(2),
        MemberState::Ejected if index < primaries => Some(3),
        MemberState::Ejected => Some(4),
    }
}

proptest! {
    #![proptest_config(super::cases(2048))]

    #[test]
    fn the_chosen_member_is_never_down_drained_or_tried_and_of_the_best_kind(
        tiers in pool(),
        tried in prop::collection::vec(0usize..12, 0..6),
        turn in any::<u64>(),
        kind in 0usize..4,
    ) {
        let key = turn.to_be_bytes();
        let pick = [Pick::Turn(turn), Pick::Least(turn), Pick::Key(&key), Pick::Two(turn)][kind];
        let chosen = choose(&tiers, pick, &tried);
        let ranks = (0..tiers.members().count()).filter_map(|index| rank(&tiers, &tried, index));
        let best = ranks.min();
        prop_assert_eq!(chosen.as_ref().and_then(|chosen| rank(&tiers, &tried, chosen.index)), best);
        prop_assert_eq!(chosen.is_some(), best.is_some());
        prop_assert_eq!(is_any_left(&tiers, &tried), best.is_some());
        if let Some(chosen) = chosen {
            prop_assert_eq!(tiers.members().nth(chosen.index).unwrap().1.seed, chosen.member.seed);
        }
    }

    #[test]
    fn w_05_when_a_member_goes_only_its_keys_move(
        weights in prop::collection::vec(1u32..5, 2..8),
        lost in any::<prop::sample::Index>(),
    ) {
        let whole = tiers(&weights, &[1, 1], 1);
        let mut without = whole.clone();
        let lost = lost.index(weights.len());
        without.primary[lost].state = MemberState::Down;
        for key in 0..200 {
            let before = owner(&whole, key);
            let after = owner(&without, key);
            prop_assert!(before == after || before == lost);
            prop_assert_ne!(after, lost);
        }
    }

    #[test]
    fn w_06_when_secondaries_join_keys_move_only_to_them_and_back(
        primary in prop::collection::vec(1u32..5, 3..8),
        secondary in prop::collection::vec(1u32..5, 1..4),
    ) {
        let whole = tiers(&primary, &secondary, primary.len());
        let mut joined = whole.clone();
        joined.primary[0].state = MemberState::Down;
        let mut back = joined.clone();
        back.primary[0].state = MemberState::Healthy;
        for key in 0..200 {
            let before = owner(&whole, key);
            let during = owner(&joined, key);
            prop_assert!(during == before || during >= primary.len() || before == 0);
            prop_assert_ne!(during, 0);
            prop_assert_eq!(owner(&back, key), before);
        }
    }

    #[test]
    fn every_round_of_turns_keeps_the_weights_exactly(weights in prop::collection::vec(1u32..20, 1..8)) {
        let round = weights.iter().map(|weight| u64::from(*weight)).sum();
        let expected: Vec<u64> = weights.iter().map(|weight| u64::from(*weight)).collect();
        prop_assert_eq!(counts(&tiers(&weights, &[], 1), round), expected);
    }

    #[test]
    fn no_member_has_more_turns_in_a_row_than_it_outweighs_the_others(
        weights in prop::collection::vec(prop::sample::select(vec![1u32, 1, 2, 3, 4, 7, 10, 20]), 2..9),
    ) {
        let tiers = tiers(&weights, &[], 1);
        let weights: Vec<u64> = weights.into_iter().map(u64::from).collect();
        let round: u64 = weights.iter().sum();
        // Three rounds, so that the seam between two is looked at.
        let turns = turns(&tiers, 3 * round);
        for (member, weight) in weights.iter().enumerate() {
            let in_a_row = most_between(&turns, member, |chosen| chosen != member);
            prop_assert!(in_a_row <= weight.div_ceil(round - weight), "{member} in {turns:?}");
            for (other, its) in weights.iter().enumerate().filter(|(other, _)| *other != member) {
                let between = most_between(&turns, member, |chosen| chosen == other);
                prop_assert!(between <= 2 * weight.div_ceil(*its), "{member}, {other} in {turns:?}");
            }
        }
    }
}
