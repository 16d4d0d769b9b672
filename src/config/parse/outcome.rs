//! What a browser sees besides the application: after a sign-in, when one is needed, and on a denial.
//!
//! Addresses are on the same host or on one that the gateway serves, and their host is written out: no
//! request chooses where a browser goes.

use std::num::NonZeroU16;
use std::sync::Arc;

use crate::config::VirtualHost;
use crate::config::diagnostic::Fault;
use crate::config::outcome::Challenge;
use crate::config::outcome::Denied;
use crate::config::outcome::Outcomes;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::config::problem::policy::PolicyProblem;
use crate::config::raw::Position;
use crate::decision::endpoints;
use crate::decision::facts::Fact;
use crate::decision::origins::is_plain_target;
use crate::decision::routing::HostPattern;
use crate::decision::routing::HostTable;
use crate::decision::template::Form;
use crate::decision::template::Part;
use crate::decision::template::Template;
use crate::model::name::HostName;

/// Addresses on other hosts, to be checked once all hosts are known.
pub(super) type Redirects = Vec<Redirect>;

/// An address on another host.
pub(super) struct Redirect {
    at: Position,
    path: String,
    host: HostName,
}

impl Reading<'_> {
    /// Refuses addresses on hosts that the gateway does not serve.
    pub(super) fn check_redirects(&mut self, redirects: Redirects, hosts: &[VirtualHost]) {
        let served = hosts.iter().flat_map(|host| &host.hosts);
        let served: HostTable<()> = served
            .map(|pattern: &HostPattern| (pattern.clone(), ()))
            .collect();
        for redirect in redirects {
            if served.find(redirect.host.as_str()).is_none() {
                let host = redirect.host.as_str().to_owned();
                self.faults.push(Fault {
                    at: Some(redirect.at),
                    path: redirect.path,
                    problem: Problem::Policy(PolicyProblem::ForeignHost(host)),
                });
            }
        }
    }

    /// The outcomes that a section states, over what holds otherwise.
    pub(super) fn outcomes(
        &mut self,
        section: &Section<'_>,
        base: Outcomes,
        redirects: &mut Redirects,
    ) -> Outcomes {
        let mut outcomes = base;
        if let Some(found) = section.get("success_url") {
            outcomes.success = self.success_url(found).or(outcomes.success);
        }
        self.set(
            section,
            "challenge",
            &mut outcomes.challenge,
            |this, found| this.word(found, CHALLENGES),
        );
        if let Some(found) = section.get("remediation") {
            outcomes.remediation = self.remediation(found).or(outcomes.remediation);
        }
        let denied = section
            .get("denied")
            .and_then(|found| Some((found, self.word(found, DENIALS)?)));
        let failure = section
            .get("failure_url")
            .map(|found| (found, self.failure_url(found, redirects)));
        match (denied, failure) {
            (None | Some((_, DeniedWord::Redirect)), Some((_, address))) => {
                outcomes.denied = address.map_or(outcomes.denied, Denied::Redirect);
            }
            (Some((_, DeniedWord::Page | DeniedWord::Status)), Some((found, _))) => {
                let (first, second) = ("denied", "failure_url");
                self.fault_at_key(found, Problem::Exclusive { first, second });
            }
            (Some((found, DeniedWord::Redirect)), None) => {
                let problem = Problem::Policy(PolicyProblem::RedirectWithoutAddress);
                self.fault(found, problem);
            }
            (Some((_, DeniedWord::Page)), None) => outcomes.denied = Denied::Page,
            (Some((_, DeniedWord::Status)), None) => outcomes.denied = Denied::Status,
            (None, None) => {}
        }
        outcomes
    }

    fn success_url(&mut self, found: &Found<'_>) -> Option<Arc<str>> {
        let text = self.text(found)?;
        if is_own_path(&text) {
            return Some(Arc::from(text));
        }
        self.fault(found, Problem::Policy(PolicyProblem::SuccessAddress));
        None
    }

    /// A path of the same host, or an address on a host that is served; that is checked once all are
    /// known.
    fn failure_url(&mut self, found: &Found<'_>, redirects: &mut Redirects) -> Option<Template> {
        let template = self.template(found, Some(Form::Address))?;
        let is_about_request = |fact: &Fact| matches!(fact, Fact::Request(_));
        if !template.facts().all(is_about_request) {
            self.fault(found, Problem::Policy(PolicyProblem::FailureAddress));
            return None;
        }
        let first = match template.parts().first() {
            Some(Part::Text(text)) => text,
            Some(Part::Fact(_)) | None => {
                self.fault(found, Problem::Policy(PolicyProblem::FailureAddress));
                return None;
            }
        };
        if is_own_path(first) {
            return Some(template);
        }
        let rest = first.strip_prefix("https://");
        let authority = rest.and_then(|rest| rest.split_once('/'));
        let host = authority.and_then(|(authority, _)| host_of(authority));
        match host {
            Some(host) => redirects.push(Redirect {
                at: found.node.at,
                path: found.path.clone(),
                host,
            }),
            None => self.fault(found, Problem::Policy(PolicyProblem::FailureAddress)),
        }
        Some(template)
    }

    fn remediation(&mut self, found: &Found<'_>) -> Option<Arc<str>> {
        let shown = (
            "a text of at most 500 characters",
            "Ask the service desk for access.",
        );
        self.shaped(found, shown, |text| {
            let fits = (1..=REMEDIATION_CHARACTERS_MAX).contains(&text.chars().count());
            let is_plain = !text.chars().any(|c| c.is_control() && c != '\n');
            (fits && is_plain).then(|| Arc::from(text.trim()))
        })
    }
}

/// Whether a text is a path of an application, as a browser would read it.
fn is_own_path(text: &str) -> bool {
    text.starts_with('/')
        && !text.starts_with("//")
        && is_plain_target(text)
        && !text.starts_with(endpoints::PREFIX)
}

/// The host of an authority that is a name, alone or with a port.
pub(super) fn host_of(authority: &str) -> Option<HostName> {
    let (name, port) = match authority.split_once(':') {
        None => (authority, None),
        Some((name, port)) => (name, Some(port)),
    };
    // Behind anything but a number another host might follow, as in `https://a:b@c/`.
    let is_port =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<NonZeroU16>().is_ok();
    let host = port.is_none_or(is_port).then(|| HostName::parse(name));
    host?.ok()
}

#[derive(Clone, Copy)]
enum DeniedWord {
    Page,
    Redirect,
    Status,
}

const DENIALS: &[(&str, DeniedWord)] = &[
    ("page", DeniedWord::Page),
    ("redirect", DeniedWord::Redirect),
    ("status", DeniedWord::Status),
];
const CHALLENGES: &[(&str, Challenge)] = &[
    ("auto", Challenge::Auto),
    ("redirect", Challenge::Redirect),
    ("unauthorized", Challenge::Unauthorized),
];
const REMEDIATION_CHARACTERS_MAX: usize = 500;
