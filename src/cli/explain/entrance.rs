//! Which listeners a request comes in by: the scheme and the port of its address, held against the configuration.
//!
//! Of what stands in front of the gateway only that is known which the configuration says: the port that users
//! reach a host on (`public_port`), and that somebody may end TLS there (`trusted_proxies`). A port that the
//! system chooses may be any, and so may that of whoever comes by a socket in the file system.

use crate::cli::explain::answer::Outcome;
use crate::config::Bind;
use crate::config::Config;
use crate::config::Listener;
use crate::decision::forwarded::Scheme;

/// What an address says of where a request comes in.
#[derive(Debug)]
pub(super) struct Entrance<'c> {
    pub(super) config: &'c Config,
    pub(super) scheme: Scheme,
    /// The port in the address; absent where it is the usual one.
    pub(super) port: Option<u16>,
    /// The port that users reach the host on by https, where one is configured.
    pub(super) public_port: Option<u16>,
}

impl<'c> Entrance<'c> {
    /// The listeners by which the request may come in; or what its client gets where there is none, and why.
    pub(super) fn listeners(&self) -> Result<Vec<&'c Listener>, (Outcome, String)> {
        let all = self.config.listeners.iter();
        let there = all.clone().filter(|at| port_of(at) == Some(self.port()));
        let there: Vec<&'c Listener> = there.collect();
        let direct = there.iter().copied().filter(|at| self.is_spoken_at(at));
        let direct: Vec<&'c Listener> = direct.collect();
        if !direct.is_empty() {
            return Ok(direct);
        }
        let is_passed_on = self.is_passed_on();
        let may_lead = |at: &&Listener| {
            let is_spoken = self.is_spoken_at(at) && (is_passed_on || port_of(at).is_none());
            is_spoken || is_passed_on && self.is_ended_in_front()
        };
        let others: Vec<&'c Listener> = all.filter(may_lead).collect();
        if others.is_empty() {
            return Err(self.why_none(there.first().copied()));
        }
        Ok(others)
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(match self.scheme {
            Scheme::Http => HTTP,
            Scheme::Https => HTTPS,
        })
    }

    const fn is_spoken_at(&self, listener: &Listener) -> bool {
        match self.scheme {
            Scheme::Http => listener.tls.is_none(),
            Scheme::Https => listener.tls.is_some(),
        }
    }

    /// Whether something in front may have the port, and pass connections on to another one.
    fn is_passed_on(&self) -> bool {
        match self.scheme {
            Scheme::Https => self.port() == self.public_port(),
            Scheme::Http => {
                let mut listeners = self.config.listeners.iter();
                let is_in_front = self.public_port.is_some()
                    || !self.config.trusted_proxies.is_empty()
                    || listeners.any(|at| at.proxy_protocol.is_some());
                is_in_front && self.port() == HTTP
            }
        }
    }

    /// Whether somebody may say of a plain connection that it was https.
    fn is_ended_in_front(&self) -> bool {
        match self.scheme {
            Scheme::Https => !self.config.trusted_proxies.is_empty(),
            Scheme::Http => false,
        }
    }

    /// As redirects have it: the configured one, or that of the first listener with TLS.
    fn public_port(&self) -> u16 {
        let mut listeners = self.config.listeners.iter();
        let first = listeners.find(|at| at.tls.is_some());
        let first = first.and_then(port_of);
        self.public_port.or(first).unwrap_or(HTTPS)
    }

    fn why_none(&self, there: Option<&Listener>) -> (Outcome, String) {
        let port = self.port();
        match (there, self.scheme) {
            (Some(Listener { name, .. }), Scheme::Http) => (
                Outcome::Refused,
                format!(
                    "refused: the listener {name} at port {port} has TLS, and answers plain http with 400"
                ),
            ),
            (Some(Listener { name, .. }), Scheme::Https) => (
                Outcome::Unreachable,
                format!("not connected: the listener {name} at port {port} has no TLS"),
            ),
            (None, Scheme::Http) => (
                Outcome::Unreachable,
                format!("not connected: no listener without TLS is at port {port}"),
            ),
            (None, Scheme::Https) => {
                let public = self.public_port();
                let text = if public == port {
                    "not connected: no listener has TLS, and nobody in front is trusted to end it"
                        .to_owned()
                } else {
                    format!(
                        "not connected: no listener is at port {port}; users reach this host at port {public}"
                    )
                };
                (Outcome::Unreachable, text)
            }
        }
    }
}

/// Its port, where the configuration says which.
fn port_of(listener: &Listener) -> Option<u16> {
    match &listener.bind {
        Bind::Tcp(address) => Some(address.port()).filter(|port| *port != 0),
        Bind::Unix { .. } => None,
    }
}

const HTTP: u16 = 80;
const HTTPS: u16 = 443;
