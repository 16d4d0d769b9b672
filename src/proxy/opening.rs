//! What comes on a connection before its first request: the announcement of its client, TLS, the preface of HTTP/2.

use std::io;
use std::sync::Arc;

use pingora::protocols::ALPN;
use pingora::protocols::Ssl;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as RawStream;
use tokio::io::AsyncReadExt;

use crate::decision::proxy_header;
use crate::decision::proxy_header::Announcement;
use crate::decision::proxy_header::HEADER_BYTES_MAX;
use crate::decision::proxy_header::ProxyHeader;
use crate::proxy::context::ConnectionFacts;
use crate::proxy::handshake::HandshakeError;
use crate::proxy::handshake::secure;
use crate::proxy::serving::Serving;
use crate::proxy::tls::Terminator;

/// A connection on which requests may come.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) is_http2: bool,
}

/// Reads whose connection it is.
///
/// # Errors
/// When the connection does not begin with a header of the PROXY protocol.
pub(super) async fn announcement(stream: &mut RawStream) -> io::Result<Announcement> {
    let mut seen = Vec::with_capacity(HEADER_USUAL);
    loop {
        if stream.read_buf(&mut seen).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match proxy_header::read(&seen) {
            ProxyHeader::Whole(announcement, length) => {
                stream.rewind(seen.get(length..).unwrap_or_default());
                return Ok(announcement);
            }
            ProxyHeader::Unfinished if seen.len() < HEADER_BYTES_MAX => {}
            ProxyHeader::Unfinished | ProxyHeader::Absent => {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// Whether a client speaks HTTP/2 from the first byte (RFC 9113 §3.3). Nothing of what it says is lost.
///
/// # Errors
/// When the connection breaks.
pub(super) async fn begins_with_http2(stream: &mut RawStream) -> io::Result<bool> {
    let mut seen = Vec::with_capacity(PREFACE.len());
    while PREFACE.starts_with(&seen) && seen.len() < PREFACE.len() {
        let missing = (PREFACE.len() - seen.len()) as u64;
        if (&mut *stream).take(missing).read_buf(&mut seen).await? == 0 {
            break;
        }
    }
    stream.rewind(&seen);
    Ok(seen == PREFACE)
}

/// Ends the TLS handshake of a connection, and notes what it came to.
pub(super) async fn secured(
    stream: RawStream,
    terminator: &Terminator,
    serving: Arc<Serving>,
    facts: &mut ConnectionFacts,
) -> Result<Opened, HandshakeError> {
    let secured = secure(stream, terminator, (serving, &facts.entrance)).await?;
    facts.tls = secured.facts;
    facts.greeting = secured.greeting;
    Ok(Opened {
        is_http2: secured.stream.selected_alpn_proto() == Some(ALPN::H2),
        stream: Box::new(secured.stream),
    })
}

/// Enough for a header without further fields.
const HEADER_USUAL: usize = 256;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
