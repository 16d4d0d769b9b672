//! What is true, whatever any data centre believes: who signed in and when, what ended, who has heard of
//! it, which records stand where.
//!
//! It is drawn from events alone and judges nothing; `rules` does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use portway::model::end::End;
use portway::model::id::SsoId;
use portway::model::name::ClusterId;
use portway::model::name::UserName;
use portway::model::peer::Answer;
use portway::model::peer::Question;
use portway::model::peer::Rest;
use portway::model::session::Session;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;

use crate::event::Dc;
use crate::event::Durability;
use crate::event::Event;
use crate::event::Link;
use crate::event::NAMES;
use crate::event::Start;
use crate::plan::Plan;

/// What is true of a whole run.
pub(crate) struct Truth {
    pub(crate) plan: Plan,
    /// Milliseconds since the run began.
    pub(crate) now: u64,
    pub(crate) sessions: BTreeMap<SsoId, Born>,
    pub(crate) centres: Vec<Centre>,
    pub(crate) disabled: BTreeMap<UserName, u64>,
    pub(crate) crashes: u32,
    /// When each question that is on its way was asked.
    asked: BTreeMap<u64, u64>,
}

/// An SSO session as it was born.
pub(crate) struct Born {
    pub(crate) facts: SsoFacts,
    /// The last request that was served, anywhere.
    pub(crate) served: u64,
}

/// What is true of one data centre.
#[derive(Default)]
pub(crate) struct Centre {
    pub(crate) is_up: bool,
    pub(crate) skew: i64,
    /// When its clock was last set, or its process stopped or started.
    pub(crate) disturbed: u64,
    pub(crate) crashed: u64,
    pub(crate) start: Option<Start>,
    pub(crate) hears_directory_since: Option<u64>,
    pub(crate) records: BTreeMap<SsoId, Session>,
    /// The last request of each SSO session that was served here, by this process.
    pub(crate) served: BTreeMap<SsoId, u64>,
    pub(crate) signing_in: usize,
    /// Ends that it has heard of; a crash may make it forget them.
    heard: Vec<End>,
    /// Ends that are on its disk, or that it has confirmed to somebody, and since when.
    sure: Vec<(u64, End)>,
    /// Ends that others were sure of when its own log was lost.
    owed: Vec<End>,
    /// Ends that a complete reading of a peer's log brought, and from when on they must be known.
    brought: Vec<(u64, End)>,
    /// For each peer, when the last complete reading of its log was asked for.
    read: BTreeMap<Dc, u64>,
}

impl Truth {
    pub(crate) fn new(plan: Plan) -> Self {
        let centre = || Centre {
            hears_directory_since: Some(0),
            ..Centre::default()
        };
        Self {
            centres: std::iter::repeat_with(centre).take(plan.centres).collect(),
            plan,
            now: 0,
            sessions: BTreeMap::new(),
            disabled: BTreeMap::new(),
            crashes: 0,
            asked: BTreeMap::new(),
        }
    }

    pub(crate) fn centre(&self, dc: Dc) -> &Centre {
        &self.centres[dc.0]
    }

    /// What a data centre's clock says.
    pub(crate) fn clock(&self, dc: Dc) -> Timestamp {
        clock(self.now, self.centre(dc).skew)
    }

    /// The data centre of a name.
    pub(crate) fn number(cluster: &ClusterId) -> Option<Dc> {
        NAMES
            .iter()
            .position(|name| *name == cluster.as_str())
            .map(Dc)
    }

    /// Whether a data centre has heard that an SSO session is over, and cannot have forgotten.
    pub(crate) fn knows_end(&self, dc: Dc, facts: &SsoFacts) -> bool {
        let centre = self.centre(dc);
        let is_due = |(due, end): &(u64, End)| *due <= self.now && is_over(end, facts);
        centre.heard.iter().any(|end| is_over(end, facts))
            || centre.sure().any(|end| is_over(end, facts))
            || centre.owed.iter().any(|end| is_over(end, facts))
            || centre.brought.iter().any(is_due)
    }

    /// Whether anybody is sure that an SSO session is over.
    pub(crate) fn is_surely_over(&self, facts: &SsoFacts) -> bool {
        let mut sure = self.centres.iter().flat_map(Centre::sure);
        sure.any(|end| is_over(end, facts))
    }

    /// Since when somebody is sure that an SSO session is over.
    pub(crate) fn over_since(&self, facts: &SsoFacts) -> Option<u64> {
        let sure = self.centres.iter().flat_map(|centre| &centre.sure);
        let over = sure.filter(|(_, end)| is_over(end, facts));
        over.map(|(since, _)| *since).min()
    }

    /// When the last complete reading of `peer`'s log by `dc` was asked for.
    pub(crate) fn read(&self, dc: Dc, peer: Dc) -> Option<u64> {
        self.centre(dc).read.get(&peer).copied()
    }

    /// The data centres with a record of an SSO session that satisfies a condition.
    pub(crate) fn holders(&self, sso: &SsoId, is: impl Fn(&Session) -> bool) -> Vec<Dc> {
        let all = self.centres.iter().enumerate();
        all.filter(|(_, centre)| centre.is_up)
            .filter(|(_, centre)| centre.records.get(sso).is_some_and(&is))
            .map(|(number, _)| Dc(number))
            .collect()
    }

    /// Takes an event in.
    pub(crate) fn take(&mut self, now: u64, event: &Event<'_>) {
        self.now = now;
        match event {
            Event::Started(dc, start) => self.started(*dc, *start),
            Event::Crashed(dc) => {
                self.crashes += 1;
                self.centres[dc.0].crash(now);
            }
            Event::Froze(dc) | Event::Thawed(dc) => self.centres[dc.0].disturbed = now,
            Event::ClockSet(dc, skew) => {
                let centre = &mut self.centres[dc.0];
                (centre.skew, centre.disturbed) = (*skew, now);
            }
            Event::Directory(dc, link) => {
                self.centres[dc.0].hears_directory_since =
                    matches!(link, Link::Whole).then_some(now);
            }
            Event::Disabled(user) => {
                self.disabled.insert(UserName::clone(user), now);
            }
            Event::Stored(dc, _, after) => {
                self.bear(*dc, after);
                let sso = after.facts.sso;
                self.centres[dc.0]
                    .records
                    .insert(sso, Session::clone(after));
            }
            Event::Removed(dc, session) | Event::TakenBack(dc, None, session) => {
                self.centres[dc.0].records.remove(&session.facts.sso);
            }
            Event::TakenBack(dc, Some(standing), _) => {
                let sso = standing.facts.sso;
                self.centres[dc.0]
                    .records
                    .insert(sso, Session::clone(standing));
            }
            Event::Logged(dc, end) => self.centres[dc.0].heard.push(End::clone(end)),
            Event::LogDurable(dc, end) => self.be_sure(*dc, end),
            Event::EndAnswered(dc, facts, cause, Durability::Durable) => {
                let end = End::Tombstone {
                    sso: facts.sso,
                    cause: *cause,
                    expires: facts.expires,
                };
                self.be_sure(*dc, &end);
            }
            Event::Touched(dc, sso) => self.serve(*dc, sso),
            Event::SigningIn(dc) => self.centres[dc.0].signing_in += 1,
            Event::SignedIn(dc, ..) => {
                // The sign-ins of a process that was killed are over, and end once more.
                let signing_in = &mut self.centres[dc.0].signing_in;
                *signing_in = signing_in.saturating_sub(1);
            }
            Event::Asked(..) | Event::Answered(..) | Event::Returned(..) => {
                self.take_message(event);
            }
            Event::EndAnswered(_, _, _, Durability::Memory)
            | Event::DiskFull(_)
            | Event::Linked(..)
            | Event::Healed
            | Event::Resolving(..)
            | Event::Judged(..)
            | Event::GaveUp(..)
            | Event::Visited(..)
            | Event::CutOffAnswered(..)
            | Event::Permitted(..)
            | Event::Challenged(..)
            | Event::Told(_) => {}
        }
    }

    fn take_message(&mut self, event: &Event<'_>) {
        let now = self.now;
        match event {
            Event::Asked(asking, _) => {
                self.asked.insert(asking.id, now);
            }
            Event::Answered(asking, Question::PushEnds { ends }, Answer::Noted { .. }) => {
                ends.iter().for_each(|end| self.be_sure(asking.to, end));
            }
            Event::Returned(asking, question, result) => {
                let sent = self.asked.remove(&asking.id).unwrap_or(now);
                let complete = matches!(
                    result,
                    Ok(Answer::Ends {
                        rest: Rest::Complete,
                        ..
                    })
                );
                if complete && matches!(question, Question::PullEnds { .. }) {
                    self.have_read(asking.from, asking.to, sent);
                }
            }
            _ => {}
        }
    }

    /// Notes that a request was served, or a sign-in renewed.
    fn serve(&mut self, dc: Dc, sso: &SsoId) {
        if let Some(born) = self.sessions.get_mut(sso) {
            born.served = self.now;
        }
        self.centres[dc.0].served.insert(*sso, self.now);
    }

    /// The first record of an SSO session is its birth, where somebody is signing in.
    fn bear(&mut self, dc: Dc, session: &Session) {
        if self.centre(dc).signing_in > 0 {
            let now = self.now;
            let facts = session.facts.clone();
            let born = || Born { facts, served: now };
            self.sessions.entry(session.facts.sso).or_insert_with(born);
        }
    }

    fn started(&mut self, dc: Dc, start: Start) {
        let now = self.now;
        // Whatever anybody was sure of when a log was lost must be learnt again before older cookies
        // are honoured (S-15).
        let all: Vec<_> = self.centres.iter().enumerate().collect();
        let others = all.iter().filter(|(number, _)| *number != dc.0);
        let others: Vec<_> = others
            .flat_map(|(_, other)| other.sure().cloned())
            .collect();
        let centre = &mut self.centres[dc.0];
        centre.is_up = true;
        centre.disturbed = now;
        centre.start = Some(start);
        if !start.has_its_log {
            centre.sure.clear();
            centre.owed = others;
            centre.read.clear();
        }
    }

    fn be_sure(&mut self, dc: Dc, end: &End) {
        let sure = &mut self.centres[dc.0].sure;
        if !sure.iter().any(|(_, known)| known == end) {
            sure.push((self.now, end.clone()));
        }
    }

    fn have_read(&mut self, dc: Dc, peer: Dc, sent: u64) {
        let before = |(at, _): &&(u64, End)| *at < sent;
        let known = self.centre(peer).sure.iter().filter(before);
        let due = self.now + TAKING_IN;
        let brought: Vec<_> = known.map(|(_, end)| (due, end.clone())).collect();
        let centre = &mut self.centres[dc.0];
        centre.brought.extend(brought);
        let read = centre.read.entry(peer).or_insert(sent);
        *read = sent.max(*read);
    }
}

impl Centre {
    fn crash(&mut self, now: u64) {
        self.is_up = false;
        (self.disturbed, self.crashed) = (now, now);
        self.records.clear();
        self.served.clear();
        self.heard.clear();
        self.brought.clear();
        self.signing_in = 0;
    }

    /// The ends that it surely knows.
    pub(crate) fn sure(&self) -> impl Iterator<Item = &End> {
        self.sure.iter().map(|(_, end)| end)
    }
}

/// Whether an end concerns an SSO session.
pub(crate) fn is_over(end: &End, facts: &SsoFacts) -> bool {
    match end {
        End::Tombstone { sso, .. } => *sso == facts.sso,
        End::UserCutOff {
            store,
            subject,
            authenticated_before,
            ..
        } => {
            facts.store == *store
                && facts.subject == *subject
                && facts.first_authenticated < *authenticated_before
        }
        End::Moved { .. } | End::ProviderCutOff { .. } => false,
    }
}

/// What a clock with a skew says.
pub(crate) fn clock(now: u64, skew: i64) -> Timestamp {
    Timestamp::from_millis((BEGINNING + now).saturating_add_signed(skew))
}

/// When every run begins.
const BEGINNING: u64 = 1_700_000_000_000;
/// How long an engine may take, in milliseconds, to take in what a reading of a peer's log brought.
const TAKING_IN: u64 = 400;

/// Data centres that are spoken of together.
pub(crate) fn listed(centres: &[Dc]) -> String {
    let names: BTreeSet<_> = centres.iter().map(|dc| NAMES[dc.0]).collect();
    let names: Vec<_> = names.into_iter().collect();
    names.join(", ")
}
