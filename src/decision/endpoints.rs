//! The paths that Portway keeps for itself on every host, and the journey of a sign-out over them.
//!
//! Applications never see a request below [`PREFIX`].

use crate::crypto::claims::Confirmed;
use crate::crypto::claims::SignOut;
use crate::decision::origins::Origins;
use crate::decision::reply::ReplyKind;
use crate::model::name::HostName;

/// Everything below it is Portway's own.
pub const PREFIX: &str = "/.portway/";
/// Takes the one-step token on an application host.
pub const CALLBACK: &str = "/.portway/callback";
/// Clears the cookies of an application host during a sign-out.
pub const CLEAR: &str = "/.portway/clear";
/// Ends the session; on application hosts and on the collector.
pub const LOGOUT: &str = "/.portway/logout";
/// The login page, on the collector.
pub const SIGN_IN: &str = "/.portway/sign-in";
/// Where a sign-out ends, on the collector.
pub const SIGNED_OUT: &str = "/.portway/signed-out";
/// The style sheet of Portway's pages.
pub const STYLE: &str = "/.portway/style.css";

/// The query parameter of a sealed sign-in request.
pub const REQUEST: &str = "r";
/// The query parameter of a one-step token.
pub const TOKEN: &str = "t";
/// The query parameter of a sealed sign-out.
pub const SIGN_OUT: &str = "c";
/// The query parameter of a return address.
pub const RETURN: &str = "return";

/// Where a sign-out goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// To clear the cookies of this host, at this origin.
    Host(HostName, String),
    /// Nowhere; this address is where it ends.
    Return(String),
    /// To the collector's own page, at this origin.
    SignedOut(String),
}

/// How a browser is sent to the next stop: by a redirect, and now and then by a page, because it follows
/// only so many redirects in a row.
#[must_use]
pub fn onward(state: &SignOut, address: String) -> ReplyKind {
    if state.hosts.len() % REDIRECTS_IN_A_ROW == REDIRECTS_IN_A_ROW - 1 {
        ReplyKind::Onward(address)
    } else {
        ReplyKind::Redirect(address)
    }
}

/// Takes the next stop of a sign-out from its state: each served host once, then the end. A user whose
/// end is not yet durable is told so, wherever they wanted to go (S-15).
#[must_use]
pub fn next_stop(state: &mut SignOut, origins: &Origins) -> Option<Stop> {
    while let Some(host) = (!state.hosts.is_empty()).then(|| state.hosts.remove(0)) {
        if let Some(origin) = origins.of(&host) {
            return Some(Stop::Host(host, origin));
        }
    }
    match (&state.return_to, state.confirmed) {
        (Some(address), Confirmed::Durable) => Some(Stop::Return(address.clone())),
        (None, _) | (_, Confirmed::Pending) => origins.collector().map(Stop::SignedOut),
    }
}

/// How long a sign-out may travel from host to host.
pub const SIGN_OUT_LIFETIME: std::time::Duration = std::time::Duration::from_secs(5 * 60);
/// Browsers give up after about twenty redirects.
const REDIRECTS_IN_A_ROW: usize = 10;
