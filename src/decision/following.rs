//! Following the end logs of peers: what to ask, what to apply, how far the reading has come (S-15, S-16).
//!
//! [`Following`] is a machine without I/O or clock, one per peer. A reading counts only once its ends
//! have been applied, so the engine says when they are: an end that could not be written is asked for
//! again. Beside it stand the lease that the readings give ([`lease`]), the clock of a peer ([`skew`]),
//! what of an end is believed ([`plausible`]) and the batches in which ends are pushed ([`delivery`]).

use crate::model::end::End;
use crate::model::end::Incarnation;
use crate::model::end::Position;
use crate::model::end::Pulled;
use crate::model::peer::Answer;
use crate::model::peer::ENDS_MAX;
use crate::model::peer::Question;
use crate::model::peer::Rest;
use crate::model::peer::Silence;
use crate::model::time::Timestamp;

pub mod delivery;
pub mod lease;
pub mod plausible;
pub mod skew;

#[cfg(test)]
mod tests;

/// Follows the end log of one peer.
#[derive(Clone, Debug)]
pub struct Following {
    cursor: Cursor,
    /// How many questions were asked.
    asked: u64,
    /// The latest question whose answer completed a reading: its number, and when it was sent. Numbers, not
    /// times, tell which is the latest: the clock may have been set back in between.
    complete: Option<(u64, Timestamp)>,
    batches: usize,
}

/// A place in one life of a peer's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    incarnation: Incarnation,
    position: Position,
}

/// A question that was asked: from where, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    number: u64,
    from: Cursor,
    sent: Timestamp,
}

/// Entries that were read, in the order of the peer's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What has ended or moved: to be applied, durably, before [`Following::applied`] is called.
    pub ends: Vec<End>,
    /// How far they reach.
    pub read: Read,
}

/// How far a batch reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    asked: Asked,
    to: Cursor,
    rest: Rest,
}

/// Why nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No answer came.
    #[error("the peer did not answer")]
    Silent(#[source] Silence),
    /// The peer cannot or will not tell.
    #[error("the peer did not tell its ends")]
    Untold,
    /// The answer is no page of a log: out of order, from before the place asked for, or too long.
    #[error("the peer's answer is no page of an end log")]
    Malformed,
}

/// What follows when a batch has been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// There is more: ask again at once.
    AskAgain,
    /// The log is read to its end: to be noted, it renews the lease (S-16).
    Complete(Pulled),
    /// Ask again at the next interval: others have waited long enough, or the batch was one of before.
    Pause,
}

impl Following {
    /// Most batches read in a row.
    pub const BATCHES_MAX: usize = 1000;

    /// Begins where the last complete reading of this life of the own log ended; a log that has never
    /// read the peer's reads it from its beginning (S-15).
    #[must_use]
    pub fn resume(pulled: Option<Pulled>) -> Self {
        let cursor = pulled.map_or(Cursor::START, |pulled| Cursor {
            incarnation: pulled.incarnation,
            position: pulled.position,
        });
        Self {
            cursor,
            asked: 0,
            complete: pulled.map(|pulled| (0, pulled.sent)),
            batches: 0,
        }
    }

    /// The next question, sent `now`.
    #[must_use]
    pub const fn ask(&mut self, now: Timestamp) -> (Question, Asked) {
        self.asked = self.asked.saturating_add(1);
        let question = Question::PullEnds {
            incarnation: self.cursor.incarnation,
            after: self.cursor.position,
        };
        let asked = Asked {
            number: self.asked,
            from: self.cursor,
            sent: now,
        };
        (question, asked)
    }

    /// Reads an answer; nothing counts before it is applied.
    ///
    /// # Errors
    /// See [`ReadError`]; the same is asked again at the next interval.
    pub fn read(asked: Asked, answer: Result<Answer, Silence>) -> Result<Batch, ReadError> {
        match answer {
            Ok(Answer::Ends {
                incarnation,
                ends,
                rest,
            }) => {
                let start = asked.from.start_in(incarnation);
                let to = Cursor {
                    incarnation,
                    position: page_end(start, &ends, rest).ok_or(ReadError::Malformed)?,
                };
                Ok(Batch {
                    ends: ends.into_iter().map(|(_, end)| end).collect(),
                    read: Read { asked, to, rest },
                })
            }
            Ok(_) => Err(ReadError::Untold),
            Err(silence) => Err(ReadError::Silent(silence)),
        }
    }

    /// Moves on past a batch whose ends have all been applied. One that does not begin where the reading
    /// stands changes nothing: it was read before, or belongs to a life of the log that is over.
    pub fn applied(&mut self, read: Read) -> Then {
        if read.asked.from != self.cursor {
            return Then::Pause;
        }
        self.cursor = read.to;
        match read.rest {
            Rest::Complete => {
                self.batches = 0;
                Then::Complete(Pulled {
                    incarnation: self.cursor.incarnation,
                    position: self.cursor.position,
                    sent: self.completed_by(&read.asked),
                })
            }
            Rest::More => {
                self.batches = self.batches.saturating_add(1);
                if self.batches < Self::BATCHES_MAX {
                    return Then::AskAgain;
                }
                self.batches = 0;
                Then::Pause
            }
        }
    }

    /// When the latest question was sent that completed a reading, with this one among them.
    fn completed_by(&mut self, asked: &Asked) -> Timestamp {
        match self.complete {
            Some((number, sent)) if number > asked.number => sent,
            Some(_) | None => {
                self.complete = Some((asked.number, asked.sent));
                asked.sent
            }
        }
    }
}

impl Cursor {
    /// Before the first entry of a life that no log has.
    const START: Self = Self {
        incarnation: Incarnation([0; 16]),
        position: Position(0),
    };

    /// After which entry an answer begins that speaks of `incarnation`: another life is read from its
    /// beginning.
    fn start_in(self, incarnation: Incarnation) -> Position {
        if self.incarnation == incarnation {
            self.position
        } else {
            Position(0)
        }
    }
}

/// Where a page ends that begins after `start`; none if it is no page.
fn page_end(start: Position, ends: &[(Position, End)], rest: Rest) -> Option<Position> {
    let leads_nowhere = rest == Rest::More && ends.is_empty();
    if ends.len() > ENDS_MAX || leads_nowhere {
        return None;
    }
    ends.iter().try_fold(start, |last, (position, _)| {
        (*position > last).then_some(*position)
    })
}
