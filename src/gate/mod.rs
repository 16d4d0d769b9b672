//! The gate: enforces in the request path. It opens cookies, asks the engine and decides.
//!
//! It knows the engine only as the port [`SessionEngine`]; HTTP and sockets are the proxy's.

use std::sync::Arc;

use crate::crypto::claims::AuthnCookie;
use crate::crypto::claims::Claims;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::cookies::CookieNames;
use crate::decision::origins::Origins;
use crate::model::name::HostName;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::entropy::seal_nonce;
use crate::ports::session_engine::Claim;
use crate::ports::session_engine::SessionEngine;

pub mod admit;
pub mod callback;
pub mod challenge;
pub mod sign_out;

/// The enforcement point of a node.
pub struct Gate {
    /// The engine that holds the sessions.
    pub engine: Arc<dyn SessionEngine>,
    /// The keys of the deployment.
    pub keys: Arc<KeyRing>,
    /// The names of its cookies.
    pub names: CookieNames,
    /// The hosts served.
    pub origins: Arc<Origins>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Gate {
    /// The claims in the authn cookies of a request, for the host it came to: a cookie of another host
    /// does not open (M-015).
    fn claims<'c>(
        &'c self,
        cookies: &'c [&'c [u8]],
        host: &'c HostName,
    ) -> impl Iterator<Item = Claim> + 'c {
        CookieNames::find(cookies.iter().copied(), &self.names.authn).filter_map(move |sealed| {
            let cookie: AuthnCookie = self.keys.open_claims(&self.authn_binding(host), sealed)?;
            // A cookie from the future was sealed by a clock that cannot be trusted (MDC-COOKIE-6).
            (cookie.issued <= self.clock.now().after(SKEW_ALLOWANCE)).then_some(Claim {
                facts: cookie.facts,
                cluster: cookie.cluster,
                session: cookie.session,
            })
        })
    }

    fn authn_binding<'b>(&'b self, host: &'b HostName) -> Binding<'b> {
        Binding {
            purpose: Purpose::AuthnCookie,
            name: &self.names.authn,
            scope: host.as_str(),
        }
    }

    fn seal<C: Claims>(&self, to: &Binding<'_>, claims: &C) -> String {
        self.keys
            .seal_claims(to, seal_nonce(self.entropy.as_ref()), claims)
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// How far clocks may differ (S-22).
const SKEW_ALLOWANCE: std::time::Duration = std::time::Duration::from_secs(30);

#[cfg(test)]
mod tests;
