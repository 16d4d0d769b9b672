//! What is told to somebody who gets no further: a status, a heading, a sentence, and perhaps a way to try
//! again.
//!
//! Why something was refused is said as far as it helps whoever reads it; the log has the rest. Data
//! centres are not named.

use http::StatusCode;

use crate::crypto::claims::Seen;
use crate::decision::reply::Circling;
use crate::model::name::HostName;
use crate::proxy::pages::message::Message;
use crate::proxy::refusal::Refusal;

/// What is told to somebody who gets no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setback<'a> {
    pub(super) status: StatusCode,
    pub(super) heading: Message,
    pub(super) text: Message,
    /// What to open to try again.
    pub(super) again: Option<&'a str>,
}

impl<'a> Setback<'a> {
    /// A request that is not forwarded.
    pub(super) fn refused(refusal: Refusal) -> Self {
        let (heading, text) = refusal.words();
        let text = Message::of(text);
        let text = match refusal.wait() {
            Some(wait) => text.with_message("time", Message::time(wait)),
            None => text,
        };
        Self {
            status: refusal.status(),
            heading: Message::of(heading),
            text,
            again: None,
        }
    }

    /// A request that the policy denies, with what the operator says to it.
    pub(super) fn denied(remediation: Option<&str>) -> Self {
        let plain = Self::refused(Refusal::Denied);
        match remediation {
            None => plain,
            Some(remediation) => Self {
                text: Message::of("denied_remedy").with("remedy", remediation.to_owned()),
                ..plain
            },
        }
    }

    /// An application asks for a higher level than a sign-in gives.
    pub(super) const fn level_unreachable() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            heading: Message::of("level"),
            text: Message::of("level_text"),
            again: None,
        }
    }

    /// A session cannot be taken up here at the moment (MDC-FAIL-3).
    pub(super) fn unconfirmed(place: &HostName, again: &'a str) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            heading: Message::of("unconfirmed"),
            text: Message::of("unconfirmed_text").with("place", place.to_string()),
            again: Some(again),
        }
    }

    /// A session is not accepted here.
    pub(super) fn not_accepted(place: &HostName) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            heading: Message::of("denied"),
            text: Message::of("not_accepted_text").with("place", place.to_string()),
            again: None,
        }
    }

    /// A session is not taken over because clocks differ too much (S-22).
    pub(super) fn clocks_differ(place: &HostName, again: &'a str) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            heading: Message::of("unconfirmed"),
            text: Message::of("clocks_differ_text").with("place", place.to_string()),
            again: Some(again),
        }
    }

    /// A browser that is signed in was sent back too often (D-10).
    pub(super) fn circling(circling: &'a Circling) -> Self {
        let status = match circling.seen {
            Seen::Nothing | Seen::Strayed => StatusCode::FORBIDDEN,
            Seen::ClocksDiffer
            | Seen::Good
            | Seen::NonceOnly
            | Seen::Over
            | Seen::Unconfirmed
            | Seen::Unreadable => StatusCode::SERVICE_UNAVAILABLE,
        };
        let text = Message::of("circling_text")
            .with("application", circling.application.to_string())
            .with_message("cause", likely_cause(circling.seen));
        Self {
            status,
            heading: Message::of("circling"),
            text,
            again: Some(&circling.again),
        }
    }
}

/// Why a browser comes back again and again, as far as what came with it tells (D-10).
const fn likely_cause(seen: Seen) -> Message {
    Message::of(match seen {
        Seen::ClocksDiffer => "cause_clocks",
        Seen::Good => "cause_good",
        Seen::NonceOnly => "cause_nonce_only",
        Seen::Nothing => "cause_nothing",
        Seen::Over => "cause_over",
        Seen::Strayed => "cause_strayed",
        Seen::Unconfirmed => "cause_unconfirmed",
        Seen::Unreadable => "cause_unreadable",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::pages::Pages;

    #[test]
    fn the_page_that_ends_a_circle_names_the_cause_in_every_language_d_10() {
        let pages = Pages::built_in();
        for (seen, cause) in [
            (Seen::ClocksDiffer, "clocks of its servers differ"),
            (Seen::Good, "lapses at once"),
            (Seen::NonceOnly, "does not arrive there"),
            (Seen::Nothing, "does not return its cookies"),
            (Seen::Over, "is over at one place"),
            (Seen::Strayed, "change from one request"),
            (Seen::Unconfirmed, "does not confirm it"),
            (Seen::Unreadable, "a cookie of the same name"),
        ] {
            let circling = Circling {
                application: HostName::parse("app.test").unwrap(),
                seen,
                again: "https://app.test/x".to_owned(),
            };
            let setback = Setback::circling(&circling);
            assert_eq!(setback.again, Some("https://app.test/x"));
            let said = pages.in_english().say(&setback.text);
            assert!(said.contains(cause) && said.contains("app.test"), "{said}");
            for language in ["ar", "de", "fr"] {
                let said = pages.for_reader(Some(language)).say(&setback.text);
                assert!(said.contains("app.test") && !said.contains('{'), "{said}");
                assert!(!said.contains(cause), "{language}: {said}");
            }
        }
    }
}
