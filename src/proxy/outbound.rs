//! Writes the head of the request that goes upstream, and cleans the head of the answer.
//!
//! Nothing a client says about itself survives here: identity and forwarding headers are removed in
//! every spelling and set anew (D-17, edge.md "identity headers").

use std::fmt::Display;

use http::HeaderName;
use http::HeaderValue;
use http::header;
use pingora::http::IntoCaseHeaderName;
use pingora::http::RequestHeader;
use pingora::http::ResponseHeader;

use crate::config::Caching;
use crate::config::UpstreamHost;
use crate::decision::forwarded::Scheme;
use crate::decision::header_rules::HeaderChange;
use crate::decision::header_rules::Others;
use crate::decision::identity_headers;
use crate::decision::identity_headers::IdentityHeaderError;
use crate::decision::identity_headers::folds_alike;
use crate::decision::policy::Access;
use crate::decision::response::Given;
use crate::decision::rewrite::Rewrite;
use crate::model::id::RequestId;
use crate::ports::clock::Clock;
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
    Refused(String),
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
    if let Some(changes) = &admitted.headers {
        change(head, &changes.request)?;
    }
    write_cookies(head, serving, &admitted.given)?;
    if let Some(target) = &admitted.target {
        head.set_uri(target.parse()?);
    }
    if let Some(prefix) = admitted
        .route
        .config
        .rewrite
        .as_ref()
        .and_then(Rewrite::stripped)
    {
        set(head, "X-Forwarded-Prefix", HeaderValue::from_str(prefix)?)?;
    }
    if let Some(host) = other_host(head, admitted, outgoing.member)? {
        set(head, "Host", host)?;
    }
    for (name, value) in admitted.origin.headers(&admitted.host) {
        set(head, name, value)?;
    }
    set(head, REQUEST_ID_TEXT, id_value(outgoing.id)?)?;
    if let Some(session) = admitted.permit.session() {
        let names = &serving.identity_headers;
        let values = identity_headers::values(&session.identity, session.attributes, names)?;
        for (name, value) in values {
            set(head, &name, value)?;
        }
    }
    for (name, value) in &admitted.given.headers {
        set(head, name, value.clone())?;
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
    serving: &Serving,
) -> Result<(), OutboundError> {
    let (names, of_policies) = (&serving.gate.names, serving.policy_cookies.as_slice());
    let cookies = head.headers.get_all(header::SET_COOKIE);
    if cookies
        .iter()
        .any(|cookie| names.claims_ours(cookie.as_bytes(), of_policies))
    {
        let kept: Vec<_> = cookies
            .iter()
            .filter(|c| !names.claims_ours(c.as_bytes(), of_policies))
            .cloned()
            .collect();
        head.remove_header(&header::SET_COOKIE);
        for cookie in kept {
            head.append_header(header::SET_COOKIE, cookie)
                .map_err(|_| refused(&header::SET_COOKIE))?;
        }
    }
    if must_not_be_kept(head, admitted) {
        head.insert_header(header::CACHE_CONTROL, NO_STORE)
            .map_err(|_| refused(&header::CACHE_CONTROL))?;
    }
    head.insert_header(REQUEST_ID_TEXT, id_value(id)?)
        .map_err(|_| refused(REQUEST_ID_TEXT))
}

/// Whether an answer is to be kept out of caches: always where a sign-in is asked for, elsewhere when
/// the upstream was told who asks and says nothing itself. A page that greets the user by name must not
/// come back with the browser's back button after a sign-out.
fn must_not_be_kept(head: &ResponseHeader, admitted: &Admitted) -> bool {
    let route = &admitted.route.config;
    let is_ours = match route.access {
        Access::Excluded => false,
        Access::Protected => true,
        Access::Unprotected => {
            admitted.permit.identity().is_some()
                && !head.headers.contains_key(header::CACHE_CONTROL)
        }
    };
    is_ours && route.caching == Caching::NoStore
}

/// Has an answer set the GITO cookie of its authorisation, unless it comes too late for that (S-13).
///
/// # Errors
/// When the header cannot be set.
pub fn set_gito(
    head: &mut ResponseHeader,
    admitted: &Admitted,
    clock: &dyn Clock,
) -> Result<(), OutboundError> {
    let Some(gito) = &admitted.gito else {
        return Ok(());
    };
    // An interim answer is not yet the answer (RFC 9110 §15.2).
    let is_interim = head.status.is_informational() && head.status != 101;
    if is_interim || clock.now() > gito.until {
        return Ok(());
    }
    head.append_header(header::SET_COOKIE, gito.set_cookie.as_str())
        .map(drop)
        .map_err(|_| refused(&header::SET_COOKIE))
}

/// Has an answer set the cookies of its policy.
///
/// # Errors
/// When a header cannot be set.
pub fn set_policy_cookies(
    head: &mut ResponseHeader,
    admitted: &Admitted,
) -> Result<(), OutboundError> {
    let is_interim = head.status.is_informational() && head.status != 101;
    let is_readable = admitted.origin.scheme == Scheme::Https;
    if is_interim || !is_readable {
        return Ok(());
    }
    for cookie in &admitted.given.set_cookies {
        head.append_header(header::SET_COOKIE, cookie.as_str())
            .map_err(|_| refused(&header::SET_COOKIE))?;
    }
    Ok(())
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
    let member = admitted.in_flight.as_ref()?.member();
    let location = head.headers.get(header::LOCATION)?.to_str().ok()?;
    let rest = location
        .strip_prefix("http://")
        .or_else(|| location.strip_prefix("https://"))?;
    let target = rest.strip_prefix(member.authority.as_str())?;
    if !(target.is_empty() || target.starts_with(['/', '?', '#'])) {
        return None;
    }
    HeaderValue::try_from(format!("{}{target}", public_address(admitted))).ok()
}

/// How the addresses of a virtual host begin, as the client of a request knows them.
pub(super) fn public_address(admitted: &Admitted) -> String {
    let origin = &admitted.origin;
    let scheme = origin.scheme.as_str();
    let port = match origin.port {
        port if port == origin.scheme.default_port() => String::new(),
        port => format!(":{port}"),
    };
    format!("{scheme}://{}{port}", admitted.host)
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

/// Changes headers as the route says. Of a name that is set or removed nothing stays, however a client
/// has spelled it.
fn change(head: &mut RequestHeader, changes: &[HeaderChange]) -> Result<(), OutboundError> {
    for change in changes {
        if change.others == Others::Removed {
            let names = head.headers.keys();
            let same = names.filter(|name| folds_alike(name.as_str(), change.name.as_str()));
            for name in same.cloned().collect::<Vec<_>>() {
                head.remove_header(&name);
            }
        }
        if let Some(value) = &change.value {
            head.append_header(&change.name, value)
                .map_err(|_| refused(&change.name))?;
        }
    }
    Ok(())
}

/// Letters, digits and hyphens: what no application server folds into something else.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn write_cookies(
    head: &mut RequestHeader,
    serving: &Serving,
    given: &Given,
) -> Result<(), OutboundError> {
    if !head.headers.contains_key(header::COOKIE) && given.cookies.is_empty() {
        return Ok(());
    }
    let lines = head
        .headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes);
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
        Some(kept) => set(head, "cookie", HeaderValue::try_from(kept)?),
        None => {
            head.remove_header(&header::COOKIE);
            Ok(())
        }
    }
}

/// The host to ask the upstream for, unless the head says so already.
fn other_host(
    head: &RequestHeader,
    admitted: &Admitted,
    member: &str,
) -> Result<Option<HeaderValue>, OutboundError> {
    let (host, port) = (admitted.host.as_str(), admitted.host_port);
    let host = match &admitted.route.config.upstream_host {
        UpstreamHost::Fixed(host) => HeaderValue::from_str(host.as_str())?,
        UpstreamHost::Upstream => HeaderValue::from_str(member)?,
        UpstreamHost::Preserved => {
            let written = head.headers.get(header::HOST);
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

fn id_value(id: RequestId) -> Result<HeaderValue, header::InvalidHeaderValue> {
    HeaderValue::from_str(id.as_str())
}

/// Sets a header; of a name that is known beforehand, pingora need not copy the text.
fn set<N>(head: &mut RequestHeader, name: N, value: HeaderValue) -> Result<(), OutboundError>
where
    N: IntoCaseHeaderName + Display + Copy,
{
    head.insert_header(name, value).map_err(|_| refused(name))
}

/// The error of a header that pingora refuses.
pub(super) fn refused(name: impl Display) -> OutboundError {
    OutboundError::Refused(name.to_string())
}

/// The header that carries a request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static(REQUEST_ID_TEXT);
const REQUEST_ID_TEXT: &str = "x-request-id";
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

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
