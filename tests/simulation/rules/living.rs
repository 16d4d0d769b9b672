//! How long sessions live and how many a user has: R5, R6, R8, MDC-TIME-1, S-20, S-21.

use std::collections::BTreeMap;
use std::time::Duration;

use portway::model::claim::NotLive;
use portway::model::id::SsoId;
use portway::model::session::Session;
use portway::model::session::SessionState;

use crate::contents::WRITTEN_BACK_EVERY;
use crate::event::Dc;
use crate::event::Event;
use crate::event::Judgement;
use crate::event::short;
use crate::rules::Broken;
use crate::truth::Truth;

/// Sign-ins under way, and what was adopted meanwhile.
#[derive(Default)]
pub(crate) struct Living {
    signing_in_since: BTreeMap<Dc, u64>,
    /// When each record came to stand live where it stands.
    live_since: BTreeMap<(Dc, SsoId), u64>,
}

impl Living {
    pub(crate) fn look(&mut self, truth: &Truth, event: &Event<'_>) -> Result<(), Broken> {
        match event {
            Event::Permitted(dc, _, session) => expired(truth, *dc, session),
            Event::Judged(
                dc,
                _,
                Judgement {
                    result: Ok(session),
                    ..
                },
            ) => {
                expired(truth, *dc, session)?;
                idle(truth, *dc, session)
            }
            Event::Judged(
                dc,
                claim,
                Judgement {
                    result: Err(Some(NotLive::Idle)),
                    ..
                },
            ) => idle_too_early(truth, *dc, &claim.facts.sso),
            Event::Stored(dc, before, after) => {
                let was_live = before.is_some_and(|before| before.state == SessionState::Live);
                if !was_live && after.state == SessionState::Live {
                    self.live_since.insert((*dc, after.facts.sso), truth.now);
                }
                Ok(())
            }
            Event::SigningIn(dc) => {
                self.signing_in_since.entry(*dc).or_insert(truth.now);
                Ok(())
            }
            Event::SignedIn(dc, signed_in, _) => {
                let since = self.signing_in_since.get(dc).copied().unwrap_or(truth.now);
                if truth.centre(*dc).signing_in == 0 {
                    self.signing_in_since.remove(dc);
                }
                match signed_in {
                    Some(session) => self.too_many(truth, *dc, session, since),
                    None => Ok(()),
                }
            }
            Event::Crashed(dc) => {
                self.signing_in_since.remove(dc);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// R8: after a sign-in a user has at most so many sessions there. What was adopted during the
    /// sign-in does not count: adoption never evicts (S-21).
    fn too_many(&self, truth: &Truth, dc: Dc, session: &Session, since: u64) -> Result<(), Broken> {
        let of_user = truth.centre(dc).records.values().filter(|record| {
            record.facts.subject == session.facts.subject && record.state == SessionState::Live
        });
        let before = of_user.filter(|record| {
            let live_since = self.live_since.get(&(dc, record.facts.sso)).copied();
            record.facts.sso == session.facts.sso || live_since.is_some_and(|at| at < since)
        });
        let count = before.count();
        if count > truth.plan.per_user_max {
            return Err(format!(
                "R8: {} has {count} sessions at {dc} after a sign-in",
                session.facts.subject
            ));
        }
        Ok(())
    }
}

/// R6: nobody is served beyond the lifetime that was fixed at the sign-in.
fn expired(truth: &Truth, dc: Dc, session: &Session) -> Result<(), Broken> {
    let Some(born) = truth.sessions.get(&session.facts.sso) else {
        return Ok(());
    };
    if truth.clock(dc) >= born.facts.expires.after(SLACK) {
        return Err(format!(
            "R6: {dc} serves {} although its lifetime is over",
            short(&session.facts.sso)
        ));
    }
    Ok(())
}

/// R5: nobody is served who has been served nowhere for the idle time.
fn idle(truth: &Truth, dc: Dc, session: &Session) -> Result<(), Broken> {
    let Some(born) = truth.sessions.get(&session.facts.sso) else {
        return Ok(());
    };
    let rested = Duration::from_millis(truth.now.saturating_sub(born.served));
    // Two clocks speak of it: the one that noted the access and the one that compares.
    let skew = Duration::from_millis(2 * truth.plan.skew_max());
    // What a crash may have kept from being written counts in favour of the user; the next data centre
    // takes it over, and may crash, too.
    let tolerance = skew + WRITTEN_BACK_EVERY * truth.crashes.min(2);
    if rested > truth.plan.idle + tolerance + SLACK {
        return Err(format!(
            "R5: {dc} serves {}, which rested for {rested:?}",
            short(&session.facts.sso)
        ));
    }
    Ok(())
}

/// R5: nobody is called idle by a data centre that has just served them and holds the session still.
fn idle_too_early(truth: &Truth, dc: Dc, sso: &SsoId) -> Result<(), Broken> {
    let centre = truth.centre(dc);
    let standing = centre.records.get(sso).map(|record| &record.state);
    if standing != Some(&SessionState::Live) {
        return Ok(());
    }
    let Some(served) = centre.served.get(sso).copied() else {
        return Ok(());
    };
    let rested = Duration::from_millis(truth.now.saturating_sub(served));
    if served > centre.disturbed && rested + SLACK < truth.plan.idle {
        return Err(format!(
            "R5: {dc} calls {} idle, {rested:?} after it served it",
            short(sso)
        ));
    }
    Ok(())
}

/// Between judging and serving.
const SLACK: Duration = Duration::from_millis(50);
