//! The head of an answer on its way to the client: cleaned, changed as the route says, and with what
//! Portway itself has to tell the browser.

use http::HeaderValue;
use http::header;
use pingora::http::ResponseHeader;

use crate::decision::header_rules::HeaderChange;
use crate::decision::header_rules::Others;
use crate::decision::rewrite::Rewrite;
use crate::model::id::RequestId;
use crate::proxy::context::Admitted;
use crate::proxy::outbound;
use crate::proxy::outbound::OutboundError;
use crate::proxy::serving::Serving;

/// Readies the head of an upstream's answer.
///
/// # Errors
/// When a header cannot be set.
pub(super) fn ready(
    head: &mut ResponseHeader,
    admitted: &Admitted,
    id: RequestId,
    serving: &Serving,
) -> Result<(), OutboundError> {
    if let Some(location) = outbound::public_location(head, admitted) {
        head.insert_header(header::LOCATION, location)
            .map_err(|_| outbound::refused(&header::LOCATION))?;
    }
    if let Some(rewrite) = &admitted.route.config.rewrite {
        map_back(head, rewrite, admitted)?;
    }
    finish(head, admitted, id, serving)
}

/// Does what any answer to a permitted request needs. Cookies come last: no rule is about them.
pub(super) fn finish(
    head: &mut ResponseHeader,
    admitted: &Admitted,
    id: RequestId,
    serving: &Serving,
) -> Result<(), OutboundError> {
    outbound::clean_answer(head, admitted, id, serving)?;
    if let Some(changes) = &admitted.headers {
        change(head, &changes.response)?;
    }
    outbound::set_policy_cookies(head, admitted)?;
    outbound::set_gito(head, admitted, serving.clock.as_ref())
}

/// Says paths as the public knows them, where the upstream has said them as it knows them (W-40).
fn map_back(
    head: &mut ResponseHeader,
    rewrite: &Rewrite,
    admitted: &Admitted,
) -> Result<(), OutboundError> {
    let location = head.headers.get(header::LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let public = outbound::public_address(admitted);
    if let Some(location) = location.and_then(|location| rewrite.location(location, &public)) {
        head.insert_header(header::LOCATION, location)
            .map_err(|_| outbound::refused(&header::LOCATION))?;
    }
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
        let set = match mapped {
            Some(mapped) => head.append_header(header::SET_COOKIE, mapped),
            None => head.append_header(header::SET_COOKIE, cookie),
        };
        set.map_err(|_| outbound::refused(&header::SET_COOKIE))?;
    }
    Ok(())
}

fn change(head: &mut ResponseHeader, changes: &[HeaderChange]) -> Result<(), OutboundError> {
    // An interim answer is not yet the answer (RFC 9110 §15.2).
    if head.status.is_informational() && head.status != 101 {
        return Ok(());
    }
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
            head.append_header(name, value)
                .map_err(|_| outbound::refused(name))?;
        }
    }
    Ok(())
}
