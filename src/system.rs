//! The real clock and the real entropy.
//!
//! The only place that reads either; everything else takes them through ports.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use rustls::crypto::SecureRandom;

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
    #[expect(clippy::panic, reason = "without randomness no id is safe to hand out")]
    fn fill(&self, bytes: &mut [u8]) {
        if self.0.fill(bytes).is_err() {
            panic!("the operating system gives no random numbers");
        }
    }
}
