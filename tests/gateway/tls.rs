//! What is spoken in handshakes: versions, and which certificate each client gets.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use rustls::version::TLS13;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::Application;
use crate::support::Gateway;
use crate::support::certificates;
use crate::support::gateway::Setup;
use crate::support::parts;
use crate::support::yaml;

async fn speaks(at: SocketAddr, version: &'static SupportedProtocolVersion) -> bool {
    let config = certificates::client_showing(None, version, b"http/1.1");
    let stream = TcpStream::connect(at).await.unwrap();
    let name = ServerName::try_from("app.test").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.is_ok()
}

#[tokio::test]
async fn the_lowest_version_of_tls_is_configured_and_reloaded() {
    let application = Application::start().await;
    let yaml = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&yaml).await;
    let at = gateway.address("https");
    assert!(speaks(at, &TLS12).await && speaks(at, &TLS13).await);
    let newest = yaml.replace("tls: { ", "tls: { min_version: TLSv1.3, ");
    gateway.reload_with(&newest).await;
    assert!(!speaks(at, &TLS12).await);
    assert!(speaks(at, &TLS13).await);
}

/// Of two certificates for one name a client gets the first whose signatures it takes.
#[tokio::test]
async fn a_client_gets_the_certificate_whose_signatures_it_takes() {
    let Some(openssl) = parts::find("openssl") else {
        return;
    };
    let setup = Setup::new();
    let (chain, key) = (setup.path("rsa.pem"), setup.path("rsa.key"));
    let made = Command::new(&openssl)
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
        ])
        .args(["-subj", "/CN=app.test", "-addext"])
        .arg("subjectAltName=DNS:app.test")
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&chain)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let application = Application::start().await;
    let both = "key_file: key.pem }, { certificate_file: rsa.pem, key_file: rsa.key }] }";
    let yaml = yaml::applications(&[application.address()]);
    let yaml = yaml.replace("key_file: key.pem }] }", both);
    let gateway = setup.start(&yaml).await;
    let at = gateway.address("https");
    for version in ["-tls1_2", "-tls1_3"] {
        for (taken, kind) in [
            ("ECDSA+SHA256:RSA-PSS+SHA256", "ECDSA"),
            ("ECDSA+SHA256", "ECDSA"),
            ("RSA-PSS+SHA256", "RSA-PSS"),
        ] {
            let said = handshake(&openssl, at, &[version, "-sigalgs", taken]);
            let wanted = format!("Peer signature type: {kind}");
            assert!(said.contains(&wanted), "{version} {taken}: {said}");
        }
    }
}

fn handshake(openssl: &Path, at: SocketAddr, more: &[&str]) -> String {
    let output = Command::new(openssl)
        .args(["s_client", "-servername", "app.test", "-connect"])
        .arg(at.to_string())
        .args(more)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
