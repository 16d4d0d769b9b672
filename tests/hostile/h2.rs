//! HTTP/2 as it should not be spoken: what HTTP/1.1 upstreams would read differently, and floods of
//! frames that cost more to take than to send (threats.md §1.3 and §1.6).

use std::time::Duration;

use crate::frames::CONTINUATION;
use crate::frames::DATA;
use crate::frames::END_HEADERS;
use crate::frames::END_STREAM;
use crate::frames::Field;
use crate::frames::H2;
use crate::frames::HEADERS;
use crate::frames::Outcome;
use crate::frames::PING;
use crate::frames::PRIORITY;
use crate::frames::RESET;
use crate::frames::SETTINGS;
use crate::frames::WINDOW_UPDATE;
use crate::frames::block;
use crate::frames::frame;
use crate::frames::get;
use crate::frames::request;
use crate::frames::setting;
use crate::rig::Gateway;
use crate::rig::assert_others_are_served;
use crate::upstream::Script;
use crate::upstream::Then;
use crate::upstream::When;
use crate::wire::mark;

/// Longest that an answer or the end of a connection may take, on a machine that is busy.
const MOST: Duration = Duration::from_secs(15);

#[test]
fn no_field_can_hold_what_begins_another_line() {
    let gateway = Gateway::shared();
    let mut faults = Vec::new();
    let evil: &[(&str, Field<'_>)] = &[
        ("crlf in value", (b"x", b"y\r\nRemote-User: evilMARK")),
        ("lf in value", (b"x", b"y\nRemote-User: evilMARK")),
        ("cr in value", (b"x", b"y\rRemote-User: evilMARK")),
        ("nul in value", (b"x", b"y\0evilMARK")),
        (
            "two requests in value",
            (
                b"x",
                b"y\r\n\r\nGET /adm/evilMARK HTTP/1.1\r\nHost: app.test\r\n\r\n",
            ),
        ),
        ("crlf in name", (b"x: y\r\nremote-user", b"evilMARK")),
        ("lf in name", (b"x\nremote-user", b"evilMARK")),
        ("nul in name", (b"x\0y", b"evilMARK")),
        ("colon in name", (b"remote-user: evilMARK\r\nx", b"y")),
        ("colon only", (b"x:y", b"evilMARK")),
        ("space in name", (b"remote-user ", b"evilMARK")),
        ("space first in name", (b" remote-user", b"evilMARK")),
        ("tab in name", (b"remote-user\t", b"evilMARK")),
        ("upper case name", (b"Remote-User", b"evilMARK")),
        ("empty name", (b"", b"evilMARK")),
        ("name not ascii", (b"x\xff", b"evilMARK")),
        ("delete in value", (b"x", b"evilMARK\x7f")),
        ("control in value", (b"x", b"evilMARK\x01")),
        ("connection", (b"connection", b"evilMARK")),
        ("keep-alive", (b"keep-alive", b"evilMARK")),
        ("proxy-connection", (b"proxy-connection", b"evilMARK")),
        (
            "transfer-encoding",
            (b"transfer-encoding", b"chunked, evilMARK"),
        ),
        (
            "transfer-encoding chunked",
            (b"transfer-encoding", b"chunked"),
        ),
        ("upgrade", (b"upgrade", b"evilMARK")),
        ("te", (b"te", b"gzip, evilMARK")),
        ("http2-settings", (b"http2-settings", b"evilMARK")),
        ("unknown pseudo", (b":evil", b"evilMARK")),
        ("status", (b":status", b"200")),
        ("protocol", (b":protocol", b"websocket")),
        ("late path", (b":path", b"/adm/evilMARK")),
        ("late method", (b":method", b"POST")),
        ("late authority", (b":authority", b"evil.test")),
        ("late scheme", (b":scheme", b"http")),
        ("second host", (b"host", b"evil.test")),
        ("content-length", (b"content-length", b"5, 5")),
        ("content-length plus", (b"content-length", b"+5")),
    ];
    for (name, (field, value)) in evil {
        let mark = mark();
        let path = format!("/open/{mark}");
        let replaced = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("MARK", &mark);
        let (value_text, field_text) = (replaced(value), replaced(field));
        let is_text = std::str::from_utf8(field).is_ok();
        let field_bytes = if is_text {
            field_text.as_bytes()
        } else {
            field
        };
        let mut fields = get("app.test", &path);
        fields.push((b"x-mark", mark.as_bytes()));
        fields.push((field_bytes, value_text.as_bytes()));
        let mut h2 = H2::connect(&gateway, "app.test");
        let outcome = h2.ask(&fields, None);
        let seen = gateway.upstream.requests(&path);
        // A field that says nothing to HTTP/1.1 may be dropped; the request itself is then harmless.
        let is_dropped = matches!(outcome, Outcome::Answer(200, _)) && seen.len() == 1;
        if gateway.upstream.saw(&format!("evil{mark}")) || !(outcome.is_refusal() || is_dropped) {
            faults.push(format!("{name}: {outcome:?} {seen:#?}"));
        }
        if seen.iter().any(|seen| {
            seen.all("host") != ["app.test"]
                || !seen.all("transfer-encoding").is_empty()
                || !seen.body.is_empty()
        }) {
            faults.push(format!("{name}: {seen:#?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pseudo_fields_that_are_no_request_are_refused() {
    let gateway = Gateway::shared();
    let mark = mark();
    let path = format!("/open/{mark}");
    let p = path.as_bytes();
    let (method, scheme, host): (Field<'_>, Field<'_>, Field<'_>) = (
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"app.test"),
    );
    let with_space = format!("{path} HTTP/1.1\r\nRemote-User: root\r\nX: ");
    let no_slash = format!("open/{mark}");
    let at = format!("@evil.test{path}");
    let absolute = format!("https://app.test{path}");
    let backslash = format!("\\open\\{mark}");
    let cases: Vec<(&str, Vec<Field<'_>>)> = vec![
        ("no method", vec![scheme, host, (b":path", p)]),
        ("no scheme", vec![method, host, (b":path", p)]),
        ("no path", vec![method, scheme, host, (b"x", p)]),
        (
            "empty path",
            vec![method, scheme, host, (b":path", b""), (b"x", p)],
        ),
        (
            "star",
            vec![
                (b":method", b"OPTIONS"),
                scheme,
                host,
                (b":path", b"*"),
                (b"x", p),
            ],
        ),
        (
            "no slash",
            vec![method, scheme, host, (b":path", no_slash.as_bytes())],
        ),
        ("at", vec![method, scheme, host, (b":path", at.as_bytes())]),
        (
            "absolute",
            vec![method, scheme, host, (b":path", absolute.as_bytes())],
        ),
        (
            "line in path",
            vec![method, scheme, host, (b":path", with_space.as_bytes())],
        ),
        (
            "backslash",
            vec![method, scheme, host, (b":path", backslash.as_bytes())],
        ),
        (
            "two paths",
            vec![method, scheme, host, (b":path", p), (b":path", b"/adm")],
        ),
        (
            "two methods",
            vec![method, (b":method", b"POST"), scheme, host, (b":path", p)],
        ),
        (
            "line in method",
            vec![
                (b":method", b"GET /adm HTTP/1.1\r\nX: y"),
                scheme,
                host,
                (b":path", p),
            ],
        ),
        (
            "space in method",
            vec![(b":method", b"GET /adm"), scheme, host, (b":path", p)],
        ),
        (
            "empty method",
            vec![(b":method", b""), scheme, host, (b":path", p)],
        ),
        (
            "trace",
            vec![(b":method", b"TRACE"), scheme, host, (b":path", p)],
        ),
        (
            "connect",
            vec![
                (b":method", b"CONNECT"),
                (b":authority", b"app.test:80"),
                (b"x", p),
            ],
        ),
        (
            "connect with path",
            vec![(b":method", b"CONNECT"), scheme, host, (b":path", p)],
        ),
        (
            "connect websocket",
            vec![
                (b":method", b"CONNECT"),
                (b":protocol", b"websocket"),
                scheme,
                host,
                (b":path", p),
            ],
        ),
        (
            "lower case method",
            vec![(b":method", b"get"), scheme, host, (b":path", p)],
        ),
        (
            "unknown method",
            vec![(b":method", b"FROB"), scheme, host, (b":path", p)],
        ),
        (
            "scheme with line",
            vec![method, (b":scheme", b"https\r\nx: y"), host, (b":path", p)],
        ),
        (
            "scheme as address",
            vec![
                method,
                (b":scheme", b"https://evil.test/?"),
                host,
                (b":path", p),
            ],
        ),
        (
            "pseudo after field",
            vec![method, scheme, host, (b"x", b"y"), (b":path", p)],
        ),
    ];
    for (name, fields) in cases {
        let outcome = H2::connect(&gateway, "app.test").ask(&fields, None);
        assert!(outcome.is_refusal(), "{name}: {outcome:?}");
        assert!(!gateway.upstream.saw(&mark), "{name}: reached the upstream");
    }
    // A fragment is cut off before anybody looks: decided on and sent is the path.
    for (path, status) in [("/adm#/open", 401), ("/open/fragment#/../adm", 200)] {
        let outcome = H2::connect(&gateway, "app.test").ask(&get("app.test", path), None);
        let is_expected = matches!(outcome, Outcome::Answer(found, _) if found == status);
        assert!(is_expected || outcome.is_refusal(), "{path}: {outcome:?}");
    }
    let sent = gateway.upstream.requests("/open/fragment");
    assert!(
        sent.iter().all(|seen| seen.target() == "/open/fragment"),
        "{sent:?}"
    );
    // Schemes other than those of the connection lead nowhere but to the same decision.
    for scheme in ["ftp", "javascript", "HTTPS", "file", "http"] {
        let fields: Vec<Field<'_>> = vec![
            method,
            (b":scheme", scheme.as_bytes()),
            host,
            (b":path", b"/adm/scheme"),
        ];
        let outcome = H2::connect(&gateway, "app.test").ask(&fields, None);
        assert!(outcome.is_refusal(), "{scheme}: {outcome:?}");
    }
}

#[test]
fn what_comes_with_a_connect_over_http_2_leads_nowhere_cve_2025_64763() {
    let gateway = Gateway::shared();
    let upstream = gateway.upstream.address.to_string();
    for authority in ["app.test:80", "app.test", "127.0.0.1:80", &upstream] {
        let mark = mark();
        let mut h2 = H2::connect(&gateway, "app.test");
        let stream = h2.next_stream();
        let fields: [Field<'_>; 2] = [
            (b":method", b"CONNECT"),
            (b":authority", authority.as_bytes()),
        ];
        let early = format!("GET /open/{mark} HTTP/1.1\r\nHost: app.test\r\n\r\n");
        let head = frame(HEADERS, END_HEADERS, stream, &block(&fields));
        let data = frame(DATA, 0, stream, early.as_bytes());
        h2.wire.send([head, data].concat());
        let outcome = h2.outcome(stream, MOST);
        assert!(outcome.is_refusal(), "{authority}: {outcome:?}");
        assert!(
            !gateway.upstream.saw(&mark),
            "{authority}: reached the upstream"
        );
    }
    assert_others_are_served(&gateway);
}

#[test]
fn a_length_that_the_data_does_not_keep_poisons_no_connection() {
    let gateway = Gateway::shared();
    for (name, length, body) in [
        ("longer", "50", Some("hello")),
        ("shorter", "2", Some("hello")),
        ("none", "50", None),
        ("zero", "0", Some("hello")),
        ("huge", "999999999999999999", Some("hello")),
    ] {
        for _ in 0..5 {
            let mark = mark();
            let path = format!("/open/{mark}");
            let mut fields = request("POST", "app.test", &path);
            fields.push((b"content-length", length.as_bytes()));
            let outcome = H2::connect(&gateway, "app.test").ask(&fields, body.map(str::as_bytes));
            assert!(outcome.is_refusal(), "{name}: {outcome:?}");
            // A request without a body is whole before the data that it should not have.
            let whole = gateway.upstream.requests(&path);
            let is_empty = length == "0" && whole.iter().all(|seen| seen.body.is_empty());
            assert!(
                whole.is_empty() || is_empty,
                "{name}: taken for whole: {whole:?}"
            );
            assert_others_are_served(&gateway);
        }
    }
    // A request that ends in a reset halfway.
    for _ in 0..5 {
        let path = format!("/open/{}", mark());
        let mut h2 = H2::connect(&gateway, "app.test");
        let mut fields = request("POST", "app.test", &path);
        fields.push((b"content-length", b"50"));
        let stream = h2.next_stream();
        h2.frame(HEADERS, END_HEADERS, stream, &block(&fields));
        h2.frame(DATA, 0, stream, b"GET /adm HTTP/1.1\r\n");
        h2.frame(RESET, 0, stream, &8_u32.to_be_bytes());
        assert_others_are_served(&gateway);
        assert!(gateway.upstream.requests(&path).is_empty());
    }
}

/// What stands behind the end of a request begins the next one on that connection, which may be somebody else's.
#[test]
fn a_body_without_a_length_ends_once_for_an_upstream() {
    let gateway = Gateway::shared();
    for empty in [(0, 0), (0, 1), (1, 0), (1, 2), (0, 2)] {
        let mark = mark();
        let path = format!("/open/{mark}");
        let mut h2 = H2::connect(&gateway, "app.test");
        let stream = h2.begin_post(&path);
        let (before, behind) = empty;
        let mut pieces = vec![""; before];
        pieces.push(&mark);
        pieces.resize(before + 1 + behind, "");
        for (place, piece) in pieces.iter().enumerate() {
            let flags = if place + 1 == pieces.len() {
                END_STREAM
            } else {
                0
            };
            h2.frame(DATA, flags, stream, piece.as_bytes());
        }
        let outcome = h2.outcome(stream, Duration::from_secs(8));
        let is_served = matches!(outcome, Outcome::Answer(200, _));
        assert!(is_served, "{empty:?}: {outcome:?}");
        let chunks = format!("{:X}\r\n{mark}\r\n0\r\n\r\n", mark.len());
        // An upstream of HTTP/2 gets it as it is.
        let body = gateway.upstream.one(&path).body;
        let is_whole = body == chunks.as_bytes() || body == mark.as_bytes();
        assert!(is_whole, "{empty:?}: {body:?}");
        assert_others_are_served(&gateway);
        let twice = format!("{chunks}0\r\n\r\n");
        assert!(!gateway.upstream.saw(&twice), "{empty:?}: ended twice");
    }
}

#[test]
fn trailers_say_nothing_to_an_upstream() {
    let gateway = Gateway::shared();
    for trailer in [
        &b"remote-user"[..],
        b"x-t",
        b"content-length",
        b"transfer-encoding",
        b":path",
        b"host",
        b"x\r\ny",
    ] {
        let mark = mark();
        let path = format!("/open/{mark}");
        let evil = format!("evil{mark}");
        let mut h2 = H2::connect(&gateway, "app.test");
        let stream = h2.begin_post(&path);
        h2.frame(DATA, 0, stream, b"hello");
        h2.frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            stream,
            &block(&[(trailer, evil.as_bytes())]),
        );
        let outcome = h2.outcome(stream, MOST);
        assert_ne!(outcome, Outcome::Nothing, "{trailer:?}");
        assert!(!gateway.upstream.saw(&evil), "{trailer:?}");
    }
    crate::framing::assert_is_well(&gateway);
}

#[test]
fn streams_are_limited_to_the_number_announced() {
    let gateway = Gateway::shared();
    let mark = mark();
    let path = format!("/open/{mark}");
    gateway.upstream.script(
        &path,
        Script {
            answer: Vec::new(),
            when: When::AfterBody,
            then: Then::Listen,
        },
    );
    let mut h2 = H2::connect(&gateway, "app.test");
    let announced = h2
        .settings
        .iter()
        .find(|(number, _)| *number == 3)
        .map(|(_, most)| *most);
    let most = announced.unwrap();
    assert!(most <= 1000, "{most} streams");
    let list = h2.settings.iter().find(|(number, _)| *number == 6);
    assert!(
        list.is_some_and(|(_, most)| *most <= 1 << 20),
        "{list:?} for headers"
    );
    let mut last = 0;
    for _ in 0..most + 50 {
        last = h2.request(&get("app.test", &path), None);
    }
    let outcome = h2.outcome(last, MOST);
    assert!(outcome.is_refusal(), "{outcome:?}");
    let arrived = gateway.upstream.requests(&path).len();
    assert!(
        arrived <= usize::try_from(most).unwrap(),
        "{arrived} at once"
    );
    assert_others_are_served(&gateway);
}

#[test]
fn streams_that_are_reset_at_once_cost_an_upstream_little_cve_2023_44487() {
    let gateway = Gateway::shared();
    let mark = mark();
    let path = format!("/open/{mark}");
    let mut h2 = H2::connect(&gateway, "app.test");
    let head = block(&get("app.test", &path));
    for _ in 0..300 {
        let mut bytes = Vec::new();
        for _ in 0..10 {
            let stream = h2.next_stream();
            bytes.extend_from_slice(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
            bytes.extend_from_slice(&frame(RESET, 0, stream, &8_u32.to_be_bytes()));
        }
        if !h2.wire.send(bytes) {
            break;
        }
    }
    assert_others_are_served(&gateway);
    let arrived = gateway.upstream.requests(&path).len();
    assert!(arrived < 500, "{arrived} of 3000 were executed");
}

#[test]
fn a_header_that_never_ends_ends_the_connection_cve_2024_27316() {
    let gateway = Gateway::shared();
    for (name, piece, count) in [
        ("small", block(&[(b"x", b"y")]), 600),
        ("large", block(&[(b"x", &[b'y'; 1000])]), 600),
        ("empty", Vec::new(), 20_000),
    ] {
        let mut h2 = H2::connect(&gateway, "app.test");
        let stream = h2.next_stream();
        h2.frame(
            HEADERS,
            END_STREAM,
            stream,
            &block(&get("app.test", "/open/continued")),
        );
        for _ in 0..count {
            if !h2.frame(CONTINUATION, 0, stream, &piece) {
                break;
            }
        }
        assert_others_are_served(&gateway);
        if name != "small" {
            assert!(h2.ends_within(MOST), "{name}: goes on");
        }
    }
    assert!(!gateway.upstream.saw("/open/continued"));
}

#[test]
fn a_small_block_that_grows_large_is_refused() {
    let gateway = Gateway::shared();
    // One long entry in the table, referred to again and again; many crumbs of nothing.
    let mark = mark();
    let path = format!("/open/{mark}");
    let mut table = block(&get("app.test", &path));
    table.extend_from_slice(&[0x40, 1, b'x', 127, 0xa1, 0x1e]);
    table.extend_from_slice(&[b'y'; 4000]);
    table.extend_from_slice(&[0xbe; 12_000]);
    let mut crumbs = block(&get("app.test", &path));
    crumbs.extend_from_slice(&[0xa0; 16_000]);
    for (name, block) in [("table", table), ("crumbs", crumbs)] {
        let mut h2 = H2::silent(&gateway, "app.test");
        h2.frame(SETTINGS, 0, 0, &[]);
        let stream = h2.next_stream();
        let (first, rest) = block.split_at(block.len().min(16_000));
        h2.frame(
            HEADERS,
            END_STREAM | if rest.is_empty() { END_HEADERS } else { 0 },
            stream,
            first,
        );
        if !rest.is_empty() {
            h2.frame(CONTINUATION, END_HEADERS, stream, rest);
        }
        let outcome = h2.outcome(stream, MOST);
        // The status stands in the dynamic table here, so only that it is no page is known.
        let is_served = matches!(&outcome, Outcome::Answer(_, body) if String::from_utf8_lossy(body).contains(&mark));
        assert!(
            !is_served && outcome != Outcome::Nothing,
            "{name}: {outcome:?}"
        );
        assert!(!gateway.upstream.saw(&mark), "{name}");
        assert_others_are_served(&gateway);
    }
}

#[test]
fn floods_of_control_frames_harm_nobody_else() {
    let gateway = Gateway::shared();
    let unread_ping = frame(PING, 0, 0, b"12345678");
    let settings = frame(SETTINGS, 0, 0, &setting(4, 65_535));
    let priority = frame(PRIORITY, 0, 101, &[0, 0, 0, 0, 16]);
    let update = frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
    let unknown = frame(0xfa, 0, 0, b"x");
    let reset = frame(RESET, 0, 1, &8_u32.to_be_bytes());
    let empty = frame(DATA, 0, 1, &[]);
    for (name, flood) in [
        ("ping", unread_ping),
        ("settings", settings),
        ("priority", priority),
        ("update", update),
        ("unknown", unknown),
        ("reset", reset),
        ("empty data", empty),
    ] {
        let path = format!("/open/{}", mark());
        let mut h2 = H2::connect(&gateway, "app.test");
        h2.begin_post(&path);
        let hundred = flood.repeat(100);
        for _ in 0..200 {
            if !h2.wire.send(&hundred) {
                break;
            }
        }
        assert_others_are_served(&gateway);
        drop(h2);
        assert!(gateway.upstream.requests(&path).is_empty(), "{name}");
    }
    crate::framing::assert_is_well(&gateway);
}

#[test]
fn frames_that_break_the_protocol_end_the_connection() {
    let gateway = Gateway::shared();
    let head = block(&get("app.test", "/open/broken"));
    let window = 0x7fff_ffff_u32.to_be_bytes();
    for (name, bytes) in [
        (
            "headers on stream 0",
            frame(HEADERS, END_HEADERS | END_STREAM, 0, &head),
        ),
        (
            "headers on an even stream",
            frame(HEADERS, END_HEADERS | END_STREAM, 2, &head),
        ),
        ("data on stream 0", frame(DATA, END_STREAM, 0, b"x")),
        ("data on an idle stream", frame(DATA, END_STREAM, 7, b"x")),
        (
            "a frame that is too long",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &vec![0; 20_000]),
        ),
        ("a short ping", frame(PING, 0, 0, b"x")),
        ("ping on a stream", frame(PING, 0, 1, b"12345678")),
        ("half a setting", frame(SETTINGS, 0, 0, b"123")),
        ("settings on a stream", frame(SETTINGS, 0, 1, &[])),
        (
            "a window beyond its size",
            [
                frame(WINDOW_UPDATE, 0, 0, &window),
                frame(WINDOW_UPDATE, 0, 0, &window),
            ]
            .concat(),
        ),
        (
            "an update by nothing",
            frame(WINDOW_UPDATE, 0, 0, &0_u32.to_be_bytes()),
        ),
        (
            "a window setting too large",
            frame(SETTINGS, 0, 0, &setting(4, u32::MAX)),
        ),
        (
            "a frame size too small",
            frame(SETTINGS, 0, 0, &setting(5, 1)),
        ),
        ("push by a client", frame(5, END_HEADERS, 1, &[0, 0, 0, 2])),
        (
            "continuation of nothing",
            frame(CONTINUATION, END_HEADERS, 1, &head),
        ),
        (
            "padding beyond the frame",
            frame(HEADERS, END_HEADERS | END_STREAM | 8, 1, &[255, 1, 2]),
        ),
        (
            "a block that is none",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 30]),
        ),
        (
            "an index of nothing",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x80]),
        ),
        (
            "a table beyond its limit",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                &[0x3f, 0xff, 0xff, 0xff, 0x0f],
            ),
        ),
        (
            "a text beyond the block",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0, 100, b'x']),
        ),
        (
            "Huffman code that is none",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                &[0, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'x'],
            ),
        ),
        (
            "plain HTTP/1.1",
            b"GET /open/broken HTTP/1.1\r\nHost: app.test\r\n\r\n".to_vec(),
        ),
    ] {
        let mut h2 = H2::connect(&gateway, "app.test");
        h2.wire.send(bytes);
        assert!(h2.ends_within(MOST), "{name}: goes on");
    }
    assert!(!gateway.upstream.saw("/open/broken"));
    assert_others_are_served(&gateway);
}
