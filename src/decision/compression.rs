//! Which answers are compressed on their way to the client, and how (RFC 9110 §8.4, §12.5.3).
//!
//! Deliberately absent: the encoders, and what becomes of the head, which are `proxy`'s.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Version;
use http::header;

/// What is compressed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The codings that are offered, the one first that is taken where a client likes several alike.
    pub codings: Vec<Coding>,
    /// How hard it is tried, from 1 to 9.
    pub level: u8,
    /// An answer whose length is known and below this, in bytes, is left as it is.
    pub bytes_min: u64,
    /// The media types.
    pub types: Vec<MediaPattern>,
}

/// How an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// Media types: one, or all that begin and end so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPattern {
    begin: Box<str>,
    /// What they end in, where anything may stand in between.
    end: Option<Box<str>>,
}

/// What of a request counts.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'r> {
    /// Its method.
    pub method: &'r Method,
    /// The version of HTTP that its client speaks.
    pub version: Version,
    /// Its headers.
    pub headers: &'r HeaderMap,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is compressed.
    Coded(Coding),
    /// It stays as it is, whoever asks.
    Plain,
    /// It stays as it is, and others who ask may get it compressed.
    PlainForNow,
}

impl Coding {
    /// All, by the names that they have in HTTP.
    pub const WORDS: &'static [(&'static str, Self)] = &[
        ("br", Self::Brotli),
        ("gzip", Self::Gzip),
        ("zstd", Self::Zstd),
    ];

    /// Its name in HTTP.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Whether a client means it by a name; `x-gzip` is an older one (RFC 9110 §8.4.1.3).
    fn is_called(self, name: &str) -> bool {
        let older = (self == Self::Gzip).then_some("x-gzip");
        let mut names = std::iter::once(self.as_str()).chain(older);
        names.any(|known| name.eq_ignore_ascii_case(known))
    }
}

impl MediaPattern {
    /// Reads a media type, `*` for all of them, or one with a `*` for any text: `text/*`, `application/*+json`.
    /// `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+/*".contains(&byte);
        let count = |wanted: u8| text.bytes().filter(|byte| *byte == wanted).count();
        let is_type = count(b'/') == 1 && !text.starts_with('/') && !text.ends_with('/');
        let fits = (is_type || text == "*") && count(b'*') <= 1;
        if !fits || !text.bytes().all(is_plain) {
            return None;
        }
        let text = text.to_ascii_lowercase();
        Some(match text.split_once('*') {
            Some((begin, end)) => Self {
                begin: begin.into(),
                end: Some(end.into()),
            },
            None => Self {
                begin: text.into(),
                end: None,
            },
        })
    }

    /// Whether a media type, without parameters and in lower case, is one of them.
    fn takes(&self, media: &str) -> bool {
        let rest = media.strip_prefix(self.begin.as_ref());
        rest.is_some_and(|rest| match &self.end {
            Some(end) => rest.ends_with(end.as_ref()),
            None => rest.is_empty(),
        })
    }
}

impl Compression {
    /// Says what becomes of an answer.
    #[must_use]
    pub fn judge(&self, asked: &Asked<'_>, status: StatusCode, answer: &HeaderMap) -> Verdict {
        if !STATUSES.contains(&status) || !self.suits(answer) {
            return Verdict::Plain;
        }
        let takes_chunks = asked.version >= Version::HTTP_11;
        let is_whole = *asked.method != Method::HEAD && !asked.headers.contains_key(header::RANGE);
        if !takes_chunks || !is_whole || forbids_changes(asked.headers) {
            return Verdict::PlainForNow;
        }
        let coding = self.liked_by(asked.headers);
        coding.map_or(Verdict::PlainForNow, Verdict::Coded)
    }

    /// Whether an answer with these headers may be compressed for somebody.
    fn suits(&self, answer: &HeaderMap) -> bool {
        if KEPT.iter().any(|name| answer.contains_key(name)) || forbids_changes(answer) {
            return false;
        }
        let length = answer.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        // No bytes stay none, whatever the minimum.
        if length.is_some_and(|bytes: u64| bytes < self.bytes_min.max(1)) {
            return false;
        }
        let media = answer.get(header::CONTENT_TYPE);
        let media = media.and_then(|media| media.to_str().ok()?.split(';').next());
        media.is_some_and(|media| {
            let media = media.trim().to_ascii_lowercase();
            !STREAMS.iter().any(|stream| media.starts_with(stream))
                && self.types.iter().any(|pattern| pattern.takes(&media))
        })
    }

    /// The coding that a client likes best, if it likes one at least as much as none.
    fn liked_by(&self, asked: &HeaderMap) -> Option<Coding> {
        let lines = asked.get_all(header::ACCEPT_ENCODING).iter();
        let items = lines.filter_map(|line| line.to_str().ok());
        let items: Vec<(&str, u16)> = items
            .flat_map(|line| line.split(','))
            .filter_map(weighted)
            .take(ITEMS_MAX)
            .collect();
        let weight = |is: &dyn Fn(&str) -> bool| {
            let mut items = items.iter();
            items.find(|(name, _)| is(name)).map(|(_, weight)| *weight)
        };
        let any = weight(&|name| name == "*");
        let plain = weight(&|name| name.eq_ignore_ascii_case("identity")).unwrap_or(0);
        let mut best: Option<(u16, Coding)> = None;
        for coding in &self.codings {
            let likes = weight(&|name| coding.is_called(name)).or(any).unwrap_or(0);
            let is_better = best.is_none_or(|(best, _)| likes > best);
            if likes > 0 && likes >= plain && is_better {
                best = Some((likes, *coding));
            }
        }
        best.map(|(_, coding)| coding)
    }
}

/// Turns a strong validator into a weak one, for what is compressed is not the same bytes (RFC 9110 §8.8.3); what is
/// no validator is none.
#[must_use]
pub fn weakened(tag: &HeaderValue) -> Option<HeaderValue> {
    let bytes = tag.as_bytes();
    if bytes.starts_with(WEAK) {
        return Some(tag.clone());
    }
    let quoted = bytes.starts_with(b"\"").then(|| [WEAK, bytes].concat())?;
    HeaderValue::from_bytes(&quoted).ok()
}

/// The validator of an answer that says that nothing has changed, as its client knows it: where it asked by the weak
/// form alone, its copy was compressed, and the strong form would not fit it (RFC 9111 §4.3.4).
#[must_use]
pub fn known_as(asked: &HeaderMap, tag: &HeaderValue) -> Option<HeaderValue> {
    let weak = weakened(tag).filter(|weak| weak != tag)?;
    let (strong, as_weak) = (tag.to_str().ok()?, weak.to_str().ok()?);
    let lines = asked.get_all(header::IF_NONE_MATCH).iter();
    let asks: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    let by_weak = asks.iter().any(|line| line.contains(as_weak));
    let by_strong = asks
        .iter()
        .any(|line| line.replace(as_weak, "").contains(strong));
    (by_weak && !by_strong).then_some(weak)
}

/// Whether a message says that it must stay as it is (RFC 9111 §5.2.1.6, §5.2.2.6).
#[must_use]
pub fn forbids_changes(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::CACHE_CONTROL).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let mut words = lines.flat_map(|line| line.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case("no-transform"))
}

/// A coding with its weight in thousandths; `None` where that cannot be read.
fn weighted(item: &str) -> Option<(&str, u16)> {
    let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
    let (name, parameters) = (name.trim(), parameters.trim());
    if parameters.is_empty() {
        return Some((name, WHOLE));
    }
    let (key, weight) = parameters.split_once('=')?;
    let weight = weight.trim();
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    let is_number = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !key.trim().eq_ignore_ascii_case("q") || !is_number {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match (whole, part) {
        ("0", part) => Some((name, part)),
        ("1", 0) => Some((name, WHOLE)),
        _ => None,
    }
}

/// Answers that have what was asked for as their body, or a page that says that there is none: nginx's, and the one
/// that says that it is another's copy.
const STATUSES: [StatusCode; 4] = [
    StatusCode::OK,
    StatusCode::NON_AUTHORITATIVE_INFORMATION,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
];
/// An answer with one of these is compressed already, is a part, has a digest of its bytes, or says something at its
/// end, which only an answer that passes as it is can.
const KEPT: [HeaderName; 7] = [
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::TRAILER,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];
/// What comes piece by piece, each to be read at once, and what frames its own parts.
const STREAMS: [&str; 3] = ["text/event-stream", "application/grpc", "multipart/"];
/// More are not read.
const ITEMS_MAX: usize = 32;
const WHOLE: u16 = 1000;
const WEAK: &[u8] = b"W/";

#[cfg(test)]
mod tests;
