//! Which trace a request belongs to, as its upstream is told: `traceparent` and `tracestate` of W3C Trace Context.
//!
//! The gateway records no traces. It keeps clients from choosing the ids by which applications record theirs, and
//! gives a trace the id that a request has in its own logs.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header::InvalidHeaderValue;

use crate::decision::forwarded::Origin;
use crate::model::id::RequestId;

/// What an upstream is told of the trace that a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The value of `traceparent`.
    pub parent: HeaderValue,
    /// The lines of `tracestate`, in their order.
    pub state: Vec<HeaderValue>,
}

impl TraceContext {
    /// The trace of which a trusted proxy speaks, where it can be read; else one that begins with this request.
    ///
    /// # Errors
    /// When the value cannot be sent, which no id leads to.
    pub fn of(
        origin: &Origin,
        headers: &HeaderMap,
        id: RequestId,
    ) -> Result<Self, InvalidHeaderValue> {
        let is_believed = !origin.is_direct();
        let passed = is_believed.then(|| parent(headers)).flatten();
        match passed {
            Some(parent) => Ok(Self {
                parent: parent.clone(),
                state: headers.get_all(TRACESTATE).iter().cloned().collect(),
            }),
            // A state belongs to the parent that it came with.
            None => Ok(Self {
                parent: HeaderValue::try_from(begun_by(id))?,
                state: Vec::new(),
            }),
        }
    }
}

/// The `traceparent` of a request that has one, and one that can be read.
fn parent(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let parent = values.next()?;
    let is_only = values.next().is_none();
    (is_only && is_readable(parent.as_bytes())).then_some(parent)
}

/// Whether a `traceparent` is one, by all of it, or of a later version by what all versions begin with.
fn is_readable(parent: &[u8]) -> bool {
    let Some((known, rest)) = parent.split_at_checked(PARENT_BYTES) else {
        return false;
    };
    let mut fields = known.split(|byte| *byte == b'-');
    let mut field = |bytes: usize| {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let field = fields.next()?;
        (field.len() == bytes && field.iter().all(is_hex)).then_some(field)
    };
    let (Some(version), Some(trace), Some(parent), Some(_)) =
        (field(2), field(TRACE_DIGITS), field(OWN_DIGITS), field(2))
    else {
        return false;
    };
    let is_whole = match version {
        b"00" => rest.is_empty(),
        b"ff" => false,
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    is_whole && is_set(trace) && is_set(parent)
}

/// The `traceparent` of a trace that begins with a request: its id, where that has the form of one, as those made
/// here and UUIDs have. The id of the first span is the trace's second half, so that no more randomness is needed.
fn begun_by(id: RequestId) -> Vec<u8> {
    let trace = trace_of(id);
    let mut text = Vec::with_capacity(PARENT_BYTES);
    text.extend_from_slice(VERSION);
    text.extend_from_slice(&trace);
    text.push(b'-');
    text.extend_from_slice(own(&trace));
    text.extend_from_slice(NOT_SAMPLED);
    text
}

/// The id of the trace that begins with a request.
fn trace_of(id: RequestId) -> [u8; TRACE_DIGITS] {
    let written = id.as_str().as_bytes();
    let plain = || {
        let plain = written.iter().copied().filter(|byte| *byte != b'-');
        as_trace(&plain.collect::<Vec<_>>())
    };
    let hashed = || id.hashed().as_str().as_bytes().first_chunk().copied();
    let trace = as_trace(written).or_else(plain).or_else(hashed);
    let mut trace = trace.unwrap_or_default();
    trace.make_ascii_lowercase();
    trace
}

/// Digits that can be the id of a trace, and their second half that of a span.
fn as_trace(digits: &[u8]) -> Option<[u8; TRACE_DIGITS]> {
    let digits = <[u8; TRACE_DIGITS]>::try_from(digits).ok()?;
    // All are looked at, which takes less than to stop early.
    let are_hex = |all: bool, digit: &u8| all & digit.is_ascii_hexdigit();
    (digits.iter().fold(true, are_hex) && is_set(own(&digits))).then_some(digits)
}

/// The second half.
fn own(trace: &[u8; TRACE_DIGITS]) -> &[u8] {
    trace.get(OWN_DIGITS..).unwrap_or_default()
}

/// Zeros alone stand for no id.
fn is_set(digits: &[u8]) -> bool {
    digits.iter().any(|digit| *digit != b'0')
}

/// Tells which trace and which part of it a request belongs to.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What systems of tracing tell each other beside it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Of an id of a trace.
const TRACE_DIGITS: usize = 32;
/// Of an id of a span.
const OWN_DIGITS: usize = 16;
const VERSION: &[u8] = b"00-";
/// Nothing has been recorded, and nobody has decided that something is to be (ADR 0036).
const NOT_SAMPLED: &[u8] = b"-00";
/// Length of a `traceparent` of version 00, and of what later ones begin with.
const PARENT_BYTES: usize = VERSION.len() + TRACE_DIGITS + 1 + OWN_DIGITS + NOT_SAMPLED.len();

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;
    use crate::decision::forwarded::Arrival;
    use crate::decision::forwarded::Scheme;
    use crate::model::name::HostName;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const PROXY: &str = "192.0.2.1";
    const CLIENT: &str = "198.51.100.1";

    fn told(peer: &str, headers: &[(&'static str, &str)], id: RequestId) -> (String, Vec<String>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let host = HostName::parse("app.test").unwrap();
        let arrival = Arrival {
            peer: peer.parse().unwrap(),
            scheme: Scheme::Https,
            host: &host,
            port: 443,
        };
        let trusted: [IpNet; 1] = ["192.0.2.0/24".parse().unwrap()];
        let origin = Origin::of(&arrival, &trusted, &map);
        let context = TraceContext::of(&origin, &map, id).unwrap();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        (
            text(&context.parent),
            context.state.iter().map(text).collect(),
        )
    }

    fn begun(id: RequestId) -> String {
        told(CLIENT, &[], id).0
    }

    #[test]
    fn a_trace_that_begins_here_has_the_id_of_its_request() {
        let id =
            RequestId::from_bytes([0x0a, 1, 2, 3, 4, 5, 6, 7, 0xf8, 9, 10, 11, 12, 13, 14, 0xff]);
        assert_eq!(id.as_str(), "0a01020304050607f8090a0b0c0d0eff");
        let expected = "00-0a01020304050607f8090a0b0c0d0eff-f8090a0b0c0d0eff-00";
        assert_eq!(begun(id), expected);
    }

    #[test]
    fn an_id_of_a_proxy_is_that_of_the_trace_where_it_can_be() {
        let id = |text: &str| RequestId::parse(text.as_bytes()).unwrap();
        assert_eq!(
            begun(id("6F9619FF-8B86-D011-B42D-00CF4FC964FF")),
            "00-6f9619ff8b86d011b42d00cf4fc964ff-b42d00cf4fc964ff-00"
        );
        let zeros = "0".repeat(32);
        let half = format!("1{}", "0".repeat(31));
        let longest = "f".repeat(RequestId::BYTES_MAX);
        let mut seen = Vec::new();
        for odd in [
            "proxy-made:1234",
            "-",
            "1",
            &zeros,
            &half,
            &longest,
            "g0000000000000000000000000000001",
        ] {
            let parent = begun(id(odd));
            assert!(is_readable(parent.as_bytes()), "{odd}: {parent}");
            assert_eq!(parent, begun(id(odd)), "one id, one trace");
            seen.push(parent);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 7);
    }

    #[test]
    fn only_a_trusted_proxy_says_which_trace_a_request_belongs_to() {
        let id = RequestId::from_bytes([0xab; 16]);
        let headers = [
            ("traceparent", GIVEN),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
        ];
        let (parent, state) = told(PROXY, &headers, id);
        assert_eq!((parent.as_str(), state.len()), (GIVEN, 2));
        assert_eq!(state, ["a=1", "b=2"]);
        assert_eq!(told(CLIENT, &headers, id), (begun(id), vec![]));
    }

    #[test]
    fn what_a_trusted_proxy_says_counts_where_it_can_be_read() {
        let id = RequestId::from_bytes([0xab; 16]);
        let later = GIVEN.replacen("00", "01", 1);
        let more = format!("{later}-what-comes-then");
        for good in [GIVEN, &later, &more] {
            assert_eq!(told(PROXY, &[("traceparent", good)], id).0, good);
        }
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let odd = [
            String::new(),
            "00".to_owned(),
            GIVEN.to_ascii_uppercase(),
            GIVEN.replacen("00", "ff", 1),
            GIVEN.replace(trace, &"0".repeat(32)),
            GIVEN.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GIVEN.replace('-', "_"),
            GIVEN.replace("4bf", "4-f"),
            format!("{GIVEN}-00"),
            format!("{later}x"),
            GIVEN.replace("4b", "g0"),
            format!("{GIVEN}, {GIVEN}"),
        ];
        for odd in &odd {
            let headers = [("traceparent", odd.as_str()), ("tracestate", "a=1")];
            assert_eq!(told(PROXY, &headers, id), (begun(id), vec![]), "{odd}");
        }
        let twice = [("traceparent", GIVEN), ("traceparent", GIVEN)];
        assert_eq!(told(PROXY, &twice, id).0, begun(id));
        assert_eq!(
            told(PROXY, &[("tracestate", "a=1")], id),
            (begun(id), vec![])
        );
    }
}
