//! The headers that tell an application who is signed in, and what clients may not say in their place.
//!
//! Removal and insertion are one rule: whatever folds to a name that the gateway sets is removed from
//! the client's request on every route, anonymous ones included, before anything is set. Reading and
//! writing the request itself is done above.

use std::borrow::Cow;

use http::HeaderName;
use http::HeaderValue;

use crate::decision::forwarded::CLIENT_CLAIM_PREFIXES;
use crate::decision::forwarded::CLIENT_CLAIMS;
use crate::decision::percent;
use crate::model::identity::Identity;
use crate::model::name::GroupName;
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
    /// Which two characters names and prefixes begin with: in the row of the first a bit for the second. Few
    /// headers of clients begin so.
    beginnings: [u32; INITIALS],
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
        let mut beginnings = [0; INITIALS];
        let of_names = names.iter().filter_map(|name| beginning(name.bytes()));
        let of_prefixes = prefixes().filter_map(|prefix| beginning(prefix.bytes()));
        for (first, second) in of_names.chain(of_prefixes) {
            if let Some(row) = beginnings.get_mut(first) {
                *row |= second;
            }
        }
        Self { names, beginnings }
    }

    /// Whether a client's header of this name is removed. Costs a few comparisons and no allocation.
    #[must_use]
    pub fn matches(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        // A name without letters and digits folds to nothing, which no protected name does.
        let Some((first, second)) = beginning(folded_bytes(name)) else {
            return false;
        };
        let row = self.beginnings.get(first).copied().unwrap_or_default();
        let begins = |prefix| begins_with(name, prefix);
        row & second != 0 && (prefixes().any(begins) || self.is_name(name))
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
    "proxy-mutual-auth-header",
];

/// Beginnings of those that tell of the certificates of clients, folded: `Client-Cert` of RFC 9440, and what fronts
/// of TLS call theirs (W-25).
const DEFAULT_PREFIXES: &[&str] = &[
    "clientcert",
    "sslclient",
    "xclientcert",
    "xsslcert",
    "xsslclient",
];

fn prefixes() -> impl Iterator<Item = &'static str> {
    let claims = CLIENT_CLAIM_PREFIXES.iter();
    claims.chain(DEFAULT_PREFIXES).copied()
}

/// The row of the first character and the bit of the second one, or of there being none.
fn beginning(mut folded: impl Iterator<Item = u8>) -> Option<(usize, u32)> {
    let place = |b: u8| match b {
        b'a'..=b'z' => usize::from(b - b'a'),
        // Digits share one.
        _ => INITIALS - 1,
    };
    let first = place(folded.next()?);
    Some((first, 1 << folded.next().map_or(INITIALS, place)))
}

fn begins_with(name: &str, prefix: &str) -> bool {
    folded_bytes(name).take(prefix.len()).eq(prefix.bytes())
}

/// Why an identity cannot be passed on. The request is denied: half an identity is another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityHeaderError {
    /// A value is longer than a header can be expected to be.
    #[error(
        "the header {header} would be {bytes} bytes long, and at most {VALUE_BYTES_MAX} are sent; tell the application \
         of fewer groups (`only_groups`), or of none (`identity_headers.groups: null`)"
    )]
    TooLong {
        /// The header.
        header: HeaderName,
        /// How long it would be.
        bytes: usize,
    },
}

/// Letters, and one for all digits.
const INITIALS: usize = 27;
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
pub fn values<'i>(
    identity: &'i Identity,
    attributes: Attributes,
    names: &'i IdentityHeaderNames,
) -> impl Iterator<Item = Result<(&'i HeaderName, HeaderValue), IdentityHeaderError>> {
    let user = names.user.as_ref();
    let user = user.map(|name| (name, escaped(identity.subject.as_str())));
    let name_of = |name: &'i Option<HeaderName>| {
        let name = name.as_ref();
        name.filter(|_| attributes != Attributes::Unknown)
    };
    let text_of = |name, text: &'i Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        name_of(name).map(|name| (name, escaped(text)))
    };
    let groups = name_of(&names.groups).map(|name| (name, Cow::Owned(joined(&identity.groups))));
    let email = text_of(&names.email, &identity.email);
    let name = text_of(&names.name, &identity.name);
    [user, groups, email, name]
        .into_iter()
        .flatten()
        .filter(|(_, text)| !text.is_empty())
        .map(checked)
}

/// Whether these groups fit into one header.
#[must_use]
pub fn groups_fit(groups: &[GroupName]) -> bool {
    joined(groups).len() <= VALUE_BYTES_MAX
}

fn checked<'i>(
    (header, text): (&'i HeaderName, Cow<'_, [u8]>),
) -> Result<(&'i HeaderName, HeaderValue), IdentityHeaderError> {
    let bytes = text.len();
    let value = match text {
        Cow::Borrowed(text) => HeaderValue::from_bytes(text),
        Cow::Owned(text) => HeaderValue::try_from(text),
    };
    match value {
        Ok(value) if bytes <= VALUE_BYTES_MAX => Ok((header, value)),
        // Escaped text is always a header value: only its length can be wrong.
        _ => Err(IdentityHeaderError::TooLong {
            header: header.clone(),
            bytes,
        }),
    }
}

fn joined(groups: &[GroupName]) -> Vec<u8> {
    let bytes = groups.iter().map(|group| group.as_str().len() + 1).sum();
    let mut joined = Vec::with_capacity(bytes);
    for (at, group) in groups.iter().enumerate() {
        if at > 0 {
            joined.push(b',');
        }
        let group = group.as_str();
        percent::escape(&mut joined, group, |at, byte| {
            byte != b',' && is_plain(group, at, byte)
        });
    }
    joined
}

/// Most texts stand as they are.
fn escaped(text: &str) -> Cow<'_, [u8]> {
    let mut bytes = text.bytes().enumerate();
    if bytes.all(|(at, byte)| is_plain(text, at, byte)) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::new();
    percent::escape(&mut out, text, |at, byte| is_plain(text, at, byte));
    Cow::Owned(out)
}

const fn is_plain(text: &str, at: usize, byte: u8) -> bool {
    let is_inner_space = byte == b' ' && at != 0 && at + 1 != text.len();
    (byte.is_ascii_graphic() && byte != b'%') || is_inner_space
}
