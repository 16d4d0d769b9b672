//! Holds every check of a credential against the throttle, whatever it is for, and counts what came of it.
//!
//! How often is too often is `decision::throttle`'s to say.

use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::crypto::claims::DeviceCookie;
use crate::crypto::tags::UserTag;
use crate::decision::throttle::Attempt;
use crate::decision::throttle::Counter;
use crate::decision::throttle::Throttle;
use crate::decision::throttle::ThrottleCounts;
use crate::decision::throttle::ThrottleRules;
use crate::decision::throttle::Verdict;
use crate::engine::EmbeddedEngine;
use crate::model::identity::Credential;
use crate::ports::entropy::Entropy;
use crate::ports::entropy::id_bytes;
use crate::ports::identity_provider::Verified;
use crate::ports::identity_provider::VerifyError;
use crate::ports::session_engine::SignInError;

/// The attempts made so far.
#[derive(Debug)]
pub(super) struct Attempts {
    throttle: Mutex<Throttle>,
    /// One place for each of [`OUTCOMES`].
    counts: [AtomicU64; OUTCOMES.len()],
}

impl EmbeddedEngine {
    /// Checks a credential, unless too many were tried. It is counted before, so that parallel guesses each see
    /// the others, and taken back when it was right or could not be checked. One whose client goes away before
    /// it is answered goes on counting: it may have cost a hash.
    pub(super) async fn check(
        &self,
        credential: Credential,
        address: IpAddr,
        device: Option<&DeviceCookie>,
    ) -> Result<Verified, SignInError> {
        let provider = &self.parts.provider;
        let Credential::Password { user, .. } = &credential else {
            return Err(SignInError::Verify(VerifyError::Refused));
        };
        let account = UserTag::of_account(provider.store(), &provider.account(user));
        let attempt = Attempt::new(account, address, device);
        let verdict = self
            .attempts
            .throttle
            .lock()
            .attempt(&attempt, self.parts.clock.now());
        if let Verdict::Wait { by, wait } = verdict {
            self.attempts.note(throttled(by));
            return Err(SignInError::Throttled { by, wait });
        }
        let mut counted = Counted {
            throttle: &self.attempts.throttle,
            attempt,
            stands: true,
        };
        let verified = provider.verify(credential).await;
        counted.stands = matches!(verified, Err(VerifyError::Refused));
        self.attempts.note(outcome(&verified));
        Ok(verified?)
    }
}

/// An attempt that is being made.
struct Counted<'t> {
    throttle: &'t Mutex<Throttle>,
    attempt: Attempt,
    /// Whether it goes on counting when it is over.
    stands: bool,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.stands {
            self.throttle.lock().take_back(&self.attempt);
        }
    }
}

impl Attempts {
    pub(super) fn new(rules: ThrottleRules, entropy: &dyn Entropy) -> Self {
        Self {
            throttle: Mutex::new(Throttle::new(rules, id_bytes(entropy))),
            counts: <[AtomicU64; OUTCOMES.len()]>::default(),
        }
    }

    /// Goes by other rules from now on; what was counted stays.
    pub(super) fn retune(&self, rules: ThrottleRules) {
        self.throttle.lock().retune(rules);
    }

    /// What is counted, for the process that follows.
    pub(super) fn counted(&self) -> ThrottleCounts {
        self.throttle.lock().counted()
    }

    /// Goes on with what another process has counted.
    pub(super) fn take_over(&self, counted: &ThrottleCounts) {
        self.throttle.lock().take_over(counted);
    }

    pub(super) fn note(&self, outcome: &'static str) {
        let mut counts = OUTCOMES.iter().zip(&self.counts);
        if let Some((_, count)) = counts.find(|(known, _)| **known == outcome) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts so far, each with the name of its outcome.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = OUTCOMES.iter().zip(&self.counts);
        counts
            .map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
            .collect()
    }
}

const fn outcome(verified: &Result<Verified, VerifyError>) -> &'static str {
    match verified {
        Ok(_) => "accepted",
        Err(VerifyError::Busy) => "busy",
        Err(VerifyError::Refused) => "refused",
        Err(VerifyError::Unavailable(..)) => "unavailable",
    }
}

const fn throttled(by: Counter) -> &'static str {
    match by {
        Counter::Account => "throttled_account",
        Counter::Address => "throttled_address",
        Counter::Device => "throttled_device",
    }
}

const OUTCOMES: [&str; 7] = [
    "accepted",
    "busy",
    "refused",
    "throttled_account",
    "throttled_address",
    "throttled_device",
    "unavailable",
];
