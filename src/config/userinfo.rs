//! What stands before the `@` of a URL: a name and a password, most often. It is hidden wherever a configuration
//! is shown.

use std::borrow::Cow;

/// Puts something in place of the user and password of every URL in a text.
#[must_use]
pub fn replaced<'t>(text: &'t str, instead: &str) -> Cow<'t, str> {
    let mut out = String::new();
    let mut rest = text;
    let mut kept = text;
    while let Some((_, behind)) = rest.split_once(SCHEME_END) {
        rest = behind;
        let authority = behind.split(ENDS).next().unwrap_or_default();
        let Some((hidden, _)) = authority.rsplit_once('@') else {
            continue;
        };
        out.push_str(kept.strip_suffix(behind).unwrap_or_default());
        out.push_str(instead);
        kept = behind.strip_prefix(hidden).unwrap_or_default();
        rest = kept;
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(kept);
    Cow::Owned(out)
}

/// Whether a URL in the text has a user or a password.
#[must_use]
pub fn is_in(text: &str) -> bool {
    matches!(replaced(text, ""), Cow::Owned(_))
}

const SCHEME_END: &str = "://";
/// What ends the authority of a URL, in a text of its own or in a line.
const ENDS: [char; 8] = ['/', '?', '#', ' ', '\t', '"', '\'', '`'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_before_the_at_sign_of_a_url_is_shown() {
        for (text, shown) in [
            ("https://a:hidden@b.test/c@d", "https://…@b.test/c@d"),
            ("https://hidden@b.test", "https://…@b.test"),
            ("http://a:hidden@b:hidden@c.test", "http://…@c.test"),
            (
                "a `x://y:hidden@z`, b http://v:hidden@w/?q=http://t:hidden@u",
                "a `x://…@z`, b http://…@w/?q=http://…@u",
            ),
        ] {
            assert_eq!(replaced(text, "…"), shown);
            assert!(is_in(text), "{text}");
        }
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for text in [
            "",
            "a@b.test",
            "https://b.test/a@c",
            "https://b.test?a@c",
            "://",
            "http://a \"b@c\"",
        ] {
            assert_eq!(replaced(text, "…"), text);
            assert!(!is_in(text), "{text}");
        }
    }
}
