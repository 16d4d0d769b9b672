//! Whether to tell the log of what anybody can cause: what is told of clients is counted in one table, whatever is told.
//!
//! What is complained about, and in which words, is said where it happens.

use std::net::IpAddr;

use crate::proxy::serving::Serving;

impl Serving {
    /// Whether to tell of something that anybody can cause, and how often it was not told before; none if the same
    /// was told of the client's network lately.
    pub(super) fn may_tell(&self, client: IpAddr, why: &str) -> Option<u64> {
        let now = self.clock.now();
        self.limiters.complaints.note(client, why, now)
    }
}
