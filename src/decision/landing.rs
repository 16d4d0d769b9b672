//! Where a browser lands that is sent somewhere, and whether it would be sent round and round.

use crate::decision::path::normalise;
use crate::model::name::HostName;

/// Where a browser lands that is sent somewhere, by whatever port: users may reach one host by several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    /// The virtual host.
    pub host: HostName,
    /// In canonical form.
    pub path: String,
    /// Without its question mark.
    pub query: Option<String>,
}

impl Landing {
    /// What an address is that a browser is sent to; one without a host is on this one. None where it is no page that
    /// a gateway would serve.
    #[must_use]
    pub fn of(location: &str, host: &HostName) -> Option<Self> {
        let (host, target) = match location.strip_prefix("https://") {
            None => (host.clone(), location),
            Some(rest) => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let (authority, target) = rest.split_at_checked(end)?;
                let name = authority.split(':').next()?;
                (HostName::parse(name).ok()?, target)
            }
        };
        let target = target.split('#').next()?;
        let (path, query) = match target.split_once('?') {
            None => (target, None),
            Some((path, query)) => (path, Some(query.to_owned())),
        };
        let path = if path.is_empty() { "/" } else { path };
        let path = normalise(path).ok()?.as_str().to_owned();
        Some(Self { host, path, query })
    }

    fn is(&self, other: &Self) -> bool {
        (&self.host, &self.path) == (&other.host, &other.path)
    }
}

/// Whether a browser that goes on as `next` says comes back to where it was denied, or to no end. `next` is where it is
/// sent from a place, being denied there too; nothing where it stays. Wherever it comes back it is shown a page, and so
/// it is where it would be sent to the very same place.
#[must_use]
pub fn comes_back(
    from: &Landing,
    first: Landing,
    next: impl Fn(&Landing) -> Option<Landing>,
) -> bool {
    let mut here = first;
    for _ in 0..STEPS_MAX {
        if here.is(from) {
            return true;
        }
        match next(&here) {
            None => return false,
            Some(there) if there.is(&here) => return false,
            Some(there) => here = there,
        }
    }
    true
}

/// More addresses than anybody is led along on purpose.
const STEPS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Landing {
        Landing::of(address, &HostName::parse("app.test").unwrap()).unwrap()
    }

    /// Whether a browser comes back that is sent along these addresses, from each to the next.
    fn circles(from: &str, steps: &[(&str, &str)]) -> bool {
        let next = |here: &Landing| {
            let mut steps = steps.iter();
            let step = steps.find(|(from, _)| at(from).is(here));
            step.map(|(_, to)| at(to))
        };
        let first = next(&at(from)).unwrap();
        comes_back(&at(from), first, next)
    }

    #[test]
    fn a_place_is_the_same_by_any_port_and_spelling() {
        for same in [
            "/a",
            "/a?b=c",
            "/x/../%61#d",
            "https://app.test/a",
            "https://APP.test:8443/a?b",
        ] {
            assert!(at(same).is(&at("/a")), "{same}");
        }
        assert!(at("https://app.test").is(&at("/")) && at("https://app.test?a").is(&at("/")));
        for other in ["/b", "/a/", "https://other.test/a", "https://app.test"] {
            assert!(!at(other).is(&at("/a")), "{other}");
        }
    }

    #[test]
    fn what_no_gateway_serves_is_no_landing() {
        let here = HostName::parse("app.test").unwrap();
        for address in [
            "http://app.test/a",
            "mailto:help@app.test",
            "https://[::1/",
            "/a%00",
        ] {
            assert_eq!(Landing::of(address, &here), None, "{address}");
        }
    }

    #[test]
    fn a_browser_that_would_be_sent_round_is_sent_nowhere() {
        assert!(!circles("/a", &[("/a", "/b")]));
        assert!(!circles("/a", &[("/a", "/b"), ("/b", "/c")]));
        assert!(circles("/a", &[("/a", "/a?again")]));
        let pair = [
            ("/a", "https://other.test/b"),
            ("https://other.test/b", "https://app.test:8443/a"),
        ];
        assert!(circles("/a", &pair));
        assert!(circles("https://other.test/b", &pair));
        // Who is led to a place that shows a page may go there.
        assert!(!circles("/a", &[("/a", "/b"), ("/b", "/b")]));
        let endless: Vec<_> = (0..20)
            .map(|n| (format!("/{n}"), format!("/{}", n + 1)))
            .collect();
        let endless: Vec<_> = endless.iter().map(|(from, to)| (&**from, &**to)).collect();
        assert!(circles("/0", &endless));
        assert!(!circles("/15", &endless));
    }
}
