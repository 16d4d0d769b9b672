//! Texts with facts in them, for headers, cookies, session attributes and addresses that policies set.
//!
//! Parsed when the configuration is read. A template one of whose facts has no value gives nothing: half
//! a text would be another one. What values may hold depends on where they go; whatever does not fit
//! there is written as percent escapes, so that no value ends a header or begins another.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::decision::facts::Fact;
use crate::decision::facts::RequestFact;
use crate::decision::facts::Subject;
use crate::decision::facts::Texts;
use crate::decision::facts::TlsFact;
use crate::decision::facts::UserFact;
use crate::decision::facts::Value;
use crate::decision::percent;
use crate::model::name::GroupName;

/// A text with facts in it. Equal ones are written alike.
#[derive(Clone)]
pub struct Template {
    written: Arc<str>,
    parts: Arc<[Part]>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the fact is.
    Fact(Fact),
    /// This text.
    Text(Box<str>),
}

/// Where a text goes, and so what it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Into an address: unreserved characters (RFC 3986 §2.3).
    Address,
    /// Into a cookie: its octets (RFC 6265 §4.1.1).
    Cookie,
    /// Into a header: visible ASCII and inner spaces.
    Header,
    /// Into an address, to which the path and the query of the request belong as they are.
    Location,
}

impl Template {
    /// Puts a template together.
    #[must_use]
    pub fn new(written: &str, parts: Vec<Part>) -> Self {
        Self {
            written: Arc::from(written),
            parts: parts.into(),
        }
    }

    /// A template that is one fact.
    #[must_use]
    pub fn of(fact: Fact) -> Self {
        Self::new("", vec![Part::Fact(fact)])
    }

    /// Its parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The facts that it reads.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.parts.iter().filter_map(|part| match part {
            Part::Fact(fact) => Some(fact),
            Part::Text(_) => None,
        })
    }

    /// The first character of its texts that may not stand in a form as it is.
    #[must_use]
    pub fn misfit(&self, form: Form) -> Option<char> {
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Fact(_) => None,
            Part::Text(text) => Some(text),
        });
        let fits = |c: char| match form {
            Form::Cookie => c.is_ascii() && is_cookie_octet(c),
            Form::Address | Form::Location => c.is_ascii_graphic(),
            Form::Header => c.is_ascii_graphic() || c == ' ',
        };
        texts.flat_map(|text| text.chars()).find(|c| !fits(*c))
    }

    /// How many bytes its text has at least, for a user of these groups. What other facts come to is known with
    /// a request alone, and counts for nothing here.
    #[must_use]
    pub fn bytes_min(&self, groups: &[GroupName], form: Form) -> usize {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Fact(Fact::User(UserFact::Groups)) => {
                let mut out = Vec::new();
                put_list(&mut out, &Texts::Groups(groups), form);
                out.len()
            }
            Part::Fact(_) => 0,
        });
        parts.sum()
    }

    /// The text for a request; `None` when a fact has no value, or when nothing is left.
    #[must_use]
    pub fn render(&self, subject: &Subject<'_>, form: Form) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for part in self.parts.iter() {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Fact(fact) if form == Form::Location && is_target(fact) => {
                    let value = fact.read(subject).value()?;
                    out.extend_from_slice(shown(&value).as_bytes());
                }
                Part::Fact(fact) if form == Form::Header && is_header_text(fact) => {
                    put_whole(&mut out, &fact.read(subject).value()?);
                }
                Part::Fact(fact) => put(&mut out, &fact.read(subject).value()?, form),
            }
        }
        (!out.is_empty()).then_some(out)
    }

    /// The texts for a request, as they are: several where the template is a single fact that has several.
    #[must_use]
    pub fn texts(&self, subject: &Subject<'_>) -> Option<Vec<Box<str>>> {
        if let [Part::Fact(fact)] = &*self.parts
            && let Value::Texts(texts) = fact.read(subject).value()?
        {
            return Some(texts.iter().map(Box::from).collect());
        }
        let mut out = String::new();
        for part in self.parts.iter() {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Fact(fact) => out.push_str(&shown(&fact.read(subject).value()?)),
            }
        }
        (!out.is_empty()).then(|| vec![out.into_boxed_str()])
    }
}

/// Whether a fact is a part of what was asked for that is an address already.
const fn is_target(fact: &Fact) -> bool {
    matches!(fact, Fact::Request(RequestFact::Path | RequestFact::Query))
}

/// Whether a fact is escaped in its own way and never ends a header, so that applications find in it what
/// nginx would send.
const fn is_header_text(fact: &Fact) -> bool {
    matches!(fact, Fact::Tls(TlsFact::Client(_)))
}

/// Writes a text as it is, but for what no header can hold.
fn put_whole(out: &mut Vec<u8>, value: &Value<'_>) {
    let text = shown(value);
    let last = text.len().saturating_sub(1);
    percent::escape(out, &text, |at, byte| {
        byte.is_ascii_graphic() || (byte == b' ' && at != 0 && at != last)
    });
}

fn put(out: &mut Vec<u8>, value: &Value<'_>, form: Form) {
    match value {
        Value::Texts(texts) => put_list(out, texts, form),
        Value::Flag(_) | Value::Moment(_) | Value::Number(_) | Value::Span(_) | Value::Text(_) => {
            escape(out, &shown(value), form);
        }
    }
}

fn put_list(out: &mut Vec<u8>, texts: &Texts<'_>, form: Form) {
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push(separator(form));
        }
        escape(out, text, form);
    }
}

fn shown<'v>(value: &'v Value<'_>) -> Cow<'v, str> {
    match value {
        Value::Flag(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        Value::Moment(moment) => {
            let seconds = i64::try_from(moment.as_secs()).ok();
            let moment = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
            moment
                .map_or_else(String::new, |moment| moment.to_string())
                .into()
        }
        Value::Number(number) | Value::Span(number) => number.to_string().into(),
        Value::Text(text) => Cow::Borrowed(text),
        Value::Texts(texts) => texts.iter().collect::<Vec<_>>().join(",").into(),
    }
}

/// What stands between the texts of a list; in the texts themselves it is escaped.
const fn separator(form: Form) -> u8 {
    match form {
        Form::Address | Form::Header | Form::Location => b',',
        Form::Cookie => b'|',
    }
}

/// Writes a text so that it fits and can be read back: percent escapes decode to what it was.
fn escape(out: &mut Vec<u8>, text: &str, form: Form) {
    let last = text.len().saturating_sub(1);
    percent::escape(out, text, |at, byte| {
        let c = char::from(byte);
        byte.is_ascii()
            && byte != separator(form)
            && match form {
                Form::Address | Form::Location => {
                    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
                }
                Form::Cookie => is_cookie_octet(c) && c != '%',
                Form::Header => {
                    let is_inner_space = c == ' ' && at != 0 && at != last;
                    (byte.is_ascii_graphic() && c != '%') || is_inner_space
                }
            }
    });
}

const fn is_cookie_octet(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | ',' | ';' | '\\')
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Template {}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.written).finish()
    }
}
