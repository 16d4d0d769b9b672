//! What of a query, and of a `Referer`, stands in a line: queries carry secrets, and logs are read by many.

use std::borrow::Cow;

use crate::logbook::escape::Escape;

/// What is written of queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryRule {
    /// The names of its parameters, without any value.
    Names,
    /// Nothing, not even that there is one.
    #[default]
    Omit,
    /// Names and values; those of names that promise a secret are left out.
    Values,
}

impl QueryRule {
    /// Appends a query with its question mark.
    pub fn write(self, query: &str, escape: Escape, line: &mut Vec<u8>) {
        if self == Self::Omit {
            return;
        }
        let mut mark = b'?';
        for pair in query.split('&').take(PARAMETERS_MAX) {
            line.push(mark);
            mark = b'&';
            self.write_pair(pair, escape, line);
        }
    }

    fn write_pair(self, pair: &str, escape: Escape, line: &mut Vec<u8>) {
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name, value),
            // A parameter without a name may be all value.
            None => ("", pair),
        };
        if !name.is_empty() {
            escape.write(name.as_bytes(), line);
            line.push(b'=');
        }
        let decisive = if name.is_empty() { value } else { name };
        let is_harmless = !promises_secret(decisive) && !holds_secret(value);
        if self == Self::Values && is_harmless {
            escape.write(value.as_bytes(), line);
        } else {
            line.extend_from_slice(HIDDEN);
        }
    }

    /// Appends a `Referer`: by the same rule, without a fragment or a password.
    pub fn write_referer(self, referer: &[u8], escape: Escape, line: &mut Vec<u8>) {
        let end = referer.iter().position(|byte| *byte == b'#');
        let whole = end.and_then(|end| referer.get(..end)).unwrap_or(referer);
        let mark = whole.iter().position(|byte| *byte == b'?');
        let (address, query) = match mark.and_then(|mark| whole.split_at_checked(mark)) {
            Some((address, query)) => (address, query.get(1..).unwrap_or_default()),
            None => (whole, [].as_slice()),
        };
        let (scheme, rest) = split_scheme(address);
        escape.write(scheme, line);
        escape.write(without_password(rest), line);
        if let Ok(query) = str::from_utf8(query)
            && !query.is_empty()
        {
            self.write(query, escape, line);
        }
    }
}

fn split_scheme(address: &[u8]) -> (&[u8], &[u8]) {
    let slashes = address.windows(3).position(|three| three == b"://");
    slashes
        .and_then(|at| address.split_at_checked(at + 3))
        .unwrap_or((b"", address))
}

/// An address behind its scheme, without what stands before an `@` of its authority.
fn without_password(rest: &[u8]) -> &[u8] {
    let authority = rest.iter().position(|byte| *byte == b'/');
    let authority = rest.get(..authority.unwrap_or(rest.len()));
    let at = authority.and_then(|name| name.iter().rposition(|byte| *byte == b'@'));
    at.and_then(|at| rest.get(at + 1..)).unwrap_or(rest)
}

/// Whether the value behind a name is likely to be a secret; an application may spell the name encoded.
fn promises_secret(name: &str) -> bool {
    let decoded = form_urlencoded::parse(name.as_bytes()).next();
    let name = decoded.map_or(Cow::Borrowed(name), |(name, _)| name);
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.contains(&name.as_str()) || SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// Whether a value has parameters of its own that are likely to be secrets: an address to return to, encoded as
/// often as it was passed on, or a query whose parameters are separated otherwise.
fn holds_secret(value: &str) -> bool {
    let mut text = Cow::Borrowed(value);
    for _ in 0..DECODED_MAX {
        let mut pieces = text.split(['?', '&', ';', '#']);
        if pieces.any(|piece| {
            piece
                .split_once('=')
                .is_some_and(|(name, _)| promises_secret(name))
        }) {
            return true;
        }
        let decoded = decoded(&text);
        if decoded == text {
            return false;
        }
        text = Cow::Owned(decoded);
    }
    // Nobody encodes that often who has nothing to hide.
    true
}

fn decoded(value: &str) -> String {
    let pair = format!("={}", value.replace('&', "%26"));
    let decoded = form_urlencoded::parse(pair.as_bytes()).next();
    decoded.map_or_else(String::new, |(_, value)| value.into_owned())
}

/// Names whose values are secrets: of OAuth, OIDC, SAML, CAS, signed addresses and one-time passwords.
const SECRET_NAMES: &[&str] = &[
    "auth",
    "authorization",
    "code",
    "hash",
    "key",
    "nonce",
    "otp",
    "pin",
    "pw",
    "relaystate",
    "rt",
    "sid",
    "sig",
    "state",
    "ticket",
    "totp",
];
/// What such names have in them.
const SECRET_PARTS: &[&str] = &[
    "access_key",
    "accesskey",
    "api-key",
    "api_key",
    "apikey",
    "assertion",
    "cookie",
    "credential",
    "jwt",
    "passw",
    "pwd",
    "saml",
    "secret",
    "session",
    "signature",
    "token",
];
const HIDDEN: &[u8] = b"*";
/// Parameters written of one query.
const PARAMETERS_MAX: usize = 64;
/// How often a value is decoded in search of secrets.
const DECODED_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rule: QueryRule, query: &str) -> String {
        let mut line = Vec::new();
        rule.write(query, Escape::Quoted, &mut line);
        String::from_utf8(line).unwrap()
    }

    fn referer(rule: QueryRule, referer: &str) -> String {
        let mut line = Vec::new();
        rule.write_referer(referer.as_bytes(), Escape::Quoted, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_query_is_left_out_unless_it_is_asked_for() {
        let query =
            "q=ham&code=s3cret&s3cret&Access_Token=s3cret&page=2&%63ode=s3cret&passw%6Frd=s3cret";
        assert_eq!(written(QueryRule::default(), query), "");
        let names = "?q=*&code=*&*&Access_Token=*&page=*&%63ode=*&passw%6Frd=*";
        assert_eq!(written(QueryRule::Names, query), names);
    }

    #[test]
    fn values_of_names_that_promise_a_secret_are_never_written() {
        let query = "q=ham&code=s3cret&Access_Token=s3cret&page=2&%63ode=s3cret&passw%6Frd=s3cret&keyword=x";
        let values = "?q=ham&code=*&Access_Token=*&page=2&%63ode=*&passw%6Frd=*&keyword=x";
        assert_eq!(written(QueryRule::Values, query), values);
    }

    #[test]
    fn a_secret_within_a_value_is_never_written() {
        let hidden = |query| assert_eq!(written(QueryRule::Values, query), "?a=*", "{query}");
        hidden("a=1;token=s3cret");
        hidden("a=https://app.test/?token=s3cret");
        hidden("a=https%3A%2F%2Fapp.test%2F%3Fq%3D1%26code%3Ds3cret");
        hidden("a=https%253A%252F%252Fapp.test%252F%253Ftoken%253Ds3cret");
        hidden("a=%2525252525253Ftoken");
        let query = "a=100%25&b=https%3A%2F%2Fapp.test%2F%3Fq%3Dham";
        assert_eq!(written(QueryRule::Values, query), format!("?{query}"));
    }

    #[test]
    fn a_referer_follows_the_rule_and_loses_password_and_fragment() {
        let from = "https://bob:s3cret@app.test/a@b?x=1&token=s3cret#s3cret";
        assert_eq!(referer(QueryRule::Omit, from), "https://app.test/a@b");
        assert_eq!(
            referer(QueryRule::Values, from),
            "https://app.test/a@b?x=1&token=*"
        );
        assert_eq!(referer(QueryRule::Values, "a\nb"), r"a\x0Ab");
    }
}
