//! Counts connections, in all and by the client's address, and bounds both.
//!
//! Accepting and closing them is the edge loop's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::Limits;

/// The open connections, in all and by address.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    closed: Notify,
}

impl Connections {
    /// A place for one more connection from an address; none when there are too many.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Option<Place> {
        let mut by_address = self.by_address.lock();
        let here = by_address.get(&address).copied().unwrap_or_default();
        if here >= limits.connections_per_address_max || self.open() >= limits.connections_max {
            return None;
        }
        by_address.insert(address, here + 1);
        self.open.fetch_add(1, Ordering::AcqRel);
        Some(Place {
            connections: Arc::clone(self),
            address,
        })
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Waits until there is none.
    pub(super) async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.open() == 0 {
                return;
            }
            closed.await;
        }
    }
}

/// The place that one connection takes, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.connections.by_address.lock();
        if let Some(here) = by_address.get_mut(&self.address) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                by_address.remove(&self.address);
            }
        }
        self.connections.open.fetch_sub(1, Ordering::AcqRel);
        self.connections.closed.notify_waiters();
    }
}
