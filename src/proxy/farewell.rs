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
        let (first_word, rest) = shared_out(limit);
        // Whoever has connected a moment ago is about to ask.
        timeout(first_word, self.connections.all_closed())
            .await
            .ok();
        self.proxy.http_cleanup().await;
        timeout(rest, self.connections.all_closed()).await.ok();
        self.connections.open()
    }
}

/// How long those who have just connected have, and how long running requests have after that: together the limit.
fn shared_out(limit: Duration) -> (Duration, Duration) {
    let first_word = FIRST_WORD.min(limit / 2);
    (first_word, limit.saturating_sub(first_word))
}

/// How long connections by which nothing has come yet are waited for: a handshake and a request from far away.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// How long before the end idle connections are closed that nothing came by.
const LAST_CALL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_keeps_its_bound_and_leaves_time_for_a_handshake_from_far_away() {
        for millis in [0, 1, 999, 1000, 30_000] {
            let limit = Duration::from_millis(millis);
            let (first_word, rest) = shared_out(limit);
            assert_eq!(first_word + rest, limit);
            assert!(first_word <= rest, "{limit:?}");
        }
        let (first_word, _) = shared_out(Duration::from_secs(30));
        // Four round trips of 200 ms: TCP, TLS 1.2 and the request.
        assert!(first_word >= Duration::from_millis(800));
    }
}
