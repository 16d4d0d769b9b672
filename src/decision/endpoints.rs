//! The paths that Portway keeps for itself on every host, and their parameters.
//!
//! Applications never see a request below [`PREFIX`].

use crate::model::name::StoreName;

/// Everything below it is Portway's own.
pub const PREFIX: &str = "/.portway/";
/// Takes the one-step token on an application host.
pub const CALLBACK: &str = "/.portway/callback";
/// Clears the cookies of an application host during a sign-out.
pub const CLEAR: &str = "/.portway/clear";
/// Ends the session; on application hosts and on the collector.
pub const LOGOUT: &str = "/.portway/logout";
/// The page on which a password is changed, on the collector.
pub const PASSWORD: &str = "/.portway/password";
/// Below it are the ways to providers and back, on the collector.
pub const PROVIDERS: &str = "/.portway/provider/";
/// Behind the name of a provider: sends a browser there.
pub const LEAVE: &str = "leave";
/// Behind the name of a provider: takes a browser that comes back from there.
pub const ARRIVE: &str = "callback";
/// Behind the name of a provider: sends a browser there to sign out.
pub const DEPART: &str = "sign-out";
/// Behind the name of a provider: what it says is over, by itself.
pub const OVER: &str = "logout";
/// Behind the name of a provider: what a browser says is over there.
pub const OVER_IN_FRONT: &str = "front-channel-logout";
/// The query parameter of what comes back from a provider.
pub const STATE: &str = "state";
/// Sends a kept post again, on an application host.
pub const REPLAY: &str = "/.portway/replay";
/// The login page, on the collector; on an application host, where a hint for programs leads their users.
pub const SIGN_IN: &str = "/.portway/sign-in";
/// Where a sign-out ends, on the collector.
pub const SIGNED_OUT: &str = "/.portway/signed-out";
/// The style sheet of Portway's pages.
pub const STYLE: &str = "/.portway/style.css";

/// Files that the pages refer to stand below it.
pub const STATIC: &str = "/.portway/static/";

/// The query parameter of a kept post.
pub const POST: &str = "p";
/// The query parameter of a sealed sign-in request.
pub const REQUEST: &str = "r";
/// The query parameter of a one-step token.
pub const TOKEN: &str = "t";
/// The query parameter of a sealed sign-out.
pub const SIGN_OUT: &str = "c";
/// The query parameter of the level that a sign-in is to reach.
pub const LEVEL: &str = "level";
/// The query parameter of a return address.
pub const RETURN: &str = "return";

/// The path of a step on the way to a provider, or back.
#[must_use]
pub fn of_provider(provider: &StoreName, step: &str) -> String {
    format!("{PROVIDERS}{provider}/{step}")
}
