//! Judges whether a page may open a WebSocket: browsers let any page try (OWASP ASVS 4.4.2).

use http::HeaderMap;
use http::header;

use crate::decision::forwarded::Scheme;
use crate::decision::origins::Origins;
use crate::model::name::HostName;

/// Whether a page may open a WebSocket to a host: only one of a served host.
pub(super) fn may_open(
    headers: &HeaderMap,
    host: &HostName,
    scheme: Scheme,
    origins: &Origins,
) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let own = |rest: &str| {
        rest.split(':')
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(host.as_str()))
    };
    let is_plain = scheme == Scheme::Http;
    let plain_own = is_plain && origin.strip_prefix("http://").is_some_and(own);
    plain_own || origins.return_address(origin).is_some()
}
