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
    let way = path.strip_prefix(endpoints::PROVIDERS);
    let way = way.and_then(|way| way.split_once('/'));
    let methods: &[Method] = match way {
        Some((_, endpoints::OVER)) => &[Method::POST],
        Some(_) | None => &[Method::GET, Method::HEAD],
    };
    if !methods.contains(&session.req_header().method) {
        answer::disallow(session, methods, own.voice).await?;
        return Ok(None);
    }
    let reply = match way {
        Some((provider, endpoints::OVER)) => {
            let Some(form) = posted(session, own).await? else {
                return Ok(None);
            };
            over(session, (collector, own), (provider, &form)).await
        }
        Some(way) => step(session, (collector, own), way).await,
        None => None,
    };
    if reply.is_none() {
        answer::refuse(session, Refusal::NotFound, own.voice).await?;
    }
    Ok(reply)
}

async fn step(
    session: &Session,
    (collector, own): (&Collector, &OwnRequest<'_>),
    (provider, step): (&str, &str),
) -> Option<Reply> {
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
async fn over(
    session: &Session,
    (collector, own): (&Collector, &OwnRequest<'_>),
    (provider, form): (&str, &Secret),
) -> Option<Reply> {
    let mut fields = form_urlencoded::parse(form.expose());
    let token = fields.find(|(name, _)| name == "logout_token");
    let Some((_, token)) = token else {
        return Some(Reply::new(ReplyKind::Heard(Heard::Refused)));
    };
    let token = Secret::new(token.into_owned().into_bytes());
    let cookies = cookie_headers(&session.req_header().headers);
    let visitor = visitor(session, &cookies, own);
    collector.over(&visitor, provider, &token).await
}
