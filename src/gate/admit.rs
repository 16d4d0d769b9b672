//! The journey of a request on one screen: authn cookie → session → decision → GITO cookie.
//!
//! Route and address were found before; forwarding comes after, and needs the permit made here.

use std::sync::Arc;

use crate::decision::admission::Asked;
use crate::decision::admission::Decision;
use crate::decision::admission::Standing;
use crate::decision::admission::decide;
use crate::decision::cookies;
use crate::decision::cookies::gito;
use crate::decision::cookies::gito::Gito;
use crate::decision::cookies::settings::CookieSettings;
use crate::decision::policy::Access;
use crate::gate::Caller;
use crate::gate::Gate;
use crate::gate::Presentation;
use crate::model::claim::Activity;
use crate::model::claim::Claim;
use crate::model::claim::Hint;
use crate::model::claim::NotLive;
use crate::model::id::SsoId;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::ports::audit_trail::note_refusal;
use crate::ports::session_engine::Lookup;

/// What the gate says of a request.
#[derive(Debug)]
pub struct Admission {
    /// The decision.
    pub decision: Decision,
    /// The GITO cookie that the response to a permitted request sets.
    pub gito: Option<GitoResponse>,
    /// The claim of a request whose session serves: while the request runs, it is judged by that again
    /// (S-20).
    pub claim: Option<Arc<Claim>>,
    /// Why the session of a good cookie was not honoured, where nobody is signed in.
    pub refused: Option<NotLive>,
}

/// A GITO cookie for a response (MDC-COOKIE-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitoResponse {
    /// The `Set-Cookie` value.
    pub set_cookie: String,
    /// A response after this does not set it (S-13).
    pub until: Timestamp,
}

/// Who stands behind a request, and what a GITO cookie said of their session.
pub(super) struct Known {
    pub(super) standing: Standing,
    seen: Option<Hint>,
    claim: Option<Arc<Claim>>,
    pub(super) refused: Option<NotLive>,
}

impl Gate {
    /// Decides on a request.
    pub async fn admit(&self, asked: &Asked<'_>, caller: &Caller<'_>) -> Admission {
        let terms = self.terms.current();
        let known = match (asked.access, terms.as_ref()) {
            (Access::Excluded, _) => Known::NOBODY,
            (_, None) => Known::UNANSWERED,
            (Access::Protected | Access::Unprotected, Some(settings)) => {
                self.known(settings, caller).await
            }
        };
        let now = self.clock.now();
        let decision = decide(asked, known.standing, now);
        let mut gito = None;
        if asked.activity == Activity::Counts
            && let Decision::Allow(permit) = &decision
            && let Some(session) = permit.session()
        {
            self.engine.touch(&session.facts.sso, now);
            let settings = terms.as_ref().and_then(|settings| settings.gito.as_ref());
            let settings = settings.filter(|gito| gito.covers(caller.host));
            gito = settings
                .and_then(|gito| self.gito_response(gito, session, known.seen.as_ref(), now));
        }
        Admission {
            decision,
            gito,
            claim: known.claim,
            refused: known.refused,
        }
    }

    /// Notes that a request which was permitted before goes on, by its user's doing: an access as if it came now
    /// (D-19). Where it would not be served without asking elsewhere, it is none: what watches over what runs asks
    /// (S-20).
    pub fn goes_on(&self, claim: &Claim) {
        let now = self.clock.now();
        if matches!(self.engine.lookup(claim, now), Lookup::Live(_)) {
            self.engine.touch(&claim.facts.sso, now);
        }
    }

    /// Whether a session that was permitted still stands; asked again after a stream has been registered,
    /// so that an end between the two is not missed (S-17).
    #[must_use]
    pub fn still_serves(&self, sso: &SsoId) -> bool {
        self.engine.is_standing(sso)
    }

    /// Who stands behind a request that Portway answers itself.
    pub(super) async fn standing_of(&self, caller: &Caller<'_>) -> Known {
        let terms = self.terms.current();
        match terms.as_ref() {
            Some(settings) => self.known(settings, caller).await,
            None => Known::UNANSWERED,
        }
    }

    /// The first authn cookie whose session serves decides who stands behind the request. The level that
    /// counts is the smaller of the cookie's and the session's (S-12).
    pub(super) async fn known(&self, settings: &CookieSettings, caller: &Caller<'_>) -> Known {
        let now = self.clock.now();
        let mut refused = None;
        for Presentation { claim, gito } in self.claims(settings, caller, now) {
            match self.engine.judge(&claim, now).await {
                Lookup::Live(session) => {
                    let level = claim.facts.level.min(session.facts.level);
                    return Known {
                        standing: Standing::SignedIn(session, level),
                        seen: gito,
                        claim: Some(Arc::new(claim)),
                        refused: None,
                    };
                }
                Lookup::NotLive(why) => {
                    note_refusal(self.audit.as_ref(), why, &claim, caller.host);
                    tracing::debug!(
                        session = claim.facts.sso.short_hash(),
                        reason = ?why,
                        "an authn cookie was not honoured"
                    );
                    refused.get_or_insert(why);
                }
                Lookup::Unknown => {}
            }
        }
        Known {
            refused,
            ..Known::NOBODY
        }
    }

    /// The GITO cookie of an authorisation, where one is due. It names the data centre that serves, which
    /// for a gate without an engine is not always the same one.
    fn gito_response(
        &self,
        settings: &Gito,
        session: &Session,
        seen: Option<&Hint>,
        now: Timestamp,
    ) -> Option<GitoResponse> {
        let serving = self.engine.holder(session)?;
        if !settings.is_due(seen, &serving, now) {
            return None;
        }
        let cookie = gito::of(session, &serving.cluster, now);
        let value = self.seal(&settings.binding(&self.names), &cookie);
        Some(GitoResponse {
            set_cookie: cookies::set_for_domain(&self.names.gito, &value, &settings.domain),
            until: settings.settable_until(now),
        })
    }
}

impl Known {
    const NOBODY: Self = Self {
        standing: Standing::Anonymous,
        seen: None,
        claim: None,
        refused: None,
    };
    /// Nobody whose session can be asked for.
    const UNANSWERED: Self = Self {
        refused: Some(NotLive::Unanswered),
        ..Self::NOBODY
    };
}
