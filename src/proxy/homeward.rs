//! The head of an answer on its way to the client: cleaned, changed as the route says, and with what
//! Portway itself has to tell the browser.

use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::Version;
use http::header;
use pingora::http::ResponseHeader;

use crate::config::Caching;
use crate::config::UpstreamHost;
use crate::decision::compression::forbids_changes;
use crate::decision::forwarded::Scheme;
use crate::decision::header_rules::HeaderChange;
use crate::decision::header_rules::Others;
use crate::decision::policy::Access;
use crate::decision::rewrite::Rewrite;
use crate::model::id::RequestId;
use crate::proxy::context::Admitted;
use crate::proxy::outbound::REQUEST_ID_TEXT;
use crate::proxy::serving::Serving;

/// Keeps chunks from a client that does not know them: its answer ends with the connection
/// (RFC 9112 §6.1).
pub(super) fn suit_version(head: &mut ResponseHeader, version: Version) {
    if version < Version::HTTP_11 {
        head.remove_header(&header::TRANSFER_ENCODING);
    }
}

/// Readies the head of an upstream's answer.
///
/// # Errors
/// When a header cannot be set.
pub(super) fn ready(
    head: &mut ResponseHeader,
    admitted: &Admitted,
    id: RequestId,
    serving: &Serving,
) -> pingora::Result<()> {
    if head.headers.keys().any(is_rare) {
        map_addresses(head, |address| public_address(address, admitted, serving))?;
        leave_out(head, admitted);
    }
    if let Some(rewrite) = &admitted.route.config.rewrite {
        map_back(head, rewrite, admitted)?;
    }
    finish(head, admitted, id, serving)
}

/// Does what any answer to a permitted request needs. Cookies come last: no rule is about them.
///
/// # Errors
/// When a header cannot be set.
pub(super) fn finish(
    head: &mut ResponseHeader,
    admitted: &Admitted,
    id: RequestId,
    serving: &Serving,
) -> pingora::Result<()> {
    clean(head, admitted, serving)?;
    head.insert_header(REQUEST_ID_TEXT, id.as_str())?;
    if is_interim(head.status) {
        return Ok(());
    }
    if let Some(changes) = &admitted.headers {
        change(head, &changes.response)?;
        leave_out(head, admitted);
    }
    set_policy_cookies(head, admitted)?;
    set_gito(head, admitted, serving)
}

/// Whether an answer with this status is only on the way to the answer (RFC 9110 §15.2). A change of
/// protocols is the answer itself.
pub(super) fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Whether it is plain where an answer's body ends: pingora passes codings that it does not know on as
/// they are (RFC 9112 §6.3).
pub(super) fn is_framed_plainly(head: &ResponseHeader) -> bool {
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_plain) && codings.next().is_none()
}

/// Whether a header may have to be changed or left out: few answers have one of these.
fn is_rare(name: &HeaderName) -> bool {
    [
        header::LOCATION,
        header::REFRESH,
        header::STRICT_TRANSPORT_SECURITY,
        header::TRAILER,
    ]
    .contains(name)
}

/// Leaves out what does not hold for whoever gets the answer.
fn leave_out(head: &mut ResponseHeader, admitted: &Admitted) {
    if admitted.arrived.origin.scheme == Scheme::Http {
        // Not to be said where anybody could have said it (RFC 6797 §7.2).
        head.remove_header(&header::STRICT_TRANSPORT_SECURITY);
    }
    if head.version < Version::HTTP_2 {
        // What follows a body of HTTP/1 is not passed on, and so not promised.
        head.remove_header(&header::TRAILER);
    }
}

/// Changes the addresses that an answer sends a browser to: `Location`, and what `Refresh` has behind `url=`.
fn map_addresses(
    head: &mut ResponseHeader,
    map: impl Fn(&str) -> Option<String>,
) -> pingora::Result<()> {
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let location = text(header::LOCATION).and_then(&map);
    let refresh = text(header::REFRESH).and_then(|value| {
        let at = value.to_ascii_lowercase().find(REFRESH_TO)?;
        let (wait, address) = value.split_at_checked(at + REFRESH_TO.len())?;
        let address = map(address.trim_matches(['"', '\'']))?;
        Some(format!("{wait}{address}"))
    });
    if let Some(location) = location {
        head.insert_header(header::LOCATION, location)?;
    }
    if let Some(refresh) = refresh {
        head.insert_header(header::REFRESH, refresh)?;
    }
    Ok(())
}

/// An address that names the upstream, by its own or as it was told, at the public host (W-21).
fn public_address(address: &str, admitted: &Admitted, serving: &Serving) -> Option<String> {
    let member = admitted.in_flight.as_ref()?.member();
    let rest = address
        .strip_prefix("http://")
        .or_else(|| address.strip_prefix("https://"))?;
    let told = match &admitted.route.config.upstream_host {
        // Where the public knows that name, the application may mean it.
        UpstreamHost::Fixed(host) => {
            Some(host.as_str()).filter(|host| serving.hosts.find(host).is_none())
        }
        UpstreamHost::Upstream => Some(member.authority.as_str()),
        UpstreamHost::Preserved | UpstreamHost::WithoutPort => None,
    };
    // A socket has no address: whoever names `localhost` without having been told so means the client's own machine.
    let own = member.address.inet().map(|_| member.authority.as_str());
    let mut names = own.into_iter().chain(told);
    let target = names.find_map(|name| {
        let target = rest.strip_prefix(name)?;
        (target.is_empty() || target.starts_with(['/', '?', '#'])).then_some(target)
    })?;
    Some(format!("{}{target}", public_origin(admitted)))
}

/// Says paths as the public knows them, where the upstream has said them as it knows them (W-40).
fn map_back(
    head: &mut ResponseHeader,
    rewrite: &Rewrite,
    admitted: &Admitted,
) -> pingora::Result<()> {
    let public = public_origin(admitted);
    map_addresses(head, |address| rewrite.location(address, &public))?;
    let cookies = head.headers.get_all(header::SET_COOKIE).iter();
    let mapped: Vec<Option<String>> = cookies
        .map(|cookie| rewrite.set_cookie(cookie.to_str().ok()?))
        .collect();
    if mapped.iter().all(Option::is_none) {
        return Ok(());
    }
    let cookies: Vec<HeaderValue> = head
        .headers
        .get_all(header::SET_COOKIE)
        .iter()
        .cloned()
        .collect();
    head.remove_header(&header::SET_COOKIE);
    for (cookie, mapped) in cookies.into_iter().zip(mapped) {
        match mapped {
            Some(mapped) => head.append_header(header::SET_COOKIE, mapped)?,
            None => head.append_header(header::SET_COOKIE, cookie)?,
        };
    }
    Ok(())
}

/// How the addresses of a virtual host begin, as the client of a request knows them.
fn public_origin(admitted: &Admitted) -> String {
    let origin = &admitted.arrived.origin;
    let scheme = origin.scheme.as_str();
    let port = match origin.port {
        port if port == origin.scheme.default_port() => String::new(),
        port => format!(":{port}"),
    };
    format!("{scheme}://{}{port}", admitted.arrived.host)
}

/// Leaves out cookies that only Portway may set, and keeps what is not everybody's out of caches.
fn clean(head: &mut ResponseHeader, admitted: &Admitted, serving: &Serving) -> pingora::Result<()> {
    let (names, of_policies) = (&serving.gate.names, serving.policy_cookies.as_slice());
    let is_ours = |cookie: &&HeaderValue| names.claims_ours(cookie.as_bytes(), of_policies);
    let cookies = head.headers.get_all(header::SET_COOKIE);
    if cookies.iter().any(|cookie| is_ours(&cookie)) {
        let kept = cookies.iter().filter(|cookie| !is_ours(cookie));
        let kept: Vec<_> = kept.cloned().collect();
        head.remove_header(&header::SET_COOKIE);
        for cookie in kept {
            head.append_header(header::SET_COOKIE, cookie)?;
        }
    }
    if must_not_be_kept(head, admitted) {
        let kept = if forbids_changes(&head.headers) {
            NO_STORE_OR_CHANGE
        } else {
            NO_STORE
        };
        head.insert_header(header::CACHE_CONTROL, kept)?;
    }
    Ok(())
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

fn change(head: &mut ResponseHeader, changes: &[HeaderChange]) -> pingora::Result<()> {
    for HeaderChange {
        name,
        others,
        value,
    } in changes
    {
        if *others == Others::Removed {
            head.remove_header(name);
        }
        if let Some(value) = value {
            head.append_header(name, value)?;
        }
    }
    Ok(())
}

/// Has an answer set the cookies of its policy, which no browser sends back in plain.
fn set_policy_cookies(head: &mut ResponseHeader, admitted: &Admitted) -> pingora::Result<()> {
    if admitted.arrived.origin.scheme == Scheme::Https {
        for cookie in &admitted.given.set_cookies {
            head.append_header(header::SET_COOKIE, cookie.as_str())?;
        }
    }
    Ok(())
}

/// Has an answer set the GITO cookie of its authorisation, unless it comes too late for that (S-13).
fn set_gito(
    head: &mut ResponseHeader,
    admitted: &Admitted,
    serving: &Serving,
) -> pingora::Result<()> {
    if let Some(gito) = &admitted.gito
        && serving.clock.now() <= gito.until
    {
        head.append_header(header::SET_COOKIE, gito.set_cookie.as_str())?;
    }
    Ok(())
}

/// What stands in a `Refresh` before its address.
const REFRESH_TO: &str = "url=";
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// As an upstream has said of changes.
const NO_STORE_OR_CHANGE: HeaderValue = HeaderValue::from_static("no-store, no-transform");
