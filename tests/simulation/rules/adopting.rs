//! How a session may come to stand in another data centre: S-5 to S-10, S-16, S-19, S-22, MDC-INDEX-3,
//! MDC-FAIL-1…4, and that it ends by its deadline.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use portway::decision::adoption::Anchor;
use portway::decision::adoption::OnMissing;
use portway::decision::adoption::OnSilence;
use portway::decision::adoption::Retrieval;
use portway::model::claim::Claim;
use portway::model::claim::Place;
use portway::model::id::AdoptionId;
use portway::model::id::SsoId;
use portway::model::peer::Answer;
use portway::model::peer::Question;
use portway::model::peer::Silence;
use portway::model::session::Reservation;
use portway::model::session::Session;
use portway::model::session::SessionState;

use crate::event::Asking;
use crate::event::Dc;
use crate::event::Event;
use crate::event::Took;
use crate::event::short;
use crate::plan::Rereading;
use crate::plan::millis;
use crate::rules::Broken;
use crate::rules::flight::Flight;
use crate::rules::flight::Heard;
use crate::tally::Counted;
use crate::tally::Tally;
use crate::truth::Truth;

/// Adoptions under way and reservations that stand.
#[derive(Default)]
pub(crate) struct Adopting {
    flights: BTreeMap<(Dc, SsoId), Flight>,
    asking: BTreeMap<(Dc, SsoId), BTreeSet<u64>>,
    reserved: BTreeMap<(Dc, SsoId), (AdoptionId, u64)>,
    committed: BTreeSet<(Dc, AdoptionId)>,
    pub(crate) tally: Tally,
}

impl Adopting {
    pub(crate) fn look(&mut self, truth: &Truth, event: &Event<'_>) -> Result<(), Broken> {
        match event {
            Event::Resolving(dc, claim) => {
                self.set_out(*dc, claim);
                Ok(())
            }
            Event::Judged(dc, claim, judgement) => match judgement.took {
                Took::Nothing => Ok(()),
                Took::Time(span) => {
                    self.arrive(*dc, &claim.facts.sso);
                    in_time(truth, *dc, &claim.facts.sso, span)
                }
            },
            Event::Visited(dc, claim, span) => {
                self.arrive(*dc, &claim.facts.sso);
                // Where the session is taken away before the visit is noted, it is fetched once more.
                in_time(truth, *dc, &claim.facts.sso, *span / 2)
            }
            Event::GaveUp(dc, sso) => {
                self.arrive(*dc, sso);
                Ok(())
            }
            Event::Asked(asking, question) => self.asked(*asking, question),
            Event::Returned(asking, question, result) => {
                self.returned(*asking, question, *result);
                Ok(())
            }
            Event::Answered(asking, question, answer) => {
                self.answered(truth, *asking, question, answer)
            }
            Event::Stored(dc, before, after) => self.stored(truth, *dc, *before, after),
            Event::TakenBack(dc, standing, undone) => {
                let reservation = standing.and_then(|standing| standing.reserved.as_ref());
                self.note_reserved(truth, (*dc, undone.facts.sso), reservation);
                Ok(())
            }
            Event::Crashed(dc) => {
                self.flights.retain(|(of, _), _| of != dc);
                self.asking.retain(|(of, _), _| of != dc);
                self.reserved.retain(|(of, _), _| of != dc);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn set_out(&mut self, dc: Dc, claim: &Claim) {
        let flight = self.flights.entry((dc, claim.facts.sso)).or_default();
        if flight.waiting == 0 {
            *flight = Flight::default();
        }
        flight.waiting += 1;
        flight.at_the_collector |= claim.presented.at == Place::Collector;
    }

    fn arrive(&mut self, dc: Dc, sso: &SsoId) {
        if let Some(flight) = self.flights.get_mut(&(dc, *sso)) {
            flight.waiting = flight.waiting.saturating_sub(1);
        }
    }

    /// MDC-INDEX-3: one adoption of a session at a time, and an adoption asks one peer at a time.
    fn asked(&mut self, asking: Asking, question: &Question) -> Result<(), Broken> {
        let Some(sso) = wanted(question) else {
            return Ok(());
        };
        if let Some(flight) = self.flights.get_mut(&(asking.from, sso)) {
            flight.ask(asking.to, question);
        }
        let under_way = self.asking.entry((asking.from, sso)).or_default();
        under_way.insert(asking.id);
        if under_way.len() > 1 {
            return Err(format!(
                "MDC-INDEX-3: {} adopts {} twice at the same time",
                asking.from,
                short(&sso)
            ));
        }
        Ok(())
    }

    fn returned(&mut self, asking: Asking, question: &Question, result: Result<&Answer, Silence>) {
        if let (Question::Commit { adoption, .. }, Ok(Answer::Committed(_))) = (question, &result) {
            self.committed.insert((asking.from, *adoption));
        }
        let Some(sso) = wanted(question) else {
            return;
        };
        if let Some(under_way) = self.asking.get_mut(&(asking.from, sso)) {
            under_way.remove(&asking.id);
        }
        if let Some(flight) = self.flights.get_mut(&(asking.from, sso)) {
            flight.hear(asking.to, result);
        }
    }

    fn answered(
        &self,
        truth: &Truth,
        asking: Asking,
        question: &Question,
        answer: &Answer,
    ) -> Result<(), Broken> {
        let Some(sso) = wanted(question) else {
            return Ok(());
        };
        let (dc, name) = (asking.to, short(&sso));
        match (question, answer) {
            (Question::Reserve { facts, .. } | Question::Fetch { facts, .. }, Answer::Missing) => {
                let start = truth.centre(dc).start;
                let remembers =
                    start.is_some_and(|start| facts.first_authenticated >= start.remembers_since);
                if remembers {
                    return Ok(());
                }
                Err(format!(
                    "S-19: {dc} says there is no {name}, from before its memory begins"
                ))
            }
            (Question::Reserve { adoption, .. }, Answer::Reserved) => {
                let record = truth.centre(dc).records.get(&sso);
                // Whoever waits for a release itself cannot promise one.
                if record.is_some_and(|record| matches!(record.state, SessionState::Pending(_))) {
                    return Ok(());
                }
                let standing = self.reserved.get(&(dc, sso));
                let is_standing = standing.is_some_and(|(other, since)| {
                    other != adoption && truth.now <= since + lapse(truth, dc, *since)
                });
                if is_standing {
                    return Ok(());
                }
                Err(format!(
                    "S-6: {dc} calls {name} reserved, and no reservation stands"
                ))
            }
            _ => Ok(()),
        }
    }

    fn stored(
        &mut self,
        truth: &Truth,
        dc: Dc,
        before: Option<&Session>,
        after: &Session,
    ) -> Result<(), Broken> {
        let sso = after.facts.sso;
        if before.is_some_and(|before| before.state == after.state && is_stub(after)) {
            // It is stored again, to be sure of it.
            return Ok(());
        }
        self.released(truth, dc, after)?;
        let standing = before.and_then(|before| before.reserved.as_ref());
        if standing != after.reserved.as_ref() {
            self.note_reserved(truth, (dc, sso), after.reserved.as_ref());
        }
        let was_here = before.is_some_and(|before| {
            matches!(before.state, SessionState::Live | SessionState::Pending(_))
        });
        let is_here = matches!(after.state, SessionState::Live | SessionState::Pending(_));
        if is_here && !was_here && truth.centre(dc).is_up && !is_newborn(truth, after) {
            disabled(truth, dc, after)?;
        }
        let became_live = after.state == SessionState::Live
            && before.is_none_or(|before| before.state != SessionState::Live);
        // A start puts back what stood before; that was judged when it came to stand.
        if !became_live || !truth.centre(dc).is_up || is_newborn(truth, after) {
            return Ok(());
        }
        match before.map(|before| &before.state) {
            Some(SessionState::Pending(release)) => {
                if self.committed.contains(&(dc, release.adoption)) {
                    self.tally.count(Counted::Adoption);
                    return Ok(());
                }
                self.tally.count(Counted::Creation);
                promoted(truth, dc, &sso)
            }
            _ => self.made(truth, dc, &sso),
        }
    }

    fn note_reserved(
        &mut self,
        truth: &Truth,
        place: (Dc, SsoId),
        reservation: Option<&Reservation>,
    ) {
        match reservation {
            Some(reservation) => {
                self.reserved
                    .insert(place, (reservation.adoption, truth.now));
            }
            None => {
                self.reserved.remove(&place);
            }
        }
    }

    /// S-6: after the lapse a reservation releases nothing any more.
    fn released(&self, truth: &Truth, dc: Dc, after: &Session) -> Result<(), Broken> {
        let SessionState::Moved {
            adoption: Some(adoption),
            ..
        } = &after.state
        else {
            return Ok(());
        };
        let sso = after.facts.sso;
        match self.reserved.get(&(dc, sso)) {
            Some((reserved, since))
                if reserved == adoption && truth.now > since + lapse(truth, dc, *since) =>
            {
                Err(format!(
                    "S-6: {dc} lets go of {} after the reservation lapsed",
                    short(&sso)
                ))
            }
            _ => Ok(()),
        }
    }

    /// A live record that was not pending before: fetched, or made from the cookie's facts.
    fn made(&mut self, truth: &Truth, dc: Dc, sso: &SsoId) -> Result<(), Broken> {
        let policy = &truth.plan.policy;
        let nothing = Flight::default();
        let flight = self.flights.get(&(dc, *sso)).unwrap_or(&nothing);
        let was_fetched = flight.has_heard(Heard::Session);
        if was_fetched && policy.anchor == Anchor::Free {
            self.tally.count(Counted::Adoption);
            return Ok(());
        }
        self.tally.count(Counted::Creation);
        heard_of_all(truth, dc, sso)?;
        if policy.anchor == Anchor::Free && policy.retrieval == Retrieval::Off {
            return Ok(());
        }
        let (silence, missing) = (
            flight.has_heard(Heard::Silence),
            flight.has_heard(Heard::Missing),
        );
        let refused = flight.has_heard(Heard::No) || was_fetched;
        let silence = silence || flight.has_somebody_unasked(dc);
        let on_silence = policy.on_silence == OnSilence::Continue && (silence || !missing);
        let on_missing =
            flight.at_the_collector && policy.on_missing == OnMissing::Create && missing;
        if !refused && (on_silence || on_missing) {
            return Ok(());
        }
        Err(format!(
            "S-8, MDC-FAIL-1…4: {dc} makes a session of {} from the cookie alone, and has heard {:?}",
            short(sso),
            flight.heard
        ))
    }
}

/// The SSO session whose data or release is asked for.
fn wanted(question: &Question) -> Option<SsoId> {
    match question {
        Question::Fetch { facts, .. } | Question::Reserve { facts, .. } => Some(facts.sso),
        Question::Abort { .. }
        | Question::Commit { .. }
        | Question::Hello(_)
        | Question::LastAccess { .. }
        | Question::PullEnds { .. }
        | Question::PushEnds { .. } => None,
    }
}

/// Every adoption ends by its deadline, and so does whoever waits for one (S-7).
fn in_time(truth: &Truth, dc: Dc, sso: &SsoId, span: Duration) -> Result<(), Broken> {
    let began = truth.now.saturating_sub(millis(span));
    let limit = truth.plan.policy.deadline() + SLACK;
    if span > limit && truth.centre(dc).disturbed < began {
        return Err(format!("S-7: {dc} took {span:?} over {}", short(sso)));
    }
    Ok(())
}

/// S-6: a copy serves without the word of its holder only where silence is a licence.
fn promoted(truth: &Truth, dc: Dc, sso: &SsoId) -> Result<(), Broken> {
    if truth.plan.policy.on_silence == OnSilence::Challenge {
        return Err(format!(
            "S-6: the pending copy of {} at {dc} serves, and its release was never confirmed",
            short(sso)
        ));
    }
    heard_of_all(truth, dc, sso)
}

/// S-16: a session is made without its origin's word only where every peer was heard of within the lease.
fn heard_of_all(truth: &Truth, dc: Dc, sso: &SsoId) -> Result<(), Broken> {
    let lease = millis(truth.plan.lease);
    for peer in (0..truth.plan.centres).map(Dc).filter(|peer| *peer != dc) {
        let sent = truth.read(dc, peer);
        let unheard = truth.now.saturating_sub(sent.unwrap_or_default());
        let is_comparable = sent.is_none_or(|sent| truth.centre(dc).disturbed < sent);
        if (sent.is_none() || unheard > lease + millis(truth.plan.policy.deadline() + SLACK))
            && is_comparable
        {
            return Err(format!(
                "S-16: {dc} makes a session of {} on its own and has not heard of {peer} for {unheard} ms",
                short(sso)
            ));
        }
    }
    Ok(())
}

/// S-10: nobody adopts for a user who is disabled, as far as the directory can be asked.
fn disabled(truth: &Truth, dc: Dc, session: &Session) -> Result<(), Broken> {
    let Some(since) = truth.disabled.get(&session.facts.subject) else {
        return Ok(());
    };
    let asks = truth.plan.rereading == Rereading::Supported;
    let hears = truth.centre(dc).hears_directory_since;
    let could_ask = hears.is_some_and(|at| at + millis(SLACK) < truth.now);
    if asks && could_ask && since + millis(SLACK) < truth.now {
        return Err(format!(
            "S-10: {dc} adopts {} of {}, who is disabled",
            short(&session.facts.sso),
            session.facts.subject
        ));
    }
    Ok(())
}

/// How long a reservation of a moment may stand at a data centre: its lapse, and all the time in the
/// world where its clock was set since.
fn lapse(truth: &Truth, dc: Dc, since: u64) -> u64 {
    if truth.centre(dc).disturbed >= since {
        return u64::MAX / 2;
    }
    millis(truth.plan.lapse + SLACK)
}

/// Whether a record is the one that a sign-in has just made.
fn is_newborn(truth: &Truth, session: &Session) -> bool {
    let born = truth.sessions.get(&session.facts.sso);
    born.is_some_and(|born| born.served == truth.now) && session.version == 0
}

/// Writing to disk, asking the directory, and the moment between judging and acting.
const SLACK: Duration = Duration::from_millis(250);

const fn is_stub(session: &Session) -> bool {
    matches!(session.state, SessionState::Moved { .. })
}
