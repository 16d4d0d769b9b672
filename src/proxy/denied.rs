//! Tells the log and the audit trail why a request was denied; the client learns a reference only (D-23).

use std::net::IpAddr;

use http::Method;

use crate::decision::admission::Denial;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::claim::Claim;
use crate::model::id::RequestId;
use crate::model::name::HostName;
use crate::ports::audit_trail::AuditTrail;

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
        let event = Event::new(EventKind::Denied);
        let event = match self.claim {
            Some(claim) => event.user(&claim.facts.subject).session(&claim.facts.sso),
            None => event,
        };
        let event = event
            .client(self.client)
            .host(self.host)
            .with("method", self.method.as_str())
            .with("path", self.path)
            .with("route", self.route);
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
