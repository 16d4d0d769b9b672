//! Answers errors: with the page that the operator has for them at their virtual host or route, or as Portway does by
//! itself.
//!
//! A page is told as it was read with the configuration. It gets the header rules of its place, and of what it takes
//! the place of only what its status needs: no cookies, nothing that is for caches, no names. Asking for a sign-in and
//! denying a request are no errors, and stay as they are.

use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use pingora::Error;
use pingora::ErrorType;
use pingora::http::RequestHeader;
use pingora::http::ResponseHeader;
use pingora::proxy::FailToProxy;
use pingora::proxy::Session;

use crate::decision::error_pages::ErrorPages;
use crate::decision::error_pages::Origin;
use crate::decision::facts::RequestFacts;
use crate::decision::facts::Subject;
use crate::decision::fixed_answer::FixedReply;
use crate::decision::header_rules::HeaderChange;
use crate::decision::path::normalise;
use crate::proxy::answer;
use crate::proxy::answer::Voice;
use crate::proxy::arrival::Arrived;
use crate::proxy::context::RequestContext;
use crate::proxy::outbound::REQUEST_ID_TEXT;
use crate::proxy::own_headers;
use crate::proxy::pages::message::whole_seconds;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;

/// What is answered in place of an upstream's error.
#[derive(Debug)]
pub struct Replacement {
    reply: FixedReply,
    /// What the status needs of the headers of the error.
    needed: Vec<Header>,
}

type Header = (HeaderName, HeaderValue);

/// Why an upstream's answer is not passed on.
pub(super) const REPLACED: ErrorType = ErrorType::Custom("the answer is replaced by an error page");

/// Answers a refusal.
///
/// # Errors
/// When the client is gone.
pub(super) async fn refuse(
    session: &mut Session,
    refusal: Refusal,
    ctx: &RequestContext,
) -> pingora::Result<()> {
    let changes = ctx.serving.own_changes(session.req_header(), ctx);
    let voice = voice(ctx, &changes);
    let Some(reply) = own_page(session.req_header(), refusal.status(), ctx) else {
        return answer::refuse(session, refusal, voice).await;
    };
    if refusal.closes() {
        session.set_keepalive(None);
    }
    let wait = refusal.wait().map(whole_seconds);
    let needed = wait.map(|wait| (header::RETRY_AFTER, HeaderValue::from(wait)));
    let needed = needed.filter(|_| reply.status == refusal.status());
    tell(session, reply, needed.into_iter().collect(), voice).await
}

/// Refuses a method, and says which ones there are (RFC 9110 §15.5.6).
///
/// # Errors
/// When the client is gone.
pub(super) async fn disallow(
    session: &mut Session,
    methods: &[Method],
    ctx: &RequestContext,
) -> pingora::Result<()> {
    let changes = ctx.serving.own_changes(session.req_header(), ctx);
    let voice = voice(ctx, &changes);
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let Some(reply) = own_page(session.req_header(), status, ctx) else {
        return answer::disallow(session, methods, voice).await;
    };
    let allowed = HeaderValue::try_from(answer::named(methods)).ok();
    let needed = allowed.filter(|_| reply.status == status);
    let needed = needed.map(|allowed| (header::ALLOW, allowed));
    tell(session, reply, needed.into_iter().collect(), voice).await
}

/// Answers in place of a route whose own answer is an error and nothing more; whether there is a page for that.
///
/// # Errors
/// When the client is gone.
pub(super) async fn fill_in(
    session: &mut Session,
    answer: &FixedReply,
    ctx: &RequestContext,
) -> pingora::Result<bool> {
    if !answer.body.is_empty() {
        return Ok(false);
    }
    let Some(reply) = own_page(session.req_header(), answer.status, ctx) else {
        return Ok(false);
    };
    let changes = ctx.serving.own_changes(session.req_header(), ctx);
    tell(session, reply, Vec::new(), voice(ctx, &changes)).await?;
    Ok(true)
}

/// Gives up an upstream's answer that a page takes the place of; says nothing where it is passed on.
///
/// # Errors
/// [`REPLACED`].
pub(super) fn intercept(
    session: &Session,
    head: &ResponseHeader,
    ctx: &mut RequestContext,
) -> pingora::Result<()> {
    let Some(reply) = page(session.req_header(), head.status, Origin::Upstream, ctx) else {
        return Ok(());
    };
    let needed = if reply.status == head.status {
        let found = head.headers.iter();
        let found = found.filter(|(name, _)| OF_ERRORS.contains(name));
        found
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    } else {
        Vec::new()
    };
    ctx.replacement = Some(Box::new(Replacement { reply, needed }));
    Error::e_explain(REPLACED, "an error page takes its place")
}

/// Answers with what takes the place of an upstream's error.
pub(super) async fn replace(
    session: &mut Session,
    replacement: Replacement,
    ctx: &RequestContext,
) -> FailToProxy {
    let status = replacement.reply.status.as_u16();
    let changes = ctx.serving.own_changes(session.req_header(), ctx);
    let Replacement { reply, needed } = replacement;
    // A client that is gone needs no answer.
    tell(session, reply, needed, voice(ctx, &changes))
        .await
        .ok();
    FailToProxy {
        error_code: status,
        can_reuse_downstream: false,
    }
}

fn voice<'a>(ctx: &'a RequestContext, changes: &'a [HeaderChange]) -> Voice<'a> {
    Voice {
        changes,
        ..ctx.serving.voice(ctx.id)
    }
}

fn own_page(head: &RequestHeader, status: StatusCode, ctx: &RequestContext) -> Option<FixedReply> {
    page(head, status, Origin::Portway, ctx)
}

/// The page for an error of a request, if there is one.
fn page(
    head: &RequestHeader,
    status: StatusCode,
    origin: Origin,
    ctx: &RequestContext,
) -> Option<FixedReply> {
    let arrived = match &ctx.admitted {
        Some(admitted) => &admitted.arrived,
        None => ctx.noted.arrived.as_ref()?,
    };
    let page = ctx
        .serving
        .error_pages(ctx, arrived)?
        .find(status, origin)?;
    let path = normalise(head.uri.path()).ok();
    // Of a path that is none nothing is told; the root stands for it where nothing of it is asked for.
    let path = path.as_ref().map_or("/", |path| path.as_str());
    let request = RequestFacts {
        id: ctx.id,
        method: &head.method,
        scheme: arrived.origin.scheme,
        host: arrived.host.as_str(),
        path,
        query: head.uri.query(),
        headers: &head.headers,
        address: arrived.origin.client,
        tls: None,
    };
    page.reply(
        status,
        &Subject::of(None, &request, ctx.serving.clock.now()),
    )
}

impl Serving {
    /// The pages of the route that takes a request, or of its virtual host where none does.
    fn error_pages<'s>(
        &'s self,
        ctx: &'s RequestContext,
        arrived: &Arrived,
    ) -> Option<&'s ErrorPages> {
        if let Some(route) = ctx.route() {
            return Some(&route.config.error_pages);
        }
        let entrance = &ctx.current.as_ref()?.connection.entrance;
        let host = self.host_at(arrived.host.as_str(), entrance)?;
        Some(&host.error_pages)
    }
}

/// Writes a page, and keeps it out of caches: what it stands for may be over by the next request.
///
/// # Errors
/// When the client is gone, or a header cannot be set.
async fn tell(
    session: &mut Session,
    reply: FixedReply,
    needed: Vec<Header>,
    voice: Voice<'_>,
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
    for (name, value) in needed {
        head.append_header(name, value)?;
    }
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    head.insert_header(REQUEST_ID_TEXT, voice.id.as_str())?;
    own_headers::apply(&mut head, voice.changes)?;
    answer::write(session, head, reply.body).await
}

/// What clients go by that an error tells them: how to identify themselves, which methods there are, when to try
/// again (RFC 9110 §10.2 and §11.6.1).
const OF_ERRORS: [HeaderName; 3] = [header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE];
const HEADERS: usize = 10;
