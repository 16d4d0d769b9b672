//! Answers on their way: each keeps the place of its question until it is written, and none may be on its
//! way for ever (R12).
//!
//! Otherwise a caller that asks and does not read would have this node hold answers without a bound.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::body::Frame;
use hyper::body::SizeHint;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::OwnedSemaphorePermit;

/// The answers of one connection that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Answers {
    state: Mutex<State>,
    begun: Notify,
    last_word: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// By number, so the oldest first.
    under_way: BTreeSet<u64>,
}

/// What comes after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: the caller is turned away, whatever it asks.
    Farewell,
    /// Other questions.
    Question,
}

impl Answers {
    /// Sends an answer on its way; `place` is given back when it is written, or nobody waits for it.
    pub(super) fn send(
        self: &Arc<Self>,
        content: Vec<u8>,
        place: Option<OwnedSemaphorePermit>,
        next: Next,
    ) -> AnswerBody {
        let mut state = self.state.lock();
        let number = state.next;
        state.next = number.wrapping_add(1);
        state.under_way.insert(number);
        self.begun.notify_one();
        AnswerBody {
            left: Bytes::from(content),
            _place: place,
            _under_way: UnderWay {
                answers: Arc::clone(self),
                number,
                next,
            },
        }
    }

    /// Waits until an answer has been on its way for longer than that, at most twice as long.
    pub(super) async fn overdue(&self, limit: Duration) {
        loop {
            let Some(oldest) = self.state.lock().under_way.first().copied() else {
                self.begun.notified().await;
                continue;
            };
            tokio::time::sleep(limit).await;
            if self.state.lock().under_way.contains(&oldest) {
                return;
            }
        }
    }

    /// Waits until a caller that is turned away has been told so.
    pub(super) async fn farewell(&self) {
        self.last_word.notified().await;
    }
}

/// The body of an answer.
///
/// It is handed over in two parts, the second of a single byte: HTTP/2 asks for that one only when the
/// first is sent, but for what fits into the buffer of a stream. Until then this body stands, and with it
/// the place.
#[derive(Debug)]
pub(super) struct AnswerBody {
    left: Bytes,
    _place: Option<OwnedSemaphorePermit>,
    _under_way: UnderWay,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let left = &mut self.get_mut().left;
        let part = match left.len() {
            0 => return Poll::Ready(None),
            length if length > STREAM_BUFFER => left.split_to(length - 1),
            length => left.split_to(length),
        };
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

#[derive(Debug)]
struct UnderWay {
    answers: Arc<Answers>,
    number: u64,
    next: Next,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.answers.state.lock().under_way.remove(&self.number);
        if self.next == Next::Farewell {
            self.answers.last_word.notify_one();
        }
    }
}

/// Bytes of an answer that HTTP/2 may hold when it is taken for written.
pub(super) const STREAM_BUFFER: usize = 1 << 10;
