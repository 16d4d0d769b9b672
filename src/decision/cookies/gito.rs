//! The GITO cookie: where a session was last used, told to the hosts of a whole domain (MDC-COOKIE-4,
//! M-020…M-023).
//!
//! It never authenticates and never selects a session (S-13): beside a cookie that does, it says when the
//! same session was last used and where to ask for it, and by itself it is nothing.

use std::time::Duration;

use crate::crypto::claims::GitoCookie;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::crypto::tags::ClusterTag;
use crate::crypto::tags::UserTag;
use crate::decision::cookies::CookieNames;
use crate::decision::cookies::settings::CookieSettings;
use crate::model::claim::Hint;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// The GITO cookie (MDC-COOKIE-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gito {
    /// Its `Domain`: a parent of every host served.
    pub domain: HostName,
    /// It is issued again at most this often; zero: on every authorisation.
    pub granularity: Duration,
}

impl Gito {
    /// What a GITO cookie is sealed for.
    #[must_use]
    pub fn binding<'b>(&'b self, names: &'b CookieNames) -> Binding<'b> {
        Binding {
            purpose: Purpose::Gito,
            name: &names.gito,
            scope: self.domain.as_str(),
        }
    }

    /// Whether a browser takes the cookie from a host: from the domain itself and all below it.
    #[must_use]
    pub fn covers(&self, host: &HostName) -> bool {
        let above = host.as_str().strip_suffix(self.domain.as_str());
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }

    /// Whether an authorisation sets one: the browser has none of this session, or it names another
    /// holder, or it is as old as the granularity.
    #[must_use]
    pub fn is_due(&self, seen: Option<&Hint>, serving: &Holder, now: Timestamp) -> bool {
        seen.is_none_or(|seen| {
            seen.holder != *serving || now.since(seen.last_access) >= self.granularity
        })
    }

    /// Until when a response may set the cookie of an authorisation at `authorised`; a later one would set
    /// the browser's clock back (S-13).
    #[must_use]
    pub fn settable_until(&self, authorised: Timestamp) -> Timestamp {
        let is_always_due = self.granularity.is_zero();
        authorised.after(if is_always_due {
            RESPONSE_AGE_MAX
        } else {
            self.granularity
        })
    }
}

/// The GITO cookie of a session that was used now, here.
#[must_use]
pub fn of(session: &Session, cluster: &ClusterId, now: Timestamp) -> GitoCookie {
    let facts = &session.facts;
    GitoCookie {
        sso: facts.sso,
        cluster: ClusterTag::of(cluster),
        session: session.id,
        user: UserTag::of(&facts.store, &facts.subject),
        generation: facts.generation,
        expires: facts.expires,
        last_access: now,
        created: now,
    }
}

/// Reads the GITO cookies of a request.
#[derive(Clone, Copy, Debug)]
pub struct GitoReader<'a> {
    /// The keys of the deployment.
    pub keys: &'a KeyRing,
    /// The names of its cookies.
    pub names: &'a CookieNames,
    /// What the operator chose.
    pub settings: &'a CookieSettings,
}

impl GitoReader<'_> {
    /// What the newest GITO cookie says of the session of another cookie, which opened and is good; its last
    /// access never lies ahead (S-13). Where the deployment has no GITO cookie this costs nothing.
    #[must_use]
    pub fn newest(&self, headers: &[&[u8]], facts: &SsoFacts, now: Timestamp) -> Option<Hint> {
        let gito = self.settings.gito.as_ref()?;
        let binding = gito.binding(self.names);
        let newest = CookieNames::find(headers.iter().copied(), &self.names.gito)
            .filter_map(|sealed| self.keys.open_cookie::<GitoCookie>(&binding, sealed))
            .filter(|cookie| self.belongs(cookie, facts, now))
            .max_by_key(|cookie| cookie.last_access)?;
        let cluster = self.settings.clusters.find(newest.cluster)?.clone();
        Some(Hint {
            holder: Holder {
                cluster,
                session: newest.session,
            },
            last_access: newest.last_access.min(now),
        })
    }

    /// Whether a cookie is of this session and may be believed.
    fn belongs(&self, cookie: &GitoCookie, facts: &SsoFacts, now: Timestamp) -> bool {
        cookie.sso == facts.sso
            && cookie.expires > now
            && self.settings.believes(cookie.created, now)
            && self.settings.believes(cookie.last_access, now)
            && cookie.user == UserTag::of(&facts.store, &facts.subject)
    }
}

/// The oldest response that sets a cookie where one is due on every authorisation.
const RESPONSE_AGE_MAX: Duration = Duration::from_secs(60);
