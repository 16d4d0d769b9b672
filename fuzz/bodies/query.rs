//! What the access log writes of queries, referers and other texts of clients: no line, field or terminal
//! sequence of their own.

use portway::logbook::escape::Escape;
use portway::logbook::query::QueryRule;

/// Writes bytes as a query, a referer and a text.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for escape in [Escape::Bare, Escape::Json, Escape::Quoted] {
        let mut line = Vec::new();
        for rule in [QueryRule::Names, QueryRule::Omit, QueryRule::Values] {
            rule.write(&text, escape, &mut line);
            rule.write_referer(data, escape, &mut line);
        }
        escape.write(data, &mut line);
        assert!(
            line.iter().all(|byte| *byte >= b' ' && *byte != 0x7f),
            "a control character"
        );
        assert!(!unescaped_quote(&line), "a quote");
        let is_word = !line.contains(&b' ');
        assert!(escape != Escape::Bare || is_word, "two words");
        if escape == Escape::Json {
            let json = [b"\"".as_slice(), &line, b"\""].concat();
            let read: Result<String, _> = serde_json::from_slice(&json);
            assert!(read.is_ok(), "no JSON");
        }
    }
    let mut line = Vec::new();
    QueryRule::Omit.write(&text, Escape::Bare, &mut line);
    assert!(line.is_empty(), "a query is told");
}

fn unescaped_quote(line: &[u8]) -> bool {
    let mut escaped = false;
    line.iter().any(|byte| {
        let found = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        found
    })
}

/// Queries with secrets, and bytes that terminals obey.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "q=ham&token=abc&code=1",
        "https://user:pw@host/a?b=c#d",
        "a=%0d%0aSet-Cookie",
        "\u{1b}[31mred\u{7}",
        "\"\\\"; rm",
        "x=\u{202e}y&&==",
        "return=https%3A%2F%2Fa%3Ftoken%3Dx",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}
