//! What has become of each directive so far, by its number; and at the end, of those that nobody asked for.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::convert::nginx::directives::Fate;
use crate::convert::nginx::directives::fate_of;
use crate::convert::nginx::tree::Directive;
use crate::convert::report::Entry;
use crate::convert::report::Report;
use crate::convert::report::Verdict;

/// Notes, several of which one directive may have: of an inherited one each place says its own.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    notes: RefCell<BTreeMap<usize, Vec<(Verdict, String)>>>,
}

impl Ledger {
    pub(super) fn kept(&self, directive: &Directive, why: impl Into<String>) {
        self.note(directive, Verdict::Kept, why.into());
    }

    pub(super) fn changed(&self, directive: &Directive, why: impl Into<String>) {
        self.note(directive, Verdict::Changed, why.into());
    }

    pub(super) fn dropped(&self, directive: &Directive, why: impl Into<String>) {
        self.note(directive, Verdict::Dropped, why.into());
    }

    /// A block that goes with everything in it, whatever was said about it before.
    pub(super) fn dropped_whole(&self, directive: &Directive, why: &str) {
        let inside = "goes with the block that it stands in";
        self.whole(directive, Verdict::Dropped, (why, inside));
    }

    /// A block that nothing has to be done for.
    pub(super) fn kept_whole(&self, directive: &Directive, why: &str) {
        self.whole(directive, Verdict::Kept, (why, "likewise"));
    }

    fn whole(&self, directive: &Directive, verdict: Verdict, (why, inside): (&str, &str)) {
        let note = vec![(verdict, why.to_owned())];
        self.notes.borrow_mut().insert(directive.id, note);
        for inner in directive.inside() {
            self.whole(inner, verdict, (inside, inside));
        }
    }

    fn note(&self, directive: &Directive, verdict: Verdict, why: String) {
        let mut notes = self.notes.borrow_mut();
        let notes = notes.entry(directive.id).or_default();
        let note = (verdict, why);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// The report on all directives. Nothing is left out: what nobody asked for has the fate of its kind.
    pub(super) fn report(self, directives: &[Directive]) -> Report {
        let mut report = Report::default();
        let mut notes = self.notes.into_inner();
        add(&mut report, directives, &mut notes);
        report
    }
}

fn add(
    report: &mut Report,
    directives: &[Directive],
    notes: &mut BTreeMap<usize, Vec<(Verdict, String)>>,
) {
    for directive in directives {
        let mut own = notes.remove(&directive.id).unwrap_or_default();
        let mut opaque = false;
        if own.is_empty() {
            let (verdict, why, closed) = unasked(directive);
            own.push((verdict, why));
            opaque = closed;
        }
        for (verdict, why) in own {
            report.directives.push(Entry {
                file: directive.file.to_string(),
                line: directive.line,
                directive: directive.shown(),
                verdict,
                why,
            });
        }
        if !opaque {
            add(report, directive.inside(), notes);
        }
    }
}

/// What became of a directive that nobody asked for, and whether that goes for its block, too.
fn unasked(directive: &Directive) -> (Verdict, String, bool) {
    if let Some(why) = &directive.unread {
        let why = format!("cannot be read here: {why}");
        return (Verdict::Dropped, why, false);
    }
    let block = directive.body.is_some();
    match fate_of(&directive.name) {
        Some(Fate::Inherited(_)) => {
            let why = "nothing that is served goes by it";
            (Verdict::Kept, why.to_owned(), false)
        }
        Some(Fate::Mapped(_)) => {
            let why = "has no counterpart in this place";
            (Verdict::Dropped, why.to_owned(), false)
        }
        Some(Fate::Kept(why)) => (Verdict::Kept, (*why).to_owned(), block),
        Some(Fate::Changed(why)) => (Verdict::Changed, (*why).to_owned(), block),
        Some(Fate::Dropped(why)) => (Verdict::Dropped, (*why).to_owned(), block),
        None => {
            let why = "is not known to the converter";
            (Verdict::Dropped, why.to_owned(), block)
        }
    }
}
