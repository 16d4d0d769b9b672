//! Watches over the pools that are served: checks the health of their members, keeps the addresses of their
//! names fresh.
//!
//! The watch over a pool ends when it is dropped; a pool that a reload leaves as it is goes on being watched.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::model::name::PoolName;
use crate::ports::resolver::Resolver;
use crate::proxy::health;
use crate::proxy::pool::PoolRuntime;
use crate::proxy::serving::Serving;
use crate::proxy::tls;

/// The watch over all pools that are served.
#[derive(Default)]
pub(super) struct PoolWatch(BTreeMap<PoolName, Watched>);

struct Watched {
    pool: Arc<PoolRuntime>,
    /// They end with it.
    tasks: JoinSet<()>,
}

/// The watch over pools that are about to be served.
pub(super) struct Beginning {
    /// To be kept in place of the one before.
    pub(super) watch: PoolWatch,
    /// Told when names without an address so far have been looked up, whatever came of it.
    pub(super) names: Vec<oneshot::Receiver<()>>,
}

impl PoolWatch {
    /// Whether a part of the watch has ended by itself, by a fault of its own.
    pub(super) fn is_broken(&mut self) -> bool {
        let mut watched = self.0.values_mut();
        watched.any(|watched| watched.tasks.try_join_next().is_some())
    }

    /// Begins to watch the pools of a configuration that are not watched yet.
    pub(super) fn begin(&mut self, serving: &Serving, resolver: &Arc<dyn Resolver>) -> Beginning {
        let mut beginning = Beginning {
            watch: Self::default(),
            names: Vec::new(),
        };
        for (name, target) in &serving.pools {
            let same = |watched: &&mut Watched| Arc::ptr_eq(&watched.pool, &target.pool);
            let watched = match self.0.get_mut(name).filter(same) {
                Some(same) => Watched {
                    pool: Arc::clone(&same.pool),
                    tasks: std::mem::take(&mut same.tasks),
                },
                None => watch(&target.pool, resolver, &mut beginning.names),
            };
            beginning.watch.0.insert(name.clone(), watched);
        }
        beginning
    }
}

fn watch(
    pool: &Arc<PoolRuntime>,
    resolver: &Arc<dyn Resolver>,
    names: &mut Vec<oneshot::Receiver<()>>,
) -> Watched {
    let mut tasks = JoinSet::new();
    let speaks_tls = pool.config.tls.is_some();
    let tls = health_tls(pool);
    for (_, member) in pool.tiers.members() {
        if member.is_name() {
            let (first, answered) = oneshot::channel();
            if !member.has_address() {
                names.push(answered);
            }
            tasks.spawn(health::resolve(
                Arc::clone(member),
                Arc::clone(resolver),
                first,
            ));
        }
        // Asking in plain where TLS is spoken would take every member out.
        if let Some(check) = pool
            .config
            .health_check
            .as_ref()
            .filter(|_| tls.is_some() || !speaks_tls)
        {
            let (pool, member) = (Arc::clone(pool), Arc::clone(member));
            tasks.spawn(health::check(pool, member, check.clone(), tls.clone()));
        }
    }
    Watched {
        pool: Arc::clone(pool),
        tasks,
    }
}

/// How health checks speak TLS: verified as the pool's requests are.
fn health_tls(pool: &PoolRuntime) -> Option<TlsConnector> {
    let settings = pool.config.tls.as_ref()?;
    match tls::client(settings) {
        Ok(connector) => Some(connector),
        Err(error) => {
            tracing::error!(pool = %pool.config.name, %error, "health checks cannot speak TLS");
            None
        }
    }
}
