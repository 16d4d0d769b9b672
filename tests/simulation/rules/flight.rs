//! What one data centre hears about a session while it looks further for it, as far as it matters for what
//! may follow.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use portway::model::id::AdoptionId;
use portway::model::peer::Answer;
use portway::model::peer::Question;
use portway::model::peer::Silence;

use crate::event::Dc;
use crate::truth::Truth;

/// What one data centre has heard about a session since it began to look further for it.
#[derive(Default)]
pub(super) struct Flight {
    pub(super) waiting: usize,
    pub(super) at_the_collector: bool,
    adoption: Option<AdoptionId>,
    /// The last word of each peer. A silence takes the place of nothing but silence (S-8).
    pub(super) heard: BTreeMap<Dc, Heard>,
    /// Who is said to hold it.
    named: BTreeSet<Dc>,
}

/// An answer, as far as it matters for what may follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// No such session, or it is elsewhere.
    Missing,
    /// Anything that is neither silence nor a session: a licence for nothing (S-8).
    No,
    /// The session.
    Session,
    Silence,
}

impl Flight {
    /// Another adoption begins with nothing heard. One that asks no reservation is known by asking a peer
    /// again that has spoken.
    pub(super) fn ask(&mut self, peer: Dc, question: &Question) {
        let adoption = match question {
            Question::Reserve { adoption, .. } => Some(*adoption),
            _ => None,
        };
        let has_spoken = self
            .heard
            .get(&peer)
            .is_some_and(|heard| *heard != Heard::Silence);
        if self.adoption != adoption || (adoption.is_none() && has_spoken) {
            self.adoption = adoption;
            self.heard.clear();
            self.named.clear();
        }
    }

    pub(super) fn hear(&mut self, from: Dc, result: Result<&Answer, Silence>) {
        if let Ok(Answer::Moved { to, .. }) = result {
            self.named.extend(Truth::number(to));
        }
        let heard = match result {
            Ok(answer) => heard(answer),
            // Whoever is there and will not speak has refused (S-8).
            Err(silence) if !silence.is_total() => Heard::No,
            Err(_) => Heard::Silence,
        };
        let before = self.heard.entry(from).or_insert(heard);
        if heard != Heard::Silence {
            *before = heard;
        }
    }

    /// Whether somebody who is said to hold it was not asked any more: the deadline is silence, too.
    pub(super) fn has_somebody_unasked(&self, own: Dc) -> bool {
        let unasked = |dc: &Dc| *dc != own && !self.heard.contains_key(dc);
        self.named.iter().any(unasked)
    }

    pub(super) fn has_heard(&self, word: Heard) -> bool {
        self.heard.values().any(|heard| *heard == word)
    }
}

fn heard(answer: &Answer) -> Heard {
    match answer {
        Answer::Session(_) => Heard::Session,
        Answer::Missing | Answer::Moved { .. } => Heard::Missing,
        Answer::Unknown => Heard::Silence,
        Answer::Committed(_)
        | Answer::Done
        | Answer::Ended
        | Answer::Ends { .. }
        | Answer::Expired
        | Answer::Hello(_)
        | Answer::Idle
        | Answer::Lapsed
        | Answer::LastAccess(_)
        | Answer::NotDurable
        | Answer::Noted { .. }
        | Answer::Refused(_)
        | Answer::Reserved
        | Answer::TooSoon(_) => Heard::No,
    }
}
