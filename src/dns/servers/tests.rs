//! How the answers about both families are put together, and which names are asked for.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

fn found(addresses: &[&str], valid_for: Duration) -> Records {
    let addresses = addresses.iter().map(|text| text.parse().unwrap());
    (addresses.collect(), valid_for)
}

fn both(v4: Result<Records, AskError>, v6: Result<Records, AskError>) -> Result<Answer, AskError> {
    together(vec![(Family::V4, v4), (Family::V6, v6)])
}

fn silent() -> Result<Records, AskError> {
    Err(AskError::Silent(NetError::Timeout))
}

#[test]
fn addresses_of_both_families_come_in_one_order_with_the_shorter_lifetime() {
    let v4 = found(&["10.0.0.9", "10.0.0.1", "10.0.0.9"], HOUR);
    let answer = both(Ok(v4), Ok(found(&["2001:db8::1", "::1"], MINUTE))).unwrap();
    let texts: Vec<String> = answer.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["10.0.0.1", "10.0.0.9", "::1", "2001:db8::1"]);
    assert_eq!((answer.valid_for, answer.unknown), (MINUTE, None));
}

#[test]
fn a_family_without_addresses_is_known_to_have_none() {
    let answer = both(
        Ok(found(&["10.0.0.1"], HOUR)),
        Err(AskError::NoAddresses(Some(MINUTE))),
    );
    let answer = answer.unwrap();
    assert_eq!((answer.valid_for, answer.unknown), (HOUR, None));
}

#[test]
fn a_family_that_nobody_answers_about_is_not_taken_for_empty() {
    let answer = both(silent(), Ok(found(&["2001:db8::1"], HOUR))).unwrap();
    assert_eq!(answer.unknown, Some(Family::V4));
    let refused = both(Err(AskError::NoAddresses(None)), silent());
    assert!(matches!(refused, Err(AskError::Silent(_))), "{refused:?}");
}

#[test]
fn that_there_is_no_such_name_holds_for_both_families() {
    for silence in [silent(), Err(AskError::NoAddresses(None))] {
        let answer = both(silence, Err(AskError::NoName(Some(MINUTE))));
        assert!(matches!(answer, Err(AskError::NoName(Some(MINUTE)))));
    }
}

#[tokio::test]
async fn a_name_that_is_not_whole_is_completed_as_resolv_conf_says() {
    let search: Vec<Name> = ["apps.svc.test.", "svc.test."]
        .iter()
        .map(|domain| Name::from_utf8(domain).unwrap())
        .collect();
    let config = ResolverConfig::from_name_servers(vec![NameServerConfig::udp(IpAddr::from([
        127, 0, 0, 1,
    ]))]);
    let servers = Servers::new(config, ResolverOpts::default(), (search, 2)).unwrap();
    for (name, candidates) in [
        ("app", "app.apps.svc.test. app.svc.test. app."),
        (
            "app.apps",
            "app.apps.apps.svc.test. app.apps.svc.test. app.apps.",
        ),
        ("a.b.c", "a.b.c. a.b.c.apps.svc.test. a.b.c.svc.test."),
        ("app.", "app."),
    ] {
        let asked = servers.candidates(name).unwrap();
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        assert_eq!(asked.join(" "), candidates, "{name}");
    }
}
