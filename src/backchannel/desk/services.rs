//! Who answers what the desk has checked: the port for peers, and the verbs for gates.
//!
//! What they answer is theirs.

use std::sync::Arc;

use async_trait::async_trait;

use crate::backchannel::wire::Letterhead;
use crate::backchannel::wire::WireError;
use crate::model::name::ClusterId;
use crate::ports::peer_service::PeerService;

/// Who answers.
#[derive(Clone)]
pub struct Services {
    pub(super) peers: Arc<dyn PeerService>,
    pub(super) gates: Option<Arc<dyn GateVerbs>>,
}

impl Services {
    /// Peers are answered by this service, gates by nobody.
    #[must_use]
    pub fn new(peers: Arc<dyn PeerService>) -> Self {
        Self { peers, gates: None }
    }

    /// Gates without an engine are answered too.
    #[must_use]
    pub(in crate::backchannel) fn with_gates(self, gates: Arc<dyn GateVerbs>) -> Self {
        Self {
            gates: Some(gates),
            ..self
        }
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services")
            .field("answers_gates", &self.gates.is_some())
            .finish_non_exhaustive()
    }
}

/// Answers gates without an engine: whole messages in and out, so that their verbs stay with them.
#[async_trait]
pub(in crate::backchannel) trait GateVerbs: Send + Sync + 'static {
    /// Answers the message of a gate that has proven its name; `head` is what the answer begins with.
    async fn answer(
        &self,
        gate: &ClusterId,
        message: &[u8],
        head: &Letterhead,
    ) -> Result<Vec<u8>, WireError>;
}
