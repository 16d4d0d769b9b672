//! The port to the audit trail: who keeps in mind what happened.

use crate::logbook::event::Event;
use crate::logbook::event::mismatched;
use crate::model::claim::Claim;
use crate::model::claim::NotLive;
use crate::model::name::HostName;

/// Keeps in mind what happened. A trail that forgets lets somebody deny it.
pub trait AuditTrail: Send + Sync + 'static {
    /// Notes an event, without waiting until it is written.
    fn note(&self, event: Event);

    /// Whether what happens is being written, or what is to be done about it if not.
    fn standing(&self) -> TrailStanding;
}

/// Whether events are being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailStanding {
    /// They are, or the operator wants everything to go on regardless.
    GoOn,
    /// They are not, and nobody is to be signed in meanwhile.
    SignNobodyIn,
}

/// Notes that a claim was refused, where that is worth a line: because it speaks of somebody else than the
/// session it names (S-3).
pub fn note_refusal(audit: &dyn AuditTrail, why: NotLive, claim: &Claim, host: &HostName) {
    if why == NotLive::Mismatched {
        audit.note(mismatched(claim, host));
    }
}

/// The trail of those who keep none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrail;

impl AuditTrail for NoTrail {
    fn note(&self, _: Event) {}

    fn standing(&self) -> TrailStanding {
        TrailStanding::GoOn
    }
}
