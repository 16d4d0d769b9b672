//! What serves the requests of a route.

use std::sync::Arc;

use crate::config::Pool;
use crate::decision::fixed_answer::FixedAnswer;

/// What serves the requests of a route.
#[derive(Clone, Debug)]
pub enum Destination {
    /// Portway itself, with this answer.
    Answer(Arc<FixedAnswer>),
    /// Upstreams.
    Pools(RoutePools),
}

impl Destination {
    /// The pools, where upstreams serve the route.
    #[must_use]
    pub const fn pools(&self) -> Option<&RoutePools> {
        match self {
            Self::Answer(_) => None,
            Self::Pools(pools) => Some(pools),
        }
    }
}

/// The pools of a route.
#[derive(Clone, Debug)]
pub struct RoutePools {
    /// Where requests from plain listeners go.
    pub http: Arc<Pool>,
    /// Where requests from TLS listeners go (W-04).
    pub https: Arc<Pool>,
}
