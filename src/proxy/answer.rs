//! Turns what Portway itself has to say into HTTP: replies, refusals, errors. What is said is in `render`.
//!
//! The user sees a short reason and the request id; the reasons behind a refusal stay in the log.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::header;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::decision::header_rules::HeaderChange;
use crate::decision::maintenance::Maintenance;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::model::id::RequestId;
use crate::ports::entropy::Entropy;
use crate::ports::vitals::Readiness;
use crate::proxy::answer::render::further;
use crate::proxy::answer::render::maintained;
use crate::proxy::answer::render::page;
use crate::proxy::answer::render::set_back;
use crate::proxy::outbound::REQUEST_ID_TEXT;
use crate::proxy::own_headers;
use crate::proxy::pages::Pages;
use crate::proxy::pages::Reader;
use crate::proxy::pages::asset::Asset;
use crate::proxy::pages::message::whole_seconds;
use crate::proxy::refusal::Refusal;
use crate::proxy::setback::Setback;

mod render;

/// What an answer of Portway's own is made with.
#[derive(Clone, Copy)]
pub struct Voice<'a> {
    /// The pages.
    pub pages: &'a Pages,
    /// The id of the request.
    pub id: RequestId,
    /// Randomness.
    pub entropy: &'a dyn Entropy,
    /// What the rules of the virtual host add.
    pub changes: &'a [HeaderChange],
}

/// An answer that is ready to be written.
struct Page {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    /// What lets the page's own scripts run; none where it has none.
    nonce: Option<String>,
    /// Whether the page may refer to files of the operator's.
    files: Files,
}

/// Whether there are files that pages refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    None,
    Some,
}

/// The reader of an answer: what they would rather have, and in which language.
struct Audience<'a> {
    taste: Taste,
    reader: Reader<'a>,
    /// For programs, which get English.
    english: Reader<'a>,
    id: RequestId,
    entropy: &'a dyn Entropy,
    files: Files,
}

impl std::fmt::Debug for Voice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voice")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl<'a> Voice<'a> {
    fn audience(&self, headers: &HeaderMap) -> Audience<'a> {
        let accept = headers.get(header::ACCEPT_LANGUAGE);
        let accept = accept.and_then(|accept| accept.to_str().ok());
        Audience {
            taste: taste(headers),
            reader: self.pages.for_reader(accept),
            english: self.pages.in_english(),
            id: self.id,
            files: if self.pages.has_assets() {
                Files::Some
            } else {
                Files::None
            },
            entropy: self.entropy,
        }
    }
}

/// Answers a refusal.
///
/// # Errors
/// When the client is gone.
pub async fn refuse(
    session: &mut Session,
    refusal: Refusal,
    voice: Voice<'_>,
) -> pingora::Result<()> {
    if refusal.closes() {
        session.set_keepalive(None);
    }
    let (mut head, body) = refused(session, refusal, voice)?;
    if let Some(wait) = refusal.wait() {
        head.insert_header(header::RETRY_AFTER, whole_seconds(wait))?;
    }
    say(session, head, body, voice).await
}

/// Tells of maintenance, and when to try again.
///
/// # Errors
/// When the client is gone.
pub async fn maintain(
    session: &mut Session,
    maintenance: &Maintenance,
    voice: Voice<'_>,
) -> pingora::Result<()> {
    let audience = voice.audience(&session.req_header().headers);
    let page = maintained(maintenance, &audience);
    let mut head = head(&page, voice.id)?;
    head.insert_header(header::RETRY_AFTER, whole_seconds(maintenance.retry_after))?;
    say(session, head, page.body, voice).await
}

/// Refuses a method, and says which ones there are (RFC 9110 §15.5.6).
///
/// # Errors
/// When the client is gone.
pub async fn disallow(
    session: &mut Session,
    methods: &[Method],
    voice: Voice<'_>,
) -> pingora::Result<()> {
    let (mut head, body) = refused(session, Refusal::MethodNotAllowed, voice)?;
    head.insert_header(header::ALLOW, named(methods))?;
    say(session, head, body, voice).await
}

/// The names of methods, as `Allow` has them.
pub(super) fn named(methods: &[Method]) -> String {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    names.join(", ")
}

fn refused(
    session: &Session,
    refusal: Refusal,
    voice: Voice<'_>,
) -> pingora::Result<(ResponseHeader, Bytes)> {
    let setback = Setback::refused(refusal);
    let audience = voice.audience(&session.req_header().headers);
    let page = set_back(&setback, &audience);
    Ok((head(&page, voice.id)?, page.body))
}

/// Answers with a reply of gate or collector; `title` is the operator's for the login page, if there is one.
///
/// # Errors
/// When the client is gone.
pub async fn reply(
    session: &mut Session,
    reply: Reply,
    title: Option<&str>,
    voice: Voice<'_>,
) -> pingora::Result<()> {
    let audience = voice.audience(&session.req_header().headers);
    let further = further(&reply.kind);
    let page = page(&reply.kind, title, &audience);
    let mut head = head(&page, voice.id)?;
    if asks_for_a_password(&reply.kind) {
        head.insert_header(header::STRICT_TRANSPORT_SECURITY, HTTPS_ONLY)?;
    }
    if let Some((name, value)) = further {
        head.insert_header(name, value)?;
    }
    for cookie in reply.cookies {
        head.append_header(header::SET_COOKIE, cookie)?;
    }
    say(session, head, page.body, voice).await
}

/// Whether a password is typed on the page. Such pages are the collector's, which is served by https alone, so that
/// a browser may as well be told to never ask for it otherwise (RFC 6797).
const fn asks_for_a_password(kind: &ReplyKind) -> bool {
    matches!(kind, ReplyKind::LoginPage(_) | ReplyKind::PasswordPage(_))
}

/// Redirects somewhere else for good: the same request belongs there.
///
/// # Errors
/// When the client is gone.
pub async fn move_to(
    session: &mut Session,
    location: String,
    voice: Voice<'_>,
) -> pingora::Result<()> {
    let mut page = empty(StatusCode::PERMANENT_REDIRECT);
    if matches!(session.req_header().method, Method::GET | Method::HEAD) {
        page.status = StatusCode::MOVED_PERMANENTLY;
    }
    let mut head = head(&page, voice.id)?;
    head.insert_header(header::LOCATION, location)?;
    say(session, head, page.body, voice).await
}

/// Answers a balancer that asks whether requests may be sent here. Why not is told on the ops listener alone.
///
/// # Errors
/// When the client is gone.
pub async fn readiness(
    session: &mut Session,
    readiness: Readiness,
    id: RequestId,
) -> pingora::Result<()> {
    // What else was sent was not looked at.
    session.set_keepalive(None);
    let (status, text) = match readiness {
        Readiness::Ready => (StatusCode::OK, "ready\n"),
        Readiness::Draining | Readiness::Lost(_) | Readiness::NoEngine | Readiness::Starting => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    };
    let page = Page {
        body: Bytes::from_static(text.as_bytes()),
        content_type: "text/plain; charset=utf-8",
        ..empty(status)
    };
    let head = head(&page, id)?;
    write(session, head, page.body).await
}

/// Answers with the style sheet of the pages.
///
/// # Errors
/// When the client is gone.
pub async fn style(session: &mut Session, voice: Voice<'_>) -> pingora::Result<()> {
    let style = Asset {
        content_type: "text/css; charset=utf-8",
        content: voice.pages.style(),
    };
    asset(session, &style, voice).await
}

/// Answers with a file that the operator's pages refer to, or that there is none.
///
/// # Errors
/// When the client is gone.
pub async fn file(session: &mut Session, name: &str, voice: Voice<'_>) -> pingora::Result<()> {
    match voice.pages.asset(name) {
        Some(found) => asset(session, found, voice).await,
        None => refuse(session, Refusal::NotFound, voice).await,
    }
}

async fn asset(session: &mut Session, asset: &Asset, voice: Voice<'_>) -> pingora::Result<()> {
    let page = Page {
        body: asset.content.clone(),
        content_type: asset.content_type,
        ..empty(StatusCode::OK)
    };
    let mut head = head(&page, voice.id)?;
    head.insert_header(header::CACHE_CONTROL, "public, max-age=3600")?;
    // An image may hold scripts; opened by itself it runs none.
    head.insert_header(header::CONTENT_SECURITY_POLICY, ASSET_POLICY)?;
    say(session, head, page.body, voice).await
}

const fn empty(status: StatusCode) -> Page {
    Page {
        status,
        content_type: "",
        body: Bytes::new(),
        nonce: None,
        files: Files::None,
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
    head.insert_header(header::CONTENT_SECURITY_POLICY, policy(page).as_ref())?;
    head.insert_header(header::X_FRAME_OPTIONS, "DENY")?;
    head.insert_header(REQUEST_ID_TEXT, id.as_str())?;
    Ok(head)
}

/// What a page may load and run.
fn policy(page: &Page) -> Cow<'static, str> {
    if page.nonce.is_none() && page.files == Files::None {
        return Cow::Borrowed(POLICY);
    }
    let mut policy = POLICY.to_owned();
    if page.files == Files::Some {
        policy.push_str(FILES_POLICY);
    }
    if let Some(nonce) = &page.nonce {
        policy.push_str("; script-src 'nonce-");
        policy.push_str(nonce);
        policy.push('\'');
    }
    Cow::Owned(policy)
}

/// Writes an answer of Portway's own, with what its virtual host adds.
///
/// # Errors
/// When the client is gone, or a header cannot be set.
async fn say(
    session: &mut Session,
    mut head: ResponseHeader,
    body: Bytes,
    voice: Voice<'_>,
) -> pingora::Result<()> {
    own_headers::apply(&mut head, voice.changes)?;
    write(session, head, body).await
}

/// Writes an answer whose body is at hand.
///
/// # Errors
/// When the client is gone.
pub(super) async fn write(
    session: &mut Session,
    head: ResponseHeader,
    body: Bytes,
) -> pingora::Result<()> {
    let without_body = session.req_header().method == Method::HEAD || body.is_empty();
    session
        .write_response_header(Box::new(head), without_body)
        .await?;
    if !without_body {
        return session.write_response_body(Some(body), true).await;
    }
    if session.is_http2() {
        // pingora ends the stream where a request went well, and takes it back where it failed.
        return session.as_mut().finish_body().await;
    }
    Ok(())
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
/// What pages with files of the operator's need beyond that; without it browsers ask for no icon either.
const FILES_POLICY: &str = "; img-src 'self'; font-src 'self'";
/// Nothing that such a file holds is done.
const ASSET_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";
const RETRY_AFTER_SECONDS: u64 = 5;
/// A year.
const HTTPS_ONLY: &str = "max-age=31536000";
