//! The cookie jar of the demonstration's client, as strict as a browser's (RFC 6265bis §5).
//!
//! A cookie that a browser would drop is a fault here: the journey is to notice it. `SameSite` is not
//! kept, since all hosts of the demonstration are one site.

use anyhow::bail;
use cookie::Cookie;

use crate::demo::client::Address;

/// Cookies by where they came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Jar(Vec<Kept>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    name: String,
    value: String,
    host: String,
    scope: Scope,
    path: String,
    secure: bool,
}

/// Which hosts a cookie goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The host that set it, and names below.
    Domain,
    /// The host that set it.
    HostOnly,
}

impl Jar {
    /// Takes in one `Set-Cookie` header that `from` sent.
    pub(super) fn take(&mut self, set_cookie: &str, from: &Address) -> anyhow::Result<()> {
        let cookie = Cookie::parse(set_cookie)?;
        let secure = cookie.secure() == Some(true);
        let (name, path, domain) = (cookie.name(), cookie.path(), cookie.domain());
        if secure && !from.is_secure() {
            bail!("the cookie {name} is Secure but came over plain http");
        }
        if name.starts_with("__Host-") && !(secure && domain.is_none() && path == Some("/")) {
            bail!("the cookie {name} breaks the rules of its __Host- prefix");
        }
        if name.starts_with("__Secure-") && !secure {
            bail!("the cookie {name} breaks the rule of its __Secure- prefix");
        }
        if let Some(domain) = domain
            && !lies_in(&from.host, domain)
        {
            bail!(
                "the cookie {name} is for {domain}, which {} does not lie in",
                from.host
            );
        }
        let kept = Kept {
            name: name.to_owned(),
            value: cookie.value().to_owned(),
            host: domain.unwrap_or(&from.host).to_ascii_lowercase(),
            scope: if domain.is_some() {
                Scope::Domain
            } else {
                Scope::HostOnly
            },
            path: path.unwrap_or("/").to_owned(),
            secure,
        };
        self.0.retain(|old| {
            (&old.name, &old.host, &old.path) != (&kept.name, &kept.host, &kept.path)
        });
        if !is_removal(&cookie) {
            self.0.push(kept);
        }
        Ok(())
    }

    /// The `Cookie` header for a request, if there is anything to send.
    pub(super) fn header_for(&self, to: &Address) -> Option<String> {
        let pairs: Vec<_> = self
            .0
            .iter()
            .filter(|kept| kept.goes_to(to))
            .map(|kept| format!("{}={}", kept.name, kept.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The value of a cookie of a host.
    pub(super) fn value(&self, name: &str, host: &str) -> Option<&str> {
        let mut kept = self.0.iter();
        let found = kept.find(|kept| kept.name == name && kept.host == host);
        found.map(|kept| kept.value.as_str())
    }

    /// Names and hosts of the cookies whose name contains `part`.
    pub(super) fn named(&self, part: &str) -> Vec<String> {
        let found = self.0.iter().filter(|kept| kept.name.contains(part));
        found
            .map(|kept| format!("{} of {}", kept.name, kept.host))
            .collect()
    }
}

impl Kept {
    fn goes_to(&self, to: &Address) -> bool {
        let host = match self.scope {
            Scope::Domain => lies_in(&to.host, &self.host),
            Scope::HostOnly => to.host == self.host,
        };
        host && (to.is_secure() || !self.secure) && path_matches(to.path(), &self.path)
    }
}

fn lies_in(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// RFC 6265 §5.1.4.
fn path_matches(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// Gateways remove cookies by an age of zero or a date at the beginning of time; the client keeps no
/// clock for others.
fn is_removal(cookie: &Cookie<'_>) -> bool {
    match cookie.max_age() {
        Some(age) => age.is_zero() || age.is_negative(),
        None => cookie
            .expires_datetime()
            .is_some_and(|date| date.unix_timestamp() <= 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_only_cookie_goes_to_its_host_alone() {
        let mut jar = Jar::default();
        jar.take("a=1; Secure; Path=/", &address("https://app.x.test/"))
            .unwrap();
        assert_eq!(
            jar.header_for(&address("https://app.x.test/y")).as_deref(),
            Some("a=1")
        );
        for other in [
            "https://x.test/",
            "https://b.app.x.test/",
            "http://app.x.test/",
        ] {
            assert_eq!(jar.header_for(&address(other)), None, "{other}");
        }
    }

    #[test]
    fn a_domain_cookie_goes_to_every_name_below() {
        let mut jar = Jar::default();
        jar.take(
            "a=1; Domain=x.test; Path=/p",
            &address("https://app.x.test/"),
        )
        .unwrap();
        for (to, sent) in [
            ("https://other.x.test/p", true),
            ("https://x.test/p/q", true),
            ("https://evilx.test/p", false),
            ("https://x.test/pq", false),
        ] {
            assert_eq!(jar.header_for(&address(to)).is_some(), sent, "{to}");
        }
    }

    #[test]
    fn cookies_that_a_browser_drops_are_faults() {
        let from = address("https://app.x.test/");
        for cookie in [
            "__Host-a=1; Path=/",
            "__Host-a=1; Secure; Path=/x",
            "__Host-a=1; Secure; Path=/; Domain=x.test",
            "__Secure-a=1",
            "a=1; Domain=y.test",
        ] {
            assert!(Jar::default().take(cookie, &from).is_err(), "{cookie}");
        }
        assert!(
            Jar::default()
                .take("a=1; Secure", &address("http://app.x.test/"))
                .is_err()
        );
    }

    #[test]
    fn a_cookie_is_replaced_and_removed() {
        let mut jar = Jar::default();
        let from = address("https://app.x.test/");
        for (cookie, sent) in [
            ("a=1; Path=/", Some("a=1")),
            ("a=2; Path=/", Some("a=2")),
            ("a=; Path=/; Max-Age=0", None),
            ("a=3; Path=/", Some("a=3")),
            ("a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", None),
        ] {
            jar.take(cookie, &from).unwrap();
            assert_eq!(jar.header_for(&from).as_deref(), sent, "{cookie}");
        }
    }

    fn address(url: &str) -> Address {
        Address::parse(url).unwrap()
    }
}
