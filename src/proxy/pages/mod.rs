//! Portway's own pages as HTML: they need no script, may be framed by nobody, and name a request id.
//!
//! What a page says is decided elsewhere; here is only how it looks.

use askama::Template;

use crate::decision::reply;
use crate::decision::reply::LoginPage;
use crate::decision::reply::Notice;
use crate::model::end::Confirmed;

/// The style sheet of all pages.
pub const STYLE: &str = include_str!("style.css");

/// The login page.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct Login<'a> {
    /// The title the operator chose.
    pub title: &'a str,
    /// What the page shows.
    pub page: &'a LoginPage,
}

impl Login<'_> {
    /// What to say about the last attempt.
    const fn notice(&self) -> Option<&'static str> {
        match self.page.notice {
            Notice::Again => Some("This application asks you to sign in again."),
            Notice::Busy => {
                Some("Signing in is not possible at the moment. Please try again shortly.")
            }
            Notice::CutOff => {
                Some("Your sessions have just been ended. Please try again in a few minutes.")
            }
            Notice::None => None,
            Notice::Refused => Some("The user name or the password is not right."),
            Notice::Stale => Some(
                "This page was open for too long, or your browser does not keep cookies. \
                 Please sign in again.",
            ),
        }
    }
}

/// A page with a heading, a sentence and perhaps a way on.
#[derive(Debug, Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    /// The heading.
    pub heading: &'a str,
    /// What happened and what to do.
    pub text: &'a str,
    /// The id to tell whoever runs the gateway, where something went wrong.
    pub reference: Option<String>,
    /// A button that posts to this page, with its label.
    pub button: Option<&'a str>,
    /// What a link leads to that tries again.
    pub again: Option<&'a str>,
}

/// A page that leads on by itself.
#[derive(Debug, Template)]
#[template(path = "onward.html")]
pub struct Onward<'a> {
    /// Where to.
    pub address: &'a str,
}

/// The page of a sign-out that no engine could be told of (S-15).
#[derive(Debug, Template)]
#[template(path = "unheard.html")]
pub struct SignOutUnheard<'a> {
    /// Where the session can be ended yet.
    pub address: &'a str,
}

/// The page at the end of a sign-out.
#[derive(Debug, Template)]
#[template(path = "signed_out.html")]
pub struct SignedOut<'a> {
    /// What it shows.
    pub page: &'a reply::SignedOut,
}

impl SignedOut<'_> {
    /// The heading, and what happened.
    fn words(&self) -> (&'static str, &'static str) {
        let mut elsewhere = self.page.data_centres.iter();
        let is_outstanding = elsewhere.any(|(_, confirmed)| *confirmed == Confirmed::Outstanding);
        match (self.page.confirmed, is_outstanding) {
            (Confirmed::Durable, false) => (
                "You are signed out",
                "Your session has ended. You may close this window.",
            ),
            (Confirmed::Durable, true) => (
                "You are signed out here",
                "Your session has ended, but not every data centre has confirmed it yet. The others will \
                 be told as soon as they can be reached. Close the browser to be safe.",
            ),
            (Confirmed::Outstanding, _) => (
                "You are signed out here",
                "Your session has ended on this server, but that could not be written down yet. Close \
                 the browser to be safe.",
            ),
        }
    }

    /// What a data centre said to the end, in words.
    const fn said(confirmed: &Confirmed) -> &'static str {
        match confirmed {
            Confirmed::Durable => "confirmed",
            Confirmed::Outstanding => "not confirmed yet",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::ClusterId;

    fn rendered(confirmed: Confirmed, others: &[(&str, Confirmed)], to: Option<&str>) -> String {
        let others = others.iter();
        let page = reply::SignedOut {
            confirmed,
            data_centres: others
                .map(|(name, said)| (ClusterId::parse(name).unwrap(), *said))
                .collect(),
            return_to: to.map(str::to_owned),
        };
        SignedOut { page: &page }.render().unwrap()
    }

    #[test]
    fn with_one_data_centre_the_page_speaks_of_none() {
        let page = rendered(Confirmed::Durable, &[], None);
        assert!(page.contains("<h1>You are signed out</h1>"));
        assert!(!page.contains("data centre") && !page.contains("<ul") && !page.contains("<a "));
    }

    #[test]
    fn the_page_says_in_words_who_has_confirmed_mdc_logout_3() {
        let others = [
            ("north", Confirmed::Durable),
            ("south", Confirmed::Outstanding),
        ];
        let page = rendered(
            Confirmed::Durable,
            &others,
            Some("https://app.test/?a=1&b=\"2"),
        );
        assert!(page.contains("<li>north: confirmed</li>"), "{page}");
        assert!(page.contains("<li>south: not confirmed yet</li>"), "{page}");
        assert!(page.contains("You are signed out here"), "{page}");
        assert!(
            page.contains("not every data centre has confirmed it yet"),
            "{page}"
        );
        let link = page.split("<a href=\"").nth(1).unwrap();
        let address = link.split('"').next().unwrap();
        assert!(
            address.starts_with("https://app.test/?a=1&#38;b="),
            "{address}"
        );
    }

    #[test]
    fn where_everyone_has_confirmed_the_page_says_so_mdc_logout_3() {
        let page = rendered(Confirmed::Durable, &[("north", Confirmed::Durable)], None);
        assert!(page.contains("<h1>You are signed out</h1>"));
        assert!(page.contains("<li>north: confirmed</li>"));
    }

    #[test]
    fn a_sign_out_that_no_engine_heard_of_is_not_called_done_s_15() {
        let address = "https://login.test/.portway/logout?c=sealed";
        let page = SignOutUnheard { address }.render().unwrap();
        assert!(page.contains("Your session has not ended yet"), "{page}");
        assert!(page.contains("no data centre could be told"), "{page}");
        assert!(!page.contains("You are signed out"), "{page}");
        assert!(page.contains(&format!("<a href=\"{address}\">")), "{page}");
        assert!(
            !page.contains("http-equiv"),
            "it waits for the user: {page}"
        );
    }

    #[test]
    fn an_end_that_is_not_written_down_is_told_s_15() {
        for others in [&[][..], &[("south", Confirmed::Outstanding)]] {
            let page = rendered(Confirmed::Outstanding, others, None);
            assert!(page.contains("could not be written down yet"));
        }
    }
}
