//! The port to peers: asks the engines of other data centres.

use std::time::Duration;

use async_trait::async_trait;

use crate::model::name::ClusterId;
use crate::model::peer::Answer;
use crate::model::peer::Question;
use crate::model::peer::Silence;

/// Asks peers. A channel that lets a stranger answer as a peer gives sessions away.
#[async_trait]
pub trait PeerChannel: Send + Sync + 'static {
    /// The peers that are configured.
    fn peers(&self) -> &[ClusterId];

    /// Asks a peer once, waiting at most `limit` for the answer.
    ///
    /// # Errors
    /// [`Silence`] when no answer came.
    async fn ask(
        &self,
        peer: &ClusterId,
        question: Question,
        limit: Duration,
    ) -> Result<Answer, Silence>;
}

/// The channel of a data centre that has no peers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

#[async_trait]
impl PeerChannel for NoPeers {
    fn peers(&self) -> &[ClusterId] {
        &[]
    }

    async fn ask(&self, _: &ClusterId, _: Question, _: Duration) -> Result<Answer, Silence> {
        Err(Silence::Unreachable)
    }
}
