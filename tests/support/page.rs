//! What a browser reads of a page: its forms and its text.

/// A form of a page.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// Where it is posted; empty for the page's own address.
    pub(crate) action: String,
    /// Names and values of its fields, as they stand.
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// Fills a field in.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let field = self.fields.iter_mut().find(|(known, _)| known == name);
        let (_, old) = field.unwrap_or_else(|| panic!("the form has no field {name}"));
        value.clone_into(old);
        self
    }

    /// Presses a button that has a name.
    pub(crate) fn pressing(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The value of a field.
    pub(crate) fn value(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(known, _)| known == name);
        &field
            .unwrap_or_else(|| panic!("the form has no field {name}"))
            .1
    }
}

/// Reads the first form of a page.
pub(crate) fn form(html: &str) -> Option<Form> {
    let (_, rest) = html.split_once("<form")?;
    let (head, rest) = rest.split_once('>')?;
    let (inside, _) = rest.split_once("</form>")?;
    let fields = inside.split("<input").skip(1).filter_map(|input| {
        let (tag, _) = input.split_once('>')?;
        Some((
            attribute(tag, "name")?,
            attribute(tag, "value").unwrap_or_default(),
        ))
    });
    let action = attribute(head, "action").unwrap_or_default();
    Some(Form {
        action,
        fields: fields.collect(),
    })
}

/// Encodes fields as a browser posts them.
pub(crate) fn encode(fields: &[(String, String)]) -> String {
    let mut encoded = form_urlencoded::Serializer::new(String::new());
    encoded.extend_pairs(fields);
    encoded.finish()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(unescape(value))
}

/// Reads character references.
fn unescape(text: &str) -> String {
    let mut read = String::new();
    let mut parts = text.split('&');
    read.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (reference, rest) = part.split_once(';').unwrap_or((part, ""));
        let named = match reference {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            _ => {
                let digits = reference.strip_prefix('#');
                digits.and_then(|digits| char::from_u32(digits.parse().ok()?))
            }
        };
        read.push(named.unwrap_or_else(|| panic!("an odd reference: {reference}")));
        read.push_str(rest);
    }
    read
}
