//! Portway's own pages as HTML: they need no script, may be framed by nobody, and name a request id.
//!
//! What a page says is decided elsewhere; here is only how it looks.

use askama::Template;

use crate::crypto::claims::Confirmed;
use crate::decision::reply::LoginPage;
use crate::decision::reply::Notice;

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
            Notice::Busy => {
                Some("Signing in is not possible at the moment. Please try again shortly.")
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
}

/// A page that leads on by itself.
#[derive(Debug, Template)]
#[template(path = "onward.html")]
pub struct Onward<'a> {
    /// Where to.
    pub address: &'a str,
}

/// What the page at the end of a sign-out says.
#[must_use]
pub const fn signed_out(confirmed: Confirmed) -> (&'static str, &'static str) {
    match confirmed {
        Confirmed::Durable => (
            "You are signed out",
            "Your session has ended. You may close this window.",
        ),
        Confirmed::Pending => (
            "You are signed out here",
            "Your session has ended on this server, but that could not be written down yet. Close the \
             browser to be safe.",
        ),
    }
}
