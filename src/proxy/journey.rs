//! The journey of a request up to admission: head → virtual host → path → route → decision.
//!
//! Everything here reads; nothing is written to client or upstream.

use std::sync::Arc;

use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::config::PlainHttp;
use crate::config::Preflight;
use crate::config::Route;
use crate::decision::admission::Asked;
use crate::decision::admission::Decision;
use crate::decision::admission::Permit;
use crate::decision::endpoints;
use crate::decision::forwarded::Scheme;
use crate::decision::path::PathRefusal;
use crate::decision::path::normalise;
use crate::decision::policy::Access;
use crate::decision::routing::RouteFound;
use crate::decision::routing::Traits;
use crate::gate::admit::Admission;
use crate::model::claim::Claim;
use crate::model::claim::NotLive;
use crate::model::id::RequestId;
use crate::proxy::access::Noted;
use crate::proxy::arrival::Arrived;
use crate::proxy::context::Admitted;
use crate::proxy::context::RequestContext;
use crate::proxy::context::cookie_headers;
use crate::proxy::denied::Barred;
use crate::proxy::found::Found;
use crate::proxy::inbound;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;
use crate::proxy::socket;
use crate::proxy::step::Place;
use crate::proxy::step::Step;
use crate::proxy::streams::Registration;

impl Serving {
    /// Walks a request up to admission; what is noted on the way is for those that are not forwarded.
    pub(super) async fn step(
        &self,
        session: &Session,
        ctx: &RequestContext,
    ) -> (Result<Step, Refusal>, Noted) {
        let mut noted = Noted::default();
        let step = self.walk(session, ctx, &mut noted).await;
        noted.came_to(&step);
        (step, noted)
    }

    async fn walk(
        &self,
        session: &Session,
        ctx: &RequestContext,
        noted: &mut Noted,
    ) -> Result<Step, Refusal> {
        let Some(current) = &ctx.current else {
            return Err(Refusal::Internal);
        };
        let head = session.req_header();
        let entrance = &current.connection.entrance;
        if self.is_asked_for_readiness(&entrance.listener, &head.method, head.uri.path()) {
            return Ok(Step::Readiness);
        }
        let arrived = ctx.serving.arrive(session, &current.connection)?;
        noted.arrived = Some(Arc::clone(&arrived));
        self.has_arrived(&arrived, head);
        let path = normalise(head.uri.path())
            .map_err(|refusal| self.odd_path(&arrived, ctx.id, &refusal))?;
        if self.gate.origins.collector_host() == Some(&arrived.host) {
            self.client_of(&current.connection, None)?;
            return Ok(self.own_or_https(Place::Collector, arrived, head));
        }
        let host = self.host_at(arrived.host.as_str(), entrance);
        let host = host.ok_or(Refusal::Misdirected)?;
        match (arrived.origin.scheme, host.plain_http) {
            (Scheme::Http, PlainHttp::Refuse) => return Err(Refusal::Misdirected),
            (Scheme::Http, PlainHttp::Redirect) => {
                return Ok(self.to_https(&arrived, head));
            }
            (Scheme::Http, PlainHttp::Serve) | (Scheme::Https, _) => {}
        }
        let client = self.client_of(&current.connection, Some(host))?;
        if path.as_str().starts_with(endpoints::PREFIX) {
            return Ok(self.own_or_https(Place::Application, arrived, head));
        }
        let maintenance = host.maintenance.as_ref();
        if let Some(maintenance) = maintenance.filter(|now| now.keeps_out(arrived.origin.client)) {
            return Ok(Step::Maintain(Arc::clone(maintenance)));
        }
        let request = Traits {
            method: &head.method,
            scheme: arrived.origin.scheme,
            query: head.uri.query(),
            headers: &head.headers,
        };
        let route = match host.routes.find_for(&path, &request) {
            RouteFound::Found(route) => Arc::clone(route),
            RouteFound::MethodNotAllowed(methods) => return Ok(Step::Disallow(methods)),
            RouteFound::NotFound => return Err(Refusal::NotFound),
            RouteFound::Refused(refusal) => {
                return Err(self.odd_path(&arrived, ctx.id, &refusal));
            }
            RouteFound::Unclear => return Err(self.unclear(&arrived, ctx.id)),
        };
        let canonical = canonical_target(head, path.as_str());
        self.decide(
            session,
            ctx,
            Found {
                arrived,
                route,
                path: path.as_str(),
                canonical,
                client,
            },
            noted,
        )
        .await
    }

    /// One of Portway's own paths; on a plain connection it is to be asked for by https.
    fn own_or_https(&self, place: Place, arrived: Arc<Arrived>, head: &RequestHeader) -> Step {
        match arrived.origin.scheme {
            Scheme::Https => Step::Own(place, arrived),
            Scheme::Http => self.to_https(&arrived, head),
        }
    }

    /// Decides on a request whose route is known.
    async fn decide(
        &self,
        session: &Session,
        ctx: &RequestContext,
        found: Found<'_>,
        noted: &mut Noted,
    ) -> Result<Step, Refusal> {
        let head = session.req_header();
        let config = &found.route.config;
        noted.route = Some(Arc::clone(&found.route));
        if !config.addresses.let_in(found.arrived.origin.client) {
            let denied = found.denied(head, ctx.id, None);
            return Err(self.bar(&denied, Barred::Address));
        }
        self.admit_address(&found, ctx.id)?;
        if config.access == Access::Protected && found.arrived.origin.scheme == Scheme::Http {
            return Ok(self.to_https(&found.arrived, head));
        }
        self.check_form(session, ctx, &found)?;
        let asked = Asked {
            access: access(config, head),
            policy: &config.policy,
            level: config.level,
            activity: config.activity,
            request: found.facts(head, ctx),
        };
        let cookies = cookie_headers(&head.headers);
        // No cookie of Portway's is read on a plain connection.
        let readable = match found.arrived.origin.scheme {
            Scheme::Http => &[],
            Scheme::Https => cookies.as_slice(),
        };
        let caller = found.caller(head, readable, ctx);
        let Admission {
            decision,
            gito,
            claim,
            refused,
        } = self.gate.admit(&asked, &caller).await;
        match decision {
            Decision::Allow(permit) => match self.register(ctx, &permit, claim) {
                Registered::Ended => {
                    Ok(self.challenge(head, readable, &found, Some(NotLive::Ended)))
                }
                Registered::Standing(registration) => {
                    let share = self.admit_permitted(&found, ctx.id, &permit);
                    let share = share.inspect_err(|_| noted.is_of(&permit))?;
                    let onward = self.onward(&found, &permit, &asked, ctx).await;
                    let onward = onward.inspect_err(|_| noted.is_of(&permit))?;
                    let admitted = found.admitted(permit, registration);
                    Ok(onward.step(Admitted {
                        gito,
                        share,
                        ..admitted
                    }))
                }
            },
            Decision::Deny(denial) => {
                noted.is_denied(claim.as_deref());
                let denied = found.denied(head, ctx.id, claim.as_deref());
                denied.tell(&denial, self.gate.audit.as_ref());
                Ok(self.denied(ctx, &found, head, &denial))
            }
            Decision::LogIn(cause) => {
                tracing::debug!(
                    request_id = %ctx.id, virtual_host = %found.arrived.host,
                    route = %config.name, decision = "log in", reason = ?cause, "sign-in asked for"
                );
                Ok(self.challenge(head, readable, &found, refused))
            }
        }
    }

    /// Checks what the route says about the form of a request.
    fn check_form(
        &self,
        session: &Session,
        ctx: &RequestContext,
        found: &Found<'_>,
    ) -> Result<(), Refusal> {
        let head = session.req_header();
        let headers = &head.headers;
        let most = found.route.config.body_bytes_max;
        if inbound::content_length(headers).is_some_and(|length| length > most) {
            return Err(Refusal::BodyTooLarge);
        }
        let origins = &self.gate.origins;
        let (host, scheme) = (&found.arrived.host, found.arrived.origin.scheme);
        if session.is_upgrade_req() && !socket::may_open(headers, host, scheme, origins) {
            let denied = found.denied(head, ctx.id, None);
            return Err(self.bar(&denied, Barred::Origin));
        }
        Ok(())
    }

    fn odd_path(&self, arrived: &Arrived, id: RequestId, refusal: &PathRefusal) -> Refusal {
        let (client, reason) = (arrived.origin.client, refusal.to_string());
        if let Some(kept_back) = self.may_tell(client, &reason) {
            tracing::info!(request_id = %id, %client, kept_back, %reason, "path refused");
        }
        Refusal::BadRequest
    }

    /// It cannot be told which of the routes for its path a request is for: servers read what they go by differently.
    fn unclear(&self, arrived: &Arrived, id: RequestId) -> Refusal {
        let (client, text) = (arrived.origin.client, "route cannot be told");
        if let Some(kept_back) = self.may_tell(client, text) {
            tracing::info!(
                request_id = %id, %client, virtual_host = %arrived.host, kept_back,
                "route cannot be told"
            );
        }
        Refusal::BadRequest
    }

    /// Registers a permitted request for being cut, then looks again: an end between the decision and
    /// the registration would otherwise be missed (S-17).
    fn register(
        &self,
        ctx: &RequestContext,
        permit: &Permit,
        claim: Option<Arc<Claim>>,
    ) -> Registered {
        let (Some(session), Some(claim), Some(current)) = (permit.session(), claim, &ctx.current)
        else {
            return Registered::Standing(None);
        };
        let sso = session.facts.sso;
        let watch = Arc::clone(&current.watch);
        let registration = self.streams.register(claim, watch);
        if self.gate.still_serves(&sso) {
            Registered::Standing(Some(registration))
        } else {
            Registered::Ended
        }
    }
}

/// What came of registering a permitted request.
enum Registered {
    /// Its session has ended meanwhile.
    Ended,
    /// It may go on; registered if it belongs to a session.
    Standing(Option<Registration>),
}

/// What is asked of a request's sender: nothing of a preflight that its route forwards.
fn access(route: &Route, head: &RequestHeader) -> Access {
    match route.preflight {
        Preflight::Forward if inbound::is_preflight(&head.method, &head.headers) => {
            Access::Excluded
        }
        Preflight::Forward | Preflight::Refuse => route.access,
    }
}

/// The target in canonical form, if it was written otherwise: an absolute target, or an odd path.
fn canonical_target(head: &RequestHeader, path: &str) -> Option<String> {
    // pingora keeps an absolute target beside the URI, and would send it as it was written.
    let is_origin_form = head.uri.authority().is_none() && head.raw_path().starts_with(b"/");
    if is_origin_form && head.uri.path() == path {
        return None;
    }
    Some(match head.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    })
}
