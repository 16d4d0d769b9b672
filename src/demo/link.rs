//! The network between the data centres of the demonstration: relays that can be cut.
//!
//! A cut is what a broken network is: connections stay open and nothing arrives.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Every way between the data centres.
#[derive(Clone, Debug)]
pub(super) struct Network {
    state: Arc<watch::Sender<State>>,
}

/// Whether anything arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Cut,
    Whole,
}

impl Network {
    pub(super) fn whole() -> Self {
        let (state, _) = watch::channel(State::Whole);
        Self {
            state: Arc::new(state),
        }
    }

    /// From now on nothing arrives.
    pub(super) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Everything arrives again. Connections that were open break: what was sent into the cut is lost.
    pub(super) fn heal(&self) {
        self.state.send_replace(State::Whole);
    }

    /// Opens a way to `to`; answers where it begins. Must be called within a runtime.
    pub(super) fn way(&self, to: SocketAddr) -> io::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let from = listener.local_addr()?;
        let state = self.state.subscribe();
        tokio::spawn(async move {
            // A listener that fails ends the demonstration's network; the gateways say so.
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(relay(near, to, state.clone()));
            }
        });
        Ok(from)
    }
}

/// Carries bytes both ways until either end closes, or the network has been cut and is whole again.
async fn relay(mut near: TcpStream, to: SocketAddr, mut state: watch::Receiver<State>) {
    if state
        .wait_for(|state| *state == State::Whole)
        .await
        .is_err()
    {
        return;
    }
    let Ok(Ok(mut far)) = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(to)).await
    else {
        return;
    };
    let (mut there, mut back) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        tokio::select! {
            biased;
            is_cut = until(&mut state, State::Cut) => {
                if !is_cut {
                    return;
                }
                // Nothing is read or written until the network is whole, and then it is too late.
                until(&mut state, State::Whole).await;
                return;
            }
            read = near.read(&mut there) => {
                if !carry(read, &there, &mut far).await {
                    return;
                }
            }
            read = far.read(&mut back) => {
                if !carry(read, &back, &mut near).await {
                    return;
                }
            }
        }
    }
}

/// Waits for a state of the network; `false` when the demonstration is over.
async fn until(state: &mut watch::Receiver<State>, wanted: State) -> bool {
    state.wait_for(|state| *state == wanted).await.is_ok()
}

/// Writes what was read; `false` when the connection is over.
async fn carry(read: io::Result<usize>, bytes: &[u8], to: &mut TcpStream) -> bool {
    match read.ok().and_then(|count| bytes.get(..count)) {
        None | Some([]) => false,
        Some(bytes) => to.write_all(bytes).await.is_ok(),
    }
}

const CHUNK: usize = 16 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
