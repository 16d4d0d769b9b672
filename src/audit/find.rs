//! Finds what was written down of one request: by its id, which users see on refusal pages (D-23).

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;

/// The lines of a file that have an id in them, each without its end. A file that is not there has none.
///
/// # Errors
/// When the file cannot be read.
pub fn lines_with(path: &Path, id: &str) -> std::io::Result<Vec<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut found = Vec::new();
    let mut line = Vec::new();
    let mut reader = BufReader::new(file);
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if text.contains(id) {
            found.push(text.trim_end().to_owned());
        }
        line.clear();
    }
    Ok(found)
}

/// A line of the trail for people: what happened first, then what is known of it; none if it is no such line.
#[must_use]
pub fn readable(line: &str) -> Option<String> {
    let read: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| read.get(name).and_then(serde_json::Value::as_str);
    let mut words = format!("{} {}", text("time")?, text("event")?);
    for (name, value) in read.as_object()? {
        if !MACHINERY.contains(&name.as_str())
            && let Some(value) = value.as_str()
        {
            words.push_str(&format!(" {name}={value:?}"));
        }
    }
    Some(words)
}

/// Fields that only the chain needs, and those that stand in front.
const MACHINERY: &[&str] = &["event", "hash", "prev", "seal", "seq", "time"];
