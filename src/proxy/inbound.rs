//! Makes trusted values of what a client sends, or refuses it before anybody else sees it.
//!
//! pingora tolerates more than two readers of a message could agree on. Whatever it lets through that
//! somebody behind it could take differently is refused here. Paths are judged in `decision::path`.

use std::collections::HashSet;
use std::net::IpAddr;

use http::HeaderMap;
use http::Method;
use http::header;
use ipnet::IpNet;
use pingora::http::RequestHeader;

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

/// Checks that a method is one that is forwarded: a usual one, or one that some route names.
///
/// # Errors
/// When it is none.
pub fn check_method(method: &Method, named: &HashSet<Method>) -> Result<(), InboundError> {
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
///
/// # Errors
/// When they do not, or name no host.
pub(super) fn authority(head: &RequestHeader) -> Result<(HostName, Option<u16>), InboundError> {
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
    host_and_port(named)
}

/// The two parts of the host asked for.
///
/// # Errors
/// When it is none: an odd port, a user before it.
pub fn host_and_port(named: &str) -> Result<(HostName, Option<u16>), InboundError> {
    let (host, port) = split_port(named).ok_or(MALFORMED_HOST)?;
    let host = HostName::parse(host).map_err(|_| MALFORMED_HOST)?;
    Ok((host, port))
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

/// The size of a header as RFC 9113 §6.5.2 counts it, in bytes.
pub(super) fn header_bytes(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD)
        .sum()
}

/// What each field counts beyond its bytes.
const FIELD_OVERHEAD: usize = 32;
const MALFORMED_HOST: InboundError = InboundError::Malformed("the host is malformed");

#[cfg(test)]
mod tests {
    use super::*;

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
