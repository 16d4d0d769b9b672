//! Writes the head of the request that goes upstream, and cleans the head of the answer.
//!
//! Nothing a client says about itself survives here: identity and forwarding headers are removed in
//! every spelling and set anew (D-17, edge.md "identity headers").

use http::HeaderName;
use http::HeaderValue;
use http::header;
use pingora::http::RequestHeader;
use pingora::http::ResponseHeader;

use crate::config::Caching;
use crate::config::UpstreamHost;
use crate::decision::cookies::CookieNames;
use crate::decision::identity_headers;
use crate::decision::identity_headers::IdentityHeaderError;
use crate::decision::policy::Access;
use crate::model::id::RequestId;
use crate::proxy::context::Admitted;
use crate::proxy::serving::Serving;

/// Why a request's head cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// An identity does not fit into headers; without it the request would be somebody else's.
    #[error("the identity does not fit into headers")]
    Identity(#[from] IdentityHeaderError),
    /// A value cannot be sent as a header.
    #[error("a header value cannot be sent")]
    Value(#[from] header::InvalidHeaderValue),
    /// The target cannot be sent.
    #[error("the target cannot be sent")]
    Target(#[from] http::uri::InvalidUri),
    /// pingora refused a header.
    #[error("the header {0} could not be set")]
    Refused(HeaderName),
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
    let admitted = outgoing.admitted;
    remove_claims(head, serving);
    write_cookies(head, &serving.gate.names)?;
    if let Some(target) = &admitted.target {
        head.set_uri(target.parse()?);
    }
    set(head, header::HOST, host_value(admitted, outgoing.member)?)?;
    for (name, value) in admitted.origin.headers(&admitted.host) {
        set(head, name, value)?;
    }
    set(
        head,
        REQUEST_ID,
        HeaderValue::try_from(outgoing.id.to_string())?,
    )?;
    if let Some(identity) = admitted.permit.identity() {
        for (name, value) in identity_headers::values(identity, &serving.identity_headers)? {
            set(head, name, value)?;
        }
    }
    Ok(())
}

/// Cleans the head of an answer.
///
/// # Errors
/// When a header cannot be set.
pub fn clean_answer(
    head: &mut ResponseHeader,
    admitted: &Admitted,
    id: RequestId,
    names: &CookieNames,
) -> Result<(), OutboundError> {
    let cookies = head.headers.get_all(header::SET_COOKIE);
    if cookies
        .iter()
        .any(|cookie| names.claims_ours(cookie.as_bytes()))
    {
        let kept: Vec<_> = cookies
            .iter()
            .filter(|c| !names.claims_ours(c.as_bytes()))
            .cloned()
            .collect();
        head.remove_header(&header::SET_COOKIE);
        for cookie in kept {
            let refused = || OutboundError::Refused(header::SET_COOKIE);
            head.append_header(header::SET_COOKIE, cookie)
                .map_err(|_| refused())?;
        }
    }
    let route = &admitted.route.config;
    if route.access == Access::Protected && route.caching == Caching::NoStore {
        let refused = |_| OutboundError::Refused(header::CACHE_CONTROL);
        head.insert_header(header::CACHE_CONTROL, NO_STORE)
            .map_err(refused)?;
    }
    let id = HeaderValue::try_from(id.to_string())?;
    head.insert_header(REQUEST_ID, id)
        .map_err(|_| OutboundError::Refused(REQUEST_ID))
}

/// Whether it is plain where an answer's body ends: pingora passes codings that it does not know on as
/// they are (RFC 9112 §6.3).
#[must_use]
pub fn is_framed_plainly(head: &ResponseHeader) -> bool {
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_plain) && codings.next().is_none()
}

/// Points a `Location` that names the upstream itself at the public host (W-21).
pub fn public_location(head: &ResponseHeader, admitted: &Admitted) -> Option<HeaderValue> {
    let origin = &admitted.origin;
    let member = admitted.in_flight.as_ref()?.member();
    let location = head.headers.get(header::LOCATION)?.to_str().ok()?;
    let rest = location
        .strip_prefix("http://")
        .or_else(|| location.strip_prefix("https://"))?;
    let target = rest.strip_prefix(member.authority.as_str())?;
    if !(target.is_empty() || target.starts_with(['/', '?', '#'])) {
        return None;
    }
    let scheme = origin.scheme.as_str();
    let port = match origin.port {
        port if port == origin.scheme.default_port() => String::new(),
        port => format!(":{port}"),
    };
    HeaderValue::try_from(format!("{scheme}://{}{port}{target}", admitted.host)).ok()
}

/// Removes what only the gateway may say, and every name that some application server would read as
/// another one.
fn remove_claims(head: &mut RequestHeader, serving: &Serving) {
    let is_claim = |name: &HeaderName| {
        serving.protected.matches(name) || name.as_str().bytes().any(|b| !is_plain(b))
    };
    let claims: Vec<HeaderName> = head
        .headers
        .keys()
        .filter(|name| is_claim(name))
        .cloned()
        .collect();
    for name in &claims {
        head.remove_header(name);
    }
}

/// Letters, digits and hyphens: what no application server folds into something else.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn write_cookies(head: &mut RequestHeader, names: &CookieNames) -> Result<(), OutboundError> {
    if !head.headers.contains_key(header::COOKIE) {
        return Ok(());
    }
    let lines = head
        .headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes);
    match names.for_upstream(lines) {
        Some(kept) => set(head, header::COOKIE, HeaderValue::try_from(kept)?),
        None => {
            head.remove_header(&header::COOKIE);
            Ok(())
        }
    }
}

fn host_value(admitted: &Admitted, member: &str) -> Result<HeaderValue, OutboundError> {
    let host = match &admitted.route.config.upstream_host {
        UpstreamHost::Fixed(host) => HeaderValue::from_str(host.as_str())?,
        UpstreamHost::Upstream => HeaderValue::from_str(member)?,
        UpstreamHost::Preserved => match admitted.host_port {
            Some(port) => HeaderValue::try_from(format!("{}:{port}", admitted.host))?,
            None => HeaderValue::from_str(admitted.host.as_str())?,
        },
    };
    Ok(host)
}

fn set(
    head: &mut RequestHeader,
    name: HeaderName,
    value: HeaderValue,
) -> Result<(), OutboundError> {
    head.insert_header(name.clone(), value)
        .map_err(|_| OutboundError::Refused(name))
}

/// The header that carries a request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
