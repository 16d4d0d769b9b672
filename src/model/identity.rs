//! Who someone is: what an identity provider vouches for, and how surely.

use serde::Deserialize;
use serde::Serialize;

use crate::model::attribute::AttributeSet;
use crate::model::id::ProviderSessionId;
use crate::model::name::GroupName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::secret::Secret;

/// What an identity provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The identity store that knows the user.
    pub store: StoreName,
    /// The user, as the store spells it.
    pub subject: UserName,
    /// The name to show, if the store has one.
    pub name: Option<String>,
    /// The e-mail address, if the store has one.
    pub email: Option<String>,
    /// The groups of the user, in the store's order.
    pub groups: Vec<GroupName>,
    /// What else the store has about the user.
    #[serde(default)]
    pub attributes: AttributeSet,
}

/// What an identity store says of a user who signed in before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The user may still sign in, and this is what is known of them now.
    Known(Identity),
    /// The user is gone or disabled.
    Gone,
    /// This provider cannot say without a credential.
    Unsupported,
}

/// How surely a user was authenticated: 0 (not at all) to 99.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u8", into = "u8")]
pub struct AuthLevel(u8);

/// The number is no authentication level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an authentication level is a number of 0 to 99")]
pub struct NotALevel;

impl TryFrom<u8> for AuthLevel {
    type Error = NotALevel;

    fn try_from(level: u8) -> Result<Self, NotALevel> {
        Self::new(level).ok_or(NotALevel)
    }
}

impl From<AuthLevel> for u8 {
    fn from(level: AuthLevel) -> Self {
        level.0
    }
}

impl AuthLevel {
    /// No authentication at all.
    pub const NONE: Self = Self(0);
    /// The highest level there is.
    pub const MAX: Self = Self(99);

    /// Makes a level of 0 to 99; higher numbers are none.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if level <= Self::MAX.0 {
            Some(Self(level))
        } else {
            None
        }
    }

    /// The level as a number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What a user gives to prove who they are.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A user name, as typed, and a password.
    Password {
        /// The name as the user typed it.
        user: String,
        /// The password as the user typed it.
        password: Secret,
    },
    /// The word of a provider where the user signed in, which has been verified.
    Vouched(Box<Vouched>),
}

/// What a provider vouches for where users sign in elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// Who it is.
    pub identity: Identity,
    /// How surely.
    pub level: AuthLevel,
    /// The session there, where the provider names one.
    pub session: Option<ProviderSessionId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_is_not_read_as_one() {
        let read = |text| serde_json::from_str::<AuthLevel>(text);
        assert_eq!(read("99").unwrap(), AuthLevel::MAX);
        assert_eq!(serde_json::to_string(&AuthLevel::MAX).unwrap(), "99");
        for text in ["100", "255", "256", "-1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
