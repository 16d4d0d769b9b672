//! Makes text of clients harmless for a line: no control character, quote or line end survives as it is.
//!
//! What may be written at all is decided by whoever fills a line.

/// How text is written where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Between spaces: nothing that would end the word.
    Bare,
    /// Between quotes of a JSON string.
    Json,
    /// Between quotes.
    Quoted,
}

impl Escape {
    /// Appends a text, escaped and cut to [`TEXT_BYTES_MAX`].
    pub fn write(self, text: &[u8], line: &mut Vec<u8>) {
        let (text, is_cut) = match text.split_at_checked(TEXT_BYTES_MAX) {
            Some((head, rest)) => (head, !rest.is_empty()),
            None => (text, false),
        };
        match self {
            Self::Bare | Self::Quoted => self.write_text(text, line),
            Self::Json => write_json(text, line),
        }
        if is_cut {
            line.extend_from_slice(CUT);
        }
    }

    /// Text of nginx's kind: everything beyond printable ASCII as `\xHH`.
    fn write_text(self, text: &[u8], line: &mut Vec<u8>) {
        if text.iter().all(|byte| self.is_plain(*byte)) {
            line.extend_from_slice(text);
            return;
        }
        for byte in text {
            if self.is_plain(*byte) {
                line.push(*byte);
            } else {
                line.extend_from_slice(b"\\x");
                push_hex(*byte, line);
            }
        }
    }

    const fn is_plain(self, byte: u8) -> bool {
        match byte {
            b'"' | b'\\' => false,
            b' ' => matches!(self, Self::Quoted),
            _ => byte.is_ascii_graphic(),
        }
    }
}

/// A JSON string without its quotes. What is not UTF-8 is written as the text `\xHH`.
fn write_json(text: &[u8], line: &mut Vec<u8>) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if text.iter().all(is_plain) {
        line.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_json(c, line));
        for byte in chunk.invalid() {
            line.extend_from_slice(b"\\\\x");
            push_hex(*byte, line);
        }
    }
}

fn push_json(c: char, line: &mut Vec<u8>) {
    match c {
        '"' | '\\' => line.extend_from_slice(&[b'\\', c as u8]),
        _ if c.is_control() || turns_or_breaks(c) => {
            line.extend_from_slice(b"\\u");
            for byte in u16::try_from(u32::from(c)).unwrap_or(UNKNOWN).to_be_bytes() {
                push_hex(byte, line);
            }
        }
        _ => line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Characters that some terminal or viewer ends a line at, or turns the direction of writing by.
const fn turns_or_breaks(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

fn push_hex(byte: u8, line: &mut Vec<u8>) {
    line.extend([byte >> 4, byte & 0xf].map(hex_digit));
}

const fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..10 => b'0' + nibble,
        _ => b'A' - 10 + nibble,
    }
}

/// Longest text of a client in a line, in bytes before it is escaped.
pub const TEXT_BYTES_MAX: usize = 2048;
const CUT: &[u8] = b"...";
const UNKNOWN: u16 = 0xfffd;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(escape: Escape, text: &[u8]) -> String {
        let mut line = Vec::new();
        escape.write(text, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn nobody_writes_a_line_or_a_field_of_their_own() {
        let text = b"a\r\nb \"c\" \\ \x1b[2J \x7f \xc3\xbc \xff";
        let quoted = written(Escape::Quoted, text);
        assert_eq!(
            quoted,
            r"a\x0D\x0Ab \x22c\x22 \x5C \x1B[2J \x7F \xC3\xBC \xFF"
        );
        assert!(!written(Escape::Bare, text).contains(' '));
    }

    #[test]
    fn a_json_string_stays_one_and_reads_as_what_was_sent() {
        let text = "a\r\n\"b\" \\ \u{1b} \u{85} \u{202e} ü".as_bytes();
        let line = written(Escape::Json, text);
        assert_eq!(line, r#"a\u000D\u000A\"b\" \\ \u001B \u0085 \u202E ü"#);
        let read: String = serde_json::from_str(&format!("\"{line}\"")).unwrap();
        assert_eq!(read.as_bytes(), text);
        assert_eq!(written(Escape::Json, b"x\xff\xfey"), r"x\\xFF\\xFEy");
    }

    #[test]
    fn a_long_text_is_cut() {
        let line = written(Escape::Quoted, &[b'a'; TEXT_BYTES_MAX + 1]);
        assert_eq!(line.len(), TEXT_BYTES_MAX + CUT.len());
        assert!(!written(Escape::Quoted, &[b'a'; TEXT_BYTES_MAX]).contains('.'));
    }
}
