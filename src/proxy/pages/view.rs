//! What each page shows, as values that templates name. `docs/branding.md` lists them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::Value;

use crate::decision::form::Encoding;
use crate::decision::form::Field;
use crate::decision::form::FieldValue;
use crate::decision::maintenance::Maintenance;
use crate::decision::password::Weakness;
use crate::decision::reply::LoginPage;
use crate::decision::reply::Notice;
use crate::decision::reply::PasswordNotice;
use crate::decision::reply::PasswordPage;
use crate::decision::reply::Passwords;
use crate::decision::reply::ProviderLink;
use crate::decision::reply::Replay;
use crate::decision::reply::SignedOut;
use crate::model::end::Confirmed;
use crate::proxy::pages::Reader;
use crate::proxy::pages::message::Message;

/// A page and what it shows.
#[derive(Debug)]
pub(in crate::proxy) struct View {
    pub(super) template: &'static str,
    pub(super) fields: BTreeMap<&'static str, Value>,
}

/// A page with a heading, a sentence and perhaps a way on.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Plain<'a> {
    /// The heading.
    pub(in crate::proxy) heading: Message,
    /// What happened and what to do.
    pub(in crate::proxy) text: Message,
    /// The id to tell whoever runs the gateway, where something went wrong.
    pub(in crate::proxy) reference: Option<String>,
    /// The label of a button that posts to this page.
    pub(in crate::proxy) button: Option<Message>,
    /// Links: what they are called and where they lead.
    pub(in crate::proxy) links: Vec<(Message, &'a str)>,
}

impl View {
    fn new(template: &'static str, heading: String) -> Self {
        let fields = BTreeMap::from([("heading", Value::from(heading))]);
        Self { template, fields }
    }

    fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.insert(name, value.into());
        self
    }

    /// The login page; `title` is the operator's, if there is one.
    pub(in crate::proxy) fn login(
        reader: Reader<'_>,
        title: Option<&str>,
        page: &LoginPage,
    ) -> Self {
        let heading = title.map_or_else(|| reader.say(&Message::of("sign_in")), str::to_owned);
        let notice = notice(page.notice).map(|notice| reader.say(&notice));
        Self::new("login.html", heading)
            .with("purpose", purpose(reader, page.application.as_deref()))
            .with("notice", notice.unwrap_or_default())
            .with("request", page.request.as_str())
            .with("form", page.form.as_str())
            .with("passwords", page.passwords == Passwords::Taken)
            .with("providers", providers(reader, &page.providers))
    }

    /// The page on which a password is changed.
    pub(in crate::proxy) fn password(reader: Reader<'_>, page: &PasswordPage) -> Self {
        let notice = password_notice(page.notice).map(|notice| reader.say(&notice));
        let rule = Message::of("password_rule").with("count", page.length_min.to_string());
        Self::new("password.html", reader.say(&Message::of("change_password")))
            .with("purpose", purpose(reader, page.application.as_deref()))
            .with("notice", notice.unwrap_or_default())
            .with("request", page.request.as_str())
            .with("form", page.form.as_str())
            .with("user", page.user.as_deref().unwrap_or_default())
            .with("length_min", page.length_min)
            .with("rule", reader.say(&rule))
    }

    /// A page with a heading, a sentence and perhaps a way on.
    pub(in crate::proxy) fn plain(reader: Reader<'_>, page: &Plain<'_>) -> Self {
        let links = page.links.iter();
        let links = links.map(|(label, address)| {
            Value::from(BTreeMap::from([
                ("label", reader.say(label)),
                ("address", (*address).to_owned()),
            ]))
        });
        let button = page.button.as_ref().map(|label| reader.say(label));
        Self::new("message.html", reader.say(&page.heading))
            .with("text", reader.say(&page.text))
            .with("button", button.unwrap_or_default())
            .with("links", links.collect::<Vec<Value>>())
            .with("reference", page.reference.as_deref().unwrap_or_default())
    }

    /// The page of a virtual host in maintenance.
    pub(in crate::proxy) fn maintenance(
        reader: Reader<'_>,
        maintenance: &Maintenance,
        reference: &str,
    ) -> Self {
        Self::new("maintenance.html", reader.say(&Message::of("maintenance")))
            .with("text", reader.say(&maintenance_text(maintenance)))
            .with(
                "message",
                maintenance.message.as_deref().unwrap_or_default(),
            )
            .with("reference", reference)
    }

    /// A page that leads on by itself.
    pub(in crate::proxy) fn onward(reader: Reader<'_>, address: &str) -> Self {
        Self::new("onward.html", reader.say(&Message::of("signing_out"))).with("address", address)
    }

    /// The page at the end of a sign-out.
    pub(in crate::proxy) fn signed_out(reader: Reader<'_>, page: &SignedOut) -> Self {
        let mut elsewhere = page.data_centres.iter();
        let is_outstanding = elsewhere.any(|(_, confirmed)| *confirmed == Confirmed::Outstanding);
        let (heading, text) = match (page.confirmed, is_outstanding) {
            (Confirmed::Durable, false) => ("signed_out", "signed_out_text"),
            (Confirmed::Durable, true) => ("signed_out_here", "signed_out_outstanding"),
            (Confirmed::Outstanding, _) => ("signed_out_here", "signed_out_unwritten"),
        };
        let centres = page.data_centres.iter().map(|(cluster, confirmed)| {
            let said = Message::of(match confirmed {
                Confirmed::Durable => "centre_confirmed",
                Confirmed::Outstanding => "centre_outstanding",
            });
            Value::from(reader.say(&said.with("centre", cluster.to_string())))
        });
        Self::new("signed_out.html", reader.say(&Message::of(heading)))
            .with("text", reader.say(&Message::of(text)))
            .with("data_centres", centres.collect::<Vec<Value>>())
            .with("address", page.return_to.as_deref().unwrap_or_default())
    }

    /// The page that sends a kept form again (D-22).
    pub(in crate::proxy) fn replay(reader: Reader<'_>, replay: &Replay) -> Self {
        let text = Message::of("sending_text").with("application", replay.application.clone());
        let enctype = match replay.encoding {
            Encoding::Multipart => "multipart/form-data",
            Encoding::Text => "text/plain",
            Encoding::UrlEncoded => "application/x-www-form-urlencoded",
        };
        let fields: Vec<Value> = replay.fields.iter().map(field).collect();
        let mut values = replay.fields.iter();
        let has_files = values.any(|field| matches!(field.value, FieldValue::File { .. }));
        Self::new("replay.html", reader.say(&Message::of("sending")))
            .with("text", reader.say(&text))
            .with("address", replay.target.as_str())
            .with("enctype", enctype)
            .with("files", has_files)
            .with("fields", fields)
    }
}

/// What is said of maintenance, whatever the operator adds.
pub(in crate::proxy) fn maintenance_text(maintenance: &Maintenance) -> Message {
    let time = Message::time(maintenance.retry_after);
    Message::of("maintenance_text").with_message("time", time)
}

fn field(field: &Field) -> Value {
    let name = ("name", Value::from(field.name.as_str()));
    let parts = match &field.value {
        FieldValue::Text(text) => vec![
            name,
            ("is_file", Value::from(false)),
            ("value", Value::from(text.as_str())),
        ],
        FieldValue::File {
            name: file,
            media_type,
            content,
        } => vec![
            name,
            ("is_file", Value::from(true)),
            ("file", Value::from(file.as_str())),
            ("type", Value::from(media_type.as_str())),
            ("content", Value::from(STANDARD.encode(content.expose()))),
        ],
    };
    Value::from(parts.into_iter().collect::<BTreeMap<_, _>>())
}

fn purpose(reader: Reader<'_>, application: Option<&str>) -> String {
    let said =
        application.map(|host| Message::of("sign_in_for").with("application", host.to_owned()));
    said.map(|said| reader.say(&said)).unwrap_or_default()
}

fn providers(reader: Reader<'_>, links: &[ProviderLink]) -> Vec<Value> {
    let shown = links.iter().map(|link| {
        let label = Message::of("sign_in_with").with("provider", link.title.clone());
        Value::from(BTreeMap::from([
            ("label", reader.say(&label)),
            ("address", link.address.clone()),
        ]))
    });
    shown.collect()
}

/// What the login page says about the last attempt.
fn notice(notice: Notice) -> Option<Message> {
    Some(match notice {
        Notice::Again => Message::of("notice_again"),
        Notice::Busy => Message::of("notice_busy"),
        Notice::CutOff => Message::of("notice_cut_off"),
        Notice::Declined => Message::of("notice_declined"),
        Notice::None => return None,
        Notice::Refused => Message::of("notice_refused"),
        Notice::Stale => Message::of("notice_stale"),
        Notice::Wait(wait) => Message::of("notice_wait").with_message("time", Message::time(wait)),
    })
}

/// What is said about the last attempt to change a password.
fn password_notice(notice: PasswordNotice) -> Option<Message> {
    Some(match notice {
        PasswordNotice::Busy => Message::of("notice_busy"),
        PasswordNotice::Changed => Message::of("notice_meanwhile"),
        PasswordNotice::CutOff => Message::of("notice_cut_off"),
        PasswordNotice::Differ => Message::of("notice_differ"),
        PasswordNotice::Elsewhere => Message::of("notice_elsewhere"),
        PasswordNotice::MustChange => Message::of("notice_must_change"),
        PasswordNotice::None => return None,
        PasswordNotice::Refused => Message::of("notice_refused"),
        PasswordNotice::Stale => Message::of("notice_stale"),
        PasswordNotice::Unfinished => Message::of("notice_unfinished"),
        PasswordNotice::Wait(wait) => {
            Message::of("notice_wait").with_message("time", Message::time(wait))
        }
        PasswordNotice::Weak(Weakness::Name) => Message::of("weak_name"),
        PasswordNotice::Weak(Weakness::Same) => Message::of("weak_same"),
        PasswordNotice::Weak(Weakness::Short(least)) => {
            Message::of("weak_short").with("count", least.to_string())
        }
        PasswordNotice::Weak(Weakness::TooLong) => Message::of("weak_long"),
        PasswordNotice::Weak(Weakness::Uniform) => Message::of("weak_uniform"),
    })
}
