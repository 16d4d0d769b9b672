//! What an operator can do about a problem, where there is more to say than what is wrong.

use std::path::Path;

use crate::config::parse::LISTS_BYTES_MAX;
use crate::config::problem::Problem;
use crate::config::problem::ReadFileError;
use crate::config::problem::words;
use crate::config::raw::ReadTreeError;
use crate::logbook::field::FIELDS;
use crate::logbook::line_format::LineFormatError;
use crate::model::name::NameError;

impl Problem {
    /// What the operator can do about it, where there is more to say than what is wrong.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let fixed = match self {
            Self::Address { example, .. } => return Some(format!("such as `{example}`")),
            Self::Boolean(text) => return boolean_hint(text),
            Self::Duplicate { first, .. } | Self::DuplicateKey { first, .. } => {
                return Some(format!("the first is on line {first}"));
            }
            Self::Expand(error) => return error.hint(),
            Self::File { path, error } => return file_hint(path, error),
            Self::LineFormat { error, nearest } => {
                return Some(line_format_hint(error, nearest.as_ref()));
            }
            Self::Forward(problem) => return problem.hint(),
            Self::Include(problem) => return Some(problem.hint()),
            Self::Listener(problem) => return Some(problem.hint()),
            Self::Mdc(problem) => return problem.hint(),
            Self::Policy(problem) => return problem.hint(),
            Self::Name { text, error, .. } => return name_hint(text, error),
            Self::Needs { section, .. } => return Some(format!("add the section `{section}`")),
            Self::Quantity { text, error, .. } => return error.hint(text),
            Self::UnknownKey { nearest, known, .. } => {
                return Some(known_hint(nearest.as_ref(), known));
            }
            Self::UnknownName { nearest, known, .. } => {
                return (!known.is_empty()).then(|| known_hint(nearest.as_ref(), known));
            }
            Self::Upstream(problem) => return Some(problem.hint()),
            Self::Word { nearest, .. } => return nearest.as_deref().map(meant),
            Self::CollectorHost(_) => {
                "give it a name of its own, such as `login.portway.localhost`"
            }
            Self::CollectorIsVirtualHost(_) => {
                "the collector needs a name that serves nothing else"
            }
            Self::Condition => "combine several with `all: […]` or `any: […]`",
            Self::EmptyList => "write at least one item",
            Self::FailoverThreshold { .. } => "the secondaries would serve always",
            Self::HealthCheckTimeout => "make `timeout` shorter or `interval` longer",
            Self::IdleTimeout => "lower `idle_timeout` or raise `lifetime`",
            Self::Lifetime => "that is how long it is remembered that a session has ended",
            Self::LevelUnreachable { .. } => "lower it, or raise `authentication.level`",
            Self::Method(_) => {
                "such as `GET`, in upper case; CONNECT and TRACE are never forwarded"
            }
            Self::Missing("access") => "say `protected`, `unprotected` or `excluded`",
            Self::NeedsTlsListener => {
                "Portway's cookies travel over https only; give a listener `tls`"
            }
            Self::LongerThanSession { .. } | Self::NoEffect { .. } => "leave it out",
            Self::NoValue => "write one, or leave the key out",
            Self::PemEncrypted => "store it without a passphrase, readable by Portway alone",
            Self::PlainRedirect => {
                "add a listener with `tls`, state `public_port`, or write `plain_http: serve` or `refuse`"
            }
            Self::PoolTimeouts(_) => "state it in the route's `timeouts`, or alike in both pools",
            Self::Shorter { .. } => "make it longer, or the other one shorter",
            Self::StatusRange(_) => "such as `200-399` or `204`",
            Self::Tree(error) => return tree_hint(error),
            Self::Exclusive { .. }
            | Self::Incomplete
            | Self::Missing(_)
            | Self::MissingOneOf(_)
            | Self::Number { .. }
            | Self::Pattern { .. }
            | Self::Pem(_)
            | Self::Type { .. }
            | Self::Utf8 => return None,
        };
        Some(fixed.to_owned())
    }
}

fn meant(word: &str) -> String {
    format!("did you mean `{word}`?")
}

fn known_hint<T: AsRef<str>>(nearest: Option<&String>, known: &[T]) -> String {
    match nearest {
        Some(word) => meant(word),
        None => format!("there are: {}", words(known)),
    }
}

fn file_hint(path: &Path, error: &ReadFileError) -> Option<String> {
    if matches!(error, ReadFileError::TooLarge(LISTS_BYTES_MAX)) {
        let hint =
            "leave out lists of authorities that are not in the bundle, and what has expired";
        return Some(hint.to_owned());
    }
    let missing = matches!(error, ReadFileError::NotFound);
    (missing && path.is_relative())
        .then(|| "paths start from the folder of the configuration file".to_owned())
}

fn tree_hint(error: &ReadTreeError) -> Option<String> {
    (*error == ReadTreeError::Merge)
        .then(|| "write the entries out, or use an alias for the whole value".to_owned())
}

fn line_format_hint(error: &LineFormatError, nearest: Option<&String>) -> String {
    match (error, nearest) {
        (_, Some(field)) => format!("did you mean `${field}`?"),
        (LineFormatError::Unknown(_), None) => {
            let fields: Vec<String> = FIELDS.iter().map(|(name, _)| format!("${name}")).collect();
            format!("there are: {}", words(&fields))
        }
        (LineFormatError::Control | LineFormatError::NoField, None) => {
            "such as `$client $user \"$method $path\" $status`".to_owned()
        }
    }
}

fn name_hint(text: &str, error: &NameError) -> Option<String> {
    if *error != NameError::NotAHost {
        return None;
    }
    let hint = if text.contains('*') {
        "a wildcard is `*.` and a name without another `*`"
    } else {
        "a name has labels of letters, digits and `-` between dots; no scheme, port or path"
    };
    Some(hint.to_owned())
}

fn boolean_hint(text: &str) -> Option<String> {
    let meant = match text.to_ascii_lowercase().as_str() {
        "yes" | "y" | "on" | "1" | "true" => "true",
        "no" | "n" | "off" | "0" | "false" => "false",
        _ => return None,
    };
    Some(format!("write `{meant}`"))
}
