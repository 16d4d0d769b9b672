//! The sample applications: small HTTP servers that the gateway stands in front of.
//!
//! Each kind runs three times, so that there is something to fail over to. What they answer is in
//! `answer` and `pages`; they believe every header, as an application behind the gateway does.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;

use crate::demo::apps::answer::Asked;
use crate::demo::ports::KeptPort;
use crate::demo::site::Site;

mod answer;
mod pages;

/// What an application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stops and starts the others.
    Admin,
    /// Tells the time over a WebSocket.
    Clock,
    /// Shows what it was asked.
    Echo,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Clock => "clock",
            Self::Echo => "echo",
        }
    }
}

/// The part of a pool that an application stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    Primary,
    Secondary,
}

impl Tier {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

/// All sample applications.
#[derive(Debug)]
pub(super) struct Apps {
    pub(super) site: Site,
    instances: Vec<Instance>,
}

/// One running, or stopped, application.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) tier: Tier,
    port: KeptPort,
    server: Mutex<Option<AbortHandle>>,
}

impl Apps {
    /// Keeps a port for each application; none is started. They are numbered from `first` on, so that
    /// those of two data centres can be told apart.
    pub(super) fn bind(site: Site, first: u32) -> io::Result<Self> {
        let mut instances = Vec::new();
        for kind in [Kind::Admin, Kind::Clock, Kind::Echo] {
            for (number, tier) in (first..).zip([Tier::Primary, Tier::Primary, Tier::Secondary]) {
                let port = KeptPort::keep(0)?;
                instances.push(Instance {
                    name: format!("{}-{number}", kind.name()),
                    kind,
                    tier,
                    port,
                    server: Mutex::new(None),
                });
            }
        }
        Ok(Self { site, instances })
    }

    pub(super) fn instances(&self) -> &[Instance] {
        &self.instances
    }

    pub(super) fn addresses(&self, kind: Kind, tier: Tier) -> Vec<String> {
        let chosen = self
            .instances
            .iter()
            .filter(|one| one.kind == kind && one.tier == tier);
        chosen.map(|one| one.port.address.to_string()).collect()
    }

    /// Starts every application; must be called within a runtime.
    pub(super) fn start_all(self: &Arc<Self>) -> anyhow::Result<()> {
        (0..self.instances.len()).try_for_each(|index| self.start_at(index))
    }

    /// Starts an application that is stopped; must be called within a runtime.
    pub(super) fn start(self: &Arc<Self>, name: &str) -> anyhow::Result<()> {
        let index = self.instances.iter().position(|one| one.name == name);
        self.start_at(index.context("there is no such application")?)
    }

    /// Stops an application as a crash would: nobody listens, and open connections break.
    pub(super) fn stop(&self, name: &str) {
        for instance in self.instances.iter().filter(|one| one.name == name) {
            if let Some(server) = instance.server.lock().take() {
                server.abort();
            }
        }
    }

    fn start_at(self: &Arc<Self>, index: usize) -> anyhow::Result<()> {
        let Some(instance) = self.instances.get(index) else {
            return Ok(());
        };
        if instance.is_running() {
            return Ok(());
        }
        let listener = instance
            .listen()
            .with_context(|| format!("{} could not listen", instance.name))?;
        let server = tokio::spawn(serve(listener, Arc::clone(self), index));
        *instance.server.lock() = Some(server.abort_handle());
        Ok(())
    }
}

impl Instance {
    pub(super) fn is_running(&self) -> bool {
        self.server
            .lock()
            .as_ref()
            .is_some_and(|server| !server.is_finished())
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let listener = std::net::TcpListener::bind(self.port.address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }
}

/// Accepts connections until aborted, which also ends those that are open.
async fn serve(listener: TcpListener, apps: Arc<Apps>, index: usize) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, peer)) = accepted else { return };
                connections.spawn(converse(stream, peer, Arc::clone(&apps), index));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers the requests of one connection; what becomes a WebSocket ticks in the same task.
async fn converse(stream: TcpStream, peer: SocketAddr, apps: Arc<Apps>, index: usize) {
    let upgrade = Arc::new(Mutex::new(None));
    let service = service_fn(|request| {
        let (apps, upgrade) = (Arc::clone(&apps), Arc::clone(&upgrade));
        async move {
            let asked = Asked {
                apps: &apps,
                index,
                peer,
                upgrade: &upgrade,
            };
            Ok::<_, Infallible>(asked.answer(request).await)
        }
    });
    // A connection that breaks is the gateway's to notice.
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let broken = connection.with_upgrades().await.is_err();
    let upgrade = upgrade.lock().take();
    if let (Some(upgrade), false) = (upgrade, broken)
        && let Ok(upgraded) = upgrade.await
    {
        answer::tick(TokioIo::new(upgraded)).await;
    }
}

#[cfg(test)]
mod tests;
