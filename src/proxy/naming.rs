//! Follows the name of an upstream: asks for its addresses whenever the last answer has run out, and has each
//! of them checked.
//!
//! What an answer means for the members is `upstream`'s. One task per name, which runs until it is dropped;
//! requests never wait for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::oneshot;

use crate::config::Upstream;
use crate::config::UpstreamPlace;
use crate::decision::upstream::stable_hash;
use crate::ports::resolver::Offered;
use crate::ports::resolver::ResolveError;
use crate::ports::resolver::Resolved;
use crate::ports::resolver::Resolver;
use crate::proxy::address::Address;
use crate::proxy::health::Checks;
use crate::proxy::pool::PoolRuntime;
use crate::proxy::upstream::Turnover;
use crate::proxy::upstream::UpstreamRuntime;

/// Who is asked for addresses, by all names together.
#[derive(Clone)]
pub struct Asking {
    resolver: Arc<dyn Resolver>,
    /// For questions under way: a thousand names are not asked for at once.
    room: Arc<Semaphore>,
}

impl Asking {
    /// Asks this resolver.
    #[must_use]
    pub fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self {
            resolver,
            room: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        }
    }

    async fn ask(&self, upstream: &Upstream) -> Result<Found, ResolveError> {
        // Nobody closes it.
        let _room = self.room.acquire().await;
        match &upstream.place {
            UpstreamPlace::Inet { host, .. } => {
                self.resolver.resolve(host).await.map(Found::Addresses)
            }
            UpstreamPlace::Service(name) => self.resolver.offered(name).await.map(Found::Hosts),
            // There is nothing to ask.
            UpstreamPlace::Unix(_) => std::future::pending().await,
        }
    }
}

/// What came of a question.
enum Found {
    Addresses(Resolved),
    /// Those that offer a service.
    Hosts(Offered),
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking")
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

/// Follows the name of an upstream for as long as it runs; ends only where a check of its members has broken
/// off. A failure keeps the last addresses, and is logged when it begins and when it is over. `first` is told
/// after the first answer, whatever it is.
pub async fn follow(
    pool: Arc<PoolRuntime>,
    upstream: Arc<UpstreamRuntime>,
    asking: Asking,
    mut checks: Checks,
    first: oneshot::Sender<()>,
) {
    let mut first = Some(first);
    loop {
        checks.cover(&upstream.members());
        let pause = tokio::select! {
            pause = look(&pool, &upstream, &asking) => pause,
            () = checks.broken() => return,
        };
        checks.cover(&upstream.members());
        if let Some(first) = first.take() {
            // Nobody waits any more when the start went on without this name.
            first.send(()).ok();
        }
        tokio::select! {
            () = tokio::time::sleep(spread(pause, &upstream.name)) => {}
            () = checks.broken() => return,
        }
    }
}

/// Asks once, and answers how long what came of it holds.
async fn look(pool: &PoolRuntime, upstream: &UpstreamRuntime, asking: &Asking) -> Duration {
    match asking.ask(&upstream.upstream).await {
        Ok(found) => {
            if upstream.is_resolved() {
                tracing::info!(upstream = upstream.name, "a name is resolved again");
            }
            let (turnover, valid_for) = match found {
                Found::Addresses(resolved) => {
                    let turnover = pool.resolved_to(upstream, &resolved);
                    (turnover, resolved.valid_for)
                }
                Found::Hosts(offered) => (pool.offered_by(upstream, &offered), offered.valid_for),
            };
            if let Some(turnover) = turnover {
                tell(upstream, &turnover);
            }
            valid_for
        }
        Err(error) => {
            let pause = error.ask_again;
            if upstream.not_resolved(error.source.to_string()) {
                tracing::warn!(
                    upstream = upstream.name,
                    addresses = upstream.members().len(),
                    error = &error as &dyn std::error::Error,
                    "a name was not resolved"
                );
            }
            pause
        }
    }
}

/// Logs other addresses. Answers that name some of many addresses by turns would be told of for ever.
fn tell(upstream: &UpstreamRuntime, turnover: &Turnover) {
    let come_by_turns = turnover.strangers == 0 && !turnover.come.is_empty();
    let are_the_same = turnover.come.is_empty() && turnover.gone.is_empty();
    if come_by_turns || are_the_same {
        return;
    }
    let list = |all: &[Address]| {
        let is_service = upstream.upstream.is_service();
        let shown = |address: &Address| match address.inet() {
            Some(address) if !is_service => address.ip().to_string(),
            Some(_) | None => address.to_string(),
        };
        let all = all.iter().map(shown);
        all.collect::<Vec<_>>().join(", ")
    };
    tracing::info!(
        upstream = upstream.name,
        come = list(&turnover.come),
        gone = list(&turnover.gone),
        "a name has other addresses"
    );
}

/// A pause, longer by up to a tenth, so that names which were asked for at once are not for ever.
fn spread(pause: Duration, name: &str) -> Duration {
    let share = u32::try_from(stable_hash(name.as_bytes()) % 1000).unwrap_or_default();
    pause + pause * share / 10_000
}

const QUESTIONS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_for_at_times_of_their_own_up_to_a_tenth_late() {
        let pause = Duration::from_secs(100);
        let pauses = ["a.test:80", "b.test:80", "c.test:80"].map(|name| spread(pause, name));
        for spread in pauses {
            assert!(spread >= pause && spread < pause + pause / 10, "{spread:?}");
        }
        assert!(pauses[0] != pauses[1] && pauses[1] != pauses[2]);
    }
}
