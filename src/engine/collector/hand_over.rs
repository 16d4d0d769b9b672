//! The way back to the application: with a one-step token, and not round and round.

use crate::crypto::claims::AuthnCookie;
use crate::crypto::claims::Freshness;
use crate::crypto::claims::IdCookie;
use crate::crypto::claims::SignInRequest;
use crate::crypto::claims::TOKEN_LIFETIME;
use crate::crypto::claims::Token;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::cookies;
use crate::decision::endpoints;
use crate::decision::hand_over::blamed;
use crate::decision::hand_over::one_more;
use crate::decision::reply::Circling;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::engine::collector::Collector;
use crate::engine::collector::wanted::Wanted;
use crate::model::claim::Activity;
use crate::model::id::TokenId;
use crate::ports::entropy::id_bytes;

impl Collector {
    pub(super) fn signed_in_for(&self, signed_in: &IdCookie, wanted: &Wanted) -> Reply {
        let reply = match wanted {
            Wanted::Application(request, _) if signed_in.facts.level >= request.level => {
                self.hand_over(signed_in, request, Freshness::Now)
            }
            Wanted::Application(..) => Reply::new(ReplyKind::LevelUnreachable),
            Wanted::Nothing | Wanted::Stale(_) => {
                let page = format!("{}{}", self.own_origin(), endpoints::SIGN_IN);
                Reply::new(ReplyKind::Redirect(page))
            }
        };
        self.remembering(reply, signed_in)
    }

    /// Sends a signed-in browser back to its application without a question, unless that has been done too
    /// often (D-10).
    pub(super) fn hand_over_again(
        &self,
        signed_in: &mut IdCookie,
        request: &SignInRequest,
    ) -> Reply {
        let SignInRequest {
            host, target, seen, ..
        } = request;
        let now = self.clock.now();
        let Some(rounds) = one_more(signed_in.rounds, (host, target.as_str()), *seen, now) else {
            let since = signed_in.rounds.map_or(now, |rounds| rounds.since);
            let limit = self.settings.skew_hard.max(self.settings.skew_allowance);
            let seen = blamed(*seen, request.issued, since, now, limit);
            tracing::warn!(
                session = signed_in.facts.sso.short_hash(),
                virtual_host = %host,
                seen = ?seen,
                "a browser that is signed in is sent back again and again"
            );
            let origin = self.origins.of(host).unwrap_or_default();
            return Reply::new(ReplyKind::Circling(Circling {
                application: host.clone(),
                seen,
                again: format!("{origin}{target}"),
            }));
        };
        signed_in.rounds = Some(rounds);
        self.hand_over(signed_in, request, request.freshness)
    }

    /// Sends a signed-in browser back to its application with a one-step token (S-24). The authn cookie in
    /// it has the session's level, whatever the one had that it replaces (S-12).
    fn hand_over(
        &self,
        signed_in: &IdCookie,
        request: &SignInRequest,
        freshness: Freshness,
    ) -> Reply {
        let now = self.clock.now();
        let IdCookie { facts, latest, .. } = signed_in;
        let token = Token {
            id: TokenId::from_bytes(id_bytes(self.entropy.as_ref())),
            cookie: AuthnCookie {
                facts: facts.clone(),
                cluster: latest.cluster.clone(),
                session: latest.session,
                issued: now,
                last_access: match request.activity {
                    Activity::Counts => None,
                    Activity::None => Some(signed_in.last_access),
                },
                // The gate binds it again to what it sees itself.
                bound: signed_in.bound,
            },
            nonce: request.nonce,
            target: request.target.clone(),
            expires: now.after(TOKEN_LIFETIME),
            freshness,
        };
        let scope = request.host.as_str();
        let binding = Binding {
            purpose: Purpose::Token,
            name: endpoints::TOKEN,
            scope,
        };
        let sealed = self.seal(&binding, &token);
        let origin = self
            .origins
            .of(&request.host)
            .unwrap_or_else(|| self.own_origin());
        let back = format!(
            "{origin}{}?{}={sealed}",
            endpoints::CALLBACK,
            endpoints::TOKEN
        );
        Reply::new(ReplyKind::Redirect(back))
    }

    /// Has an answer rewrite the ID cookie (MDC-COOKIE-2).
    pub(super) fn remembering(&self, reply: Reply, signed_in: &IdCookie) -> Reply {
        let binding = self.binding(Purpose::IdCookie, &self.names.id);
        let sealed = self.seal(&binding, signed_in);
        reply.with_cookie(cookies::set(&self.names.id, &sealed))
    }
}
