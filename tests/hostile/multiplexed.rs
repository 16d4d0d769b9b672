//! The recording upstream where it is spoken to by HTTP/2, and the attacks once more before it.
//!
//! What it is sent is noted as it would have read over HTTP/1.1, so that the same tests can look for what got
//! through. A script's answer is taken apart and sent in frames.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;

use crate::frames::ACK;
use crate::frames::DATA;
use crate::frames::END_HEADERS;
use crate::frames::END_STREAM;
use crate::frames::Field;
use crate::frames::HEADERS;
use crate::frames::SETTINGS;
use crate::frames::block;
use crate::frames::frame;
use crate::rig::Difference;
use crate::rig::Gateway;
use crate::rig::MULTIPLEXED;
use crate::upstream::Request;
use crate::upstream::State;
use crate::upstream::When;
use crate::upstream::echo;
use crate::wire::answers;

/// Serves a connection that begins as HTTP/2 does, until its end.
pub(crate) fn serve(stream: TcpStream, state: &Arc<State>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        stream.set_nonblocking(true).unwrap();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let Ok(mut connection) = h2::server::handshake(stream).await else {
            return;
        };
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(answer(request, respond, Arc::clone(state)));
        }
    });
}

async fn answer(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    state: Arc<State>,
) {
    let (head, mut body) = request.into_parts();
    let target = head
        .uri
        .path_and_query()
        .map_or("*", |target| target.as_str());
    let authority = head
        .uri
        .authority()
        .map_or("", |authority| authority.as_str());
    let mut text = format!("{} {target} HTTP/1.1\r\nHost: {authority}\r\n", head.method);
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let script = state.script_for(&text);
    if let Some(early) = script.as_ref().filter(|it| it.when == When::AfterHead) {
        send(&mut respond, &early.answer);
    }
    let mut whole = Vec::new();
    while let Some(piece) = body.data().await {
        let Ok(piece) = piece else {
            return;
        };
        body.flow_control().release_capacity(piece.len()).unwrap();
        whole.extend_from_slice(&piece);
    }
    if body.trailers().await.is_err() {
        return;
    }
    let request = Request {
        head: text,
        body: whole,
    };
    let script = script.unwrap_or_else(|| echo(&request));
    state.note_whole(request);
    if script.when == When::AfterBody {
        send(&mut respond, &script.answer);
    }
}

/// Sends the first answer of these bytes; none that a head of HTTP/2 cannot hold.
fn send(respond: &mut SendResponse<Bytes>, answer: &[u8]) {
    let at = crate::upstream::find(answer, b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..at]).into_owned();
    let mut lines = head.split("\r\n");
    let status: u16 = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let mut response = http::Response::builder().status(status);
    let mut body = &answer[at + 4..];
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let length: usize = value.trim().parse().unwrap();
                body = &body[..length.min(body.len())];
            }
            "connection" | "transfer-encoding" => {}
            name => response = response.header(name, value.trim()),
        }
    }
    let response = response.body(()).unwrap();
    let Ok(mut up) = respond.send_response(response, body.is_empty()) else {
        return;
    };
    if !body.is_empty() {
        up.send_data(Bytes::copy_from_slice(body), true).ok();
    }
}

/// The other tests of this binary, each once more before an upstream that is spoken to by HTTP/2.
#[test]
fn no_attack_fares_better_before_an_upstream_of_http_2() {
    if std::env::var_os(MULTIPLEXED).is_some() {
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.env(MULTIPLEXED, "1").args(ATTACKS);
    for (skipped, _) in SKIPPED {
        again.args(["--skip", skipped]);
    }
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("; 0 failed;"), "{said}");
}

/// What is about requests on their way to an upstream.
const ATTACKS: [&str; 7] = [
    "conditions::",
    "framing::",
    "h2::",
    "hosts::",
    "identity_headers::",
    "paths::",
    "cookies::",
];
/// What is not, and why.
const SKIPPED: &[(&str, &str)] = &[];

/// The frames of an answer on a stream.
type Frames = Box<dyn Fn(u32) -> Vec<u8> + Send + Sync>;

/// An upstream that answers the first request with these frames, and later ones as it should.
fn answering(frames: Frames) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (frames, is_later) = (Arc::new(frames), Arc::new(AtomicBool::new(false)));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (frames, is_later) = (Arc::clone(&frames), Arc::clone(&is_later));
            std::thread::spawn(move || answer_by_hand(stream, &frames, &is_later));
        }
    });
    address
}

fn answer_by_hand(mut stream: TcpStream, frames: &Frames, is_later: &AtomicBool) -> Option<()> {
    stream.read_exact(&mut [0; 24]).ok()?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).ok()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let [a, b, c, kind, flags, number @ ..] = head;
        let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        stream.read_exact(&mut payload).ok()?;
        if kind == SETTINGS && flags & ACK == 0 {
            stream.write_all(&frame(SETTINGS, ACK, 0, &[])).ok()?;
        }
        if kind == HEADERS {
            let number = u32::from_be_bytes(number);
            let fine = || of(&FINE, &[b"fine"])(number);
            let is_later = is_later.swap(true, Ordering::SeqCst);
            let bytes = if is_later { fine() } else { frames(number) };
            stream.write_all(&bytes).ok()?;
        }
    }
}

const FINE: [Field<'static>; 2] = [(b":status", b"200"), (b"content-length", b"4")];

/// A head and pieces of a body, the last of which ends the answer.
fn of(fields: &[Field<'static>], pieces: &[&'static [u8]]) -> Frames {
    let (head, pieces) = (block(fields), pieces.to_vec());
    Box::new(move |stream| {
        let flags = END_HEADERS | if pieces.is_empty() { END_STREAM } else { 0 };
        let mut bytes = frame(HEADERS, flags, stream, &head);
        for (at, piece) in pieces.iter().enumerate() {
            let flags = if at + 1 == pieces.len() {
                END_STREAM
            } else {
                0
            };
            bytes.extend(frame(DATA, flags, stream, piece));
        }
        bytes
    })
}

#[test]
fn an_odd_answer_over_http_2_is_an_error_and_leaves_others_their_own() {
    const OK: Field<'static> = (b":status", b"200");
    let with = |field: Field<'static>| of(&[OK, field], &[b"evil"]);
    let cases: Vec<(&str, Frames)> = vec![
        ("longer", with((b"content-length", b"3"))),
        ("shorter", with((b"content-length", b"50"))),
        (
            "two lengths",
            of(
                &[OK, (b"content-length", b"4"), (b"content-length", b"5")],
                &[b"evil"],
            ),
        ),
        ("odd length", with((b"content-length", b"+4"))),
        (
            "a length and no body",
            of(&[OK, (b"content-length", b"50")], &[]),
        ),
        ("no status", of(&[(b"x", b"y")], &[b"evil"])),
        ("two statuses", of(&[OK, (b":status", b"201")], &[b"evil"])),
        ("a status of text", of(&[(b":status", b"abc")], &[b"evil"])),
        (
            "a status too large",
            of(&[(b":status", b"1000")], &[b"evil"]),
        ),
        ("a tunnel", of(&[(b":status", b"101")], &[b"evil"])),
        ("a status at last", of(&[(b"x", b"y"), OK], &[b"evil"])),
        ("connection", with((b"connection", b"keep-alive"))),
        (
            "transfer-encoding",
            with((b"transfer-encoding", b"chunked")),
        ),
        ("upgrade", with((b"upgrade", b"evil"))),
        ("an upper case name", with((b"X-Evil", b"evil"))),
        ("a line in a name", with((b"x\r\nset-cookie", b"evil"))),
        ("a line in a value", with((b"x", b"y\r\nset-cookie: evil"))),
        ("nul in a value", with((b"x", b"y\0evil"))),
        (
            "a body before its head",
            Box::new(|stream| frame(DATA, END_STREAM, stream, b"evil")),
        ),
        (
            "a stream that nobody began",
            Box::new(|stream| of(&[OK], &[b"evil"])(stream + 100)),
        ),
        (
            "a block that is none",
            Box::new(|stream| frame(HEADERS, END_HEADERS, stream, &[0xff; 40])),
        ),
    ];
    let mut faults = Vec::new();
    for (name, frames) in cases {
        let pools = format!(
            "  odd: {{ scheme: h2c, primary: [ \"{}\" ], max_fails: 0, timeouts: {{ first_byte: 2s, read_idle: 2s }} }}\n",
            answering(frames)
        );
        let gateway = Gateway::start(&Difference {
            pools: &pools,
            hosts: "  - host: third.test\n    public_port: 443\n    plain_http: serve\n    routes: [ { path: /, access: excluded, pool: odd } ]\n",
            ..Difference::default()
        });
        let ask = |path: &str| {
            let mut wire = gateway.plain();
            wire.send(format!(
                "GET {path} HTTP/1.1\r\nHost: third.test\r\nConnection: close\r\n\r\n"
            ));
            let (all, _) = wire.read_to_end(Duration::from_secs(8));
            (answers(&all), String::from_utf8_lossy(&all).into_owned())
        };
        let (_, text) = ask("/odd");
        let is_error = text.starts_with("HTTP/1.1 50");
        // Begun before anybody could know: it must not look whole then.
        let is_cut = text.contains("200 OK") && !text.ends_with("0\r\n\r\n") && !is_whole(&text);
        if !(is_error || is_cut) || text.contains("set-cookie") {
            faults.push(format!("{name}: {text:?}"));
        }
        let (fine, text) = ask("/fine");
        if !fine
            .first()
            .is_some_and(|answer| answer.text().ends_with("fine"))
        {
            faults.push(format!("{name}: the next client got {text:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether an answer has the length that it says it has.
fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
    length == Some(body.len())
}
