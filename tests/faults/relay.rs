//! The network between the data centres: relays for the back-channels whose ways can be cut in one
//! direction, held up or reset.
//!
//! What a way does is told by the storm; when, by the plan.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::history::NodeId;

/// Every way between the data centres.
#[derive(Clone)]
pub(crate) struct Network {
    ways: Arc<watch::Sender<Ways>>,
}

/// What becomes of what is sent one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It arrives late: when the way is open again.
    Held,
    /// It is lost; a connection that has lost something breaks when the way is open again.
    Lost,
    Open,
}

#[derive(Clone, Debug)]
struct Ways {
    /// By sender, then by receiver.
    state: Vec<Vec<Way>>,
    /// How often the connections between two were reset, by the lower number, then by the higher.
    resets: Vec<Vec<u64>>,
}

/// Where a gateway can be reached just now.
pub(crate) type Target = Arc<dyn Fn() -> Option<SocketAddr> + Send + Sync>;

impl Network {
    pub(crate) fn open(nodes: usize) -> Self {
        let (ways, _) = watch::channel(Ways {
            state: vec![vec![Way::Open; nodes]; nodes],
            resets: vec![vec![0; nodes]; nodes],
        });
        Self {
            ways: Arc::new(ways),
        }
    }

    /// From now on this becomes of what `from` sends to `to`.
    pub(crate) fn set(&self, from: NodeId, to: NodeId, way: Way) {
        self.ways.send_modify(|ways| ways.state[from.0][to.0] = way);
    }

    /// Resets every connection between the two.
    pub(crate) fn reset(&self, one: NodeId, other: NodeId) {
        let (low, high) = (one.min(other), one.max(other));
        self.ways
            .send_modify(|ways| ways.resets[low.0][high.0] += 1);
    }

    /// Listens for `from` in the place of `to`; answers where.
    pub(crate) async fn relay(&self, from: NodeId, to: NodeId, target: Target) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ways = self.ways.subscribe();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (ways, target) = (ways.clone(), Arc::clone(&target));
                tokio::spawn(serve(near, (from, to), target, ways));
            }
        });
        address
    }
}

impl Ways {
    fn of(&self, from: NodeId, to: NodeId) -> Way {
        self.state[from.0][to.0]
    }

    fn resets(&self, one: NodeId, other: NodeId) -> u64 {
        let (low, high) = (one.min(other), one.max(other));
        self.resets[low.0][high.0]
    }
}

/// Carries bytes both ways until either end closes or the connection breaks.
async fn serve(
    mut near: TcpStream,
    (from, to): (NodeId, NodeId),
    target: Target,
    mut ways: watch::Receiver<Ways>,
) {
    let resets = ways.borrow().resets(from, to);
    // Nothing of a new connection arrives before both directions are open.
    let both_open = |ways: &Ways| ways.of(from, to) == Way::Open && ways.of(to, from) == Way::Open;
    if ways.wait_for(both_open).await.is_err() {
        return;
    }
    let Some(address) = target() else {
        return abort(&near);
    };
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
    let Ok(Ok(mut far)) = connecting.await else {
        return abort(&near);
    };
    near.set_nodelay(true).ok();
    far.set_nodelay(true).ok();
    {
        let (near_in, near_out) = near.split();
        let (far_in, far_out) = far.split();
        let there = carry(near_in, far_out, ways.clone(), (from, to), resets);
        let back = carry(far_in, near_out, ways, (to, from), resets);
        tokio::select! {
            _ = there => {}
            _ = back => {}
        }
    }
    abort(&near);
    abort(&far);
}

/// Carries bytes one way. It ends when the connection does, is reset, or has lost something and would be
/// whole again.
async fn carry(
    mut input: tokio::net::tcp::ReadHalf<'_>,
    mut output: tokio::net::tcp::WriteHalf<'_>,
    mut ways: watch::Receiver<Ways>,
    (from, to): (NodeId, NodeId),
    resets: u64,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut has_lost = false;
    loop {
        let (way, resets_now) = {
            let ways = ways.borrow_and_update();
            (ways.of(from, to), ways.resets(from, to))
        };
        if resets_now != resets || (has_lost && way == Way::Open) {
            return Ok(());
        }
        if way == Way::Held {
            ways.changed().await.map_err(io::Error::other)?;
            continue;
        }
        let read = tokio::select! {
            biased;
            changed = ways.changed() => {
                changed.map_err(io::Error::other)?;
                continue;
            }
            read = input.read(&mut buffer) => read?,
        };
        match way {
            _ if read == 0 => return Ok(()),
            Way::Lost => has_lost = true,
            Way::Held | Way::Open => output.write_all(&buffer[..read]).await?,
        }
    }
}

/// Has the connection end with a reset when it is dropped.
fn abort(stream: &TcpStream) {
    stream.set_zero_linger().ok();
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
