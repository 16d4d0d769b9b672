//! Cookies for a gate that does not compare: every GITO cookie is made one of the session beside it.

use portway::crypto::claims::AuthnCookie;
use portway::crypto::claims::GitoCookie;
use portway::crypto::claims::IdCookie;
use portway::crypto::key_ring::Purpose;
use portway::crypto::sealed::Binding;
use portway::crypto::tags::UserTag;
use portway::decision::cookies::CookieNames;
use portway::model::session::SsoFacts;

use crate::centre::COLLECTOR;
use crate::centre::Process;

/// The same cookies, with the GITO cookies of other sessions sealed again for this one.
pub(super) fn rematched(process: &Process, cookies: &str) -> String {
    let names = &process.gate.names;
    let terms = process.gate.terms.current();
    let Some(gito) = terms.as_ref().and_then(|terms| terms.gito.as_ref()) else {
        return cookies.to_owned();
    };
    let Some(facts) = facts(process, cookies) else {
        return cookies.to_owned();
    };
    let binding = gito.binding(names);
    let pairs = cookies.split("; ").map(|pair| {
        let sealed = pair.strip_prefix(names.gito.as_str());
        let sealed = sealed.and_then(|rest| rest.strip_prefix('='));
        let opened = sealed.and_then(|sealed| {
            process
                .shared
                .keys
                .open_claims::<GitoCookie>(&binding, sealed)
        });
        let Some(opened) = opened else {
            return pair.to_owned();
        };
        let forged = GitoCookie {
            sso: facts.sso,
            user: UserTag::of(&facts.store, &facts.subject),
            expires: facts.expires,
            ..opened
        };
        let sealed = process.shared.keys.seal_claims(&binding, [9; 12], &forged);
        format!("{}={sealed}", names.gito)
    });
    pairs.collect::<Vec<_>>().join("; ")
}

/// The session of the authn or ID cookie.
fn facts(process: &Process, cookies: &str) -> Option<SsoFacts> {
    let names = &process.gate.names;
    let keys = &process.shared.keys;
    let lines = [cookies.as_bytes()];
    let find = |name| CookieNames::find(lines.iter().copied(), name).next();
    if let Some(sealed) = find(&names.id) {
        let binding = at(Purpose::IdCookie, &names.id, COLLECTOR);
        return keys
            .open_claims::<IdCookie>(&binding, sealed)
            .map(|cookie| cookie.facts);
    }
    let sealed = find(&names.authn)?;
    let hosts = (0..process.shared.plan.hosts).map(crate::centre::application);
    hosts.collect::<Vec<_>>().iter().find_map(|host| {
        let binding = at(Purpose::AuthnCookie, &names.authn, host.as_str());
        keys.open_claims::<AuthnCookie>(&binding, sealed)
            .map(|cookie| cookie.facts)
    })
}

const fn at<'b>(purpose: Purpose, name: &'b str, scope: &'b str) -> Binding<'b> {
    Binding {
        purpose,
        name,
        scope,
    }
}
