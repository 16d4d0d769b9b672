//! Who someone is: what an identity provider vouches for, and how surely.

use serde::Deserialize;
use serde::Serialize;

use crate::model::attribute::AttributeSet;
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
#[serde(transparent)]
pub struct AuthLevel(u8);

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
}
