//! Watches over the pools that are served: checks the health of their members, keeps the addresses of their
//! names fresh.
//!
//! The watch over a pool ends when it is dropped; a pool that a reload leaves as it is goes on being watched.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::config::Pool;
use crate::config::Probe;
use crate::model::name::PoolName;
use crate::proxy::health::Checks;
use crate::proxy::naming;
use crate::proxy::naming::Asking;
use crate::proxy::pool::PoolRuntime;
use crate::proxy::serving::Serving;
use crate::proxy::tls;
use crate::proxy::tls::TlsError;

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
    pub(super) fn begin(&mut self, serving: &Serving, asking: &Asking) -> Beginning {
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
                None => watch(&target.pool, asking, &mut beginning.names),
            };
            beginning.watch.0.insert(name.clone(), watched);
        }
        beginning
    }
}

fn watch(
    pool: &Arc<PoolRuntime>,
    asking: &Asking,
    names: &mut Vec<oneshot::Receiver<()>>,
) -> Watched {
    let mut tasks = JoinSet::new();
    let tls = health_tls(pool);
    for (_, upstream) in pool.upstreams.members() {
        let mut checks = Checks::new(Arc::clone(pool), tls.clone());
        if !upstream.upstream.is_name() {
            checks.cover(&upstream.members());
            tasks.spawn(async move { checks.broken().await });
            continue;
        }
        let (first, answered) = oneshot::channel();
        if upstream.members().is_empty() {
            names.push(answered);
        }
        tasks.spawn(naming::follow(
            Arc::clone(pool),
            Arc::clone(upstream),
            asking.clone(),
            checks,
            first,
        ));
    }
    Watched {
        pool: Arc::clone(pool),
        tasks,
    }
}

/// How health checks speak TLS: verified as the pool's requests are, unless they say otherwise.
fn health_tls(pool: &PoolRuntime) -> Option<TlsConnector> {
    match connector(&pool.config)? {
        Ok(connector) => Some(connector),
        Err(error) => {
            tracing::error!(pool = %pool.config.name, %error, "health checks cannot speak TLS");
            None
        }
    }
}

/// Makes what the health check of a pool speaks TLS with, if it does.
pub(super) fn connector(pool: &Pool) -> Option<Result<TlsConnector, TlsError>> {
    let check = pool.health_check.as_ref()?;
    let protocol = match check.probe {
        Probe::Grpc { .. } => Some(&b"h2"[..]),
        Probe::Http { .. } | Probe::Tcp | Probe::Tls(_) => None,
    };
    Some(tls::client(check.tls(pool)?, protocol))
}
