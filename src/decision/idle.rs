//! Idleness across data centres: whether a session that looks idle here has been used elsewhere (S-20,
//! MDC-TIME-1, M-057, M-076).
//!
//! [`Reconciliation`] is a machine without I/O or clock. The engine begins it when a request comes, asks
//! the peers that it names, hands over what they say in whatever order, and reads the verdict. Nothing
//! here counts as an access, and nothing here ends a session.

use std::time::Duration;

use crate::model::name::ClusterId;
use crate::model::peer::Answer;
use crate::model::peer::Silence;
use crate::model::time::Timestamp;

#[cfg(test)]
mod tests;

/// What is known of a session's last access before anyone is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accesses {
    /// What the record here has; none where there is no record.
    pub local: Option<Timestamp>,
    /// What the cookies vouch for: the newest of the ID cookie and a matching GITO cookie (MDC-TIME-1).
    pub cookie: Option<Timestamp>,
}

/// The times that a reconciliation goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a session may go without a request.
    pub idle_timeout: Duration,
    /// When the request came: idleness is judged for this moment, however long the answers take.
    pub now: Timestamp,
    /// From when on nobody is waited for.
    pub deadline: Timestamp,
}

/// What the last access of a session comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The SSO session is over; this is final (S-7).
    Ended,
    /// It was used at this time, recently enough.
    Fresh(Timestamp),
    /// Everyone has said so: it was used nowhere recently. The user is challenged.
    Idle,
    /// Someone who may have served it did not say. The user is challenged, and the record stays (S-20).
    Undecided,
}

/// One reconciliation.
#[derive(Clone, Debug)]
pub struct Reconciliation {
    limits: Limits,
    newest: Option<Timestamp>,
    peers: Vec<(ClusterId, Heard)>,
    is_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Silence,
    Word,
}

impl Reconciliation {
    /// Begins with what is known here; `chain` are the configured data centres that served the session, of
    /// which each is asked once.
    #[must_use]
    pub fn begin(
        known: Accesses,
        chain: impl IntoIterator<Item = ClusterId>,
        limits: Limits,
    ) -> Self {
        let mut peers: Vec<(ClusterId, Heard)> = Vec::new();
        for peer in chain {
            if !peers.iter().any(|(known, _)| *known == peer) {
                peers.push((peer, Heard::Nothing));
            }
        }
        let mut begun = Self {
            limits,
            newest: None,
            peers,
            is_ended: false,
        };
        for access in known.local.into_iter().chain(known.cookie) {
            begun.note(access);
        }
        begun
    }

    /// The peers to ask for the last access, all at once; none where the verdict stands without them.
    pub fn asks(&self) -> impl Iterator<Item = &ClusterId> {
        let is_settled = self.settled().is_some();
        self.peers
            .iter()
            .filter(move |(_, heard)| !is_settled && *heard == Heard::Nothing)
            .map(|(peer, _)| peer)
    }

    /// From when on nobody is waited for.
    #[must_use]
    pub const fn deadline(&self) -> Timestamp {
        self.limits.deadline
    }

    /// Takes in what a peer answered, or that it did not.
    ///
    /// An answer after a silence counts, a silence after an answer does not, and nobody counts who was not
    /// to be asked. An end that is heard of after another verdict takes its place.
    pub fn handle(&mut self, from: &ClusterId, heard: Result<&Answer, Silence>) {
        let Some(at) = self.peers.iter().position(|(peer, _)| peer == from) else {
            return;
        };
        let heard = self.take(heard);
        if let Some((_, before)) = self.peers.get_mut(at)
            && *before != Heard::Word
        {
            *before = heard;
        }
    }

    /// The verdict, as soon as it stands: at once where something fresh or an end was heard of, else when
    /// everyone has been heard or the deadline is over.
    #[must_use]
    pub fn verdict(&self, now: Timestamp) -> Option<Verdict> {
        let settled = self.settled();
        if settled.is_some() {
            return settled;
        }
        let is_waiting = self.peers.iter().any(|(_, heard)| *heard == Heard::Nothing);
        if is_waiting && now < self.limits.deadline {
            return None;
        }
        let have_all_said = self.peers.iter().all(|(_, heard)| *heard == Heard::Word);
        Some(if have_all_said {
            Verdict::Idle
        } else {
            Verdict::Undecided
        })
    }

    fn settled(&self) -> Option<Verdict> {
        if self.is_ended {
            return Some(Verdict::Ended);
        }
        self.newest
            .filter(|newest| self.limits.now.since(*newest) < self.limits.idle_timeout)
            .map(Verdict::Fresh)
    }

    fn take(&mut self, heard: Result<&Answer, Silence>) -> Heard {
        let Ok(answer) = heard else {
            return Heard::Silence;
        };
        match answer {
            Answer::Ended => {
                self.is_ended = true;
                Heard::Word
            }
            Answer::LastAccess(at) => {
                self.note(*at);
                Heard::Word
            }
            Answer::Expired | Answer::Idle | Answer::Missing => Heard::Word,
            // None of these tells an access: whether there was one is as open as after a silence.
            Answer::Hello(_)
            | Answer::Session(_)
            | Answer::TooSoon(_)
            | Answer::Reserved
            | Answer::Committed(_)
            | Answer::Lapsed
            | Answer::Moved { .. }
            | Answer::Unknown
            | Answer::Refused(_)
            | Answer::Noted { .. }
            | Answer::NotDurable
            | Answer::Ends { .. }
            | Answer::Done => Heard::Silence,
        }
    }

    /// Notes an access; one that lies ahead counts as of the request's moment.
    fn note(&mut self, access: Timestamp) {
        self.newest = self.newest.max(Some(access.min(self.limits.now)));
    }
}
