//! Files that pages refer to: logos, fonts, further style sheets. They run nothing, whatever they hold.

use bytes::Bytes;

/// A file that pages refer to.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Asset {
    /// What it is.
    pub(in crate::proxy) content_type: &'static str,
    /// Its content.
    pub(in crate::proxy) content: Bytes,
}

impl Asset {
    /// A file of this name; none where its kind is not served.
    pub(super) fn new(name: &str, content: &[u8]) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        let ending = ending.to_ascii_lowercase();
        let mut types = TYPES.iter();
        let (_, content_type) = types.find(|(known, _)| *known == ending)?;
        Some(Self {
            content_type,
            content: Bytes::copy_from_slice(content),
        })
    }
}

const TYPES: &[(&str, &str)] = &[
    ("css", "text/css; charset=utf-8"),
    ("gif", "image/gif"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
];
/// The endings, for messages.
pub(super) const KINDS: &str = "css, gif, ico, jpeg, jpg, png, svg, webp, woff2";
