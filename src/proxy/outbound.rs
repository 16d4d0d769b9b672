//! Writes the head of the request that goes upstream.
//!
//! Nothing a client says about itself survives here: identity and forwarding headers are removed in
//! every spelling and set anew (D-17, edge.md "identity headers"). Names lose the case in which a client
//! wrote them, as they do over HTTP/2: keeping it costs a second map beside the headers (ADR 0020).

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Version;
use http::header;
use http::request::Parts;
use pingora::http::RequestHeader;

use crate::config::UpstreamHost;
use crate::decision::header_rules::HeaderChange;
use crate::decision::header_rules::Others;
use crate::decision::identity_headers::folds_alike;
use crate::decision::response::Given;
use crate::decision::rewrite::Rewrite;
use crate::decision::trace_context::TRACEPARENT;
use crate::decision::trace_context::TRACESTATE;
use crate::decision::trace_context::TraceContext;
use crate::model::id::RequestId;
use crate::proxy::context::Admitted;
use crate::proxy::framing::PerHop;
use crate::proxy::memory::ConnectionMemory;
use crate::proxy::serving::Serving;

/// Why a request's head cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// A value cannot be sent as a header.
    #[error("a header value cannot be sent")]
    Value(#[from] header::InvalidHeaderValue),
    /// The target cannot be sent.
    #[error("the target cannot be sent")]
    Target(#[from] http::uri::InvalidUri),
    /// There are more headers than a head can have.
    #[error("there are too many headers")]
    TooMany(#[from] header::MaxSizeReached),
}

/// What the head is written from.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// What is known of the request.
    pub admitted: &'a Admitted,
    /// The member it goes to, as host and port.
    pub member: &'a str,
    /// Its id.
    pub id: RequestId,
    /// What its client speaks.
    pub version: Version,
    /// What its connection remembers.
    pub memory: &'a ConnectionMemory,
}

/// Writes the head that goes upstream.
///
/// # Errors
/// See [`OutboundError`]; the request is not forwarded then.
pub fn write_head(
    head: &mut RequestHeader,
    outgoing: &Outgoing<'_>,
    serving: &Serving,
) -> Result<(), OutboundError> {
    let blank = RequestHeader::from(http::Request::new(()).into_parts().0);
    let mut parts = Parts::from(std::mem::replace(head, blank));
    if let Some(target) = &outgoing.admitted.target {
        parts.uri = target.parse()?;
    }
    let (admitted, memory) = (outgoing.admitted, outgoing.memory);
    let which = admitted.route.config.forwarded_headers;
    let origin = &admitted.arrived.origin;
    // Read before what the client says of it is taken off.
    let trace = which
        .includes(&TRACEPARENT)
        .then(|| TraceContext::of(origin, &parts.headers, outgoing.id))
        .transpose()?;
    let can_recur = can_recur(admitted);
    let told = can_recur.then(|| memory.told(admitted)).flatten();
    let is_new = told.is_none();
    match told {
        Some(headers) => parts.headers = headers,
        None => write_headers(&mut parts.headers, outgoing, serving)?,
    }
    if which.includes(&REQUEST_ID) {
        let id = HeaderValue::from_str(outgoing.id.as_str())?;
        parts.headers.try_insert(REQUEST_ID, id)?;
    }
    if let Some(trace) = trace {
        parts.headers.try_insert(TRACEPARENT, trace.parent)?;
        // What is remembered has the lines of the very same head.
        for line in trace.state.into_iter().filter(|_| is_new) {
            parts.headers.try_append(TRACESTATE, line)?;
        }
    }
    if is_new && can_recur {
        memory.is_told(admitted, &parts.headers);
    }
    if outgoing.version < Version::HTTP_11 {
        // Such a client does not understand the answer to it (RFC 9110 §10.1.1).
        parts.headers.remove(header::EXPECT);
    }
    *head = RequestHeader::from(parts);
    Ok(())
}

/// Whether the same head of the same session would be written alike, by this route.
fn can_recur(admitted: &Admitted) -> bool {
    let changes = admitted.headers.as_ref();
    changes.is_none_or(|changes| changes.request.is_empty())
        && admitted.given.headers.is_empty()
        && admitted.given.cookies.is_empty()
        && admitted.route.config.upstream_host != UpstreamHost::Upstream
}

/// Writes all headers but those of this request alone: its id and its trace.
fn write_headers(
    headers: &mut HeaderMap,
    outgoing: &Outgoing<'_>,
    serving: &Serving,
) -> Result<(), OutboundError> {
    let (admitted, memory) = (outgoing.admitted, outgoing.memory);
    headers.try_reserve(HEADERS_USUAL)?;
    if admitted.arrived.per_hop == PerHop::Plain {
        // pingora has left it to us, see `forward`.
        headers.remove(header::CONNECTION);
    }
    remove_claims(headers, serving);
    if let Some(changes) = &admitted.headers {
        change(headers, &changes.request)?;
    }
    write_cookies(headers, serving, &admitted.given)?;
    let rewrite = admitted.route.config.rewrite.as_ref();
    if let Some(prefix) = rewrite.and_then(Rewrite::stripped) {
        headers.try_insert(FORWARDED_PREFIX, HeaderValue::from_str(prefix)?)?;
    }
    if let Some(host) = other_host(headers, admitted, outgoing.member)? {
        headers.try_insert(header::HOST, host)?;
    }
    let which = admitted.route.config.forwarded_headers;
    let arrived = &admitted.arrived;
    insert(
        headers,
        &memory.origin(&arrived.origin, &arrived.host, which),
    )?;
    if let Some(identity) = &admitted.identity {
        insert(headers, identity)?;
    }
    insert(headers, &admitted.given.headers)
}

/// Sets headers, each in place of whatever stands there.
fn insert(
    headers: &mut HeaderMap,
    these: &[(HeaderName, HeaderValue)],
) -> Result<(), OutboundError> {
    for (name, value) in these {
        headers.try_insert(name, value.clone())?;
    }
    Ok(())
}

/// Removes what only the gateway may say, and every name that some application server would read as
/// another one.
fn remove_claims(headers: &mut HeaderMap, serving: &Serving) {
    let is_claim = |name: &HeaderName| {
        serving.protected.matches(name) || name.as_str().bytes().any(|b| !is_plain(b))
    };
    let claims = headers.keys().filter(|name| is_claim(name));
    for name in claims.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// Changes headers as the route says. Of a name that is set or removed nothing stays, however a client
/// has spelled it.
fn change(headers: &mut HeaderMap, changes: &[HeaderChange]) -> Result<(), OutboundError> {
    for change in changes {
        if change.others == Others::Removed {
            let same = |name: &&HeaderName| folds_alike(name.as_str(), change.name.as_str());
            for name in headers.keys().filter(same).cloned().collect::<Vec<_>>() {
                headers.remove(name);
            }
        }
        if let Some(value) = &change.value {
            headers.try_append(&change.name, value.clone())?;
        }
    }
    Ok(())
}

/// Letters, digits and hyphens: what no application server folds into something else.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn write_cookies(
    headers: &mut HeaderMap,
    serving: &Serving,
    given: &Given,
) -> Result<(), OutboundError> {
    if !headers.contains_key(header::COOKIE) && given.cookies.is_empty() {
        return Ok(());
    }
    let lines = headers.get_all(header::COOKIE).iter();
    let lines = lines.map(HeaderValue::as_bytes);
    let names = &serving.gate.names;
    let mut kept = names.for_upstream(lines, &serving.policy_cookies);
    for (name, value) in &given.cookies {
        let line = kept.get_or_insert_default();
        if !line.is_empty() {
            line.extend_from_slice(b"; ");
        }
        line.extend_from_slice(name.as_bytes());
        line.push(b'=');
        line.extend_from_slice(value.as_bytes());
    }
    match kept {
        Some(kept) => headers.try_insert(header::COOKIE, HeaderValue::try_from(kept)?)?,
        None => headers.remove(header::COOKIE),
    };
    Ok(())
}

/// The host to ask the upstream for, unless the head says so already.
fn other_host(
    headers: &HeaderMap,
    admitted: &Admitted,
    member: &str,
) -> Result<Option<HeaderValue>, OutboundError> {
    let arrived = &admitted.arrived;
    let (host, port) = (arrived.host.as_str(), arrived.port);
    let wanted = &admitted.route.config.upstream_host;
    let host = match wanted {
        UpstreamHost::Fixed(host) => HeaderValue::from_str(host.as_str())?,
        UpstreamHost::Upstream => HeaderValue::from_str(member)?,
        UpstreamHost::Preserved | UpstreamHost::WithoutPort => {
            let port = port.filter(|_| *wanted == UpstreamHost::Preserved);
            let written = headers.get(header::HOST);
            if written.is_some_and(|written| is_canonical(written.as_bytes(), host, port)) {
                return Ok(None);
            }
            match port {
                Some(port) => HeaderValue::try_from(format!("{host}:{port}"))?,
                None => HeaderValue::from_str(host)?,
            }
        }
    };
    Ok(Some(host))
}

/// Whether a `Host` header is written as the gateway would write it.
fn is_canonical(written: &[u8], host: &str, port: Option<u16>) -> bool {
    let Some(rest) = written.strip_prefix(host.as_bytes()) else {
        return false;
    };
    let Some(port) = port else {
        return rest.is_empty();
    };
    let digits = rest.strip_prefix(b":").map(str::from_utf8);
    matches!(digits, Some(Ok(digits)) if !digits.starts_with(['0', '+']) && digits.parse() == Ok(port))
}

/// The header that carries a request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static(REQUEST_ID_TEXT);
/// It as text, which pingora need not copy.
pub const REQUEST_ID_TEXT: &str = "x-request-id";
/// How many headers are set as a rule: one table for them all is made at once.
const HEADERS_USUAL: usize = 13;
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_left_as_it_is_only_in_the_form_in_which_it_would_be_written() {
        let is_canonical = |written: &str, port| is_canonical(written.as_bytes(), "app.test", port);
        assert!(is_canonical("app.test", None));
        assert!(is_canonical("app.test:8443", Some(8443)));
        for (odd, port) in [
            ("App.test", None),
            ("app.test.", None),
            ("app.test:80", None),
            ("app.test", Some(80)),
            ("app.test:080", Some(80)),
            ("app.test:+80", Some(80)),
            ("app.test:81", Some(80)),
            ("app.test80", Some(80)),
        ] {
            assert!(!is_canonical(odd, port), "{odd}");
        }
    }
}
