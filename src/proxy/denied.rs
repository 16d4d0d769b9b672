//! Tells the log and the audit trail why a request was denied; the client learns a reference only (D-23).

use std::net::IpAddr;

use http::Method;

use crate::decision::admission::Denial;
use crate::decision::admission::Permit;
use crate::decision::facts::RequestFacts;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::claim::Claim;
use crate::model::id::RequestId;
use crate::model::name::HostName;
use crate::ports::audit_trail::AuditTrail;
use crate::proxy::found::Found;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;

/// Why a request is denied whoever makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barred {
    /// Its route does not let its address in.
    Address,
    /// A page opens a WebSocket that is none of a served host.
    Origin,
}

impl Barred {
    const fn reason(self) -> &'static str {
        match self {
            Self::Address => "the route does not let this address in",
            Self::Origin => "a page of another origin opens a WebSocket",
        }
    }
}

/// A request that was denied. Its query is not told: queries carry secrets.
pub(super) struct Denied<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) host: &'a HostName,
    pub(super) client: IpAddr,
    pub(super) route: &'a str,
    /// The name of the policy; empty where the route has rules of its own.
    pub(super) policy: &'a str,
    /// Who asked.
    pub(super) claim: Option<&'a Claim>,
    pub(super) id: RequestId,
}

impl Denied<'_> {
    /// Tells of it.
    pub(super) fn tell(&self, denial: &Denial, audit: &dyn AuditTrail) {
        let reason = reason(denial);
        tracing::info!(
            request_id = %self.id, virtual_host = %self.host, route = self.route,
            decision = "deny", reason, "request denied"
        );
        let event = self.event(EventKind::Denied);
        let event = match self.policy {
            "" => event,
            name => event.with("policy", name),
        };
        let event = event.with("reason", reason);
        let event = match denial.unknown.as_slice() {
            [] => event,
            rules => event.with("unknown_rules", numbers(rules)),
        };
        audit.note(event.request(self.id));
    }

    fn event(&self, kind: EventKind) -> Event {
        let event = Event::new(kind);
        let event = match self.claim {
            Some(claim) => event.user(&claim.facts.subject).session(&claim.facts.sso),
            None => event,
        };
        event
            .client(self.client)
            .host(self.host)
            .with("method", self.method.as_str())
            .with("path", self.path)
            .with("route", self.route)
    }
}

impl Serving {
    /// Refuses a request that is denied whoever makes it, and tells of it now and then, since strangers can have it
    /// told: in the trail as a kind of its own, so that they keep no denial of a user out of it.
    pub(super) fn bar(&self, denied: &Denied<'_>, why: Barred) -> Refusal {
        let reason = why.reason();
        if let Some(kept_back) = self.may_tell(denied.client, reason) {
            tracing::info!(
                request_id = %denied.id, client = %denied.client, virtual_host = %denied.host,
                route = denied.route, decision = "deny", reason, kept_back, "request denied"
            );
        }
        let event = denied.event(EventKind::Barred).with("reason", reason);
        self.gate.audit.note(event.request(denied.id));
        Refusal::Barred
    }

    /// Refuses a request of somebody who may make it: what its application has to be told does not fit, and with
    /// less it would take its user for somebody else.
    pub(super) fn cannot_tell(
        &self,
        found: &Found<'_>,
        request: &RequestFacts<'_>,
        permit: &Permit,
        why: &dyn std::error::Error,
    ) -> Refusal {
        let config = &found.route.config;
        let (host, client) = (&found.arrived.host, found.arrived.origin.client);
        let reason = why.to_string();
        if let Some(kept_back) = self.may_tell(client, &reason) {
            tracing::warn!(
                request_id = %request.id, %client, virtual_host = %host, route = %config.name,
                decision = "deny", reason, kept_back, "an application cannot be told of a user"
            );
        }
        let denied = Denied {
            method: request.method,
            path: request.path,
            host,
            client,
            route: &config.name,
            policy: &config.policy_name,
            claim: None,
            id: request.id,
        };
        let event = match permit.session() {
            Some(session) => denied
                .event(EventKind::Denied)
                .user(&session.facts.subject)
                .session(&session.facts.sso),
            None => denied.event(EventKind::Barred),
        };
        let event = event.with("reason", reason);
        self.gate.audit.note(event.request(request.id));
        Refusal::Untellable
    }
}

/// Why a request is denied, in words; rules are counted from 1, as people count them.
fn reason(denial: &Denial) -> String {
    match denial.rule {
        None => "no rule allows it".to_owned(),
        Some(rule) => format!("rule {}", rule.saturating_add(1)),
    }
}

fn numbers(rules: &[usize]) -> String {
    let numbers = rules.iter().map(|rule| rule.saturating_add(1).to_string());
    numbers.collect::<Vec<_>>().join(",")
}
