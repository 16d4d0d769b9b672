//! What a permitted request is given on its way: headers and cookies for the application, attributes
//! for the session.
//!
//! The names are removed from the client's request on every route (`identity_headers`), and a cookie of
//! a policy never has a name of Portway's own.

use cookie::Cookie;
use cookie::SameSite;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::decision::cookies::CookieNames;
use crate::decision::facts::Subject;
use crate::decision::template::Form;
use crate::decision::template::Template;
use crate::model::attribute::Attribute;
use crate::model::attribute::AttributeSet;
use crate::model::attribute::AttributeValue;
use crate::model::name::AttributeName;
use crate::model::name::GroupName;

/// What a policy or a route gives to permitted requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Responses {
    /// Headers for the application.
    pub headers: Vec<(HeaderName, Template)>,
    /// Cookies for the application and the browser.
    pub cookies: Vec<CookieTemplate>,
    /// Attributes for the session.
    pub attributes: Vec<(AttributeName, Template)>,
}

/// A cookie that a policy sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieTemplate {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub value: Template,
    /// The path it belongs to.
    pub path: Box<str>,
    /// Seconds after which the browser forgets it; none: with the browser.
    pub seconds_max: Option<i64>,
    /// Whether scripts may read it.
    pub scripts: Scripts,
    /// Whether requests from other sites carry it.
    pub same_site: SameSite,
}

/// Whether scripts may read a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    /// They may.
    Read,
    /// They may not.
    Refused,
}

/// The responses to one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Headers that the upstream gets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Cookies that it gets, as names and values.
    pub cookies: Vec<(Box<str>, String)>,
    /// `Set-Cookie` values for the browser.
    pub set_cookies: Vec<String>,
    /// What is new about the session.
    pub attributes: Vec<Attribute>,
}

/// Why responses cannot be given; the request is not forwarded then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// A cookie would be longer than browsers keep.
    #[error("the cookie {name} would be {bytes} bytes long; at most {COOKIE_BYTES_MAX} are kept")]
    Cookie {
        /// Which.
        name: Box<str>,
        /// How long it would be.
        bytes: usize,
    },
    /// A header would be longer than can be expected to be read.
    #[error("the header {header} would be {bytes} bytes long; at most {HEADER_BYTES_MAX} are sent")]
    Header {
        /// Which.
        header: HeaderName,
        /// How long it would be.
        bytes: usize,
    },
}

impl Responses {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.cookies.is_empty() && self.attributes.is_empty()
    }

    /// These, and those of others by names that these do not have.
    #[must_use]
    pub fn or(mut self, others: &Self) -> Self {
        for (name, template) in &others.headers {
            if self.headers.iter().all(|(own, _)| own != name) {
                self.headers.push((name.clone(), template.clone()));
            }
        }
        for cookie in &others.cookies {
            if self.cookies.iter().all(|own| own.name != cookie.name) {
                self.cookies.push(cookie.clone());
            }
        }
        for (name, template) in &others.attributes {
            if self.attributes.iter().all(|(own, _)| own != name) {
                self.attributes.push((name.clone(), template.clone()));
            }
        }
        self
    }

    /// The responses to a request. What has no value is not given.
    ///
    /// # Errors
    /// When something is too long; nothing is ever cut off.
    pub fn give(&self, subject: &Subject<'_>) -> Result<Given, ResponseError> {
        self.give_as_told(subject, subject)
    }

    /// The same where the application is told less of the user than is known: later decisions go by the attributes
    /// of the session, which are what they are.
    ///
    /// # Errors
    /// As of [`Self::give`].
    pub fn give_as_told(
        &self,
        subject: &Subject<'_>,
        told: &Subject<'_>,
    ) -> Result<Given, ResponseError> {
        let mut given = Given::default();
        for (name, template) in &self.headers {
            let Some(text) = template.render(told, Form::Header) else {
                continue;
            };
            let bytes = text.len();
            match HeaderValue::try_from(text) {
                Ok(value) if bytes <= HEADER_BYTES_MAX => given.headers.push((name.clone(), value)),
                _ => {
                    let header = name.clone();
                    return Err(ResponseError::Header { header, bytes });
                }
            }
        }
        for cookie in &self.cookies {
            cookie.give(told, &mut given)?;
        }
        let noted = subject.session.and_then(|session| session.noted);
        if let Some(noted) = noted {
            given.attributes = self.news(subject, noted);
        }
        Ok(given)
    }

    /// The attributes that differ from what the session has.
    fn news(&self, subject: &Subject<'_>, noted: &AttributeSet) -> Vec<Attribute> {
        let all = self.attributes.iter().filter_map(|(name, template)| {
            let mut texts = template.texts(subject)?;
            let value = match texts.len() {
                1 => AttributeValue::Text(texts.pop()?),
                _ => AttributeValue::List(texts.into()),
            };
            Some(Attribute {
                name: name.clone(),
                value,
            })
        });
        all.filter(|new| noted.get(new.name.as_str()) != Some(&new.value))
            .collect()
    }
}

impl CookieTemplate {
    /// How many bytes name and value have at least, for a user of these groups.
    #[must_use]
    pub fn bytes_min(&self, groups: &[GroupName]) -> usize {
        let value = self.value.bytes_min(groups, Form::Cookie);
        self.name.len().saturating_add(value)
    }

    /// A `Set-Cookie` value that makes the browser forget it.
    #[must_use]
    pub fn clearing(&self) -> String {
        Cookie::build((&*self.name, ""))
            .path(&*self.path)
            .secure(true)
            .http_only(self.scripts == Scripts::Refused)
            .same_site(self.same_site)
            .max_age(cookie::time::Duration::ZERO)
            .build()
            .to_string()
    }

    fn give(&self, subject: &Subject<'_>, given: &mut Given) -> Result<(), ResponseError> {
        let value = self.value.render(subject, Form::Cookie);
        let Some(value) = value.and_then(|value| String::from_utf8(value).ok()) else {
            return Ok(());
        };
        let bytes = self.name.len().saturating_add(value.len());
        if bytes > COOKIE_BYTES_MAX {
            let name = self.name.clone();
            return Err(ResponseError::Cookie { name, bytes });
        }
        let mut cookie = Cookie::build((&*self.name, value.as_str()))
            .path(&*self.path)
            .secure(true)
            .http_only(self.scripts == Scripts::Refused)
            .same_site(self.same_site);
        if let Some(seconds) = self.seconds_max {
            cookie = cookie.max_age(cookie::time::Duration::seconds(seconds));
        }
        let lines = subject.request.headers.get_all(header::COOKIE).iter();
        let mut held = CookieNames::find(lines.map(HeaderValue::as_bytes), &self.name);
        // A browser that has it, and nothing else by its name, is not told again.
        let is_held = held.next() == Some(value.as_str()) && held.all(|other| other == value);
        if !is_held {
            given.set_cookies.push(cookie.build().to_string());
        }
        given.cookies.push((self.name.clone(), value));
        Ok(())
    }
}

/// Longest header that is sent, in bytes: as for identity headers.
pub const HEADER_BYTES_MAX: usize = crate::decision::identity_headers::VALUE_BYTES_MAX;
/// Largest cookie: browsers keep no more of name and value together (RFC 6265 §6.1).
pub const COOKIE_BYTES_MAX: usize = 4096;
