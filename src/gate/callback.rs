//! Takes the one-step token that the collector sends back, and sets the authn cookie (S-24).
//!
//! A token that is not good never ends on an error page: the user goes on to the page they wanted, and
//! signs in there if need be (D-9).

use crate::crypto::claims::Token;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::cookies;
use crate::decision::endpoints;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::gate::Caller;
use crate::gate::Gate;
use crate::gate::Presentation;
use crate::ports::session_engine::Lookup;

impl Gate {
    /// Answers a visit of the callback.
    pub async fn callback(&self, caller: &Caller<'_>, sealed: Option<&str>) -> Reply {
        let name = endpoints::TOKEN;
        let binding = Binding {
            purpose: Purpose::Token,
            name,
            scope: caller.host.as_str(),
        };
        let token = sealed.and_then(|sealed| self.keys.open_claims::<Token>(&binding, sealed));
        let Some(token) = token else {
            return Reply::new(ReplyKind::Redirect("/".to_owned()));
        };
        let onward = Reply::new(ReplyKind::Redirect(token.target.clone()));
        if self.accept(&token, caller).await {
            let value = self.seal(&self.authn_binding(caller.host), &token.cookie);
            return onward.with_cookie(cookies::set(&self.names.authn, &value));
        }
        onward
    }

    /// Whether a token is good: fresh, from this browser, of a session that lives, and not spent. It is
    /// spent last, so that a stranger's attempt cannot spend it.
    async fn accept(&self, token: &Token, caller: &Caller<'_>) -> bool {
        let from_this_browser = self
            .names
            .nonces(caller.cookies)
            .any(|nonce| nonce.matches(&token.nonce));
        let now = self.clock.now();
        let terms = self.terms.current();
        let Some(settings) = terms.as_ref() else {
            return false;
        };
        if token.expires <= now || !from_this_browser {
            return false;
        }
        if !self.engine.spend_once(token.id, token.expires).await {
            return false;
        }
        let presented = self.claim(token.cookie.clone(), settings, caller, now);
        let Presentation { claim, .. } = presented;
        matches!(
            self.engine.visit(&claim, caller.host).await,
            Lookup::Live(_)
        )
    }
}
