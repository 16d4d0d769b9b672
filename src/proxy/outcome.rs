//! What becomes of a request after the decision: asked to sign in, denied, or given what its policy has
//! for it.
//!
//! What is to be done is configured; how an answer is written is `answer`.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;
use http::header;
use pingora::http::RequestHeader;

use crate::config::destination::Destination;
use crate::config::outcome::Challenge;
use crate::config::outcome::Denied;
use crate::crypto::bearer::Bearer;
use crate::decision::admission::Asked;
use crate::decision::admission::Decision;
use crate::decision::admission::Denial;
use crate::decision::admission::Permit;
use crate::decision::admission::Standing;
use crate::decision::cookies::CookieNames;
use crate::decision::facts::RequestFacts;
use crate::decision::facts::Subject;
use crate::decision::fixed_answer::FixedReply;
use crate::decision::forwarded::Scheme;
use crate::decision::hand_over::demanded;
use crate::decision::header_rules::HeaderChanges;
use crate::decision::landing::Landing;
use crate::decision::landing::comes_back;
use crate::decision::path::normalise;
use crate::decision::policy::Access;
use crate::decision::reply::DeniedAnswer;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::decision::response::Given;
use crate::decision::template::Form;
use crate::decision::template::Template;
use crate::gate::challenge::Asker;
use crate::gate::challenge::Challenged;
use crate::gate::challenge::page_behind;
use crate::model::claim::NotLive;
use crate::model::identity::Identity;
use crate::model::name::HostName;
use crate::proxy::context::Admitted;
use crate::proxy::context::RequestContext;
use crate::proxy::found::Found;
use crate::proxy::inbound;
use crate::proxy::kept::Unkept;
use crate::proxy::memory::Headers;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;
use crate::proxy::step::Step;

impl Serving {
    /// Asks for a sign-in, as the route says.
    pub(super) fn challenge(
        &self,
        head: &RequestHeader,
        cookies: &[&[u8]],
        found: &Found<'_>,
        refused: Option<NotLive>,
    ) -> Step {
        let outcomes = &found.route.config.outcomes;
        let written = head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let target = found.canonical.as_deref().unwrap_or(written);
        // Who has a cookie of this host is on the way already, and its session is renewed silently.
        let names = &self.gate.names;
        let arrives = CookieNames::find(cookies.iter().copied(), &names.authn)
            .next()
            .is_none();
        let asker = match outcomes.challenge {
            Challenge::Auto => inbound::asker(&head.method, &head.headers),
            Challenge::Redirect => Asker::Navigation,
            Challenge::Unauthorized => Asker::Program,
        };
        if asker == Asker::Navigation
            && let Some(form) =
                self.keepable(head, &found.arrived.host, found.arrived.origin.scheme)
        {
            return Step::KeepPost(Box::new(Unkept {
                host: found.arrived.host.clone(),
                address: found.arrived.origin.client,
                target: target.to_owned(),
                level: found.route.config.level,
                limits: found.route.limits,
                activity: found.route.config.activity,
                refused,
                form,
            }));
        }
        let target = match asker {
            Asker::Navigation => {
                let success = outcomes.success.as_deref();
                success.filter(|_| arrives).unwrap_or(target)
            }
            Asker::Program => self.page_of(head, &found.arrived.host, target),
        };
        Step::Reply(self.gate.challenge(&Challenged {
            host: &found.arrived.host,
            target,
            asker,
            level: found.route.config.level,
            cookies,
            bearer: Bearer {
                address: found.arrived.origin.client,
                headers: &head.headers,
            },
            freshness: demanded(refused),
            limits: found.route.limits,
            activity: found.route.config.activity,
            refused,
            post: None,
        }))
    }

    /// The page that a request which gets a 401 belongs to: what was asked for itself, if that is one.
    fn page_of<'a>(&self, head: &'a RequestHeader, host: &HostName, asked: &'a str) -> &'a str {
        if inbound::asker(&head.method, &head.headers) == Asker::Navigation {
            return asked;
        }
        let referer = head.headers.get(header::REFERER);
        let referer = referer.and_then(|referer| referer.to_str().ok());
        let origin = self.gate.origins.of(host);
        origin.map_or("/", |origin| page_behind(referer, &origin))
    }

    /// Answers a request that is denied, as the route says.
    pub(super) fn denied(
        &self,
        ctx: &RequestContext,
        found: &Found<'_>,
        head: &RequestHeader,
        denial: &Denial,
    ) -> Step {
        let config = &found.route.config;
        let answer = match &config.outcomes.denied {
            Denied::Status => DeniedAnswer::Status,
            Denied::Redirect(address)
                if inbound::asker(&head.method, &head.headers) == Asker::Navigation =>
            {
                let (request, host) = (found.facts(head, ctx), &found.arrived.host);
                if let Some(location) = self.elsewhere(address, &request, host, denial) {
                    return Step::Reply(Reply::new(ReplyKind::Redirect(location)));
                }
                DeniedAnswer::Page(config.outcomes.remediation.clone())
            }
            Denied::Page | Denied::Redirect(_) => {
                DeniedAnswer::Page(config.outcomes.remediation.clone())
            }
        };
        Step::Reply(Reply::new(ReplyKind::Denied(answer)))
    }

    /// Where a denied browser goes; nowhere, if it is there already, or would come back denied again and again.
    fn elsewhere(
        &self,
        address: &Template,
        request: &RequestFacts<'_>,
        host: &HostName,
        denial: &Denial,
    ) -> Option<String> {
        let location = self.location(address, request)?;
        let here = Landing {
            host: host.clone(),
            path: request.path.to_owned(),
            query: None,
        };
        // Nobody comes back from an address that is not served here.
        let Some(first) = Landing::of(&location, host) else {
            return Some(location);
        };
        let circles = comes_back(&here, first, |at| self.sent_on(at, request, denial));
        (!circles).then_some(location)
    }

    /// Where a browser is sent on from a place, being who was denied here; nowhere, if it is let in there, asked to
    /// sign in or shown a page, or if that cannot be told.
    fn sent_on(
        &self,
        at: &Landing,
        request: &RequestFacts<'_>,
        denial: &Denial,
    ) -> Option<Landing> {
        let path = normalise(&at.path).ok()?;
        let method = Method::GET;
        let host = self.hosts.find(at.host.as_str())?;
        // By another name it may show another certificate.
        if host.client_auth.is_some() && at.host.as_str() != request.host {
            return None;
        }
        let there = RequestFacts {
            id: request.id,
            method: &method,
            scheme: Scheme::Https,
            host: at.host.as_str(),
            path: path.as_str(),
            query: at.query.as_deref(),
            headers: request.headers,
            address: request.address,
            tls: request.tls,
        };
        let standing = Standing::SignedIn(Arc::clone(&denial.session), denial.level);
        let (route, decision) = host.foresee(&path, &there, standing, self.clock.now())?;
        match decision {
            Decision::Allow(_) | Decision::LogIn(_) => return None,
            Decision::Deny(_) => {}
        }
        let address = match &route.config.outcomes.denied {
            Denied::Page | Denied::Status => return None,
            Denied::Redirect(address) => address,
        };
        Landing::of(&self.location(address, &there)?, &at.host)
    }

    fn location(&self, address: &Template, request: &RequestFacts<'_>) -> Option<String> {
        let subject = Subject::of(None, request, self.clock.now());
        String::from_utf8(address.render(&subject, Form::Address)?).ok()
    }

    /// What a permitted request goes on with.
    pub(super) async fn onward(
        &self,
        found: &Found<'_>,
        permit: &Permit,
        asked: &Asked<'_>,
        ctx: &RequestContext,
    ) -> Result<Onward, Refusal> {
        let request = &asked.request;
        let given = match asked.access {
            Access::Excluded => Given::default(),
            Access::Protected | Access::Unprotected => self.give(found, permit, request).await?,
        };
        let headers = self.header_changes(found, permit, request)?;
        let target = found.rewritten(request, self)?;
        let reply = self.fixed_reply(found, permit, request)?;
        let identity = match &reply {
            Some(_) => None,
            None => self.identity(found, permit, request, ctx)?,
        };
        Ok(Onward {
            given,
            headers,
            target,
            identity,
            reply,
        })
    }

    /// What tells an upstream who is signed in: made before any is connected to, for it may not fit.
    fn identity(
        &self,
        found: &Found<'_>,
        permit: &Permit,
        request: &RequestFacts<'_>,
        ctx: &RequestContext,
    ) -> Result<Option<Headers>, Refusal> {
        let (Some(session), Some(current)) = (permit.session(), &ctx.current) else {
            return Ok(None);
        };
        let (memory, names) = (&current.connection.memory, &self.identity_headers);
        match memory.identity(session, names, &found.route.config.only_groups) {
            Ok(headers) => Ok(Some(headers)),
            Err(error) => Err(self.cannot_tell(found, request, permit, &error)),
        }
    }

    /// What is changed about the headers of a permitted request and of its answer.
    fn header_changes(
        &self,
        found: &Found<'_>,
        permit: &Permit,
        request: &RequestFacts<'_>,
    ) -> Result<Option<Box<HeaderChanges>>, Refusal> {
        let rules = &found.route.config.headers;
        if rules.is_empty() {
            return Ok(None);
        }
        let told = told(found, permit);
        let subject = Subject {
            identity: told.as_deref(),
            ..self.subject(permit, request)
        };
        match rules.changes(&subject) {
            Ok(changes) => Ok(Some(Box::new(changes))),
            Err(error) => Err(self.cannot_tell(found, request, permit, &error)),
        }
    }

    /// The answer that the route of a permitted request has by itself, if it has one.
    fn fixed_reply(
        &self,
        found: &Found<'_>,
        permit: &Permit,
        request: &RequestFacts<'_>,
    ) -> Result<Option<FixedReply>, Refusal> {
        let Destination::Answer(answer) = &found.route.config.destination else {
            return Ok(None);
        };
        let reply = answer.reply(&self.subject(permit, request));
        // Without what its address is made of, there is nowhere to send the request.
        reply.map(Some).ok_or(Refusal::NotFound)
    }

    /// A permitted request as templates read it.
    fn subject<'a>(&self, permit: &'a Permit, request: &'a RequestFacts<'a>) -> Subject<'a> {
        let session = permit.session();
        let standing = session.map(|session| (&**session, permit.level()));
        Subject::of(standing, request, self.clock.now())
    }

    /// What the policy gives to a permitted request.
    async fn give(
        &self,
        found: &Found<'_>,
        permit: &Permit,
        request: &RequestFacts<'_>,
    ) -> Result<Given, Refusal> {
        let responses = &found.route.config.responses;
        if responses.is_empty() {
            return Ok(Given::default());
        }
        let session = permit.session();
        let given = {
            let (subject, told) = (self.subject(permit, request), told(found, permit));
            let as_told = Subject {
                identity: told.as_deref(),
                ..subject
            };
            let given = responses.give_as_told(&subject, &as_told);
            given.map_err(|error| self.cannot_tell(found, request, permit, &error))?
        };
        if let Some(session) = session.filter(|_| !given.attributes.is_empty()) {
            let sso = &session.facts.sso;
            let noted = self.gate.engine.note(sso, &given.attributes).await;
            // Later decisions would go by what is not there.
            noted.map_err(|error| {
                tracing::error!(
                    request_id = %request.id,
                    session = sso.short_hash(),
                    error = &error as &dyn std::error::Error,
                    "attributes of a session could not be kept"
                );
                Refusal::Unavailable
            })?;
        }
        Ok(given)
    }
}

/// The user of a permitted request as the application of its route is told of them.
fn told<'p>(found: &Found<'_>, permit: &'p Permit) -> Option<Cow<'p, Identity>> {
    let session = permit.session()?;
    Some(found.route.config.only_groups.told(&session.identity))
}

/// What a permitted request goes on with.
pub(super) struct Onward {
    given: Given,
    headers: Option<Box<HeaderChanges>>,
    target: Option<String>,
    identity: Option<Headers>,
    reply: Option<FixedReply>,
}

impl Onward {
    /// What becomes of the request.
    pub(super) fn step(self, admitted: Admitted) -> Step {
        let admitted = Box::new(Admitted {
            given: self.given,
            headers: self.headers,
            target: self.target,
            identity: self.identity,
            ..admitted
        });
        match self.reply {
            Some(reply) => Step::Answer(admitted, reply),
            None => Step::Forward(admitted),
        }
    }
}
