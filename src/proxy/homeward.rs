//! The head of an answer on its way to the client: cleaned, changed as the route says, and with what
//! Portway itself has to tell the browser.

use http::header;
use pingora::http::ResponseHeader;

use crate::decision::header_rules::HeaderChange;
use crate::decision::header_rules::Others;
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
    finish(head, admitted, id, serving)
}

/// Does what any answer to a permitted request needs. Cookies come last: no rule is about them.
fn finish(
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
