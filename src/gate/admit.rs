//! The journey of a request on one screen: authn cookie → session → decision.
//!
//! Route and address were found before; forwarding comes after, and needs the permit made here.

use crate::decision::admission::Asked;
use crate::decision::admission::Decision;
use crate::decision::admission::Standing;
use crate::decision::admission::decide;
use crate::decision::policy::Access;
use crate::gate::Gate;
use crate::model::id::SsoId;
use crate::model::name::HostName;
use crate::ports::session_engine::Lookup;

impl Gate {
    /// Decides on a request to `host` that carries these `Cookie` headers.
    pub async fn admit(&self, asked: &Asked<'_>, cookies: &[&[u8]], host: &HostName) -> Decision {
        let standing = match asked.access {
            Access::Excluded => Standing::Anonymous,
            Access::Protected | Access::Unprotected => self.standing(cookies, host).await,
        };
        let decision = decide(asked, standing);
        if let Decision::Allow(permit) = &decision
            && let Some(session) = permit.session()
        {
            self.engine.touch(&session.facts.sso, self.clock.now());
        }
        decision
    }

    /// Whether a session that was permitted still stands; asked again after a stream has been registered,
    /// so that an end between the two is not missed (S-17).
    #[must_use]
    pub fn still_serves(&self, sso: &SsoId) -> bool {
        self.engine.is_standing(sso)
    }

    /// The first authn cookie whose session serves decides who stands behind the request.
    async fn standing(&self, cookies: &[&[u8]], host: &HostName) -> Standing {
        for claim in self.claims(cookies, host) {
            let now = self.clock.now();
            match self.engine.judge(&claim, now).await {
                Lookup::Live(session) => {
                    let level = claim.facts.level.min(session.facts.level);
                    return Standing::SignedIn(session, level);
                }
                Lookup::NotLive(why) => tracing::debug!(
                    session = claim.facts.sso.short_hash(),
                    reason = ?why,
                    "an authn cookie was not honoured"
                ),
                Lookup::Unknown => {}
            }
        }
        Standing::Anonymous
    }
}
