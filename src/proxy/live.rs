//! What is served now: one value that a reload swaps for another.
//!
//! A request takes it once, at its beginning, and keeps what it took; so does a connection for what holds
//! while it lasts. How the next one is made is not known here.

use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::Guard;

use crate::proxy::serving::Serving;

/// What is served now.
#[derive(Debug)]
pub struct Live(ArcSwap<Serving>);

impl Live {
    /// Begins with this.
    #[must_use]
    pub fn new(serving: Serving) -> Self {
        Self(ArcSwap::from_pointee(serving))
    }

    /// What is served now, to be kept.
    #[must_use]
    pub fn take(&self) -> Arc<Serving> {
        self.0.load_full()
    }

    /// What is served now, for a moment.
    #[must_use]
    pub fn look(&self) -> Guard<Arc<Serving>> {
        self.0.load()
    }

    /// Serves this from now on, and answers what was served until now.
    #[must_use]
    pub fn swap(&self, serving: Arc<Serving>) -> Arc<Serving> {
        self.0.swap(serving)
    }
}
