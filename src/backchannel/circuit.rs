//! The circuit of a peer: after a number of silences in a row nobody waits for it any more, until one
//! question has tried it (R12).
//!
//! A value: time comes in. What counts as silence is said by whoever asked.

use std::time::Duration;

use crate::model::peer::Silence;
use crate::model::time::Timestamp;

/// Whether a peer is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circuit {
    /// Silences in a row that open it.
    failures_max: u32,
    /// How long it stays open before one question tries it.
    pause: Duration,
    failures: u32,
    last: Silence,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open {
        since: Timestamp,
    },
    /// One question is trying the peer, since then.
    Tried {
        since: Timestamp,
    },
}

/// What a circuit looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// The peer is asked.
    Closed,
    /// It is not asked for a while.
    Open,
}

impl Circuit {
    pub(super) const fn new(failures_max: u32, pause: Duration) -> Self {
        Self {
            failures_max,
            pause,
            failures: 0,
            last: Silence::CircuitOpen,
            state: State::Closed,
        }
    }

    /// Lets a question through, or says at once that no answer will come.
    ///
    /// # Errors
    /// `CircuitOpen`; or `Protocol` where the peer was there and would not speak, because that is no
    /// silence to carry on from (S-8), and waiting longer does not make it one.
    pub(super) fn admit(&mut self, now: Timestamp) -> Result<(), Silence> {
        let since = match self.state {
            State::Closed => return Ok(()),
            State::Open { since } | State::Tried { since } => since,
        };
        // A clock that was set back must not keep the circuit open, nor a trial that nobody ended.
        let is_over = since > now || now.since(since) >= self.pause;
        if is_over {
            self.state = State::Tried { since: now };
            return Ok(());
        }
        match self.last {
            Silence::Protocol => Err(Silence::Protocol),
            Silence::Busy | Silence::CircuitOpen | Silence::TimedOut | Silence::Unreachable => {
                Err(Silence::CircuitOpen)
            }
        }
    }

    /// Takes in an answer; true when it closed the circuit.
    pub(super) fn answered(&mut self) -> bool {
        self.failures = 0;
        !matches!(
            std::mem::replace(&mut self.state, State::Closed),
            State::Closed
        )
    }

    /// Takes in a silence; true when it opened the circuit.
    pub(super) fn was_silent(&mut self, why: Silence, now: Timestamp) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.last = why;
        match self.state {
            State::Closed if self.failures < self.failures_max.max(1) => false,
            State::Closed => {
                self.state = State::Open { since: now };
                true
            }
            // A question from before the circuit opened prolongs nothing.
            State::Open { .. } => false,
            State::Tried { .. } => {
                self.state = State::Open { since: now };
                false
            }
        }
    }

    /// Takes in that a question was given up by whoever asked: the next one may try.
    pub(super) fn abandoned(&mut self) {
        if matches!(self.state, State::Tried { .. }) {
            self.state = State::Tried {
                since: Timestamp::default(),
            };
        }
    }

    pub(super) const fn state(&self) -> CircuitState {
        match self.state {
            State::Closed => CircuitState::Closed,
            State::Open { .. } | State::Tried { .. } => CircuitState::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    fn opened() -> Circuit {
        let mut circuit = Circuit::new(3, PAUSE);
        for _ in 0..3 {
            circuit.admit(at(0)).unwrap();
            circuit.was_silent(Silence::TimedOut, at(0));
        }
        circuit
    }

    #[test]
    fn silences_in_a_row_open_it_and_an_answer_between_does_not() {
        let mut circuit = Circuit::new(3, PAUSE);
        for _ in 0..2 {
            assert!(!circuit.was_silent(Silence::Unreachable, at(0)));
        }
        circuit.answered();
        for _ in 0..2 {
            assert!(!circuit.was_silent(Silence::Unreachable, at(0)));
        }
        assert_eq!(circuit.state(), CircuitState::Closed);
        assert!(circuit.was_silent(Silence::Unreachable, at(0)));
        assert_eq!(circuit.admit(at(1)), Err(Silence::CircuitOpen));
    }

    #[test]
    fn after_the_pause_one_question_tries_and_the_others_stay_away() {
        let mut circuit = opened();
        assert_eq!(circuit.admit(at(4)), Err(Silence::CircuitOpen));
        assert_eq!(circuit.admit(at(5)), Ok(()));
        assert_eq!(circuit.admit(at(5)), Err(Silence::CircuitOpen));
        assert!(circuit.answered(), "its answer closes the circuit");
        assert_eq!(circuit.admit(at(5)), Ok(()));
    }

    #[test]
    fn a_trial_that_fails_opens_it_for_another_pause() {
        let mut circuit = opened();
        circuit.admit(at(5)).unwrap();
        circuit.was_silent(Silence::TimedOut, at(6));
        assert_eq!(circuit.admit(at(10)), Err(Silence::CircuitOpen));
        assert_eq!(circuit.admit(at(11)), Ok(()));
    }

    #[test]
    fn a_trial_that_was_given_up_is_followed_by_another_at_once() {
        let mut circuit = opened();
        circuit.admit(at(5)).unwrap();
        circuit.abandoned();
        assert_eq!(circuit.admit(at(5)), Ok(()));
    }

    #[test]
    fn a_late_silence_does_not_prolong_the_pause() {
        let mut circuit = opened();
        circuit.was_silent(Silence::TimedOut, at(4));
        assert_eq!(circuit.admit(at(5)), Ok(()));
    }

    #[test]
    fn a_clock_set_back_does_not_keep_it_open() {
        let mut circuit = opened();
        assert_eq!(circuit.admit(Timestamp::from_millis(1)), Ok(()));
    }

    /// S-8
    #[test]
    fn a_peer_that_would_not_speak_stays_one_while_nobody_asks_it() {
        let mut circuit = opened();
        circuit.was_silent(Silence::Protocol, at(0));
        assert_eq!(circuit.admit(at(1)), Err(Silence::Protocol));
    }
}
