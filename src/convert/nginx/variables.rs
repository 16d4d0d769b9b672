//! nginx's variables in a value → facts of a template, as far as there is one for each.

use std::collections::BTreeMap;

use crate::config::parse::expand::escaped;

/// A piece of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Variable(String),
}

/// What variables stand for that the place decides.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// By name: texts that never change there.
    pub(super) fixed: BTreeMap<String, String>,
}

/// A value in other words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The template.
    pub(super) template: String,
    /// How it differs from nginx's value.
    pub(super) difference: Option<&'static str>,
}

/// The pieces of a value: `$name`, `${name}` and what stands between.
pub(super) fn parts(value: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once('$') {
        text.push_str(before);
        let (name, behind) = name_at(behind);
        if name.is_empty() {
            text.push('$');
        } else {
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Variable(name.to_owned()));
        }
        rest = behind;
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    parts
}

fn name_at(text: &str) -> (&str, &str) {
    if let Some((name, behind)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        return (name, behind);
    }
    let behind = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    (text.strip_suffix(behind).unwrap_or_default(), behind)
}

/// The names of the variables in a value.
pub(super) fn variables(value: &str) -> Vec<String> {
    let names = parts(value).into_iter().filter_map(|part| match part {
        Part::Text(_) => None,
        Part::Variable(name) => Some(name),
    });
    names.collect()
}

impl Known {
    /// A value with what is fixed filled in, where nothing else is in it.
    pub(super) fn literal(&self, value: &str) -> Option<String> {
        let mut text = String::new();
        for part in parts(value) {
            match part {
                Part::Text(part) => text.push_str(&part),
                Part::Variable(name) => text.push_str(self.fixed.get(&name)?),
            }
        }
        Some(text)
    }

    /// A value as a template.
    ///
    /// # Errors
    /// The first variable for which there is no fact.
    pub(super) fn template(&self, value: &str) -> Result<Said, String> {
        let mut template = String::new();
        let mut difference = None;
        let parts = parts(value);
        let count = parts.len();
        for part in parts {
            let name = match part {
                Part::Text(text) => {
                    template.push_str(&escaped(&text));
                    continue;
                }
                Part::Variable(name) => name,
            };
            if let Some(text) = self.fixed.get(&name) {
                template.push_str(&escaped(text));
                continue;
            }
            let Some((fact, odd)) = fact_of(&name) else {
                return Err(name);
            };
            if odd && difference.is_none() {
                difference = Some(ODD);
            }
            if odd && count > 1 {
                difference = Some(ABSENT);
            }
            template.push_str(&format!("${{{fact}}}"));
        }
        Ok(Said {
            template,
            difference,
        })
    }
}

/// The fact that a variable stands for, and whether it can be absent or hold what a header cannot.
fn fact_of(name: &str) -> Option<(String, bool)> {
    if let Some((_, fact)) = FACTS.iter().find(|(known, _)| *known == name) {
        return Some(((*fact).to_owned(), ODD_FACTS.contains(fact)));
    }
    let header = name.strip_prefix("http_");
    if let Some(header) = header.filter(|name| !["", "cookie"].contains(name)) {
        return Some((format!("request.header.{}", header.replace('_', "-")), true));
    }
    let parameter = name.strip_prefix("arg_").filter(|name| !name.is_empty())?;
    Some((format!("request.query.{parameter}"), true))
}

const FACTS: &[(&str, &str)] = &[
    ("args", "request.query_string"),
    ("document_uri", "request.path"),
    ("host", "request.host"),
    ("query_string", "request.query_string"),
    ("remote_addr", "request.address"),
    ("request_id", "request.id"),
    ("request_method", "request.method"),
    ("scheme", "request.scheme"),
    ("ssl_cipher", "tls.cipher"),
    ("ssl_client_escaped_cert", "tls.client.certificate"),
    ("ssl_client_i_dn", "tls.client.issuer_dn"),
    ("ssl_client_i_dn_legacy", "tls.client.issuer_dn_legacy"),
    ("ssl_client_s_dn", "tls.client.subject_dn"),
    ("ssl_client_s_dn_legacy", "tls.client.subject_dn_legacy"),
    ("ssl_client_serial", "tls.client.serial"),
    ("ssl_client_verify", "tls.client.verified"),
    ("ssl_protocol", "tls.version"),
    ("uri", "request.path"),
];
const ODD_FACTS: &[&str] = &["request.query_string", "request.path"];
const ODD: &str = "what is no visible ASCII is written as percent escapes, and so is `%`";
const ABSENT: &str = "not sent at all where a value in it is absent; what is no visible ASCII is written as \
                      percent escapes";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_as_nginx_splits_them() {
        let text = |text: &str| Part::Text(text.to_owned());
        let variable = |name: &str| Part::Variable(name.to_owned());
        for (value, expected) in [
            ("a$b-c", vec![text("a"), variable("b"), text("-c")]),
            ("${a}b$", vec![variable("a"), text("b$")]),
            ("$host$uri", vec![variable("host"), variable("uri")]),
            ("", vec![]),
        ] {
            assert_eq!(parts(value), expected, "{value}");
        }
    }

    #[test]
    fn facts_take_the_place_of_variables() {
        let known = Known {
            fixed: BTreeMap::from([("server_name".to_owned(), "app.test".to_owned())]),
        };
        let said = known.template("$server_name:$http_x_tenant").unwrap();
        assert_eq!(said.template, "app.test:${request.header.x-tenant}");
        assert!(said.difference.is_some());
        assert_eq!(
            known.template("$ssl_client_cert"),
            Err("ssl_client_cert".to_owned())
        );
        assert_eq!(
            known.literal("https://$server_name/").as_deref(),
            Some("https://app.test/")
        );
        assert_eq!(known.literal("$host"), None);
        assert_eq!(
            known.template("$http_cookie"),
            Err("http_cookie".to_owned())
        );
    }
}
