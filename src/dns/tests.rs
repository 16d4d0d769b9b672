//! What is answered without a server, and how long answers hold.

use super::*;

fn rules() -> NameRules {
    NameRules {
        servers: vec!["127.0.0.1:1".parse().unwrap()],
        ..NameRules::default()
    }
}

#[tokio::test]
async fn a_literal_address_is_answered_without_asking() {
    let resolver = HickoryResolver::new(rules());
    for (name, address) in [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[::1]", "::1"),
    ] {
        let resolved = resolver.resolve(name).await.unwrap();
        assert_eq!(resolved.addresses, [address.parse::<IpAddr>().unwrap()]);
        assert_eq!(resolved.valid_for, rules().ttl_max);
    }
}

#[test]
fn localhost_is_a_loopback_address_and_the_resolver_is_made_before_any_runtime() {
    let resolver = HickoryResolver::new(rules());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let resolved = runtime.block_on(resolver.resolve("localhost")).unwrap();
    assert!(!resolved.addresses.is_empty());
    assert!(resolved.addresses.iter().all(IpAddr::is_loopback));
    assert!(resolved.addresses.is_sorted());
    assert_eq!(resolved.valid_for, HOSTS_VALID_FOR);
}

#[tokio::test]
async fn an_unresolved_name_is_named_in_the_error_and_asked_for_again_soon() {
    let resolver = HickoryResolver::new(rules());
    let error = resolver.resolve("upstream.invalid").await.unwrap_err();
    assert_eq!(error.name, "upstream.invalid");
    assert!(error.ask_again >= rules().ttl_min && error.ask_again <= NOTHING_VALID_FOR);
}

#[test]
fn that_there_is_nothing_holds_as_long_as_the_server_says_within_bounds() {
    let seconds = Duration::from_secs;
    let rules = rules();
    for (said, holds) in [
        (Some(seconds(0)), seconds(1)),
        (Some(seconds(7)), seconds(7)),
        (Some(seconds(3600)), NOTHING_VALID_FOR),
        (None, FAILED_ASK_AGAIN),
    ] {
        assert_eq!(ask_again(&AskError::NoName(said), &rules), holds);
        assert_eq!(ask_again(&AskError::NoAddresses(said), &rules), holds);
    }
    let slow = NameRules {
        ttl_min: seconds(60),
        ..rules
    };
    assert_eq!(ask_again(&AskError::NoName(None), &slow), NOTHING_VALID_FOR);
}
