//! Posted forms of every kind: the first line is the content type, the rest the body. What is read is bounded,
//! and can be posted again by a page.

use portway::decision::form::FieldValue;
use portway::decision::form::FormType;

/// Reads a form.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let kind = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let body = parts.next().unwrap_or_default();
    let Some(kind) = FormType::parse(&kind) else {
        return;
    };
    let Some(fields) = kind.fields(body) else {
        return;
    };
    let length = |value: &FieldValue| match value {
        FieldValue::File {
            name, media_type, ..
        } => name.len() + media_type.len(),
        FieldValue::Text(text) => text.len(),
    };
    let read: usize = fields
        .iter()
        .map(|field| field.name.len() + length(&field.value))
        .sum();
    assert!(
        read <= body.len() * 3 + 64 * fields.len(),
        "more comes out than went in"
    );
    assert_eq!(kind.fields(body).as_deref(), Some(fields.as_slice()));
}

/// A form of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "application/x-www-form-urlencoded\na=b&c=d%20e+f&g=",
        "text/plain; charset=utf-8\na=b\r\nc=d\r\n",
        "multipart/form-data; boundary=xx\n--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--xx\r\n\
         Content-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n--xx--\r\n",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}
