//! What records may become: one holder, growing generations, facts that never change, copies that wait.
//! R6, R7, S-2 to S-4, S-6, S-14, MDC-ADOPT-7.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use portway::decision::adoption::Anchor;
use portway::decision::adoption::OnMissing;
use portway::decision::adoption::OnSilence;
use portway::model::claim::Claim;
use portway::model::end::End;
use portway::model::id::SsoId;
use portway::model::peer::Answer;
use portway::model::peer::Question;
use portway::model::session::Generation;
use portway::model::session::Rank;
use portway::model::session::Session;
use portway::model::session::SessionState;

use crate::event::Dc;
use crate::event::Event;
use crate::event::NAMES;
use crate::event::short;
use crate::rules::Broken;
use crate::truth::Truth;
use crate::truth::listed;

/// The highest generation that each data centre has served a session at.
#[derive(Default)]
pub(crate) struct Holding {
    served: BTreeMap<(Dc, SsoId), Generation>,
    /// Who has ever held a session live, or announced it, at which generation.
    held: BTreeSet<(SsoId, Dc, Generation)>,
}

impl Holding {
    pub(crate) fn look(&mut self, truth: &Truth, event: &Event<'_>) -> Result<(), Broken> {
        match event {
            Event::Stored(dc, before, after) => {
                carried_over(truth, *dc, after)?;
                released(*dc, *before, after)?;
                self.grown(*dc, after)?;
                self.truly_moved(*dc, *before, after)?;
                one_holder(truth, &after.facts.sso)
            }
            Event::TakenBack(dc, standing, undone) => {
                self.served.remove(&(*dc, undone.facts.sso));
                standing.map_or(Ok(()), |standing| one_holder(truth, &standing.facts.sso))
            }
            Event::Logged(dc, End::Moved { sso, holder, .. })
                if Truth::number(&holder.cluster) == Some(*dc) =>
            {
                self.held.insert((*sso, *dc, holder.generation));
                Ok(())
            }
            Event::Answered(asking, question, Answer::Session(session)) => {
                newest(asking.to, question, session)?;
                carried_over(truth, asking.to, session)
            }
            Event::Permitted(dc, _, session) => {
                carried_over(truth, *dc, session)?;
                serving(truth, *dc, session)
            }
            Event::Judged(dc, claim, judgement) => match judgement.result {
                Ok(session) => {
                    serving(truth, *dc, session)?;
                    outranked(truth, *dc, claim, session)
                }
                Err(_) => Ok(()),
            },
            Event::Started(dc, _) => {
                let back = truth.centre(*dc).records.keys();
                back.into_iter().try_for_each(|sso| one_holder(truth, sso))
            }
            // The sweeper may drop what looks idle (S-20), and with it what it knew.
            Event::Removed(dc, session) => {
                self.served.remove(&(*dc, session.facts.sso));
                Ok(())
            }
            Event::Crashed(dc) => {
                self.served.retain(|(of, _), _| of != dc);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// S-14: a holder that is only heard of is one that truly was, or has said that it is about to be.
    fn truly_moved(
        &mut self,
        dc: Dc,
        before: Option<&Session>,
        after: &Session,
    ) -> Result<(), Broken> {
        let sso = after.facts.sso;
        if after.state == SessionState::Live {
            self.held.insert((sso, dc, after.facts.generation));
        }
        let was_live = before.is_some_and(|before| before.state == SessionState::Live);
        let SessionState::Moved {
            to,
            generation,
            adoption: None,
        } = &after.state
        else {
            return Ok(());
        };
        let holder = Truth::number(to);
        let was_held = holder.is_some_and(|to| self.held.contains(&(sso, to, *generation)));
        if was_live && !was_held {
            return Err(format!(
                "S-14: {dc} lets go of {} for {to} at generation {}, which never held it",
                short(&sso),
                generation.0
            ));
        }
        Ok(())
    }

    /// A data centre never serves at a lower generation than it did.
    fn grown(&mut self, dc: Dc, after: &Session) -> Result<(), Broken> {
        if after.state != SessionState::Live {
            return Ok(());
        }
        let generation = after.facts.generation;
        let highest = self
            .served
            .entry((dc, after.facts.sso))
            .or_insert(generation);
        if generation < *highest {
            return Err(format!(
                "S-4: the generation of {} falls from {} to {} at {dc}",
                short(&after.facts.sso),
                highest.0,
                generation.0
            ));
        }
        *highest = generation;
        Ok(())
    }
}

/// S-4: nobody gives a session away to somebody who has seen a higher generation of it.
fn newest(dc: Dc, question: &Question, session: &Session) -> Result<(), Broken> {
    match question {
        Question::Reserve { facts, .. } if facts.generation > session.facts.generation => {
            Err(format!(
                "S-4: {dc} gives {} away at generation {}, and was asked for {}",
                short(&facts.sso),
                session.facts.generation.0,
                facts.generation.0
            ))
        }
        _ => Ok(()),
    }
}

/// Facts never change on the way, and the lifetime never grows (R6, S-3, MDC-ADOPT-7).
fn carried_over(truth: &Truth, dc: Dc, session: &Session) -> Result<(), Broken> {
    let (facts, name) = (&session.facts, short(&session.facts.sso));
    let Some(born) = truth.sessions.get(&facts.sso).map(|born| &born.facts) else {
        return Err(format!(
            "{dc} has a record of {name}, which nobody ever began"
        ));
    };
    if facts.expires > born.expires {
        return Err(format!(
            "R6: at {dc} the lifetime of {name} has grown from {} to {}",
            born.expires, facts.expires
        ));
    }
    if facts.first_authenticated != born.first_authenticated {
        return Err(format!(
            "S-1: at {dc} the first authentication of {name} has changed"
        ));
    }
    let same = (&facts.subject, &facts.store) == (&born.subject, &born.store);
    let own = (&session.identity.subject, &session.identity.store);
    if !same || own != (&born.subject, &born.store) {
        return Err(format!("S-3: at {dc} {name} belongs to somebody else"));
    }
    if facts.level > born.level {
        return Err(format!(
            "S-12: at {dc} the level of {name} has risen by itself"
        ));
    }
    Ok(())
}

/// A live record becomes a stub only of a higher rank (S-4, S-14).
fn released(dc: Dc, before: Option<&Session>, after: &Session) -> Result<(), Broken> {
    let Some(before) = before.filter(|before| before.state == SessionState::Live) else {
        return Ok(());
    };
    match &after.state {
        SessionState::Moved { to, generation, .. } => {
            let own = (before.facts.generation, NAMES[dc.0]);
            let theirs = Rank {
                generation: *generation,
                cluster: to.clone(),
            };
            if (theirs.generation, theirs.cluster.as_str()) > own {
                return Ok(());
            }
            Err(format!(
                "S-4: {dc} lets go of {} at generation {} for {to} at {}, which ranks no higher",
                short(&after.facts.sso),
                own.0.0,
                generation.0
            ))
        }
        // A cookie knew of a later holder, which has the session fetched again.
        SessionState::Pending(release) if release.generation >= before.facts.generation => Ok(()),
        SessionState::Pending(_) => Err(format!(
            "S-6: the live record of {} at {dc} becomes a pending copy",
            short(&after.facts.sso)
        )),
        SessionState::Live | SessionState::Ended => Ok(()),
    }
}

/// Whoever serves has a live record: not a copy that waits, not a stub (S-6, MDC-INDEX-1).
fn serving(truth: &Truth, dc: Dc, session: &Session) -> Result<(), Broken> {
    let sso = session.facts.sso;
    let standing = truth
        .centre(dc)
        .records
        .get(&sso)
        .map(|record| &record.state);
    if session.state != SessionState::Live || standing != Some(&SessionState::Live) {
        return Err(format!(
            "S-6: {dc} serves {} by a record in state {:?}; what stands is {standing:?}",
            short(&sso),
            session.state
        ));
    }
    Ok(())
}

/// S-4: whoever serves has at least the generation that the cookie knows of.
fn outranked(truth: &Truth, dc: Dc, claim: &Claim, session: &Session) -> Result<(), Broken> {
    let (known, own) = (claim.facts.generation, session.facts.generation);
    if truth.plan.policy.anchor == Anchor::Anchored && known > own {
        return Err(format!(
            "S-4: {dc} serves {} at generation {}, and the cookie knows of {}",
            short(&session.facts.sso),
            own.0,
            known.0
        ));
    }
    Ok(())
}

/// R7: under the anchored policy one data centre holds a session: always, where nothing is made from a
/// cookie alone, and otherwise as long as nothing goes wrong.
fn one_holder(truth: &Truth, sso: &SsoId) -> Result<(), Broken> {
    let policy = &truth.plan.policy;
    let is_cautious =
        policy.on_silence == OnSilence::Challenge && policy.on_missing == OnMissing::Challenge;
    let strict = is_cautious || truth.plan.is_calm();
    if policy.anchor == Anchor::Free || !strict {
        return Ok(());
    }
    let holders = truth.holders(sso, |session| session.state == SessionState::Live);
    if holders.len() > 1 {
        return Err(format!(
            "R7: {} is held by {}",
            short(sso),
            listed(&holders)
        ));
    }
    Ok(())
}
