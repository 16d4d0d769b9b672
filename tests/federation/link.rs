//! The way from one data centre to another: a relay that can be cut, fall silent, and heal.
//!
//! It carries bytes and knows nothing of what they say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

use crate::support::gateway::Addresses;
use crate::support::gateway::Gateway;

/// A relay to the back-channel of a gateway; it ends when dropped.
pub(crate) struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    to: Mutex<Option<Addresses>>,
    state: watch::Sender<State>,
    answers: AtomicUsize,
}

/// What a link does with what is sent over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Connections are closed, and new ones at once.
    Cut,
    /// Bytes go both ways.
    Open,
    /// Connections are accepted and stay, and nothing comes of them.
    Silent,
}

impl Link {
    /// A link that leads nowhere yet.
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to: Mutex::new(None),
            state: watch::Sender::new(State::Open),
            answers: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Where it is entered.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads it to a gateway, also when that is started again on other ports, and opens it.
    pub(crate) fn lead_to(&self, gateway: &Gateway) {
        *self.shared.to.lock().unwrap() = Some(gateway.addresses());
        self.heal();
    }

    /// Closes what is open, and refuses what comes.
    pub(crate) fn cut(&self) {
        self.shared.state.send_replace(State::Cut);
    }

    /// Accepts and carries nothing, as a host that has hung up.
    pub(crate) fn silence(&self) {
        self.shared.state.send_replace(State::Silent);
    }

    /// Carries everything again, what was held back included.
    pub(crate) fn heal(&self) {
        self.shared.state.send_replace(State::Open);
    }

    /// How many pieces have come back over it.
    pub(crate) fn answers(&self) -> usize {
        self.shared.answers.load(Ordering::SeqCst)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut relays = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        relays.spawn(relay(stream, Arc::clone(&shared)));
    }
}

async fn relay(from: TcpStream, shared: Arc<Shared>) {
    let mut state = shared.state.subscribe();
    state.wait_for(|now| *now != State::Silent).await.ok();
    if *state.borrow() == State::Cut {
        return;
    }
    let to = shared.to.lock().unwrap().clone();
    let to = to.and_then(|to| to.lock().unwrap().get("back-channel").copied());
    let Some(to) = to else { return };
    let Ok(to) = TcpStream::connect(to).await else {
        return;
    };
    from.set_nodelay(true).ok();
    to.set_nodelay(true).ok();
    let ((up_from, down_to), (down_from, up_to)) = (from.into_split(), to.into_split());
    let forth = pump(up_from, up_to, shared.state.subscribe(), None);
    let back = pump(
        down_from,
        down_to,
        shared.state.subscribe(),
        Some(&shared.answers),
    );
    // Neither way outlives the other.
    tokio::select! {
        () = forth => {}
        () = back => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    pieces: Option<&AtomicUsize>,
) {
    let mut buffer = vec![0; PIECE_MAX];
    loop {
        let cut = async {
            state.wait_for(|now| *now == State::Cut).await.ok();
        };
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            () = cut => return,
        };
        let Ok(read @ 1..) = read else { return };
        state.wait_for(|now| *now != State::Silent).await.ok();
        if *state.borrow() == State::Cut || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        if let Some(pieces) = pieces {
            pieces.fetch_add(1, Ordering::SeqCst);
        }
    }
}

const PIECE_MAX: usize = 16 * 1024;
