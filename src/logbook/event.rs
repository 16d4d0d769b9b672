//! What happened, for the audit trail: who did what to which session, user, key or configuration.
//!
//! Values only. No password, cookie, token or session id can be told here: sessions are named by a short hash.

use std::net::IpAddr;

use crate::crypto::bearer::Strayed;
use crate::model::claim::Claim;
use crate::model::id::RequestId;
use crate::model::id::SsoId;
use crate::model::name::HostName;
use crate::model::name::UserName;
use crate::model::session::SsoFacts;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The rest, in order: names, and texts that may come from a client.
    pub details: Vec<(&'static str, String)>,
}

/// Who asked for something on the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The user of the system.
    pub uid: u32,
    /// Who it was before `sudo`, as far as that was told; empty if nobody.
    pub sudo_user: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// A request was denied that anybody may have made: nobody was asked who it is, or nobody is signed in.
    Barred,
    /// Somebody asked a running gateway to do something, by the command line.
    CommandGiven,
    /// A configuration is served from now on.
    ConfigurationLoaded,
    /// A configuration was not taken over.
    ConfigurationRefused,
    /// A cookie speaks of somebody else than the session it names (S-3).
    CookieMismatched,
    /// A cookie did not open (MDC-COOKIE-6).
    CookieNotOpened,
    /// A cookie came from elsewhere than it is bound to (D-19).
    CookieStrayed,
    /// A request of somebody who is signed in was denied.
    Denied,
    /// A gateway handed its sockets and sessions over to another process.
    HandedOver,
    /// The keys have changed.
    KeysChanged,
    /// Lines of the trail were lost: it could not be written.
    LinesLost,
    /// A user has a new password.
    PasswordChanged,
    /// A session of another data centre was taken over.
    SessionAdopted,
    /// A session ended, other than by its user.
    SessionEnded,
    /// A credential was not accepted.
    SignInRefused,
    /// A user signed in.
    SignedIn,
    /// A user signed out.
    SignedOut,
    /// A gateway began to serve.
    Started,
    /// A gateway stopped in order.
    Stopped,
    /// The trail ends earlier than it should: lines were cut off its end.
    TrailCut,
    /// An unfinished line was taken off the end of the trail.
    TrailRepaired,
    /// Everything a user had was ended.
    UserCutOff,
    /// Users were added, changed or removed.
    UsersChanged,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 23] = [
        Self::Barred,
        Self::CommandGiven,
        Self::ConfigurationLoaded,
        Self::ConfigurationRefused,
        Self::CookieMismatched,
        Self::CookieNotOpened,
        Self::CookieStrayed,
        Self::Denied,
        Self::HandedOver,
        Self::KeysChanged,
        Self::LinesLost,
        Self::PasswordChanged,
        Self::SessionAdopted,
        Self::SessionEnded,
        Self::SignInRefused,
        Self::SignedIn,
        Self::SignedOut,
        Self::Started,
        Self::Stopped,
        Self::TrailCut,
        Self::TrailRepaired,
        Self::UserCutOff,
        Self::UsersChanged,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Barred => "barred",
            Self::CommandGiven => "command_given",
            Self::ConfigurationLoaded => "configuration_loaded",
            Self::ConfigurationRefused => "configuration_refused",
            Self::CookieMismatched => "cookie_mismatched",
            Self::CookieNotOpened => "cookie_not_opened",
            Self::CookieStrayed => "cookie_strayed",
            Self::Denied => "denied",
            Self::HandedOver => "handed_over",
            Self::KeysChanged => "keys_changed",
            Self::LinesLost => "lines_lost",
            Self::PasswordChanged => "password_changed",
            Self::SessionAdopted => "session_adopted",
            Self::SessionEnded => "session_ended",
            Self::SignInRefused => "sign_in_refused",
            Self::SignedIn => "signed_in",
            Self::SignedOut => "signed_out",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::TrailCut => "trail_cut",
            Self::TrailRepaired => "trail_repaired",
            Self::UserCutOff => "user_cut_off",
            Self::UsersChanged => "users_changed",
        }
    }
}

impl Event {
    /// Something that happened, nothing else known.
    #[must_use]
    pub const fn new(kind: EventKind) -> Self {
        Self {
            kind,
            details: Vec::new(),
        }
    }

    /// The user it is about.
    #[must_use]
    pub fn user(self, user: &UserName) -> Self {
        self.with("user", user.as_str())
    }

    /// The session it is about.
    #[must_use]
    pub fn session(self, sso: &SsoId) -> Self {
        self.with("session", sso.short_hash())
    }

    /// The client who did it.
    #[must_use]
    pub fn client(self, address: IpAddr) -> Self {
        self.with("client", address.to_string())
    }

    /// The host it was asked of.
    #[must_use]
    pub fn host(self, host: &HostName) -> Self {
        self.with("host", host.as_str())
    }

    /// The request that led to it.
    #[must_use]
    pub fn request(self, id: RequestId) -> Self {
        self.with("request_id", id.as_str())
    }

    /// Who brought it about.
    #[must_use]
    pub fn by(self, actor: &Actor) -> Self {
        self.with("by_uid", actor.uid.to_string())
            .with("by_sudo_user", &*actor.sudo_user)
    }

    /// One detail more.
    #[must_use]
    pub fn with(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.details.push((name, text.into()));
        self
    }
}

/// A cookie that does not open (MDC-COOKIE-6).
#[must_use]
pub fn not_opened(cookie: &'static str, host: &HostName, client: IpAddr) -> Event {
    Event::new(EventKind::CookieNotOpened)
        .with("cookie", cookie)
        .host(host)
        .client(client)
}

/// A cookie that came from elsewhere than it is bound to (D-19).
#[must_use]
pub fn strayed(facts: &SsoFacts, strayed: Strayed, host: &HostName, client: IpAddr) -> Event {
    Event::new(EventKind::CookieStrayed)
        .user(&facts.subject)
        .session(&facts.sso)
        .with("differs", strayed.as_str())
        .host(host)
        .client(client)
}

/// A cookie that speaks of somebody else than the session it names (S-3).
#[must_use]
pub fn mismatched(claim: &Claim, host: &HostName) -> Event {
    Event::new(EventKind::CookieMismatched)
        .user(&claim.facts.subject)
        .session(&claim.facts.sso)
        .host(host)
        .client(claim.presented.client_address)
}
