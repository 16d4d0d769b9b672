//! Clients that take their time on purpose (threats.md §1.6): every one of them is cut off within the
//! configured limits, and nobody else waits meanwhile.
//!
//! The limits are short here, one second each, so that waiting for them is.

use std::io::Read;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::Weak;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::frames::DATA;
use crate::frames::END_HEADERS;
use crate::frames::END_STREAM;
use crate::frames::H2;
use crate::frames::HEADERS;
use crate::frames::Outcome;
use crate::frames::PING;
use crate::frames::PRIORITY;
use crate::frames::SETTINGS;
use crate::frames::WINDOW_UPDATE;
use crate::frames::block;
use crate::frames::frame;
use crate::frames::get;
use crate::frames::request;
use crate::frames::setting;
use crate::rig::Difference;
use crate::rig::Gateway;
use crate::rig::assert_others_are_served;
use crate::upstream::Script;
use crate::upstream::Then;
use crate::upstream::When;
use crate::wire::Wire;
use crate::wire::mark;

const LIMITS: &str = "limits: { handshake_timeout: 1s, header_timeout: 1s, body_idle_timeout: 1s, body_rate_min: 1KiB, \
     send_timeout: 1s, keep_alive_timeout: 1s, drain_timeout: 1s }\n";
/// Longest that a slow client may last: limits add up where one follows the other, and machines are slow.
const MOST: Duration = Duration::from_secs(15);
/// Most of them are gone by then, which is sooner than any limit has them go by default.
const BY_DEFAULT: Duration = Duration::from_secs(8);
const PACE: Duration = Duration::from_millis(100);

fn impatient() -> Arc<Gateway> {
    static SHARED: Mutex<Weak<Gateway>> = Mutex::new(Weak::new());
    let sections = LIMITS;
    Gateway::shared_by(
        &SHARED,
        &Difference {
            sections,
            ..Difference::default()
        },
    )
}

/// Sends a piece again and again, and answers how long the connection lasted; none if it did not end.
fn dribble(wire: &mut Wire, piece: &[u8]) -> Option<Duration> {
    let began = Instant::now();
    while began.elapsed() < MOST {
        if !wire.send(piece) || wire.read_some(PACE).is_none() {
            return Some(began.elapsed());
        }
    }
    None
}

/// Runs all of them at once, a few connections each, and checks on others meanwhile.
fn assert_each_ends(gateway: &Arc<Gateway>, name: &str, slow: fn(&Gateway) -> Option<Duration>) {
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let gateway = Arc::clone(gateway);
            thread::spawn(move || slow(&gateway))
        })
        .collect();
    assert_others_are_served(gateway);
    let mut all = Vec::new();
    for client in clients {
        let lasted = client.join().unwrap();
        assert!(lasted.is_some(), "{name}: still open after {MOST:?}");
        all.extend(lasted);
    }
    all.sort();
    let middle = all[all.len() / 2];
    assert!(middle < BY_DEFAULT, "{name}: as without limits, {all:?}");
}

#[test]
fn a_header_that_trickles_in_is_cut_off() {
    let gateway = impatient();
    assert_each_ends(&gateway, "plain", |gateway| {
        let mut wire = gateway.plain();
        wire.send("GET /x HTTP/1.1\r\nHost: plain.test\r\nX: ");
        dribble(&mut wire, b"a")
    });
    assert_each_ends(&gateway, "plain, by line", |gateway| {
        let mut wire = gateway.plain();
        wire.send("GET /x HTTP/1.1\r\nHost: plain.test\r\n");
        dribble(&mut wire, b"X: y\r\n")
    });
    assert_each_ends(&gateway, "plain, empty lines", |gateway| {
        dribble(&mut gateway.plain(), b"\r\n")
    });
    assert_each_ends(&gateway, "TLS", |gateway| {
        let mut wire = gateway.tls("app.test");
        wire.send("GET /x HTTP/1.1\r\nHost: app.test\r\nX: ");
        dribble(&mut wire, b"a")
    });
    assert_each_ends(&gateway, "second request", |gateway| {
        let mut wire = gateway.plain();
        wire.ask("GET /x HTTP/1.1\r\nHost: plain.test\r\n\r\n");
        dribble(&mut wire, b"G")
    });
}

#[test]
fn a_connection_on_which_nothing_comes_is_closed() {
    let gateway = impatient();
    assert_each_ends(&gateway, "plain", |gateway| {
        dribble(&mut gateway.plain(), b"")
    });
    assert_each_ends(&gateway, "after a request", |gateway| {
        let mut wire = gateway.plain();
        wire.ask("GET /x HTTP/1.1\r\nHost: plain.test\r\n\r\n");
        dribble(&mut wire, b"")
    });
    assert_each_ends(&gateway, "TLS, after the handshake", |gateway| {
        let mut wire = gateway.tls("app.test");
        // The handshake is over when the first byte has been written.
        wire.send("G");
        dribble(&mut wire, b"")
    });
    assert_each_ends(&gateway, "no handshake", |gateway| {
        dribble(&mut Wire::plain(gateway.https), b"")
    });
    assert_each_ends(&gateway, "half a handshake", |gateway| {
        let mut wire = Wire::plain(gateway.https);
        wire.send([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]);
        dribble(&mut wire, b"\0")
    });
    assert_each_ends(&gateway, "h2, only the preface", |gateway| {
        let mut h2 = H2::silent(gateway, "app.test");
        let began = Instant::now();
        h2.ends_within(MOST).then(|| began.elapsed())
    });
    assert_each_ends(&gateway, "h2, only settings", |gateway| {
        let mut h2 = H2::connect(gateway, "app.test");
        let began = Instant::now();
        h2.ends_within(MOST).then(|| began.elapsed())
    });
    assert_each_ends(&gateway, "h2, nothing at all", |gateway| {
        let mut wire = Wire::tls(gateway.https, "app.test", &[b"h2"]);
        wire.send("PRI * HT");
        dribble(&mut wire, b"")
    });
    assert_each_ends(&gateway, "h2, after a request", |gateway| {
        let mut h2 = H2::connect(gateway, "app.test");
        h2.ask(&get("app.test", "/open/idle"), None);
        let began = Instant::now();
        h2.ends_within(MOST).then(|| began.elapsed())
    });
}

#[test]
fn a_body_that_trickles_in_is_cut_off() {
    let gateway = impatient();
    assert_each_ends(&gateway, "length", |gateway| {
        let mut wire = gateway.plain();
        wire.send("POST /slow/body HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 100000\r\n\r\n");
        dribble(&mut wire, b"a")
    });
    assert_each_ends(&gateway, "chunked", |gateway| {
        let mut wire = gateway.plain();
        wire.send(
            "POST /slow/body HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        dribble(&mut wire, b"1\r\na\r\n")
    });
    assert_each_ends(&gateway, "chunk sizes", |gateway| {
        let mut wire = gateway.plain();
        wire.send("POST /slow/body HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: chunked\r\n\r\n5;x=");
        dribble(&mut wire, b"y")
    });
    assert_each_ends(&gateway, "no body at all", |gateway| {
        let mut wire = gateway.plain();
        wire.send("POST /slow/body HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 100000\r\n\r\n");
        dribble(&mut wire, b"")
    });
    assert_each_ends(&gateway, "refused", |gateway| {
        let mut wire = gateway.tls("app.test");
        wire.send("POST /adm HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\n");
        dribble(&mut wire, b"a")
    });
    assert_each_ends(&gateway, "login form", |gateway| {
        let mut wire = gateway.tls("login.test");
        wire.send(
            "POST /.portway/sign-in HTTP/1.1\r\nHost: login.test\r\nContent-Length: 10000\r\n\r\n",
        );
        dribble(&mut wire, b"a")
    });
    assert!(
        gateway.upstream.requests("/slow/body").is_empty(),
        "taken for whole"
    );
}

#[test]
fn slow_streams_of_http_2_are_cut_off() {
    let gateway = impatient();
    assert_each_ends(&gateway, "a header that does not end", |gateway| {
        let mut h2 = H2::connect(gateway, "app.test");
        h2.frame(HEADERS, END_STREAM, 1, &block(&get("app.test", "/open/x")));
        let began = Instant::now();
        h2.ends_within(MOST).then(|| began.elapsed())
    });
    for path in ["/open/slow", "/adm"] {
        let (gateway, path) = (Arc::clone(&gateway), path.to_owned());
        let mut h2 = H2::connect(&gateway, "app.test");
        let stream = h2.begin_post(&path);
        let began = Instant::now();
        let mut outcome = Outcome::Nothing;
        while began.elapsed() < MOST && outcome == Outcome::Nothing {
            h2.frame(DATA, 0, stream, b"a");
            outcome = h2.outcome(stream, PACE);
        }
        assert!(outcome.is_refusal(), "{path}: {outcome:?}");
    }
    assert_others_are_served(&gateway);
    assert!(
        gateway.upstream.requests("/open/slow").is_empty(),
        "taken for whole"
    );
}

/// What arrives at a closed socket is answered by a reset, and that takes back whatever of the other streams
/// the client has not read.
#[test]
fn a_stream_that_is_cut_last_leaves_the_client_time_to_read_the_others() {
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = upstream.local_addr().unwrap();
    let pools =
        format!("  silent: {{ primary: [\"{address}\"], timeouts: {{ write_idle: 100ms }} }}\n");
    let gateway = Gateway::start(&Difference {
        sections: LIMITS,
        pools: &pools,
        hosts: "  - host: third.test\n    routes: [ { path: /, access: excluded, pool: silent } ]\n",
        ..Difference::default()
    });
    let mut h2 = H2::connect(&gateway, "third.test");
    let stream = h2.next_stream();
    let head = block(&request("POST", "third.test", "/"));
    h2.frame(HEADERS, END_HEADERS, stream, &head);
    assert_eq!(h2.outcome(stream, MOST), Outcome::Reset);
    assert!(h2.is_closed_within(MOST), "goes on");
    for _ in 0..10 {
        assert!(h2.frame(PING, 0, 0, &[0; 8]), "it is reset");
    }
}

/// An answer larger than all buffers on its way.
fn endless(gateway: &Gateway, path: &str) {
    let length = 48 << 20;
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + length, b'x');
    gateway.upstream.script(
        path,
        Script {
            answer,
            when: When::AfterBody,
            then: Then::Close,
        },
    );
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let gateway = impatient();
    let path = format!("/open/{}", mark());
    endless(&gateway, &path);
    for (which, host) in [("?plain", "plain.test"), ("?tls", "app.test")] {
        let mut wire = if which == "?tls" {
            gateway.tls(host)
        } else {
            gateway.plain()
        };
        assert!(wire.send(format!(
            "GET {path}{which} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        )));
        assert_others_are_served(&gateway);
        assert!(
            gateway
                .upstream
                .is_broken_off(&format!("{path}{which}"), MOST),
            "{which}: goes on"
        );
    }
}

#[test]
fn a_client_that_reads_drop_by_drop_is_cut_off() {
    let gateway = impatient();
    let path = format!("/open/{}", mark());
    endless(&gateway, &path);
    let mut wire = gateway.plain();
    wire.send(format!(
        "GET {path}?drops HTTP/1.1\r\nHost: plain.test\r\n\r\n"
    ));
    let mut drop = [0; 100];
    let mut ended = false;
    for _ in 0..80 {
        wire.socket().set_read_timeout(Some(PACE)).unwrap();
        ended = wire
            .socket()
            .read(&mut drop)
            .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
            || gateway
                .upstream
                .is_broken_off(&format!("{path}?drops"), PACE);
        if ended {
            break;
        }
    }
    assert!(ended, "goes on");
    assert_others_are_served(&gateway);
}

#[test]
fn a_window_that_is_never_opened_holds_no_upstream_cve_2019_9517() {
    let gateway = impatient();
    let path = format!("/open/{}", mark());
    endless(&gateway, &path);
    for (which, window) in [("?none", 0), ("?usual", 65_535)] {
        let target = format!("{path}{which}");
        let mut h2 = H2::connect(&gateway, "app.test");
        h2.frame(SETTINGS, 0, 0, &setting(4, window));
        h2.request(&get("app.test", &target), None);
        assert_others_are_served(&gateway);
        assert!(
            gateway.upstream.is_broken_off(&target, MOST),
            "{which}: goes on"
        );
    }
}

#[test]
fn a_window_that_is_opened_byte_by_byte_holds_no_upstream() {
    let gateway = impatient();
    let path = format!("/open/{}", mark());
    endless(&gateway, &path);
    let mut h2 = H2::connect(&gateway, "app.test");
    let stream = h2.request(&get("app.test", &path), None);
    let update = |stream| frame(WINDOW_UPDATE, 0, stream, &1_u32.to_be_bytes());
    let mut ended = false;
    for _ in 0..80 {
        h2.wire.send([update(0), update(stream)].concat());
        ended = gateway.upstream.is_broken_off(&path, PACE);
        if ended {
            break;
        }
    }
    assert!(ended, "goes on");
    assert_others_are_served(&gateway);
}

#[test]
fn pings_do_not_keep_a_connection_that_asks_for_nothing() {
    let gateway = impatient();
    for (name, bytes) in [
        ("ping", frame(PING, 0, 0, b"12345678")),
        ("settings", frame(SETTINGS, 0, 0, &[])),
        ("priority", frame(PRIORITY, 0, 101, &[0, 0, 0, 0, 16])),
        ("unknown", frame(0xfa, 0, 0, b"x")),
    ] {
        let mut h2 = H2::connect(&gateway, "app.test");
        let began = Instant::now();
        let mut ended = false;
        while !ended && began.elapsed() < MOST {
            h2.wire.send(&bytes);
            ended = h2.ends_within(PACE);
        }
        assert!(ended, "{name}: kept open");
    }
}

/// Connects from an address of the loopback network.
fn connect_from(source: Ipv4Addr, to: SocketAddr) -> TcpStream {
    use nix::sys::socket::AddressFamily;
    use nix::sys::socket::SockFlag;
    use nix::sys::socket::SockType;
    use nix::sys::socket::SockaddrIn;
    use nix::sys::socket::bind;
    use nix::sys::socket::connect;
    use nix::sys::socket::socket;
    let IpAddr::V4(host) = to.ip() else {
        panic!("{to} is no IPv4 address");
    };
    let [a, b, c, d] = source.octets();
    let made = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::empty(),
        None,
    )
    .unwrap();
    bind(made.as_raw_fd(), &SockaddrIn::new(a, b, c, d, 0)).unwrap();
    let [a, b, c, d] = host.octets();
    connect(made.as_raw_fd(), &SockaddrIn::new(a, b, c, d, to.port())).unwrap();
    TcpStream::from(made)
}

#[test]
fn one_address_cannot_take_all_connections() {
    let sections = "limits: { connections_per_address: 20, connections: 50 }\n";
    let gateway = Gateway::start(&Difference {
        sections,
        ..Difference::default()
    });
    let is_served = |mut stream: TcpStream| {
        use std::io::Write;
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let sent = stream.write_all(b"GET /x HTTP/1.1\r\nHost: plain.test\r\n\r\n");
        let mut buffer = [0; 1000];
        let read = sent.and_then(|()| stream.read(&mut buffer)).unwrap_or(0);
        (read > 0).then_some(stream)
    };
    let first = Ipv4Addr::new(127, 0, 0, 2);
    let held: Vec<TcpStream> = (0..40)
        .filter_map(|_| is_served(connect_from(first, gateway.http)))
        .collect();
    assert_eq!(held.len(), 20);
    // Another address is served, until the total is reached.
    let second = Ipv4Addr::new(127, 0, 0, 3);
    let mut all = held;
    all.extend((0..40).filter_map(|_| is_served(connect_from(second, gateway.http))));
    assert_eq!(all.len(), 40);
    let third = Ipv4Addr::new(127, 0, 0, 4);
    all.extend((0..40).filter_map(|_| is_served(connect_from(third, gateway.http))));
    assert_eq!(all.len(), 50);
    // What is closed makes room.
    all.truncate(10);
    let began = Instant::now();
    let mut again = None;
    while again.is_none() && began.elapsed() < MOST {
        again = is_served(connect_from(third, gateway.http));
    }
    assert!(again.is_some(), "no room was made");
}
