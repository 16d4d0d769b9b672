//! How connections are taken leave of when nothing is accepted any more.

use std::time::Duration;

use pingora::apps::HttpServerApp;
use tokio::time::timeout;

use crate::proxy::edge::Edge;

/// How idle connections are taken leave of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// They are closed.
    AtOnce,
    /// Each is told with its next answer that it was the last, so that no request meets a connection that is being
    /// closed; those that are idle to the end are closed then. Somebody else accepts connections meanwhile.
    Lingering,
}

impl Edge {
    /// Closes idle connections, waits for running requests within the drain time-out, and answers how many
    /// connections were still open then.
    pub async fn drain(&self, farewell: Farewell) -> usize {
        let mut limit = self.live.look().limits.drain_timeout;
        if farewell == Farewell::Lingering {
            let asked = limit.saturating_sub(LAST_CALL);
            if timeout(asked, self.connections.all_closed()).await.is_ok() {
                return 0;
            }
            limit = limit.min(LAST_CALL);
        }
        // Whoever has connected a moment ago is about to ask.
        timeout(limit.min(FIRST_WORD), self.connections.all_closed())
            .await
            .ok();
        self.proxy.http_cleanup().await;
        timeout(limit, self.connections.all_closed()).await.ok();
        self.connections.open()
    }
}

/// How long connections by which nothing has come yet are waited for: a handshake and a request from far away.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// How long before the end idle connections are closed that nothing came by.
const LAST_CALL: Duration = Duration::from_secs(1);
