//! Short stand-ins for names in cookies, where sixteen data centres and the longest user name would not
//! fit: a few bytes of a SHA-256 over the name.
//!
//! A tag tells apart names that are known already; nobody is authenticated by one, and none is ever
//! turned back into a name that is not configured.

use sha2::Digest;
use sha2::Sha256;

use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::name::UserName;

/// Stands for a data centre that the reader knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterTag([u8; Self::BYTES]);

impl ClusterTag {
    /// Its length: of sixteen names, two have the same tag once in 140,000 configurations, and such a
    /// configuration is refused.
    pub const BYTES: usize = 3;

    /// The tag of a data centre.
    #[must_use]
    pub fn of(cluster: &ClusterId) -> Self {
        Self(first(
            &Sha256::new().chain_update(cluster.as_str()).finalize(),
        ))
    }

    /// Makes the tag from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// Stands for a user of an identity store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserTag([u8; Self::BYTES]);

impl UserTag {
    /// Its length: enough to notice a mismatch beside the id of an SSO session, which is what counts.
    pub const BYTES: usize = 8;

    /// The tag of a user.
    #[must_use]
    pub fn of(store: &StoreName, subject: &UserName) -> Self {
        Self::of_account(store, subject.as_str())
    }

    /// The tag of an account by the name that its store knows it by, or of one that does not exist.
    #[must_use]
    pub fn of_account(store: &StoreName, name: &str) -> Self {
        let store = store.as_str().as_bytes();
        // The length keeps one pair from reading like another.
        let hash = Sha256::new()
            .chain_update((store.len() as u64).to_be_bytes())
            .chain_update(store)
            .chain_update(name);
        Self(first(&hash.finalize()))
    }

    /// Makes the tag from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// Stands for an address that a browser is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressTag([u8; Self::BYTES]);

impl AddressTag {
    /// Its length: enough to tell the few addresses of one minute apart.
    pub const BYTES: usize = 4;

    /// The tag of a host's target.
    #[must_use]
    pub fn of(host: &HostName, target: &str) -> Self {
        // A target begins with a slash, which no host contains.
        let hash = Sha256::new()
            .chain_update(host.as_str())
            .chain_update(target);
        Self(first(&hash.finalize()))
    }

    /// Makes the tag from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// Two data centres have the same tag; one of them needs another cluster id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cookies cannot tell the data centres `{0}` and `{1}` apart")]
pub struct SameTag(pub ClusterId, pub ClusterId);

/// The data centres that are configured, found by their tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clusters(Vec<(ClusterTag, ClusterId)>);

impl Clusters {
    /// Takes the data centres that are configured, this one among them.
    ///
    /// # Errors
    /// [`SameTag`] when two of different names have the same tag.
    pub fn new(ids: impl IntoIterator<Item = ClusterId>) -> Result<Self, SameTag> {
        let mut known = Self::default();
        for id in ids {
            let tag = ClusterTag::of(&id);
            match known.find(tag) {
                None => known.0.push((tag, id)),
                Some(same) if *same == id => {}
                Some(other) => return Err(SameTag(other.clone(), id)),
            }
        }
        Ok(known)
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// The data centre with this tag, if it is configured.
    #[must_use]
    pub fn find(&self, tag: ClusterTag) -> Option<&ClusterId> {
        let found = self.0.iter().find(|(known, _)| *known == tag);
        found.map(|(_, id)| id)
    }
}

fn first<const N: usize>(hash: &[u8]) -> [u8; N] {
    hash.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str) -> ClusterId {
        ClusterId::parse(name).unwrap()
    }

    #[test]
    fn a_tag_finds_the_data_centre_it_was_made_of_and_no_other() {
        let known = Clusters::new(["north", "south"].map(cluster)).unwrap();
        for name in ["north", "south"] {
            let tag = ClusterTag::of(&cluster(name));
            assert_eq!(known.find(tag), Some(&cluster(name)));
        }
        assert_eq!(known.find(ClusterTag::of(&cluster("east"))), None);
    }

    #[test]
    fn a_tag_is_the_same_in_every_version_of_the_program() {
        // The first bytes of `printf north | sha256sum`.
        let tag = ClusterTag::of(&cluster("north"));
        assert_eq!(tag.as_bytes(), &[0xDC, 0x36, 0x5E]);
    }

    /// Two names whose tags are the same, found by trying.
    #[test]
    fn two_data_centres_of_one_tag_are_refused() {
        let mut seen = std::collections::HashMap::new();
        let (one, other) = (0..)
            .find_map(|n: u32| {
                let name = cluster(&format!("dc-{n}"));
                let earlier = seen.insert(*ClusterTag::of(&name).as_bytes(), name.clone())?;
                Some((earlier, name))
            })
            .unwrap();
        let refused = Clusters::new([one.clone(), other.clone()]);
        assert_eq!(refused, Err(SameTag(one.clone(), other)));
        assert!(Clusters::new([one.clone(), one]).is_ok(), "named twice");
    }

    #[test]
    fn a_user_of_another_store_has_another_tag() {
        let tag = |store, user| {
            UserTag::of(
                &StoreName::parse(store).unwrap(),
                &UserName::parse(user).unwrap(),
            )
        };
        assert_eq!(tag("staff", "alice"), tag("staff", "alice"));
        assert_ne!(tag("staff", "alice"), tag("staff", "bob"));
        assert_ne!(tag("staff", "alice"), tag("partners", "alice"));
        assert_ne!(tag("a", "bc"), tag("ab", "c"));
    }
}
