//! Counts the cookies that were not believed (MDC-COOKIE-6).
//!
//! What kind they were is all that is counted: why one does not open is nobody's to learn from here.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::crypto::key_ring::Purpose;

/// Counts cookies that did not open, or were dated ahead of any clock that is right.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    authn: AtomicU64,
    gito: AtomicU64,
    id: AtomicU64,
}

impl Rejected {
    pub(super) fn note(&self, purpose: Purpose) {
        let count = match purpose {
            Purpose::AuthnCookie => &self.authn,
            Purpose::Gito => &self.gito,
            Purpose::IdCookie => &self.id,
            // No cookies, or one that opens nothing.
            Purpose::Audit
            | Purpose::Device
            | Purpose::Form
            | Purpose::ProviderVisit
            | Purpose::Record
            | Purpose::Replay
            | Purpose::SignInRequest
            | Purpose::SignOut
            | Purpose::Token => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> [(&'static str, u64); 3] {
        [
            ("authn", &self.authn),
            ("gito", &self.gito),
            ("id", &self.id),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}
