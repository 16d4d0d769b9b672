//! What is told to somebody who gets no further: a status, a heading, a sentence, and perhaps a way to try
//! again.
//!
//! Why something was refused is said as far as it helps whoever reads it; the log has the rest. Data
//! centres are not named.

use std::borrow::Cow;

use http::StatusCode;

use crate::crypto::claims::Seen;
use crate::decision::reply::Circling;
use crate::model::name::HostName;
use crate::proxy::refusal::Refusal;

/// What is told to somebody who gets no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setback<'a> {
    pub(super) status: StatusCode,
    pub(super) heading: &'static str,
    pub(super) text: Cow<'static, str>,
    /// What to open to try again.
    pub(super) again: Option<&'a str>,
}

impl<'a> Setback<'a> {
    /// A request that is not forwarded.
    pub(super) const fn refused(refusal: Refusal) -> Self {
        let (heading, text) = refusal.words();
        Self {
            status: refusal.status(),
            heading,
            text: Cow::Borrowed(text),
            again: None,
        }
    }

    /// A request that the policy denies, with what the operator says to it.
    pub(super) fn denied(remediation: Option<&str>) -> Self {
        let plain = Self::refused(Refusal::Denied);
        match remediation {
            None => plain,
            Some(remediation) => Self {
                text: Cow::Owned(format!(
                    "You are signed in, but not allowed to open this page. {remediation}"
                )),
                ..plain
            },
        }
    }

    /// An application asks for a higher level than a sign-in gives.
    pub(super) const fn level_unreachable() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            heading: "A stronger sign-in is needed",
            text: Cow::Borrowed(
                "This application asks for a stronger proof of who you are than can be given here.",
            ),
            again: None,
        }
    }

    /// A session cannot be taken up here at the moment (MDC-FAIL-3).
    pub(super) fn unconfirmed(place: &HostName, again: &'a str) -> Self {
        let text = format!(
            "Your sign-in is known, but {place} cannot confirm it just now. You need not sign in again; \
             please try again shortly."
        );
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            heading: "Not available just now",
            text: Cow::Owned(text),
            again: Some(again),
        }
    }

    /// A session is not accepted here.
    pub(super) fn not_accepted(place: &HostName) -> Self {
        let text = format!(
            "Your sign-in is known, but {place} does not accept it. If it should, give the reference below \
             to whoever runs this service."
        );
        Self {
            status: StatusCode::FORBIDDEN,
            heading: "Access denied",
            text: Cow::Owned(text),
            again: None,
        }
    }

    /// A session is not taken over because clocks differ too much (S-22).
    pub(super) fn clocks_differ(place: &HostName, again: &'a str) -> Self {
        let text = format!(
            "Your sign-in is known, but {place} cannot accept it: the clocks of the servers differ too much. \
             Signing in again does not help. If it stays so, give the reference below to whoever runs this \
             service."
        );
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            heading: "Not available just now",
            text: Cow::Owned(text),
            again: Some(again),
        }
    }

    /// A browser that is signed in was sent back too often (D-10).
    pub(super) fn circling(circling: &'a Circling) -> Self {
        let status = match circling.seen {
            Seen::Nothing => StatusCode::FORBIDDEN,
            Seen::ClocksDiffer
            | Seen::Good
            | Seen::NonceOnly
            | Seen::Over
            | Seen::Unconfirmed
            | Seen::Unreadable => StatusCode::SERVICE_UNAVAILABLE,
        };
        let text = format!(
            "You are signed in, but {} keeps sending you back here. {} If it stays so, give the reference \
             below to whoever runs this service.",
            circling.application,
            likely_cause(circling.seen)
        );
        Self {
            status,
            heading: "Signing in does not come to an end",
            text: Cow::Owned(text),
            again: Some(&circling.again),
        }
    }
}

/// Why a browser comes back again and again, as far as what came with it tells (D-10).
const fn likely_cause(seen: Seen) -> &'static str {
    match seen {
        Seen::ClocksDiffer => "The clocks of its servers differ too much.",
        Seen::Good => {
            "What it keeps of your sign-in lapses at once; the clocks of its servers may differ."
        }
        Seen::NonceOnly => {
            "Your sign-in does not arrive there: the clocks of its servers may differ, or they have no key \
             in common."
        }
        Seen::Nothing => {
            "Your browser does not return its cookies: please allow cookies for that address, and try again."
        }
        Seen::Over => "Your session is over at one place, and not yet known to be at another.",
        Seen::Unconfirmed => "The place that holds your session does not confirm it just now.",
        Seen::Unreadable => {
            "It cannot read the cookie that it was given: its servers have no key in common."
        }
    }
}
