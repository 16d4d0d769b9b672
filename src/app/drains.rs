//! Which upstreams are drained, in `pools.json` of the state directory: read at the start, written before a
//! change takes effect.
//!
//! What is drained by which words is `pool_verbs`'; acting on it the proxy's.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;

use crate::config::Config;
use crate::decision::upstream::Drains;
use crate::decision::upstream::Place;
use crate::ports::clock::Clock;
use crate::provider::users_file::replace::FileLock;
use crate::proxy::live::Live;
use crate::proxy::pool::PoolParts;

/// The upstreams that are drained, in memory and on disk.
pub(super) struct DrainFile {
    path: PathBuf,
    now: Arc<ArcSwap<Drains>>,
    ejecting: Arc<Mutex<()>>,
    /// Held while they change.
    changing: Mutex<()>,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    drained: Drains,
}

impl DrainFile {
    /// Reads what an earlier process left. Of what the configuration has no more nothing is kept, and of a file
    /// that cannot be read nothing is known: the node serves all the same, with everything let in, and says so.
    pub(super) fn read(config: &Config) -> Self {
        let path = config.state_dir.join(FILE);
        let drains = read(&path).unwrap_or_else(|error| {
            tracing::error!(
                path = %path.display(),
                error = %format_args!("{error:#}"),
                "it is not known which upstreams are drained; all are let in"
            );
            Drains::default()
        });
        let file = Self {
            path,
            now: Arc::new(ArcSwap::from_pointee(drains)),
            ejecting: Arc::default(),
            changing: Mutex::default(),
        };
        file.forget_others(config);
        for place in file.now.load().iter() {
            tracing::info!(pool = place.pool, upstream = %place, "an upstream is drained");
        }
        file
    }

    /// What pools are made with.
    pub(super) fn pool_parts(&self, clock: &Arc<dyn Clock>) -> PoolParts {
        PoolParts {
            clock: Arc::clone(clock),
            drains: Arc::clone(&self.now),
            ejecting: Arc::clone(&self.ejecting),
        }
    }

    /// Those that are drained now.
    pub(super) fn now(&self) -> Arc<Drains> {
        self.now.load_full()
    }

    /// Notes a change, then has it hold; tells what has changed.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&Drains) -> (Drains, Vec<Place>),
    ) -> anyhow::Result<Vec<Place>> {
        let _held = self.changing.lock();
        let (drained, changed) = change(&self.now.load());
        if changed.is_empty() {
            return Ok(changed);
        }
        write(&self.path, &drained)?;
        self.now.store(Arc::new(drained));
        Ok(changed)
    }

    /// Forgets what another configuration has no more, and has its pools go by the rest.
    pub(super) async fn fit(self: &Arc<Self>, config: &Arc<Config>, live: &Live) {
        let (file, config) = (Arc::clone(self), Arc::clone(config));
        let forgotten = tokio::task::spawn_blocking(move || file.forget_others(&config)).await;
        if let Err(error) = forgotten {
            tracing::error!(%error, "the work on drained upstreams broke off");
        }
        enforce(live);
    }

    fn forget_others(&self, config: &Config) {
        let is_gone = |place: &Place| {
            let mut pools = config.pools.iter();
            let pool = pools.find(|(name, _)| name.as_str() == place.pool);
            let is_there = pool.is_some_and(|(_, pool)| {
                let mut upstreams = pool.primary.iter().chain(&pool.secondary);
                upstreams.any(|upstream| upstream.called() == place.upstream)
            });
            !is_there
        };
        match self.change(|drains| drains.without(is_gone)) {
            Ok(gone) => {
                for place in gone {
                    tracing::info!(
                        pool = place.pool,
                        upstream = %place,
                        "an upstream that was drained is configured no more"
                    );
                }
            }
            Err(error) => tracing::error!(
                path = %self.path.display(),
                error = %format_args!("{error:#}"),
                "which upstreams are drained could not be written"
            ),
        }
    }
}

/// Has the pools that are served go by what is drained now.
pub(super) fn enforce(live: &Live) {
    for target in live.take().pools.values() {
        target.pool.keep_drained();
    }
}

fn read(path: &Path) -> anyhow::Result<Drains> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Drains::default()),
        text => text.context("the file cannot be read")?,
    };
    let written: Written =
        serde_json::from_slice(&text).context("the file cannot be understood")?;
    if written.version > VERSION {
        anyhow::bail!("its version {} is newer than this program", written.version);
    }
    Ok(written.drained)
}

fn write(path: &Path, drained: &Drains) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&Written {
        version: VERSION,
        drained: drained.clone(),
    })?;
    Ok(FileLock::acquire(path)?.replace(&text)?)
}

const FILE: &str = "pools.json";
const VERSION: u32 = 1;
