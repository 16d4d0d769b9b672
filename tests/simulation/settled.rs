//! What must hold once everything is healed and some time has passed: everybody agrees, and goes on
//! serving.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portway::decision::adoption::Anchor;
use portway::decision::adoption::Hop;
use portway::model::id::SsoId;
use portway::model::session::SessionState;

use crate::browser::Browser;
use crate::centre::application;
use crate::event::Dc;
use crate::event::short;
use crate::rules::Broken;
use crate::trip::Cookies;
use crate::trip::Seen;
use crate::trip::Target;
use crate::trip::Trip;
use crate::trip::Visit;
use crate::trip::Zeal;
use crate::truth::Truth;
use crate::truth::listed;
use crate::world::World;

/// Waits until all logs have been read again, and looks.
pub(crate) async fn settle(world: &Arc<World>) -> Result<(), Broken> {
    let plan = &world.shared.plan;
    let wait = 2 * plan.pull_every + plan.lapse + SETTLING;
    world.shared.handle.sleep(wait).await;
    world.shared.witness.ask(agree)?;
    for browser in world.browsers() {
        old_cookies(world, browser).await?;
    }
    // Refusals given to old cookies are kept in mind for two seconds (S-7).
    world.shared.handle.sleep(Duration::from_secs(3)).await;
    for browser in world.browsers() {
        life_goes_on(world, browser).await?;
    }
    world
        .shared
        .handle
        .sleep(2 * plan.pull_every + Duration::from_secs(2))
        .await;
    world.shared.witness.ask(agree)
}

/// R3, S-4, S-6: what has ended has ended everywhere; a session has one holder; nothing is pending.
fn agree(truth: &Truth) -> Result<(), Broken> {
    for (sso, born) in &truth.sessions {
        let is_expired = truth.clock(Dc(0)) >= born.facts.expires;
        if !is_expired && truth.is_surely_over(&born.facts) {
            let all = (0..truth.plan.centres).map(Dc);
            let unaware: Vec<_> = all
                .filter(|dc| !truth.knows_end(*dc, &born.facts))
                .collect();
            if !unaware.is_empty() {
                let name = short(sso);
                return Err(format!(
                    "R3: {} never heard that {name} is over",
                    listed(&unaware)
                ));
            }
        }
        let pending = truth.holders(sso, |record| {
            matches!(record.state, SessionState::Pending(_))
        });
        if !pending.is_empty() {
            let name = short(sso);
            return Err(format!(
                "S-6: the copy of {name} at {} is still pending",
                listed(&pending)
            ));
        }
        one_holder(truth, sso)?;
    }
    Ok(())
}

fn one_holder(truth: &Truth, sso: &SsoId) -> Result<(), Broken> {
    let holders = truth.holders(sso, |record| record.state == SessionState::Live);
    if truth.plan.policy.anchor == Anchor::Anchored && holders.len() > 1 {
        return Err(format!(
            "R7: {} is held by {} when all is healed",
            short(sso),
            listed(&holders)
        ));
    }
    Ok(())
}

/// R1, R3: old cookies of sessions that are over serve nowhere.
async fn old_cookies(world: &Arc<World>, browser: &Arc<Browser>) -> Result<(), Broken> {
    for jar in browser.copies() {
        for dc in (0..world.shared.plan.centres).map(Dc) {
            let host = application(0);
            let cookies = Cookies::Copied(Arc::new(Mutex::new(jar.clone())));
            let trip = Trip {
                target: Target::Only(dc),
                cookies,
                ..Trip::to(&host, Zeal::WalkAway)
            };
            let visit = browser.visit(world, &trip).await;
            let Visit::Served(sso, _) = visit else {
                continue;
            };
            let is_over = world.shared.witness.ask(|truth| {
                let born = truth.sessions.get(&sso);
                born.is_some_and(|born| truth.is_surely_over(&born.facts))
            });
            if is_over {
                return Err(format!("R3: {dc} serves {}, which is over", short(&sso)));
            }
        }
    }
    Ok(())
}

/// Whoever signs in anywhere is served everywhere, without another sign-in unless the policy asks for it.
async fn life_goes_on(world: &Arc<World>, browser: &Arc<Browser>) -> Result<(), Broken> {
    let plan = &world.shared.plan;
    let user = browser.state.lock().user.clone();
    if world.shared.directory.is_disabled(&user) {
        return Ok(());
    }
    let host = application(0);
    let mut held = None;
    for dc in (0..plan.centres).map(Dc) {
        let trip = Trip {
            target: Target::Only(dc),
            ..Trip::to(&host, Zeal::SignIn)
        };
        let mut visit = browser.visit(world, &trip).await;
        if visit == Visit::Circling {
            // What befell the session before has used the rounds of this minute up (D-10).
            world.shared.handle.sleep(ROUNDS_OVER).await;
            visit = browser.visit(world, &trip).await;
            held = None;
        }
        let Visit::Served(sso, seen) = visit else {
            return Err(format!(
                "{user} is not served at {dc} when all is healed: {visit:?}"
            ));
        };
        let again = seen == Seen::LoginPage && plan.policy.hop == Hop::Silent;
        if let Some(before) = held.filter(|_| again)
            && !world.shared.witness.ask(|truth| {
                has_forgotten(truth, dc, &before) || has_expired(truth, plan.centres, &before)
            })
        {
            return Err(format!(
                "{user} has to sign in again at {dc} when all is healed, after {}",
                short(&before)
            ));
        }
        held = Some(sso);
    }
    Ok(())
}

/// S-7: a cookie that names this very data centre is not believed where no record stands; whoever lost its
/// records asks for a sign-in.
fn has_forgotten(truth: &Truth, dc: Dc, sso: &SsoId) -> bool {
    let (start, born) = (truth.centre(dc).start, truth.sessions.get(sso));
    start.is_none_or(|start| {
        born.is_none_or(|born| born.facts.first_authenticated < start.remembers_since)
    })
}

/// R6: whoever's session ends while this is looked at signs in again.
fn has_expired(truth: &Truth, centres: usize, sso: &SsoId) -> bool {
    let born = truth.sessions.get(sso);
    let mut clocks = (0..centres).map(|dc| truth.clock(Dc(dc)));
    born.is_some_and(|born| clocks.any(|now| now >= born.facts.expires))
}

/// Longer than rounds are counted.
const ROUNDS_OVER: Duration = Duration::from_secs(61);
/// For questions that were asked before the healing, circuits, and what is written to disk.
const SETTLING: Duration = Duration::from_secs(14);
