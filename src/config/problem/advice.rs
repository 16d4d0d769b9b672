//! What looks like a mistake and is allowed, with the hint for each.
//!
//! What is refused is `problem`.

use std::time::Duration;

use ipnet::IpNet;

use crate::config::problem::mdc::show;
use crate::decision::endpoints::PREFIX;
use crate::model::name::ClusterId;

/// What looks like a mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Advice {
    /// The same data centre comes first and last (M-027).
    #[error("`{0}` is in both lists")]
    BothTiers(ClusterId),
    /// A route that no path is left to.
    #[error("this route is never reached: `{0}` before it takes all its paths")]
    CoveredRoute(String),
    /// A rule that nobody comes to.
    #[error("this rule is never reached: the one before it holds for everybody who is signed in")]
    CoveredRule,
    /// Whoever asks chooses whether to be asked who it is.
    #[error(
        "what a client sends decides between this route and another for the same paths, and only one of them is \
         protected"
    )]
    ClientChooses,
    /// A redirect that leads to where it came from.
    #[error("this redirect leads to the route itself, again and again")]
    Circle,
    /// A `failure_url` that leads, over others perhaps, to where its route denies again.
    #[error(
        "whoever is denied here is led to where the same may happen, and comes back to this route"
    )]
    DeniedInCircles,
    /// A network that is written as an address in it.
    #[error("`{0}` has bits beyond the network; it is taken for `{net}`", net = .0.trunc())]
    HostBits(IpNet),
    /// A key without effect beside another one.
    #[error("`{key}` has no effect {because}")]
    Inert {
        /// The key.
        key: &'static str,
        /// Why not.
        because: &'static str,
    },
    /// A secret in a file that is copied, printed and versioned (MDC-SEC-5).
    #[error("the password stands in this file")]
    InlinePassword,
    /// Files of an included folder that are not read.
    #[error(
        "`{name}`{more} is left out: of a folder, files that end with `.yaml` are read",
        more = and_more(*.others)
    )]
    LeftOut {
        /// The first.
        name: String,
        /// How many more there are.
        others: usize,
    },
    /// A user who waits before an answer that may not come.
    #[error("with a peer that is silent, a user's first request waits for up to {}", show(*.0))]
    LongWait(Duration),
    /// A peer without what the others have (M-027).
    #[error("`{0}` has no secondary addresses, other peers have")]
    Lopsided(ClusterId),
    /// A gate that loses its users with its own data centre (M-027).
    #[error("there are no secondary engines")]
    NoSecondary,
    /// A listener for nobody.
    #[error("there are neither peers nor gates, so nobody may use the back-channel")]
    Nobody,
    /// Clear text beyond this machine, on the operator's word (MDC-SEC-1).
    #[error("the back-channel is not encrypted")]
    Open,
    /// A route for plain http where none comes to a route.
    #[error("this route is never reached: plain http is not served on this virtual host")]
    NoPlainHttp,
    /// Clients that cannot be told apart.
    #[error("everybody who comes by this socket is one client, 127.0.0.1")]
    OneClient,
    /// A path that no application sees.
    #[error("what is below `{PREFIX}` is answered by Portway itself, and never reaches this route")]
    OwnPath,
    /// What only those who run it need to know, told to others.
    #[error("health and metrics can be read from other machines")]
    OpsExposed,
    /// Primaries that are not of one data centre (M-027).
    #[error("the primary engines are of several data centres, `{0}` and `{1}`")]
    SeveralPrimaries(ClusterId, ClusterId),
    /// A route that no method is left to.
    #[error("this route is never reached: the same pattern has all its methods before it")]
    SpentMethods,
    /// Anybody may say where a request comes from.
    #[error("every sender is believed to be a proxy of yours, whatever it says about its client")]
    TrustsEverybody,
    /// A pool or a policy for nobody.
    #[error("the {what} `{name}` is used by no route")]
    Unused {
        /// What kind of thing.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// Requests that can only be refused.
    #[error("plain http is served here, and refused: it shows no certificate, and one is required")]
    PlainWithoutCertificate,
    /// A reservation that may lapse before its commit.
    #[error("reservation_lapse is not longer than an adoption may take, {}", show(*.0))]
    ShortLapse(Duration),
}

impl Advice {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::BothTiers(_) => "list the engines of other data centres as `secondary`",
            Self::CoveredRoute(_) => {
                "the first that matches decides, whatever the method; put this one first, or leave it out"
            }
            Self::ClientChooses => {
                "headers and parameters can be left out or added at will, and plain http be chosen; see that the \
                 application shows by the open one nothing that is to be protected"
            }
            Self::NoPlainHttp => "write `plain_http: serve`, or leave it out",
            Self::Circle => "browsers give up on it; name a path of another route",
            Self::DeniedInCircles => {
                "they get Portway's page there; let `failure_url` lead to a route that lets them in"
            }
            Self::HostBits(written) => {
                let alone = written.addr();
                return Some(format!(
                    "write the network, or `{alone}` for this address alone"
                ));
            }
            Self::OneClient => {
                "add `proxy_protocol: {}`, or 127.0.0.1 to `trusted_proxies` if what is in front sends X-Forwarded-For"
            }
            Self::OwnPath => "choose another path",
            Self::TrustsEverybody => {
                "clients could claim any address; name the addresses of the balancers in front"
            }
            Self::Unused { .. } => "leave it out, or name it in a route",
            Self::CoveredRule => "put it before that one, or leave it out",
            Self::PlainWithoutCertificate => {
                "leave it out, and browsers are led to https; or have `mode: optional`, and rules where it matters"
            }
            Self::SpentMethods => "leave it out, or give it a method that is left",
            Self::Inert { .. } => "leave it out",
            Self::InlinePassword => {
                "put it into a file of its own (`password_file`) or a variable of the environment"
            }
            Self::LeftOut { .. } => {
                "name it so that it ends with `.yaml`, or name it in `include`; otherwise take it out of the folder"
            }
            Self::LongWait(_) => "lower `adoption.retrieve_timeout` or `adoption.retrieve_retries`",
            Self::Lopsided(_) => {
                "if it has a second way in, name it; each data centre should reach the others alike"
            }
            Self::NoSecondary => {
                "name engines of another data centre; without them this gate stops with its own"
            }
            Self::Nobody => "add `peers` or `gates`",
            Self::Open => {
                "whoever can read the network can read sessions; prefer `simple` or `cert`"
            }
            Self::OpsExposed => {
                "bind an address of this machine only, or see that nobody else can reach it"
            }
            Self::SeveralPrimaries(..) => {
                "list the engines of this gate's own data centre as `primary`, others as `secondary`"
            }
            Self::ShortLapse(_) => "raise it, or adoptions from a slow peer may fail",
        };
        Some(hint.to_owned())
    }
}

fn and_more(others: usize) -> String {
    if others == 0 {
        String::new()
    } else {
        format!(" (and {others} more)")
    }
}
