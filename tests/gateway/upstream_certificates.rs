//! The gateway shows a certificate to upstreams that ask for one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::certificates;
use crate::support::certificates::Issued;
use crate::support::gateway::Setup;
use crate::support::until;
use crate::support::wait::PATIENCE;

#[tokio::test]
async fn an_upstream_is_shown_the_certificate_of_its_pool_and_of_no_other_w_41() {
    let upstream = Upstream::start().await;
    let gateway = start(&upstream, &certificates::issue(&["first.test"])).await;
    let mut browser = Browser::new(&gateway);
    let answer = browser.get("https://app.test/").await.expect(200);
    assert_eq!(answer.text(), "first.test");
    // The connection is kept now, and must not serve a pool that shows nothing, or something else.
    let bare = browser.get("https://app.test/bare").await;
    assert!(matches!(bare.status, 502 | 503), "{bare:?}");
    let other = browser.get("https://app.test/other").await.expect(200);
    assert_eq!(other.text(), "other.test");
    let answer = browser.get("https://app.test/").await.expect(200);
    assert_eq!(answer.text(), "first.test");
}

#[tokio::test]
async fn health_checks_show_the_certificate_too() {
    let upstream = Upstream::start().await;
    let _gateway = start(&upstream, &certificates::issue(&["first.test"])).await;
    until("a health check comes", PATIENCE, || async {
        let seen = upstream.seen.lock().unwrap();
        let check = ("first.test".to_owned(), "/health".to_owned());
        seen.contains(&check).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_after_a_reload() {
    let upstream = Upstream::start().await;
    let gateway = start(&upstream, &certificates::issue(&["first.test"])).await;
    let mut browser = Browser::new(&gateway);
    browser.get("https://app.test/").await.expect(200);
    let second = certificates::issue(&["second.test"]);
    let folder = gateway.folder();
    std::fs::write(folder.join("client.key"), &second.key).unwrap();
    std::fs::write(folder.join("client.pem"), &second.certificate).unwrap();
    let (said, code) = gateway.reload().await;
    assert_eq!(code, 0, "{said}");
    let answer = browser.get("https://app.test/").await.expect(200);
    assert_eq!(answer.text(), "second.test");
}

#[tokio::test]
async fn a_key_that_belongs_to_another_certificate_changes_nothing() {
    let upstream = Upstream::start().await;
    let gateway = start(&upstream, &certificates::issue(&["first.test"])).await;
    let second = certificates::issue(&["second.test"]);
    std::fs::write(gateway.folder().join("client.key"), &second.key).unwrap();
    let (said, code) = gateway.reload().await;
    assert_ne!(code, 0, "{said}");
    let words = "the client certificate of the pool app cannot be used: \
                 the private key does not belong to the certificate";
    assert!(said.contains(words), "{said}");
    let answer = Browser::new(&gateway).get("https://app.test/").await;
    assert_eq!(answer.expect(200).text(), "first.test");
}

async fn start(upstream: &Upstream, first: &Issued) -> Gateway {
    let other = certificates::issue(&["other.test"]);
    let pool = |name: &str, certificate: &str, more: &str| {
        format!(
            "  {name}:
    scheme: https
    tls: {{ ca_file: ca.pem, server_name: upstream.test{certificate} }}
    primary: [\"{}\"]
    max_fails: 0
{more}",
            upstream.address
        )
    };
    let check = "    health_check: { http: { path: /health }, interval: 1s, timeout: 900ms }\n";
    let yaml = format!(
        "{HEAD}pools:\n{}{}{}virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /bare, access: excluded, pool: bare }}
      - {{ path: /other, access: excluded, pool: other }}
      - {{ path: /, access: excluded, pool: app }}
",
        pool(
            "app",
            ", certificate_file: client.pem, key_file: client.key",
            check
        ),
        pool("bare", "", ""),
        pool(
            "other",
            ", certificate_file: other.pem, key_file: other.key",
            ""
        ),
    );
    Setup::new()
        .file("client.pem", &first.certificate)
        .file("client.key", &first.key)
        .file("other.pem", &other.certificate)
        .file("other.key", &other.key)
        .start(&yaml)
        .await
}

/// An upstream that lets nobody in without a certificate of the tests' authority, and answers with the name
/// in it.
struct Upstream {
    address: SocketAddr,
    /// Who asked for what.
    seen: Arc<Mutex<Vec<(String, String)>>>,
    accepting: JoinHandle<()>,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (acceptor, told) = (acceptor(), Arc::clone(&seen));
        let accepting = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                serving.spawn(serve(stream, acceptor.clone(), Arc::clone(&told)));
            }
        });
        Self {
            address,
            seen,
            accepting,
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    let authority = certificates::der(&certificates::authority_pem());
    roots.add(CertificateDer::from(authority)).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let own = certificates::issue(&["upstream.test"]);
    let chain = vec![CertificateDer::from(certificates::der(&own.certificate))];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    seen: Arc<Mutex<Vec<(String, String)>>>,
) -> Option<()> {
    let mut stream = acceptor.accept(stream).await.ok()?;
    let name = {
        let (_, connection) = stream.get_ref();
        name_in(connection.peer_certificates()?.first()?)
    };
    let mut pending = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream
            .read(&mut buffer)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        pending.extend_from_slice(buffer.get(..read)?);
        if !pending.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&pending).into_owned();
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        seen.lock().unwrap().push((name.clone(), path));
        pending.clear();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}",
            name.len()
        );
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// The common name of a certificate of the tests.
fn name_in(certificate: &CertificateDer<'_>) -> String {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
    let mut names = parsed.subject().iter_common_name();
    names.next().unwrap().as_str().unwrap().to_owned()
}
