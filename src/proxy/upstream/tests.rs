//! Members that come and go with the addresses of their name.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;
use crate::config::Timeouts;
use crate::decision::upstream::Balance;
use crate::decision::upstream::BudgetTerms;
use crate::decision::upstream::Member;
use crate::decision::upstream::MemberState;
use crate::decision::upstream::Pick;
use crate::decision::upstream::choose;
use crate::model::name::PoolName;
use crate::proxy::health::CheckError;
use crate::proxy::pool::PoolParts;
use crate::proxy::pool::PoolRuntime;

struct TestClock(AtomicU64);

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, _: Duration) {}
}

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock(AtomicU64::new(1_000_000)))
}

fn pool(hosts: &[&str]) -> Pool {
    let upstream = |host: &&str| Upstream {
        place: UpstreamPlace::Inet {
            host: (*host).to_owned(),
            port: 80,
        },
        weight: 3,
    };
    Pool {
        name: PoolName::parse("app").unwrap(),
        tls: None,
        http2: None,
        proxy_protocol: None,
        balance: Balance::RoundRobin,
        primary: hosts.iter().map(upstream).collect(),
        secondary: Vec::new(),
        failover_threshold: 1,
        max_fails: 1,
        fail_timeout: Duration::from_secs(10),
        outliers: None,
        slow_start: None,
        health_check: None,
        timeouts: Timeouts {
            connect: Duration::from_secs(1),
            first_byte: Duration::from_secs(1),
            read_idle: Duration::from_secs(1),
            write_idle: Duration::from_secs(1),
            total: None,
        },
        connect_retries: 3,
        retry_budget: BudgetTerms {
            percent: 20,
            per_second_min: 10,
        },
    }
}

fn running(hosts: &[&str], clock: &Arc<TestClock>) -> PoolRuntime {
    PoolRuntime::new(Arc::new(pool(hosts)), None, &parts(clock))
}

fn parts(clock: &Arc<TestClock>) -> PoolParts {
    PoolParts {
        clock: clock.clone(),
        drains: Arc::default(),
        ejecting: Arc::default(),
    }
}

fn answer(addresses: &[IpAddr], unknown: Option<Family>) -> Resolved {
    Resolved {
        addresses: addresses.to_vec(),
        valid_for: Duration::from_secs(60),
        unknown,
    }
}

fn resolve(pool: &PoolRuntime, addresses: &[&str]) -> Option<Turnover> {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    pool.resolved_to(&pool.upstreams.primary[0], &answer(&addresses, None))
}

fn shown(pool: &PoolRuntime) -> Vec<String> {
    let members = pool.members();
    members.members().map(|(_, at)| at.shown.clone()).collect()
}

fn member(pool: &PoolRuntime, shown: &str) -> Arc<MemberRuntime> {
    let members = pool.members();
    let found = members.members().find(|(_, at)| at.shown == shown);
    Arc::clone(found.unwrap().1)
}

#[test]
fn each_address_of_a_name_is_a_member_with_the_weight_of_the_name() {
    let pool = running(&["app.test", "192.0.2.1"], &clock());
    assert_eq!(shown(&pool), ["192.0.2.1:80"]);
    let turnover = resolve(&pool, &["::1", "10.0.0.2", "10.0.0.1", "10.0.0.2"]).unwrap();
    assert_eq!((turnover.come.len(), turnover.strangers), (3, 3));
    assert_eq!(
        shown(&pool),
        ["10.0.0.1:80", "10.0.0.2:80", "[::1]:80", "192.0.2.1:80"]
    );
    let members = pool.members();
    assert!(members.members().all(|(_, at)| at.weight() == 3));
    assert!(
        members.primary[..3]
            .iter()
            .all(|at| at.authority == "app.test:80")
    );
}

#[test]
fn members_that_stay_keep_their_health_and_those_that_go_keep_their_requests() {
    let clock = clock();
    let pool = running(&["app.test"], &clock);
    resolve(&pool, &["10.0.0.1", "10.0.0.2"]);
    member(&pool, "10.0.0.1:80").failed(clock.now(), String::new);
    let gone = member(&pool, "10.0.0.2:80");
    let held = gone.enter(clock.now());
    assert_eq!(resolve(&pool, &["10.0.0.2", "10.0.0.1"]), None);
    let turnover = resolve(&pool, &["10.0.0.1", "10.0.0.3"]).unwrap();
    let addresses = |texts: &[&str]| -> Vec<Address> {
        let each = texts.iter();
        each.map(|text| Address::Inet(text.parse().unwrap()))
            .collect()
    };
    assert_eq!(turnover.come, addresses(&["10.0.0.3:80"]));
    assert_eq!(turnover.gone, addresses(&["10.0.0.2:80"]));
    let state = |shown| member(&pool, shown).state();
    assert_eq!(state("10.0.0.1:80"), MemberState::Suspected);
    assert_eq!(state("10.0.0.3:80"), MemberState::Healthy);
    assert_eq!(gone.in_flight(), 1);
    drop(held);
    assert_eq!(gone.in_flight(), 0);
    assert_eq!(pool.upstreams.primary[0].requests(), 1);
}

#[test]
fn an_address_that_comes_back_soon_is_as_well_as_it_was() {
    let clock = clock();
    let pool = running(&["app.test"], &clock);
    resolve(&pool, &["10.0.0.1", "10.0.0.2"]);
    let ill = member(&pool, "10.0.0.2:80");
    ill.checked(Err(CheckError::Late));
    drop(ill.enter(clock.now()));
    resolve(&pool, &["10.0.0.1"]);
    let turnover = resolve(&pool, &["10.0.0.2"]).unwrap();
    assert_eq!(turnover.strangers, 0);
    assert_eq!(member(&pool, "10.0.0.2:80").state(), MemberState::Down);
    // The other one went in the same moment; both are forgotten later, but not how busy they were.
    clock.0.fetch_add(601_000, Ordering::SeqCst);
    resolve(&pool, &["10.0.0.3"]);
    clock.0.fetch_add(601_000, Ordering::SeqCst);
    let turnover = resolve(&pool, &["10.0.0.2"]).unwrap();
    assert_eq!(turnover.strangers, 1);
    assert_eq!(member(&pool, "10.0.0.2:80").state(), MemberState::Healthy);
    assert_eq!(pool.upstreams.primary[0].requests(), 1);
}

#[test]
fn a_family_that_no_server_told_of_keeps_its_addresses() {
    let pool = running(&["app.test"], &clock());
    resolve(&pool, &["10.0.0.1", "::1"]);
    let name = &pool.upstreams.primary[0];
    let v4: IpAddr = "10.0.0.2".parse().unwrap();
    pool.resolved_to(name, &answer(&[v4], Some(Family::V6)));
    assert_eq!(shown(&pool), ["10.0.0.2:80", "[::1]:80"]);
    pool.resolved_to(name, &answer(&[v4], None));
    assert_eq!(shown(&pool), ["10.0.0.2:80"]);
}

#[test]
fn a_changed_pool_goes_on_with_the_addresses_of_the_one_before() {
    let clock = clock();
    let before = running(&["app.test", "gone.test"], &clock);
    resolve(&before, &["10.0.0.1", "10.0.0.2"]);
    member(&before, "10.0.0.1:80").failed(clock.now(), String::new);
    before.upstreams.primary[0].not_resolved("it rains".to_owned());
    let mut config = pool(&["new.test", "app.test"]);
    config.primary[1].weight = 7;
    let after = PoolRuntime::new(Arc::new(config), Some(&before), &parts(&clock));
    assert_eq!(shown(&after), ["10.0.0.1:80", "10.0.0.2:80"]);
    let stays = member(&after, "10.0.0.1:80");
    assert_eq!((stays.weight(), stays.state()), (7, MemberState::Suspected));
    let naming = after.upstreams.primary[1].naming();
    assert!(matches!(naming, Naming::Failing { why, .. } if why == "it rains"));
}

#[test]
fn a_service_has_the_hosts_ports_and_shares_that_are_offered_and_keeps_what_stays() {
    let clock = clock();
    let mut config = pool(&["_http._tcp.app.test"]);
    config.primary[0] = Upstream {
        place: UpstreamPlace::Service("_http._tcp.app.test".to_owned()),
        weight: 2,
    };
    let pool = PoolRuntime::new(Arc::new(config), None, &parts(&clock));
    let target = |host: &str, priority, weight, address: &str| Target {
        host: host.to_owned(),
        port: 8080,
        priority,
        weight,
        addresses: vec![address.parse().unwrap()],
    };
    let offer = |targets: Vec<Target>| {
        let offered = Offered {
            targets,
            valid_for: Duration::from_secs(60),
        };
        pool.offered_by(&pool.upstreams.primary[0], &offered)
    };
    let first = vec![
        target("two.test", 20, 5, "10.0.0.2"),
        target("one.test", 10, 3, "10.0.0.1"),
        // The same address is one member, of the host that comes first.
        target("again.test", 20, 9, "10.0.0.1"),
    ];
    assert_eq!(offer(first.clone()).unwrap().come.len(), 2);
    assert_eq!(offer(first), None);
    let tiers = |members: &[Arc<MemberRuntime>]| -> Vec<String> {
        let each = members.iter();
        each.map(|at| format!("{} {} {}", at.authority, at.shown, at.weight()))
            .collect()
    };
    let members = pool.members();
    assert_eq!(tiers(&members.primary), ["one.test:8080 10.0.0.1:8080 6"]);
    assert_eq!(
        tiers(&members.secondary),
        ["two.test:8080 10.0.0.2:8080 10"]
    );
    assert_eq!(members.primary[0].name, "_http._tcp.app.test");
    member(&pool, "10.0.0.1:8080").failed(clock.now(), String::new);
    // Without a weight it counts as one, and it is as well as it was.
    let turnover = offer(vec![target("one.test", 10, 0, "10.0.0.1")]).unwrap();
    assert_eq!((turnover.come.len(), turnover.gone.len()), (0, 1));
    let stays = member(&pool, "10.0.0.1:8080");
    assert_eq!((stays.weight(), stays.state()), (2, MemberState::Suspected));
}

#[test]
fn a_socket_is_one_member_that_keeps_its_health_beside_addresses() {
    let clock = clock();
    let sockets = |paths: &[&str]| {
        let mut config = pool(&["192.0.2.1"]);
        config.primary.extend(paths.iter().map(|path| Upstream {
            place: UpstreamPlace::Unix((*path).to_owned()),
            weight: 5,
        }));
        Arc::new(config)
    };
    let before = PoolRuntime::new(
        sockets(&["/run/a.sock", "/run/b.sock"]),
        None,
        &parts(&clock),
    );
    let all = ["192.0.2.1:80", "unix:/run/a.sock", "unix:/run/b.sock"];
    assert_eq!(shown(&before), all);
    let (one, two) = (member(&before, all[1]), member(&before, all[2]));
    assert_eq!((one.weight(), one.name.as_str()), (5, all[1]));
    assert_eq!(
        (one.authority.as_str(), one.certificate_name()),
        ("localhost", "localhost")
    );
    // Clients that go by a key would all go to the same one.
    assert_ne!(one.seed(), two.seed());
    two.failed(clock.now(), String::new);
    let after = PoolRuntime::new(
        sockets(&["/run/b.sock", "/run/c.sock"]),
        Some(&before),
        &parts(&clock),
    );
    assert_eq!(member(&after, all[2]).state(), MemberState::Suspected);
    assert_eq!(
        member(&after, "unix:/run/c.sock").state(),
        MemberState::Healthy
    );
}

#[test]
fn a_failure_begins_once_and_ends_once_whatever_its_reasons() {
    let pool = running(&["app.test"], &clock());
    let name = &pool.upstreams.primary[0];
    assert!(!name.is_resolved());
    let begun = ["refused", "silent", "refused"].map(|why| name.not_resolved(why.to_owned()));
    assert_eq!(begun, [true, false, false]);
    assert!(matches!(name.naming(), Naming::Failing { why, .. } if why == "refused"));
    assert_eq!([name.is_resolved(), name.is_resolved()], [true, false]);
}

#[test]
fn a_name_with_a_thousand_addresses_has_as_many_members_as_are_used() {
    let pool = running(&["app.test"], &clock());
    let all: Vec<IpAddr> = (0..1000_u32)
        .map(|at| IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + at)))
        .collect();
    pool.resolved_to(&pool.upstreams.primary[0], &answer(&all, None));
    assert_eq!(shown(&pool).len(), MEMBERS_MAX);
}

fn owners(pool: &PoolRuntime) -> BTreeMap<u32, String> {
    let members = pool.members();
    let owner = |key: u32| {
        let chosen = choose(&members, Pick::Key(&key.to_be_bytes()), &[]);
        Some((key, chosen?.member.shown.clone()))
    };
    (0..64).filter_map(owner).collect()
}

proptest! {
    #[test]
    fn keys_move_only_from_addresses_that_go_and_to_those_that_come_w_05(
        answers in prop::collection::vec(prop::collection::vec(0_u8..8, 1..6), 1..12),
    ) {
        let pool = running(&["app.test"], &clock());
        let mut known: BTreeMap<Address, Arc<MemberRuntime>> = BTreeMap::new();
        let mut before = BTreeMap::new();
        for last in answers {
            let all: Vec<IpAddr> = last.iter().map(|at| IpAddr::from([10, 0, 0, *at])).collect();
            let turnover = pool.resolved_to(&pool.upstreams.primary[0], &answer(&all, None));
            let members = pool.members();
            let now: BTreeMap<Address, Arc<MemberRuntime>> = members
                .members()
                .map(|(_, at)| (at.address.clone(), Arc::clone(at)))
                .collect();
            let expected: BTreeSet<IpAddr> = all.into_iter().collect();
            let ips = now.keys().filter_map(Address::inet).map(|address| address.ip());
            prop_assert!(ips.eq(expected));
            let turnover = turnover.unwrap_or(Turnover { come: vec![], gone: vec![], strangers: 0 });
            for (address, member) in &now {
                match known.get(address) {
                    Some(same) => prop_assert!(Arc::ptr_eq(same, member)),
                    None => prop_assert!(turnover.come.contains(address)),
                }
            }
            prop_assert!(turnover.gone.iter().all(|at| known.contains_key(at) && !now.contains_key(at)));
            let owners = owners(&pool);
            let gone: Vec<String> = turnover.gone.iter().map(ToString::to_string).collect();
            let come: Vec<String> = turnover.come.iter().map(ToString::to_string).collect();
            for (key, owner) in &owners {
                let was: Option<&String> = before.get(key);
                let moved = was.is_some_and(|was| was != owner);
                prop_assert!(!moved || come.contains(owner) || was.is_some_and(|was| gone.contains(was)));
            }
            known = now;
            before = owners;
        }
    }
}
