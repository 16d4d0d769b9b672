//! The requests in flight, by SSO session, so that an end closes them within a second (D-13, S-17).
//!
//! A cut takes effect at the edge loop, which races every request against it: an idle HTTP/2 stream or
//! WebSocket passes through no filter that could stop it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::model::id::SsoId;
use crate::proxy::watch::RequestWatch;

/// The requests in flight.
#[derive(Debug)]
pub struct Streams {
    shards: Vec<Mutex<HashMap<SsoId, Vec<Running>>>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Running {
    ticket: u64,
    watch: Arc<RequestWatch>,
}

impl Streams {
    /// Makes an empty registry.
    #[must_use]
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            shards,
            next: AtomicU64::new(0),
        }
    }

    /// Registers a request; it is forgotten when the registration is dropped.
    #[must_use]
    pub fn register(self: &Arc<Self>, sso: SsoId, watch: Arc<RequestWatch>) -> Registration {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(shard) = self.shard(&sso) {
            shard
                .lock()
                .entry(sso)
                .or_default()
                .push(Running { ticket, watch });
        }
        Registration {
            streams: Arc::clone(self),
            sso,
            ticket,
        }
    }

    /// Cuts every request of an SSO session; answers how many.
    pub fn cut(&self, sso: &SsoId) -> usize {
        let running = self
            .shard(sso)
            .and_then(|shard| shard.lock().remove(sso))
            .unwrap_or_default();
        running.iter().for_each(|running| running.watch.cut());
        running.len()
    }

    /// The SSO sessions that have requests in flight.
    #[must_use]
    pub fn sessions(&self) -> Vec<SsoId> {
        let of = |shard: &Mutex<HashMap<SsoId, Vec<Running>>>| {
            shard.lock().keys().copied().collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }

    fn shard(&self, sso: &SsoId) -> Option<&Mutex<HashMap<SsoId, Vec<Running>>>> {
        let [first, ..] = sso.as_bytes();
        self.shards.get(usize::from(*first) % SHARDS)
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self::new()
    }
}

/// A registered request.
#[derive(Debug)]
pub struct Registration {
    streams: Arc<Streams>,
    sso: SsoId,
    ticket: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(shard) = self.streams.shard(&self.sso) else {
            return;
        };
        let mut shard = shard.lock();
        if let Some(running) = shard.get_mut(&self.sso) {
            running.retain(|running| running.ticket != self.ticket);
            if running.is_empty() {
                shard.remove(&self.sso);
            }
        }
    }
}

const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_cut_reaches_every_request_of_the_session_and_no_other() {
        let streams = Arc::new(Streams::new());
        let (one, other) = (SsoId::from_bytes([1; 16]), SsoId::from_bytes([2; 16]));
        let watches: Vec<_> = (0..3)
            .map(|_| Arc::new(RequestWatch::new(Duration::ZERO)))
            .collect();
        let _a = streams.register(one, Arc::clone(&watches[0]));
        let _b = streams.register(one, Arc::clone(&watches[1]));
        let _c = streams.register(other, Arc::clone(&watches[2]));
        assert_eq!(streams.cut(&one), 2);
        let cut: Vec<_> = watches.iter().map(|w| w.is_cut()).collect();
        assert_eq!(cut, [true, true, false]);
    }

    #[test]
    fn a_finished_request_is_forgotten() {
        let streams = Arc::new(Streams::new());
        let sso = SsoId::from_bytes([1; 16]);
        drop(streams.register(sso, Arc::new(RequestWatch::new(Duration::ZERO))));
        assert!(streams.sessions().is_empty());
        assert_eq!(streams.cut(&sso), 0);
    }
}
