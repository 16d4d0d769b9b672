//! Reads Rust text the way the architecture test needs it: without comments, without the contents of
//! literals, without test items, and then as words or as paths.
//!
//! No parser lives here. What it tells apart (a lifetime from a character, a raw string from a name
//! that begins with `r`) is just enough that a word in a comment or a message is never taken for code.

/// The code of a file: comments and literals blanked, items under `#[cfg(test)]` removed, lines kept.
pub(crate) fn code_of(text: &str) -> String {
    without_tests(&blanked(text))
}

/// How many lines a file has when its test items are left out.
pub(crate) fn lines_without_tests(text: &str) -> usize {
    let code = blanked(text);
    let lines_of_tests: usize = test_items(&code)
        .iter()
        .map(|(from, to)| code[*from..*to].lines().count())
        .sum();
    text.lines().count() - lines_of_tests
}

/// The identifiers of some code, each with the text before and after it.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_word)?;
        let end = code[start..]
            .find(|c| !is_word(c))
            .map_or(code.len(), |length| start + length);
        at = end;
        Some((&code[..start], &code[start..end], &code[end..]))
    })
}

/// Whether `name` (a word, or a path like `a::b`) stands in the code as whole words.
pub(crate) fn mentions(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let bound = |side: Option<char>, edge: Option<char>| {
            !edge.is_some_and(is_word) || !side.is_some_and(is_word)
        };
        bound(before, name.chars().next()) && bound(after, name.chars().next_back())
    })
}

/// The first names of every path that follows `prefix`: `a` of `crate::a::b`, `a` and `d` of
/// `crate::{a::{b, c}, d}`.
pub(crate) fn first_names_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if !code[..at].chars().next_back().is_some_and(is_word) {
            names.extend(first_names(&code[at + prefix.len()..]));
        }
    }
    names.sort();
    names.dedup();
    names
}

fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.trim_start().strip_prefix('{') else {
        return vec![leading_word(path)];
    };
    let mut depth = 1;
    let mut names = vec![leading_word(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(leading_word(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn leading_word(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| is_word(*c))
        .collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text with comments and the contents of literals replaced by spaces, byte for byte.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(c) = rest.chars().next() {
        let length = skipped_length(rest, previous);
        let (taken, left) = rest.split_at(length.unwrap_or_else(|| c.len_utf8()));
        match length {
            Some(_) => taken
                .bytes()
                .for_each(|b| out.push(if b == b'\n' { '\n' } else { ' ' })),
            None => out.push_str(taken),
        }
        previous = taken.chars().next_back().unwrap_or(' ');
        rest = left;
    }
    out
}

/// How much of `rest` is one comment or one literal, if it begins with either.
fn skipped_length(rest: &str, previous: char) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment_length(rest));
    }
    if rest.starts_with('"') {
        return Some(string_length(rest));
    }
    if rest.starts_with('\'') {
        return character_length(rest);
    }
    if is_word(previous) {
        None
    } else {
        raw_string_length(rest)
    }
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    for at in 0..rest.len() {
        if rest.as_bytes()[at..].starts_with(b"/*") {
            depth += 1;
        } else if rest.as_bytes()[at..].starts_with(b"*/") {
            depth -= 1;
            if depth == 0 {
                return at + 2;
            }
        }
    }
    rest.len()
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal; none for a lifetime.
fn character_length(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next()?;
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    chars
        .next()
        .filter(|(_, c)| *c == '\'')
        .map(|(at, _)| at + 1)
}

fn raw_string_length(rest: &str) -> Option<usize> {
    let after = ["br", "cr", "r"]
        .iter()
        .find_map(|start| rest.strip_prefix(start))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let closed = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(rest.len() - body.len() + closed)
}

fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    for (from, to) in test_items(code).into_iter().rev() {
        let lines = code[from..to].matches('\n').count();
        out.replace_range(from..to, &"\n".repeat(lines));
    }
    out
}

/// Where items under `#[cfg(test)]` stand in blanked code: up to the closing brace or the semicolon.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items: Vec<(usize, usize)> = Vec::new();
    for (from, _) in code.match_indices("#[cfg(test)]") {
        if items.last().is_none_or(|(_, to)| from >= *to) {
            items.push((from, item_end(code, from)));
        }
    }
    items
}

fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code[from..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return from + at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return from + at + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn comments_and_literals_are_not_code() {
    let code = code_of(
        "// tokio\n/* tokio /* tokio */ tokio */ let a = \"to\\\"kio\"; 'x' b'\\n' fn f<'a>() {}",
    );
    assert!(!mentions(&code, "tokio"), "{code}");
    assert!(
        mentions(&code, "let") && code.contains("fn f<'a>() {}"),
        "{code}"
    );
    let raw = code_of("let r#type = r#\"tokio \" tokio\"#; let b = br\"tokio\"; done");
    assert!(!mentions(&raw, "tokio") && mentions(&raw, "done"), "{raw}");
}

#[test]
fn test_items_are_not_code() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { x(); }\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}\n";
    let code = code_of(text);
    assert!(!code.contains("fn b") && !code.contains("more"), "{code}");
    assert!(
        code.contains("fn a") && code.contains("fn c") && code.contains("fn d"),
        "{code}"
    );
    assert_eq!(lines_without_tests(text), 3);
}

#[test]
fn words_are_whole_words() {
    assert!(mentions("use tokio::time;", "tokio::time"));
    assert!(!mentions("use tokio::timeout;", "tokio::time"));
    assert!(!mentions("use mytokio::time;", "tokio"));
    assert!(mentions("async {", "async"));
}

#[test]
fn groups_and_single_paths_are_both_seen() {
    let code = "use crate::{a::{b, c}, d,}; fn f() { crate::e::g() } mycrate::no()";
    assert_eq!(first_names_after(code, "crate::"), ["a", "d", "e"]);
}
