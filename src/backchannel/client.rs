//! The asking end: the port [`PeerChannel`] over one line for each peer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::watch;

use crate::backchannel::line::Line;
use crate::backchannel::wire;
use crate::model::name::ClusterId;
use crate::model::peer::Answer;
use crate::model::peer::Question;
use crate::model::peer::Silence;
use crate::ports::peer_channel::PeerChannel;

/// Asks the engines of other data centres.
#[derive(Debug)]
pub struct Client {
    peers: Vec<ClusterId>,
    /// In the order of `peers`.
    lines: Vec<Line>,
}

impl Client {
    pub(super) fn new(lines: Vec<(ClusterId, Line)>) -> Self {
        let (peers, lines) = lines.into_iter().unzip();
        Self { peers, lines }
    }

    /// Keeps the connections to all peers until the shutdown begins. Nothing is connected without it.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let keeping = join_all(self.lines.iter().map(Line::run));
        // Where there are gates only, there is nobody to be connected to.
        let keeping = keeping.then(|_| std::future::pending::<()>());
        tokio::select! {
            () = keeping => {}
            // Without anybody to say so there is no shutdown; an error means that the end is near.
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
    }

    /// The line to a peer.
    pub(super) fn line(&self, peer: &ClusterId) -> Option<&Line> {
        let place = self.peers.iter().position(|known| known == peer)?;
        self.lines.get(place)
    }
}

#[async_trait]
impl PeerChannel for Client {
    fn peers(&self) -> &[ClusterId] {
        &self.peers
    }

    async fn ask(
        &self,
        peer: &ClusterId,
        question: Question,
        limit: Duration,
    ) -> Result<Answer, Silence> {
        let line = self.line(peer).ok_or(Silence::Unreachable)?;
        let answer = line.ask(wire::ASK_PATH, &question, limit).await?;
        // Whoever answers for a data centre must not greet as another one.
        if matches!(&answer, Answer::Hello(greeting) if greeting.cluster != *peer) {
            return Err(Silence::Protocol);
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_has_no_peers_goes_on_until_the_shutdown_all_the_same() {
        let client = Arc::new(Client::new(Vec::new()));
        let (stop, shutdown) = watch::channel(false);
        let running = Arc::clone(&client).run(shutdown.clone());
        assert!(running.now_or_never().is_none());
        stop.send_replace(true);
        client.run(shutdown).await;
    }
}
