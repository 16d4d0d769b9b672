//! What Portway answers by itself, as a value: redirects, pages, refusals for programs.
//!
//! `proxy/answer.rs` turns each into bytes; nothing here knows HTML or HTTP framing.

use std::sync::Arc;
use std::time::Duration;

use crate::crypto::claims::Seen;
use crate::decision::form::Encoding;
use crate::decision::form::Field;
use crate::decision::password::Weakness;
use crate::model::end::Confirmed;
use crate::model::name::ClusterId;
use crate::model::name::HostName;

/// An answer of Portway's own, with the cookies it sets or clears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What is answered.
    pub kind: ReplyKind,
    /// `Set-Cookie` values.
    pub cookies: Vec<String>,
}

impl Reply {
    /// An answer that touches no cookie.
    #[must_use]
    pub const fn new(kind: ReplyKind) -> Self {
        Self {
            kind,
            cookies: Vec::new(),
        }
    }

    /// The same answer with one more `Set-Cookie`.
    #[must_use]
    pub fn with_cookie(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }
}

/// The kinds of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// Signed in, and sent back here again and again (D-10).
    Circling(Circling),
    /// Signed in, but this host's data centre does not take the session over: clocks differ too much (S-22).
    ClocksDiffer {
        /// The host.
        place: HostName,
        /// What to open to try again.
        again: String,
    },
    /// Asks whether the user really wants to sign out; the button posts.
    ConfirmSignOut,
    /// Signed in, and not allowed to.
    Denied(DeniedAnswer),
    /// For a provider that says what is over there.
    Heard(Heard),
    /// Signed in, but the level is lower than the application asks for and cannot be raised.
    LevelUnreachable,
    /// The login page.
    LoginPage(LoginPage),
    /// Signed in, but this host's data centre does not accept the session.
    NotAccepted {
        /// The host.
        place: HostName,
    },
    /// A page that leads on to an address by itself: browsers follow only so many redirects in a row.
    Onward(String),
    /// The password was changed.
    PasswordChanged {
        /// Whose.
        user: String,
    },
    /// The page on which a password is changed.
    PasswordPage(PasswordPage),
    /// 303 to an address.
    Redirect(String),
    /// A page that sends a form again which was posted before its user had signed in (D-22).
    Replay(Replay),
    /// Signed out, and this is the end of the journey.
    SignedOut(SignedOut),
    /// Signed out at this gate, and no engine could be told of it. The address is where it can be ended yet.
    SignOutUnheard(String),
    /// 401 for a program, which cannot follow a redirect to a login page (D-8).
    SignInRequired {
        /// Where a browser could sign in.
        sign_in: String,
    },
    /// Signed in, but this host's data centre cannot tell at the moment.
    Unconfirmed {
        /// The host.
        place: HostName,
        /// What to open to try again.
        again: String,
    },
    /// Signed in, with nowhere to go.
    Welcome {
        /// Who is signed in.
        user: String,
    },
}

/// What became of what a provider says is over there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is over here, too.
    Done,
    /// It is not believed.
    Refused,
    /// It is over, and that could not be written down.
    Unwritten,
}

/// How a denial is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeniedAnswer {
    /// With a page, which says this beside the reference.
    Page(Option<Arc<str>>),
    /// With the status alone.
    Status,
}

/// What the page says that ends a journey in circles (D-10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circling {
    /// The host that sends the browser back.
    pub application: HostName,
    /// The likely cause: what the host last saw of the browser, or the clocks.
    pub seen: Seen,
    /// What to open to try again.
    pub again: String,
}

/// What the login page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginPage {
    /// The sealed sign-in request, to be posted back.
    pub request: String,
    /// The sealed form, to be posted back.
    pub form: String,
    /// The host to sign in for.
    pub application: Option<String>,
    /// What to say about the last attempt.
    pub notice: Notice,
    /// Whether names and passwords are taken here.
    pub passwords: Passwords,
    /// Where else users sign in.
    pub providers: Vec<ProviderLink>,
}

/// Whether names and passwords are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passwords {
    /// Users sign in elsewhere only.
    Elsewhere,
    /// They are.
    Taken,
}

/// A provider at which users sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderLink {
    /// What users know it by.
    pub title: String,
    /// The way there.
    pub address: String,
}

/// What the page shows on which a password is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPage {
    /// The sealed sign-in request that is to go on afterwards, to be posted back.
    pub request: String,
    /// The sealed form, to be posted back.
    pub form: String,
    /// Whose password; typed by the user where it is not known.
    pub user: Option<String>,
    /// The host to sign in for.
    pub application: Option<String>,
    /// Least length of the new password, in characters.
    pub length_min: usize,
    /// What to say about the last attempt.
    pub notice: PasswordNotice,
}

/// What is said about the last attempt to change a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordNotice {
    /// Too much is waiting; or the provider or store did not answer.
    Busy,
    /// Somebody else has changed it meanwhile.
    Changed,
    /// The user's sessions have just been ended.
    CutOff,
    /// The new password was typed in two ways.
    Differ,
    /// Passwords are not changed here.
    Elsewhere,
    /// It has to be changed before anything else.
    MustChange,
    /// Nothing; it is the first.
    None,
    /// The old password was not accepted. One wording for every reason.
    Refused,
    /// The page was open too long, or the browser did not return its cookie.
    Stale,
    /// It was changed, and what follows from that could not be kept: other sessions may go on.
    Unfinished,
    /// Too many attempts were made; the next may be made after this time.
    Wait(Duration),
    /// The new one is not taken.
    Weak(Weakness),
}

/// What the page shows that sends a form again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The host that it is sent to.
    pub application: String,
    /// Path and query that it is sent to.
    pub target: String,
    /// How it is encoded.
    pub encoding: Encoding,
    /// Its fields, in their order.
    pub fields: Vec<Field>,
}

/// What the page at the end of a sign-out shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOut {
    /// Whether every end is durable where the user signed out.
    pub confirmed: Confirmed,
    /// Which data centres have confirmed; empty where there is one (MDC-LOGOUT-3).
    pub data_centres: Vec<(ClusterId, Confirmed)>,
    /// Where the user wanted to go; the page leads there.
    pub return_to: Option<String>,
}

/// What the login page says about the last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The user is signed in, and has to sign in anew all the same.
    Again,
    /// Too many sign-ins are waiting; or the provider or store did not answer.
    Busy,
    /// The credential was right; the user's sessions have just been ended, and this one with them.
    CutOff,
    /// The user was not signed in at a provider, or its word is not taken. One wording for every reason.
    Declined,
    /// Nothing; it is the first.
    None,
    /// The credential was not accepted. One wording for every reason.
    Refused,
    /// The page was open too long, or the browser did not return its cookie.
    Stale,
    /// Too many were made; the next may be made after this time.
    Wait(Duration),
}
