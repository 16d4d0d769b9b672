//! The configuration as it counts: included files put in, variables filled in, defaults written out. Secrets
//! are left out, wherever they stood.
//!
//! What comes out is read again to the same meaning, unless a secret stood in it in so many words.

use sha2::Digest;
use sha2::Sha256;

use crate::config::parse::Surroundings;
use crate::config::parse::expand::escaped;
use crate::config::parse::expand::expand;
use crate::config::parse::include::INCLUDE;
use crate::config::parse::schema::Applies;
use crate::config::parse::schema::Key;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Presence;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::shapes::ROOT;
use crate::config::parse::template::is_fact;
use crate::config::raw::Content;
use crate::config::raw::Entry;
use crate::config::raw::Node;
use crate::config::raw::Position;
use crate::config::raw::read_tree;
use crate::config::userinfo;
use crate::config::yaml;

/// Writes a valid tree as it counts.
pub(in crate::config::parse) fn text(root: &Node, surroundings: &Surroundings<'_>) -> String {
    yaml::write(&effective(root, surroundings))
}

/// The SHA-256 of that text, in hex.
pub(in crate::config::parse) fn sha256(root: &Node, surroundings: &Surroundings<'_>) -> String {
    let digest = Sha256::digest(text(root, surroundings));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the effective tree of a valid one.
fn effective(root: &Node, surroundings: &Surroundings<'_>) -> Node {
    let mut root = section(root, &ROOT, surroundings);
    if let Content::Map(entries) = &mut root.content {
        // What was included stands there already.
        entries.retain(|entry| entry.key != INCLUDE);
    }
    root
}

fn section(node: &Node, shape: &'static Shape, surroundings: &Surroundings<'_>) -> Node {
    let Content::Map(written) = &node.content else {
        return node.clone();
    };
    let mut entries = Vec::new();
    for key in shape.keys {
        let found = written.iter().find(|entry| entry.key == key.name);
        let value = match found {
            Some(entry) => Some(value(&entry.value, &key.kind, surroundings)),
            None => unwritten(key, written, surroundings),
        };
        entries.extend(value.map(|value| Entry {
            at: Position::START,
            key: key.name.to_owned(),
            value,
        }));
    }
    made(Content::Map(entries))
}

/// What stands for a key that is absent, if anything can be written for it.
fn unwritten(
    key: &'static Key,
    written: &[Entry],
    surroundings: &Surroundings<'_>,
) -> Option<Node> {
    let has = |name: &str| written.iter().find(|entry| entry.key == name);
    let holds = match key.applies {
        Applies::Always => true,
        Applies::Unwritten => false,
        Applies::Without(other) => has(other).is_none(),
        Applies::Unless(other, value) => {
            !has(other).is_some_and(|entry| match &entry.value.content {
                Content::Text(text) => text == value,
                Content::List(_) | Content::Map(_) | Content::Null => true,
            })
        }
    };
    if !holds {
        return None;
    }
    match (key.presence, key.kind) {
        (Presence::Implied, Kind::Section(shape)) => {
            let empty = made(Content::Map(Vec::new()));
            Some(section(&empty, shape, surroundings))
        }
        _ => read_tree(key.default?).ok(),
    }
}

fn value(node: &Node, kind: &'static Kind, surroundings: &Surroundings<'_>) -> Node {
    match (kind, &node.content) {
        (Kind::Secret, Content::Text(written)) => made(Content::Text(unsaid(written))),
        (_, Content::Text(written)) => made(Content::Text(filled(written, surroundings))),
        (Kind::Section(shape), Content::Map(_)) => section(node, shape, surroundings),
        (Kind::AnyOf(kinds), Content::Map(_) | Content::List(_)) => {
            let fits = kinds.iter().find(|kind| fits(kind, &node.content));
            fits.map_or_else(|| node.clone(), |kind| value(node, kind, surroundings))
        }
        (Kind::List(item) | Kind::Some(item), Content::List(items)) => {
            let items = items.iter().map(|node| value(node, item, surroundings));
            made(Content::List(items.collect()))
        }
        (Kind::Some(item), Content::Map(_)) => value(node, item, surroundings),
        (Kind::Named(named), Content::Map(entries)) => {
            let entries = entries.iter().map(|entry| {
                // Such as the value of a header.
                let is_hidden = matches!(named, Kind::Text) && names_a_secret(&entry.key);
                let kind = if is_hidden { &Kind::Secret } else { named };
                Entry {
                    value: value(&entry.value, kind, surroundings),
                    ..entry.clone()
                }
            });
            made(Content::Map(entries.collect()))
        }
        _ => node.clone(),
    }
}

const fn fits(kind: &Kind, content: &Content) -> bool {
    match content {
        Content::Map(_) => matches!(kind, Kind::Section(_) | Kind::Named(_)),
        Content::List(_) => matches!(kind, Kind::List(_) | Kind::Some(_)),
        Content::Null | Content::Text(_) => false,
    }
}

/// A text with its variables filled in, written so that it is read as it is. What looks like a secret there,
/// although its key holds none as a rule, is not shown either.
fn filled(written: &str, surroundings: &Surroundings<'_>) -> String {
    if has_secret_variable(written) {
        let has_default = written.contains(":-");
        return if has_default {
            unsaid(written)
        } else {
            written.to_owned()
        };
    }
    if let Some(template) = filled_template(written, surroundings) {
        return userinfo::replaced(&template, REDACTED).into_owned();
    }
    let text = expand(written, surroundings.variable);
    let text = text.unwrap_or_else(|_| written.to_owned());
    if text.contains(PEM) && text.contains(PRIVATE) {
        return unsaid(written);
    }
    if !userinfo::is_in(&text) {
        return escaped(&text);
    }
    if is_variable(written) {
        return written.to_owned();
    }
    userinfo::replaced(&escaped(&text), REDACTED).into_owned()
}

/// A template with its variables filled in and its facts as they are; none where there is no fact, or something
/// cannot be filled in.
fn filled_template(written: &str, surroundings: &Surroundings<'_>) -> Option<String> {
    let filled = |plain: &str| expand(plain, surroundings.variable).ok();
    let (mut out, mut plain, mut rest) = (String::new(), String::new(), written);
    let mut facts = 0_usize;
    while let Some((before, behind)) = rest.split_once('$') {
        plain.push_str(before);
        plain.push('$');
        rest = behind;
        if let Some(behind) = behind.strip_prefix('$') {
            plain.push('$');
            rest = behind;
            continue;
        }
        let inner = behind
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'));
        let Some((fact, behind)) = inner.filter(|(inner, _)| is_fact(inner)) else {
            continue;
        };
        // The dollar sign of the fact stays behind the text, so that one before it is doubled.
        let text = filled(plain.strip_suffix('$')?)? + "$";
        out.push_str(&escaped(&text));
        out.push_str(&format!("{{{fact}}}"));
        plain.clear();
        rest = behind;
        facts += 1;
    }
    plain.push_str(rest);
    out.push_str(&escaped(&filled(&plain)?));
    (facts > 0).then_some(out)
}

/// Whether a text is put together from a variable whose name says that it holds a secret.
fn has_secret_variable(written: &str) -> bool {
    let variables = written.split("${").skip(1);
    let mut names = variables.filter_map(|rest| rest.split([':', '}']).next());
    names.any(names_a_secret)
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let is_path = PATH_ENDS.iter().any(|end| name.ends_with(end));
    !is_path && SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// What stands for a secret: the variable that holds it, or one that does not exist.
fn unsaid(written: &str) -> String {
    if is_variable(written) {
        written.to_owned()
    } else {
        REDACTED.to_owned()
    }
}

/// Whether a text is a variable alone, without a default.
fn is_variable(written: &str) -> bool {
    let inner = written.strip_prefix("${");
    let name = inner.and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['$', '{', '}', ':']))
}

const fn made(content: Content) -> Node {
    Node {
        at: Position::START,
        content,
    }
}

/// Reading it again says what it is.
const REDACTED: &str = "${PORTWAY_REDACTED:?a secret stood here}";
/// What names of variables and headers have in them that hold secrets.
const SECRET_WORDS: [&str; 10] = [
    "api_key",
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "passphrase",
    "passw",
    "private_key",
    "secret",
    "token",
];
/// How names end that lead to a secret, and hold none.
const PATH_ENDS: [&str; 3] = ["dir", "file", "path"];
const PEM: &str = "-----BEGIN";
const PRIVATE: &str = "PRIVATE KEY";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollar_signs_survive() {
        for text in ["$", "$$", "a$b", "${HOST}", "$${x}", "$$$", "{$", "$1$"] {
            let again = expand(&escaped(text), &|_| None);
            assert_eq!(again.as_deref(), Ok(text), "{}", escaped(text));
        }
    }

    #[test]
    fn a_secret_where_none_is_expected_is_not_shown() {
        let pem = format!("-----BEGIN {PRIVATE}-----\nhidden\n");
        let variable = |name: &str| {
            Some(match name {
                "URL" => "https://a:hidden@b.test/".to_owned(),
                "PEM" => pem.clone(),
                "API_TOKEN" | "APIKEY" => "hidden".to_owned(),
                _ => "b.test".to_owned(),
            })
        };
        let surroundings = Surroundings {
            folder: std::path::Path::new(""),
            variable: &variable,
            read: &|_, _| Ok(Vec::new()),
            list: &|_| Ok(Vec::new()),
            threads: 1,
        };
        let shown = |written: &str| filled(written, &surroundings);
        for kept in ["${URL}", "${PEM}", "Bearer ${API_TOKEN}", "x${APIKEY}"] {
            assert_eq!(shown(kept), kept);
        }
        assert_eq!(shown("https://${HOST}/x@y"), "https://b.test/x@y");
        assert_eq!(shown("${PASSWORD_FILE:-x}/${TLS_KEY}"), "b.test/b.test");
        for secret in [
            "https://a:hidden@${HOST}/",
            "${URL}x",
            "${API_TOKEN:-hidden}",
            "x${PEM}",
        ] {
            let shown = shown(secret);
            assert!(!shown.contains("hidden"), "{shown}");
            assert!(shown.contains(REDACTED), "{shown}");
        }
    }

    #[test]
    fn the_facts_of_a_template_stay_and_its_variables_are_filled_in() {
        let variable = |name: &str| (name == "SITE").then(|| "a$b".to_owned());
        let surroundings = Surroundings {
            folder: std::path::Path::new(""),
            variable: &variable,
            read: &|_, _| Ok(Vec::new()),
            list: &|_| Ok(Vec::new()),
            threads: 1,
        };
        for (written, shown) in [
            ("${user.id}@${user.store}", "${user.id}@${user.store}"),
            ("${SITE}/${request.id}?$$", "a$b/${request.id}?$"),
            ("$$${user.id}$", "$$${user.id}$"),
            ("$${user.id}", "$${user.id}"),
            ("${SITE:-x}", "a$b"),
        ] {
            assert_eq!(filled(written, &surroundings), shown);
        }
    }

    #[test]
    fn only_a_variable_alone_stands_for_a_secret() {
        assert_eq!(unsaid("${PASSWORD}"), "${PASSWORD}");
        for secret in ["hidden", "${A:-hidden}", "a${B}", "${A}${B}", "${}x"] {
            assert_eq!(unsaid(secret), REDACTED);
        }
    }
}
