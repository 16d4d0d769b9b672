//! Which requests are tried again at another upstream, and after what.
//!
//! That an upstream cannot be connected to is not among it: nothing was sent then, and any request may go
//! to another one. How often is `upstream::budget`'s.

use http::Method;
use http::StatusCode;

/// What a route has requests tried again after; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn(u8);

/// What can come of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The upstream broke off before it answered.
    Broken,
    /// It did not begin its answer in time.
    Late,
    /// It answered with this status.
    Status(StatusCode),
}

/// How much of a request's body is at an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing, because there is none.
    None,
    /// Some of it, or it is on the way.
    Some,
}

impl RetryOn {
    /// The words that stand for failures.
    pub const WORDS: [&'static str; 7] = ["broken", "late", "429", "500", "502", "503", "504"];

    /// The same and what a word stands for; `None` for another word.
    #[must_use]
    pub fn with(self, word: &str) -> Option<Self> {
        let at = Self::WORDS.iter().position(|known| *known == word)?;
        Some(Self(self.0 | 1 << at))
    }

    /// Whether a failure is one of those.
    #[must_use]
    pub fn includes(self, failure: Failure) -> bool {
        if self.0 == 0 {
            return false;
        }
        let at = match failure {
            Failure::Broken => Some(0),
            Failure::Late => Some(1),
            Failure::Status(status) => Self::WORDS
                .iter()
                .position(|known| *known == status.as_str()),
        };
        at.is_some_and(|at| self.0 & 1 << at != 0)
    }
}

/// Whether a request may be sent again although an upstream may have acted on it (W-08).
#[must_use]
pub fn may_repeat(method: &Method, body: Body) -> bool {
    method.is_idempotent() && body == Body::None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_says_nothing_tries_nothing_again() {
        let none = RetryOn::default();
        for failure in [
            Failure::Broken,
            Failure::Late,
            Failure::Status(StatusCode::BAD_GATEWAY),
        ] {
            assert!(!none.includes(failure), "{failure:?}");
        }
    }

    #[test]
    fn a_word_stands_for_one_failure() {
        let all = RetryOn::WORDS.iter();
        for word in all {
            let on = RetryOn::default().with(word).unwrap();
            assert_eq!(on.includes(Failure::Broken), *word == "broken");
            assert_eq!(on.includes(Failure::Late), *word == "late");
            for status in [200, 404, 429, 500, 501, 502, 503, 504] {
                let failure = Failure::Status(StatusCode::from_u16(status).unwrap());
                assert_eq!(on.includes(failure), *word == status.to_string(), "{word}");
            }
        }
        assert_eq!(RetryOn::default().with("404"), None);
    }

    #[test]
    fn neither_a_body_nor_what_changes_something_is_ever_sent_twice_w_08() {
        for method in [Method::POST, Method::PATCH] {
            assert!(!may_repeat(&method, Body::None), "{method}");
        }
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            assert!(may_repeat(&method, Body::None), "{method}");
            assert!(!may_repeat(&method, Body::Some), "{method}");
        }
    }
}
