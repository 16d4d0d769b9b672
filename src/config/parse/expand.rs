//! `${VAR}`, `${VAR:-default}` and `${VAR:?message}` inside scalar values; `$$` is a dollar sign.
//!
//! What comes out is text and is never read as YAML again. Keys are not expanded, defaults hold no
//! variables, and a dollar sign before anything else stands for itself, as in a pattern's `$`.

/// Why a variable cannot be put in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// The variable is unset or empty and the operator says what that means.
    #[error("the variable `{name}` is not set: {message}")]
    Demanded {
        /// The variable.
        name: String,
        /// What the operator wrote behind `:?`.
        message: String,
    },
    /// Not the name of a variable.
    #[error("`{0}` is not the name of a variable")]
    Name(String),
    /// A variable inside a default.
    #[error("a default cannot hold another variable")]
    Nested,
    /// The variables of the file would become too much text.
    #[error("the variables of this file hold more than {EXPANDED_BYTES_MAX} bytes")]
    TooLong,
    /// `${` without `}`.
    #[error("`${{` is not closed")]
    Unclosed,
    /// The variable is not set.
    #[error("the variable `{0}` is not set")]
    Unset(String),
}

impl ExpandError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Name(_) | Self::Unclosed => {
                Some("write `${NAME}`, or `$${` for the characters themselves".to_owned())
            }
            Self::Unset(name) => Some(format!("set it, or give it a default: `${{{name}:-…}}`")),
            Self::Demanded { .. } | Self::Nested | Self::TooLong => None,
        }
    }
}

/// Puts variables into a text.
///
/// # Errors
/// The first variable that cannot be put in.
pub fn expand(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        rest = if let Some(behind) = behind.strip_prefix('$') {
            out.push('$');
            behind
        } else if let Some(behind) = behind.strip_prefix('{') {
            let (inner, behind) = behind.split_once('}').ok_or(ExpandError::Unclosed)?;
            out.push_str(&value(inner, variable)?);
            behind
        } else {
            out.push('$');
            behind
        };
        if out.len() > EXPANDED_BYTES_MAX {
            return Err(ExpandError::TooLong);
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn value(inner: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    if inner.contains("${") {
        return Err(ExpandError::Nested);
    }
    let (name, otherwise) = match inner.split_once(':') {
        Some((name, otherwise)) => (name, Some(otherwise)),
        None => (inner, None),
    };
    if !is_name(name) {
        return Err(ExpandError::Name(name.to_owned()));
    }
    let found = variable(name);
    let Some(otherwise) = otherwise else {
        return found.ok_or_else(|| ExpandError::Unset(name.to_owned()));
    };
    // As in a shell, the forms with a colon take an empty variable for an unset one.
    match (
        found.filter(|value| !value.is_empty()),
        otherwise.split_at_checked(1),
    ) {
        (Some(value), Some(("-" | "?", _))) => Ok(value),
        (None, Some(("-", default))) => Ok(default.to_owned()),
        (None, Some(("?", message))) => Err(ExpandError::Demanded {
            name: name.to_owned(),
            message: message.to_owned(),
        }),
        _ => Err(ExpandError::Name(inner.to_owned())),
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A text in which every dollar sign means itself: one before another, or before a brace, is doubled.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        out.push(c);
        if c == '$' && matches!(rest.peek(), Some('$' | '{')) {
            out.push('$');
        }
    }
    out
}

/// All variables of a file together; certificates and keys of many hosts fit.
pub(super) const EXPANDED_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_defaults_and_demands() {
        assert_eq!(
            put("a ${HOST}:${PORT:-80} $$ $ $1 b$").unwrap(),
            "a h.test:80 $ $ $1 b$"
        );
        assert_eq!(put("$${HOST}").unwrap(), "${HOST}");
        assert_eq!(put("[${EMPTY}]").unwrap(), "[]");
        assert_eq!(put("${EMPTY:-x:y}").unwrap(), "x:y");
        assert_eq!(put("${HOST:?no}").unwrap(), "h.test");
        assert_eq!(put("${NONE}"), Err(ExpandError::Unset("NONE".to_owned())));
        assert_eq!(put("${NONE"), Err(ExpandError::Unclosed));
        assert_eq!(put("${A:-${B}}"), Err(ExpandError::Nested));
        assert_eq!(put("${1A}"), Err(ExpandError::Name("1A".to_owned())));
        assert_eq!(
            put("${HOST:+x}"),
            Err(ExpandError::Name("HOST:+x".to_owned()))
        );
        let demanded = ExpandError::Demanded {
            name: "NONE".to_owned(),
            message: "why".to_owned(),
        };
        assert_eq!(put("${NONE:?why}"), Err(demanded));
    }

    #[test]
    fn what_a_variable_holds_is_not_expanded_again() {
        assert_eq!(put("${EVIL}").unwrap(), "${HOST}");
    }

    #[test]
    fn the_variables_of_a_file_are_bounded() {
        assert_eq!(put(&"${LONG}".repeat(5000)), Err(ExpandError::TooLong));
    }

    fn put(text: &str) -> Result<String, ExpandError> {
        expand(text, &|name| match name {
            "EMPTY" => Some(String::new()),
            "EVIL" => Some("${HOST}".to_owned()),
            "HOST" => Some("h.test".to_owned()),
            "LONG" => Some("x".repeat(1000)),
            _ => None,
        })
    }
}
