//! The real clock and the real entropy.
//!
//! The only place that reads either; everything else takes them through ports.

use std::cell::RefCell;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use rustls::crypto::SecureRandom;
use zeroize::Zeroize;

use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// The operating system's random numbers, through the process's one crypto provider.
#[derive(Clone, Copy, Debug)]
pub struct SystemEntropy(&'static dyn SecureRandom);

impl SystemEntropy {
    /// Takes the randomness of the provider that TLS uses.
    #[must_use]
    pub fn new() -> Self {
        Self(rustls::crypto::ring::default_provider().secure_random)
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let is_little = bytes.len() <= STOCK_BYTES;
        let handed_out = is_little
            && STOCK.with_borrow_mut(|stock| {
                if stock.left < bytes.len() {
                    self.draw(&mut stock.bytes);
                    stock.left = STOCK_BYTES;
                }
                stock.hand_out(bytes)
            });
        if !handed_out {
            self.draw(bytes);
        }
    }
}

impl SystemEntropy {
    #[expect(clippy::panic, reason = "without randomness no id is safe to hand out")]
    fn draw(&self, bytes: &mut [u8]) {
        if self.0.fill(bytes).is_err() {
            panic!("the operating system gives no random numbers");
        }
    }
}

thread_local! {
    /// Each request needs a few bytes, and a call of the system for each costs more than the bytes.
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock::EMPTY) };
}

/// Random bytes that have not been handed out yet.
struct Stock {
    bytes: [u8; STOCK_BYTES],
    /// How many are left; the others, at the end, are zero.
    left: usize,
}

impl Stock {
    const EMPTY: Self = Self {
        bytes: [0; STOCK_BYTES],
        left: 0,
    };

    /// Hands out bytes, if there are as many; none is handed out twice.
    fn hand_out(&mut self, wanted: &mut [u8]) -> bool {
        let Some(rest) = self.left.checked_sub(wanted.len()) else {
            return false;
        };
        let Some(given) = self.bytes.get_mut(rest..self.left) else {
            return false;
        };
        wanted.copy_from_slice(given);
        given.zeroize();
        self.left = rest;
        true
    }
}

const STOCK_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::ports::entropy::id_bytes;

    /// Also where they come from more than one draw, and in other sizes between.
    #[test]
    fn no_random_bytes_are_handed_out_twice_or_left_zero() {
        let entropy = SystemEntropy::new();
        let mut seen = HashSet::from([[0; 16]]);
        for round in 0..1_000 {
            assert!(seen.insert(id_bytes(&entropy)), "round {round}");
            let mut odd = vec![0; round % 97 + 16];
            entropy.fill(&mut odd);
            let (_, tail) = odd.split_at(odd.len() - 16);
            assert!(seen.insert(tail.try_into().unwrap()), "round {round}");
        }
        let mut large = vec![0; 4 * STOCK_BYTES];
        entropy.fill(&mut large);
        assert!(
            large
                .chunks(16)
                .all(|id| seen.insert(id.try_into().unwrap()))
        );
    }
}
