//! The feed of ends that gates read: what has stopped serving, in order, as far back as a gate may have
//! been away for a moment.
//!
//! A reader whose place is too old, or of an earlier life of the feed, is told that it lost something.
//! Nothing here waits.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use crate::backchannel::gate_wire::Mark;
use crate::backchannel::gate_wire::News;
use crate::backchannel::gate_wire::SESSIONS_MAX;
use crate::model::id::SsoId;
use crate::model::peer::Rest;
use crate::ports::entropy::Entropy;
use crate::ports::entropy::id_bytes;

/// The feed of one engine.
pub(super) struct Feed {
    kept: Mutex<Kept>,
    entropy: Arc<dyn Entropy>,
}

struct Kept {
    source: broadcast::Receiver<SsoId>,
    life: [u8; 16],
    /// The position of the newest.
    position: u64,
    /// Oldest first.
    ends: VecDeque<SsoId>,
}

impl Feed {
    pub(super) fn new(source: broadcast::Receiver<SsoId>, entropy: Arc<dyn Entropy>) -> Self {
        let kept = Kept {
            source,
            life: id_bytes(entropy.as_ref()),
            position: 0,
            ends: VecDeque::new(),
        };
        Self {
            kept: Mutex::new(kept),
            entropy,
        }
    }

    /// The present place: everything that was announced before is behind it.
    pub(super) fn mark(&self) -> Mark {
        let mut kept = self.kept.lock();
        kept.take_in(self.entropy.as_ref());
        kept.mark()
    }

    /// What has stopped serving after a place, and up to where that goes.
    pub(super) fn since(&self, after: Option<Mark>) -> (Mark, News) {
        let mut kept = self.kept.lock();
        kept.take_in(self.entropy.as_ref());
        let oldest = kept.position.saturating_sub(kept.ends.len() as u64);
        let after = after.filter(|after| after.feed == kept.life);
        let known = after.filter(|after| (oldest..=kept.position).contains(&after.position));
        let Some(after) = known else {
            return (kept.mark(), News::Lost);
        };
        let skipped = usize::try_from(after.position - oldest).unwrap_or(usize::MAX);
        let sessions: Vec<_> = kept
            .ends
            .iter()
            .skip(skipped)
            .take(SESSIONS_MAX)
            .copied()
            .collect();
        let position = after.position + sessions.len() as u64;
        let rest = if position < kept.position {
            Rest::More
        } else {
            Rest::Complete
        };
        let at = Mark { position, ..after };
        (at, News::Ended { sessions, rest })
    }
}

impl Kept {
    /// Takes in whatever the engine has announced.
    fn take_in(&mut self, entropy: &dyn Entropy) {
        loop {
            match self.source.try_recv() {
                Ok(sso) => self.append(sso),
                Err(TryRecvError::Lagged(_)) => {
                    // What was lost is not known any more: nobody's place is good.
                    self.life = id_bytes(entropy);
                    self.position = 0;
                    self.ends.clear();
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn append(&mut self, sso: SsoId) {
        if self.ends.len() >= ENDS_KEPT {
            self.ends.pop_front();
        }
        self.ends.push_back(sso);
        self.position += 1;
    }

    const fn mark(&self) -> Mark {
        Mark {
            feed: self.life,
            position: self.position,
        }
    }
}

/// Ends that are kept for gates that were away for a moment.
const ENDS_KEPT: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemEntropy;

    #[test]
    fn a_reader_gets_what_came_after_its_place_in_order_and_in_portions() {
        let (engine, feed) = feed(4096);
        let start = feed.mark();
        for number in 0..1500 {
            engine.send(sso(number)).unwrap();
        }
        let (at, news) = feed.since(Some(start));
        let News::Ended { sessions, rest } = news else {
            panic!("{news:?}");
        };
        assert_eq!((sessions.len(), rest), (SESSIONS_MAX, Rest::More));
        assert_eq!(sessions[0], sso(0));
        let (end, news) = feed.since(Some(at));
        let News::Ended { sessions, rest } = news else {
            panic!("{news:?}");
        };
        assert_eq!((sessions.len(), rest), (500, Rest::Complete));
        assert_eq!(sessions[499], sso(1499));
        assert_eq!(end, feed.mark());
    }

    #[test]
    fn a_reader_of_nowhere_or_of_another_life_or_of_long_ago_has_lost_something() {
        let (engine, feed) = feed(ENDS_KEPT + 10);
        let start = feed.mark();
        let (_, news) = feed.since(None);
        assert_eq!(news, News::Lost);
        for number in 0..=ENDS_KEPT {
            engine.send(sso(number)).unwrap();
        }
        let (at, news) = feed.since(Some(start));
        assert_eq!(news, News::Lost);
        let ahead = Mark {
            position: at.position + 1,
            ..at
        };
        assert_eq!(feed.since(Some(ahead)).1, News::Lost);
        let foreign = Mark {
            feed: [9; 16],
            ..at
        };
        assert_eq!(feed.since(Some(foreign)).1, News::Lost);
        let (_, news) = feed.since(Some(at));
        assert!(matches!(news, News::Ended { sessions, .. } if sessions.is_empty()));
    }

    #[test]
    fn a_feed_that_lagged_begins_a_new_life() {
        let (engine, feed) = feed(8);
        let start = feed.mark();
        for number in 0..20 {
            engine.send(sso(number)).unwrap();
        }
        let (at, news) = feed.since(Some(start));
        assert_eq!(news, News::Lost);
        assert_ne!(at.feed, start.feed);
    }

    fn feed(capacity: usize) -> (broadcast::Sender<SsoId>, Feed) {
        let (sender, receiver) = broadcast::channel(capacity);
        (sender, Feed::new(receiver, Arc::new(SystemEntropy::new())))
    }

    fn sso(number: usize) -> SsoId {
        SsoId::from_bytes((number as u128).to_be_bytes())
    }
}
