//! The headers that tell an application who is signed in, and what clients may not say in their place.
//!
//! Removal and insertion are one rule: whatever folds to a name that the gateway sets is removed from
//! the client's request on every route, anonymous ones included, before anything is set. Reading and
//! writing the request itself is done above.

use http::HeaderName;
use http::HeaderValue;

use crate::decision::forwarded::CLIENT_CLAIM_PREFIXES;
use crate::decision::forwarded::CLIENT_CLAIMS;
use crate::model::identity::Identity;
use crate::model::session::Attributes;

/// The headers that tell an application who is signed in; an absent one is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityHeaderNames {
    /// The user.
    pub user: Option<HeaderName>,
    /// The groups, separated by commas.
    pub groups: Option<HeaderName>,
    /// The e-mail address.
    pub email: Option<HeaderName>,
    /// The name to show.
    pub name: Option<HeaderName>,
}

impl IdentityHeaderNames {
    /// The names there are.
    pub fn iter(&self) -> impl Iterator<Item = &HeaderName> {
        [&self.user, &self.groups, &self.email, &self.name]
            .into_iter()
            .flatten()
    }
}

/// Brings a header name into the form in which servers may confuse it with others: lower case, and
/// nothing but letters and digits. CGI and its heirs read `X-Remote-User`, `x_remote_user` and
/// `X.Remote.User` alike.
#[must_use]
pub fn folded(name: &str) -> String {
    folded_bytes(name).map(char::from).collect()
}

/// Whether two header names are one in that form.
#[must_use]
pub fn folds_alike(one: &str, other: &str) -> bool {
    folded_bytes(one).eq(folded_bytes(other))
}

fn folded_bytes(name: &str) -> impl Iterator<Item = u8> {
    name.bytes()
        .filter(u8::is_ascii_alphanumeric)
        .map(|b| b.to_ascii_lowercase())
}

/// The names that no client's header may fold to.
#[derive(Clone, Debug, Default)]
pub struct ProtectedNames {
    /// Folded, sorted.
    names: Vec<String>,
    /// A bit for each character that a name or a prefix begins with.
    initials: u64,
}

impl ProtectedNames {
    /// Protects the names given, the default names of identity headers, and all that
    /// `forwarded::CLIENT_CLAIMS` has.
    #[must_use]
    pub fn new<'n>(set_by_gateway: impl IntoIterator<Item = &'n HeaderName>) -> Self {
        let configured = set_by_gateway.into_iter().map(|name| folded(name.as_str()));
        let known = DEFAULT_NAMES
            .iter()
            .chain(CLIENT_CLAIMS)
            .map(|name| folded(name));
        let mut names: Vec<String> = configured.chain(known).collect();
        names.sort_unstable();
        names.dedup();
        let begun = names
            .iter()
            .map(String::as_str)
            .chain(CLIENT_CLAIM_PREFIXES.iter().copied());
        let initials = begun
            .filter_map(|name| name.bytes().next())
            .fold(0, |bits, b| bits | initial(b));
        Self { names, initials }
    }

    /// Whether a client's header of this name is removed. Costs a few comparisons and no allocation.
    #[must_use]
    pub fn matches(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        // A name without letters and digits folds to nothing, which no protected name does.
        let Some(first) = folded_bytes(name).next() else {
            return false;
        };
        self.initials & initial(first) != 0
            && (self.is_name(name)
                || CLIENT_CLAIM_PREFIXES
                    .iter()
                    .any(|prefix| begins_with(name, prefix)))
    }

    fn is_name(&self, name: &str) -> bool {
        self.names
            .binary_search_by(|known| known.bytes().cmp(folded_bytes(name)))
            .is_ok()
    }
}

/// What applications look at by custom, whatever this gateway is set up to send.
const DEFAULT_NAMES: &[&str] = &[
    "remote-user",
    "remote-groups",
    "remote-email",
    "remote-name",
];

/// One bit for each letter; digits share one.
const fn initial(folded: u8) -> u64 {
    match folded {
        b'a'..=b'z' => 1 << (folded - b'a'),
        _ => 1 << 26,
    }
}

fn begins_with(name: &str, prefix: &str) -> bool {
    folded_bytes(name).take(prefix.len()).eq(prefix.bytes())
}

/// Why an identity cannot be passed on. The request is denied: half an identity is another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityHeaderError {
    /// A value is longer than a header can be expected to be.
    #[error("the header {header} would be {bytes} bytes long; at most {VALUE_BYTES_MAX} are sent")]
    TooLong {
        /// The header.
        header: HeaderName,
        /// How long it would be.
        bytes: usize,
    },
}

/// Longest value of an identity header, in bytes. Servers commonly take header blocks of 8 to 16 KiB.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;

/// Writes an identity as headers; what the identity does not have, or has empty, is not sent, and of
/// attributes that cannot be relied on none is (S-10).
///
/// Visible ASCII characters and spaces between them stand as they are. All others, control characters
/// among them, and `%` are written as the percent escapes of their UTF-8 bytes; in groups the comma is
/// too. Decoding the escapes gives back exactly what the identity provider said.
///
/// # Errors
/// When a value is too long to send. Nothing is ever cut off: a policy of the application that denies
/// a group must not open because that group came last.
pub fn values(
    identity: &Identity,
    attributes: Attributes,
    names: &IdentityHeaderNames,
) -> Result<Vec<(HeaderName, HeaderValue)>, IdentityHeaderError> {
    if attributes == Attributes::Unknown {
        let user = names.user.clone();
        let user = user.map(|name| checked((name, escaped(Some(identity.subject.as_str())))));
        return user.into_iter().collect();
    }
    let mut groups = Vec::new();
    for (at, group) in identity.groups.iter().enumerate() {
        if at > 0 {
            groups.push(b',');
        }
        escape(&mut groups, group.as_str(), Some(b','));
    }
    let sent = [
        (&names.user, escaped(Some(identity.subject.as_str()))),
        (&names.groups, groups),
        (&names.email, escaped(identity.email.as_deref())),
        (&names.name, escaped(identity.name.as_deref())),
    ];
    let sent = sent
        .into_iter()
        .filter_map(|(name, text)| Some((name.clone()?, text)));
    sent.filter(|(_, text)| !text.is_empty())
        .map(checked)
        .collect()
}

fn checked(
    (header, text): (HeaderName, Vec<u8>),
) -> Result<(HeaderName, HeaderValue), IdentityHeaderError> {
    let bytes = text.len();
    match HeaderValue::try_from(text) {
        Ok(value) if bytes <= VALUE_BYTES_MAX => Ok((header, value)),
        // Escaped text is always a header value: only its length can be wrong.
        _ => Err(IdentityHeaderError::TooLong { header, bytes }),
    }
}

fn escaped(text: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    escape(&mut out, text.unwrap_or_default(), None);
    out
}

fn escape(out: &mut Vec<u8>, text: &str, separator: Option<u8>) {
    let last = text.len().saturating_sub(1);
    out.reserve(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let is_inner_space = byte == b' ' && at != 0 && at != last;
        let is_plain = byte.is_ascii_graphic() && byte != b'%' && separator != Some(byte);
        if is_plain || is_inner_space {
            out.push(byte);
        } else {
            out.extend([b'%', hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
        }
    }
}

const fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..10 => b'0' + nibble,
        _ => b'A' - 10 + nibble,
    }
}
