//! TLS at both ends: old versions are not spoken, an upstream that is not who it should be gets no request, and
//! the pages that ask for a password say that they are for https alone (threats.md §4, 29 and 31).

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::browser::Browser;
use crate::rig::Difference;
use crate::rig::Gateway;
use crate::support::certificates;

#[test]
fn versions_before_tls_1_2_get_an_alert_and_nothing_else() {
    let gateway = Gateway::shared();
    for version in [[3, 0], [3, 1], [3, 2]] {
        let answer = answer_to(gateway.https, &client_hello(version));
        assert_ne!(answer.first(), Some(&HANDSHAKE), "{version:?}: {answer:?}");
        assert!(answer.len() < 16, "{version:?}: {answer:?}");
    }
    // The same greeting with a version that is spoken is answered: it was not refused for something else.
    let answer = answer_to(gateway.https, &client_hello([3, 3]));
    assert_eq!(answer.first(), Some(&HANDSHAKE), "{answer:?}");
}

#[test]
fn an_upstream_that_is_not_who_it_should_be_gets_no_request_w_18() {
    let right = TlsUpstream::start("upstream.test");
    let other = TlsUpstream::start("elsewhere.test");
    let pool = |name: &str, address: SocketAddr, tls: &str| {
        format!(
            "  {name}: {{ scheme: https, primary: [ \"{address}\" ], max_fails: 0, tls: {{ {tls} }} }}\n"
        )
    };
    let ours = "server_name: upstream.test, ca_file: ca.pem";
    let pools = [
        pool("right", right.address, ours),
        pool("named", other.address, ours),
        pool("unsigned", right.address, "server_name: upstream.test"),
    ];
    let routes: String = ["right", "named", "unsigned"]
        .map(|name| format!("      - {{ path: /{name}, access: excluded, pool: {name} }}\n"))
        .concat();
    let gateway = Gateway::start(&Difference {
        pools: &pools.concat(),
        hosts: &format!("  - host: third.test\n    public_port: 443\n    routes:\n{routes}"),
        ..Difference::default()
    });
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: third.test\r\n\r\n");
        gateway.tls("third.test").ask(request)
    };
    assert_eq!(ask("/right").status, 200);
    assert_eq!(right.requests(), 1);
    for path in ["/named", "/unsigned"] {
        let answer = ask(path);
        assert!(matches!(answer.status, 502 | 503), "{path}: {answer:?}");
    }
    assert_eq!((right.requests(), other.requests()), (1, 0));
}

#[test]
fn a_page_that_asks_for_a_password_has_every_header_that_guards_it() {
    let gateway = Gateway::shared();
    let mut browser = Browser::default();
    let to_login = browser.get(&gateway, "https://app.test/");
    let page = browser.get(&gateway, to_login.header("location").unwrap());
    for (name, value) in [
        ("strict-transport-security", "max-age=31536000"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(page.header(name), Some(value), "{page:?}");
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    // An application's host may be served by plain http too: that is not for its pages to say.
    let mut stranger = Browser::default();
    let refused = stranger.get(&gateway, "https://app.test/.portway/callback");
    assert_eq!(refused.header("strict-transport-security"), None);
}

/// What comes back on a connection that begins with these bytes.
fn answer_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).unwrap_or_default();
    answer.truncate(read);
    answer
}

/// A greeting that offers nothing newer than this version (RFC 5246 §7.4.1.2).
fn client_hello(version: [u8; 2]) -> Vec<u8> {
    let ciphers = [
        0xc0, 0x2f, 0xc0, 0x2b, 0xc0, 0x30, 0xc0, 0x2c, 0xc0, 0x13, 0xc0, 0x09, 0x00, 0x2f,
    ];
    let groups = extension(10, &[0, 4, 0, 23, 0, 29]);
    let points = extension(11, &[1, 0]);
    let signatures = extension(13, &[0, 8, 4, 3, 8, 4, 4, 1, 2, 3]);
    let name = b"app.test";
    let names = [&[0, 11, 0, 0, 8], name.as_slice()].concat();
    let secret = extension(23, &[]);
    let extensions = [extension(0, &names), groups, points, signatures, secret].concat();
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(counted(&ciphers));
    body.extend([1, 0]);
    body.extend(counted(&extensions));
    let mut message = vec![1, 0];
    message.extend(counted(&body));
    let mut record = vec![HANDSHAKE, 3, 1];
    record.extend(counted(&message));
    record
}

fn extension(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut extension = vec![0, kind];
    extension.extend(counted(body));
    extension
}

/// Bytes behind their length in two bytes.
fn counted(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap();
    let mut counted = length.to_be_bytes().to_vec();
    counted.extend(body);
    counted
}

/// An upstream with a certificate of the authority that these tests trust.
struct TlsUpstream {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl TlsUpstream {
    fn start(name: &str) -> Self {
        let issued = certificates::issue(&[name]);
        let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes());
        let chain = chain.map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, counted) = (Arc::clone(&config), Arc::clone(&counted));
                std::thread::spawn(move || serve(stream, config, &counted));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, config: Arc<ServerConfig>, counted: &AtomicUsize) {
    let mut connection = ServerConnection::new(config).unwrap();
    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
    let mut buffer = [0; 4096];
    while tls.read(&mut buffer).is_ok_and(|read| read > 0) {
        counted.fetch_add(1, Ordering::SeqCst);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        if tls.write_all(answer).is_err() {
            return;
        }
    }
}

/// The first byte of a record that goes on with the handshake; that of an alert is 21.
const HANDSHAKE: u8 = 22;
