//! One round trip: a message there and one back over a TLS connection on loopback, with nothing behind it.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::support::certificates;
use crate::support::client;
use crate::table::Times;

/// How long so many round trips took.
pub(crate) async fn measure(count: usize) -> Times {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo = tokio::spawn(echo(listener));
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let mut stream = client::connect_tls(tcp, "localhost", &[]).await.unwrap();
    let mut message = [7; MESSAGE_BYTES];
    let mut times = Vec::new();
    for turn in 0..count + WARM_UP {
        let began = Instant::now();
        stream.write_all(&message).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut message).await.unwrap();
        if turn >= WARM_UP {
            times.push(began.elapsed());
        }
    }
    echo.abort();
    Times::new(times)
}

async fn echo(listener: TcpListener) {
    let issued = certificates::issue(&["localhost"]);
    let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut stream = acceptor.accept(tcp).await.unwrap();
    let mut message = [0; MESSAGE_BYTES];
    while stream.read_exact(&mut message).await.is_ok() {
        stream.write_all(&message).await.unwrap();
        stream.flush().await.unwrap();
    }
}

/// About what a question of an adoption has.
const MESSAGE_BYTES: usize = 512;
const WARM_UP: usize = 100;
