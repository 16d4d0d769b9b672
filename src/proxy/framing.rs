//! Reads the bytes of a head as strictly as the strictest reader behind the gateway might: one framing, one
//! line end, nothing hidden (RFC 9112).

use http::HeaderMap;
use memchr::memchr;
use memchr::memchr3;

use crate::proxy::inbound::InboundError;

/// An HTTP/1 head as it came off the wire.
pub(super) struct RawHead<'r> {
    target: &'r [u8],
    /// The lines behind the request line, with their ends.
    pub(super) fields: &'r [u8],
}

impl<'r> RawHead<'r> {
    /// Takes the request line apart.
    ///
    /// # Errors
    /// When it has other parts than a method, a target and a version, or a target that is to be refused.
    pub(super) fn of(raw: &'r [u8]) -> Result<Self, InboundError> {
        let mut lines = Lines(raw);
        let line = lines.next().ok_or(MALFORMED_LINE)??;
        let mut parts = line.split(|b| *b == b' ');
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
        let fields = lines.0;
        Ok(Self { target, fields })
    }

    /// Whether its target is a path, so that nothing but its fields says what it is for.
    pub(super) fn is_in_origin_form(&self) -> bool {
        self.target.starts_with(b"/")
    }

    /// What its fields say.
    ///
    /// # Errors
    /// When they can be read in more than one way.
    pub(super) fn framing(&self) -> Result<Framing, InboundError> {
        let mut framing = Framing::default();
        for line in Lines(self.fields) {
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
pub(super) struct Framing {
    hosts: usize,
    lengths: usize,
    pub(super) codings: usize,
    expectations: usize,
    upgrades: usize,
    /// Lengths and codings that announce a body.
    bodies: usize,
    /// Whether there are fields for the connection alone.
    pub(super) per_hop: PerHop,
}

/// Fields of a head that are for its connection alone and go no further (RFC 9110 §7.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PerHop {
    /// None but whether the connection is kept, if that.
    #[default]
    Plain,
    /// Some, which may name others.
    Some,
}

impl Framing {
    /// What the fields of an HTTP/2 head say.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, InboundError> {
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
            self.per_hop = PerHop::Some;
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(InboundError::Malformed(
                    "the transfer coding is not just `chunked`",
                ));
            }
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrades += 1;
            self.per_hop = PerHop::Some;
        } else if name.eq_ignore_ascii_case(b"expect") {
            self.expectations += 1;
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(InboundError::Expectation);
            }
        } else if is_per_hop(name, value) {
            self.per_hop = PerHop::Some;
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

/// Whether a field is for the connection alone, beyond those that are looked at more closely; saying whether to
/// keep it is not worth a word.
fn is_per_hop(name: &[u8], value: &[u8]) -> bool {
    if name.eq_ignore_ascii_case(b"connection") {
        let mut plain = [b"keep-alive".as_slice(), b"close"].into_iter();
        return !plain.any(|plain| value.eq_ignore_ascii_case(plain));
    }
    let mut names = PER_HOP.iter();
    names.any(|per_hop| name.eq_ignore_ascii_case(per_hop.as_bytes()))
}

/// What pingora takes off a request on its way, beside `Connection` and what that names.
const PER_HOP: [&str; 7] = [
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
];
const MALFORMED_LINE: InboundError = InboundError::Malformed("a line of the header is malformed");
const LENGTH_DIGITS_MAX: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    fn check_raw(raw: &[u8]) -> Result<Framing, InboundError> {
        RawHead::of(raw)?.framing()
    }

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

    /// Whatever pingora would take off must be seen: it is not asked to where there is none.
    #[test]
    fn fields_for_the_connection_alone_are_seen() {
        let per_hop = |field: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
            check_raw(head.as_bytes()).unwrap().per_hop
        };
        for field in [
            "Accept: */*",
            "Connection: keep-alive",
            "connection:  Close ",
            "Content-Length: 3",
        ] {
            assert_eq!(per_hop(field), PerHop::Plain, "{field}");
        }
        for field in [
            "Connection: ",
            "Connection: keep-alive, X-Forwarded-For",
            "Connection: close\r\nConnection: x-real-ip",
            "HTTP2-Settings: x",
            "Keep-Alive: timeout=5",
            "Proxy-Authenticate: x",
            "proxy-authorization: x",
            "Proxy-Connection: keep-alive",
            "TE: trailers",
            "Trailer: x",
            "Transfer-Encoding: chunked",
            "Upgrade: websocket",
        ] {
            assert_eq!(per_hop(field), PerHop::Some, "{field}");
        }
    }
}
