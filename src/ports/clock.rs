//! The port to the clock.

use crate::model::time::Timestamp;

/// Tells the time. A clock that runs ahead shortens sessions, one that lags lengthens them.
pub trait Clock: Send + Sync + 'static {
    /// The present time; it may step back when the system clock is set.
    fn now(&self) -> Timestamp;
}
