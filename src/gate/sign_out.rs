//! Signing out at an application host, and clearing its cookies when a sign-out passes by.
//!
//! The session ends before the answer; the journey over the other hosts only tidies browsers up.

use crate::crypto::claims::SignOut;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::endpoints;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::decision::sign_out;
use crate::decision::sign_out::Stop;
use crate::gate::Caller;
use crate::gate::Gate;
use crate::gate::Presentation;
use crate::model::name::HostName;
use crate::model::session::EndCause;
use crate::ports::session_engine::Lookup;

impl Gate {
    /// Ends every SSO session that the authn cookies presented name, lapsed ones too (S-18), clears the
    /// host's cookies and goes on to the collector. Where no engine could be told, the user learns that
    /// first: nothing is durable, and what the collector does about it is for the user to see (S-15).
    pub async fn sign_out(&self, caller: &Caller<'_>, return_to: Option<&str>) -> Reply {
        let return_to = return_to.and_then(|address| self.origins.return_address(address));
        let mut state = sign_out::begin(return_to, self.clock.now());
        let mut is_heard = true;
        for cookie in self.authn_cookies(caller) {
            let sso = cookie.facts.sso;
            if state.ended.contains(&sso) {
                continue;
            }
            let ended = self.engine.end(&cookie.facts, EndCause::LoggedOut).await;
            is_heard &= ended.cluster.is_some();
            sign_out::note(&mut state, ended.outcome(sso));
        }
        state.hosts.retain(|visited| visited != caller.host);
        let Some((collector, name)) = self.origins.collector().zip(self.origins.collector_host())
        else {
            let page = ReplyKind::SignedOut(sign_out::signed_out(state));
            return self.forgetting(page, caller.host);
        };
        let sealed = self.seal_sign_out(name, &state);
        let parameter = endpoints::SIGN_OUT;
        let location = format!("{collector}{}?{parameter}={sealed}", endpoints::LOGOUT);
        let kind = if is_heard {
            ReplyKind::Redirect(location)
        } else {
            ReplyKind::SignOutUnheard(location)
        };
        self.forgetting(kind, caller.host)
    }

    /// Clears this host's cookies on the way of a sign-out and goes on to the next host. A browser that
    /// has signed in again meanwhile keeps its new cookie, and so does one whose other session is not known
    /// here: somebody else's sign-out may have been led through this browser.
    #[must_use]
    pub fn clear(&self, caller: &Caller<'_>, sealed: Option<&str>) -> Reply {
        let now = self.clock.now();
        let binding = sign_out_binding(caller.host);
        let state = sealed.and_then(|sealed| self.keys.open_claims::<SignOut>(&binding, sealed));
        let Some(mut state) = state.filter(|state| state.expires > now) else {
            return Reply::new(ReplyKind::Redirect("/".to_owned()));
        };
        let terms = self.terms.current();
        let signed_in_again = terms.as_ref().is_none_or(|settings| {
            let mut claims = self.claims(settings, caller, now);
            claims.any(|Presentation { claim, .. }| {
                !state.ended.contains(&claim.facts.sso)
                    && !matches!(self.engine.lookup(&claim, now), Lookup::NotLive(_))
            })
        });
        let parameter = endpoints::SIGN_OUT;
        let location = match sign_out::next_stop(&mut state, &self.origins) {
            Some(Stop::Host(next, origin)) => {
                let sealed = self.seal_sign_out(&next, &state);
                format!("{origin}{}?{parameter}={sealed}", endpoints::CLEAR)
            }
            Some(Stop::Provider(provider, origin)) => match self.origins.collector_host() {
                Some(name) => {
                    let sealed = self.seal_sign_out(name, &state);
                    let way = endpoints::of_provider(&provider, endpoints::DEPART);
                    format!("{origin}{way}?{parameter}={sealed}")
                }
                None => "/".to_owned(),
            },
            Some(Stop::Return(address)) => address,
            Some(Stop::SignedOut(origin)) => match self.origins.collector_host() {
                Some(name) => {
                    let sealed = self.seal_sign_out(name, &state);
                    format!("{origin}{}?{parameter}={sealed}", endpoints::SIGNED_OUT)
                }
                None => "/".to_owned(),
            },
            None => "/".to_owned(),
        };
        let kind = sign_out::onward(&state, location);
        if signed_in_again {
            Reply::new(kind)
        } else {
            self.forgetting(kind, caller.host)
        }
    }

    fn seal_sign_out(&self, host: &HostName, state: &SignOut) -> String {
        self.seal(&sign_out_binding(host), state)
    }
}

fn sign_out_binding(host: &HostName) -> Binding<'_> {
    Binding {
        purpose: Purpose::SignOut,
        name: endpoints::SIGN_OUT,
        scope: host.as_str(),
    }
}
