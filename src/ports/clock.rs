//! The port to the clock: the time, and waiting for it.

use std::time::Duration;

use async_trait::async_trait;

use crate::model::time::Timestamp;

/// Tells the time. A clock that runs ahead shortens sessions, one that lags lengthens them.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The present time; it may step back when the system clock is set.
    fn now(&self) -> Timestamp;

    /// Waits; setting the system clock makes it neither shorter nor longer.
    async fn sleep(&self, span: Duration);
}
