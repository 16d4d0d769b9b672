//! Addresses, requests and answers, as values.

use bytes::Bytes;
use http::HeaderMap;
use http::Method;

use super::page;

/// An absolute address of `http` or `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: String,
    /// Host and port as written.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) target: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Self {
        let (scheme, rest) = text
            .split_once("://")
            .unwrap_or_else(|| panic!("not absolute: {text}"));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let target = target.split('#').next().unwrap();
        let slash = if target.starts_with('/') { "" } else { "/" };
        Self {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            target: format!("{slash}{target}"),
        }
    }

    /// The host without its port.
    pub(crate) fn host(&self) -> &str {
        self.authority.split(':').next().unwrap()
    }

    /// The path without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// The value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        form_urlencoded::parse(query.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Scheme and authority.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// What a reference on this page leads to: an absolute address, or a path on the same host.
    pub(crate) fn join(&self, reference: &str) -> Self {
        if reference.is_empty() {
            self.clone()
        } else if reference.starts_with("//") {
            Self::parse(&format!("{}:{reference}", self.scheme))
        } else if reference.starts_with('/') {
            Self {
                target: reference.to_owned(),
                ..self.clone()
            }
        } else {
            Self::parse(reference)
        }
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.target)
    }
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn new(method: Method, url: &str) -> Self {
        Self {
            method,
            url: Url::parse(url),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn get(url: &str) -> Self {
        Self::new(Method::GET, url)
    }

    pub(crate) fn post(url: &str) -> Self {
        Self::new(Method::POST, url)
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether a header has been added.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Posts these fields as a form.
    pub(crate) fn form(self, fields: &[(String, String)]) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(page::encode(fields))
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What was asked for.
    pub(crate) url: Url,
    /// How it stands to the page that asked for it, as browsers say in `Sec-Fetch-Site`.
    pub(crate) site: String,
}

impl Answer {
    /// A header; the empty text when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// All `Set-Cookie` values.
    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Where a redirect leads to.
    pub(crate) fn location(&self) -> Url {
        let location = self.header("location");
        assert!(
            !location.is_empty(),
            "no redirect: {} {}",
            self.status,
            self.text()
        );
        self.url.join(location)
    }

    /// Whether it is a redirect.
    pub(crate) fn redirects(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    /// Fails unless the status is this.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "{} {:?} {}",
            self.url,
            self.headers,
            self.text()
        );
        self
    }

    /// The first form of the page.
    pub(crate) fn form(&self) -> page::Form {
        page::form(&self.text())
            .unwrap_or_else(|| panic!("no form: {} {}", self.status, self.text()))
    }

    /// What an echoing upstream says of a header or property, from a line `name: value`.
    pub(crate) fn told(&self, name: &str) -> String {
        let text = self.text();
        let line = text.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            (known == name).then(|| value.trim().to_owned())
        });
        line.unwrap_or_else(|| {
            panic!(
                "the upstream says nothing of {name}: {} {text}",
                self.status
            )
        })
    }
}
