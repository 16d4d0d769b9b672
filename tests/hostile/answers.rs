//! Upstreams that answer in ways two readers would cut apart differently (threats.md §1.3): the client
//! gets one answer or an error, and the next client never gets what is left over.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use crate::rig::Difference;
use crate::rig::Gateway;
use crate::upstream::Script;
use crate::upstream::Then;
use crate::upstream::When;
use crate::wire::answers;
use crate::wire::mark;

const HOST: &str = "Host: plain.test\r\n";

/// The same for a virtual host that compresses.
const PACKED: &str = "Host: packed.test\r\nAccept-Encoding: gzip\r\n";

/// An answer that hides another, marked one.
const HIDDEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Evil: MARK\r\n\r\nevil";

/// What may come of an answer: an error, or one answer of which nothing is left over.
fn fault(
    gateway: &Gateway,
    (name, answer): (&str, &[u8]),
    then: Then,
    host: &str,
) -> Option<String> {
    let mark = mark();
    let path = format!("/{mark}/odd");
    let answer: Vec<u8> = String::from_utf8_lossy(answer)
        .replace("MARK", &mark)
        .into_bytes();
    gateway.upstream.script(
        &path,
        Script {
            answer,
            when: When::AfterBody,
            then,
        },
    );
    let mut wire = gateway.plain();
    wire.send(format!("GET {path} HTTP/1.1\r\n{host}\r\n"));
    let (mut all, _) = wire.read_to_end(Duration::from_millis(80));
    // On the same connection, and on others, each gets its own.
    let next = format!("/{mark}/next");
    wire.send(format!(
        "GET {next} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"
    ));
    let (more, _) = wire.read_to_end(Duration::from_millis(300));
    all.extend_from_slice(&more);
    let text = String::from_utf8_lossy(&all).into_owned();
    let seen = answers(&all);
    if seen.len() > 2
        || seen
            .iter()
            .skip(1)
            .any(|a| a.head.contains(&mark) && a.status == 200 && !a.text().contains(&next))
    {
        return Some(format!("{name}: {text:?}"));
    }
    for other in 0..3 {
        let own = format!("/{mark}/other{other}");
        let mut client = gateway.plain();
        client.send(format!("GET {own} HTTP/1.1\r\n{HOST}\r\n"));
        match client.answer() {
            Some(answer) if answer.text().contains(&own) && answer.header("x-evil").is_none() => {}
            other => {
                return Some(format!(
                    "{name}: the next client got {other:?} after {text:?}"
                ));
            }
        }
    }
    None
}

/// Answers that readers take in different ways, each by its name.
fn odd_answers() -> Vec<(&'static str, Vec<u8>)> {
    let with = |lines: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\n{lines}\r\n{body}{HIDDEN}").into_bytes()
    };
    vec![
        ("cl_twice", with("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")),
        ("cl_twice_different", with("Content-Length: 5\r\nContent-Length: 50\r\n", "hello")),
        ("cl_list", with("Content-Length: 5, 5\r\n", "hello")),
        ("cl_list_different", with("Content-Length: 5, 6\r\n", "hello")),
        ("cl_plus", with("Content-Length: +5\r\n", "hello")),
        ("cl_minus", with("Content-Length: -5\r\n", "hello")),
        ("cl_hex", with("Content-Length: 0x5\r\n", "hello")),
        ("cl_empty", with("Content-Length:\r\n", "hello")),
        ("cl_overflow", with("Content-Length: 18446744073709551621\r\n", "hello")),
        ("cl_short", with("Content-Length: 2\r\n", "hello")),
        ("cl_te", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        ("te_cl", with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
        ("te_twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        ("te_identity", with("Transfer-Encoding: identity\r\n", "hello")),
        ("te_gzip", with("Transfer-Encoding: gzip, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        ("te_vtab", with("Transfer-Encoding: \x0bchunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        ("te_xchunked", with("Transfer-Encoding: xchunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        ("te_space_colon", with("Transfer-Encoding : chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        ("chunk_0x", with("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n")),
        ("chunk_bad", with("Transfer-Encoding: chunked\r\n", "zz\r\nhello\r\n0\r\n\r\n")),
        ("chunk_overflow", with("Transfer-Encoding: chunked\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n")),
        ("chunk_bare_lf", with("Transfer-Encoding: chunked\r\n", "5\nhello\n0\n\n")),
        ("chunk_no_end", with("Transfer-Encoding: chunked\r\n", "5\r\nhelloX")),
        ("bare_lf", format!("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello{HIDDEN}").into_bytes()),
        ("bare_lf_line", with("X: y\nContent-Length: 2\r\n", "hello")),
        ("bare_cr", with("X: y\rContent-Length: 2\r\n", "hello")),
        ("nul", with("X: y\0z\r\nContent-Length: 5\r\n", "hello")),
        ("fold", with("X: y\r\n Content-Length: 2\r\nContent-Length: 5\r\n", "hello")),
        ("space_colon", with("Content-Length : 2\r\nContent-Length: 5\r\n", "hello")),
        ("empty_name", with(": x\r\nContent-Length: 5\r\n", "hello")),
        ("no_colon", with("Xy\r\nContent-Length: 5\r\n", "hello")),
        ("split", with("X: a\r\nSet-Cookie: evil=1\r\nContent-Length: 0\r\n", "")),
        ("no_framing", with("", "hello")),
        ("status_99", format!("HTTP/1.1 99 Odd\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}").into_bytes()),
        ("status_1000", format!("HTTP/1.1 1000 Odd\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}").into_bytes()),
        ("status_text", format!("HTTP/1.1 abc Odd\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}").into_bytes()),
        ("status_missing", format!("HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}").into_bytes()),
        ("http_09", format!("hello{HIDDEN}").into_bytes()),
        ("http_2", b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec()),
        ("garbage", b"\x00\x01\x02\x03\r\n\r\n".to_vec()),
        ("204_body", format!("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}").into_bytes()),
        ("304_body", format!("HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}").into_bytes()),
        ("101_unasked", format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n{HIDDEN}").into_bytes()),
        ("100_then_two", format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}").into_bytes()),
        ("103_then_two", format!("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}").into_bytes()),
        ("two_answers", with("Content-Length: 5\r\n", "hello")),
        ("connection_close", with("Connection: close\r\nContent-Length: 5\r\n", "hello")),
        ("connection_names_cl", with("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello")),
    ]
}

#[test]
fn an_odd_answer_is_an_error_or_one_answer_and_the_next_client_gets_their_own() {
    expect_no_fault(&odd_answers(), HOST);
}

#[test]
fn an_odd_answer_is_none_the_better_for_being_compressed() {
    let mut answers = odd_answers();
    for (_, answer) in &mut answers {
        let typed = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
        let text = String::from_utf8_lossy(answer);
        let text = text.replacen("HTTP/1.1 200 OK\r\n", typed, 1);
        *answer = text.into_bytes();
    }
    expect_no_fault(&answers, PACKED);
}

fn expect_no_fault(cases: &[(&str, Vec<u8>)], host: &str) {
    let gateway = Gateway::shared();
    let mut faults = Vec::new();
    for (name, answer) in cases {
        for then in [Then::Keep, Then::Close] {
            faults.extend(fault(&gateway, (name, answer), then, host));
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        cases.len() * 2,
        faults.join("\n")
    );
}

#[test]
fn an_answer_that_breaks_off_is_never_taken_for_a_whole_one() {
    let gateway = Gateway::shared();
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let mark = mark();
        let path = format!("/{mark}/cut");
        gateway.upstream.script(
            &path,
            Script {
                answer: answer.as_bytes().to_vec(),
                when: When::AfterBody,
                then: Then::Close,
            },
        );
        let mut wire = gateway.plain();
        wire.send(format!("GET {path} HTTP/1.1\r\n{HOST}\r\n"));
        let (all, end) = wire.read_to_end(Duration::from_secs(5));
        let text = String::from_utf8_lossy(&all).into_owned();
        let is_whole_error = answers(&all).first().is_some_and(|a| a.status == 502);
        let is_cut = end == crate::wire::End::Closed && !text.ends_with("\r\n0\r\n\r\n");
        assert!(is_whole_error || is_cut, "{answer:?}: {text:?}");
        assert!(!text.contains("200 OK") || is_cut, "{answer:?}: {text:?}");
    }
    crate::framing::assert_is_well(&gateway);
}

#[test]
fn an_upstream_that_is_gone_after_an_interim_answer_is_an_error() {
    let gateway = Gateway::shared();
    for interim in ["100 Continue", "103 Early Hints"] {
        let path = format!("/{}/interim", mark());
        let answer = format!("HTTP/1.1 {interim}\r\n\r\n").into_bytes();
        gateway.upstream.script(
            &path,
            Script {
                answer,
                when: When::AfterBody,
                then: Then::Close,
            },
        );
        let answer = gateway
            .plain()
            .ask(format!("GET {path} HTTP/1.1\r\n{HOST}\r\n"));
        assert_eq!(answer.status, 502, "{interim}: {answer:?}");
    }
}

#[test]
fn what_an_upstream_says_before_the_handshake_is_no_answer() {
    // An upstream that should speak TLS and sends an answer in plain as soon as it is connected to.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
                .ok();
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
        }
    });
    for verify in ["true", "false"] {
        let pools = format!(
            "  odd: {{ scheme: https, primary: [ \"{address}\" ], max_fails: 0, tls: {{ verify: {verify} }} }}\n"
        );
        let gateway = Gateway::start(&Difference {
            pools: &pools,
            hosts: "  - host: third.test\n    public_port: 443\n    routes: [ { path: /, access: excluded, pool: odd } ]\n",
            ..Difference::default()
        });
        let answer = gateway
            .tls("third.test")
            .ask("GET / HTTP/1.1\r\nHost: third.test\r\n\r\n");
        assert!(matches!(answer.status, 502 | 503), "{answer:?}");
        assert!(!answer.text().contains("evil"), "{answer:?}");
    }
}
