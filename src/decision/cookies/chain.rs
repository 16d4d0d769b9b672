//! The data-centre chain of the ID cookie: how it grows with every visit, and where it says to ask for a
//! session (MDC-COOKIE-2, M-012, S-7).
//!
//! Whether a data centre is asked is decided elsewhere.

use crate::crypto::bearer::Bound;
use crate::crypto::claims::IdCookie;
use crate::crypto::claims::Visited;
use crate::crypto::tags::ClusterTag;
use crate::crypto::tags::Clusters;
use crate::decision::adoption::Anchor;
use crate::decision::cookies::settings::CookieSettings;
use crate::model::claim::Hint;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::time::Timestamp;

/// The ID cookie of a session that this data centre created or updated now (MDC-COOKIE-2): this data centre
/// is the latest, after those that the record and the cookie presented know of; alone where sessions are
/// anchored. It never says more than the cookie presented in its place: it expires no later (S-3), and its
/// level is the smaller one, so that a copy of an old cookie does not rise with its owner's (S-12).
#[must_use]
pub fn id_cookie(
    session: &Session,
    presented: Option<&IdCookie>,
    settings: &CookieSettings,
    now: Timestamp,
) -> IdCookie {
    let mut facts = session.facts.clone();
    // A cookie of another SSO session lends nothing to this one (S-11).
    let presented = presented.filter(|cookie| cookie.facts.sso == facts.sso);
    if let Some(cookie) = presented {
        facts.expires = facts.expires.min(cookie.facts.expires);
        if cookie.facts.level < facts.level {
            facts.level = cookie.facts.level;
            facts.level_reached = cookie.facts.level_reached;
        }
    }
    let earlier = match settings.anchor {
        Anchor::Anchored => Vec::new(),
        Anchor::Free => earlier(session, presented, settings),
    };
    let cluster = settings.cluster.clone();
    IdCookie {
        facts,
        earlier,
        latest: Holder {
            cluster,
            session: session.id,
        },
        last_access: now,
        rounds: presented.and_then(|cookie| cookie.rounds),
        bound: presented.map_or_else(Bound::default, |cookie| cookie.bound),
    }
}

/// The data centres visited before this one: one entry each, in the order of the visits, the oldest out.
/// What only the record knows of is taken for older: the browser has not been there to sign in.
fn earlier(
    session: &Session,
    presented: Option<&IdCookie>,
    settings: &CookieSettings,
) -> Vec<Visited> {
    let of_record = session.aliases.iter().map(visited);
    let of_cookie = presented.into_iter().flat_map(|cookie| {
        let latest = visited(&cookie.latest);
        cookie.earlier.iter().copied().chain([latest])
    });
    let mut chain: Vec<Visited> = Vec::new();
    for visit in of_record.chain(of_cookie) {
        chain.retain(|known| known.cluster != visit.cluster);
        chain.push(visit);
    }
    let own = ClusterTag::of(&settings.cluster);
    chain.retain(|known| known.cluster != own);
    let surplus = chain.len().saturating_sub(IdCookie::EARLIER_MAX);
    chain.drain(..surplus);
    chain
}

fn visited(holder: &Holder) -> Visited {
    Visited {
        cluster: ClusterTag::of(&holder.cluster),
        session: holder.session,
    }
}

/// Where a session may be asked for, newest last access first: the whole chain, and the place that a GITO
/// cookie names. Of the earlier data centres only the order is known, and that they were visited after the
/// session began; those that are not configured are left out.
#[must_use]
pub fn hints(cookie: &IdCookie, gito: Option<Hint>, clusters: &Clusters) -> Vec<Hint> {
    let latest = Hint {
        holder: cookie.latest.clone(),
        last_access: cookie.last_access,
    };
    let earlier = cookie.earlier.iter().rev().filter_map(|visit| {
        let cluster = clusters.find(visit.cluster)?.clone();
        Some(Hint {
            holder: Holder {
                cluster,
                session: visit.session,
            },
            last_access: cookie.facts.first_authenticated,
        })
    });
    let mut hints: Vec<Hint> = [latest].into_iter().chain(earlier).collect();
    if let Some(gito) = gito {
        note(&mut hints, gito);
    }
    hints
}

/// What an authn cookie and a GITO cookie say, the newer first.
#[must_use]
pub fn in_order(authn: Hint, gito: Hint) -> Vec<Hint> {
    let mut hints = vec![authn];
    note(&mut hints, gito);
    hints
}

/// Puts a hint in its place, in that of an older one about the same data centre.
fn note(hints: &mut Vec<Hint>, hint: Hint) {
    let is_known = |known: &Hint| {
        known.holder.cluster == hint.holder.cluster && known.last_access >= hint.last_access
    };
    if hints.iter().any(is_known) {
        return;
    }
    hints.retain(|known| known.holder.cluster != hint.holder.cluster);
    let place = hints.partition_point(|known| known.last_access >= hint.last_access);
    hints.insert(place, hint);
}

#[cfg(test)]
mod tests;
