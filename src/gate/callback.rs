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
use crate::gate::Gate;
use crate::model::name::HostName;
use crate::ports::session_engine::Claim;
use crate::ports::session_engine::Lookup;

impl Gate {
    /// Answers a visit of the callback.
    pub async fn callback(
        &self,
        cookies: &[&[u8]],
        host: &HostName,
        sealed: Option<&str>,
    ) -> Reply {
        let name = endpoints::TOKEN;
        let binding = Binding {
            purpose: Purpose::Token,
            name,
            scope: host.as_str(),
        };
        let token = sealed.and_then(|sealed| self.keys.open_claims::<Token>(&binding, sealed));
        let Some(token) = token else {
            return Reply::new(ReplyKind::Redirect("/".to_owned()));
        };
        let onward = Reply::new(ReplyKind::Redirect(token.target.clone()));
        if self.accept(&token, cookies, host).await {
            let value = self.seal(&self.authn_binding(host), &token.cookie);
            return onward.with_cookie(cookies::set(&self.names.authn, &value));
        }
        onward
    }

    /// Whether a token is good: fresh, from this browser, of a session that lives, and not spent. It is
    /// spent last, so that a stranger's attempt cannot spend it.
    async fn accept(&self, token: &Token, cookies: &[&[u8]], host: &HostName) -> bool {
        let from_this_browser = self
            .names
            .nonces(cookies)
            .any(|nonce| nonce.matches(&token.nonce));
        if token.expires <= self.clock.now() || !from_this_browser {
            return false;
        }
        if !self.engine.spend(token.id, token.expires) {
            return false;
        }
        let claim = Claim {
            facts: token.cookie.facts.clone(),
            cluster: token.cookie.cluster.clone(),
            session: token.cookie.session,
        };
        matches!(self.engine.visit(&claim, host).await, Lookup::Live(_))
    }
}
