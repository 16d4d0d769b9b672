//! What `app` does for an engine in a real process, from time to time.

use std::sync::Arc;
use std::time::Duration;

use portway::engine::EmbeddedEngine;
use portway::engine::Swept;
use portway::model::name::ClusterId;

use crate::centre::Process;
use crate::centre::Shared;
use crate::event::Dc;
use crate::executor::Handle;

/// Sweeps, settles, follows the peers, tells them what ended.
pub(crate) fn keep_house(process: &Arc<Process>) {
    let shared = &process.shared;
    let owner = process.owner;
    for engine in &process.door.engines {
        let handle = shared.handle.clone();
        shared
            .handle
            .spawn(owner, sweep(Arc::clone(engine), handle));
        let handle = shared.handle.clone();
        shared
            .handle
            .spawn(owner, settle(Arc::clone(engine), handle));
        shared.handle.spawn(owner, tell(Arc::clone(engine)));
        for peer in others(shared, process.dc) {
            let following = follow(Arc::clone(engine), peer, Arc::clone(shared));
            shared.handle.spawn(owner, following);
        }
    }
}

async fn sweep(engine: Arc<EmbeddedEngine>, handle: Handle) {
    loop {
        handle.sleep(SWEEP_EVERY).await;
        while let Ok(Swept::More) = engine.sweep().await {}
        engine.trim_ends().await.ok();
    }
}

async fn settle(engine: Arc<EmbeddedEngine>, handle: Handle) {
    loop {
        handle.sleep(SETTLE_EVERY).await;
        engine.settle_pending().await;
    }
}

async fn tell(engine: Arc<EmbeddedEngine>) {
    loop {
        engine.tell_ends().await;
    }
}

async fn follow(engine: Arc<EmbeddedEngine>, peer: ClusterId, shared: Arc<Shared>) {
    loop {
        engine.greet(&peer).await;
        engine.follow(&peer).await;
        shared.handle.sleep(shared.plan.pull_every).await;
    }
}

fn others(shared: &Shared, dc: Dc) -> Vec<ClusterId> {
    let all = (0..shared.plan.centres).map(Dc);
    let others = all.filter(|other| *other != dc);
    others
        .map(|other| shared.network.name(other).clone())
        .collect()
}

const SWEEP_EVERY: Duration = Duration::from_secs(7);
const SETTLE_EVERY: Duration = Duration::from_millis(1_500);
