//! The side of the process that follows.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use tokio::sync::oneshot;

use crate::admin::ControlSocket;
use crate::admin::SharedControl;
use crate::app::assembly::Assembled;
use crate::app::assembly::Given;
use crate::app::engine::Engine;
use crate::app::lasting::Lasting;
use crate::app::sockets::Planned;
use crate::app::succession::letters::Channel;
use crate::app::succession::letters::FromPredecessor;
use crate::app::succession::letters::FromSuccessor;
use crate::app::succession::letters::Keeping;
use crate::app::succession::letters::OfferedPlace;
use crate::app::succession::letters::OfferedSocket;
use crate::app::succession::letters::PROTOCOL;
use crate::app::succession::letters::Piece;
use crate::app::succession::memory;
use crate::app::succession::predecessor::keeping_of;
use crate::config::Bind;
use crate::config::Config;
use crate::decision::succession::Heard;
use crate::decision::succession::Move;
use crate::decision::succession::Successor;
use crate::proxy::listening::Socket;

/// A process that is to follow another one.
#[derive(Debug)]
pub struct Heir {
    channel: Channel,
    at: Successor,
    /// What has come of what is known in memory only, and was not taken up yet.
    piece: Option<Piece>,
}

/// Keeps the edge from accepting before the predecessor takes nothing back any more.
pub(in crate::app) struct Blessing {
    able: mpsc::Sender<()>,
    go: oneshot::Receiver<()>,
}

/// The other end of it.
pub(in crate::app) struct Blessed {
    is_able: mpsc::Receiver<()>,
    go: oneshot::Sender<()>,
}

/// What is the predecessor's until it takes nothing back any more.
pub(in crate::app) struct Claims {
    lasting: Arc<Lasting>,
    control: Option<SharedControl>,
}

impl Claims {
    pub(in crate::app) fn of(assembled: &Assembled) -> anyhow::Result<Self> {
        let control = assembled.control.as_ref();
        let control = control.map(ControlSocket::share).transpose();
        Ok(Self {
            lasting: Arc::clone(&assembled.lasting),
            control: control.context("the control socket cannot be shared")?,
        })
    }
}

impl Blessing {
    pub(in crate::app) fn new() -> (Self, Blessed) {
        let (able, is_able) = mpsc::channel();
        let (go, may_go) = oneshot::channel();
        (Self { able, go: may_go }, Blessed { is_able, go })
    }

    /// Says that connections could be accepted, and waits until they may.
    pub(in crate::app) async fn wait(self) {
        // Nobody waits for it where the start was given up, which is heard of elsewhere.
        self.able.send(()).ok();
        self.go.await.ok();
    }
}

impl Blessed {
    /// Waits until connections could be accepted, and lets that begin when the predecessor has let go.
    pub(in crate::app) fn wait_for(self, heir: &mut Heir, claims: &Claims) {
        // The start may have failed.
        if self.is_able.recv().is_err() {
            return;
        }
        heir.wait_to_accept();
        claims.lasting.sockets.lock().claim();
        if let Some(control) = &claims.control {
            control.claim();
        }
        self.go.send(()).ok();
    }
}

impl Heir {
    /// The heir of the gateway at the other end of standard input.
    ///
    /// # Errors
    /// When nobody is there who could hand over.
    pub fn at_stdin() -> anyhow::Result<Self> {
        let stdin = std::io::stdin();
        let way = stdin.as_fd().try_clone_to_owned();
        let way = UnixStream::from(way.context("there is no standard input")?);
        if way.peer_addr().is_err() {
            bail!(
                "only a gateway that is running starts another with --take-over: use `portway upgrade`"
            );
        }
        let nothing = std::fs::File::open("/dev/null").context("/dev/null cannot be opened")?;
        rustix::stdio::dup2_stdin(nothing).context("standard input cannot be closed")?;
        Ok(Self {
            channel: Channel::new(way),
            at: Successor::default(),
            piece: None,
        })
    }

    /// Says that the configuration cannot be served, and why.
    pub fn refuse(mut self, text: &str) {
        let text = text.to_owned();
        // Whoever is gone goes on without.
        self.channel.send(&FromSuccessor::Refused { text }).ok();
    }

    /// Says that the process cannot go on, and why.
    pub(in crate::app) fn fail(&mut self, error: &anyhow::Error) {
        let why = format!("{error:#}");
        self.channel.send(&FromSuccessor::Failed { why }).ok();
    }

    /// Receives everything that is needed to open the store, and waits until it may be opened.
    pub(in crate::app) fn inherit(&mut self, config: &Config) -> anyhow::Result<Given> {
        let hello = FromSuccessor::Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.channel.send(&hello)?;
        let offer = match self.channel.receive(ANSWERED_WITHIN)? {
            FromPredecessor::Offer(offer) => offer,
            FromPredecessor::Unknown { protocol } => bail!(
                "the gateway that runs hands over by protocol {protocol}, and this one takes over by {PROTOCOL}"
            ),
            FromPredecessor::Go | FromPredecessor::Piece(_) | FromPredecessor::Yours => {
                bail!("the gateway that runs does not hand over as this one expects")
            }
        };
        let keeps = keeping_of(config);
        let listeners = self.sockets(offer.listeners)?;
        let ops = self.bound(offer.ops)?;
        let back_channel = self.bound(offer.back_channel)?;
        let passed = self.passed(offer.passed)?;
        let (socket, lock) = (
            self.channel.receive_descriptor()?,
            self.channel.receive_descriptor()?,
        );
        check_same(config, &offer.state_dir, (offer.keeping, keeps))?;
        let control = ControlSocket::inherited(&config.state_dir, socket, lock);
        self.channel.send(&FromSuccessor::Ready)?;
        self.next_piece()?;
        Ok(Given {
            sockets: listeners,
            ops: ops
                .filter(|(at, _)| config.ops == Some(*at))
                .map(|(_, ops)| ops),
            back_channel,
            passed,
            control,
        })
    }

    /// A listener of its own kind, and where it was configured to be.
    fn bound(&self, at: Option<SocketAddr>) -> anyhow::Result<Option<(SocketAddr, TcpListener)>> {
        let Some(at) = at else {
            return Ok(None);
        };
        let socket = self.channel.receive_descriptor()?;
        Ok(Some((at, TcpListener::from(socket))))
    }

    fn sockets(&self, offered: Vec<OfferedSocket>) -> anyhow::Result<Vec<Planned>> {
        let sockets = offered.into_iter().map(|OfferedSocket { name, place }| {
            let bind = match place {
                OfferedPlace::Tcp(address) => Bind::Tcp(address),
                OfferedPlace::Unix { path, mode } => Bind::Unix { path, mode },
            };
            let socket = Socket::inherited(&bind, self.channel.receive_descriptor()?)?;
            Planned::given(name, bind, socket)
        });
        sockets.collect()
    }

    fn passed(&self, offered: Vec<OfferedPlace>) -> anyhow::Result<Vec<Arc<Socket>>> {
        let sockets = offered.into_iter().map(|place| {
            let descriptor = self.channel.receive_descriptor()?;
            let socket = match place {
                OfferedPlace::Tcp(_) => Socket::Tcp(descriptor.into()),
                OfferedPlace::Unix { .. } => Socket::of_unix(descriptor.into())?,
            };
            Ok(Arc::new(socket))
        });
        sockets.collect()
    }

    /// Has an engine know what is known in memory only, piece by piece as it comes, until the sessions are its own.
    pub(in crate::app) fn take_up(&mut self, engine: &Engine) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.context("no runtime can be made")?;
        while let Some(piece) = self.piece.take() {
            if let Engine::Own(own) = engine {
                let taken = runtime.block_on(memory::take_up(own, piece));
                taken.context("the sessions of the gateway before cannot be taken up")?;
            }
            self.next_piece()?;
        }
        Ok(())
    }

    /// Receives the next piece; there is none any more when the sessions are its own.
    fn next_piece(&mut self) -> anyhow::Result<()> {
        let heard = match self.channel.receive(ANSWERED_WITHIN) {
            Ok(FromPredecessor::Piece(piece)) => {
                self.piece = Some(piece);
                Heard::Begun
            }
            Ok(FromPredecessor::Yours) => Heard::Yours,
            Ok(_) | Err(_) => Heard::Silence,
        };
        match self.at.hear(heard) {
            Some(Move::Open) | None => Ok(()),
            Some(Move::Accept | Move::GiveUp) => Err(anyhow!(
                "the gateway that runs did not hand its sessions over"
            )),
        }
    }

    /// Says that it could accept connections, and waits until it may: whoever owns the sessions goes on without a
    /// predecessor.
    pub(in crate::app) fn wait_to_accept(&mut self) {
        let process_id = std::process::id();
        let told = self.channel.send(&FromSuccessor::Able { process_id });
        let heard = match told.and_then(|()| self.channel.receive(GO_WITHIN)) {
            Ok(FromPredecessor::Go) => Heard::Go,
            Ok(_) | Err(_) => Heard::Silence,
        };
        if heard == Heard::Silence {
            tracing::warn!("the gateway before is gone; this one serves");
        }
        self.at.hear(heard);
    }
}

fn check_same(
    config: &Config,
    state_dir: &Path,
    (had, has): (Keeping, Keeping),
) -> anyhow::Result<()> {
    let same = std::fs::canonicalize(&config.state_dir).context("the state directory is not there");
    if same? != *state_dir {
        bail!("`state_dir` is another one, which needs a restart");
    }
    if had != has {
        bail!("sessions are kept elsewhere by `session.store` or `engine`, which needs a restart");
    }
    Ok(())
}

const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// The predecessor does nothing between the two but letting go of the control socket.
const GO_WITHIN: Duration = Duration::from_secs(20);
