//! Takes the one-step token that the collector sends back, and sets the authn cookie (S-24).
//!
//! A token that is not good never ends on an error page: the user goes on to the page they wanted, and
//! signs in there if need be (D-9). A good one whose session this data centre cannot take up does end on a
//! page, or at the collector with the demand to sign in anew: it would hand the session over again, and
//! again (MDC-FAIL-3, MDC-ADOPT-4).

use crate::crypto::claims::AuthnCookie;
use crate::crypto::claims::Freshness;
use crate::crypto::claims::Token;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::admission::Standing;
use crate::decision::cookies;
use crate::decision::endpoints;
use crate::decision::hand_over::Upshot;
use crate::decision::hand_over::upshot;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::gate::Caller;
use crate::gate::Gate;
use crate::gate::Presentation;
use crate::gate::challenge::Asker;
use crate::gate::challenge::Challenged;
use crate::model::claim::Activity;
use crate::model::claim::NotLive;
use crate::model::claim::Place;
use crate::model::identity::AuthLevel;
use crate::ports::session_engine::Lookup;

/// A token that opened.
struct Shown<'a> {
    token: &'a Token,
    /// As it came.
    sealed: &'a str,
    /// Who brought it.
    asker: Asker,
}

/// What a token is worth.
enum Worth {
    /// It makes this authn cookie.
    Cookie(AuthnCookie),
    /// It is good, and its session does not serve here.
    NotLive(NotLive),
    /// It has expired, was used before or belongs to another browser.
    Nothing,
}

impl Gate {
    /// Answers a visit of the callback.
    pub async fn callback(&self, caller: &Caller<'_>, sealed: Option<&str>, asker: Asker) -> Reply {
        let name = endpoints::TOKEN;
        let binding = Binding {
            purpose: Purpose::Token,
            name,
            scope: caller.host.as_str(),
        };
        let opened = sealed.and_then(|sealed| {
            let token = self.keys.open_claims::<Token>(&binding, sealed)?;
            Some((token, sealed))
        });
        let Some((token, sealed)) = opened else {
            return Reply::new(ReplyKind::Redirect("/".to_owned()));
        };
        let onward = Reply::new(ReplyKind::Redirect(token.target.clone()));
        match self.worth(&token, caller).await {
            Worth::Cookie(cookie) => {
                let value = self.seal(&self.authn_binding(caller.host), &cookie);
                onward.with_cookie(cookies::set(&self.names.authn, &value))
            }
            Worth::Nothing => onward,
            Worth::NotLive(why) => {
                // A session that serves beats a token whose own does not.
                if self.is_signed_in(caller).await {
                    return onward;
                }
                let shown = Shown {
                    token: &token,
                    sealed,
                    asker,
                };
                self.not_taken_up(why, &shown, caller)
            }
        }
    }

    async fn is_signed_in(&self, caller: &Caller<'_>) -> bool {
        let known = self.standing_of(caller).await;
        matches!(known.standing, Standing::SignedIn(..))
    }

    /// What a token is worth: it is to be fresh, from this browser, of a session that lives, and not spent.
    /// It is spent last: neither a stranger's attempt nor one while the session could not be taken up
    /// spends it.
    async fn worth(&self, token: &Token, caller: &Caller<'_>) -> Worth {
        let from_this_browser = self
            .names
            .nonces(caller.cookies)
            .any(|nonce| nonce.matches(&token.nonce));
        let now = self.clock.now();
        if !from_this_browser {
            return Worth::Nothing;
        }
        let terms = self.terms.current();
        let Some(settings) = terms.as_ref() else {
            return Worth::NotLive(NotLive::Unanswered);
        };
        let until = settings.last_moment_of(token.expires);
        if until <= now {
            return Worth::Nothing;
        }
        let presented = self.claim(token.cookie.clone(), settings, caller, now);
        let Presentation { mut claim, .. } = presented;
        if token.freshness == Freshness::Now {
            claim.presented.at = Place::Arrival;
        }
        match self.engine.visit(&claim, caller.host).await {
            Lookup::Live(_) => {}
            Lookup::NotLive(why) => return Worth::NotLive(why),
            Lookup::Unknown => return Worth::NotLive(NotLive::Unanswered),
        }
        if !self.engine.spend_once(token.id, until).await {
            return Worth::Nothing;
        }
        let sso = &token.cookie.facts.sso;
        // The collector's clock may be ahead, and this gate would not believe it (S-22, MDC-COOKIE-6).
        Worth::Cookie(AuthnCookie {
            issued: self.clock.now(),
            bound: token.cookie.bound.again(sso, &caller.bearer()),
            ..token.cookie.clone()
        })
    }

    /// Answers a good token whose session does not serve here.
    fn not_taken_up(&self, why: NotLive, shown: &Shown<'_>, caller: &Caller<'_>) -> Reply {
        let token = shown.token;
        tracing::info!(
            session = token.cookie.facts.sso.short_hash(),
            virtual_host = %caller.host,
            reason = ?why,
            "a session that the collector handed over was not taken up"
        );
        let place = caller.host.clone();
        match upshot(why, token.freshness) {
            Upshot::SignInAnew => self.challenge(&Challenged {
                host: caller.host,
                target: &token.target,
                asker: shown.asker,
                // What the route asks for is seen there.
                level: AuthLevel::NONE,
                cookies: caller.cookies,
                bearer: caller.bearer(),
                freshness: Freshness::Now,
                limits: caller.limits,
                // Nothing else than a sign-in is left to do.
                activity: Activity::Counts,
                refused: Some(why),
                post: None,
            }),
            Upshot::TryLater => {
                let (path, name) = (endpoints::CALLBACK, endpoints::TOKEN);
                let again = format!("{path}?{name}={}", shown.sealed);
                Reply::new(ReplyKind::Unconfirmed { place, again })
            }
            Upshot::TurnAway => Reply::new(ReplyKind::NotAccepted { place }),
            Upshot::TellOfClocks => Reply::new(ReplyKind::ClocksDiffer {
                place,
                again: token.target.clone(),
            }),
        }
    }
}
