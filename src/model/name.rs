//! Names that people choose: of users, groups, hosts, pools, data centres.
//!
//! Each is checked once, where it is made, and is valid from then on.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

/// Why a text is not a name of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no characters.
    #[error("it is empty")]
    Empty,
    /// The name holds a character that its kind does not allow.
    #[error("the character {0:?} is not allowed")]
    Character(char),
    /// The name is longer than its kind allows.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// A host name that is not one.
    #[error("it is not a host name")]
    NotAHost,
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $bytes_max:expr, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Longest allowed name, in bytes.
            pub const BYTES_MAX: usize = $bytes_max;

            /// Checks a text and makes it a name.
            ///
            /// # Errors
            /// Says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text, Self::BYTES_MAX, $allowed).map(|()| Self(Arc::from(text)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

text_name! {
    /// The name a user signs in with, as the identity provider spells it.
    UserName, 128, |c: char| !c.is_control()
}

text_name! {
    /// A group that an identity provider vouches for.
    GroupName, 256, |c: char| !c.is_control()
}

text_name! {
    /// The name of an attribute of a user or a session.
    AttributeName, 64, word
}

text_name! {
    /// The name of an identity store; it must be the same in every data centre (MDC-ADOPT-8).
    StoreName, 32, word
}

text_name! {
    /// The name of a data centre: one deployment of gateways that share one session store.
    ClusterId, 16, word
}

text_name! {
    /// The part of every cookie name that keeps two gateways under one domain apart (D-24).
    DeploymentId, 16, word
}

text_name! {
    /// The name of a pool of upstreams.
    PoolName, 128, word
}

text_name! {
    /// The name of a policy.
    PolicyName, 128, word
}

text_name! {
    /// The name of a listener.
    ListenerName, 64, word
}

/// A host name in canonical form: lower case, no trailing dot, no port; an IP address is one too.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(Arc<str>);

impl HostName {
    /// Longest host name, in bytes (RFC 1035 §2.3.4).
    pub const BYTES_MAX: usize = 253;

    /// Checks a host name without a port and brings it into canonical form.
    ///
    /// # Errors
    /// `NotAHost` when the text is neither a DNS name nor an IP address (IPv6 in brackets).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::BYTES_MAX {
            return Err(NameError::TooLong(Self::BYTES_MAX));
        }
        if is_bracketed_ipv6(text) || text.split('.').all(is_label) {
            return Ok(Self(Arc::from(text.to_ascii_lowercase())));
        }
        Err(NameError::NotAHost)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

fn check(text: &str, bytes_max: usize, allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > bytes_max {
        return Err(NameError::TooLong(bytes_max));
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

const fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// A DNS label; underscores are let through because internal names carry them.
fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

fn is_bracketed_ipv6(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Data centres that a cookie can name, and so the most that there can be.
pub const DATA_CENTRES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_lower_case_without_trailing_dot() {
        assert_eq!(
            HostName::parse("APP.Example.COM.").unwrap().as_str(),
            "app.example.com"
        );
        assert_eq!(HostName::parse("[::1]").unwrap().as_str(), "[::1]");
    }

    #[test]
    fn what_is_not_a_host_name_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "a b",
            "a/b",
            "-a.test",
            "a@b",
            "app.test:80",
            "é.test",
            "a_b.c%",
        ] {
            assert!(HostName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_user_name_has_no_control_characters() {
        assert_eq!(UserName::parse("a\nb"), Err(NameError::Character('\n')));
        assert!(UserName::parse("Jörg (sales)").is_ok());
    }
}
