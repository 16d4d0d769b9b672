//! Decisions, routes, rules and users in the words of an answer.

use crate::cli::explain::answer;
use crate::cli::explain::answer::Outcome;
use crate::config::Route;
use crate::decision::admission::Decision;
use crate::decision::admission::LoginCause;
use crate::decision::explanation::Judged;
use crate::decision::policy::Access;
use crate::decision::policy::Effect;
use crate::model::session::Session;

/// A decision in words.
pub(super) fn outcome(
    decision: &Decision,
    route: &Route,
    rule: Option<usize>,
) -> (Outcome, String) {
    match (decision, rule) {
        (Decision::Allow(_), rule) => {
            let text = match (route.access, rule) {
                (Access::Protected, Some(rule)) => format!("let in, by rule {rule}"),
                (Access::Protected, None) => "let in".to_owned(),
                (Access::Unprotected, _) => "let in, as everybody; who it is goes along".to_owned(),
                (Access::Excluded, _) => {
                    "let in, as everybody; who it is does not go along".to_owned()
                }
            };
            (Outcome::Allowed, text)
        }
        (Decision::Deny(_), Some(rule)) => (Outcome::Denied, format!("denied, by rule {rule}")),
        (Decision::Deny(_), None) => (Outcome::Denied, "denied: no rule allows it".to_owned()),
        (Decision::LogIn(LoginCause::NotSignedIn), _) => (
            Outcome::SignIn,
            "asked to sign in; the rules are asked after that".to_owned(),
        ),
        (Decision::LogIn(LoginCause::LevelTooLow), _) => {
            let level = route.level.get();
            let text = format!("asked to sign in more surely: the route asks for level {level}");
            (Outcome::StepUp, text)
        }
    }
}

pub(super) fn user(session: &Session) -> answer::User {
    let identity = &session.identity;
    let groups = identity.groups.iter();
    answer::User {
        name: identity.subject.as_str().to_owned(),
        groups: groups.map(|group| group.as_str().to_owned()).collect(),
        level: session.facts.level.get(),
    }
}

pub(super) fn route(route: &Route) -> answer::RouteTold {
    let policy = Some(&route.policy_name).filter(|name| !name.is_empty());
    answer::RouteTold {
        name: route.name.to_string(),
        access: match route.access {
            Access::Excluded => "excluded",
            Access::Protected => "protected",
            Access::Unprotected => "unprotected",
        },
        policy: policy.map(ToString::to_string),
    }
}

pub(super) fn rule((at, rule): (usize, Judged), decisive: Option<usize>) -> answer::Rule {
    answer::Rule {
        effect: match rule.effect {
            Effect::Allow => answer::ALLOW,
            Effect::Deny => "deny",
        },
        holds: rule.holds,
        decides: decisive == Some(at),
        asked: decisive.is_none_or(|decisive| at <= decisive),
        because: rule.because.iter().map(ToString::to_string).collect(),
    }
}
