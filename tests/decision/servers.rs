//! Servers behind the gateway, each with its own idea of what a path means.
//!
//! They share no code with the normaliser: what they do is written down a second time, leniently.

use std::ops::Range;

use proptest::prelude::*;

/// A server behind the gateway, with its own idea of what a path means.
#[derive(Clone, Debug)]
pub(crate) struct Server(Vec<Habit>);

/// What servers do to a path, in any order and any number of times.
#[derive(Clone, Copy, Debug)]
enum Habit {
    Backslashes,
    CutAtHash,
    CutAtQuestion,
    Decode,
    DotSegments,
    FullWidth,
    LowerCase,
    Parameters,
}

pub(crate) fn server() -> impl Strategy<Value = Server> {
    let habit = prop::sample::select(vec![
        Habit::Backslashes,
        Habit::CutAtHash,
        Habit::CutAtQuestion,
        Habit::Decode,
        Habit::Decode,
        Habit::DotSegments,
        Habit::FullWidth,
        Habit::LowerCase,
        Habit::Parameters,
    ]);
    prop::collection::vec(habit, 0..12).prop_map(Server)
}

impl Server {
    /// What the server takes a forwarded path for.
    pub(crate) fn read(&self, path: &str) -> String {
        let read = self
            .0
            .iter()
            .fold(path.to_owned(), |path, habit| habit.read(&path));
        Habit::DotSegments.read(&read)
    }
}

impl Habit {
    fn read(self, path: &str) -> String {
        match self {
            Self::Backslashes => path.replace('\\', "/"),
            Self::CutAtHash => path.split('#').next().unwrap_or_default().to_owned(),
            Self::CutAtQuestion => path.split('?').next().unwrap_or_default().to_owned(),
            Self::Decode => decoded(path),
            Self::DotSegments => resolved(path),
            Self::FullWidth => path.chars().map(narrow).collect(),
            Self::LowerCase => path.to_lowercase(),
            Self::Parameters => path
                .split('/')
                .map(|segment| segment.split(';').next().unwrap_or_default())
                .collect::<Vec<_>>()
                .join("/"),
        }
    }
}

/// Decodes once and leniently: what is no escape stays, `%uXXXX` is one.
fn decoded(path: &str) -> String {
    let mut out = Vec::new();
    let mut rest = path;
    while let Some((head, tail)) = rest.split_once('%') {
        out.extend(head.bytes());
        let byte = hex(tail, 0..2).and_then(|value| u8::try_from(value).ok());
        let wide = tail
            .starts_with(['u', 'U'])
            .then(|| hex(tail, 1..5))
            .flatten();
        rest = match (byte, wide) {
            (Some(byte), _) => {
                out.push(byte);
                &tail[2..]
            }
            (None, Some(unit)) => {
                out.extend(char::from_u32(unit).unwrap_or('?').to_string().bytes());
                &tail[5..]
            }
            (None, None) => {
                out.push(b'%');
                tail
            }
        };
    }
    out.extend(rest.bytes());
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(text: &str, digits: Range<usize>) -> Option<u32> {
    let digits = text.get(digits)?;
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex {
        u32::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

fn resolved(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

fn narrow(c: char) -> char {
    match u32::from(c) {
        wide @ 0xFF01..=0xFF5E => char::from_u32(wide - 0xFEE0).unwrap_or(c),
        _ => c,
    }
}
