//! What can be wrong with `mdc` and `engine`, with the hint for each.
//!
//! What is wrong with a single value is `problem`; here stands what does not fit together.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::problem::ReadFileError;
use crate::config::problem::words;
use crate::crypto::tags::SameTag;
use crate::model::name::ClusterId;
use crate::model::name::DATA_CENTRES_MAX;

/// What is wrong with the part about several data centres.
#[derive(Debug, thiserror::Error)]
pub enum MdcProblem {
    /// One holder at a time, and no cookie that every data centre sees (X-18, M-059).
    #[error("`anchor_session: true` needs `gito_domain`")]
    AnchorWithoutGito,
    /// An authn cookie that outlives the idle time-out (MDC-COOKIE-3).
    #[error("authn_lifetime is longer than session.idle_timeout, {}", show(*.0))]
    AuthnLifetime(Duration),
    /// Without a common cookie it must be shorter, so that the collector hears of the user in time (M-078).
    #[error(
        "without `gito_domain` authn_lifetime must be shorter than session.idle_timeout, {}", show(*.0)
    )]
    AuthnLifetimeWithoutGito(Duration),
    /// Several data centres would have one name.
    #[error("`cluster_id` is still `{0}`; each of several data centres needs a name of its own")]
    ClusterDefault(ClusterId),
    /// A collector elsewhere, beside an engine of one's own.
    #[error("only a gate with `engine.remote` has its collector elsewhere")]
    CollectorElsewhere,
    /// A collector on a gate without an engine.
    #[error("a gate with `engine.remote` cannot serve the collector")]
    CollectorHere,
    /// A gate that could be taken for a data centre (MDC-SEC-4).
    #[error("`{0}` is the name of a data centre too")]
    GateIsDataCentre(ClusterId),
    /// A parent domain that no browser takes.
    #[error("`{0}` is no domain that browsers take a cookie for")]
    GitoDomain(String),
    /// A parent domain that is none.
    #[error("`{domain}` is not a parent of {}", words(.hosts))]
    GitoDomainParent {
        /// The domain.
        domain: String,
        /// The hosts outside it.
        hosts: Vec<String>,
    },
    /// A domain below which anybody may have a name: browsers drop a cookie for it.
    #[error("`{0}` is a public suffix, and browsers take no cookie for one")]
    GitoDomainPublic(String),
    /// A last access that is never news.
    #[error("gito_granularity is not shorter than session.idle_timeout, {}", show(*.0))]
    GitoGranularity(Duration),
    /// A lease that says nothing.
    #[error("partition_lease is longer than session.lifetime, {}", show(*.0))]
    Lease(Duration),
    /// A session that cannot be let go of in time.
    #[error("min_hold is not shorter than an adoption may take, {}", show(*.0))]
    MinHold(Duration),
    /// Clear text beyond this machine (MDC-SEC-1).
    #[error("`security: open` is for this machine only, and `{0}` is not on it")]
    OpenExposed(String),
    /// A data centre that asks itself.
    #[error("`{0}` is this data centre itself")]
    OwnPeer(ClusterId),
    /// A password that guards nothing, or that no message could hold; its text is never shown.
    #[error("a password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes, this one has {0}")]
    Password(usize),
    /// Nothing else proves who the other end is (MDC-SEC-1).
    #[error("`security: open` needs a password shared with `{0}`")]
    PasswordMissing(ClusterId),
    /// Likewise, of a gate.
    #[error("`security: open` needs a password shared with the engines")]
    PasswordNeeded,
    /// Whoever knows it could speak for the other (MDC-SEC-4).
    #[error("the password is the one of `{0}`, and either could speak for the other")]
    PasswordShared(ClusterId),
    /// A file that `portway pki` makes is not there.
    #[error("cannot read `{}`: {error}", path.display())]
    PkiFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: ReadFileError,
    },
    /// A lease that always lapses.
    #[error("pull_interval is not shorter than partition_lease, {}", show(*.0))]
    PullInterval(Duration),
    /// An engine's section on a gate without one.
    #[error("a gate with `engine.remote` is no data centre of its own")]
    RemoteWithMdc,
    /// Two data centres that cookies cannot tell apart.
    #[error(transparent)]
    SameTag(SameTag),
    /// Skew that is refused before it is reported.
    #[error("clock_skew.allowance is longer than clock_skew.hard_limit, {}", show(*.0))]
    Skew(Duration),
    /// More data centres than a cookie holds.
    #[error("these are {0} data centres with this one, and {DATA_CENTRES_MAX} is the most")]
    TooMany(usize),
}

impl MdcProblem {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::AnchorWithoutGito => {
                "name a common parent of all hosts as `gito_domain`, or write `anchor_session: false`"
            }
            Self::AuthnLifetime(_) | Self::AuthnLifetimeWithoutGito(_) => {
                "lower it, or leave it out"
            }
            Self::ClusterDefault(_) => "such as `cluster_id: nydc`",
            Self::CollectorElsewhere => "leave `elsewhere` out",
            Self::CollectorHere => {
                "write `elsewhere: true` if the engine nodes serve it; this gate leads browsers there"
            }
            Self::GateIsDataCentre(_) => "give the gate a name that nothing else has",
            Self::GitoDomain(_) => "such as `example.com`: at least two labels, and no address",
            Self::GitoDomainParent { .. } => {
                "serve the hosts below one domain, or leave `gito_domain` out"
            }
            Self::GitoDomainPublic(suffix) => {
                return Some(format!(
                    "such as `example.{suffix}`: a domain that is yours"
                ));
            }
            Self::GitoGranularity(_) => "such as `1m`, or `0s` for every authorisation",
            Self::Lease(_) => "by default it is session.idle_timeout",
            Self::MinHold(_) => {
                "lower it, or raise `adoption.retrieve_timeout` or `adoption.retrieve_retries`"
            }
            Self::OpenExposed(_) => {
                "use `security: simple` or `cert`, or write `allow_open: true` if the network is yours alone"
            }
            Self::OwnPeer(_) => "list the other data centres only",
            Self::Password(_) => "such as: openssl rand -base64 32",
            Self::PasswordMissing(_) | Self::PasswordNeeded => "add `password_file`",
            Self::PasswordShared(_) => "give each a password of its own, at both ends",
            Self::PkiFile { .. } => "`portway pki` makes it, or name a file of your own",
            Self::PullInterval(_) => "several pulls must fit into the lease",
            Self::RemoteWithMdc => {
                "configure `mdc` on the engine nodes, and list this gate there; they tell it what it goes by"
            }
            Self::SameTag(_) => "give one of them another name, in every data centre",
            Self::Skew(_) => "lower `allowance` or raise `hard_limit`",
            Self::TooMany(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// A duration in the largest unit that says it exactly.
pub(super) fn show(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ];
    let fits = units
        .into_iter()
        .find(|(factor, _)| millis > 0 && millis.is_multiple_of(*factor));
    match fits {
        Some((factor, unit)) => format!("{}{unit}", millis.checked_div(factor).unwrap_or_default()),
        None => format!("{millis}ms"),
    }
}

/// In `open` mode whoever overhears a proof can try passwords against it.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// More is no password.
pub const PASSWORD_BYTES_MAX: usize = 1024;
