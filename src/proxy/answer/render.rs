//! What each reply and refusal shows: status, page, and the header that it has beside those of all. One
//! exhaustive match each.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::StatusCode;
use http::header;
use http::header::HeaderName;

use crate::decision::endpoints;
use crate::decision::maintenance::Maintenance;
use crate::decision::reply::DeniedAnswer;
use crate::decision::reply::Heard;
use crate::decision::reply::Notice;
use crate::decision::reply::PasswordNotice;
use crate::decision::reply::ReplyKind;
use crate::model::id::RequestId;
use crate::ports::entropy::id_bytes;
use crate::proxy::answer::Audience;
use crate::proxy::answer::Page;
use crate::proxy::answer::RETRY_AFTER_SECONDS;
use crate::proxy::answer::Taste;
use crate::proxy::answer::empty;
use crate::proxy::pages::message::Message;
use crate::proxy::pages::message::whole_seconds;
use crate::proxy::pages::view::Plain;
use crate::proxy::pages::view::View;
use crate::proxy::pages::view::maintenance_text;
use crate::proxy::setback::Setback;

pub(super) fn page(kind: &ReplyKind, title: Option<&str>, audience: &Audience<'_>) -> Page {
    let reader = audience.reader;
    let html = |status, view| html(status, view, audience);
    let plain = |status, plain: &Plain<'_>| html(status, View::plain(reader, plain));
    match kind {
        ReplyKind::Circling(circling) => set_back(&Setback::circling(circling), audience),
        ReplyKind::ClocksDiffer { place, again } => {
            set_back(&Setback::clocks_differ(place, again), audience)
        }
        ReplyKind::ConfirmSignOut => {
            let button = Some(Message::of("sign_out"));
            let page = said("confirm_sign_out", Message::of("confirm_sign_out_text"));
            plain(StatusCode::OK, &Plain { button, ..page })
        }
        ReplyKind::Denied(DeniedAnswer::Page(remediation)) => {
            set_back(&Setback::denied(remediation.as_deref()), audience)
        }
        ReplyKind::Denied(DeniedAnswer::Status) => empty(StatusCode::FORBIDDEN),
        ReplyKind::Heard(heard) => empty(match heard {
            Heard::Done => StatusCode::OK,
            Heard::Refused => StatusCode::BAD_REQUEST,
            Heard::Unwritten => StatusCode::SERVICE_UNAVAILABLE,
        }),
        ReplyKind::LevelUnreachable => set_back(&Setback::level_unreachable(), audience),
        ReplyKind::LoginPage(page) => {
            let status = login_status(page.notice);
            html(status, View::login(reader, title, page))
        }
        ReplyKind::NotAccepted { place } => set_back(&Setback::not_accepted(place), audience),
        ReplyKind::Onward(address) => html(StatusCode::OK, View::onward(reader, address)),
        ReplyKind::PasswordChanged { user } => {
            let text = Message::of("signed_in_as").with("user", user.clone());
            plain(StatusCode::OK, &said("password_changed", text))
        }
        ReplyKind::PasswordPage(page) => {
            let status = password_status(page.notice);
            html(status, View::password(reader, page))
        }
        ReplyKind::Redirect(_) => empty(StatusCode::SEE_OTHER),
        ReplyKind::Replay(replay) => html(StatusCode::OK, View::replay(reader, replay)),
        ReplyKind::SignedOut(page) => html(StatusCode::OK, View::signed_out(reader, page)),
        ReplyKind::SignOutUnheard(address) => {
            let links = vec![(Message::of("continue"), address.as_str())];
            let page = said("unheard", Message::of("unheard_text"));
            plain(StatusCode::SERVICE_UNAVAILABLE, &Plain { links, ..page })
        }
        ReplyKind::SignInRequired { sign_in } => sign_in_required(sign_in, audience.id),
        ReplyKind::Unconfirmed { place, again } => {
            set_back(&Setback::unconfirmed(place, again), audience)
        }
        ReplyKind::Welcome { user } => {
            let text = Message::of("signed_in_as").with("user", user.clone());
            let links = vec![(Message::of("change_password"), endpoints::PASSWORD)];
            let page = said("signed_in", text);
            plain(StatusCode::OK, &Plain { links, ..page })
        }
    }
}

/// A page that says something, and no more.
const fn said<'a>(heading: &'static str, text: Message) -> Plain<'a> {
    Plain {
        heading: Message::of(heading),
        text,
        reference: None,
        button: None,
        links: Vec::new(),
    }
}

fn sign_in_required(sign_in: &str, id: RequestId) -> Page {
    let body = serde_json::json!({
        "error": "sign_in_required", "status": 401, "sign_in": sign_in,
        "message": "Open `sign_in` in a browser window to sign in, then try again.",
        "reference": id.to_string(),
    });
    json(StatusCode::UNAUTHORIZED, &body)
}

pub(super) fn set_back(setback: &Setback<'_>, audience: &Audience<'_>) -> Page {
    let reference = audience.id.to_string();
    let Setback {
        status,
        heading,
        text,
        again,
    } = setback;
    match audience.taste {
        Taste::Html => {
            let page = Plain {
                heading: heading.clone(),
                text: text.clone(),
                reference: Some(reference),
                button: None,
                links: again
                    .iter()
                    .map(|to| (Message::of("try_again"), *to))
                    .collect(),
            };
            html(*status, View::plain(audience.reader, &page), audience)
        }
        Taste::Json => {
            let say = |message| audience.english.say(message);
            let body = serde_json::json!({
                "error": say(heading), "message": say(text), "status": status.as_u16(),
                "reference": reference,
            });
            json(*status, &body)
        }
    }
}

/// What is told of maintenance: in the operator's words too, which are the same in every language.
pub(super) fn maintained(maintenance: &Maintenance, audience: &Audience<'_>) -> Page {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let reference = audience.id.to_string();
    match audience.taste {
        Taste::Html => {
            let view = View::maintenance(audience.reader, maintenance, &reference);
            html(status, view, audience)
        }
        Taste::Json => {
            let body = serde_json::json!({
                "error": audience.english.say(&Message::of("maintenance")),
                "message": audience.english.say(&maintenance_text(maintenance)),
                "notice": maintenance.message,
                "status": status.as_u16(),
                "reference": reference,
            });
            json(status, &body)
        }
    }
}

const fn login_status(notice: Notice) -> StatusCode {
    match notice {
        Notice::Again | Notice::None => StatusCode::OK,
        Notice::Declined | Notice::Refused | Notice::Stale => StatusCode::FORBIDDEN,
        Notice::Busy | Notice::CutOff => StatusCode::SERVICE_UNAVAILABLE,
        Notice::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
    }
}

const fn password_status(notice: PasswordNotice) -> StatusCode {
    match notice {
        PasswordNotice::MustChange | PasswordNotice::None => StatusCode::OK,
        PasswordNotice::Changed
        | PasswordNotice::Elsewhere
        | PasswordNotice::Refused
        | PasswordNotice::Stale => StatusCode::FORBIDDEN,
        PasswordNotice::Differ | PasswordNotice::Weak(_) => StatusCode::UNPROCESSABLE_ENTITY,
        PasswordNotice::Busy | PasswordNotice::CutOff | PasswordNotice::Unfinished => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        PasswordNotice::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
    }
}

fn html(status: StatusCode, view: View, audience: &Audience<'_>) -> Page {
    // Not the id of the request, which a proxy may have made.
    let nonce = URL_SAFE_NO_PAD.encode(id_bytes(audience.entropy));
    let body = audience.reader.show(view, &nonce);
    let nonce = Some(nonce).filter(|nonce| body.contains(nonce));
    Page {
        body: Bytes::from(body),
        content_type: "text/html; charset=utf-8",
        nonce,
        files: audience.files,
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

/// The header that a reply has beside those of all.
pub(super) fn further(kind: &ReplyKind) -> Option<(HeaderName, String)> {
    match kind {
        ReplyKind::Redirect(location) => Some((header::LOCATION, location.clone())),
        ReplyKind::SignInRequired { .. } => Some((header::WWW_AUTHENTICATE, CHALLENGE.to_owned())),
        ReplyKind::Circling(_)
        | ReplyKind::ClocksDiffer { .. }
        | ReplyKind::ConfirmSignOut
        | ReplyKind::Denied(_)
        | ReplyKind::Heard(_)
        | ReplyKind::LevelUnreachable
        | ReplyKind::LoginPage(_)
        | ReplyKind::NotAccepted { .. }
        | ReplyKind::Onward(_)
        | ReplyKind::PasswordChanged { .. }
        | ReplyKind::PasswordPage(_)
        | ReplyKind::Replay(_)
        | ReplyKind::SignOutUnheard(_)
        | ReplyKind::SignedOut(_)
        | ReplyKind::Unconfirmed { .. }
        | ReplyKind::Welcome { .. } => {
            let seconds = retry_after(kind)?;
            Some((header::RETRY_AFTER, seconds.to_string()))
        }
    }
}

/// After how many seconds it may be otherwise.
fn retry_after(kind: &ReplyKind) -> Option<u64> {
    match kind {
        ReplyKind::Unconfirmed { .. } => Some(RETRY_AFTER_SECONDS),
        ReplyKind::LoginPage(page) => match page.notice {
            Notice::Wait(wait) => Some(whole_seconds(wait)),
            Notice::Busy => Some(RETRY_AFTER_SECONDS),
            Notice::Again
            | Notice::CutOff
            | Notice::Declined
            | Notice::None
            | Notice::Refused
            | Notice::Stale => None,
        },
        ReplyKind::PasswordPage(page) => match page.notice {
            PasswordNotice::Wait(wait) => Some(whole_seconds(wait)),
            PasswordNotice::Busy => Some(RETRY_AFTER_SECONDS),
            PasswordNotice::Changed
            | PasswordNotice::CutOff
            | PasswordNotice::Differ
            | PasswordNotice::Elsewhere
            | PasswordNotice::MustChange
            | PasswordNotice::None
            | PasswordNotice::Refused
            | PasswordNotice::Stale
            | PasswordNotice::Unfinished
            | PasswordNotice::Weak(_) => None,
        },
        ReplyKind::Circling(_)
        | ReplyKind::ClocksDiffer { .. }
        | ReplyKind::ConfirmSignOut
        | ReplyKind::Denied(_)
        | ReplyKind::Heard(_)
        | ReplyKind::LevelUnreachable
        | ReplyKind::NotAccepted { .. }
        | ReplyKind::Onward(_)
        | ReplyKind::PasswordChanged { .. }
        | ReplyKind::Redirect(_)
        | ReplyKind::Replay(_)
        | ReplyKind::SignInRequired { .. }
        | ReplyKind::SignOutUnheard(_)
        | ReplyKind::SignedOut(_)
        | ReplyKind::Welcome { .. } => None,
    }
}

/// RFC 9110 §11.6.1 asks a 401 for a challenge; no browser shows a dialogue for this scheme.
const CHALLENGE: &str = "Portway-Session realm=\"portway\"";
