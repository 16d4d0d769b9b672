//! Writes a configuration tree as YAML, so that it is read as the same tree.

use std::fmt::Write;

use crate::config::raw::Content;
use crate::config::raw::Entry;
use crate::config::raw::Node;

/// Writes a tree.
#[must_use]
pub fn write(root: &Node) -> String {
    let mut out = String::new();
    match &root.content {
        Content::Map(entries) => write_map(&mut out, entries, 0),
        Content::List(items) => write_list(&mut out, items, 0),
        Content::Null | Content::Text(_) => {
            write_value(&mut out, root, 0);
        }
    }
    out
}

fn write_map(out: &mut String, entries: &[Entry], indent: usize) {
    for entry in entries {
        push(out, indent);
        out.push_str(&scalar(&entry.key));
        out.push(':');
        write_value(out, &entry.value, indent);
    }
}

fn write_list(out: &mut String, items: &[Node], indent: usize) {
    for item in items {
        push(out, indent);
        out.push('-');
        match &item.content {
            Content::Map(entries) if !entries.is_empty() => {
                let mut inner = String::new();
                write_map(&mut inner, entries, indent + STEP);
                out.push(' ');
                out.push_str(inner.trim_start_matches(' '));
            }
            Content::List(_) | Content::Map(_) | Content::Null | Content::Text(_) => {
                write_value(out, item, indent);
            }
        }
    }
}

/// What follows a `:` or a `-`, to the end of its lines.
fn write_value(out: &mut String, node: &Node, indent: usize) {
    match &node.content {
        Content::Null => out.push_str(" null\n"),
        Content::List(items) if items.is_empty() => out.push_str(" []\n"),
        Content::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Content::List(items) => {
            out.push('\n');
            write_list(out, items, indent + STEP);
        }
        Content::Map(entries) => {
            out.push('\n');
            write_map(out, entries, indent + STEP);
        }
        Content::Text(text) if is_block(text) => {
            out.push_str(" |\n");
            for line in text.lines() {
                push(out, indent + STEP);
                out.push_str(line);
                out.push('\n');
            }
        }
        Content::Text(text) => {
            out.push(' ');
            out.push_str(&scalar(text));
            out.push('\n');
        }
    }
}

/// Whether a text can stand as lines of its own, such as a certificate.
fn is_block(text: &str) -> bool {
    let Some(lines) = text.strip_suffix('\n') else {
        return false;
    };
    let is_plain = |line: &str| {
        !line.is_empty()
            && !line.starts_with(' ')
            && line.chars().all(|c| c == ' ' || c.is_ascii_graphic())
    };
    lines.contains('\n') && lines.split('\n').all(is_plain)
}

/// A text in one line, in quotes unless it is read the same without.
fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() || !is_shown(c) => {
                // Writing to a String cannot fail.
                let _infallible = write!(quoted, "\\U{:08x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a text means itself without quotes, here and for readers that know types: numbers and switches are
/// written bare too, because they are read as texts here and mean the same there.
fn is_plain(text: &str) -> bool {
    let starts = text
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric() || c == '/' || c == '.');
    let all = text.chars().all(|c| {
        c.is_ascii_alphanumeric()
            || matches!(c, '/' | '.' | '_' | '-' | ':' | '+' | '=' | '^' | '@')
    });
    let is_word = !matches!(text, "null" | "Null" | "NULL" | "." | "..");
    starts && all && is_word && !text.ends_with(':')
}

/// Whether a character is seen where it stands; others are written as their number.
fn is_shown(c: char) -> bool {
    !matches!(
        c,
        '\u{85}' | '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
    )
}

fn push(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

const STEP: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::Position;
    use crate::config::raw::read_tree;
    use proptest::prelude::*;

    #[test]
    fn a_tree_is_written_as_people_write_it() {
        let text = "\
a: 1
list:
  - x
  - name: one
    deep:
      - - y
        - z
      - {}
none: null
pem: |
  -----BEGIN X-----
  abc=
odd: \"a: b # c\"
";
        assert_eq!(
            write(&read_tree(text).unwrap()),
            text.replace(
                "      - - y\n        - z\n",
                "      -\n        - y\n        - z\n"
            )
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same_tree(root in tree()) {
            let root = Node { at: Position::START, content: Content::Map(vec![entry("root".to_owned(), root)]) };
            let text = write(&root);
            let again = read_tree(&text).map_err(|error| TestCaseError::fail(format!("{error:?}\n{text}")))?;
            prop_assert!(same(&root, &again), "{text}");
        }
    }

    fn tree() -> impl Strategy<Value = Node> {
        let text = prop_oneof![
            ".*",
            "[a-z0-9:# -]{0,8}",
            Just("null".to_owned()),
            Just("a\nb\n".to_owned())
        ];
        let leaf = prop_oneof![text.prop_map(Content::Text), Just(Content::Null),];
        let leaf = leaf.prop_map(node);
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Content::List),
                prop::collection::vec(("[a-z_ :]{1,6}", inner), 0..4).prop_map(|entries| {
                    Content::Map(
                        entries
                            .into_iter()
                            .map(|(key, value)| entry(key, value))
                            .collect(),
                    )
                }),
            ]
            .prop_map(node)
        })
    }

    fn node(content: Content) -> Node {
        Node {
            at: Position::START,
            content,
        }
    }

    fn entry(key: String, value: Node) -> Entry {
        Entry {
            at: Position::START,
            key,
            value,
        }
    }

    fn same(left: &Node, right: &Node) -> bool {
        match (&left.content, &right.content) {
            (Content::Null, Content::Null) => true,
            (Content::Text(left), Content::Text(right)) => left == right,
            (Content::List(left), Content::List(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|(left, right)| same(left, right))
            }
            (Content::Map(left), Content::Map(right)) => {
                let both = || left.iter().zip(right);
                left.len() == right.len()
                    && both().all(|(left, right)| {
                        left.key == right.key && same(&left.value, &right.value)
                    })
            }
            _ => false,
        }
    }
}
