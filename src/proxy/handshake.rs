//! Ends TLS handshakes: asks for a certificate where the virtual host that a client names wants one, and answers
//! clients that speak plain http to a port of https (W-24).
//!
//! What a certificate comes to is `client_auth`'s.

use std::io;
use std::sync::Arc;

use pingora::listeners::tls::Acceptor;
use pingora::protocols::Ssl;
use pingora::protocols::l4::stream::Stream as RawStream;
use pingora::protocols::tls::TlsStream;
use rustls::pki_types::CertificateDer;
use rustls::server::Acceptor as HelloReader;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::decision::facts::TlsFacts;
use crate::proxy::client_auth::Greeting;
use crate::proxy::linger::linger;
use crate::proxy::listening::Entrance;
use crate::proxy::serving::Serving;
use crate::proxy::tls::Terminator;

/// A connection whose handshake is over.
pub(super) struct Secured {
    pub(super) stream: TlsStream<RawStream>,
    pub(super) facts: Option<TlsFacts>,
    /// What the client has said of itself, where some virtual host asks.
    pub(super) greeting: Option<Arc<Greeting>>,
}

/// Why there is no handshake.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    /// The client speaks http without TLS; it has been told.
    #[error("the client speaks plain http")]
    Plain,
    /// TLS was refused by either side.
    #[error("the handshake failed")]
    Refused(#[from] Box<pingora::Error>),
}

/// Ends a handshake as what is served asks.
pub(super) async fn secure(
    mut stream: RawStream,
    terminator: &Terminator,
    (serving, entrance): (Arc<Serving>, &Entrance),
) -> Result<Secured, HandshakeError> {
    let mut seen = Vec::with_capacity(HELLO_USUAL);
    if stream.read_buf(&mut seen).await? == 0 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    if seen.first().is_some_and(u8::is_ascii_alphabetic) {
        stream.write_all(PLAIN_ANSWER.as_bytes()).await?;
        stream.flush().await?;
        linger(Box::new(stream)).await;
        return Err(HandshakeError::Plain);
    }
    if !terminator.asks() {
        drop(serving);
        stream.rewind(&seen);
        let stream = terminator.acceptor.tls_handshake(stream).await?;
        return Ok(Secured {
            facts: tls_facts(&stream),
            stream,
            greeting: None,
        });
    }
    let name = server_name(&mut stream, &mut seen).await?;
    stream.rewind(&seen);
    let host = name
        .as_deref()
        .and_then(|name| serving.host_at(name, entrance));
    let auth = host.and_then(|host| host.client_auth.as_ref());
    let asking = auth.and_then(|auth| terminator.asking(auth));
    let is_asked = asking.is_some();
    let acceptor: &Acceptor = asking.unwrap_or(&terminator.acceptor);
    let stream = acceptor.tls_handshake(stream).await?;
    let chain = || {
        let shown = stream.get_ssl().and_then(|tls| tls.peer_cert_chain_der());
        shown.map_or_else(Vec::new, <[CertificateDer<'_>]>::to_vec)
    };
    let chain = is_asked.then(chain);
    Ok(Secured {
        facts: tls_facts(&stream),
        stream,
        greeting: Some(Arc::new(Greeting::new(name, chain))),
    })
}

/// The name that a client greets with, canonical; all that was read for it is in `seen`. A greeting that makes no
/// sense names nobody: the handshake refuses it.
async fn server_name(stream: &mut RawStream, seen: &mut Vec<u8>) -> io::Result<Option<Box<str>>> {
    let mut reader = HelloReader::default();
    let mut fed = 0;
    loop {
        let mut fresh = seen.get(fed..).unwrap_or_default();
        while !fresh.is_empty() {
            match reader.read_tls(&mut fresh) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Ok(None),
            }
        }
        fed = seen.len();
        match reader.accept() {
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                return Ok(hello.server_name().map(canonical));
            }
            Ok(None) if fed < HELLO_MAX => {}
            Ok(None) | Err(_) => return Ok(None),
        }
        if stream.read_buf(seen).await? == 0 {
            return Ok(None);
        }
    }
}

fn canonical(name: &str) -> Box<str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase().into()
}

/// What a handshake came to, by the names that the standards give it.
fn tls_facts(stream: &impl Ssl) -> Option<TlsFacts> {
    let digest = stream.get_ssl_digest()?;
    Some(TlsFacts {
        version: digest.version.replace('_', ".").into(),
        cipher: digest.cipher.replace("TLS13_", "TLS_").into(),
        client: None,
    })
}

const PLAIN_ANSWER: &str = "HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 47\r\n\
    Connection: close\r\n\r\n\
    This port is for https; plain http came to it.\n";
const HELLO_USUAL: usize = 2048;
/// More than a greeting can have (RFC 8446 §4), with what frames it.
const HELLO_MAX: usize = 72 * 1024;
