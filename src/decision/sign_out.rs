//! The journey of a sign-out over the hosts visited, and what it has to tell the user at its end.
//!
//! The sessions are over before it begins; ending them is the engine's matter.

use std::time::Duration;

use crate::crypto::claims::SignOut;
use crate::decision::origins::Origins;
use crate::decision::reply::ReplyKind;
use crate::decision::reply::SignedOut;
use crate::model::end::Confirmed;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::name::DATA_CENTRES_MAX;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::time::Timestamp;

/// What ending one SSO session came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The SSO session.
    pub sso: SsoId,
    /// The data centre that ended it; none where no engine has heard of it.
    pub cluster: Option<ClusterId>,
    /// The application hosts whose browsers hold an authn cookie of it.
    pub visited: Vec<HostName>,
    /// Whether the end is durable there.
    pub here: Confirmed,
    /// Whether it is durable in the other data centres.
    pub elsewhere: Vec<(ClusterId, Confirmed)>,
}

/// Where a sign-out goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// To clear the cookies of this host, at this origin.
    Host(HostName, String),
    /// To the collector, at this origin, which leads to this provider.
    Provider(StoreName, String),
    /// Nowhere; this address is where it ends.
    Return(String),
    /// To the collector's own page, at this origin.
    SignedOut(String),
}

/// A sign-out that begins now.
#[must_use]
pub fn begin(return_to: Option<String>, now: Timestamp) -> SignOut {
    SignOut {
        ended: Vec::new(),
        hosts: Vec::new(),
        provider: None,
        return_to,
        confirmed: Confirmed::Durable,
        data_centres: Vec::new(),
        expires: now.after(LIFETIME),
    }
}

/// Notes what ending a session came to: what is outstanding for one session is outstanding for all. The
/// state travels in an address, so each list has a bound.
pub fn note(state: &mut SignOut, outcome: Outcome) {
    if !state.ended.contains(&outcome.sso) && state.ended.len() < ENDED_MAX {
        state.ended.push(outcome.sso);
    }
    if outcome.here == Confirmed::Outstanding {
        state.confirmed = Confirmed::Outstanding;
    }
    if let Some(own) = outcome.cluster.filter(|_| !outcome.elsewhere.is_empty()) {
        note_data_centre(state, own, outcome.here);
    }
    for (cluster, confirmed) in outcome.elsewhere {
        note_data_centre(state, cluster, confirmed);
    }
    for host in outcome.visited {
        note_host(state, host);
    }
}

/// Begins the report anew where each session ended so far is about to be ended again, with the same
/// question to the same data centres: what was outstanding may be confirmed by then.
pub fn report_anew(state: &mut SignOut, about_to_end: &[SsoId]) {
    if !state.ended.is_empty() && state.ended.iter().all(|sso| about_to_end.contains(sso)) {
        state.confirmed = Confirmed::Durable;
        state.data_centres.clear();
    }
}

fn note_data_centre(state: &mut SignOut, cluster: ClusterId, confirmed: Confirmed) {
    let list = &mut state.data_centres;
    if let Some((_, known)) = list.iter_mut().find(|(known, _)| *known == cluster) {
        if confirmed == Confirmed::Outstanding {
            *known = Confirmed::Outstanding;
        }
    } else if list.len() < DATA_CENTRES_MAX {
        list.push((cluster, confirmed));
    }
}

/// A host that finds no room is not visited; the cookie that it keeps is worthless (MDC-LOGOUT-1).
fn note_host(state: &mut SignOut, host: HostName) {
    let bytes: usize = state.hosts.iter().map(|host| host.as_str().len()).sum();
    let has_room = state.hosts.len() < HOSTS_MAX && bytes + host.as_str().len() <= HOSTS_BYTES_MAX;
    if has_room && !state.hosts.contains(&host) {
        state.hosts.push(host);
    }
}

/// How a browser is sent to the next stop: by a redirect, and now and then by a page, because it follows
/// only so many redirects in a row.
#[must_use]
pub fn onward(state: &SignOut, address: String) -> ReplyKind {
    if state.hosts.len() % REDIRECTS_IN_A_ROW == REDIRECTS_IN_A_ROW - 1 {
        ReplyKind::Onward(address)
    } else {
        ReplyKind::Redirect(address)
    }
}

/// Takes the next stop of a sign-out from its state: each served host once, then the end. A user whose
/// end is not yet confirmed everywhere is told so, wherever they wanted to go (S-15, MDC-LOGOUT-3).
#[must_use]
pub fn next_stop(state: &mut SignOut, origins: &Origins) -> Option<Stop> {
    while let Some(host) = (!state.hosts.is_empty()).then(|| state.hosts.remove(0)) {
        if let Some(origin) = origins.of(&host) {
            return Some(Stop::Host(host, origin));
        }
    }
    if let Some((provider, origin)) = state.provider.take().zip(origins.collector()) {
        return Some(Stop::Provider(provider, origin));
    }
    match &state.return_to {
        Some(address) if is_confirmed(state) => Some(Stop::Return(address.clone())),
        Some(_) | None => origins.collector().map(Stop::SignedOut),
    }
}

/// What the page at the end says.
#[must_use]
pub fn signed_out(state: SignOut) -> SignedOut {
    SignedOut {
        confirmed: state.confirmed,
        data_centres: state.data_centres,
        return_to: state.return_to,
    }
}

fn is_confirmed(state: &SignOut) -> bool {
    let mut elsewhere = state.data_centres.iter().map(|(_, confirmed)| confirmed);
    state.confirmed == Confirmed::Durable && elsewhere.all(|each| *each == Confirmed::Durable)
}

/// How long a sign-out may travel from host to host.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Browsers give up after about twenty redirects.
const REDIRECTS_IN_A_ROW: usize = 10;
/// Most SSO sessions that one sign-out speaks of: what the ID and authn cookies of a request can name.
const ENDED_MAX: usize = 8;
/// Most hosts that one sign-out visits, whatever number of sessions visited them.
pub const HOSTS_MAX: usize = 64;
/// Most bytes of their names: with a long return address the state still fits the head of a request.
const HOSTS_BYTES_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests;
