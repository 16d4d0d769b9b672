//! Asks upstreams regularly whether they are well.
//!
//! What is asked is `ask`'s and `grpc`'s; what an answer means for a member is `decision::upstream`'s; these loops run until they are dropped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

pub use self::ask::CheckError;
use self::ask::Whom;
use self::ask::ask;
use crate::config::HealthCheck;
use crate::decision::proxy_header::Announcement;
use crate::decision::proxy_header::write;
use crate::proxy::address::Address;
use crate::proxy::member::MemberRuntime;
use crate::proxy::pool::PoolRuntime;

mod ask;
mod grpc;

/// The checks of the members of an upstream, which come and go.
pub struct Checks {
    pool: Arc<PoolRuntime>,
    tls: Option<TlsConnector>,
    running: BTreeMap<Address, (Arc<MemberRuntime>, AbortHandle)>,
    /// They end with it.
    tasks: JoinSet<()>,
}

impl Checks {
    /// Checks nobody yet.
    #[must_use]
    pub fn new(pool: Arc<PoolRuntime>, tls: Option<TlsConnector>) -> Self {
        Self {
            pool,
            tls,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Checks these members from now on, and no others; does nothing in a pool without checks.
    pub fn cover(&mut self, members: &[Arc<MemberRuntime>]) {
        let pool = &self.pool.config;
        // Asking in plain where TLS is spoken would take every member out.
        let can_ask = |check: &&HealthCheck| self.tls.is_some() || check.tls(pool).is_none();
        let Some(check) = pool.health_check.as_ref().filter(can_ask) else {
            return;
        };
        self.running.retain(|_, (checked, task)| {
            let stays = members.iter().any(|member| member.is_checked_as(checked));
            if !stays {
                task.abort();
            }
            stays
        });
        for member in members {
            if !self.running.contains_key(&member.address) {
                let (pool, checked) = (Arc::clone(&self.pool), Arc::clone(member));
                let checking = self::check(pool, checked, check.clone(), self.tls.clone());
                let task = self.tasks.spawn(checking);
                let checked = Arc::clone(member);
                self.running.insert(member.address.clone(), (checked, task));
            }
        }
    }

    /// Waits until a check has ended by itself, by a fault of its own.
    pub async fn broken(&mut self) {
        loop {
            match self.tasks.join_next().await {
                Some(Err(error)) if error.is_cancelled() => {}
                Some(_) => return,
                None => std::future::pending().await,
            }
        }
    }
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks")
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

/// Checks one member for as long as it runs.
async fn check(
    pool: Arc<PoolRuntime>,
    member: Arc<MemberRuntime>,
    check: HealthCheck,
    tls: Option<TlsConnector>,
) {
    let named = check.tls(&pool.config);
    let named = named.and_then(|tls| tls.server_name.clone());
    let name = named.map_or_else(
        || member.certificate_name().to_owned(),
        |name| name.as_str().to_owned(),
    );
    // Who listens at another port is asked as he would be by anybody.
    let announces = pool.config.proxy_protocol.filter(|_| check.port.is_none());
    let announcement = announces.map(|version| write(version, Announcement::Sender));
    let announcement = announcement.unwrap_or_default();
    let address = match (member.address.inet(), check.port) {
        (Some(own), Some(port)) => Address::from(SocketAddr::new(own.ip(), port)),
        (Some(_) | None, _) => member.address.clone(),
    };
    let whom = Whom {
        address,
        announcement: &announcement,
        server_name: &name,
        authority: &member.authority,
    };
    let mut ticks = tokio::time::interval(check.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = ask(&whom, &check, tls.as_ref());
        let well = tokio::time::timeout(check.timeout, asked).await;
        member.checked(well.unwrap_or(Err(CheckError::Late)));
    }
}
