//! The throttle against those who guess: in a row, side by side, under many names, from many addresses, and
//! with clocks that are wrong.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const BEGINNING: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn account(number: u64) -> UserTag {
    UserTag::from_bytes(number.to_be_bytes())
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(number))
}

fn on(number: u64, from: IpAddr) -> Attempt {
    Attempt::new(account(number), from, None)
}

fn known(number: u64, device: u8) -> DeviceCookie {
    DeviceCookie {
        device: DeviceId::from_bytes([device; 16]),
        account: account(number),
        issued: BEGINNING,
    }
}

/// Attempts that are all forgotten at once.
fn memory(all: Duration) -> Memory {
    Memory { each: all, all }
}

fn throttle(rules: ThrottleRules) -> Throttle {
    Throttle::new(rules, [7; 16])
}

fn wait_of(verdict: Verdict) -> Duration {
    match verdict {
        Verdict::Go => Duration::ZERO,
        Verdict::Wait { wait, .. } => wait,
    }
}

/// How many of these attempts may be made, all at one moment.
fn made(throttle: &mut Throttle, attempts: impl Iterator<Item = Attempt>, now: Timestamp) -> usize {
    attempts
        .filter(|attempt| throttle.attempt(attempt, now) == Verdict::Go)
        .count()
}

#[test]
fn a_few_attempts_are_free_then_waits_double_up_to_the_longest() {
    let mut throttle = throttle(ThrottleRules {
        forget_after: Duration::from_hours(1000),
        ..ThrottleRules::default()
    });
    let mut now = BEGINNING;
    assert_eq!(made(&mut throttle, (0..5).map(|_| on(1, HOME)), now), 5);
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
        let wait = Duration::from_secs(seconds);
        assert_eq!(wait_of(throttle.attempt(&on(1, HOME), now)), wait);
        now = now.after(wait - Duration::from_millis(1));
        assert_ne!(throttle.attempt(&on(1, HOME), now), Verdict::Go);
        now = now.after(Duration::from_millis(1));
        assert_eq!(throttle.attempt(&on(1, HOME), now), Verdict::Go);
    }
}

#[test]
fn attempts_side_by_side_are_counted_before_any_is_judged_cve_2024_4629() {
    let mut throttle = throttle(ThrottleRules::default());
    let attempts = (0..1000).map(|n| on(1, address(n)));
    assert_eq!(made(&mut throttle, attempts, BEGINNING), 5);
}

#[test]
fn one_address_tries_only_so_many_accounts() {
    let mut throttle = throttle(ThrottleRules::default());
    let attempts = (0..1000).map(|n| on(n, HOME));
    assert_eq!(made(&mut throttle, attempts, BEGINNING), 100);
    assert_eq!(throttle.attempt(&on(0, address(1)), BEGINNING), Verdict::Go);
}

#[test]
fn all_addresses_of_a_network_of_64_bits_are_one() {
    let mut throttle = throttle(ThrottleRules::default());
    let in_network = |network: u16, host: u16| {
        IpAddr::V6(Ipv6Addr::new(
            0x2001, 0xdb8, 0, network, host, host, host, host,
        ))
    };
    let attempts = (0..1000).map(|n| on(n.into(), in_network(1, n)));
    assert_eq!(made(&mut throttle, attempts, BEGINNING), 100);
    let other = on(5000, in_network(2, 1));
    assert_eq!(throttle.attempt(&other, BEGINNING), Verdict::Go);
    let mapped = |n: u64| on(n, IpAddr::V6(Ipv4Addr::new(192, 0, 2, 9).to_ipv6_mapped()));
    let plain = |n: u64| on(n, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)));
    let attempts = (0..1000).map(|n| if n % 2 == 0 { mapped(n) } else { plain(n) });
    assert_eq!(made(&mut throttle, attempts, BEGINNING), 100);
}

#[test]
fn a_device_that_signed_in_before_waits_for_nobody_else_and_counts_for_itself() {
    let mut throttle = throttle(ThrottleRules::default());
    assert_eq!(
        made(&mut throttle, (0..1000).map(|_| on(1, HOME)), BEGINNING),
        5
    );
    let cookie = known(1, 1);
    let own = || Attempt::new(account(1), HOME, Some(&cookie));
    assert_eq!(made(&mut throttle, (0..1000).map(|_| own()), BEGINNING), 5);
    assert!(matches!(
        throttle.attempt(&own(), BEGINNING),
        Verdict::Wait {
            by: Counter::Device,
            ..
        }
    ));
}

#[test]
fn a_device_of_one_account_is_a_stranger_to_another() {
    let mut throttle = throttle(ThrottleRules::default());
    let devices: Vec<_> = (0..200).map(|device| known(2, device)).collect();
    let attempts = devices
        .iter()
        .map(|cookie| Attempt::new(account(1), HOME, Some(cookie)));
    assert_eq!(made(&mut throttle, attempts, BEGINNING), 5);
}

#[test]
fn a_right_password_takes_back_its_own_attempt_and_no_other() {
    let mut throttle = throttle(ThrottleRules::default());
    assert_eq!(
        made(&mut throttle, (0..4).map(|_| on(1, HOME)), BEGINNING),
        4
    );
    for _ in 0..1000 {
        assert_eq!(throttle.attempt(&on(1, HOME), BEGINNING), Verdict::Go);
        throttle.take_back(&on(1, HOME));
    }
    assert_eq!(
        made(&mut throttle, (0..9).map(|_| on(1, HOME)), BEGINNING),
        1
    );
}

#[test]
fn what_is_forgotten_is_forgotten_in_every_place_that_it_had() {
    let mut table = Table::new(8, memory(SECOND));
    let [own, other] = [b"own", b"two"].map(|name| Place::of(&[7; 16], &[name]));
    // The first place becomes free while another comes to stand before a second one.
    table.count(own, BEGINNING);
    table.take_back(own);
    table.count(other, BEGINNING.after(SECOND));
    for _ in 0..3 {
        table.count(own, BEGINNING.after(SECOND));
        table.take_back(own);
    }
    table.count(own, BEGINNING.after(SECOND));
    table.forget(own);
    assert_eq!(table.find(own, BEGINNING.after(SECOND)), None);
}

#[test]
fn other_rules_count_at_once_for_what_was_counted_before() {
    let mut throttle = throttle(ThrottleRules::default());
    assert_eq!(
        made(&mut throttle, (0..3).map(|_| on(1, HOME)), BEGINNING),
        3
    );
    throttle.retune(ThrottleRules {
        per_account: 2,
        ..ThrottleRules::default()
    });
    assert_eq!(
        wait_of(throttle.attempt(&on(1, HOME), BEGINNING)),
        2 * SECOND
    );
    throttle.retune(ThrottleRules {
        per_account: 4,
        ..ThrottleRules::default()
    });
    assert_eq!(
        made(&mut throttle, (0..9).map(|_| on(1, HOME)), BEGINNING),
        1
    );
}

#[test]
fn who_is_always_right_never_waits() {
    let mut throttle = throttle(ThrottleRules::default());
    for _ in 0..1000 {
        assert_eq!(throttle.attempt(&on(1, HOME), BEGINNING), Verdict::Go);
        throttle.take_back(&on(1, HOME));
    }
}

#[test]
fn what_was_counted_is_forgotten_after_a_while() {
    let rules = ThrottleRules::default();
    let forgotten = BEGINNING.after(rules.forget_after);
    let mut throttle = throttle(rules);
    assert_eq!(
        made(&mut throttle, (0..9).map(|_| on(1, HOME)), BEGINNING),
        5
    );
    assert_eq!(
        made(&mut throttle, (0..9).map(|_| on(1, HOME)), forgotten),
        5
    );
}

#[test]
fn attempts_are_forgotten_one_by_one_however_often_others_are_made() {
    let rules = ThrottleRules::default();
    let each = rules.forget_after / u32::from(rules.per_account);
    let mut throttle = throttle(rules);
    assert_eq!(
        made(&mut throttle, (0..9).map(|_| on(1, HOME)), BEGINNING),
        5
    );
    let mut now = BEGINNING;
    for _ in 0..100 {
        let before = now.after(each - Duration::from_millis(1));
        // Right ones, too, or else whoever signs in often would be kept from forgetting.
        let right = throttle.attempt(&on(1, HOME), before);
        if right == Verdict::Go {
            throttle.take_back(&on(1, HOME));
        }
        now = now.after(each);
        let attempts = (0..9).map(|_| on(1, HOME));
        assert_eq!(made(&mut throttle, attempts, now), 1);
    }
}

/// Five thousand people behind one address, who mistype a hundred times an hour all day.
#[test]
fn the_typos_of_a_large_office_keep_nobody_waiting() {
    let mut throttle = throttle(ThrottleRules::default());
    let mut now = BEGINNING;
    for n in 0..10_000_u64 {
        now = now.after(Duration::from_secs(36));
        assert_eq!(throttle.attempt(&on(n, HOME), now), Verdict::Go, "{n}");
        assert_eq!(throttle.attempt(&on(n + 1, HOME), now), Verdict::Go);
        throttle.take_back(&on(n + 1, HOME));
    }
}

#[test]
fn who_shares_an_address_with_one_who_guesses_waits_for_a_place_and_no_longer() {
    let mut throttle = throttle(ThrottleRules::default());
    let mut now = BEGINNING;
    let mut waited = Duration::ZERO;
    for n in 0..10_000_u64 {
        // It is tried again at once, by another name each time.
        let wait = wait_of(throttle.attempt(&on(n, HOME), now));
        waited = waited.max(wait);
        now = now.after(wait);
    }
    assert_eq!(waited, Duration::from_secs(36));
    assert!(wait_of(throttle.attempt(&on(20_000, HOME), now)) <= waited);
}

#[test]
fn addresses_that_are_excepted_are_not_counted_and_their_accounts_are() {
    let mut throttle = throttle(ThrottleRules {
        except: vec!["192.0.2.0/24".parse().unwrap()],
        ..ThrottleRules::default()
    });
    let attempts = (0..1000).map(|n| on(n, HOME));
    assert_eq!(made(&mut throttle, attempts, BEGINNING), 1000);
    assert_eq!(
        made(&mut throttle, (0..9).map(|_| on(1, HOME)), BEGINNING),
        4
    );
    let elsewhere = (2000..3000).map(|n| on(n, address(1)));
    assert_eq!(made(&mut throttle, elsewhere, BEGINNING), 100);
}

#[test]
fn a_clock_that_was_ahead_keeps_nobody_waiting_until_then() {
    let mut throttle = throttle(ThrottleRules::default());
    let ahead = BEGINNING.after(Duration::from_hours(24 * 365));
    assert_eq!(made(&mut throttle, (0..9).map(|_| on(1, HOME)), ahead), 5);
    assert_eq!(wait_of(throttle.attempt(&on(1, HOME), BEGINNING)), SECOND);
    let soon = BEGINNING.after(SECOND);
    assert_eq!(throttle.attempt(&on(1, HOME), soon), Verdict::Go);
}

#[test]
fn many_names_do_not_push_out_one_that_was_tried_more_often() {
    let rules = ThrottleRules {
        remembered: 1024,
        ..ThrottleRules::default()
    };
    let mut throttle = throttle(rules);
    assert_eq!(
        made(&mut throttle, (0..9).map(|_| on(1, HOME)), BEGINNING),
        5
    );
    // Each from an address of its own, as whoever has many of both would do it.
    for n in 2_u32..200_000 {
        throttle.attempt(&on(n.into(), address(n)), BEGINNING);
    }
    assert_ne!(throttle.attempt(&on(1, address(1)), BEGINNING), Verdict::Go);
}

#[test]
fn the_tables_do_not_grow() {
    let mut table = Table::new(1000, memory(SECOND));
    let before = table.capacity();
    for n in 0..10_000_u64 {
        table.count(Place::of(&[7; 16], &[&n.to_be_bytes()]), BEGINNING);
    }
    assert_eq!(table.capacity(), before);
    assert_eq!(before, 1000);
}

/// What somebody does: after so many milliseconds, an attempt on one of a few accounts, from one of a few
/// addresses, perhaps with a device, perhaps with the right password.
type Step = (u64, u64, u32, Option<u8>, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        prop_oneof![Just(0), 0_u64..2_000, 0_u64..1_000_000],
        0_u64..3,
        0_u32..3,
        proptest::option::of(0_u8..2),
        proptest::bool::weighted(0.2),
    );
    vec(step, 0..200)
}

proptest! {
    /// Between two wrong attempts on one account that were let through there is at least the wait of as many as
    /// cannot be forgotten yet, whoever else attempts what in between; and what waits changes nothing.
    #[test]
    fn guesses_at_one_account_are_apart_by_the_waits_whatever_else_happens(steps in steps()) {
        let rules = ThrottleRules::default();
        let each = rules.forget_after / u32::from(rules.per_account);
        let mut throttle = throttle(rules.clone());
        let mut now = BEGINNING;
        let mut wrong: Vec<Timestamp> = Vec::new();
        for (pause, number, from, device, is_right) in steps {
            now = now.after(Duration::from_millis(pause));
            let cookie = device.map(|device| known(number, device));
            let attempt = Attempt::new(account(number), address(from), cookie.as_ref());
            match throttle.attempt(&attempt, now) {
                Verdict::Go if is_right => throttle.take_back(&attempt),
                Verdict::Go if number == 0 && device.is_none() => {
                    if wrong.last().is_some_and(|last| now.since(*last) >= rules.forget_after) {
                        wrong.clear();
                    }
                    for (at, first) in wrong.iter().enumerate() {
                        let gone = now.since(*first).div_duration_f64(each).ceil();
                        let counted = (wrong.len() - at) as f64 - gone - 1.0;
                        let beyond = counted - f64::from(rules.per_account);
                        if beyond >= 0.0 {
                            let wait = SECOND.mul_f64(beyond.min(20.0).exp2());
                            let last = *wrong.last().unwrap();
                            prop_assert!(now.since(last) >= wait.min(rules.longest_wait));
                        }
                    }
                    wrong.push(now);
                }
                Verdict::Go => {}
                Verdict::Wait { wait, .. } => {
                    prop_assert!(wait <= rules.longest_wait);
                    let again = throttle.attempt(&attempt, now);
                    prop_assert_eq!(wait_of(again), wait);
                    // Nobody is locked out: when the wait is over, the attempt may be made, or there
                    // is one more counter to wait for.
                    let later = now.after(wait);
                    let after = throttle.attempt(&attempt, later);
                    prop_assert!(wait_of(after) <= rules.longest_wait);
                    if after == Verdict::Go {
                        throttle.take_back(&attempt);
                        now = later;
                    }
                }
            }
        }
    }

    /// The order in which names are tried, and their number, do not bring back a count that is larger.
    #[test]
    fn a_place_is_lost_only_to_as_many_that_were_tried_as_often(
        tries in 2_u16..6,
        others in vec((0_u64..64, 1_u16..3), 0..300),
    ) {
        let mut table = Table::new(8, memory(Duration::from_hours(1)));
        let place = |n: u64| Place::of(&[7; 16], &[&n.to_be_bytes()]);
        for _ in 0..tries.max(3) {
            table.count(place(1_000), BEGINNING);
        }
        // Everybody else is tried less often, so that one of them is always the least.
        let mut counted = std::collections::HashMap::new();
        for (name, times) in others {
            let sum = counted.entry(name).or_insert(0_u16);
            if *sum + times > 2 {
                continue;
            }
            *sum += times;
            for _ in 0..times {
                table.count(place(name), BEGINNING);
            }
        }
        prop_assert!(table.find(place(1_000), BEGINNING).is_some());
    }
}
