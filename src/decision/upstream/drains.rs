//! Which upstreams whoever runs the gateway has taken out, and how that is said.
//!
//! Keeping it on disk and acting on it is done above.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

/// The upstreams that are drained: no request begins there, those that run go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Drains(BTreeSet<Place>);

/// An upstream of a pool, or one address of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The pool.
    pub pool: String,
    /// Host and port as configured.
    pub upstream: String,
    /// The one address that is meant, of an upstream that is given by name; all of them where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Drains {
    /// Whether an address of an upstream is drained, by itself or with all of them.
    #[must_use]
    pub fn holds(&self, pool: &str, upstream: &str, address: &str) -> bool {
        self.0.iter().any(|place| {
            let is_meant = place.address.as_deref().is_none_or(|one| one == address);
            place.pool == pool && place.upstream == upstream && is_meant
        })
    }

    /// Drains these as well, and tells which of them were not drained before.
    #[must_use]
    pub fn with(&self, places: &[Place]) -> (Self, Vec<Place>) {
        let mut all = self.clone();
        let fresh = places.iter().filter(|place| all.0.insert((*place).clone()));
        let fresh = fresh.cloned().collect();
        (all, fresh)
    }

    /// Drains all but those that are chosen, and tells which these were.
    #[must_use]
    pub fn without(&self, is_chosen: impl Fn(&Place) -> bool) -> (Self, Vec<Place>) {
        let (chosen, left): (BTreeSet<Place>, _) =
            self.0.iter().cloned().partition(|place| is_chosen(place));
        (Self(left), chosen.into_iter().collect())
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.0.iter()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.address {
            Some(address) => write!(f, "{address} of {}", self.upstream),
            None => f.write_str(&self.upstream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(upstream: &str, address: Option<&str>) -> Place {
        Place {
            pool: "app".to_owned(),
            upstream: upstream.to_owned(),
            address: address.map(str::to_owned),
        }
    }

    #[test]
    fn a_name_is_drained_with_all_of_its_addresses_and_an_address_alone() {
        let all = [
            place("one.test:80", None),
            place("two.test:80", Some("10.0.0.2:80")),
        ];
        let (drains, fresh) = Drains::default().with(&all);
        assert_eq!(fresh, all);
        for (upstream, address, expected) in [
            ("one.test:80", "10.0.0.1:80", true),
            ("two.test:80", "10.0.0.2:80", true),
            ("two.test:80", "10.0.0.3:80", false),
            ("three.test:80", "10.0.0.2:80", false),
        ] {
            assert_eq!(drains.holds("app", upstream, address), expected);
            assert!(!drains.holds("other", upstream, address));
        }
    }

    #[test]
    fn what_is_drained_already_is_not_news() {
        let (drains, _) = Drains::default().with(&[place("one.test:80", None)]);
        let (same, fresh) = drains.with(&[place("one.test:80", None)]);
        assert_eq!((same, fresh), (drains.clone(), Vec::new()));
        let (none, gone) = drains.without(|_| true);
        assert_eq!(none, Drains::default());
        assert_eq!(gone, [place("one.test:80", None)]);
    }
}
