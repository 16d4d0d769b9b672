//! The paths on the way to a provider, and back.

use http::Method;
use pingora::proxy::Session;

use crate::decision::endpoints;
use crate::decision::reply::Heard;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::engine::collector::Collector;
use crate::engine::collector::elsewhere::ComeBack;
use crate::model::secret::Secret;
use crate::proxy::answer;
use crate::proxy::context::cookie_headers;
use crate::proxy::portal::OwnRequest;
use crate::proxy::portal::form::posted;
use crate::proxy::portal::parameter;
use crate::proxy::portal::visitor;
use crate::proxy::refusal::Refusal;

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
    let method = session.req_header().method.clone();
    let is_notice = path.ends_with(&format!("/{}", endpoints::OVER));
    let methods: &[Method] = if is_notice {
        &[Method::POST]
    } else {
        &[Method::GET, Method::HEAD]
    };
    if !methods.contains(&method) {
        answer::disallow(session, methods, own.voice).await?;
        return Ok(None);
    }
    if is_notice {
        let Some(form) = posted(session, own).await? else {
            return Ok(None);
        };
        return notice(session, (collector, own), (path, &form)).await;
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
        endpoints::DEPART => {
            let state = parameter(session, endpoints::SIGN_OUT);
            collector.depart(provider, state.as_deref()).await
        }
        endpoints::OVER_IN_FRONT => {
            let [issuer, sid] = ["iss", "sid"].map(|name| parameter(session, name));
            let (issuer, sid) = (issuer.unwrap_or_default(), sid.unwrap_or_default());
            collector.over_in_front(provider, &issuer, &sid).await
        }
        _ => None,
    }
}

/// Answers a provider that says what is over there.
async fn notice(
    session: &mut Session,
    (collector, own): (&Collector, &OwnRequest<'_>),
    (path, form): (&str, &Secret),
) -> pingora::Result<Option<Reply>> {
    let mut fields = form_urlencoded::parse(form.expose());
    let token = fields.find(|(name, _)| name == "logout_token");
    let token = token.map(|(_, token)| Secret::new(token.into_owned().into_bytes()));
    let provider = path
        .strip_prefix(endpoints::PROVIDERS)
        .and_then(|rest| rest.split_once('/'));
    let reply = match (provider, token) {
        (Some((provider, _)), Some(token)) => {
            let cookies = cookie_headers(&session.req_header().headers);
            let visitor = visitor(session, &cookies, own);
            collector.over(&visitor, provider, &token).await
        }
        (Some(_), None) => Some(Reply::new(ReplyKind::Heard(Heard::Refused))),
        (None, _) => None,
    };
    if reply.is_none() {
        answer::refuse(session, Refusal::NotFound, own.voice).await?;
    }
    Ok(reply)
}
