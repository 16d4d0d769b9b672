//! The names and ports of the demonstration, as a browser sees them.

/// The host of the first application.
pub(super) const APP: &str = "app.portway.localhost";
/// The host that signs users in.
pub(super) const LOGIN: &str = "login.portway.localhost";
/// The host of the second application.
pub(super) const OTHER: &str = "other.portway.localhost";
/// Every host of the demonstration lies below it. Below `localhost` itself a browser would take each
/// name for a site of its own.
pub(super) const DOMAIN: &str = "portway.localhost";

/// The ports of the gateway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) https: u16,
    pub(super) http: u16,
}

impl Site {
    pub(super) fn https_url(self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.https)
    }

    pub(super) fn http_url(self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.http)
    }
}
