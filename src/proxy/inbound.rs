//! Makes trusted values of what a client sends, or refuses it before anybody else sees it.
//!
//! pingora tolerates more than two readers of a message could agree on. Whatever it lets through that
//! somebody behind it could take differently is refused here. Paths are judged in `decision::path`.

use std::collections::HashSet;
use std::net::IpAddr;

use http::HeaderMap;
use http::Method;
use http::Version;
use http::header;
use ipnet::IpNet;
use memchr::memchr;
use memchr::memchr3;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;

use crate::decision::forwarded::is_trusted;
use crate::gate::challenge::Asker;
use crate::model::id::RequestId;
use crate::model::name::HostName;
use crate::proxy::outbound::REQUEST_ID;

/// Why a request is refused before it is looked at more closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InboundError {
    /// Its framing or form can be read in more than one way.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// Its header is larger than the limit.
    #[error("the request header is too large")]
    HeaderTooLarge,
    /// It expects something other than `100-continue`.
    #[error("the expectation cannot be met")]
    Expectation,
}

/// What a request asks for.
#[derive(Debug)]
pub struct Inbound {
    /// The host, canonical.
    pub host: HostName,
    /// The port in the `Host` header, if there was one.
    pub port: Option<u16>,
}

/// Checks a request's head and says which host it is for.
///
/// # Errors
/// See [`InboundError`]; the connection is closed after each.
pub fn read(
    session: &ServerSession,
    methods: &HashSet<Method>,
    header_bytes_max: usize,
) -> Result<Inbound, InboundError> {
    let head = session.req_header();
    let framing = if let Some(h1) = session.as_http1() {
        let raw = h1.get_headers_raw_bytes();
        if raw.len() > header_bytes_max {
            return Err(InboundError::HeaderTooLarge);
        }
        check_raw(&raw)?
    } else {
        if header_bytes(&head.headers) > header_bytes_max {
            return Err(InboundError::HeaderTooLarge);
        }
        Framing::of(&head.headers)?
    };
    if head.version < Version::HTTP_11 && framing.codings > 0 {
        return Err(InboundError::Malformed("HTTP/1.0 has no transfer codings"));
    }
    check_method(&head.method, methods)?;
    authority(head)
}

/// The id of a request that a trusted proxy has given it already; a client's own word is not taken.
#[must_use]
pub fn request_id(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Option<RequestId> {
    if !is_trusted(peer, trusted) {
        return None;
    }
    let mut ids = headers.get_all(REQUEST_ID).iter();
    let id = RequestId::parse(ids.next()?.as_bytes())?;
    ids.next().is_none().then_some(id)
}

/// Checks the bytes of an HTTP/1 head: one framing, one line end, nothing hidden.
fn check_raw(raw: &[u8]) -> Result<Framing, InboundError> {
    let mut lines = Lines(raw);
    let request_line = lines.next().ok_or(MALFORMED_LINE)??;
    let mut parts = request_line.split(|b| *b == b' ');
    let (Some(_), Some(target), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(MALFORMED_LINE);
    };
    if target.iter().any(|b| !b.is_ascii_graphic() || *b == b'#') {
        return Err(InboundError::Malformed(
            "the target holds a byte that must be encoded",
        ));
    }
    check_form(target)?;
    let mut framing = Framing::default();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let (name, value) = memchr(b':', line)
            .and_then(|at| line.split_at_checked(at))
            .ok_or(MALFORMED_LINE)?;
        framing.note(name, value.get(1..).unwrap_or_default().trim_ascii())?;
    }
    if framing.hosts != 1 {
        return Err(InboundError::Malformed("there is not exactly one host"));
    }
    framing.check()
}

/// Checks that a target is a path or an http address: of any other, pingora shows `/` here and sends
/// what was written to the upstream.
fn check_form(target: &[u8]) -> Result<(), InboundError> {
    let begins = |scheme: &[u8]| {
        let start = target.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if begins(b"/") || begins(b"http://") || begins(b"https://") {
        Ok(())
    } else {
        Err(InboundError::Malformed(
            "the target is neither a path nor an http address",
        ))
    }
}

/// The lines of a head, each ended by CR LF, without a CR, an LF or a zero elsewhere; anything else is an error
/// (RFC 9112 §2.2, RFC 9110 §5.5).
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], InboundError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let at = memchr3(b'\r', b'\n', 0, self.0);
        let (line, end) = at.and_then(|at| self.0.split_at_checked(at)).unzip();
        let rest = end.and_then(|end| end.strip_prefix(b"\r\n"));
        self.0 = rest.unwrap_or_default();
        Some(line.filter(|_| rest.is_some()).ok_or(MALFORMED_LINE))
    }
}

/// What a head says about its host, and about where its body ends (RFC 9112 §6.3).
#[derive(Debug, Default, PartialEq, Eq)]
struct Framing {
    hosts: usize,
    lengths: usize,
    codings: usize,
    expectations: usize,
    upgrades: usize,
    /// Lengths and codings that announce a body.
    bodies: usize,
}

impl Framing {
    /// What the fields of an HTTP/2 head say.
    fn of(headers: &HeaderMap) -> Result<Self, InboundError> {
        let mut framing = Self::default();
        for (name, value) in headers {
            framing.note(name.as_str().as_bytes(), value.as_bytes())?;
        }
        if framing.hosts > 1 {
            return Err(InboundError::Malformed("there is more than one host"));
        }
        framing.check()
    }

    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), InboundError> {
        if name.eq_ignore_ascii_case(b"content-length") {
            self.lengths += 1;
            self.bodies += usize::from(value != b"0");
            let plain = (1..=LENGTH_DIGITS_MAX).contains(&value.len())
                && value.iter().all(u8::is_ascii_digit)
                && (value.len() == 1 || value.first() != Some(&b'0'));
            if !plain {
                return Err(InboundError::Malformed(
                    "the content length is not a plain number",
                ));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.codings += 1;
            self.bodies += 1;
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(InboundError::Malformed(
                    "the transfer coding is not just `chunked`",
                ));
            }
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrades += 1;
        } else if name.eq_ignore_ascii_case(b"expect") {
            self.expectations += 1;
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(InboundError::Expectation);
            }
        }
        Ok(())
    }

    fn check(self) -> Result<Self, InboundError> {
        if self.lengths + self.codings > 1 {
            return Err(InboundError::Malformed("the body is framed more than once"));
        }
        if self.upgrades > 0 && self.bodies > 0 {
            return Err(InboundError::Malformed("an upgrade has a body"));
        }
        if self.expectations > 1 {
            return Err(InboundError::Expectation);
        }
        Ok(self)
    }
}

fn check_method(method: &Method, named: &HashSet<Method>) -> Result<(), InboundError> {
    let usual = matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
    );
    let forwarded = usual || (*method != Method::TRACE && named.contains(method));
    if forwarded {
        Ok(())
    } else {
        Err(InboundError::Malformed("the method is not forwarded"))
    }
}

/// The host asked for: `Host`, `:authority` and an absolute target must agree (RFC 9112 §3.2.2).
fn authority(head: &RequestHeader) -> Result<Inbound, InboundError> {
    let in_target = head.uri.authority().map(http::uri::Authority::as_str);
    if let Some(scheme) = head.uri.scheme_str()
        && !matches!(scheme, "http" | "https")
    {
        return Err(InboundError::Malformed(
            "the scheme of the target is not http",
        ));
    }
    let in_header = match head.headers.get(header::HOST) {
        Some(host) => Some(host.to_str().map_err(|_| MALFORMED_HOST)?),
        None => None,
    };
    let named = match (in_target, in_header) {
        (Some(target), Some(header)) if !target.eq_ignore_ascii_case(header) => {
            return Err(InboundError::Malformed("host and target disagree"));
        }
        (_, Some(named)) | (Some(named), None) => named,
        (None, None) => return Err(MALFORMED_HOST),
    };
    let (host, port) = split_port(named).ok_or(MALFORMED_HOST)?;
    let host = HostName::parse(host).map_err(|_| MALFORMED_HOST)?;
    Ok(Inbound { host, port })
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_address = match authority.strip_prefix('[') {
        Some(address) => address.find(']')? + "[]".len(),
        None => 0,
    };
    let Some(colon) = authority.get(after_address..)?.find(':') else {
        return Some((authority, None));
    };
    let (host, port) = authority.split_at_checked(after_address + colon)?;
    let digits = port
        .strip_prefix(':')
        .filter(|port| port.bytes().all(|b| b.is_ascii_digit()))?;
    Some((host, Some(digits.parse().ok()?)))
}

/// Who would see the answer: a browser on its way to a page, or a program (D-8).
#[must_use]
pub fn asker(method: &Method, headers: &HeaderMap) -> Asker {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let navigates = match text("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => {
            text("accept").is_some_and(|accept| accept.contains("text/html"))
                && text("x-requested-with").is_none()
        }
    };
    let goes_to_a_page = matches!(*method, Method::GET | Method::HEAD | Method::POST);
    if navigates && goes_to_a_page && !headers.contains_key(header::UPGRADE) {
        Asker::Navigation
    } else {
        Asker::Program
    }
}

/// Whether a request is a CORS preflight.
#[must_use]
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The declared length of a body, in bytes.
#[must_use]
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn header_bytes(headers: &HeaderMap) -> usize {
    // RFC 9113 §6.5.2 counts 32 bytes of overhead a field.
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 32)
        .sum()
}

const MALFORMED_LINE: InboundError = InboundError::Malformed("a line of the header is malformed");
const MALFORMED_HOST: InboundError = InboundError::Malformed("the host is malformed");
const LENGTH_DIGITS_MAX: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_head_passes() {
        let head = b"GET /a?b=c HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\n";
        assert!(check_raw(head).is_ok());
    }

    #[test]
    fn a_head_with_two_readings_is_refused() {
        for head in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET %20/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET \\a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ?a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET javascript:a HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        ] {
            assert!(check_raw(head.as_bytes()).is_err(), "{head:?}");
        }
    }

    #[test]
    fn a_host_has_at_most_one_numeric_port() {
        assert_eq!(split_port("a.test"), Some(("a.test", None)));
        assert_eq!(split_port("a.test:80"), Some(("a.test", Some(80))));
        assert_eq!(split_port("[::1]:80"), Some(("[::1]", Some(80))));
        assert_eq!(split_port("[::1]"), Some(("[::1]", None)));
        for odd in ["a:", "a:b", "a:80:80", "a:99999", "[::1]x:80x", "a:-1"] {
            assert_eq!(split_port(odd), None, "{odd}");
        }
    }
}
