//! The lines of a configuration as they may be shown: without private keys and passwords.
//!
//! It works on text, not on the tree, since a syntax fault may point into the middle of a secret.

use crate::config::diagnostic::HIDDEN;
use crate::config::userinfo;

/// The lines of the file, without secrets: neither what stands in or below a key `key` or `password`,
/// nor private keys in PEM form or the passwords of URLs anywhere.
pub(super) fn shown_lines(text: &str) -> Vec<String> {
    let mut inside_pem = false;
    let mut below: Option<(usize, &'static str)> = None;
    text.lines()
        .map(|line| {
            let indent = line.chars().take_while(|c| c.is_whitespace()).count();
            below = below.filter(|(column, _)| indent > *column || line.trim().is_empty());
            inside_pem |= line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
            let instead = if inside_pem {
                Some(PRIVATE_KEY)
            } else {
                below.map(|(_, instead)| instead)
            };
            inside_pem &= !line.contains("-----END");
            if let Some(instead) = instead {
                return hide_line(line, instead);
            }
            let Some(secret) = inline_secret(line) else {
                return line.to_owned();
            };
            below = Some((secret.column, secret.instead));
            let opens_below = secret.value.is_empty() || secret.value.starts_with(['|', '>']);
            if opens_below {
                line.to_owned()
            } else {
                format!("{} {}", secret.head, secret.instead)
            }
        })
        .map(|line| userinfo::replaced(&line, HIDDEN).into_owned())
        .collect()
}

fn hide_line(line: &str, instead: &str) -> String {
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    format!("{indent}{instead}")
}

/// A key on a line whose value is a secret.
struct InlineSecret<'l> {
    column: usize,
    head: &'l str,
    value: &'l str,
    instead: &'static str,
}

/// The first secret of a line; what follows it is hidden with it.
fn inline_secret(line: &str) -> Option<InlineSecret<'_>> {
    SECRETS
        .iter()
        .filter_map(|(word, instead)| secret_named(line, word, instead))
        .min_by_key(|secret| secret.column)
}

fn secret_named<'l>(line: &'l str, word: &str, instead: &'static str) -> Option<InlineSecret<'l>> {
    line.match_indices(word).find_map(|(start, word)| {
        let (before, rest) = line.split_at_checked(start)?;
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-') {
            return None;
        }
        let behind = rest.strip_prefix(word)?.trim_start_matches(['"', '\'']);
        let value = behind.trim_start().strip_prefix(':')?;
        let head = line.strip_suffix(value)?;
        Some(InlineSecret {
            column: before.chars().count(),
            head,
            value: value.trim(),
            instead,
        })
    })
}

const SECRETS: &[(&str, &str)] = &[("key", PRIVATE_KEY), ("password", "(password)")];
const PRIVATE_KEY: &str = "(private key)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_never_shown() {
        for text in [
            "key: \"secret\"",
            "- { my_key: a, key: secret }",
            "- \"key\" : secret",
            "tls:\n  key: |\n    secret\n\n    secret\n",
            "tls:\n  key:\n    secret\n",
            "tls:\n  key: >-\n    -----BEGIN PRIVATE KEY-----\n    secret\n",
            "-----BEGIN EC PRIVATE KEY-----\nsecret\n-----END EC PRIVATE KEY-----",
        ] {
            let shown = shown_lines(text).join("\n");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn what_stands_beside_a_private_key_is_shown() {
        let text = "- key: |\n    secret\n  key_file: b\n  certificate: c\n";
        assert_eq!(
            shown_lines(text),
            [
                "- key: |",
                "    (private key)",
                "  key_file: b",
                "  certificate: c"
            ]
        );
    }

    #[test]
    fn a_password_is_never_shown() {
        for text in [
            "- \"https://name:hidden@app.test/\"",
            "password: hidden",
            "- { cluster_id: a, password: \"hidden\" }",
            "- { 'password': hidden, key_file: hidden }",
            "peers:\n  - password: >-\n      hidden\n      hidden\n",
        ] {
            let shown = shown_lines(text).join("\n");
            assert!(!shown.contains("hidden"), "{shown}");
        }
        assert_eq!(shown_lines("password_file: a"), ["password_file: a"]);
    }
}
