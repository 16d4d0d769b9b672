//! What an upstream would be told: by the header rules, about who is signed in, and by the policy.
//!
//! Where a request comes from is told beside that (`forwarded_headers`), and cookies of policies are: they are not
//! shown.

use http::HeaderName;
use http::HeaderValue;

use crate::cli::explain::answer::Header;
use crate::config::IdentityHeaderNames;
use crate::config::Route;
use crate::decision::admission::Permit;
use crate::decision::facts::RequestFacts;
use crate::decision::facts::Subject;
use crate::decision::header_rules::Others;
use crate::decision::identity_headers;
use crate::decision::identity_headers::folds_alike;
use crate::decision::policy::Access;
use crate::model::time::Timestamp;

/// The headers of a permitted request that an upstream finds changed, in the order in which they are.
pub(super) fn headers(
    route: &Route,
    names: &IdentityHeaderNames,
    (permit, request): (&Permit, &RequestFacts<'_>),
    now: Timestamp,
) -> anyhow::Result<Vec<Header>> {
    let session = permit.session();
    let known = session.map(|session| (session.as_ref(), permit.level()));
    let told_of = session.map(|session| route.only_groups.told(&session.identity));
    let subject = Subject {
        identity: told_of.as_deref(),
        ..Subject::of(known, request, now)
    };
    let mut told = Vec::new();
    for change in route.headers.changes(&subject)?.request {
        if change.others == Others::Removed {
            drop_alike(&mut told, &change.name);
        }
        if change.value.is_some() || change.others == Others::Removed {
            told.push((change.name, change.value));
        }
    }
    if let (Some(session), Some(identity)) = (session, &told_of) {
        for header in identity_headers::values(identity, session.attributes, names) {
            let (name, value) = header?;
            set(&mut told, name, value);
        }
    }
    if route.access != Access::Excluded {
        for (name, value) in route.responses.give(&subject)?.headers {
            set(&mut told, &name, value);
        }
    }
    let shown = told.into_iter().map(|(name, value)| Header {
        name: name.to_string(),
        value: value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
    });
    Ok(shown.collect())
}

fn set(told: &mut Vec<(HeaderName, Option<HeaderValue>)>, name: &HeaderName, value: HeaderValue) {
    told.retain(|(own, _)| own != name);
    told.push((name.clone(), Some(value)));
}

fn drop_alike(told: &mut Vec<(HeaderName, Option<HeaderValue>)>, name: &HeaderName) {
    told.retain(|(own, _)| !folds_alike(own.as_str(), name.as_str()));
}
