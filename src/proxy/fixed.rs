//! Writes the answer of a route that has one by itself.

use http::StatusCode;
use http::header;
use pingora::Error;
use pingora::ErrorType;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::decision::fixed_answer::FixedReply;
use crate::model::id::RequestId;
use crate::proxy::answer;
use crate::proxy::context::Admitted;
use crate::proxy::homeward;
use crate::proxy::serving::Serving;

/// Answers a permitted request: with what its route says, and with all that goes with any answer to it.
///
/// # Errors
/// When the client is gone, or a header cannot be set.
pub(super) async fn answer(
    session: &mut Session,
    reply: FixedReply,
    admitted: &Admitted,
    (serving, id): (&Serving, RequestId),
) -> pingora::Result<()> {
    let mut head = ResponseHeader::build(reply.status, Some(HEADERS))?;
    if let Some(location) = reply.location {
        head.insert_header(header::LOCATION, location)?;
    }
    if let Some(content_type) = reply.content_type {
        head.insert_header(header::CONTENT_TYPE, content_type)?;
    }
    if !matches!(
        reply.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    ) {
        head.insert_header(header::CONTENT_LENGTH, reply.body.len())?;
    }
    homeward::finish(&mut head, admitted, id, serving)
        .map_err(|_| Error::explain(ErrorType::HTTPStatus(500), "the answer has an odd head"))?;
    answer::write(session, head, reply.body).await
}

const HEADERS: usize = 8;
