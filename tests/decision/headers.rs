//! Forwarding and identity headers: whom the gateway believes, and that no client speaks for it.

use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use ipnet::IpNet;
use portway::decision::forwarded::Arrival;
use portway::decision::forwarded::CLIENT_CLAIMS;
use portway::decision::forwarded::Origin;
use portway::decision::forwarded::Scheme;
use portway::decision::identity_headers::IdentityHeaderError;
use portway::decision::identity_headers::IdentityHeaderNames;
use portway::decision::identity_headers::ProtectedNames;
use portway::decision::identity_headers::VALUE_BYTES_MAX;
use portway::decision::identity_headers::folded;
use portway::decision::identity_headers::groups_fit;
use portway::decision::identity_headers::values;
use portway::model::identity::Identity;
use portway::model::name::GroupName;
use portway::model::name::HostName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Attributes;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn host() -> HostName {
    HostName::parse("app.test").unwrap()
}

fn sent(headers: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        )
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter().map(pair) {
        map.append(name, value);
    }
    map
}

#[test]
fn only_who_is_not_trusted_to_speak_for_others_is_the_client_itself() {
    assert!(origin("203.0.113.7", &[("x-forwarded-for", "10.0.0.1")]).is_direct());
    for headers in [&[][..], &[("x-forwarded-for", "203.0.113.7")]] {
        assert!(!origin("10.0.0.1", headers).is_direct(), "{headers:?}");
    }
}

/// What becomes of headers from a peer on a TLS listener; the networks of 10/8 and fd00::/8 are trusted.
fn origin(peer: &str, headers: &[(&'static str, &str)]) -> Origin {
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"]
        .map(|range| range.parse().unwrap())
        .to_vec();
    let host = host();
    let arrival = Arrival {
        peer: ip(peer),
        scheme: Scheme::Https,
        host: &host,
        port: 8443,
    };
    Origin::of(&arrival, &trusted, &sent(headers))
}

fn told(origin: &Origin, name: &str) -> String {
    let (_, value) = origin
        .headers(&host())
        .find(|(known, _)| *known == name)
        .unwrap();
    value.to_str().unwrap().to_owned()
}

#[test]
fn w_12_nothing_that_an_untrusted_peer_says_counts() {
    for value in [
        "203.0.113.66",
        "not-an-ip",
        "10.0.0.1, 10.0.0.2, 10.0.0.3",
        "",
        "127.0.0.1",
    ] {
        let origin = origin(
            "198.51.100.7",
            &[
                ("x-forwarded-for", value),
                ("x-forwarded-proto", "http"),
                ("x-forwarded-port", "1"),
                ("x-forwarded-host", "evil.test"),
                ("forwarded", "for=203.0.113.66;proto=javascript"),
                ("x-real-ip", "203.0.113.66"),
            ],
        );
        assert_eq!(origin.client, ip("198.51.100.7"));
        assert_eq!((origin.scheme, origin.port), (Scheme::Https, 8443));
        assert_eq!(told(&origin, "x-forwarded-for"), "198.51.100.7");
        assert_eq!(told(&origin, "x-forwarded-proto"), "https");
        assert_eq!(told(&origin, "x-forwarded-host"), "app.test");
        assert_eq!(told(&origin, "x-forwarded-server"), "app.test");
        assert_eq!(told(&origin, "x-forwarded-port"), "8443");
        assert_eq!(told(&origin, "x-real-ip"), "198.51.100.7");
        assert_eq!(
            told(&origin, "forwarded"),
            "for=198.51.100.7;host=\"app.test:8443\";proto=https"
        );
    }
}

#[test]
fn w_12_a_trusted_peer_names_its_client_and_is_appended() {
    let origin = origin(
        "10.0.0.5",
        &[
            ("x-forwarded-for", "192.0.2.1, 203.0.113.9"),
            ("x-forwarded-for", "10.9.9.9"),
        ],
    );
    assert_eq!(origin.client, ip("203.0.113.9"));
    assert_eq!(
        told(&origin, "x-forwarded-for"),
        "192.0.2.1, 203.0.113.9, 10.9.9.9, 10.0.0.5"
    );
    assert_eq!(told(&origin, "x-real-ip"), "203.0.113.9");
}

#[test]
fn addresses_are_read_as_proxies_write_them() {
    for (value, client) in [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9:1234 ", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:99", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9,\tfd00::7", "203.0.113.9"),
        ("10.0.0.8", "10.0.0.8"),
        ("10.0.0.8, 10.0.0.9", "10.0.0.8"),
    ] {
        assert_eq!(
            origin("10.0.0.5", &[("x-forwarded-for", value)]).client,
            ip(client),
            "{value}"
        );
        assert_eq!(
            origin("::ffff:10.0.0.5", &[("x-forwarded-for", value)]).client,
            ip(client),
            "{value}"
        );
    }
}

#[test]
fn a_malformed_entry_opens_nothing_and_is_not_passed_on() {
    for value in [
        "unknown",
        "",
        "203.0.113.9,",
        "203.0.113.9 x",
        "\u{e9}",
        "_hidden",
        "300.1.1.1",
        "1.2.3",
        "a, 10.0.0.8",
    ] {
        let origin = origin("10.0.0.5", &[("x-forwarded-for", value)]);
        assert_eq!(origin.client, ip("10.0.0.5"), "{value}");
        assert!(told(&origin, "x-forwarded-for").ends_with("10.0.0.5"));
    }
    let behind = origin("10.0.0.5", &[("x-forwarded-for", "<script>, 203.0.113.9")]);
    assert_eq!(behind.client, ip("203.0.113.9"));
    assert_eq!(told(&behind, "x-forwarded-for"), "203.0.113.9, 10.0.0.5");
    let many = vec!["10.0.0.9"; 1000].join(",");
    assert_eq!(
        origin("10.0.0.5", &[("x-forwarded-for", &many)]).client,
        ip("10.0.0.5")
    );
}

#[test]
fn scheme_and_port_of_a_trusted_peer_count_when_they_make_sense() {
    let seen = |headers: &[(&'static str, &str)]| {
        let origin = origin("10.0.0.5", headers);
        (origin.scheme, origin.port)
    };
    assert_eq!(seen(&[("x-forwarded-proto", "HTTP")]), (Scheme::Http, 80));
    assert_eq!(
        seen(&[("x-forwarded-proto", "https")]),
        (Scheme::Https, 8443)
    );
    assert_eq!(
        seen(&[("x-forwarded-proto", "http"), ("x-forwarded-port", "8080")]),
        (Scheme::Http, 8080)
    );
    for odd in ["javascript", "http,https", "https://", ""] {
        assert_eq!(
            seen(&[("x-forwarded-proto", odd)]),
            (Scheme::Https, 8443),
            "{odd}"
        );
    }
    assert_eq!(
        seen(&[("x-forwarded-proto", "http"), ("x-forwarded-proto", "http")]),
        (Scheme::Https, 8443)
    );
    for odd in ["0", "+80", "65536", "80 ", ""] {
        assert_eq!(
            seen(&[("x-forwarded-port", odd)]),
            (Scheme::Https, 8443),
            "{odd}"
        );
    }
}

#[test]
fn w_10_the_host_is_the_routed_one_whatever_a_trusted_peer_says() {
    let origin = origin(
        "10.0.0.5",
        &[
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-server", "evil.test"),
        ],
    );
    assert_eq!(told(&origin, "x-forwarded-host"), "app.test");
    assert_eq!(told(&origin, "x-forwarded-server"), "app.test");
}

#[test]
fn rfc_7239_quotes_what_is_no_token() {
    let headers = [
        ("x-forwarded-for", "2001:db8::1"),
        ("x-forwarded-port", "443"),
    ];
    let origin = origin("fd00::5", &headers);
    assert_eq!(
        told(&origin, "forwarded"),
        "for=\"[2001:db8::1]\", for=\"[fd00::5]\";host=app.test;proto=https"
    );
    let literal = HostName::parse("[::1]").unwrap();
    let forwarded = origin
        .headers(&literal)
        .find(|(name, _)| *name == "forwarded")
        .unwrap();
    assert!(
        forwarded
            .1
            .to_str()
            .unwrap()
            .ends_with(";host=\"[::1]\";proto=https"),
        "{forwarded:?}"
    );
}

fn names() -> IdentityHeaderNames {
    IdentityHeaderNames {
        user: Some(HeaderName::from_static("x-remote-user")),
        groups: Some(HeaderName::from_static("x-remote-groups")),
        email: None,
        name: Some(HeaderName::from_static("remote-name")),
    }
}

fn is_protected(name: &str) -> bool {
    ProtectedNames::new(names().iter()).matches(&HeaderName::from_bytes(name.as_bytes()).unwrap())
}

#[test]
fn a_client_cannot_send_an_identity_header_in_any_spelling() {
    for name in [
        "x-remote-user",
        "X-Remote-User",
        "X_Remote_User",
        "x_remote-user",
        "X.Remote.User",
        "xremoteuser",
        "X-Remote_Groups",
        "x-~remote|user",
        "-x-remote-user-",
        "Remote-User",
        "REMOTE_GROUPS",
        "Remote.Email",
    ] {
        assert!(is_protected(name), "{name}");
    }
}

#[test]
fn a_client_cannot_send_forwarding_or_override_headers() {
    for name in [
        "x-forwarded-for",
        "X_Forwarded_Uri",
        "X-Forwarded-Prefix",
        "X-Forwarded-Anything",
        "Forwarded",
        "X-Real-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "x_http_method",
        "X-Method-Override",
        "Proxy",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Client-Cert",
        "X-Portway-Session",
        "Portway-User",
        "x.request.id",
        "traceparent",
        "TraceParent",
        "Trace_Parent",
        "tracestate",
        "trace.state",
    ] {
        assert!(is_protected(name), "{name}");
    }
    for name in CLIENT_CLAIMS {
        assert!(is_protected(name), "{name}");
    }
}

#[test]
fn other_headers_pass() {
    for name in [
        "accept",
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "host",
        "origin",
        "range",
        "referer",
        "remote",
        "te",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-requested-with",
        "x-remote-username",
        "xyz",
        "proxy-authorization",
        "traceresponse",
        "x-csrf-token",
        "sec-websocket-key",
        "forwarded-by",
        "-",
        "~",
        "1",
    ] {
        assert!(!is_protected(name), "{name}");
    }
}

fn alice(groups: &[&str]) -> Identity {
    Identity {
        store: StoreName::parse("users").unwrap(),
        subject: UserName::parse("alice").unwrap(),
        name: None,
        email: Some("alice@app.test".to_owned()),
        groups: groups
            .iter()
            .map(|group| GroupName::parse(group).unwrap())
            .collect(),
        attributes: Default::default(),
    }
}

type All = Result<Vec<(HeaderName, HeaderValue)>, IdentityHeaderError>;

fn all(identity: &Identity, attributes: Attributes, names: &IdentityHeaderNames) -> All {
    let sent = values(identity, attributes, names);
    sent.map(|sent| sent.map(|(name, value)| (name.clone(), value)))
        .collect()
}

fn written(identity: &Identity) -> Vec<(String, String)> {
    let sent = all(identity, Attributes::Known, &names()).unwrap();
    let text = |(name, value): &(HeaderName, HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    sent.iter().map(text).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn what_an_identity_lacks_is_absent_and_not_empty() {
    let mut identity = alice(&[]);
    identity.name = Some(String::new());
    assert_eq!(written(&identity), [pair("x-remote-user", "alice")]);
}

#[test]
fn of_attributes_that_are_not_known_nothing_is_sent_but_who_it_is_s_10() {
    let mut identity = alice(&["staff"]);
    identity.name = Some("Alice".to_owned());
    let known = all(&identity, Attributes::Unknown, &names()).unwrap();
    let user = HeaderName::from_static("x-remote-user");
    assert_eq!(known, [(user, HeaderValue::from_static("alice"))]);
    let nameless = IdentityHeaderNames {
        user: None,
        ..names()
    };
    assert_eq!(
        all(&identity, Attributes::Unknown, &nameless),
        Ok(Vec::new())
    );
}

#[test]
fn only_configured_names_are_sent() {
    assert_eq!(
        written(&alice(&["staff", "a b"])),
        [
            pair("x-remote-user", "alice"),
            pair("x-remote-groups", "staff,a b")
        ]
    );
    assert_eq!(
        all(
            &alice(&["staff"]),
            Attributes::Known,
            &IdentityHeaderNames::default()
        ),
        Ok(Vec::new())
    );
}

#[test]
fn what_a_header_cannot_hold_is_escaped() {
    let mut identity = alice(&["R&D, Köln", "100%", " x "]);
    identity.name = Some("Ann\r\nRemote-User: root\u{7f}".to_owned());
    assert_eq!(
        written(&identity),
        [
            pair("x-remote-user", "alice"),
            pair("x-remote-groups", "R&D%2C K%C3%B6ln,100%25,%20x%20"),
            pair("remote-name", "Ann%0D%0ARemote-User: root%7F"),
        ]
    );
}

#[test]
fn an_identity_too_large_for_headers_is_an_error_and_not_cut() {
    let group = "g".repeat(255);
    let groups = |count: usize| alice(&vec![group.as_str(); count]);
    assert!(all(&groups(VALUE_BYTES_MAX / 256), Attributes::Known, &names()).is_ok());
    let too_many = VALUE_BYTES_MAX / 256 + 1;
    assert!(groups_fit(&groups(too_many - 1).groups));
    assert!(!groups_fit(&groups(too_many).groups));
    assert_eq!(
        all(&groups(too_many), Attributes::Known, &names()),
        Err(IdentityHeaderError::TooLong {
            header: HeaderName::from_static("x-remote-groups"),
            bytes: too_many * 256 - 1
        })
    );
}

proptest! {
    #![proptest_config(super::cases(2048))]

    #[test]
    fn no_spelling_of_a_protected_name_survives(
        name in prop::sample::select(vec!["x-remote-user", "x-remote-groups", "remote-name", "x-forwarded-for", "forwarded"]),
        marks in prop::collection::vec("[-_.~|!#$%&'*+^`]{0,2}", 20),
        cases in any::<u32>(),
    ) {
        let mut spelled = String::new();
        for (at, c) in name.chars().filter(char::is_ascii_alphanumeric).enumerate() {
            spelled.push_str(&marks[at % marks.len()]);
            spelled.push(if cases >> (at % 32) & 1 == 1 { c.to_ascii_uppercase() } else { c });
        }
        prop_assert!(is_protected(&spelled), "{}", spelled);
    }

    #[test]
    fn only_names_that_fold_alike_are_removed(name in "[a-zA-Z0-9_.-]{1,40}") {
        let own = folded(&name);
        let known = names().iter().map(|name| folded(name.as_str())).collect::<Vec<_>>();
        let customary = ["remoteuser", "remotegroups", "remoteemail", "remotename"];
        let expected = known.contains(&own)
            || customary.contains(&own.as_str())
            || CLIENT_CLAIMS.iter().any(|claim| folded(claim) == own)
            || ["xforwarded", "portway", "xportway"].iter().any(|prefix| own.starts_with(prefix));
        prop_assert_eq!(is_protected(&name), expected);
    }

    #[test]
    fn identities_arrive_as_they_were(groups in prop::collection::vec("[^\\p{Cc}]{1,12}", 0..5), name in ".{0,20}") {
        let mut identity = alice(&groups.iter().map(String::as_str).collect::<Vec<_>>());
        identity.name = Some(name.clone());
        let headers = written(&identity);
        let value = |name: &str| headers.iter().find(|pair| pair.0 == name).map(|pair| pair.1.clone()).unwrap_or_default();
        prop_assert!(headers.iter().all(|(_, value)| value.trim() == value && value.bytes().all(|b| (b' '..=b'~').contains(&b))));
        prop_assert_eq!(unescaped(&value("remote-name")), name);
        let sent = value("x-remote-groups");
        let read: Vec<String> = sent.split(',').filter(|part| !part.is_empty()).map(unescaped).collect();
        prop_assert_eq!(read, groups);
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_sends(value in "[ -~]{0,60}", proto in "[ -~]{0,12}") {
        let origin = origin("198.51.100.7", &[("x-forwarded-for", &value), ("x-forwarded-proto", &proto)]);
        prop_assert_eq!(origin.client, ip("198.51.100.7"));
        prop_assert_eq!(origin.scheme, Scheme::Https);
    }
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(part[2..].bytes());
    }
    String::from_utf8(bytes).unwrap()
}
