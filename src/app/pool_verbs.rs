//! The pools of the node as those who run it see them and act on them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::app::drains;
use crate::app::drains::DrainFile;
use crate::app::pool_status;
use crate::app::succession::Succession;
use crate::config::UNIX_PREFIX;
use crate::decision::upstream::Drains;
use crate::decision::upstream::Member;
use crate::decision::upstream::Place;
use crate::ports::pools::Busy;
use crate::ports::pools::Draining;
use crate::ports::pools::PoolChange;
use crate::ports::pools::PoolList;
use crate::ports::pools::Pools;
use crate::ports::pools::PoolsError;
use crate::ports::pools::Undraining;
use crate::ports::pools::UpstreamName;
use crate::proxy::live::Live;
use crate::proxy::member::MemberRuntime;
use crate::proxy::pool::PoolRuntime;

/// The pools of a node, to those who run it.
pub(super) struct NodePools {
    pub(super) drains: Arc<DrainFile>,
    pub(super) live: Arc<Live>,
    /// What may have handed over by then.
    pub(super) succession: Arc<Succession>,
    /// Held while something changes.
    pub(super) changing: Arc<Mutex<()>>,
}

#[async_trait]
impl Pools for NodePools {
    fn list(&self, pool: Option<&str>) -> Result<PoolList, PoolsError> {
        let pools = match pool {
            Some(name) => vec![pool_status::of(&*self.pool(name)?)],
            None => pool_status::of_all(&self.live.take()),
        };
        Ok(PoolList { pools })
    }

    async fn drain(&self, draining: &Draining) -> Result<PoolChange, PoolsError> {
        let UpstreamName { pool: name, .. } = &draining.which;
        let pool = self.pool(name)?;
        let places = places(&pool, &draining.which)?;
        if !draining.even_if_last && !is_any_left(&pool, &places) {
            let UpstreamName { pool, upstream } = draining.which.clone();
            return Err(PoolsError::Last { pool, upstream });
        }
        let changed = self.change(move |now| now.with(&places)).await?;
        for place in &changed {
            tracing::info!(pool = place.pool, upstream = %place, "an upstream is drained");
        }
        self.changed(name, &changed)
    }

    async fn undrain(&self, which: &Undraining) -> Result<PoolChange, PoolsError> {
        let name = which.pool.clone();
        let pool = self.pool(&name)?;
        if let Some(upstream) = &which.upstream {
            let named = UpstreamName {
                pool: name.clone(),
                upstream: upstream.clone(),
            };
            may_undrain(&self.drains.now(), &pool, &named)?;
        }
        let (pool, upstream) = (name.clone(), which.upstream.clone());
        let is_chosen = move |place: &Place| {
            let is_named = upstream.as_ref().is_none_or(|text| is_meant(place, text));
            place.pool == pool && is_named
        };
        let changed = self.change(move |now| now.without(is_chosen)).await?;
        for place in &changed {
            tracing::info!(pool = place.pool, upstream = %place, "an upstream is let in again");
        }
        self.changed(&name, &changed)
    }

    async fn idle(&self, which: &UpstreamName, within: Duration) -> Result<Busy, PoolsError> {
        let look = async {
            loop {
                let in_flight = self.in_flight(which)?;
                if in_flight == 0 {
                    return Ok(Busy { in_flight });
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        match tokio::time::timeout(within.min(WAIT_MAX), look).await {
            Ok(busy) => busy,
            Err(_) => self.in_flight(which).map(|in_flight| Busy { in_flight }),
        }
    }
}

impl NodePools {
    fn pool(&self, name: &str) -> Result<Arc<PoolRuntime>, PoolsError> {
        let serving = self.live.take();
        let mut pools = serving.pools.iter();
        let found = pools.find(|(known, _)| known.as_str() == name);
        let found = found.map(|(_, target)| Arc::clone(&target.pool));
        found.ok_or_else(|| PoolsError::NoPool(name.to_owned()))
    }

    /// Counts those of earlier configurations too: they share what is known of a member.
    fn in_flight(&self, which: &UpstreamName) -> Result<usize, PoolsError> {
        let pool = self.pool(&which.pool)?;
        let places = places(&pool, which)?;
        let chosen = members(&pool).filter(|member| places.iter().any(|at| covers(at, member)));
        Ok(chosen.map(|member| member.in_flight()).sum())
    }

    async fn change(
        &self,
        change: impl FnOnce(&Drains) -> (Drains, Vec<Place>) + Send + 'static,
    ) -> Result<Vec<Place>, PoolsError> {
        // Nobody comes to their turn once the gateway has handed over.
        let _changing = tokio::select! {
            () = self.succession.is_over() => return Err(PoolsError::HandedOver),
            changing = self.changing.lock() => changing,
        };
        let (file, live) = (Arc::clone(&self.drains), Arc::clone(&self.live));
        let done = spawn_blocking(move || {
            let changed = file.change(change)?;
            drains::enforce(&live);
            anyhow::Ok(changed)
        });
        match done.await {
            Ok(Ok(changed)) => Ok(changed),
            Ok(Err(error)) => Err(PoolsError::NotNoted(format!("{error:#}"))),
            Err(error) => {
                tracing::error!(%error, "the work on drained upstreams broke off");
                Err(PoolsError::BrokeOff)
            }
        }
    }

    fn changed(&self, name: &str, changed: &[Place]) -> Result<PoolChange, PoolsError> {
        Ok(PoolChange {
            changed: changed.iter().map(ToString::to_string).collect(),
            pool: pool_status::of(&*self.pool(name)?),
        })
    }
}

/// What is meant by the name of an upstream: all of it, or the address of one name or several.
fn places(pool: &PoolRuntime, which: &UpstreamName) -> Result<Vec<Place>, PoolsError> {
    let text = spelled(&which.upstream);
    let place = |upstream: &str, address: Option<&str>| Place {
        pool: which.pool.clone(),
        upstream: upstream.to_owned(),
        address: address.map(str::to_owned),
    };
    let upstreams = || pool.upstreams.members().map(|(_, upstream)| upstream);
    if upstreams().any(|upstream| upstream.name == text) {
        return Ok(vec![place(&text, None)]);
    }
    let of_names = members(pool).filter(|member| member.shown == text);
    let places: Vec<Place> = of_names
        .map(|member| place(&member.name, Some(&member.shown)))
        .collect();
    if places.is_empty() {
        let UpstreamName { pool, upstream } = which.clone();
        return Err(PoolsError::NoUpstream { pool, upstream });
    }
    Ok(places)
}

/// Whether anybody would answer with these drained.
fn is_any_left(pool: &PoolRuntime, drained: &[Place]) -> bool {
    let is_left = |member: &Arc<MemberRuntime>| !drained.iter().any(|at| covers(at, member));
    members(pool)
        .filter(is_left)
        .any(|member| member.state().may_be_chosen())
}

fn may_undrain(
    drains: &Drains,
    pool: &PoolRuntime,
    which: &UpstreamName,
) -> Result<(), PoolsError> {
    let text = spelled(&which.upstream);
    if drains
        .iter()
        .any(|at| at.pool == which.pool && is_meant(at, &text))
    {
        return Ok(());
    }
    let with_name = places(pool, which)?.into_iter().find(|place| {
        let address = place.address.as_deref().unwrap_or_default();
        drains.holds(&place.pool, &place.upstream, address)
    });
    match with_name {
        Some(place) => Err(PoolsError::WithItsName {
            address: text,
            upstream: place.upstream,
        }),
        None => Ok(()),
    }
}

fn is_meant(place: &Place, text: &str) -> bool {
    let text = spelled(text);
    place.upstream == text || place.address.as_ref() == Some(&text)
}

/// The name of an upstream as it is known: hosts in small letters, paths as they are.
fn spelled(text: &str) -> String {
    if text.starts_with(UNIX_PREFIX) {
        text.to_owned()
    } else {
        text.to_ascii_lowercase()
    }
}

fn covers(place: &Place, member: &MemberRuntime) -> bool {
    let address = place.address.as_ref();
    place.upstream == member.name && address.is_none_or(|one| *one == member.shown)
}

fn members(pool: &PoolRuntime) -> impl Iterator<Item = Arc<MemberRuntime>> {
    let upstreams = pool.upstreams.members();
    upstreams.flat_map(|(_, upstream)| upstream.members())
}

/// How often it is looked whether requests still run.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long one question is kept waiting.
const WAIT_MAX: Duration = Duration::from_mins(1);
