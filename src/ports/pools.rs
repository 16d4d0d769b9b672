//! The port by which those who run a node see its pools, take upstreams out, and let them in again.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde::Serialize;

use crate::ports::control::PoolStatus;

/// The pools of a node, to those who run it.
#[async_trait]
pub trait Pools: Send + Sync + 'static {
    /// Tells how pools are: one, or all in the order of their names.
    ///
    /// # Errors
    /// When there is no pool of that name.
    fn list(&self, pool: Option<&str>) -> Result<PoolList, PoolsError>;

    /// Takes an upstream out: from now on no request begins there, by no connection and after no restart.
    /// Requests that run go on.
    ///
    /// # Errors
    /// See [`PoolsError`]; nothing has changed then.
    async fn drain(&self, which: &Draining) -> Result<PoolChange, PoolsError>;

    /// Lets upstreams in again.
    ///
    /// # Errors
    /// See [`PoolsError`]; nothing has changed then.
    async fn undrain(&self, which: &Undraining) -> Result<PoolChange, PoolsError>;

    /// Waits until no request runs at an upstream, but no longer than this; tells how many do then.
    ///
    /// # Errors
    /// When there is no such upstream.
    async fn idle(&self, which: &UpstreamName, within: Duration) -> Result<Busy, PoolsError>;
}

/// An upstream, as those who run the node name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamName {
    /// Its pool.
    pub pool: String,
    /// Host and port as configured, one IP address and port of a name, or a socket behind `unix:`.
    pub upstream: String,
}

/// What is to be taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// Which.
    #[serde(flatten)]
    pub which: UpstreamName,
    /// Also where nobody would be left to answer.
    #[serde(default)]
    pub even_if_last: bool,
}

/// What is to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undraining {
    /// The pool.
    pub pool: String,
    /// The upstream; all of the pool where there is none.
    #[serde(default)]
    pub upstream: Option<String>,
}

/// Pools, as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolList {
    /// Each of them.
    pub pools: Vec<PoolStatus>,
}

/// What became of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolChange {
    /// What was taken out or let in; nothing where it was so before.
    pub changed: Vec<String>,
    /// The pool, as it is.
    pub pool: PoolStatus,
}

/// How busy an upstream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// Requests that run there.
    pub in_flight: usize,
}

/// Why nothing was done about pools.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolsError {
    /// The work broke off.
    #[error("the work broke off; the log says why")]
    BrokeOff,
    /// Another process serves by now.
    #[error("another process serves by now; ask again")]
    HandedOver,
    /// Nobody would be left to answer.
    #[error(
        "no other upstream of the pool {pool} takes requests; --even-if-last drains {upstream} all the same"
    )]
    Last {
        /// The pool.
        pool: String,
        /// The upstream.
        upstream: String,
    },
    /// There is no such pool.
    #[error("there is no pool {0}")]
    NoPool(String),
    /// There is no such upstream.
    #[error("the pool {pool} has no upstream {upstream}; `portway pool list {pool}` shows them")]
    NoUpstream {
        /// The pool.
        pool: String,
        /// What was named.
        upstream: String,
    },
    /// It could not be noted, and would not have outlived the process.
    #[error("it could not be noted: {0}")]
    NotNoted(String),
    /// The address is drained with all others of its name.
    #[error("{address} is drained with all of {upstream}; undrain that")]
    WithItsName {
        /// The address.
        address: String,
        /// The upstream.
        upstream: String,
    },
}
