//! Trees are what was written: parse ∘ print is the identity, and nginx's own ways with quotes and escapes.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn file() -> Arc<str> {
    Arc::from("nginx.conf")
}

fn tree(text: &str) -> Vec<Directive> {
    parse(text, &file()).unwrap().0
}

fn words(text: &str) -> Vec<String> {
    let mut tree = tree(text);
    let directive = tree.pop().unwrap();
    assert!(tree.is_empty());
    [vec![directive.name], directive.args].concat()
}

fn refusal(text: &str) -> (u32, SyntaxProblem) {
    let error = parse(text, &file()).unwrap_err();
    (error.line, error.problem)
}

#[test]
fn quotes_and_escapes_are_read_as_nginx_reads_them() {
    for (text, expected) in [
        (r#"a "b c" 'd;e{';"#, vec!["a", "b c", "d;e{"]),
        (r#"a "b\"c" 'd\'e';"#, vec!["a", "b\"c", "d'e"]),
        (r"a b\ c \.php$ \\;", vec!["a", r"b\ c", r"\.php$", r"\"]),
        (r"a x\ty\;z;", vec!["a", "x\ty\\;z"]),
        (r#"a b"c d'e;"#, vec!["a", "b\"c", "d'e"]),
        ("a ${b}c $d{}", vec!["a", "${b}c", "$d"]),
        ("a b#c;", vec!["a", "b#c"]),
        (r#"if ($a = "b") {}"#, vec!["if", "($a", "=", "b", ")"]),
        ("a '' \"\";", vec!["a", "", ""]),
    ] {
        assert_eq!(words(text), expected, "{text}");
    }
}

#[test]
fn comments_belong_to_what_they_stand_before_or_beside() {
    let text =
        "# one\n# two\na 1; # behind\n\n# of b\nb { # in b\n  c; # of c\n  # last\n}\n# end\n";
    let (tree, rest) = parse(text, &file()).unwrap();
    let comments = |directive: &Directive| directive.comments.join("|");
    assert_eq!(comments(&tree[0]), " one| two| behind");
    assert_eq!(comments(&tree[1]), " of b| last");
    assert_eq!(comments(&tree[1].inside()[0]), " in b| of c");
    assert_eq!(rest, [" end"]);
    assert_eq!((tree[0].line, tree[1].line), (3, 6));
}

#[test]
fn what_nginx_does_not_read_is_refused_with_its_line() {
    for (text, line, problem) in [
        ("a;\n}", 2, SyntaxProblem::Unexpected('}')),
        ("a;\n\n{", 3, SyntaxProblem::Unexpected('{')),
        (";", 1, SyntaxProblem::Unexpected(';')),
        ("a {\n b }", 2, SyntaxProblem::Unexpected('}')),
        ("a\nb", 1, SyntaxProblem::Unfinished),
        ("a;\nb {\n c;\n", 2, SyntaxProblem::OpenBlock),
        ("a;\nb \"c;", 2, SyntaxProblem::OpenQuote),
        ("a \"b\"c;", 1, SyntaxProblem::AfterQuote('c')),
    ] {
        assert_eq!(refusal(text), (line, problem), "{text}");
    }
    let deep = "a {".repeat(40);
    assert_eq!(refusal(&deep).1, SyntaxProblem::Deep(DEPTH_MAX));
}

/// A word in quotes, with all that would end it escaped.
fn quoted(word: &str) -> String {
    let mut out = String::from("\"");
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

fn print(directives: &[Directive]) -> String {
    let mut out = String::new();
    for directive in directives {
        for comment in &directive.comments {
            out.push_str(&format!("#{comment}\n"));
        }
        out.push_str(&quoted(&directive.name));
        for arg in &directive.args {
            out.push(' ');
            out.push_str(&quoted(arg));
        }
        match &directive.body {
            None => out.push_str(";\n"),
            Some(body) => out.push_str(&format!(" {{\n{}}}\n", print(body))),
        }
    }
    out
}

fn directive() -> impl Strategy<Value = Directive> {
    let word = "[a-z0-9 ;{}#$'\"\\\\./\u{e9}\t\n]{0,8}";
    let comments = || vec("[ a-z{};\"]{0,6}[a-z]", 0..2);
    let leaf = (
        word,
        vec(word, 0..4),
        comments(),
        option::of(Just(Vec::new())),
    );
    let make = |(name, args, comments, body): (String, Vec<String>, Vec<String>, _)| Directive {
        name,
        args,
        body,
        file: file(),
        line: 0,
        comments,
        id: 0,
        unread: None,
    };
    leaf.prop_map(make).prop_recursive(4, 32, 4, move |inner| {
        (
            word,
            vec(word, 0..4),
            comments(),
            option::of(vec(inner, 0..4)),
        )
            .prop_map(make)
    })
}

fn without_lines(directives: Vec<Directive>) -> Vec<Directive> {
    let one = |mut directive: Directive| {
        directive.line = 0;
        directive.body = directive.body.map(without_lines);
        directive
    };
    directives.into_iter().map(one).collect()
}

proptest! {
    #[test]
    fn what_is_printed_is_read_again(directives in vec(directive(), 0..5)) {
        let read = tree(&print(&directives));
        prop_assert_eq!(without_lines(read), directives);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z \"'\\\\{};#$\n]{0,80}") {
        if let Err(error) = parse(&text, &file()) {
            prop_assert!(error.line >= 1);
        }
    }
}
