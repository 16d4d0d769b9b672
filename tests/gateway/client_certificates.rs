//! Certificates of clients: who is let in by one, what applications are told of it, and that none counts where it
//! was not asked for (W-23 to W-26; threats 1.1 and 1.4).

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use rustls::ClientConfig;
use rustls::HandshakeKind;
use rustls::NamedGroup;
use rustls::SignatureScheme;
use rustls::SupportedProtocolVersion;
use rustls::client::ClientSessionStore;
use rustls::client::ResolvesClientCert;
use rustls::client::Resumption;
use rustls::client::Tls12ClientSessionValue;
use rustls::client::Tls13ClientSessionValue;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::version::TLS12;
use rustls::version::TLS13;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::Answer;
use crate::support::Gateway;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::certificates::ClientAuthority;
use crate::support::certificates::Issued;
use crate::support::certificates::client_showing;
use crate::support::client::send_by;
use crate::support::gateway::Setup;
use crate::support::yaml;

pub(crate) const PROTOCOLS: [&[u8]; 2] = [b"http/1.1", b"h2"];
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Every way of speaking to the gateway by TLS.
fn ways() -> impl Iterator<Item = (&'static [u8], &'static SupportedProtocolVersion)> {
    let versions = |protocol| VERSIONS.into_iter().map(move |version| (protocol, version));
    PROTOCOLS.into_iter().flat_map(versions)
}

/// Authorities and what they have issued.
pub(crate) struct Issuers {
    pub(crate) root: ClientAuthority,
    pub(crate) good: Issued,
    /// Signed by an authority below the one that is trusted.
    deeper: Issued,
    /// By one below that.
    too_deep: Issued,
    pub(crate) expired: Issued,
    pub(crate) revoked: Issued,
    pub(crate) foreign: Issued,
    /// Neither known nor good any more.
    foreign_expired: Issued,
    pub(crate) forged: Issued,
}

impl Issuers {
    pub(crate) fn new() -> Self {
        let root = ClientAuthority::new("Clients");
        let below = root.below("Department");
        let lowest = below.below("Office");
        let foreign = ClientAuthority::new("Strangers");
        // Of the same name as the one that is trusted.
        let impostor = ClientAuthority::new("Clients");
        let with = |mut issued: Issued, between: &[&ClientAuthority]| {
            for authority in between {
                issued.certificate.push_str(&authority.pem);
            }
            issued
        };
        Self {
            good: root.issue("alice", 1, 4000),
            deeper: with(below.issue("bob", 2, 4000), &[&below]),
            too_deep: with(lowest.issue("carol", 3, 4000), &[&lowest, &below]),
            expired: root.issue("dave", 4, 2002),
            revoked: root.issue("erin", 5, 4000),
            foreign: foreign.issue("frank", 6, 4000),
            foreign_expired: foreign.issue("grace", 7, 2002),
            forged: impostor.issue("alice", 1, 4000),
            root,
        }
    }

    /// A gateway with a virtual host of each mode; `*.apps.test` asks what `app.test` does.
    pub(crate) async fn start(&self, recorder: &Recorder, more: &str) -> Gateway {
        let host = |name: &str, asks: &str| {
            let header = "\"${tls.client.subject_dn}\"";
            format!(
                "  - host: \"{name}\"
    plain_http: serve
{asks}    headers: {{ request: {{ set: {{ PROXY-MUTUAL-AUTH-HEADER: {header},
      X-Verified: \"${{tls.client.verified}}\", X-Pem: \"${{tls.client.certificate}}\" }} }} }}
    routes: [{{ path: /, access: excluded, pool: app }}]
"
            )
        };
        let asks = |mode: &str| {
            format!("    client_certificates: {{ mode: {mode}, ca_file: clients.pem{more} }}\n")
        };
        let config = format!(
            "{}pools: {{ app: {{ primary: [\"{}\"] }} }}
virtual_hosts:
{}{}{}{}  - host: other.test
    plain_http: serve
    routes: [{{ path: /, access: excluded, pool: app }}]
",
            yaml::HEAD,
            recorder.address(),
            host("app.test", &asks("required")),
            host("*.apps.test", &asks("required")),
            host("third.test", &asks("optional")),
            host(
                "admin.test",
                &format!(
                    "    client_certificates: {{ mode: optional_unverified, ca_file: clients.pem{more} }}\n"
                )
            ),
        );
        Setup::new()
            .file("clients.pem", &self.root.pem)
            .file("revoked.pem", &self.root.revoking(&[5], 4000))
            .start(&config)
            .await
    }
}

pub(crate) async fn connect(
    gateway: &Gateway,
    name: &str,
    config: ClientConfig,
) -> Result<TlsStream<TcpStream>, String> {
    let tcp = TcpStream::connect(gateway.address("https")).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, tcp).await;
    stream.map_err(|error| error.to_string())
}

/// Greets by one name and asks for another.
pub(crate) async fn ask(
    gateway: &Gateway,
    (name, host): (&str, &str),
    config: ClientConfig,
) -> Answer {
    let stream = connect(gateway, name, config).await.unwrap();
    send_by(&Request::get(&format!("https://{host}/")), stream)
        .await
        .unwrap()
}

/// The value of a header at the upstream.
fn told(recorder: &Recorder, name: &str) -> Option<String> {
    let seen = recorder.text();
    let lines = seen.lines().filter_map(|line| line.split_once(": "));
    let mut values = lines.filter(|(own, _)| own.eq_ignore_ascii_case(name));
    values.next_back().map(|(_, value)| value.to_owned())
}

pub(crate) const DN: &str = "CN=alice,O=Acme\\, Inc.";

#[tokio::test]
async fn each_mode_serves_whom_it_should_w_23_w_24_w_25() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let more = ", depth: 1, crl_file: revoked.pem";
    // The lists of the authorities below are not there: those below the root are unknown to them.
    let gateway = issuers.start(&recorder, more).await;
    let unknown = "FAILED:unable to verify the first certificate";
    let i = &issuers;
    let cases: [(&str, Option<&Issued>, u16, Option<&str>); 23] = [
        ("app.test", Some(&i.good), 200, Some("SUCCESS")),
        ("app.test", None, 400, None),
        ("app.test", Some(&i.foreign), 400, None),
        ("app.test", Some(&i.forged), 400, None),
        ("third.test", Some(&i.forged), 400, None),
        ("admin.test", Some(&i.forged), 400, None),
        ("app.test", Some(&i.expired), 400, None),
        ("app.test", Some(&i.revoked), 400, None),
        ("x.apps.test", Some(&i.good), 200, Some("SUCCESS")),
        ("third.test", Some(&i.good), 200, Some("SUCCESS")),
        ("third.test", None, 200, Some("NONE")),
        ("third.test", Some(&i.foreign), 400, None),
        ("third.test", Some(&i.expired), 400, None),
        ("third.test", Some(&i.revoked), 400, None),
        ("admin.test", Some(&i.good), 200, Some("SUCCESS")),
        ("admin.test", None, 200, Some("NONE")),
        ("admin.test", Some(&i.foreign), 200, Some(unknown)),
        ("admin.test", Some(&i.expired), 400, None),
        ("admin.test", Some(&i.revoked), 400, None),
        ("admin.test", Some(&i.foreign_expired), 400, None),
        ("other.test", None, 200, None),
        ("other.test", Some(&i.good), 200, None),
        ("other.test", Some(&i.foreign), 200, None),
    ];
    for (protocol, version) in ways() {
        for (at, (host, shown, status, verified)) in cases.into_iter().enumerate() {
            recorder.clear();
            let config = client_showing(shown, version, protocol);
            let answer = ask(&gateway, (host, host), config).await;
            assert_eq!(answer.status, status, "{at}: {host}");
            let text = recorder.text();
            assert_eq!(text.is_empty(), status != 200, "{at}: {text}");
            assert_eq!(told(&recorder, "x-verified").as_deref(), verified, "{at}");
            let dn = (verified == Some("SUCCESS")).then_some(DN);
            let header = told(&recorder, "proxy-mutual-auth-header");
            assert_eq!(header.as_deref(), dn, "{at}");
        }
    }
}

/// A gateway, and files with certificates beside its configuration.
async fn explaining(issuers: &Issuers, recorder: &Recorder) -> Gateway {
    let more = ", depth: 1, crl_file: revoked.pem";
    let gateway = issuers.start(recorder, more).await;
    for (name, issued) in shown_by_name(issuers) {
        gateway.replace(&format!("{name}.client.pem"), &issued.certificate);
    }
    gateway
}

fn shown_by_name(issuers: &Issuers) -> [(&'static str, &Issued); 5] {
    [
        ("good", &issuers.good),
        ("expired", &issuers.expired),
        ("revoked", &issuers.revoked),
        ("foreign", &issuers.foreign),
        ("forged", &issuers.forged),
    ]
}

/// What `portway explain` says for programs.
fn explained(gateway: &Gateway, host: &str, name: Option<&str>) -> serde_json::Value {
    let url = format!("https://{host}/");
    let file = name.map(|name| format!("{name}.client.pem"));
    let mut words = vec!["explain", "GET", &url, "--json"];
    words.extend(file.iter().flat_map(|file| ["--client-certificate", file]));
    let output = gateway.command(&words).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let let_in = told.pointer("/decision/let_in");
    let let_in = let_in.and_then(serde_json::Value::as_bool).unwrap();
    assert_eq!(output.status.code(), Some(i32::from(!let_in)), "{output:?}");
    told
}

/// What `portway explain` says of a certificate is what becomes of it.
#[tokio::test]
async fn explain_says_what_each_mode_makes_of_a_certificate_w_24_w_25() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = explaining(&issuers, &recorder).await;
    let hosts = ["app.test", "third.test", "admin.test", "other.test"];
    let shown = shown_by_name(&issuers).map(|(name, issued)| (Some(name), Some(issued)));
    let shown = std::iter::once((None, None)).chain(shown);
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    for ((name, issued), host) in shown.flat_map(|shown| hosts.map(|host| (shown, host))) {
        recorder.clear();
        let config = client_showing(issued, &TLS13, b"h2");
        let status = ask(&gateway, (host, host), config).await.status;
        let said = explained(&gateway, host, name);
        let let_in = &said["decision"]["let_in"];
        assert_eq!(let_in, status == 200, "{host} {name:?} {said}");
        let verified = text(&said["client_certificate"]["facts"]["tls.client.verified"]);
        assert_eq!(verified, told(&recorder, "x-verified"), "{host} {name:?}");
        let headers = said["upstream_headers"].as_array();
        let dn = headers.into_iter().flatten();
        let dn = dn.filter(|header| header["name"] == "proxy-mutual-auth-header");
        let dn = dn.filter_map(|header| text(&header["value"])).next();
        let header = told(&recorder, "proxy-mutual-auth-header");
        assert_eq!(dn, header, "{host} {name:?}");
    }
    let outcome = |host, name| text_of(&explained(&gateway, host, name)["decision"]["outcome"]);
    assert_eq!(outcome("app.test", None), "certificate_missing");
    assert_eq!(
        outcome("third.test", Some("revoked")),
        "certificate_refused"
    );
}

#[tokio::test]
async fn explain_tells_people_of_a_certificate_and_of_what_is_none() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = explaining(&issuers, &recorder).await;
    let asked = |url: &str, file: &str| {
        let words = ["explain", "GET", url, "--client-certificate", file];
        gateway.command(&words).output().unwrap()
    };
    let output = asked("http://app.test/", "good.client.pem");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("certificate    required, one is shown\n"),
        "{said}"
    );
    assert!(said.contains("plain http can show none"), "{said}");
    let output = asked("https://app.test/", "good.client.pem");
    let said = String::from_utf8(output.stdout).unwrap();
    for line in [
        "               tls.client.serial: 01",
        &format!("               tls.client.subject_dn: {DN}"),
        &format!("to upstream    proxy-mutual-auth-header: {DN}"),
        "decision       let in, as everybody; who it is does not go along",
    ] {
        assert!(said.lines().any(|told| told == line), "{line}: {said}");
    }
    // What is no certificate is a fault of the question.
    let output = asked("https://app.test/", "gateway.yaml");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let begin = "error: the certificate cannot be used";
    assert!(said.starts_with(begin), "{said}");
}

fn text_of(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A list as authorities of many have it: taken over by a reload, and too large only beyond its own limit.
#[tokio::test]
async fn a_revocation_list_may_be_large() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, ", crl_file: revoked.pem").await;
    let many: Vec<u64> = (100_000..200_000).collect();
    let list = issuers.root.revoking(&many, 4000);
    assert!(list.len() > 2 << 20, "{}", list.len());
    gateway.replace("revoked.pem", &list);
    gateway
        .wait_for_log("configuration reloaded trigger=\"files\"")
        .await;
    let last = issuers.root.issue("zoe", 199_999, 4000);
    let next = issuers.root.issue("yves", 200_000, 4000);
    for (shown, status) in [(&last, 400), (&next, 200), (&issuers.revoked, 200)] {
        let config = client_showing(Some(shown), &TLS13, b"h2");
        let answer = ask(&gateway, ("app.test", "app.test"), config).await;
        assert_eq!(answer.status, status);
    }
    let path = gateway.folder().join("revoked.pem");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    let output = gateway.command(&["check"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("it is larger than 67108864 bytes"), "{said}");
    assert!(
        said.contains("leave out lists of authorities that are not in the bundle"),
        "{said}"
    );
}

#[tokio::test]
async fn chains_are_as_long_as_they_may_be_w_24() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    for (depth, deeper, too_deep) in [(0, 400, 400), (1, 200, 400), (2, 200, 200)] {
        let more = format!(", depth: {depth}");
        let gateway = issuers.start(&recorder, &more).await;
        for (shown, status) in [
            (&issuers.good, 200),
            (&issuers.deeper, deeper),
            (&issuers.too_deep, too_deep),
        ] {
            let config = client_showing(Some(shown), &TLS13, b"h2");
            let answer = ask(&gateway, ("app.test", "app.test"), config).await;
            assert_eq!(answer.status, status, "{depth}");
        }
    }
}

/// Greeting for one virtual host and asking for another is refused wherever they differ, and nowhere else.
#[tokio::test]
async fn a_request_for_a_virtual_host_with_other_settings_is_misdirected() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, "").await;
    let names = [
        "app.test",
        "x.apps.test",
        "third.test",
        "admin.test",
        "other.test",
    ];
    let kind = |name: &str| {
        if name == "x.apps.test" {
            0
        } else {
            names.iter().position(|n| *n == name).unwrap()
        }
    };
    let statuses = |is_alike| if is_alike { 200 } else { 421 };
    let pairs = names.map(|name| names.map(|host| (name, host)));
    for (protocol, version) in ways() {
        for (name, host) in pairs.into_iter().flatten() {
            recorder.clear();
            let config = client_showing(Some(&issuers.good), version, protocol);
            let answer = ask(&gateway, (name, host), config).await;
            let is_alike = kind(name) == kind(host);
            assert_eq!(answer.status, statuses(is_alike), "{name} {host}");
            assert_eq!(recorder.text().is_empty(), !is_alike);
        }
    }
    // The collector asks nobody, and is not reached past a question either.
    for (name, expected) in [("login.test", 200), ("other.test", 200), ("app.test", 421)] {
        let config = client_showing(Some(&issuers.good), &TLS13, b"h2");
        let answer = ask(&gateway, (name, "login.test"), config).await;
        assert_eq!(answer.status, expected, "{name}");
    }
}

/// Whatever a client says in the place of the header goes, on every route of every host.
#[tokio::test]
async fn no_spelling_of_the_header_comes_from_a_client_w_25() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, "").await;
    let spellings = [
        "PROXY-MUTUAL-AUTH-HEADER",
        "proxy-mutual-auth-header",
        "Proxy_Mutual_Auth_Header",
        "PROXY_MUTUAL_AUTH_HEADER",
        "Proxy-Mutual_Auth-Header",
        "Proxy.Mutual.Auth.Header",
        "ProxyMutualAuthHeader",
        "proxy--mutual-auth-header",
        "Proxy-Mutual-Auth-Header-",
        "X-Verified",
        "X_Verified",
        "xpem",
    ];
    for (host, shown) in [
        ("other.test", None),
        ("third.test", None),
        ("third.test", Some(&issuers.good)),
        ("admin.test", Some(&issuers.foreign)),
        ("app.test", Some(&issuers.good)),
    ] {
        for spelling in spellings {
            recorder.clear();
            let config = client_showing(shown, &TLS13, b"http/1.1");
            let stream = connect(&gateway, host, config).await.unwrap();
            let request = Request::get(&format!("https://{host}/"));
            let request = request.header(spelling, "CN=attacker");
            send_by(&request, stream).await.unwrap().expect(200);
            let seen = recorder.text();
            assert!(!seen.contains("attacker"), "{host}: {seen}");
        }
    }
    // Nor where there is no TLS at all.
    let mut plain = TcpStream::connect(gateway.address("http")).await.unwrap();
    for (host, status) in [("third.test", "200"), ("app.test", "400")] {
        recorder.clear();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nProxy-Mutual-Auth-Header: CN=attacker\r\n\r\n"
        );
        plain.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1024];
        let read = plain.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(answer.get(..read).unwrap()).into_owned();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert!(!recorder.text().contains("CN="), "{}", recorder.text());
    }
}

#[tokio::test]
async fn a_revocation_list_of_nobody_in_the_bundle_is_doubted() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, ", crl_file: revoked.pem").await;
    let checked = || {
        let output = gateway.command(&["check"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let doubt =
        "warning: revocation lists of the host app.test are of no authority in its bundle (1)";
    assert!(!checked().contains("revocation"), "{}", checked());
    let stranger = ClientAuthority::new("Strangers");
    let both = issuers.root.revoking(&[5], 4000) + &stranger.revoking(&[5], 4000);
    gateway.replace("revoked.pem", &both);
    assert!(checked().contains(doubt), "{}", checked());
}

#[tokio::test]
async fn a_new_bundle_and_a_new_revocation_list_hold_for_open_connections() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, ", crl_file: revoked.pem").await;
    let config = client_showing(Some(&issuers.good), &TLS13, b"http/1.1");
    let mut stream = connect(&gateway, "app.test", config).await.unwrap();
    assert_eq!(status_on(&mut stream, "app.test").await, "200");
    let reloaded = "configuration reloaded trigger=\"files\"";
    gateway.replace("revoked.pem", &issuers.root.revoking(&[1, 5], 4000));
    gateway.wait_for_log(reloaded).await;
    assert_eq!(status_on(&mut stream, "app.test").await, "400");
    let config = client_showing(Some(&issuers.good), &TLS13, b"h2");
    let answer = ask(&gateway, ("app.test", "app.test"), config).await;
    assert_eq!(answer.status, 400);
    // Other authorities altogether, and their list.
    let others = ClientAuthority::new("Others");
    gateway.replace("revoked.pem", &others.revoking(&[], 4000));
    gateway.replace("clients.pem", &others.pem);
    let zoe = others.issue("zoe", 1, 4000);
    crate::support::until("zoe is let in", crate::support::wait::PATIENCE, || async {
        let config = client_showing(Some(&zoe), &TLS13, b"h2");
        let answer = ask(&gateway, ("app.test", "app.test"), config).await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(
        told(&recorder, "proxy-mutual-auth-header").as_deref(),
        Some("CN=zoe,O=Acme\\, Inc.")
    );
}

pub(crate) async fn status_on(stream: &mut TlsStream<TcpStream>, host: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(answer.get(..read).unwrap()).into_owned();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn plain_http_on_a_port_of_https_is_told_so_w_24() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, "").await;
    for request in [
        "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\nxxxx",
    ] {
        let mut plain = TcpStream::connect(gateway.address("https")).await.unwrap();
        plain.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        plain.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{answer}"
        );
        assert!(answer.ends_with("plain http came to it.\n"), "{answer}");
    }
    assert_eq!(recorder.text(), "");
}

/// Shows what it was given for any name at all, as no honest client would.
#[derive(Debug, Default)]
struct Tickets {
    older: Mutex<Option<Tls12ClientSessionValue>>,
    newer: Mutex<Vec<Tls13ClientSessionValue>>,
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        *self.older.lock().unwrap() = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.older.lock().unwrap().clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        *self.older.lock().unwrap() = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.newer.lock().unwrap().push(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.newer.lock().unwrap().pop()
    }
}

/// Shows a certificate once, and has none from then on.
#[derive(Debug)]
struct Once(Arc<dyn ResolvesClientCert>, AtomicBool);

impl ResolvesClientCert for Once {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let is_first = self.1.swap(false, Ordering::Relaxed);
        self.0.resolve(hints, schemes).filter(|_| is_first)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The ticket of a connection that a certificate was shown on resumes it at its own virtual host and at no other
/// (threats 1.4; CVE-2025-23419).
#[tokio::test]
async fn a_resumed_session_brings_its_certificate_to_no_other_virtual_host() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, ", crl_file: revoked.pem").await;
    for version in VERSIONS {
        for (name, resumes, expected) in [
            ("app.test", true, "200"),
            ("x.apps.test", false, "400"),
            ("third.test", false, "200"),
            ("admin.test", false, "200"),
            ("other.test", false, "200"),
        ] {
            let mut config = client_showing(Some(&issuers.good), version, b"http/1.1");
            config.resumption = Resumption::store(Arc::new(Tickets::default()));
            let own = Arc::clone(&config.client_auth_cert_resolver);
            let once = Once(own, AtomicBool::new(true));
            config.client_auth_cert_resolver = Arc::new(once);
            let mut first = connect(&gateway, "app.test", config.clone()).await.unwrap();
            assert_eq!(status_on(&mut first, "app.test").await, "200");
            drop(first);
            recorder.clear();
            let mut second = connect(&gateway, name, config).await.unwrap();
            let status = status_on(&mut second, name).await;
            let kind = second.get_ref().1.handshake_kind();
            let resumed = kind == Some(HandshakeKind::Resumed);
            assert_eq!(resumed, resumes, "{name} {kind:?}");
            let dn = told(&recorder, "proxy-mutual-auth-header");
            assert_eq!(dn.as_deref(), resumes.then_some(DN), "{name}");
            assert_eq!(status, expected, "{name}");
        }
    }
}

/// What was good when the ticket was given is looked at again when it is shown.
#[tokio::test]
async fn a_resumed_session_of_a_revoked_certificate_is_refused() {
    let issuers = Issuers::new();
    let recorder = Recorder::start().await;
    let gateway = issuers.start(&recorder, ", crl_file: revoked.pem").await;
    let mut config = client_showing(Some(&issuers.good), &TLS13, b"http/1.1");
    let tickets: Arc<Tickets> = Arc::default();
    config.resumption = Resumption::store(Arc::clone(&tickets) as _);
    let mut first = connect(&gateway, "app.test", config.clone()).await.unwrap();
    assert_eq!(status_on(&mut first, "app.test").await, "200");
    gateway.replace("revoked.pem", &issuers.root.revoking(&[1], 4000));
    gateway
        .wait_for_log("configuration reloaded trigger=\"files\"")
        .await;
    let mut second = connect(&gateway, "app.test", config).await.unwrap();
    assert_eq!(status_on(&mut second, "app.test").await, "400");
}
