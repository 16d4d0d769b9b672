//! Signing out at an application host, and clearing its cookies when a sign-out passes by.
//!
//! The session ends before the answer; the journey over the other hosts only tidies browsers up.

use crate::crypto::claims::Confirmed;
use crate::crypto::claims::SignOut;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::cookies;
use crate::decision::endpoints;
use crate::decision::endpoints::Stop;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::gate::Gate;
use crate::model::name::HostName;
use crate::model::session::EndCause;
use crate::ports::session_engine::Lookup;

impl Gate {
    /// Ends every SSO session that the authn cookies presented name (S-18), clears the host's cookies
    /// and goes on to the collector.
    pub async fn sign_out(
        &self,
        cookies: &[&[u8]],
        host: &HostName,
        return_to: Option<&str>,
    ) -> Reply {
        let mut state = SignOut {
            ended: Vec::new(),
            hosts: Vec::new(),
            return_to: return_to.and_then(|address| self.origins.return_address(address)),
            confirmed: Confirmed::Durable,
            expires: self.clock.now().after(endpoints::SIGN_OUT_LIFETIME),
        };
        for claim in self.claims(cookies, host) {
            let ended = self.engine.end(&claim.facts, EndCause::LoggedOut).await;
            if ended.durable.is_err() {
                state.confirmed = Confirmed::Pending;
            }
            state.ended.push(claim.facts.sso);
            let mut visited = ended.visited;
            visited.retain(|visited| visited != host && !state.hosts.contains(visited));
            state.hosts.append(&mut visited);
        }
        let Some((collector, name)) = self.origins.collector().zip(self.origins.collector_host())
        else {
            return self.forgetting(ReplyKind::SignedOut(state.confirmed));
        };
        let sealed = self.seal_sign_out(name, &state);
        let parameter = endpoints::SIGN_OUT;
        let location = format!("{collector}{}?{parameter}={sealed}", endpoints::LOGOUT);
        self.forgetting(ReplyKind::Redirect(location))
    }

    /// Clears this host's cookies on the way of a sign-out and goes on to the next host. A browser that
    /// has signed in again meanwhile keeps its new cookie.
    #[must_use]
    pub fn clear(&self, cookies: &[&[u8]], host: &HostName, sealed: Option<&str>) -> Reply {
        let now = self.clock.now();
        let binding = sign_out_binding(host);
        let state = sealed.and_then(|sealed| self.keys.open_claims::<SignOut>(&binding, sealed));
        let Some(mut state) = state.filter(|state| state.expires > now) else {
            return Reply::new(ReplyKind::Redirect("/".to_owned()));
        };
        let signed_in_again = self.claims(cookies, host).any(|claim| {
            !state.ended.contains(&claim.facts.sso)
                && matches!(self.engine.lookup(&claim, now), Lookup::Live(_))
        });
        let parameter = endpoints::SIGN_OUT;
        let location = match endpoints::next_stop(&mut state, &self.origins) {
            Some(Stop::Host(next, origin)) => {
                let sealed = self.seal_sign_out(&next, &state);
                format!("{origin}{}?{parameter}={sealed}", endpoints::CLEAR)
            }
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
        let kind = endpoints::onward(&state, location);
        if signed_in_again {
            Reply::new(kind)
        } else {
            self.forgetting(kind)
        }
    }

    fn forgetting(&self, kind: ReplyKind) -> Reply {
        Reply::new(kind)
            .with_cookie(cookies::clear(&self.names.authn))
            .with_cookie(cookies::clear(&self.names.nonce))
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
