//! The decision on a request: allow, deny, or log in first. The only place that makes a [`Permit`].
//!
//! Looking up the session happens before, forwarding after; neither is here.

use std::sync::Arc;

use crate::decision::authorization::Verdict;
use crate::decision::authorization::authorize;
use crate::decision::explanation;
use crate::decision::facts::RequestFacts;
use crate::decision::facts::Subject;
use crate::decision::policy::Access;
use crate::decision::policy::Policy;
use crate::model::claim::Activity;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::session::Session;
use crate::model::time::Timestamp;

/// Who stands behind a request, as far as cookie and engine can tell.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nobody who is signed in.
    Anonymous,
    /// A live session, and the level that counts: the smaller of the cookie's and its own (S-12).
    SignedIn(Arc<Session>, AuthLevel),
}

/// What a request asks for, and under which rules.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// How far the route is protected.
    pub access: Access,
    /// Who may pass.
    pub policy: &'a Policy,
    /// The level it takes to be let in at all.
    pub level: AuthLevel,
    /// Whether it is activity in its session.
    pub activity: Activity,
    /// What is known of it.
    pub request: RequestFacts<'a>,
}

/// The decision on a request.
#[derive(Debug)]
pub enum Decision {
    /// It may be forwarded.
    Allow(Permit),
    /// It may not, signed in or not.
    Deny(Denial),
    /// Somebody has to sign in first.
    LogIn(LoginCause),
}

/// Proof that a request may be forwarded. Only this module makes one.
#[derive(Debug)]
pub struct Permit {
    session: Option<Arc<Session>>,
    level: AuthLevel,
}

impl Permit {
    /// The session that the request belongs to, if any.
    #[must_use]
    pub const fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    /// The identity to pass on, if any.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.session.as_ref().map(|session| &session.identity)
    }

    /// The authentication level that counts.
    #[must_use]
    pub const fn level(&self) -> AuthLevel {
        self.level
    }
}

/// Why a request is denied. Rules count from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The rule of the policy that denies it; none where no rule allows it.
    pub rule: Option<usize>,
    /// The first rules that could not be told, of those that were asked.
    pub unknown: Vec<usize>,
    /// The session of the one who is denied.
    pub session: Arc<Session>,
    /// The level that counts.
    pub level: AuthLevel,
}

/// Why somebody has to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginCause {
    /// The session was authenticated at a lower level than the route asks for (S-12).
    LevelTooLow,
    /// Nobody is signed in.
    NotSignedIn,
}

/// Decides on a request. Without a live session a protected route is never allowed.
#[must_use]
pub fn decide(asked: &Asked<'_>, standing: Standing, now: Timestamp) -> Decision {
    let allow = |standing| {
        let (session, level) = match standing {
            Standing::Anonymous => (None, AuthLevel::NONE),
            Standing::SignedIn(session, level) => (Some(session), level),
        };
        Decision::Allow(Permit { session, level })
    };
    match (asked.access, &standing) {
        (Access::Excluded, _) => allow(Standing::Anonymous),
        (Access::Unprotected, _) => allow(standing),
        (Access::Protected, Standing::Anonymous) => Decision::LogIn(LoginCause::NotSignedIn),
        (Access::Protected, Standing::SignedIn(_, level)) if *level < asked.level => {
            Decision::LogIn(LoginCause::LevelTooLow)
        }
        (Access::Protected, Standing::SignedIn(session, level)) => {
            let subject = Subject::of(Some((session, *level)), &asked.request, now);
            match authorize(asked.policy, &subject) {
                Verdict::Allow(_) => allow(standing),
                Verdict::Deny(rule) => Decision::Deny(Denial {
                    rule,
                    unknown: explanation::unknown(asked.policy, rule, &subject),
                    session: Arc::clone(session),
                    level: *level,
                }),
            }
        }
    }
}
