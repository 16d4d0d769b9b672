//! The forms of a page: enough of HTML to fill in a login page.
//!
//! Tags and attributes are looked for, nothing else; this is no parser for pages of strangers.

/// A form of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Where it goes; empty means the page itself.
    pub(super) action: String,
    /// Its inputs that have a name, with their values.
    pub(super) fields: Vec<(String, String)>,
}

impl Form {
    /// The forms of a page, in its order.
    pub(super) fn all(html: &str) -> Vec<Self> {
        html.split("<form").skip(1).map(Self::read).collect()
    }

    /// The form as it is submitted, with these fields filled in.
    pub(super) fn filled(&self, values: &[(&str, &str)]) -> String {
        let given = |name: &str| {
            values
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| *value)
        };
        let pairs: Vec<_> = self
            .fields
            .iter()
            .map(|(name, value)| {
                format!("{}={}", encode(name), encode(given(name).unwrap_or(value)))
            })
            .collect();
        pairs.join("&")
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }

    fn read(after: &str) -> Self {
        let content = after.split("</form").next().unwrap_or_default();
        let tag = content.split('>').next().unwrap_or_default();
        let inputs = content.split("<input").skip(1);
        let fields = inputs
            .filter_map(|input| {
                let tag = input.split('>').next().unwrap_or_default();
                Some((
                    attribute(tag, "name")?,
                    attribute(tag, "value").unwrap_or_default(),
                ))
            })
            .collect();
        Self {
            action: attribute(tag, "action").unwrap_or_default(),
            fields,
        }
    }
}

/// The value of a quoted attribute of a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = format!("{name}=\"");
    let follows_blank = |at: usize| {
        tag.get(..at)
            .is_some_and(|before| before.ends_with(|c: char| c.is_ascii_whitespace()))
    };
    let (at, _) = tag
        .match_indices(&start)
        .find(|(at, _)| follows_blank(*at))?;
    tag.get(at.checked_add(start.len())?..)?
        .split('"')
        .next()
        .map(unescape)
}

fn unescape(text: &str) -> String {
    let characters = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
        // Last, or `&amp;lt;` would become `<`.
        ("&amp;", "&"),
    ];
    characters
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| {
            text.replace(escaped, plain)
        })
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_fields_are_kept_and_the_others_filled_in() {
        let html = "<form method=\"post\" action=\"/in?a=1&amp;b=2\"><input type=\"hidden\" name=\"r\" \
                    value=\"x&quot;y\"/>\n<input\n name=\"user\"><input name=\"password\" \
                    type=\"password\"><input type=\"submit\" value=\"Go\"></form><form></form>";
        let forms = Form::all(html);
        assert_eq!(forms.len(), 2);
        assert_eq!(forms[0].action, "/in?a=1&b=2");
        assert!(!forms[1].has("user"));
        assert_eq!(
            forms[0].filled(&[("password", "a b&ü")]),
            "r=x%22y&user=&password=a%20b%26%C3%BC"
        );
    }
}
