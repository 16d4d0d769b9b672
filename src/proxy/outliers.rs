//! Tells pools what their members' answers are like, and has those ejected that answer with errors.
//!
//! When one is ejected is decided in `decision::upstream`.

use std::sync::Arc;

use http::StatusCode;

use crate::decision::upstream::MemberState;
use crate::decision::upstream::Outcome;
use crate::decision::upstream::OutlierTerms;
use crate::decision::upstream::Verdict;
use crate::proxy::context::Admitted;
use crate::proxy::context::RequestContext;
use crate::proxy::forward::target_of;
use crate::proxy::homeward;
use crate::proxy::member::InFlight;
use crate::proxy::member::MemberRuntime;
use crate::proxy::pool::PoolRuntime;

/// A member answers with this status.
pub(super) fn answered(ctx: &RequestContext, status: StatusCode) {
    let at = ctx.admitted.as_ref();
    let at = at.and_then(|admitted| Some((admitted, admitted.in_flight.as_ref()?)));
    if let Some((admitted, at)) = at.filter(|_| !homeward::is_interim(status)) {
        let outcome = if status.is_server_error() {
            Outcome::Error
        } else {
            Outcome::Answered
        };
        note(admitted, at, outcome);
    }
}

/// A member could not be connected to, broke off or was late.
pub(super) fn failed(admitted: &Admitted, at: &InFlight) {
    note(admitted, at, Outcome::Failed);
}

fn note(admitted: &Admitted, at: &InFlight, outcome: Outcome) {
    if let Some(target) = target_of(admitted) {
        target.pool.note(at.member(), outcome);
    }
}

impl PoolRuntime {
    /// Takes in what a request to one of its members came to.
    pub(super) fn note(&self, member: &Arc<MemberRuntime>, outcome: Outcome) {
        let Some(terms) = &self.config.outliers else {
            return;
        };
        match member.standing().note(terms, outcome, || member.now()) {
            None => {}
            Some(Verdict::Back) => tracing::info!(
                upstream = member.name,
                address = member.address_of_name(),
                "pool member back: it answers well after its ejection"
            ),
            Some(Verdict::Eject) => self.eject(member, terms),
        }
    }

    fn eject(&self, member: &Arc<MemberRuntime>, terms: &OutlierTerms) {
        use crate::decision::upstream::Member;

        // Two at a time could leave nobody.
        let _held = self.ejecting.lock();
        if member.state() == MemberState::Ejected {
            return;
        }
        let is_it = |it: &Arc<MemberRuntime>| Arc::ptr_eq(it.standing(), member.standing());
        if !terms.may_eject(&self.members(), is_it) {
            self.spare();
            return;
        }
        let span = member.standing().eject(terms, member.now());
        tracing::warn!(
            upstream = member.name,
            address = member.address_of_name(),
            ?span,
            "pool member ejected: it answers with errors"
        );
    }
}
