//! The gate: enforces in the request path. It opens cookies, asks the engine and decides.
//!
//! It knows the engine only as the port [`SessionEngine`]; HTTP and sockets are the proxy's.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;

use crate::crypto::bearer::Bearer;
use crate::crypto::claims::AuthnCookie;
use crate::crypto::claims::Claims;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::cookies;
use crate::decision::cookies::CookieNames;
use crate::decision::cookies::chain;
use crate::decision::cookies::gito::GitoReader;
use crate::decision::cookies::settings::CookieSettings;
use crate::decision::origins::Origins;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::gate::opened::OpenedCookie;
use crate::logbook::event as audit;
use crate::model::claim::Claim;
use crate::model::claim::Hint;
use crate::model::claim::HostLimits;
use crate::model::claim::Place;
use crate::model::claim::Presented;
use crate::model::name::HostName;
use crate::model::session::Holder;
use crate::model::time::Timestamp;
use crate::ports::audit_trail::AuditTrail;
use crate::ports::clock::Clock;
use crate::ports::cookie_terms::CookieTerms;
use crate::ports::entropy::Entropy;
use crate::ports::entropy::seal_nonce;
use crate::ports::session_engine::SessionEngine;

pub mod admit;
pub mod callback;
pub mod challenge;
pub mod opened;
pub mod replay;
pub mod sign_out;

/// A request as far as the gate reads it.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Its `Cookie` headers.
    pub cookies: &'a [&'a [u8]],
    /// The application host that it came to.
    pub host: &'a HostName,
    /// The client's address.
    pub address: IpAddr,
    /// Its headers; a cookie may be bound to what it says of its program.
    pub headers: &'a HeaderMap,
    /// What the host asks of sessions beyond what holds everywhere.
    pub limits: HostLimits,
    /// What its connection remembers; nothing where that is not worth while.
    pub opened: Option<&'a OpenedCookie>,
}

impl Caller<'_> {
    /// Who it is, as far as cookies can be bound to it.
    const fn bearer(&self) -> Bearer<'_> {
        Bearer {
            address: self.address,
            headers: self.headers,
        }
    }
}

/// What an authn cookie claims.
struct Presentation {
    claim: Claim,
    /// What a GITO cookie beside it said.
    gito: Option<Hint>,
}

/// The enforcement point of a node.
pub struct Gate {
    /// The engine that holds the sessions.
    pub engine: Arc<dyn SessionEngine>,
    /// The keys of the deployment.
    pub keys: Arc<KeyRing>,
    /// The names of its cookies.
    pub names: CookieNames,
    /// What holds about them, as far as it is known.
    pub terms: Arc<CookieTerms>,
    /// The hosts served.
    pub origins: Arc<Origins>,
    /// Keeps in mind what happened.
    pub audit: Arc<dyn AuditTrail>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Gate {
    /// The authn cookies of a request that open at the host it came to: a cookie of another host does not
    /// (M-015).
    fn authn_cookies<'c>(
        &'c self,
        caller: &'c Caller<'c>,
    ) -> impl Iterator<Item = AuthnCookie> + 'c {
        let authn = CookieNames::find(caller.cookies.iter().copied(), &self.names.authn);
        authn.filter_map(move |sealed| {
            let edition = self.keys.edition();
            let recall = |memory: &OpenedCookie| memory.recall(sealed, caller.host, edition);
            if let Some(cookie) = caller.opened.and_then(recall) {
                return Some(cookie);
            }
            let binding = self.authn_binding(caller.host);
            let opened = self.keys.open_cookie(&binding, sealed);
            match (&opened, caller.opened) {
                (Some(cookie), Some(memory)) => memory.keep(sealed, caller.host, edition, cookie),
                (Some(_), None) => {}
                (None, _) => {
                    let told = audit::not_opened("authn", caller.host, caller.address);
                    self.audit.note(told);
                }
            }
            opened
        })
    }

    /// What the authn cookies claim that are good; one that has lapsed, comes from the future, or from
    /// elsewhere than it is bound to, is as good as absent (MDC-COOKIE-3, MDC-COOKIE-6, D-19).
    fn claims<'c>(
        &'c self,
        settings: &'c CookieSettings,
        caller: &'c Caller<'c>,
        now: Timestamp,
    ) -> impl Iterator<Item = Presentation> + 'c {
        self.authn_cookies(caller)
            .filter(move |cookie| {
                if !settings.believes(cookie.issued, now) {
                    self.keys.reject(Purpose::AuthnCookie);
                }
                settings.is_good(cookie.issued, now) && self.is_at_home(cookie, caller)
            })
            .map(move |cookie| self.claim(cookie, settings, caller, now))
    }

    /// Whether a cookie is brought by whom it was given to. Nothing ends where it is not: whoever has it
    /// could end what is not theirs.
    fn is_at_home(&self, cookie: &AuthnCookie, caller: &Caller<'_>) -> bool {
        let checked = cookie.bound.check(&cookie.facts.sso, &caller.bearer());
        if let Err(strayed) = checked {
            let told = audit::strayed(&cookie.facts, strayed, caller.host, caller.address);
            self.audit.note(told);
        }
        checked.is_ok()
    }

    /// What an authn cookie claims, with what a GITO cookie beside it adds: the newer of the two says where
    /// to ask first (S-7, S-13). The session was in use when the authn cookie was issued, if it does not say
    /// otherwise.
    fn claim(
        &self,
        cookie: AuthnCookie,
        settings: &CookieSettings,
        caller: &Caller<'_>,
        now: Timestamp,
    ) -> Presentation {
        let used = cookie.last_access.unwrap_or(cookie.issued).min(now);
        let reader = GitoReader {
            keys: &self.keys,
            names: &self.names,
            settings,
        };
        let gito = reader.newest(caller.cookies, &cookie.facts, now);
        let hints = gito.clone().map_or_else(Vec::new, |gito| {
            let own = Hint {
                holder: Holder {
                    cluster: cookie.cluster.clone(),
                    session: cookie.session,
                },
                last_access: used,
            };
            chain::in_order(own, gito)
        });
        let claim = Claim {
            facts: cookie.facts,
            cluster: cookie.cluster,
            session: cookie.session,
            last_access: Some(hints.first().map_or(used, |newest| newest.last_access)),
            hints,
            presented: Presented {
                at: Place::Application,
                client_address: caller.address,
                limits: caller.limits,
            },
        };
        Presentation { claim, gito }
    }

    /// An answer that makes the browser forget every cookie that a host may have set.
    fn forgetting(&self, kind: ReplyKind, host: &HostName) -> Reply {
        let reply = Reply::new(kind)
            .with_cookie(cookies::clear(&self.names.authn))
            .with_cookie(cookies::clear(&self.names.nonce));
        let terms = self.terms.current();
        let gito = terms.as_ref().and_then(|settings| settings.gito.as_ref());
        match gito.filter(|gito| gito.covers(host)) {
            None => reply,
            Some(gito) => {
                reply.with_cookie(cookies::clear_for_domain(&self.names.gito, &gito.domain))
            }
        }
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

#[cfg(test)]
mod tests;
