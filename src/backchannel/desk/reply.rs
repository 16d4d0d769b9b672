//! What is answered, and the places that are kept until it is written (R12).

use std::future::Future;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::backchannel::server::KnownCaller;
use crate::backchannel::standing::TurnedAway;
use crate::backchannel::wire::Code;
use crate::backchannel::wire::Signature;

/// What is sent back.
pub(super) struct Reply {
    pub(super) body: Vec<u8>,
    pub(super) signature: Option<Signature>,
    /// Kept until the answer is written.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

impl Reply {
    pub(super) const fn unsigned(body: Vec<u8>) -> Self {
        Self {
            body,
            signature: None,
            place: None,
        }
    }
}

/// An answer that has been worked out, and the place that it keeps until it is written.
pub(super) struct Answered {
    pub(super) body: Vec<u8>,
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// Answers to the end, even if whoever asked gives up: what an answer promises must not stop half-way. The
/// place comes back with the answer; a large question keeps its own until it is answered.
pub(super) async fn run<T: Send + 'static>(
    known: &KnownCaller,
    large: Option<OwnedSemaphorePermit>,
    answer: impl Future<Output = T> + Send + 'static,
) -> Result<(T, Option<OwnedSemaphorePermit>), TurnedAway> {
    let place = Arc::clone(&known.places).try_acquire_owned();
    let place = place.map_err(|_| TurnedAway::new(Code::Busy, "it has too many questions"))?;
    let answering = tokio::spawn(async move {
        let answer = answer.await;
        drop(large);
        (answer, Some(place))
    });
    let failed = |error: tokio::task::JoinError| TurnedAway::new(Code::Failed, error.to_string());
    answering.await.map_err(failed)
}
