//! The port that peers ask: what the back-channel server calls when a question arrives.

use async_trait::async_trait;

use crate::model::name::ClusterId;
use crate::model::peer::Answer;
use crate::model::peer::Question;

/// Answers peers. The caller has proven that the question comes from `from` (MDC-SEC-4).
#[async_trait]
pub trait PeerService: Send + Sync + 'static {
    /// Answers one question. What it promises is durable before the answer (S-6).
    async fn answer(&self, from: &ClusterId, question: Question) -> Answer;
}
