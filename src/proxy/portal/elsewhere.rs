//! The paths on the way to a provider, and back.

use crate::decision::endpoints;
use crate::decision::reply::Reply;
use crate::engine::collector::Collector;
use crate::engine::collector::elsewhere::ComeBack;
use crate::model::secret::Secret;
use crate::proxy::answer;
use crate::proxy::context::cookie_headers;
use crate::proxy::portal::OwnRequest;
use crate::proxy::portal::parameter;
use crate::proxy::portal::visitor;
use crate::proxy::refusal::Refusal;
use http::Method;
use pingora::proxy::Session;

/// What a request on the way to a provider, or back, comes to; none where it has been answered, because it
/// leads nowhere.
///
/// # Errors
/// When the client is gone.
pub(super) async fn elsewhere(
    session: &mut Session,
    collector: &Collector,
    own: &OwnRequest<'_>,
    path: &str,
) -> pingora::Result<Option<Reply>> {
    if !matches!(session.req_header().method, Method::GET | Method::HEAD) {
        let methods = [Method::GET, Method::HEAD];
        answer::disallow(session, &methods, own.voice).await?;
        return Ok(None);
    }
    let reply = step(session, collector, own, path).await;
    if reply.is_none() {
        answer::refuse(session, Refusal::NotFound, own.voice).await?;
    }
    Ok(reply)
}

async fn step(
    session: &Session,
    collector: &Collector,
    own: &OwnRequest<'_>,
    path: &str,
) -> Option<Reply> {
    let (provider, step) = path.strip_prefix(endpoints::PROVIDERS)?.split_once('/')?;
    let cookies = cookie_headers(&session.req_header().headers);
    let visitor = visitor(session, &cookies, own);
    match step {
        endpoints::LEAVE => {
            let request = parameter(session, endpoints::REQUEST);
            collector
                .leave(&visitor, provider, request.as_deref())
                .await
        }
        endpoints::ARRIVE => {
            let code = parameter(session, "code");
            let back = ComeBack {
                state: parameter(session, "state").unwrap_or_default(),
                code: code.map(|code| Secret::new(code.into_bytes())),
                issuer: parameter(session, "iss"),
                error: parameter(session, "error"),
            };
            collector.arrive(&visitor, provider, back).await
        }
        _ => None,
    }
}
