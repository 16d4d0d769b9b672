//! Starts the process that is to follow, with the same arguments and in the same environment, and gives it the
//! sockets.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::app::succession::attempt::Attempt;
use crate::app::succession::attempt::LOOK_AGAIN;
use crate::app::succession::attempt::TOLD_TO_STOP;
use crate::app::succession::attempt::failed;
use crate::app::succession::attempt::unexpected;
use crate::app::succession::letters::Channel;
use crate::app::succession::letters::FromPredecessor;
use crate::app::succession::letters::FromSuccessor;
use crate::app::succession::letters::Offer;
use crate::app::succession::letters::OfferedPlace;
use crate::app::succession::letters::OfferedSocket;
use crate::app::succession::letters::PROTOCOL;
use crate::app::succession::letters::Silence;
use crate::app::succession::predecessor::keeping_of;
use crate::config::Bind;
use crate::logbook::causes::with_causes;
use crate::ports::control::UpgradeReport;
use crate::proxy::listening::Socket;

impl Attempt<'_> {
    /// Starts the successor, waits until it has read its configuration, and gives it the sockets. Nothing that it
    /// would not know of is changed from here on.
    pub(super) fn start(&mut self) -> Result<(), UpgradeReport> {
        let changing = Arc::clone(&self.parts.lasting.changing);
        let unchanged = self.wait(async { timeout(REST_WITHIN, changing.lock_owned()).await });
        let unchanged = unchanged.ok_or_else(|| failed(TOLD_TO_STOP.to_owned()))?;
        let late = |_| failed("a reload takes too long; try again later".to_owned());
        self.unchanged = Some(unchanged.map_err(late)?);
        let child = self.spawn().map_err(|error| {
            let binary = self.binary.display();
            failed(format!("{binary} cannot be started: {error}"))
        })?;
        self.stop.started(&child.0);
        self.successor = Some(child);
        let FromSuccessor::Hello { protocol, version } = self.hear(READ_WITHIN)? else {
            return Err(unexpected());
        };
        if protocol != PROTOCOL {
            self.send(&FromPredecessor::Unknown { protocol: PROTOCOL })?;
            return Err(failed(format!(
                "version {version} takes over by protocol {protocol}, and this one hands over by {PROTOCOL}; restart \
                 the gateway"
            )));
        }
        self.version = version;
        tracing::info!(
            version = self.version,
            "a successor has read its configuration"
        );
        self.offer()
            .map_err(|silence| failed(with_causes(&silence)))?;
        let FromSuccessor::Ready = self.hear(READ_WITHIN)? else {
            return Err(unexpected());
        };
        Ok(())
    }

    fn spawn(&self) -> io::Result<(Child, Channel)> {
        let (here, there) = UnixStream::pair()?;
        let invocation = self.parts.invocation.as_ref();
        let arguments = invocation.map_or(&[][..], |invocation| &invocation.arguments);
        let arguments = arguments.iter().filter(|argument| *argument != TAKE_OVER);
        let arguments: Vec<&OsString> = arguments.collect();
        let child = Command::new(&self.binary)
            // The watchdog waits for whoever is the main process then.
            .env_remove("WATCHDOG_PID")
            .args(arguments)
            .arg(TAKE_OVER)
            .stdin(Stdio::from(OwnedFd::from(there)))
            .spawn()?;
        Ok((child, Channel::new(here)))
    }

    fn offer(&mut self) -> Result<(), Silence> {
        let (sockets, passed) = {
            let sockets = self.parts.lasting.sockets.lock();
            (sockets.shared(), sockets.passed().to_vec())
        };
        let own = || sockets.iter().filter(|socket| !socket.is_passed);
        let listeners = own().map(|socket| OfferedSocket {
            name: socket.name.clone(),
            place: match &socket.bind {
                Bind::Tcp(address) => OfferedPlace::Tcp(*address),
                Bind::Unix { path, mode } => OfferedPlace::Unix {
                    path: path.clone(),
                    mode: *mode,
                },
            },
        });
        let state_dir = &self.parts.config.state_dir;
        let offer = Offer {
            state_dir: std::fs::canonicalize(state_dir).map_err(Silence::Broken)?,
            keeping: keeping_of(&self.parts.config),
            listeners: listeners.collect(),
            ops: self.parts.ops.as_ref().map(|(at, _)| *at),
            back_channel: self.parts.back_channel.as_ref().map(|(at, _)| *at),
            passed: passed
                .iter()
                .map(|socket| place_of(socket))
                .collect::<io::Result<_>>()
                .map_err(Silence::Broken)?,
        };
        let Some((_, channel)) = &mut self.successor else {
            return Err(Silence::Gone);
        };
        channel.send(&FromPredecessor::Offer(offer))?;
        for socket in own() {
            let descriptor = socket.socket.share().map_err(Silence::Broken)?;
            channel.send_descriptor(descriptor.as_fd())?;
        }
        for (_, socket) in [&self.parts.ops, &self.parts.back_channel]
            .into_iter()
            .flatten()
        {
            channel.send_descriptor(socket.as_fd())?;
        }
        for socket in passed {
            let descriptor = socket.share().map_err(Silence::Broken)?;
            channel.send_descriptor(descriptor.as_fd())?;
        }
        for descriptor in self.parts.control.descriptors() {
            channel.send_descriptor(descriptor)?;
        }
        Ok(())
    }
}

fn place_of(socket: &Socket) -> io::Result<OfferedPlace> {
    match socket {
        Socket::Tcp(socket) => socket.local_addr().map(OfferedPlace::Tcp),
        Socket::Unix(socket) => Ok(OfferedPlace::Unix {
            path: socket.path().to_owned(),
            mode: MANAGED,
        }),
    }
}

/// How a successor has ended, in words.
pub(super) fn ended(child: &mut Child, core: &Handle) -> String {
    // Its end of the way closes a moment before it is gone.
    for _ in 0..LOOKS_AT_END {
        match child.try_wait() {
            Ok(Some(status)) => {
                return match (status.code(), status.signal()) {
                    (Some(code), _) => format!("the successor ended with exit code {code}"),
                    (None, Some(signal)) => format!("the successor was ended by signal {signal}"),
                    (None, None) => "the successor ended".to_owned(),
                };
            }
            Ok(None) => core.block_on(async { tokio::time::sleep(LOOK_AGAIN).await }),
            Err(_) => break,
        }
    }
    "the successor broke off".to_owned()
}

/// The argument that a successor is started with besides those of its predecessor.
const TAKE_OVER: &str = "--take-over";
/// How long a reload or a drain that is under way may take.
const REST_WITHIN: Duration = Duration::from_secs(30);
/// How long a successor may take to read its configuration, and to look at the sockets.
const READ_WITHIN: Duration = Duration::from_secs(30);
const LOOKS_AT_END: u32 = 100;
/// The permissions of such a socket are not the gateway's matter.
const MANAGED: u32 = 0;
