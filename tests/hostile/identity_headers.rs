//! Clients that say who they are, where they come from, or what they ask for, in headers (threats.md
//! §1.1, ASVS 4.1.3): none of it reaches an upstream, on any kind of route.

use std::sync::Arc;

use crate::browser::Browser;
use crate::frames::H2;
use crate::frames::Outcome;
use crate::frames::get;
use crate::rig::Difference;
use crate::rig::Gateway;
use crate::upstream::Request;
use crate::upstream::Script;
use crate::upstream::Then;
use crate::upstream::When;
use crate::wire::Wire;
use crate::wire::mark;

/// Every header an application believes, folded in every way a server may unfold it.
fn spellings() -> Vec<String> {
    let words = [
        ["Remote", "User"],
        ["Remote", "Groups"],
        ["Remote", "Email"],
        ["Remote", "Name"],
    ];
    let mut all = Vec::new();
    for [first, second] in words {
        for joint in [
            "-", "_", ".", "", "~", "+", "!", "*", "|", "^", "`", "'", "$", "&", "--", "-_", "_-",
            "__",
        ] {
            all.push(format!("{first}{joint}{second}"));
        }
        for odd in ["-", "_", "."] {
            all.push(format!("{odd}{first}-{second}"));
            all.push(format!("{first}-{second}{odd}"));
        }
    }
    let more = [
        "remote-user",
        "REMOTE-USER",
        "rEmOtE-uSeR",
        "REMOTE_USER",
        "remote_user",
        "Remote_user",
        "HTTP_REMOTE_USER",
        "HTTP_Remote-User",
        "Http_Remote.User",
        "REDIRECT_REMOTE_USER",
        "X-Portway-User",
        "Portway-User",
        "X_Portway_User",
        "X-Request-Id",
        "X_Request_Id",
        "traceparent",
        "Trace-Parent",
        "tracestate",
        "Trace_State",
    ];
    all.extend(more.map(str::to_owned));
    all
}

/// Where a request may go, and how.
struct Way {
    name: &'static str,
    path: &'static str,
    user: Option<&'static str>,
    more: &'static str,
}

const SOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const WAYS: &[Way] = &[
    Way {
        name: "excluded, anonymous",
        path: "/open",
        user: None,
        more: "",
    },
    Way {
        name: "excluded, signed in",
        path: "/open",
        user: Some("alice"),
        more: "",
    },
    Way {
        name: "unprotected, anonymous",
        path: "/pub",
        user: None,
        more: "",
    },
    Way {
        name: "unprotected, signed in",
        path: "/pub",
        user: Some("alice"),
        more: "",
    },
    Way {
        name: "protected",
        path: "/app",
        user: Some("alice"),
        more: "",
    },
    Way {
        name: "socket, anonymous",
        path: "/pub",
        user: None,
        more: SOCKET,
    },
    Way {
        name: "socket, protected",
        path: "/app",
        user: Some("alice"),
        more: SOCKET,
    },
];

/// Sends one request a header over kept connections, and hands each that arrived to `check`.
fn send_each(
    gateway: &Gateway,
    way: &Way,
    lines: &[String],
    mut check: impl FnMut(&str, Option<Request>, &str),
) {
    let cookies = way
        .user
        .map(|user| Browser::signed_in(gateway, user).cookies("app.test"));
    let cookies = cookies.unwrap_or_default();
    let mut wire: Option<Wire> = None;
    for line in lines {
        let mark = mark();
        let line = line.replace("MARK", &mark);
        let mut open = wire.take().unwrap_or_else(|| gateway.tls("app.test"));
        let answer = open.ask(format!(
            "GET {}/{mark} HTTP/1.1\r\nHost: app.test\r\n{cookies}{}{line}\r\n\r\n",
            way.path, way.more
        ));
        let closes = answer.header("connection") == Some("close") || !way.more.is_empty();
        wire = (!closes).then_some(open);
        let seen = gateway.upstream.requests(&format!("{mark} HTTP"));
        assert!(seen.len() <= 1, "{}: {line}: {seen:?}", way.name);
        assert!(
            answer.status == 400 || seen.len() == 1,
            "{}: {line}: neither refused nor forwarded: {answer:?}",
            way.name
        );
        check(&line, seen.into_iter().next(), &mark);
    }
}

#[test]
fn no_spelling_of_an_identity_header_reaches_an_upstream() {
    let gateway = Gateway::shared();
    let lines: Vec<String> = spellings()
        .iter()
        .map(|name| format!("{name}: evilMARK"))
        .collect();
    let mut faults = Vec::new();
    for way in WAYS {
        send_each(&gateway, way, &lines, |line, seen, mark| {
            let Some(seen) = seen else { return };
            if seen.head.contains(&format!("evil{mark}")) {
                faults.push(format!("{}: {line} got through", way.name));
            }
            let expected: Vec<&str> = way
                .user
                .filter(|_| way.path != "/open")
                .into_iter()
                .collect();
            if seen.all("remote-user") != expected {
                faults.push(format!(
                    "{}: {line}: {:?}",
                    way.name,
                    seen.all("remote-user")
                ));
            }
        });
    }
    assert!(
        faults.is_empty(),
        "{} headers got through: {faults:#?}",
        faults.len()
    );
}

#[test]
fn no_spelling_of_an_identity_header_reaches_an_upstream_over_http_2() {
    let gateway = Gateway::shared();
    let cookies = Browser::signed_in(&gateway, "alice").cookies("app.test");
    let cookie = cookies.trim_start_matches("Cookie: ").trim_end().to_owned();
    for (path, user) in [
        ("/open", None),
        ("/pub", None),
        ("/pub", Some("alice")),
        ("/app", Some("alice")),
    ] {
        let mut h2 = H2::connect(&gateway, "app.test");
        for name in spellings() {
            let (mark, name) = (mark(), name.to_ascii_lowercase());
            let (target, value) = (format!("{path}/{mark}"), format!("evil{mark}"));
            let mut fields = get("app.test", &target);
            if user.is_some() {
                fields.push((b"cookie", cookie.as_bytes()));
            }
            fields.push((name.as_bytes(), value.as_bytes()));
            let outcome = h2.ask(&fields, None);
            if outcome == Outcome::Reset || outcome == Outcome::Ended {
                h2 = H2::connect(&gateway, "app.test");
            }
            assert!(
                !gateway.upstream.saw(&value),
                "{path} {user:?}: {name} got through"
            );
            if let Outcome::Answer(200, _) = outcome {
                let seen = gateway.upstream.one(&format!("{mark} HTTP"));
                let expected: Vec<&str> = user.into_iter().collect();
                assert_eq!(
                    seen.all("remote-user"),
                    expected,
                    "{path} {name}: {}",
                    seen.head
                );
            }
        }
    }
}

#[test]
fn what_a_user_does_not_have_is_not_the_clients_to_fill_in() {
    // dora has no e-mail address and no groups.
    let gateway = Gateway::shared();
    let way = Way {
        name: "dora",
        path: "/app",
        user: Some("dora"),
        more: "",
    };
    let lines = [
        "Remote-Groups: admins",
        "Remote-Email: root@x.test",
        "Remote-Name: Root",
        "remote_groups: admins",
    ]
    .map(str::to_owned);
    send_each(&gateway, &way, &lines, |line, seen, _| {
        let seen = seen.unwrap();
        assert_eq!(seen.all("remote-user"), ["dora"], "{line}");
        for name in [
            "remote-groups",
            "remote-email",
            "remote-name",
            "remote_groups",
        ] {
            assert!(seen.all(name).is_empty(), "{line}: {}", seen.head);
        }
    });
}

/// A balancer in front sends requests of many users over one connection, in any order.
#[test]
fn each_request_of_a_connection_is_its_own_users() {
    let gateway = Gateway::shared();
    let users = ["alice", "dora"];
    let cookies = users.map(|user| Browser::signed_in(&gateway, user).cookies("app.test"));
    let mut wire = gateway.tls("app.test");
    for turn in [
        Some(0),
        Some(0),
        Some(1),
        None,
        Some(1),
        Some(0),
        None,
        Some(0),
    ] {
        let mark = mark();
        let path = if turn.is_some() { "/app" } else { "/pub" };
        let lines = turn.map_or("", |user| &cookies[user]);
        let answer = wire.ask(format!(
            "GET {path}/{mark} HTTP/1.1\r\nHost: app.test\r\n{lines}\r\n"
        ));
        assert_eq!(answer.status, 200, "{turn:?}");
        let seen = gateway.upstream.requests(&format!("{mark} HTTP"));
        let [seen] = seen.as_slice() else {
            panic!("{turn:?}: {seen:?}");
        };
        let expected: Vec<&str> = turn.map(|user| users[user]).into_iter().collect();
        assert_eq!(seen.all("remote-user"), expected, "{turn:?}");
        let groups = if turn == Some(0) {
            vec!["staff"]
        } else {
            vec![]
        };
        assert_eq!(seen.all("remote-groups"), groups, "{turn:?}");
    }
}

#[test]
fn connection_names_nothing_that_the_gateway_adds() {
    let gateway = Gateway::shared();
    let added = [
        "Remote-User",
        "Remote-Groups",
        "Remote-Email",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Real-IP",
        "Forwarded",
        "X-Request-Id",
        "traceparent",
        "Host",
        "Cookie",
        "Content-Length",
        "Transfer-Encoding",
    ];
    let mut lines: Vec<String> = Vec::new();
    for name in added {
        lines.push(format!("Connection: {name}"));
        lines.push(format!("Connection: close, {name}"));
        lines.push(format!(
            "Connection: keep-alive\r\nConnection: {}",
            name.to_lowercase()
        ));
        lines.push(format!("Connection: {name}\r\n{name}: evilMARK"));
        lines.push(format!("Proxy-Connection: {name}"));
        lines.push(format!("Keep-Alive: {name}"));
    }
    lines.push(format!("Connection: {}", added.join(", ")));
    let way = Way {
        name: "connection",
        path: "/app",
        user: Some("alice"),
        more: "",
    };
    let mut faults = Vec::new();
    send_each_or_refused(&gateway, &way, &lines, |line, seen, mark| {
        for (name, value) in [
            ("remote-user", "alice"),
            ("remote-groups", "staff"),
            ("x-forwarded-host", "app.test"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("host", "app.test"),
            ("x-real-ip", "127.0.0.1"),
        ] {
            if seen.all(name) != [value] {
                faults.push(format!("{line:?}: {name} is {:?}", seen.all(name)));
            }
        }
        if seen.head.contains(&format!("evil{mark}")) || !seen.all("connection").is_empty() {
            faults.push(format!("{line:?}: {}", seen.head));
        }
    });
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Like `send_each` where any refusal will do, each over its own connection.
fn send_each_or_refused(
    gateway: &Gateway,
    way: &Way,
    lines: &[String],
    mut check: impl FnMut(&str, &Request, &str),
) {
    let cookies = Browser::signed_in(gateway, way.user.unwrap()).cookies("app.test");
    for line in lines {
        let mark = mark();
        let sent = line.replace("MARK", &mark);
        let answer = gateway.tls("app.test").ask(format!(
            "GET {}/{mark} HTTP/1.1\r\nHost: app.test\r\n{cookies}{sent}\r\n\r\n",
            way.path
        ));
        let seen = gateway.upstream.requests(&format!("{mark} HTTP"));
        match seen.as_slice() {
            [] => assert!((300..500).contains(&answer.status), "{line}: {answer:?}"),
            [seen] => check(line, seen, &mark),
            _ => panic!("{line}: {seen:?}"),
        }
    }
}

#[test]
fn headers_that_steer_applications_stay_behind() {
    let gateway = Gateway::shared();
    let names = [
        "X-Original-URL",
        "X-Original-URI",
        "X-Rewrite-URL",
        "X-Rewrite-URI",
        "X-Override-URL",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-Method",
        "X-Forwarded-Uri",
        "X-Forwarded-Prefix",
        "X-Forwarded-Path",
        "X-Forwarded-Method",
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Forwarded-Groups",
        "X-Forwarded-Access-Token",
        "X-Forwarded-Preferred-Username",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded-Scheme",
        "X-Forwarded-Ssl",
        "X-Forwarded-By",
        "X-Forwarded-Client-Cert",
        "X-Forwarded-Tls-Client-Cert",
        "X-Forwarded-For",
        "Forwarded",
        "X-Original-Host",
        "X-Host",
        "X-Real-IP",
        "X-Client-IP",
        "Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Cluster-Client-IP",
        "X-Originating-IP",
        "X-Remote-IP",
        "X-Remote-Addr",
        "X-Envoy-Original-Path",
        "X-Envoy-External-Address",
        "X-Scheme",
        "X-Url-Scheme",
        "Front-End-Https",
        "X-Script-Name",
        "Proxy",
        "Client-Cert",
        "Client-Cert-Chain",
        "X_Original_URL",
        "X.Forwarded.For",
        "X_Forwarded_Host",
        "x-forwarded_proto",
    ];
    let lines: Vec<String> = names
        .iter()
        .map(|name| format!("{name}: /adm/evilMARK"))
        .collect();
    for way in WAYS.iter().filter(|way| way.more.is_empty()) {
        let mut faults = Vec::new();
        send_each(&gateway, way, &lines, |line, seen, mark| {
            if seen.is_some_and(|seen| seen.head.contains(&format!("evil{mark}"))) {
                faults.push(line.to_owned());
            }
        });
        assert!(faults.is_empty(), "{}: {faults:#?}", way.name);
    }
}

#[test]
fn no_header_opens_a_closed_route() {
    let gateway = Gateway::shared();
    let mut faults = Vec::new();
    for line in [
        "X-Forwarded-Uri: /pub",
        "X-Original-URL: /pub",
        "X-Rewrite-URL: /pub",
        "X-Forwarded-For: 203.0.113.66",
        "X-Forwarded-For: not-an-ip",
        "X-Forwarded-For: 203.0.113.66, 203.0.113.67, 203.0.113.68",
        "X-Forwarded-For: 203.0.113.66\r\nX-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 203.0.113.66",
        "Forwarded: for=203.0.113.66",
        "X-Forwarded-Host: plain.test",
        "X-Forwarded-Prefix: /pub",
        "X-Forwarded-Prefix: https://plain.test",
        "User-Agent: kube-probe/1.29",
        "User-Agent: GoogleHC/1.0",
        "User-Agent: ELB-HealthChecker/2.0",
        "User-Agent: Consul Health Check",
        "X-Health: 1",
        "X-HTTP-Method-Override: OPTIONS",
        "Authorization: Basic cm9vdDpyb290",
        "Authorization: Bearer x",
        "Remote-User: carol",
        "X-Forwarded-Proto: javascript",
        "Origin: https://app.test\r\nAccess-Control-Request-Method: GET",
        "Upgrade: websocket\r\nConnection: upgrade",
        "Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        "Cookie: \u{ff}=1",
        "Cookie: __Host-portway-authn-main=\u{ff}\u{fe}",
        "X-Forwarded-For: \u{ff}",
        "Accept: \u{ff}",
        "Sec-Fetch-Mode: \u{ff}",
        "Origin: \u{ff}",
    ] {
        for (method, path) in [
            ("GET", "/adm"),
            ("GET", "/near"),
            ("OPTIONS", "/adm"),
            ("POST", "/app"),
        ] {
            let mark = mark();
            let request = format!(
                "{method} {path}/{mark} HTTP/1.1\r\nHost: app.test\r\n{line}\r\nContent-Length: 0\r\n\r\n"
            );
            let bytes: Vec<u8> = request
                .chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap())
                .collect();
            let answer = gateway.tls("app.test").ask(bytes);
            if !matches!(answer.status, 303 | 400 | 401 | 403) || gateway.upstream.saw(&mark) {
                faults.push(format!("{method} {path} {line:?}: {answer:?}"));
            }
            let text = format!(
                "{}{}",
                answer.header("location").unwrap_or_default(),
                answer.text()
            );
            if text.contains("javascript:") || text.contains("plain.test") {
                faults.push(format!("{line:?} is repeated: {text}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_trusted_proxy_is_heard_on_addresses_and_nobody_else_is() {
    let trusting = Gateway::start(&Difference {
        sections: "trusted_proxies: [127.0.0.1]\n",
        ..Difference::default()
    });
    let default = Gateway::shared();
    let ask = |gateway: &Gateway, lines: &str| {
        let mark = mark();
        let request = format!("GET /pub/{mark} HTTP/1.1\r\nHost: app.test\r\n{lines}\r\n");
        let answer = gateway.tls("app.test").ask(request);
        assert_eq!(answer.status, 200, "{lines}: {answer:?}");
        let seen = gateway.upstream.one(&mark);
        (seen.all("x-real-ip").join("|"), seen)
    };
    for (lines, believed) in [
        ("X-Forwarded-For: 203.0.113.66\r\n", "203.0.113.66"),
        (
            "X-Forwarded-For: 198.51.100.1, 203.0.113.66\r\n",
            "203.0.113.66",
        ),
        (
            "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.66\r\n",
            "203.0.113.66",
        ),
        ("X-Forwarded-For: 203.0.113.66, not-an-ip\r\n", "127.0.0.1"),
        ("X-Forwarded-For: not-an-ip\r\n", "127.0.0.1"),
        ("X-Forwarded-For: 203.0.113.66,\r\n", "127.0.0.1"),
        ("X-Forwarded-For:\r\n", "127.0.0.1"),
        ("X_Forwarded_For: 203.0.113.66\r\n", "127.0.0.1"),
        ("X-Real-IP: 203.0.113.66\r\n", "127.0.0.1"),
        ("Forwarded: for=203.0.113.66\r\n", "127.0.0.1"),
    ] {
        let (heard, seen) = ask(&trusting, lines);
        assert_eq!(heard, believed, "{lines}");
        assert_eq!(seen.all("x-real-ip").len(), 1);
        assert_eq!(
            seen.all("x-forwarded-for").len(),
            1,
            "{lines}: {}",
            seen.head
        );
        let (heard, seen) = ask(&default, lines);
        assert_eq!(heard, "127.0.0.1", "{lines} without a trusted proxy");
        assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"], "{lines}");
    }
    for lines in [
        "X-Forwarded-Proto: javascript\r\n",
        "X-Forwarded-Proto: https, http\r\n",
        "X-Forwarded-Host: evil.test\r\n",
        "X-Forwarded-Port: 99999\r\n",
        "X-Forwarded-Prefix: /adm\r\n",
        "X-Forwarded-Port: 80 evil\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n",
    ] {
        for gateway in [&trusting, &*default] {
            let (_, seen) = ask(gateway, lines);
            assert_eq!(seen.all("x-forwarded-host"), ["app.test"], "{lines}");
            assert_eq!(seen.all("x-forwarded-proto"), ["https"], "{lines}");
            assert!(!seen.head.contains("evil"), "{lines}: {}", seen.head);
            assert!(seen.all("x-forwarded-prefix").is_empty(), "{lines}");
        }
    }
}

#[test]
fn what_is_odd_about_an_identity_is_refused_or_escaped() {
    let hash = crate::rig::password_hash("mal");
    let user =
        |lines: &str| format!("users:\n  - {{ name: mal, password: \"{hash}\", {lines} }}\n");
    for odd in [
        "\\r\\nRemote-User: root",
        "\\n",
        "\\r",
        "\\0",
        "\\x1b[31m",
        "\\x7f",
        "\\x85",
    ] {
        for key in ["display_name", "email"] {
            let refusal = crate::rig::refusal_of_users(&user(&format!("{key}: \"a{odd}b\"")));
            assert!(refusal.contains("cannot be used"), "{key} {odd}: {refusal}");
        }
    }
    let users = user(
        "display_name: \"\u{c4} %0d%0aRemote-User: root, \u{2028}x\", groups: [\"a b\", b%2c]",
    );
    let gateway = Gateway::start(&Difference {
        users: &users,
        ..Difference::default()
    });
    let cookies = Browser::signed_in(&gateway, "mal").cookies("app.test");
    let mark = mark();
    let request = format!("GET /app/{mark} HTTP/1.1\r\nHost: app.test\r\n{cookies}\r\n");
    let answer = gateway.tls("app.test").ask(request);
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = gateway.upstream.one(&mark);
    assert_eq!(seen.all("remote-user"), ["mal"], "{}", seen.head);
    assert_eq!(seen.all("remote-groups"), ["a b,b%252c"], "{}", seen.head);
    assert!(
        seen.all("remote-name")[0].starts_with("%C3%84 %250d%250aRemote-User: root, %E2%80%A8x"),
        "{}",
        seen.head
    );
    assert!(seen.head.is_ascii(), "{}", seen.head);
}

#[test]
fn an_error_page_shows_and_sends_no_identity() {
    let gateway: Arc<Gateway> = Gateway::shared();
    let cookies = Browser::signed_in(&gateway, "alice").cookies("app.test");
    let mark = mark();
    let path = format!("/app/{mark}");
    let broken = Script {
        answer: b"\x00\x01garbage\r\n\r\n".to_vec(),
        when: When::AfterBody,
        then: Then::Close,
    };
    gateway.upstream.script(&path, broken);
    let answer = gateway.tls("app.test").ask(format!(
        "GET {path} HTTP/1.1\r\nHost: app.test\r\nAccept: text/html\r\n{cookies}Remote-User: <b>evil{mark}</b>\r\n\r\n"
    ));
    assert_eq!(answer.status, 502, "{answer:?}");
    let text = format!("{}{}", answer.head, answer.text());
    for word in ["evil", "alice", "garbage", "portway-authn"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    assert!(!gateway.upstream.saw(&format!("evil{mark}")));
}
