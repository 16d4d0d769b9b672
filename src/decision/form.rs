//! The fields of a posted form, in each of the three ways in which HTML posts one: what it takes to post it
//! again (WHATWG HTML §4.10.21, RFC 7578).
//!
//! A body that a page could not post again just so is none: not UTF-8, with zero bytes, not what its type
//! says. Nothing here judges what a field means.

use std::borrow::Cow;

use serde::Deserialize;
use serde::Serialize;

use crate::model::secret::Secret;

/// How a form is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// `multipart/form-data`.
    Multipart,
    /// `text/plain`.
    Text,
    /// `application/x-www-form-urlencoded`.
    UrlEncoded,
}

/// How a body is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormType {
    /// How it is encoded.
    pub encoding: Encoding,
    /// What stands between the parts of one that is `Multipart`.
    pub boundary: String,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: FieldValue,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// A file.
    File {
        /// What it was called.
        name: String,
        /// Its media type, as the browser said.
        media_type: String,
        /// What is in it.
        content: Secret,
    },
    /// A text.
    Text(String),
}

impl FormType {
    /// Reads a `Content-Type`; none where it is no form's, or of another charset than UTF-8.
    #[must_use]
    pub fn parse(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';');
        let encoding = match parts.next()?.trim().to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => Encoding::UrlEncoded,
            "multipart/form-data" => Encoding::Multipart,
            "text/plain" => Encoding::Text,
            _ => return None,
        };
        let mut boundary = String::new();
        for part in parts {
            let (name, value) = part.trim().split_once('=')?;
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "boundary" => value.clone_into(&mut boundary),
                "charset" if !value.eq_ignore_ascii_case("utf-8") => return None,
                _ => {}
            }
        }
        let fits = (1..=BOUNDARY_MAX).contains(&boundary.len());
        (fits || encoding != Encoding::Multipart).then_some(Self { encoding, boundary })
    }

    /// Reads the fields of a body; none where a page could not post them again just so.
    #[must_use]
    pub fn fields(&self, body: &[u8]) -> Option<Vec<Field>> {
        let fields = match self.encoding {
            Encoding::Multipart => multipart(body, &self.boundary)?,
            Encoding::Text => text(body)?,
            Encoding::UrlEncoded => url_encoded(body)?,
        };
        let is_sendable = |text: &str| !text.contains('\0');
        let all = fields.iter().all(|field| {
            let value = match &field.value {
                FieldValue::File { name, .. } => name,
                FieldValue::Text(text) => text,
            };
            is_sendable(&field.name) && is_sendable(value)
        });
        (all && fields.len() <= FIELDS_MAX).then_some(fields)
    }
}

fn url_encoded(body: &[u8]) -> Option<Vec<Field>> {
    // What does not decode to UTF-8 comes from a page in another encoding; this would post other bytes.
    let replaced = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    let fields = form_urlencoded::parse(body).take(FIELDS_MAX + 1);
    fields
        .map(|(name, value)| (!replaced(&name) && !replaced(&value)).then(|| field(name, value)))
        .collect()
}

/// Lines of `name=value`. A line without an equals sign goes on with the value before it.
fn text(body: &[u8]) -> Option<Vec<Field>> {
    let text = std::str::from_utf8(body).ok()?;
    let text = text.strip_suffix("\r\n")?;
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.split("\r\n").take(FIELDS_MAX + 1) {
        match (line.split_once('='), fields.last_mut()) {
            (Some((name, value)), _) => fields.push((name.to_owned(), value.to_owned())),
            (None, Some((_, value))) => {
                value.push_str("\r\n");
                value.push_str(line);
            }
            (None, None) => return None,
        }
    }
    let fields = fields.into_iter();
    Some(
        fields
            .map(|(name, value)| field(name.into(), value.into()))
            .collect(),
    )
}

fn field(name: Cow<'_, str>, value: Cow<'_, str>) -> Field {
    Field {
        name: name.into_owned(),
        value: FieldValue::Text(value.into_owned()),
    }
}

fn multipart(body: &[u8], boundary: &str) -> Option<Vec<Field>> {
    let opening = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(opening.as_bytes())?;
    let mut fields = Vec::new();
    while !is_end(rest)? {
        rest = rest.strip_prefix(b"\r\n")?;
        let end = find(rest, between.as_bytes())?;
        let (inside, after) = rest.split_at_checked(end)?;
        fields.push(part(inside)?);
        rest = after.strip_prefix(between.as_bytes())?;
        if fields.len() > FIELDS_MAX {
            return None;
        }
    }
    Some(fields)
}

/// Whether the boundary just read was the last one; none where neither is written.
fn is_end(rest: &[u8]) -> Option<bool> {
    if rest.starts_with(b"--") {
        return Some(true);
    }
    rest.starts_with(b"\r\n").then_some(false)
}

fn part(part: &[u8]) -> Option<Field> {
    let head_end = find(part, b"\r\n\r\n")?;
    let (head, content) = part.split_at_checked(head_end)?;
    let content = content.strip_prefix(b"\r\n\r\n")?;
    let head = std::str::from_utf8(head).ok()?;
    let (mut disposition, mut media_type) = (None, "text/plain");
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        match name.trim().to_ascii_lowercase().as_str() {
            "content-disposition" => disposition = Some(value.trim()),
            "content-type" => media_type = value.trim(),
            // Browsers write no other.
            _ => return None,
        }
    }
    let disposition = disposition?.strip_prefix("form-data")?;
    let name = parameter(disposition, "name")?;
    let value = match parameter(disposition, "filename") {
        Some(file) => FieldValue::File {
            name: file,
            media_type: media_type.to_owned(),
            content: Secret::new(content.to_vec()),
        },
        None => FieldValue::Text(std::str::from_utf8(content).ok()?.to_owned()),
    };
    Some(Field { name, value })
}

/// A parameter in quotes, in which browsers write `%22`, `%0D` and `%0A` for what would end it.
fn parameter(disposition: &str, name: &str) -> Option<String> {
    let (_, rest) = disposition.split_once(&format!("; {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    let value = value.replace("%22", "\"").replace("%0D", "\r");
    Some(value.replace("%0A", "\n"))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

/// Most fields of a form that is kept.
const FIELDS_MAX: usize = 1000;
/// Longest boundary (RFC 2046 §5.1.1).
const BOUNDARY_MAX: usize = 70;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(content_type: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
        let fields = FormType::parse(content_type)?.fields(body)?;
        let shown = fields.into_iter().map(|field| match field.value {
            FieldValue::Text(text) => (field.name, text),
            FieldValue::File {
                name,
                media_type,
                content,
            } => {
                let content = String::from_utf8_lossy(content.expose()).into_owned();
                (field.name, format!("{name}|{media_type}|{content}"))
            }
        });
        Some(shown.collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        let owned = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    const URL_ENCODED: &str = "application/x-www-form-urlencoded";

    #[test]
    fn a_url_encoded_form_is_read_in_its_order_d_22() {
        let body = b"a=1&b=%20x+y&a=2&%C3%A4=%E2%82%AC&empty=";
        let expected = [
            ("a", "1"),
            ("b", " x y"),
            ("a", "2"),
            ("ä", "€"),
            ("empty", ""),
        ];
        assert_eq!(fields(URL_ENCODED, body), Some(pairs(&expected)));
        assert_eq!(
            fields(&format!("{URL_ENCODED}; charset=UTF-8"), b""),
            Some(pairs(&[]))
        );
    }

    #[test]
    fn a_form_of_another_encoding_cannot_be_posted_again() {
        assert_eq!(fields(URL_ENCODED, b"a=%E4"), None);
        assert_eq!(fields(URL_ENCODED, b"a=%00"), None);
        assert_eq!(
            fields(&format!("{URL_ENCODED};charset=iso-8859-1"), b"a=1"),
            None
        );
        assert_eq!(fields("application/json", b"{}"), None);
        assert_eq!(fields("text/plain", b"a=\xe4\r\n"), None);
        assert_eq!(fields("", b""), None);
    }

    #[test]
    fn a_form_of_plain_text_is_read_so_that_its_lines_stay_d_22() {
        let body = b"a=1\r\nlong=one\r\ntwo\r\n\r\nb==\r\n";
        let expected = [("a", "1"), ("long", "one\r\ntwo\r\n"), ("b", "=")];
        assert_eq!(fields("text/plain", body), Some(pairs(&expected)));
        for body in [&b"a=1"[..], b"nothing\r\n", b""] {
            assert_eq!(fields("text/plain", body), None);
        }
    }

    #[test]
    fn a_multipart_form_is_read_with_its_files_d_22() {
        let body = b"--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\ntwo\r\n\
            --xx\r\nContent-Disposition: form-data; name=\"f\"; filename=\"b %22c%22.txt\"\r\n\
            Content-Type: image/png\r\n\r\n\x01--xx\r\n--xx--\r\n";
        let expected = [
            ("a", "one\r\ntwo"),
            ("f", "b \"c\".txt|image/png|\u{1}--xx"),
        ];
        assert_eq!(
            fields("multipart/form-data; boundary=xx", body),
            Some(pairs(&expected))
        );
        let quoted = "Multipart/Form-Data; Boundary=\"xx\"";
        assert_eq!(fields(quoted, b"--xx--\r\n"), Some(pairs(&[])));
        for broken in [
            &body[..body.len() - 10],
            b"--xx\r\nContent-Disposition: form-data\r\n\r\n\r\n--xx--",
            b"--xx\r\nX: y\r\n\r\n\r\n--xx--",
            b"--yy--",
            b"",
        ] {
            assert_eq!(fields("multipart/form-data; boundary=xx", broken), None);
        }
        assert_eq!(FormType::parse("multipart/form-data"), None);
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        assert_eq!(FormType::parse(&long), None);
    }

    #[test]
    fn the_number_of_fields_is_bounded() {
        let body = "a=1&".repeat(1001);
        assert_eq!(fields(URL_ENCODED, body.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn what_a_browser_encodes_is_read_again(
            pairs in proptest::collection::vec(("[^\u{0}\u{FFFD}]{0,8}", "[^\u{0}\u{FFFD}]{0,16}"), 1..6),
        ) {
            let mut body = form_urlencoded::Serializer::new(String::new());
            body.extend_pairs(&pairs);
            let read = fields(URL_ENCODED, body.finish().as_bytes());
            prop_assert_eq!(read, Some(pairs));
        }

        #[test]
        fn no_body_is_too_odd(
            body in proptest::collection::vec(any::<u8>(), 0..200),
            content_type in prop_oneof![
                Just(URL_ENCODED.to_owned()),
                Just("text/plain".to_owned()),
                Just("multipart/form-data; boundary=x".to_owned()),
                "[ -~]{0,40}",
            ],
        ) {
            fields(&content_type, &body);
        }
    }
}
