//! Percent escapes (RFC 3986 §2.1): how a value is written where not every character may stand.

/// Writes a text, and whatever of it is not plain as the escapes of its UTF-8 bytes. What is plain is asked of
/// each byte and its place; decoding gives back exactly what the text was if `%` is not plain.
pub fn escape(out: &mut Vec<u8>, text: &str, is_plain: impl Fn(usize, u8) -> bool) {
    out.reserve(text.len());
    for (at, byte) in text.bytes().enumerate() {
        if is_plain(at, byte) {
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
