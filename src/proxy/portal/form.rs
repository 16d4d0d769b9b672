//! Posted forms: read whole, within bounds, into values.

use std::borrow::Cow;

use bytes::BytesMut;
use pingora::proxy::Session;

use crate::engine::collector::Submission;
use crate::engine::collector::password::NewPassword;
use crate::model::secret::Secret;
use crate::ports::session_engine::Others;
use crate::proxy::answer;
use crate::proxy::exchange;
use crate::proxy::portal::OwnRequest;
use crate::proxy::refusal::Refusal;

/// The posted form; none where the request has been answered, because it is too large or too slow.
pub(super) async fn posted(
    session: &mut Session,
    own: &OwnRequest<'_>,
) -> pingora::Result<Option<Secret>> {
    let refusal =
        match tokio::time::timeout(own.form_timeout, read_body(session, FORM_BYTES_MAX)).await {
            Ok(Ok(Some(form))) => return Ok(Some(form)),
            Ok(Ok(None)) => Refusal::BodyTooLarge,
            Ok(Err(error)) => return Err(error),
            Err(_) => Refusal::BodyTooSlow,
        };
    answer::refuse(session, refusal, own.voice).await?;
    Ok(None)
}

/// Reads a whole body; `None` when it has more than `most` bytes.
///
/// # Errors
/// When it breaks off.
pub(in crate::proxy) async fn read_body(
    session: &mut Session,
    most: usize,
) -> pingora::Result<Option<Secret>> {
    exchange::go_ahead(session).await?;
    let mut body = BytesMut::new();
    while let Some(chunk) = session.read_request_body().await? {
        if body.len() + chunk.len() > most {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(Secret::new(body.to_vec())))
}

pub(super) fn submission(form: &Secret) -> Submission {
    let mut submission = Submission {
        request: String::new(),
        form: String::new(),
        user: String::new(),
        password: Secret::new(Vec::new()),
    };
    for (name, value) in form_urlencoded::parse(form.expose()) {
        match name.as_ref() {
            "r" => submission.request = value.into_owned(),
            "form" => submission.form = value.into_owned(),
            "username" => submission.user = value.into_owned(),
            "password" => submission.password = Secret::new(value.into_owned().into_bytes()),
            _ => {}
        }
    }
    submission
}

pub(super) fn new_password(form: &Secret) -> NewPassword {
    let secret = |value: Cow<'_, str>| Secret::new(value.into_owned().into_bytes());
    let mut posted = NewPassword {
        request: String::new(),
        form: String::new(),
        user: String::new(),
        old: Secret::new(Vec::new()),
        new: Secret::new(Vec::new()),
        again: Secret::new(Vec::new()),
        others: Others::Keep,
    };
    for (name, value) in form_urlencoded::parse(form.expose()) {
        match name.as_ref() {
            "r" => posted.request = value.into_owned(),
            "form" => posted.form = value.into_owned(),
            "username" => posted.user = value.into_owned(),
            "password" => posted.old = secret(value),
            "new" => posted.new = secret(value),
            "again" => posted.again = secret(value),
            "others" if value == "end" => posted.others = Others::End,
            _ => {}
        }
    }
    posted
}

/// Largest posted login form: a sealed request of a long deep link, and a password.
const FORM_BYTES_MAX: usize = 32 * 1024;
