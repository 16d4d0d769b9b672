//! Which hosts the gateway serves and where users reach them: the only places a redirect may lead to
//! (D-18, RFC 9700 §4.11).

use std::borrow::Cow;

use crate::decision::percent::escape;
use crate::decision::routing::HostPattern;
use crate::decision::routing::HostTable;
use crate::model::name::HostName;

/// The public side of the served hosts.
#[derive(Debug)]
pub struct Origins {
    collector: Option<(HostName, u16)>,
    served: HostTable<u16>,
}

impl Origins {
    /// Takes the collector and the served hosts, each with the port users reach it on by https.
    #[must_use]
    pub fn new(collector: Option<(HostName, u16)>, served: Vec<(HostPattern, u16)>) -> Self {
        Self {
            collector,
            served: served.into_iter().collect(),
        }
    }

    /// The collector's host.
    #[must_use]
    pub fn collector_host(&self) -> Option<&HostName> {
        self.collector.as_ref().map(|(host, _)| host)
    }

    /// The collector's origin, such as `https://login.example.com:8443`.
    #[must_use]
    pub fn collector(&self) -> Option<String> {
        self.collector
            .as_ref()
            .map(|(host, port)| origin(host, *port))
    }

    /// The origin of a served host.
    #[must_use]
    pub fn of(&self, host: &HostName) -> Option<String> {
        self.served
            .find(host.as_str())
            .map(|port| origin(host, *port))
    }

    /// Checks that a return address leads to a served host and answers it in the form that is sent:
    /// rebuilt from its parts, so that no browser can read it differently.
    #[must_use]
    pub fn return_address(&self, address: &str) -> Option<String> {
        let rest = address.strip_prefix("https://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end)?;
        let (host, port) = split_port(authority)?;
        let host = HostName::parse(host).ok()?;
        let served = *self.served.find(host.as_str())?;
        if port != served || !is_plain_target(target) {
            return None;
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Some(format!("{}{slash}{target}", origin(&host, port)))
    }
}

/// Whether a target is only what may stand in a `Location`: visible ASCII without a backslash, which
/// some browsers read as a slash.
#[must_use]
pub fn is_plain_target(target: &str) -> bool {
    target
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !target.starts_with("//")
        && target.len() <= TARGET_BYTES_MAX
}

/// Path and query of a host's as they may stand in a `Location`; none where they may not, or are too long.
///
/// In a query, browsers send backslashes as they are, and other programs letters beyond ASCII: those are
/// escaped, which applications read as the same. In a path either would be another one to some reader.
#[must_use]
pub fn way_back(target: &str) -> Option<Cow<'_, str>> {
    if is_within_host(target) {
        return Some(Cow::Borrowed(target));
    }
    let (path, query) = target.split_once('?')?;
    let mut escaped = format!("{path}?").into_bytes();
    let is_plain = |_, byte: u8| byte.is_ascii() && byte != b'\\';
    escape(&mut escaped, query, is_plain);
    let escaped = String::from_utf8(escaped).ok()?;
    is_within_host(&escaped).then_some(Cow::Owned(escaped))
}

/// The nearest to a target that there is no [way back](way_back) to: its path, or else `/`.
#[must_use]
pub fn nearest(target: &str) -> &str {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    if is_within_host(path) { path } else { "/" }
}

/// Whether a target is a path of whichever host it is asked for at, and [plain](is_plain_target).
#[must_use]
pub fn is_within_host(target: &str) -> bool {
    target.starts_with('/') && is_plain_target(target)
}

fn origin(host: &HostName, port: u16) -> String {
    if port == HTTPS {
        format!("https://{host}")
    } else {
        format!("https://{host}:{port}")
    }
}

fn split_port(authority: &str) -> Option<(&str, u16)> {
    let port_starts = authority
        .rfind(':')
        .filter(|colon| !authority.ends_with(']') && *colon > 0);
    match port_starts.and_then(|colon| authority.split_at_checked(colon)) {
        None => Some((authority, HTTPS)),
        Some((host, port)) => {
            let digits = port
                .strip_prefix(':')
                .filter(|p| p.bytes().all(|b| b.is_ascii_digit()))?;
            Some((host, digits.parse().ok()?))
        }
    }
}

const HTTPS: u16 = 443;
/// Longest path and query that a sign-in comes back to; longer ones come back to the path alone.
pub const TARGET_BYTES_MAX: usize = 6 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        let served = [("app.test", 443), ("*.apps.test", 8443)];
        let served = served.map(|(host, port)| (HostPattern::parse(host).unwrap(), port));
        Origins::new(
            Some((HostName::parse("login.test").unwrap(), 8443)),
            served.into(),
        )
    }

    #[test]
    fn a_return_address_on_a_served_host_is_kept() {
        for (given, sent) in [
            ("https://app.test", "https://app.test/"),
            ("https://APP.test:443/a?b#c", "https://app.test/a?b#c"),
            ("https://app.test?x=1", "https://app.test/?x=1"),
            ("https://x.apps.test:8443/", "https://x.apps.test:8443/"),
        ] {
            assert_eq!(
                origins().return_address(given).as_deref(),
                Some(sent),
                "{given}"
            );
        }
    }

    #[test]
    fn a_sign_in_comes_back_to_what_was_asked_for_or_near_it_d_18_d_22() {
        let long = "x".repeat(TARGET_BYTES_MAX);
        for (asked, back) in [
            ("/a?b=c%5Cd", "/a?b=c%5Cd"),
            ("/a?b=C:\\d&e=%", "/a?b=C:%5Cd&e=%"),
            ("/a?b=\u{fc}", "/a?b=%C3%BC"),
            ("/a?\\?\\", "/a?%5C?%5C"),
        ] {
            assert_eq!(way_back(asked).as_deref(), Some(back), "{asked}");
        }
        for (asked, near) in [
            (format!("/a?{long}"), "/a"),
            (format!("/a?{}", "\\".repeat(TARGET_BYTES_MAX / 2)), "/a"),
            (format!("/{long}?b"), "/"),
            ("/a?b c".to_owned(), "/a"),
            ("/a?b\r\nc".to_owned(), "/a"),
            ("/\\evil.test/?b=\\".to_owned(), "/"),
            ("//evil.test/?b=\\".to_owned(), "/"),
            ("https://evil.test/?b=\\".to_owned(), "/"),
            ("?b=\\".to_owned(), "/"),
        ] {
            assert_eq!(way_back(&asked), None, "{asked:?}");
            assert_eq!(nearest(&asked), near, "{asked:?}");
        }
    }

    #[test]
    fn a_return_address_elsewhere_is_none_d_18() {
        for given in [
            "",
            "/",
            "//evil.test/",
            "http://app.test/",
            "HTTPS://app.test/",
            "https:/app.test",
            "https:app.test",
            "https://evil.test/",
            "https://app.test.evil.test/",
            "https://evil-app.test/",
            "https://app.test@evil.test/",
            "https://evil.test@app.test/",
            "https://app.test:6666/",
            "https://app.test:/",
            "https://app.test:443:443/",
            "https://app.test\\@evil.test/",
            "https://evil.test\\.app.test/",
            "https://app.test/\\evil",
            "https://app.test/a\r\nb",
            "https://app.test/ b",
            "https://app.test/\tb",
            " https://app.test/",
            "https://[app.test]/",
            "https://app.test//evil.test",
            "https://app%2etest/",
            "https://app.test\u{3002}evil.test/",
            "javascript:alert(1)//https://app.test/",
        ] {
            assert_eq!(origins().return_address(given), None, "{given:?}");
        }
    }
}
