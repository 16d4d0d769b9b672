//! Signing out at the collector, and the journey of a browser over the hosts it visited.
//!
//! The sessions are over before the journey begins; it only clears cookies.

use crate::crypto::claims::SignOut;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::cookies;
use crate::decision::endpoints;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::decision::sign_out;
use crate::decision::sign_out::Stop;
use crate::model::session::EndCause;
use crate::model::time::Timestamp;
use crate::ports::relying_party::RelyingParty;

use crate::engine::collector::Collector;
use crate::engine::collector::Provenance;
use crate::engine::collector::Visitor;

impl Collector {
    /// Answers a request to sign out: ends every SSO session that the browser's ID cookies name (S-18),
    /// clears the collector's cookies and sends the browser to the hosts visited.
    pub async fn sign_out(
        &self,
        visitor: &Visitor<'_>,
        state: Option<&str>,
        return_to: Option<&str>,
    ) -> Reply {
        let now = self.clock.now();
        let state = state.and_then(|state| self.open_sign_out(state, now));
        // A sealed sign-out speaks for the sessions ended at its application only: anybody can have one
        // made, so a visit from elsewhere that would end another session has to be confirmed.
        let ended = state.as_ref().map_or([].as_slice(), |state| &state.ended);
        let ends_another = || {
            self.id_cookies(visitor)
                .any(|id| !ended.contains(&id.facts.sso))
        };
        if visitor.provenance == Provenance::Elsewhere && (state.is_none() || ends_another()) {
            return Reply::new(ReplyKind::ConfirmSignOut);
        }
        let mut state = state.unwrap_or_else(|| {
            let return_to = return_to.and_then(|address| self.origins.return_address(address));
            sign_out::begin(return_to, now)
        });
        let about_to_end: Vec<_> = self.id_cookies(visitor).map(|id| id.facts.sso).collect();
        sign_out::report_anew(&mut state, &about_to_end);
        let mut ended_here = Vec::new();
        for cookie in self.id_cookies(visitor) {
            let sso = cookie.facts.sso;
            if ended_here.contains(&sso) {
                continue;
            }
            ended_here.push(sso);
            let store = &cookie.facts.store;
            if self.party(store.as_str()).is_some() {
                state.provider = Some(store.clone());
            }
            let ended = self.engine.end(&cookie.facts, EndCause::LoggedOut).await;
            sign_out::note(&mut state, ended.outcome(sso));
        }
        let reply = self
            .go_on(state)
            .await
            .with_cookie(cookies::clear(&self.names.id))
            .with_cookie(cookies::clear(&self.names.nonce));
        let gito = self.settings.gito.as_ref();
        match gito.filter(|gito| gito.covers(&self.host)) {
            None => reply,
            Some(gito) => {
                reply.with_cookie(cookies::clear_for_domain(&self.names.gito, &gito.domain))
            }
        }
    }

    /// Answers the end of a sign-out.
    #[must_use]
    pub fn signed_out(&self, state: Option<&str>) -> Reply {
        let now = self.clock.now();
        let state = state.and_then(|state| self.open_sign_out(state, now));
        let state = state.unwrap_or_else(|| sign_out::begin(None, now));
        Reply::new(ReplyKind::SignedOut(sign_out::signed_out(state)))
    }

    /// Sends a browser that signs out to its provider, to do so there as well; on where that cannot be.
    pub async fn depart(&self, provider: &str, state: Option<&str>) -> Option<Reply> {
        let party = self.party(provider)?;
        let state = state.and_then(|state| self.open_sign_out(state, self.clock.now()));
        Some(match state {
            Some(state) => self.sign_out_there(party, state).await,
            None => self.signed_out(None),
        })
    }

    /// Answers a browser that comes back from its provider signed out.
    pub async fn departed(&self, state: &str) -> Reply {
        match self.open_sign_out(state, self.clock.now()) {
            Some(state) => self.go_on(state).await,
            None => self.signed_out(None),
        }
    }

    async fn sign_out_there(&self, party: &dyn RelyingParty, mut state: SignOut) -> Reply {
        state.provider = None;
        let name = endpoints::SIGN_OUT;
        let sealed = self.seal(&self.binding(Purpose::SignOut, name), &state);
        let back = format!("{}{}", self.own_origin(), endpoints::SIGNED_OUT);
        match party.sign_out(&back, &sealed).await {
            Some(address) => Reply::new(ReplyKind::Redirect(address)),
            None => Box::pin(self.go_on(state)).await,
        }
    }

    fn open_sign_out(&self, sealed: &str, now: Timestamp) -> Option<SignOut> {
        let binding = self.binding(Purpose::SignOut, endpoints::SIGN_OUT);
        self.keys
            .open_claims::<SignOut>(&binding, sealed)
            .filter(|state| state.expires > now)
    }

    async fn go_on(&self, mut state: SignOut) -> Reply {
        let location = match sign_out::next_stop(&mut state, &self.origins) {
            Some(Stop::Host(host, origin)) => {
                let name = endpoints::SIGN_OUT;
                let scope = host.as_str();
                let binding = Binding {
                    purpose: Purpose::SignOut,
                    name,
                    scope,
                };
                let sealed = self.seal(&binding, &state);
                format!("{origin}{}?{name}={sealed}", endpoints::CLEAR)
            }
            Some(Stop::Provider(provider, _)) => {
                return match self.party(provider.as_str()) {
                    Some(party) => self.sign_out_there(party, state).await,
                    None => Box::pin(self.go_on(state)).await,
                };
            }
            Some(Stop::Return(address)) => address,
            Some(Stop::SignedOut(_)) | None => {
                return Reply::new(ReplyKind::SignedOut(sign_out::signed_out(state)));
            }
        };
        Reply::new(sign_out::onward(&state, location))
    }
}
