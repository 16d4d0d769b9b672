//! Turns what Portway itself has to say into HTTP: replies, refusals, errors. One exhaustive match each.
//!
//! The user sees a short reason and the request id; the reasons behind a refusal stay in the log.

use askama::Template;
use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::header;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::decision::reply::DeniedAnswer;
use crate::decision::reply::LoginPage;
use crate::decision::reply::Notice;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::model::id::RequestId;
use crate::proxy::outbound::REQUEST_ID;
use crate::proxy::pages;
use crate::proxy::refusal::Refusal;
use crate::proxy::setback::Setback;

/// An answer that is ready to be written.
struct Page {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
}

/// Answers a refusal.
///
/// # Errors
/// When the client is gone.
pub async fn refuse(session: &mut Session, refusal: Refusal, id: RequestId) -> pingora::Result<()> {
    if refusal.closes() {
        session.set_keepalive(None);
    }
    let (mut head, body) = refused(session, refusal, id)?;
    if refusal == Refusal::Unavailable {
        head.insert_header(header::RETRY_AFTER, RETRY_AFTER_SECONDS)?;
    }
    write(session, head, body).await
}

/// Refuses a method, and says which ones there are (RFC 9110 §15.5.6).
///
/// # Errors
/// When the client is gone.
pub async fn disallow(
    session: &mut Session,
    methods: &[Method],
    id: RequestId,
) -> pingora::Result<()> {
    let (mut head, body) = refused(session, Refusal::MethodNotAllowed, id)?;
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    head.insert_header(header::ALLOW, names.join(", "))?;
    write(session, head, body).await
}

fn refused(
    session: &Session,
    refusal: Refusal,
    id: RequestId,
) -> pingora::Result<(ResponseHeader, Bytes)> {
    let setback = Setback::refused(refusal);
    let page = set_back(&setback, taste(&session.req_header().headers), id);
    Ok((head(&page, id)?, page.body))
}

/// Answers with a reply of gate or collector.
///
/// # Errors
/// When the client is gone.
pub async fn reply(
    session: &mut Session,
    reply: Reply,
    title: &str,
    id: RequestId,
) -> pingora::Result<()> {
    let location = match &reply.kind {
        ReplyKind::Redirect(location) => Some(location.clone()),
        ReplyKind::Circling(_)
        | ReplyKind::ClocksDiffer { .. }
        | ReplyKind::ConfirmSignOut
        | ReplyKind::Denied(_)
        | ReplyKind::LevelUnreachable
        | ReplyKind::LoginPage(_)
        | ReplyKind::NotAccepted { .. }
        | ReplyKind::Onward(_)
        | ReplyKind::SignOutUnheard(_)
        | ReplyKind::SignedOut(_)
        | ReplyKind::SignInRequired { .. }
        | ReplyKind::Unconfirmed { .. }
        | ReplyKind::Welcome { .. } => None,
    };
    let signs_in = matches!(reply.kind, ReplyKind::SignInRequired { .. });
    let may_pass = matches!(reply.kind, ReplyKind::Unconfirmed { .. });
    let taste = taste(&session.req_header().headers);
    let page = page(reply.kind, title, taste, id);
    let mut head = head(&page, id)?;
    if let Some(location) = location {
        head.insert_header(header::LOCATION, location)?;
    }
    if signs_in {
        head.insert_header(header::WWW_AUTHENTICATE, CHALLENGE)?;
    }
    if may_pass {
        head.insert_header(header::RETRY_AFTER, RETRY_AFTER_SECONDS)?;
    }
    for cookie in reply.cookies {
        head.append_header(header::SET_COOKIE, cookie)?;
    }
    write(session, head, page.body).await
}

/// Redirects somewhere else for good: the same request belongs there.
///
/// # Errors
/// When the client is gone.
pub async fn move_to(
    session: &mut Session,
    location: String,
    id: RequestId,
) -> pingora::Result<()> {
    let mut page = empty(StatusCode::PERMANENT_REDIRECT);
    if matches!(session.req_header().method, Method::GET | Method::HEAD) {
        page.status = StatusCode::MOVED_PERMANENTLY;
    }
    let mut head = head(&page, id)?;
    head.insert_header(header::LOCATION, location)?;
    write(session, head, page.body).await
}

/// Answers with the style sheet of the pages.
///
/// # Errors
/// When the client is gone.
pub async fn style(session: &mut Session, id: RequestId) -> pingora::Result<()> {
    let body = Bytes::from_static(pages::STYLE.as_bytes());
    let page = Page {
        body,
        content_type: "text/css; charset=utf-8",
        ..empty(StatusCode::OK)
    };
    let mut head = head(&page, id)?;
    head.insert_header(header::CACHE_CONTROL, "public, max-age=3600")?;
    write(session, head, page.body).await
}

fn page(kind: ReplyKind, title: &str, taste: Taste, id: RequestId) -> Page {
    let message = |status, (heading, text): (&str, &str), button| {
        html(
            status,
            &pages::Message {
                heading,
                text,
                reference: None,
                button,
                again: None,
            },
        )
    };
    match kind {
        ReplyKind::Circling(circling) => set_back(&Setback::circling(&circling), taste, id),
        ReplyKind::ClocksDiffer { place, again } => {
            set_back(&Setback::clocks_differ(&place, &again), taste, id)
        }
        ReplyKind::ConfirmSignOut => message(
            StatusCode::OK,
            (
                "Sign out?",
                "Another page asks to sign you out of all applications.",
            ),
            Some("Sign out"),
        ),
        ReplyKind::Denied(DeniedAnswer::Page(remediation)) => {
            set_back(&Setback::denied(remediation.as_deref()), taste, id)
        }
        ReplyKind::Denied(DeniedAnswer::Status) => empty(StatusCode::FORBIDDEN),
        ReplyKind::LevelUnreachable => set_back(&Setback::level_unreachable(), taste, id),
        ReplyKind::LoginPage(login) => login_page(&login, title),
        ReplyKind::NotAccepted { place } => set_back(&Setback::not_accepted(&place), taste, id),
        ReplyKind::Onward(address) => html(StatusCode::OK, &pages::Onward { address: &address }),
        ReplyKind::Redirect(_) => empty(StatusCode::SEE_OTHER),
        ReplyKind::SignedOut(page) => html(StatusCode::OK, &pages::SignedOut { page: &page }),
        ReplyKind::SignOutUnheard(address) => html(
            StatusCode::SERVICE_UNAVAILABLE,
            &pages::SignOutUnheard { address: &address },
        ),
        ReplyKind::SignInRequired { sign_in } => {
            let body = serde_json::json!({
                "error": "sign_in_required", "status": 401, "sign_in": sign_in,
                "message": "Open `sign_in` in a browser window to sign in, then try again.",
                "reference": id.to_string(),
            });
            json(StatusCode::UNAUTHORIZED, &body)
        }
        ReplyKind::Unconfirmed { place, again } => {
            set_back(&Setback::unconfirmed(&place, &again), taste, id)
        }
        ReplyKind::Welcome { user } => {
            let text = format!("You are signed in as {user}.");
            message(StatusCode::OK, ("Signed in", &text), None)
        }
    }
}

fn set_back(setback: &Setback<'_>, taste: Taste, id: RequestId) -> Page {
    let reference = id.to_string();
    let &Setback {
        status,
        heading,
        ref text,
        again,
    } = setback;
    match taste {
        Taste::Html => {
            let message = pages::Message {
                heading,
                text,
                reference: Some(reference),
                button: None,
                again,
            };
            html(status, &message)
        }
        Taste::Json => {
            let body = serde_json::json!({
                "error": heading, "message": text, "status": status.as_u16(),
                "reference": reference,
            });
            json(status, &body)
        }
    }
}

fn login_page(login: &LoginPage, title: &str) -> Page {
    let status = match login.notice {
        Notice::Again | Notice::None => StatusCode::OK,
        Notice::Refused | Notice::Stale => StatusCode::FORBIDDEN,
        Notice::Busy | Notice::CutOff => StatusCode::SERVICE_UNAVAILABLE,
    };
    html(status, &pages::Login { title, page: login })
}

fn html(status: StatusCode, template: &impl Template) -> Page {
    // Rendering to a string fails only if the template itself returns an error, and none does.
    let body = template.render().unwrap_or_default();
    Page {
        body: Bytes::from(body),
        content_type: "text/html; charset=utf-8",
        ..empty(status)
    }
}

fn json(status: StatusCode, body: &serde_json::Value) -> Page {
    Page {
        body: Bytes::from(body.to_string()),
        content_type: "application/json",
        ..empty(status)
    }
}

fn empty(status: StatusCode) -> Page {
    Page {
        status,
        content_type: "",
        body: Bytes::new(),
    }
}

fn head(page: &Page, id: RequestId) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(page.status, Some(HEADERS))?;
    if !page.content_type.is_empty() {
        head.insert_header(header::CONTENT_TYPE, page.content_type)?;
    }
    head.insert_header(header::CONTENT_LENGTH, page.body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    head.insert_header(header::REFERRER_POLICY, "same-origin")?;
    head.insert_header(header::CONTENT_SECURITY_POLICY, POLICY)?;
    head.insert_header(header::X_FRAME_OPTIONS, "DENY")?;
    head.insert_header(REQUEST_ID, id.to_string())?;
    Ok(head)
}

async fn write(session: &mut Session, head: ResponseHeader, body: Bytes) -> pingora::Result<()> {
    let without_body = session.req_header().method == Method::HEAD || body.is_empty();
    session
        .write_response_header(Box::new(head), without_body)
        .await?;
    if without_body {
        return Ok(());
    }
    session.write_response_body(Some(body), true).await
}

/// What a client would rather read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taste {
    Html,
    Json,
}

fn taste(headers: &HeaderMap) -> Taste {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        Taste::Html
    } else {
        Taste::Json
    }
}

const HEADERS: usize = 12;
/// Browsers hold the whole chain of redirects after a posted form against `form-action`: the hosts of a
/// sign-out, and wherever the application itself leads on to after a sign-in. So any https is permitted.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self' https:; base-uri 'none'; \
                      frame-ancestors 'none'";
const RETRY_AFTER_SECONDS: &str = "5";
/// RFC 9110 §11.6.1 asks a 401 for a challenge; no browser shows a dialogue for this scheme.
const CHALLENGE: &str = "Portway-Session realm=\"portway\"";
