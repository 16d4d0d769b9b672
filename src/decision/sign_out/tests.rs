//! What a sign-out notes, what it tells, and that its state keeps its bounds.

use super::*;
use crate::decision::routing::HostPattern;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const DURABLE: Confirmed = Confirmed::Durable;
const PENDING: Confirmed = Confirmed::Outstanding;

fn cluster(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

fn sso(n: u8) -> SsoId {
    SsoId::from_bytes([n; 16])
}

/// The end of the n-th session: what happened here, and in the data centres named.
fn outcome(n: u8, here: Confirmed, elsewhere: &[(&str, Confirmed)]) -> Outcome {
    let elsewhere = elsewhere.iter();
    Outcome {
        sso: sso(n),
        cluster: Some(cluster("north")),
        visited: Vec::new(),
        here,
        elsewhere: elsewhere
            .map(|(name, confirmed)| (cluster(name), *confirmed))
            .collect(),
    }
}

/// The report of a sign-out in which these sessions ended, one after the other.
fn report(outcomes: Vec<Outcome>) -> SignedOut {
    let mut state = begin(None, NOW);
    for outcome in outcomes {
        note(&mut state, outcome);
    }
    signed_out(state)
}

fn listed(page: &SignedOut) -> Vec<(&str, Confirmed)> {
    let listed = page.data_centres.iter();
    listed
        .map(|(cluster, confirmed)| (cluster.as_str(), *confirmed))
        .collect()
}

fn origins() -> Origins {
    let served = [(HostPattern::parse("app.test").unwrap(), 443)];
    Origins::new(Some((host("login.test"), 443)), served.into())
}

#[test]
fn with_one_data_centre_there_is_no_list() {
    let page = report(vec![outcome(1, DURABLE, &[]), outcome(2, PENDING, &[])]);
    assert_eq!(page.confirmed, PENDING);
    assert!(page.data_centres.is_empty());
}

#[test]
fn the_list_names_this_data_centre_and_then_the_others_mdc_logout_3() {
    let page = report(vec![outcome(
        1,
        DURABLE,
        &[("south", PENDING), ("west", DURABLE)],
    )]);
    assert_eq!(page.confirmed, DURABLE);
    let expected = [("north", DURABLE), ("south", PENDING), ("west", DURABLE)];
    assert_eq!(listed(&page), expected);
}

#[test]
fn what_is_outstanding_for_one_session_is_outstanding_for_all_mdc_logout_3() {
    let one = || outcome(1, DURABLE, &[("south", PENDING)]);
    let other = || outcome(2, PENDING, &[("south", DURABLE)]);
    for order in [vec![one(), other()], vec![other(), one()]] {
        let page = report(order);
        assert_eq!(page.confirmed, PENDING);
        assert_eq!(listed(&page), [("north", PENDING), ("south", PENDING)]);
    }
}

#[test]
fn whoever_is_asked_about_every_session_again_reports_anew_mdc_logout_3() {
    let cases = [(vec![1, 2], false), (vec![1], true), (vec![], true)];
    for (again, outstanding) in cases {
        let mut state = begin(None, NOW);
        for n in [1, 2] {
            let outcome = outcome(n, PENDING, &[("south", PENDING)]);
            note(&mut state, outcome);
        }
        let again: Vec<_> = again.into_iter().map(sso).collect();
        report_anew(&mut state, &again);
        assert_eq!(state.confirmed == PENDING, outstanding, "{again:?}");
        assert_eq!(!state.data_centres.is_empty(), outstanding, "{again:?}");
        assert_eq!(state.ended, [sso(1), sso(2)]);
    }
}

#[test]
fn an_end_that_no_engine_heard_of_is_outstanding_and_no_data_centre_s_15() {
    let unheard = Outcome {
        cluster: None,
        ..outcome(1, PENDING, &[])
    };
    let page = report(vec![outcome(2, DURABLE, &[("south", DURABLE)]), unheard]);
    assert_eq!(page.confirmed, PENDING);
    assert_eq!(listed(&page), [("north", DURABLE), ("south", DURABLE)]);
}

#[test]
fn a_return_address_does_not_hide_what_is_outstanding_mdc_logout_3() {
    let address = "https://app.test/bye";
    let begun = || begin(Some(address.to_owned()), NOW);
    let mut state = begun();
    let confirmed = outcome(1, DURABLE, &[("south", DURABLE)]);
    note(&mut state, confirmed);
    let stop = next_stop(&mut state, &origins());
    assert_eq!(stop, Some(Stop::Return(address.to_owned())));
    let outstanding = outcome(2, DURABLE, &[("south", PENDING)]);
    note(&mut state, outstanding);
    let stop = next_stop(&mut state, &origins());
    let page = Stop::SignedOut("https://login.test".to_owned());
    assert_eq!(stop, Some(page));
    assert_eq!(signed_out(state).return_to.as_deref(), Some(address));
}

#[test]
fn the_hosts_visited_by_all_sessions_are_visited_once_each_mdc_logout_1() {
    let mut state = begin(None, NOW);
    for (n, names) in [(1, ["a.test", "b.test"]), (2, ["b.test", "c.test"])] {
        let outcome = Outcome {
            visited: names.map(host).into(),
            ..outcome(n, DURABLE, &[])
        };
        note(&mut state, outcome);
    }
    assert_eq!(state.hosts, ["a.test", "b.test", "c.test"].map(host));
}

/// Whatever is noted, the sealed state fits the head of a request: it travels in an address.
#[test]
fn the_state_keeps_its_bounds_x_22() {
    use crate::crypto::claims::Claims;
    use crate::decision::origins::TARGET_BYTES_MAX;

    let address = format!("https://app.test/{}", "a".repeat(TARGET_BYTES_MAX - 1));
    let address = origins().return_address(&address);
    assert!(address.is_some());
    for host_bytes in [10, 60, HostName::BYTES_MAX] {
        let mut state = begin(address.clone(), NOW);
        for n in 0..20 {
            let names = (0..64).map(|m| {
                let label = "h".repeat(60);
                let long = format!("{n}-{m}.{label}.{label}.{label}.{label}");
                let kept = host_bytes.min(long.len());
                host(long.get(..kept).unwrap().trim_end_matches('.'))
            });
            let centres = (0..20).map(|m| (cluster(&format!("centre-{n}-{m}")), PENDING));
            let outcome = Outcome {
                sso: sso(n),
                cluster: Some(cluster("north")),
                visited: names.collect(),
                here: DURABLE,
                elsewhere: centres.collect(),
            };
            note(&mut state, outcome);
        }
        assert!(state.hosts.len() <= HOSTS_MAX);
        assert_eq!(state.data_centres.len(), DATA_CENTRES_MAX);
        // Base64 of what the seal adds and of the state itself.
        let sealed = (state.encode().len() + 33).div_ceil(3) * 4;
        assert!(sealed < 16 * 1024, "{sealed} bytes in the address");
    }
}

#[test]
fn the_usual_number_of_hosts_all_find_room_x_22() {
    let mut state = begin(None, NOW);
    let outcome = Outcome {
        visited: (0..HOSTS_MAX)
            .map(|n| host(&format!("application-{n}.department.company.example")))
            .collect(),
        ..outcome(1, DURABLE, &[])
    };
    note(&mut state, outcome);
    assert_eq!(state.hosts.len(), HOSTS_MAX);
}
