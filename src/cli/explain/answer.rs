//! What `portway explain` answers: for people as lines, for programs as JSON whose names stay.
//!
//! What is answered is found out by its parent.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;

/// What there is to tell of a request. What was not reached is absent.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) request: Request,
    pub(super) user: Option<User>,
    pub(super) virtual_host: Vec<String>,
    pub(super) client_certificate: Option<Certificate>,
    pub(super) route: Option<RouteTold>,
    pub(super) rules: Vec<Rule>,
    /// What is changed on the way to an upstream; absent where none is asked.
    pub(super) upstream_headers: Option<Vec<Header>>,
    pub(super) decision: Decision,
}

/// What is asked for.
#[derive(Debug, Serialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: String,
}

/// Who is signed in.
#[derive(Debug, Serialize)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
    pub(super) level: u8,
}

/// What the virtual host makes of the client's certificate.
#[derive(Debug, Serialize)]
pub(super) struct Certificate {
    /// As in the configuration.
    pub(super) mode: &'static str,
    /// Whether one was given.
    pub(super) shown: bool,
    /// What rules and templates can read of it.
    pub(super) facts: BTreeMap<&'static str, String>,
}

/// The route.
#[derive(Debug, Serialize)]
pub(super) struct RouteTold {
    pub(super) name: String,
    pub(super) access: &'static str,
    /// Absent where its rules have no name, or there are none.
    pub(super) policy: Option<String>,
}

/// What a rule has to do with it.
#[derive(Debug, Serialize)]
pub(super) struct Rule {
    pub(super) effect: &'static str,
    /// Absent where it cannot be told.
    pub(super) holds: Option<bool>,
    /// Whether it is the one that decides; those behind that one are not asked.
    pub(super) decides: bool,
    pub(super) asked: bool,
    /// Why it cannot be told.
    pub(super) because: Vec<String>,
}

/// A header that an upstream is told, or that is taken off.
#[derive(Debug, Serialize)]
pub(super) struct Header {
    pub(super) name: String,
    /// Absent where it is taken off.
    pub(super) value: Option<String>,
}

/// What it comes to.
#[derive(Debug, Serialize)]
pub(super) struct Decision {
    pub(super) let_in: bool,
    pub(super) outcome: Outcome,
    /// The number of the rule that decides, from 1.
    pub(super) rule: Option<usize>,
    /// It in words, which may change.
    pub(super) text: String,
}

/// What a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It goes on.
    Allowed,
    /// Portway itself has the page.
    AnsweredHere,
    /// The virtual host wants a certificate.
    CertificateMissing,
    /// The certificate is not good.
    CertificateRefused,
    /// The policy or the addresses of the route do not let it in.
    Denied,
    /// The virtual host is in maintenance.
    Maintenance,
    /// The route has other methods.
    MethodNotAllowed,
    /// No virtual host has this name, or it answers nothing there.
    Misdirected,
    /// No route has this path.
    NotFound,
    /// It can be read in more than one way, or is nothing that is forwarded.
    Refused,
    /// Somebody has to sign in first.
    SignIn,
    /// Somebody has to sign in more surely first.
    StepUp,
    /// It is sent to https.
    ToHttps,
    /// No connection comes about.
    Unreachable,
}

impl Outcome {
    /// Whether the request is let in.
    pub(super) const fn lets_in(self) -> bool {
        matches!(self, Self::Allowed | Self::AnsweredHere)
    }

    pub(super) fn code(self) -> ExitCode {
        if self.lets_in() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

impl Answer {
    /// One of which nothing is known but what was asked.
    pub(super) fn to(request: Request, user: Option<User>) -> Self {
        Self {
            request,
            user,
            virtual_host: Vec::new(),
            client_certificate: None,
            route: None,
            rules: Vec::new(),
            upstream_headers: None,
            decision: Decision {
                let_in: false,
                outcome: Outcome::Refused,
                rule: None,
                text: String::new(),
            },
        }
    }

    /// It with what it comes to.
    pub(super) fn end(mut self, outcome: Outcome, text: impl Into<String>) -> Self {
        self.decision.let_in = outcome.lets_in();
        self.decision.outcome = outcome;
        self.decision.text = text.into();
        self
    }

    /// It for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let Request { method, url } = &self.request;
        let mut lines = vec![line("request", &format!("{method} {url}"))];
        lines.push(line("user", &self.user_line()));
        if !self.virtual_host.is_empty() {
            lines.push(line("virtual host", &self.virtual_host.join(", ")));
        }
        lines.extend(self.client_certificate.iter().flat_map(Certificate::lines));
        lines.extend(self.route.iter().map(|route| line("route", &route.line())));
        let decisive = self.rules.iter().any(|rule| rule.decides);
        for (at, rule) in self.rules.iter().enumerate() {
            let heading = format!("rule {}", at.saturating_add(1));
            lines.push(line(&heading, &rule.line(decisive)));
        }
        let headers = self.upstream_headers.iter().flatten();
        for (at, header) in headers.enumerate() {
            let heading = if at == 0 { "to upstream" } else { "" };
            let value = header.value.as_deref().unwrap_or("(removed)");
            lines.push(line(heading, &format!("{}: {value}", header.name)));
        }
        lines.push(line("decision", &self.decision.text));
        lines
    }

    fn user_line(&self) -> String {
        let Some(user) = &self.user else {
            return "nobody is signed in".to_owned();
        };
        let groups = match user.groups.as_slice() {
            [] => "no groups".to_owned(),
            some => some.join(", "),
        };
        format!("{} ({groups}), level {}", user.name, user.level)
    }
}

impl Certificate {
    fn lines(&self) -> Vec<String> {
        let shown = if self.shown {
            "one is shown"
        } else {
            "none is shown"
        };
        let mut lines = vec![line("certificate", &format!("{}, {shown}", self.mode))];
        // Nobody reads PEM.
        let facts = self.facts.iter().filter(|(name, _)| **name != PEM);
        lines.extend(facts.map(|(name, value)| line("", &format!("{name}: {value}"))));
        lines
    }
}

impl RouteTold {
    fn line(&self) -> String {
        let access = match (&self.policy, self.access) {
            (Some(policy), access) => format!("{access}, policy {policy}"),
            (None, "protected") => "protected, by rules of its own".to_owned(),
            (None, access) => access.to_owned(),
        };
        format!("{} ({access})", self.name)
    }
}

impl Rule {
    fn line(&self, is_decided: bool) -> String {
        let holds = match (self.holds, self.effect) {
            (Some(true), _) => "true",
            (Some(false), _) => "false",
            (None, ALLOW) => "unknown, counts as false",
            (None, _) => "unknown, counts as true",
        };
        let place = match (self.decides, self.asked) {
            (true, _) => ", decides",
            (false, false) if is_decided => ", not asked",
            (false, _) => "",
        };
        let colon = if self.because.is_empty() { "" } else { ": " };
        let because = self.because.join("; ");
        format!("{}: {holds}{place}{colon}{because}", self.effect)
    }
}

fn line(heading: &str, text: &str) -> String {
    format!("{heading:<14} {text}")
}

pub(super) const ALLOW: &str = "allow";
const PEM: &str = "tls.client.certificate";
