//! The counts of a run, and how many of each there must be: a run in which nothing happened would prove
//! nothing.
//!
//! What was right or wrong is the checker's matter.

use std::fmt;

use crate::checker::ENDED;
use crate::checker::Findings;
use crate::chronicle::Chronicle;
use crate::history::History;
use crate::history::Said;
use crate::history::SignOut;
use crate::history::Verdict;
use crate::plan::TROUBLES;

/// Counts by name, in the order in which they are told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    what: &'static str,
    count: u64,
    /// The least that a part of a run must have.
    least: u64,
}

/// Whether more is to have happened for a part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It was played because too little had happened, so nothing more has to.
    Besides,
    Planned,
}

impl Tally {
    /// Counts a part of a run.
    pub(crate) fn of(chronicle: &Chronicle, history: &History, findings: &Findings) -> Self {
        let mut tally = Self::default();
        tally.users(chronicle, history);
        tally.logs(chronicle, history);
        for trouble in TROUBLES {
            tally.row(trouble, chronicle.befallen(trouble), 1);
        }
        tally.row("faults in the history", len(&history.faults), 14);
        tally.judged(findings);
        tally
    }

    /// Counts a part of a run in which time alone ends sessions.
    pub(crate) fn of_time(chronicle: &Chronicle, history: &History, findings: &Findings) -> Self {
        let mut tally = Self::default();
        let overdue = &findings.refused_as;
        tally.row("requests", chronicle.counts.requests.get(), 60);
        tally.row("sign-ins", len(&history.sign_ins), 6);
        tally.row("accepts judged", number(findings.accepts), 20);
        for (what, count, least) in [
            ("refusals of what was too old", overdue.old, 2),
            ("refusals of what was idle too long", overdue.idle, 2),
            ("refusals past the lease", overdue.unheard, 2),
            (PROMPT, findings.prompt, 2),
            ("promises broken", findings.violations.len(), 0),
        ] {
            tally.row(what, number(count), least);
        }
        tally
    }

    /// Adds another part of the same run.
    pub(crate) fn add(&mut self, other: &Self, part: Part) {
        if self.rows.is_empty() {
            self.rows.clone_from(&other.rows);
            return;
        }
        for (row, more) in self.rows.iter_mut().zip(&other.rows) {
            row.count += more.count;
            if part == Part::Planned {
                row.least += more.least;
            }
        }
    }

    /// What there is too little of.
    pub(crate) fn wanting(&self) -> Vec<String> {
        let wanting = self.rows.iter().filter(|row| row.count < row.least);
        wanting
            .map(|row| format!("{}: {} of at least {}", row.what, row.count, row.least))
            .collect()
    }

    fn users(&mut self, chronicle: &Chronicle, history: &History) {
        let counts = &chronicle.counts;
        self.row("requests", counts.requests.get(), 300);
        self.row("requests without an answer", counts.unanswered.get(), 0);
        for (what, verdict, least) in [
            ("cookies accepted", Verdict::Accepted, 80),
            ("cookies refused", Verdict::Refused, 80),
            ("cookies neither accepted nor refused", Verdict::Failed, 0),
        ] {
            let asked = history.asked.iter();
            let count = asked.filter(|asked| asked.verdict == verdict).count();
            self.row(what, number(count), least);
        }
        self.row("sign-ins", len(&history.sign_ins), 25);
        self.row("sign-ins refused", counts.sign_ins_refused.get(), 0);
        self.row(
            "sign-ins without an answer",
            counts.sign_ins_unanswered.get(),
            0,
        );
        let replacing = history.sign_ins.iter();
        let replacing = replacing.filter(|sign_in| sign_in.replaces.is_some());
        self.row(
            "sign-ins in the place of another",
            number(replacing.count()),
            1,
        );
        let outs = |wanted: fn(&SignOut) -> bool| {
            number(history.sign_outs.iter().filter(|out| wanted(out)).count())
        };
        self.row("sign-outs", outs(|_| true), 6);
        self.row(
            "sign-outs told that it is over",
            outs(|out| out.told.is_some()),
            6,
        );
        let everybody = history.nodes - 1;
        let by_all = history.sign_outs.iter().filter(|out| {
            let told = out.told.as_ref();
            told.is_some_and(|told| told.confirmed.len() == everybody)
        });
        self.row(
            "sign-outs confirmed by every data centre",
            number(by_all.count()),
            1,
        );
    }

    fn logs(&mut self, chronicle: &Chronicle, history: &History) {
        let words = |wanted: fn(&Said) -> bool| {
            let words = history.words.iter();
            number(words.filter(|word| wanted(&word.said)).count())
        };
        let ended = |said: &Said| matches!(said, Said::Refused(why) if why == ENDED);
        self.row("adoptions", words(|said| *said == Said::Adopted), 5);
        self.row(
            "adoptions declined",
            words(|said| *said == Said::NotAdopted),
            1,
        );
        self.row("refusals for an end in the logs", words(ended), 10);
        let counts = &chronicle.counts;
        self.row("writes that failed", counts.writes_failed.get(), 1);
        self.row("log lines stamped too late", counts.lines_ahead.get(), 1);
        self.row("log lines stamped too early", counts.lines_behind.get(), 1);
    }

    fn judged(&mut self, findings: &Findings) {
        self.row("ends that somebody was told of", number(findings.ends), 10);
        let refused = number(findings.refused_after_end);
        self.row("refusals after an end was due", refused, 50);
        self.row(PROMPT, number(findings.prompt), 0);
        self.row("accepts judged", number(findings.accepts), 80);
        self.row(
            "sessions recognised in the logs",
            number(findings.recognised),
            10,
        );
        self.row(
            "sessions that had to be kept, and were",
            number(findings.kept),
            1,
        );
        self.row("moves between holders judged", number(findings.moves), 0);
        self.row("promises broken", number(findings.violations.len()), 0);
    }

    fn row(&mut self, what: &'static str, count: u64, least: u64) {
        self.rows.push(Row { what, count, least });
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Row { what, count, .. } in &self.rows {
            writeln!(f, "{count:>8} {what}")?;
        }
        Ok(())
    }
}

const PROMPT: &str = "refusals 2 s after an end elsewhere, with nothing wrong";

fn len<T>(items: &[T]) -> u64 {
    number(items.len())
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap()
}
