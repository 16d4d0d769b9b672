//! Logout cannot be undone: R1 to R4, S-11, S-15, S-16.

use std::collections::BTreeMap;

use portway::model::claim::NotLive;
use portway::model::id::SsoId;
use portway::model::session::Session;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;

use crate::event::Dc;
use crate::event::Event;
use crate::event::short;
use crate::plan::millis;
use crate::rules::Broken;
use crate::truth::Truth;

/// Refusals that are final.
#[derive(Default)]
pub(crate) struct Ending {
    ended: BTreeMap<(Dc, SsoId), u64>,
    expired: BTreeMap<(Dc, SsoId, Timestamp), u64>,
}

impl Ending {
    pub(crate) fn look(&mut self, truth: &Truth, event: &Event<'_>) -> Result<(), Broken> {
        match event {
            Event::Permitted(dc, _, session) => permitted(truth, *dc, session),
            Event::SignedIn(dc, Some(_), Some(replaced)) if !truth.knows_end(*dc, replaced) => {
                Err(format!(
                    "S-11: {dc} has signed somebody in without ending {}, which it replaced",
                    short(&replaced.sso)
                ))
            }
            Event::Judged(dc, claim, judgement) => {
                let facts = &claim.facts;
                let by_end = (*dc, facts.sso);
                let by_expiry = (*dc, facts.sso, facts.expires);
                match judgement.result {
                    Ok(_) if self.ended.contains_key(&by_end) => Err(format!(
                        "R4: {dc} serves {} after it refused it as ended",
                        short(&facts.sso)
                    )),
                    Ok(_)
                        if self
                            .expired
                            .get(&by_expiry)
                            .is_some_and(|at| *at >= truth.centre(*dc).disturbed) =>
                    {
                        Err(format!(
                            "R4: {dc} serves {} after it refused it as expired",
                            short(&facts.sso)
                        ))
                    }
                    Err(Some(NotLive::Ended)) => {
                        self.ended.insert(by_end, truth.now);
                        Ok(())
                    }
                    Err(Some(NotLive::Expired)) => {
                        self.expired.insert(by_expiry, truth.now);
                        Ok(())
                    }
                    Ok(_) | Err(_) => Ok(()),
                }
            }
            // A process may forget what it never confirmed; what it did is known to be over.
            Event::Crashed(dc) => {
                self.ended.retain(|(of, _), _| of != dc);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn permitted(truth: &Truth, dc: Dc, session: &Session) -> Result<(), Broken> {
    let Some(born) = truth.sessions.get(&session.facts.sso) else {
        return Err(format!(
            "{dc} serves {}, which nobody ever began",
            short(&session.facts.sso)
        ));
    };
    if truth.knows_end(dc, &born.facts) {
        return Err(format!(
            "R1: {dc} serves {} although it has heard that it is over",
            short(&session.facts.sso)
        ));
    }
    fan_out(truth, dc, &born.facts)?;
    new_log(truth, dc, session)?;
    lease(truth, dc, session)
}

/// R2: where nothing goes wrong, an end holds everywhere within two seconds.
fn fan_out(truth: &Truth, dc: Dc, facts: &SsoFacts) -> Result<(), Broken> {
    let since = truth.over_since(facts);
    if truth.plan.is_calm() && since.is_some_and(|since| truth.now > since + FAN_OUT) {
        return Err(format!(
            "R2: {dc} serves {}, which has been over for two seconds",
            short(&facts.sso)
        ));
    }
    Ok(())
}

/// S-15: a data centre whose log is younger than a session has read all others before it serves it.
fn new_log(truth: &Truth, dc: Dc, session: &Session) -> Result<(), Broken> {
    let began = truth.centre(dc).start.map(|start| start.log_began);
    if began.is_none_or(|began| session.facts.first_authenticated >= began) {
        return Ok(());
    }
    let peers = (0..truth.plan.centres).map(Dc).filter(|peer| *peer != dc);
    match peers
        .into_iter()
        .find(|peer| truth.read(dc, *peer).is_none())
    {
        Some(peer) => Err(format!(
            "S-15: {dc} serves {}, which is older than its log, and has never read {peer}'s",
            short(&session.facts.sso)
        )),
        None => Ok(()),
    }
}

/// S-16: whoever serves a session that was elsewhere has heard of that data centre within the lease.
fn lease(truth: &Truth, dc: Dc, session: &Session) -> Result<(), Broken> {
    let lease = millis(truth.plan.lease);
    let chain = session
        .aliases
        .iter()
        .filter_map(|alias| Truth::number(&alias.cluster));
    for peer in chain.filter(|peer| *peer != dc) {
        let unheard = match truth.read(dc, peer) {
            Some(sent) => truth.now.saturating_sub(sent),
            None => truth.now,
        };
        let fresh_clock =
            truth.centre(dc).disturbed + unheard < truth.now || truth.read(dc, peer).is_none();
        if unheard > lease + SLACK && fresh_clock {
            return Err(format!(
                "S-16: {dc} serves {}, which was at {peer}, and has not heard of {peer} for {unheard} ms",
                short(&session.facts.sso)
            ));
        }
    }
    Ok(())
}

/// The longest time that an end takes to be heard of, in milliseconds.
const FAN_OUT: u64 = 2_000;
/// Between judging and serving.
const SLACK: u64 = 50;
