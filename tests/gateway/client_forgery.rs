//! Clients that claim a certificate they do not have, or bring one to where it does not count: no way leads an
//! application to believe them (W-23 to W-26; threats 1.1, 1.3, 1.4 and 1.6).

use std::sync::Arc;

use http::Request as HttpRequest;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::ClientConfig;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::version::TLS12;
use rustls::version::TLS13;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio_rustls::client::TlsStream;

use super::client_certificates::DN;
use super::client_certificates::Issuers;
use super::client_certificates::PROTOCOLS;
use super::client_certificates::ask;
use super::client_certificates::connect;
use super::client_certificates::status_on;
use crate::support::Gateway;
use crate::support::Recorder;
use crate::support::certificates::ClientAuthority;
use crate::support::certificates::Issued;
use crate::support::certificates::client_showing;
use crate::support::certificates::signed_by_itself;

/// In every spelling that some server reads as one of these, some of them twice.
const CLAIMS: &[&str] = &[
    "PROXY-MUTUAL-AUTH-HEADER",
    "Proxy-Mutual-Auth-Header",
    "proxy_mutual_auth_header",
    "PROXY_MUTUAL_AUTH_HEADER",
    "Proxy.Mutual.Auth.Header",
    "ProxyMutualAuthHeader",
    "Proxy-Mutual_Auth-Header",
    "proxy--mutual-auth-header-",
    "X-Verified",
    "X-Verified",
    "x_verified",
    "X-Pem",
    "Client-Cert",
    "Client_Cert",
    "Client-Cert-Chain",
    "SSL_CLIENT_S_DN",
    "Ssl-Client-Verify",
    "X-SSL-Client-S-DN",
    "X-SSL-CLIENT-VERIFY",
    "x_ssl_client_cert",
    "X-SSL-Client-Serial",
    "X-Client-Cert",
    "X-Client-Certificate",
    "X-SSL-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Client-Cert",
];

/// Everything that somebody without the right certificate could show.
fn strangers(issuers: &Issuers) -> Vec<(&'static str, Option<Issued>)> {
    let server = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    vec![
        ("none", None),
        ("expired", Some(issuers.expired.clone())),
        ("revoked", Some(issuers.revoked.clone())),
        ("for servers", Some(issuers.root.issue_as("alice", server))),
        ("foreign", Some(issuers.foreign.clone())),
        ("of an impostor", Some(issuers.forged.clone())),
        ("signed by itself", Some(signed_by_itself("alice"))),
    ]
}

/// The status of a request with all claims, by each protocol.
async fn claiming(
    gateway: &Gateway,
    host: &str,
    (shown, protocol): (Option<&Issued>, &[u8]),
) -> String {
    let config = client_showing(shown, &TLS13, protocol);
    match protocol {
        b"h2" => ask_multiplexed(gateway, host, config).await,
        _ => ask_raw(gateway, host, config).await,
    }
}

async fn ask_raw(gateway: &Gateway, host: &str, config: ClientConfig) -> String {
    let mut stream = connect(gateway, host, config).await.unwrap();
    let mut request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for name in CLAIMS {
        request.push_str(&format!("{name}: CN=attacker\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A client that is refused may be cut off without a farewell.
    let _any = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

async fn ask_multiplexed(gateway: &Gateway, host: &str, config: ClientConfig) -> String {
    let stream = connect(gateway, host, config).await.unwrap();
    let mut client = Multiplexing::over(stream).await;
    let mut request = HttpRequest::get(format!("https://{host}/"));
    for name in CLAIMS {
        request = request.header(name.to_ascii_lowercase(), "CN=attacker");
    }
    client.status(request.body(()).unwrap()).await
}

/// A connection of HTTP/2.
struct Multiplexing(h2::client::SendRequest<bytes::Bytes>);

impl Multiplexing {
    async fn over(stream: TlsStream<tokio::net::TcpStream>) -> Self {
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        drop(tokio::spawn(connection));
        Self(sender)
    }

    async fn status(&mut self, request: HttpRequest<()>) -> String {
        let mut ready = self.0.clone().ready().await.unwrap();
        let (answer, _) = ready.send_request(request, true).unwrap();
        answer.await.unwrap().status().as_str().to_owned()
    }
}

/// The lines of a name at the upstream, in any spelling.
fn lines_of(recorder: &Recorder, name: &str) -> Vec<String> {
    let folded = |text: &str| {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.collect::<String>().to_ascii_lowercase()
    };
    let text = recorder.text();
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    let alike = lines.filter(|(own, _)| folded(own) == folded(name));
    alike.map(|(_, value)| value.to_owned()).collect()
}

#[tokio::test]
async fn whatever_somebody_shows_and_says_nothing_of_it_is_believed_w_25() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, ", crl_file: revoked.pem").await;
    let served = |host: &str, shown: &str| match host {
        "other.test" => true,
        "app.test" => false,
        "admin.test" => matches!(shown, "none" | "foreign" | "signed by itself"),
        _ => shown == "none",
    };
    let strangers = strangers(&issuers);
    let shown = strangers.iter().flat_map(|stranger| {
        let hosts = ["app.test", "third.test", "admin.test", "other.test"];
        hosts.map(|host| (host, stranger))
    });
    let cases = shown.flat_map(|case| PROTOCOLS.map(|protocol| (case, protocol)));
    for ((host, (what, shown)), protocol) in cases {
        recorder.clear();
        let status = claiming(&gateway, host, (shown.as_ref(), protocol)).await;
        let expected = if served(host, what) { "200" } else { "400" };
        assert_eq!(status, expected, "{host} {what} {protocol:?}");
        let seen = recorder.text();
        assert_eq!(seen.is_empty(), expected == "400", "{host} {what}: {seen}");
        assert!(!seen.contains("attacker"), "{host} {what}: {seen}");
        let named = lines_of(&recorder, "proxy-mutual-auth-header");
        assert!(named.is_empty(), "{seen}");
    }
}

#[tokio::test]
async fn somebody_who_is_known_is_named_once_whatever_is_claimed_beside_it_w_25() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, ", crl_file: revoked.pem").await;
    let hosts = ["app.test", "third.test", "admin.test"];
    let cases = hosts.map(|host| PROTOCOLS.map(|protocol| (host, protocol)));
    for (host, protocol) in cases.into_iter().flatten() {
        recorder.clear();
        let status = claiming(&gateway, host, (Some(&issuers.good), protocol)).await;
        assert_eq!(status, "200", "{host}");
        let seen = recorder.text();
        assert!(!seen.contains("attacker"), "{host}: {seen}");
        let named = lines_of(&recorder, "proxy-mutual-auth-header");
        assert_eq!(named, [DN], "{seen}");
        assert_eq!(lines_of(&recorder, "x-verified"), ["SUCCESS"], "{seen}");
    }
}

/// A connection goes on to be what it was opened as, whichever hosts its requests name.
#[tokio::test]
async fn a_kept_connection_serves_no_host_with_other_settings_and_its_own_further_on() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, "").await;
    let hosts = [
        ("app.test", "200"),
        ("third.test", "421"),
        ("x.apps.test", "200"),
        ("other.test", "421"),
        ("app.test:443", "200"),
        ("admin.test", "421"),
        ("APP.test.", "200"),
        ("login.test", "421"),
        ("app.test", "200"),
    ];
    let config = client_showing(Some(&issuers.good), &TLS13, b"http/1.1");
    let mut stream = connect(&gateway, "app.test", config).await.unwrap();
    for (host, status) in hosts {
        recorder.clear();
        assert_eq!(status_on(&mut stream, host).await, status, "{host}");
        let named = lines_of(&recorder, "proxy-mutual-auth-header");
        assert_eq!(named.is_empty(), status == "421", "{host} {named:?}");
    }
    let config = client_showing(Some(&issuers.good), &TLS13, b"h2");
    let stream = connect(&gateway, "app.test", config).await.unwrap();
    let mut client = Multiplexing::over(stream).await;
    for (host, status) in hosts {
        recorder.clear();
        let request = HttpRequest::get(format!("https://{host}/"));
        let got = client.status(request.body(()).unwrap()).await;
        assert_eq!(got, status, "{host}");
        let named = lines_of(&recorder, "proxy-mutual-auth-header");
        assert_eq!(named.is_empty(), status == "421", "{host} {named:?}");
    }
    // A second host line does not make it two requests.
    let config = client_showing(Some(&issuers.good), &TLS13, b"http/1.1");
    let mut stream = connect(&gateway, "app.test", config).await.unwrap();
    recorder.clear();
    assert_eq!(
        status_on(&mut stream, "app.test\r\nHost: third.test").await,
        "400"
    );
    assert_eq!(recorder.text(), "");
}

/// Whatever stands in a name stays in its line (threats 1.1, claims with CR and LF).
#[tokio::test]
async fn no_name_in_a_certificate_leaves_its_header_w_26() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, "").await;
    for (name, expected) in [
        (
            "eve\r\nX-Verified: SUCCESS",
            r"CN=eve\0D\0AX-Verified: SUCCESS,O=Acme\, Inc.",
        ),
        (
            "eve\nX-A: b\r\n\r\nGET /",
            r"CN=eve\0AX-A: b\0D\0A\0D\0AGET /,O=Acme\, Inc.",
        ),
        ("eve\0mallory", r"CN=eve\00mallory,O=Acme\, Inc."),
        (
            "\"quoted\" \\ back",
            "CN=\\\"quoted\\\" \\\\ back,O=Acme\\, Inc.",
        ),
        ("Zo\u{eb}", r"CN=Zo\C3\AB,O=Acme\, Inc."),
        ("a,CN=root", r"CN=a\,CN\=root,O=Acme\, Inc."),
        ("tab\tdel\u{7f}", r"CN=tab\09del\7F,O=Acme\, Inc."),
    ] {
        recorder.clear();
        let shown = issuers.root.issue_as(name, |_| {});
        let config = client_showing(Some(&shown), &TLS13, b"http/1.1");
        let answer = ask(&gateway, ("app.test", "app.test"), config).await;
        assert_eq!(answer.status, 200, "{name:?}");
        assert_eq!(lines_of(&recorder, "x-verified"), ["SUCCESS"], "{name:?}");
        let told = lines_of(&recorder, "proxy-mutual-auth-header");
        assert_eq!(told, [expected.replace(r"\=", "=")], "{name:?}");
        assert_eq!(recorder.requests(), 1, "{name:?}");
        let controls = recorder
            .bytes()
            .into_iter()
            .filter(|byte| *byte < b' ' || *byte == 0x7f);
        assert!(
            controls
                .into_iter()
                .all(|byte| byte == b'\r' || byte == b'\n')
        );
    }
}

/// What clients send along costs something, and no more than that.
#[tokio::test]
async fn chains_of_any_length_are_refused_or_served_and_others_notice_nothing_w_24() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, ", depth: 10").await;
    let mut authorities = vec![issuers.root.below("0")];
    for number in 1..30 {
        let below = authorities.last().unwrap().below(&number.to_string());
        authorities.push(below);
    }
    let mut endless = authorities.last().unwrap().issue_as("deep", |_| {});
    for authority in authorities.iter().rev() {
        endless.certificate.push_str(&authority.pem);
    }
    // Each may have signed each.
    let mut maze = issuers.root.issue_as("maze", |_| {});
    let alike: Vec<ClientAuthority> = (0..60).map(|_| issuers.root.below("Alike")).collect();
    let mut lost = alike[0].below("Alike").issue_as("lost", |_| {});
    for authority in &alike {
        maze.certificate.push_str(&authority.pem);
        lost.certificate.push_str(&authority.pem);
    }
    for (what, shown, status) in [
        ("endless", &endless, 400),
        ("maze", &maze, 200),
        ("lost", &lost, 400),
    ] {
        recorder.clear();
        let config = client_showing(Some(shown), &TLS13, b"h2");
        let answer = ask(&gateway, ("app.test", "app.test"), config).await;
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(recorder.text().is_empty(), status == 400, "{what}");
    }
    // More than a handshake may bring.
    let mut huge = issuers.good.clone();
    for _ in 0..400 {
        huge.certificate.push_str(&issuers.root.pem);
    }
    recorder.clear();
    for version in [&TLS12, &TLS13] {
        let config = client_showing(Some(&huge), version, b"http/1.1");
        assert_eq!(fate(&gateway, config).await, "");
    }
    assert_eq!(recorder.text(), "");
    let config = client_showing(Some(&issuers.good), &TLS13, b"h2");
    let answer = ask(&gateway, ("app.test", "app.test"), config).await;
    assert_eq!(answer.status, 200);
}

/// Shows a certificate with whatever key.
#[derive(Debug)]
struct Borrowed(Arc<CertifiedKey>);

impl ResolvesClientCert for Borrowed {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A certificate is no secret: only the key makes it somebody's own.
#[tokio::test]
async fn a_certificate_without_its_key_is_worth_nothing_anywhere_w_23() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, "").await;
    for version in [&TLS12, &TLS13] {
        for host in ["app.test", "third.test", "admin.test"] {
            let own = client_showing(Some(&issuers.foreign), version, b"http/1.1");
            let key = own.client_auth_cert_resolver.resolve(&[], SCHEMES).unwrap();
            let mut config = client_showing(Some(&issuers.good), version, b"http/1.1");
            let good = config
                .client_auth_cert_resolver
                .resolve(&[], SCHEMES)
                .unwrap();
            let stolen = CertifiedKey::new(good.cert.clone(), Arc::clone(&key.key));
            config.client_auth_cert_resolver = Arc::new(Borrowed(Arc::new(stolen)));
            assert_eq!(fate_at(&gateway, host, config).await, "", "{host}");
        }
    }
    assert_eq!(recorder.text(), "");
}

async fn fate(gateway: &Gateway, config: ClientConfig) -> String {
    fate_at(gateway, "app.test", config).await
}

/// The status of an answer, or nothing where there is none: over TLS 1.3 a client hears late that it was refused.
async fn fate_at(gateway: &Gateway, host: &str, config: ClientConfig) -> String {
    let Ok(mut stream) = connect(gateway, host, config).await else {
        return String::new();
    };
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let _any = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _any = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

const SCHEMES: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
