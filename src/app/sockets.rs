//! The sockets of the listeners: bound at the start, and opened, kept and closed as a reload asks.
//!
//! What can fail is done by `plan`, before anything changes. Whoever connects meanwhile waits in the queue of a
//! socket, or is served by the configuration before.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::app::activation::without_listener;
use crate::config::Bind;
use crate::config::Listener;
use crate::model::name::ListenerName;
use crate::proxy::listening::Bound;
use crate::proxy::listening::Entrance;
use crate::proxy::listening::Socket;

/// The sockets that are listened at, in the order of the listeners.
#[derive(Debug)]
pub(super) struct Sockets {
    held: Vec<Held>,
    /// Those that the process was given, and that no listener has asked for yet.
    given: Vec<Planned>,
    /// Those that a service manager listens at besides, for as long as the process and those that follow it.
    passed: Vec<Arc<Socket>>,
    /// To whoever accepts.
    opened: mpsc::UnboundedSender<Bound>,
}

/// A listener that accepts.
#[derive(Debug)]
struct Held {
    name: ListenerName,
    /// As configured.
    bind: Bind,
    /// As it is.
    place: Bind,
    /// Whoever accepts holds it: a socket that stayed open would take connections that nobody serves.
    socket: Weak<Socket>,
    /// Whether a service manager listens there besides.
    is_passed: bool,
    /// Says that it is to accept no more. Nobody hears it any more once it does not.
    closing: watch::Sender<bool>,
}

/// A listener that is to accept.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) name: ListenerName,
    /// As configured.
    pub(super) bind: Bind,
    /// As it is.
    place: Bind,
    pub(super) socket: Arc<Socket>,
    /// Whether a service manager listens there besides.
    pub(super) is_passed: bool,
}

impl Planned {
    /// A socket that the process was given, as it was configured before.
    pub(super) fn given(name: ListenerName, bind: Bind, socket: Socket) -> anyhow::Result<Self> {
        let place = socket.place(&bind);
        Ok(Self {
            place: place.with_context(|| format!("the socket of {name} cannot be used"))?,
            name,
            bind,
            socket: Arc::new(socket),
            is_passed: false,
        })
    }

    /// Its port, where it has one.
    pub(super) const fn port(&self) -> Option<u16> {
        match &self.place {
            Bind::Tcp(address) => Some(address.port()),
            Bind::Unix { .. } => None,
        }
    }

    fn bind(listener: &Listener) -> anyhow::Result<Self> {
        let cannot = || {
            let (name, bind) = (&listener.name, &listener.bind);
            format!("the listener {name} cannot listen on {bind}")
        };
        let socket = Socket::bind(&listener.bind).with_context(cannot)?;
        Ok(Self {
            name: listener.name.clone(),
            bind: listener.bind.clone(),
            place: socket.place(&listener.bind).with_context(cannot)?,
            socket: Arc::new(socket),
            is_passed: false,
        })
    }
}

impl Held {
    /// The same socket, as a listener asks for it; none where nobody accepts there any more.
    fn again(&self, listener: &Listener) -> Option<Planned> {
        let place = match &self.place {
            Bind::Tcp(_) => self.place.clone(),
            Bind::Unix { .. } => listener.bind.clone(),
        };
        Some(Planned {
            name: listener.name.clone(),
            bind: listener.bind.clone(),
            place,
            socket: self.socket.upgrade()?,
            is_passed: self.is_passed,
        })
    }

    fn is_as(&self, planned: &Planned) -> bool {
        let is_there = std::ptr::eq(self.socket.as_ptr(), Arc::as_ptr(&planned.socket));
        self.name == planned.name && is_there
    }

    fn is_listener(&self, listener: &Listener) -> bool {
        self.name == listener.name && self.bind.is_at(&listener.bind)
    }
}

impl Sockets {
    /// No sockets yet but those that the process was given, by name and place. Where they are told that accept comes
    /// with it.
    pub(super) fn new(given: Vec<Planned>) -> (Self, mpsc::UnboundedReceiver<Bound>) {
        let (opened, accepting) = mpsc::unbounded_channel();
        let none = Self {
            held: Vec::new(),
            given,
            passed: Vec::new(),
            opened,
        };
        (none, accepting)
    }

    /// The sockets for these listeners: those that there are, under another name if need be, and new ones.
    ///
    /// # Errors
    /// When one cannot be bound; nothing has changed then.
    pub(super) fn plan(&self, listeners: &[Listener]) -> anyhow::Result<Vec<Planned>> {
        let planned = listeners.iter().map(|listener| {
            let mut held = self.held.iter();
            let same = held.clone().find(|held| held.is_listener(listener));
            let same = same.or_else(|| {
                let is_there = |held: &&Held| held.bind.is_at(&listener.bind);
                held.find(|held| is_there(held) && !listener.bind.is_any())
            });
            let same = same.and_then(|same| same.again(listener));
            let same = same.or_else(|| self.given_for(listener));
            match same.or_else(|| self.passed_for(listener)) {
                Some(same) => Ok(same),
                None => Planned::bind(listener),
            }
        });
        planned.collect()
    }

    /// Takes sockets that a service manager has passed, and says where no listener is: nobody accepts there.
    pub(super) fn use_passed(&mut self, passed: Vec<Arc<Socket>>, listeners: &[Listener]) {
        self.passed = passed;
        for unused in self.unused(listeners) {
            tracing::warn!("{unused}");
        }
    }

    fn passed_for(&self, listener: &Listener) -> Option<Planned> {
        let mut passed = self.passed.iter();
        let socket = passed.find(|socket| socket.is_at(&listener.bind))?;
        Some(Planned {
            name: listener.name.clone(),
            bind: listener.bind.clone(),
            place: listener.bind.clone(),
            socket: Arc::clone(socket),
            is_passed: true,
        })
    }

    /// The sockets of a service manager where none of these listeners is, in words.
    pub(super) fn unused(&self, listeners: &[Listener]) -> Vec<String> {
        let told = without_listener(&self.passed, listeners).map(|socket| {
            format!(
                "the service manager listens at {socket}, where no listener is any more: whoever connects there waits; \
                 take it out of the service manager's units"
            )
        });
        told.collect()
    }

    /// The sockets of a service manager.
    pub(super) fn passed(&self) -> &[Arc<Socket>] {
        &self.passed
    }

    fn given_for(&self, listener: &Listener) -> Option<Planned> {
        let given = self.given.iter();
        let mut given = given.filter(|given| given.bind.is_at(&listener.bind));
        let same = given.clone().find(|given| given.name == listener.name);
        let same = same.or_else(|| given.find(|_| !listener.bind.is_any()))?;
        Some(Planned {
            name: listener.name.clone(),
            bind: listener.bind.clone(),
            place: match &same.place {
                Bind::Tcp(_) => same.place.clone(),
                Bind::Unix { .. } => listener.bind.clone(),
            },
            socket: Arc::clone(&same.socket),
            is_passed: false,
        })
    }

    /// Takes over what the process was given, and closes what no listener has asked for.
    pub(super) fn claim(&mut self) {
        for given in std::mem::take(&mut self.given) {
            given.socket.claim();
        }
    }

    /// Leaves the sockets to the process that has them besides.
    pub(super) fn leave(&self) {
        self.shared().iter().for_each(|held| held.socket.leave());
    }

    /// The sockets that are listened at.
    pub(super) fn shared(&self) -> Vec<Planned> {
        let shared = self.held.iter().filter_map(|held| {
            Some(Planned {
                name: held.name.clone(),
                bind: held.bind.clone(),
                place: held.place.clone(),
                socket: held.socket.upgrade()?,
                is_passed: held.is_passed,
            })
        });
        shared.collect()
    }

    /// Where each listener accepts.
    pub(super) fn places(&self) -> Vec<(ListenerName, Bind)> {
        let held = self.held.iter();
        held.map(|held| (held.name.clone(), held.place.clone()))
            .collect()
    }

    /// The addresses of the listeners that have one.
    pub(super) fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let places = self.places().into_iter();
        let addresses = places.filter_map(|(name, place)| match place {
            Bind::Tcp(address) => Some((name.to_string(), address)),
            Bind::Unix { .. } => None,
        });
        addresses.collect()
    }

    /// Closes the listeners that a plan does not have where they are, so that no connection is taken for that of
    /// a listener elsewhere. What is answered waits until they have.
    pub(super) fn close_those_without(
        &mut self,
        plan: &[Planned],
    ) -> impl Future<Output = ()> + use<> {
        let is_planned = |held: &mut Held| plan.iter().any(|planned| held.is_as(planned));
        let gone = self.held.extract_if(.., |held| !is_planned(held));
        closed(gone.collect())
    }

    /// Has the listeners of a plan accept, those that are left of before and others.
    pub(super) fn accept(&mut self, plan: Vec<Planned>) {
        let mut before = std::mem::take(&mut self.held);
        for planned in plan {
            let same = before.extract_if(.., |held| held.is_as(&planned)).next();
            let closing = match same {
                Some(held) => held.closing,
                None => self.open(&planned),
            };
            let Planned {
                name,
                bind,
                place,
                socket,
                is_passed,
            } = planned;
            if let Err(error) = socket.permit(&bind) {
                tracing::error!(listener = %name, %error, "the permissions of a socket cannot be set");
            }
            self.held.push(Held {
                name,
                bind,
                place,
                socket: Arc::downgrade(&socket),
                is_passed,
                closing,
            });
        }
    }

    fn open(&self, planned: &Planned) -> watch::Sender<bool> {
        let (closing, closed) = watch::channel(false);
        tracing::info!(listener = %planned.name, address = %planned.place, "listening");
        let bound = Bound {
            entrance: Arc::new(Entrance {
                listener: planned.name.clone(),
                bind: planned.bind.clone(),
            }),
            socket: Arc::clone(&planned.socket),
            is_passed: planned.is_passed,
            closing: closed,
        };
        // Nobody accepts any more when the process is about to stop.
        self.opened.send(bound).ok();
        closing
    }
}

/// Closes listeners, and waits until they accept no more.
async fn closed(gone: Vec<Held>) {
    for held in &gone {
        let (name, place) = (&held.name, &held.place);
        tracing::info!(listener = %name, address = %place, "no longer listening");
        held.closing.send_replace(true);
    }
    let all = join_all(gone.iter().map(|held| held.closing.closed()));
    tokio::time::timeout(CLOSED_WITHIN, all).await.ok();
}

/// How long a reload waits for a listener to close: it takes the connections that are waiting first.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);
