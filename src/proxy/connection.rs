//! One connection of a client: runs every request of it against its deadlines and cuts.

use std::future::Future;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::HttpServerApp;
use pingora::apps::HttpServerOptions;
use pingora::apps::ReusedHttpStream;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::time::Sleep;

use crate::logbook::access::Decision;
use crate::proxy::access;
use crate::proxy::context::CURRENT;
use crate::proxy::context::ConnectionFacts;
use crate::proxy::context::Current;
use crate::proxy::line::Observed;
use crate::proxy::linger::linger;
use crate::proxy::linger::reset;
use crate::proxy::live::Live;
use crate::proxy::opening::Opened;
use crate::proxy::service::Portway;
use crate::proxy::terms::ConnectionTerms;
use crate::proxy::watch::Expired;
use crate::proxy::watch::NOWHERE;
use crate::proxy::watch::RequestWatch;

/// One connection and the requests that come by it.
pub(super) struct Connection {
    proxy: Arc<HttpProxy<Portway>>,
    live: Arc<Live>,
    facts: Arc<ConnectionFacts>,
    terms: Arc<ConnectionTerms>,
    /// Whether a request has come by it already, so that the next may be waited for.
    served: AtomicBool,
    /// Whether the last request of HTTP/1.1 was dropped: its client gets no time. Over HTTP/2 there may be
    /// answers of other requests that the client has not read.
    given_up: AtomicBool,
    /// Its socket, once it runs.
    socket: AtomicI32,
    /// The timer of a request before, for the next one: deadlines mostly move back, and a timer that
    /// stands before them costs nothing until it fires.
    timer: Mutex<Timer>,
}

impl Connection {
    pub(super) fn new(
        proxy: &Arc<HttpProxy<Portway>>,
        live: &Arc<Live>,
        facts: ConnectionFacts,
        terms: &Arc<ConnectionTerms>,
    ) -> Arc<Self> {
        Arc::new(Self {
            proxy: Arc::clone(proxy),
            live: Arc::clone(live),
            facts: Arc::new(facts),
            terms: Arc::clone(terms),
            served: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            socket: AtomicI32::new(NOWHERE),
            timer: Mutex::default(),
        })
    }

    /// Runs its requests, one after the other or, by HTTP/2, side by side.
    pub(super) async fn run(self: Arc<Self>, opened: Opened, shutdown: &ShutdownWatch) {
        self.socket.store(opened.stream.id(), Ordering::Relaxed);
        let (stream, mut back) = if opened.is_http2 {
            Observed::without_lines(opened.stream)
        } else {
            Observed::new(opened.stream, Arc::clone(&self.facts.line))
        };
        let running = ServerApp::process_new(&self, Box::new(stream), shutdown);
        if opened.is_http2 {
            tokio::select! {
                () = self.or_is_unused(running) => {}
                () = self.facts.resets.are_too_many() => self.is_flooded(),
            }
            // Its streams run in tasks of their own, which may be waiting for something else.
            self.facts.line.end();
        } else {
            running.await;
        }
        let Ok(stream) = back.try_recv() else {
            return;
        };
        if self.facts.is_stalled.load(Ordering::Relaxed) {
            reset(stream);
        } else if !self.given_up.load(Ordering::Relaxed) {
            linger(stream).await;
        }
    }

    fn is_flooded(&self) {
        let client = self.facts.peer;
        let may_tell = self.live.look().may_tell(client.ip(), "streams taken back");
        if let Some(kept_back) = may_tell {
            tracing::info!(
                %client, kept_back, "too many streams were taken back before their answers; closed"
            );
        }
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Runs a connection of HTTP/2, unless it sends no request within the time for a header: it would be
    /// seen by no request's deadline.
    async fn or_is_unused<R>(&self, mut running: R)
    where
        R: Future<Output = Option<Stream>> + Unpin,
    {
        let first = tokio::time::timeout(self.terms.limits.header_timeout, &mut running);
        if first.await.is_err() && self.served.load(Ordering::Relaxed) {
            running.await;
        }
    }
}

#[async_trait]
impl HttpServerApp for Connection {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.facts.line.expect();
        let is_first = !self.served.swap(true, Ordering::Relaxed);
        let is_alone = !session.is_http2();
        let limits = &self.terms.limits;
        let pause = (is_alone && !is_first).then_some(limits.keep_alive_timeout);
        let line = Arc::clone(&self.facts.line);
        let watch = Arc::new(RequestWatch::new(pause, limits.header_timeout, line));
        if is_alone {
            watch.looks_at(self.socket.load(Ordering::Relaxed));
        }
        let current = Current {
            connection: Arc::clone(&self.facts),
            watch: Arc::clone(&watch),
        };
        let request = CURRENT.scope(current, self.proxy.process_new_http(session, shutdown));
        let mut timer = std::mem::take(&mut *self.timer.lock());
        let done = race(pin!(request), &watch, &mut timer).await;
        *self.timer.lock() = timer;
        if is_alone {
            // One that never began is no request: its client may be sending it just now.
            let given_up = done.is_err() && self.facts.line.has_begun();
            self.given_up.store(given_up, Ordering::Relaxed);
        }
        if watch.since_head().is_none() && self.facts.line.has_begun() {
            let decision = match done {
                Ok(_) => Decision::Malformed,
                Err(GivenUp) => Decision::HeaderLate,
            };
            access::is_unread(&self.live.look(), &self.facts, decision);
        }
        done.unwrap_or_default()
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.terms.h2.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.terms.server)
    }
}

/// Runs a request until it is done, cut, or late; the last two drop it, which closes an HTTP/1.1
/// connection and resets an HTTP/2 stream.
async fn race<F>(
    mut request: Pin<&mut F>,
    watch: &RequestWatch,
    timer: &mut Timer,
) -> Result<Option<ReusedHttpStream>, GivenUp>
where
    F: Future<Output = Option<ReusedHttpStream>>,
{
    std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(done) = request.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if watch.poll_cut(cx) {
                return Poll::Ready(Err(GivenUp));
            }
            match poll_deadline(watch, timer, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Expired::Drop) => return Poll::Ready(Err(GivenUp)),
                Poll::Ready(Expired::PollAgain | Expired::Wait) => {}
            }
        }
    })
    .await
}

/// A request that was dropped before it was done.
struct GivenUp;

/// A timer, once one was needed.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

/// Keeps one timer at or before the deadline: a deadline that moves back leaves it alone until it fires.
fn poll_deadline(watch: &RequestWatch, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<Expired> {
    loop {
        let Some(due) = watch.due() else {
            return Poll::Pending;
        };
        let sleep = timer
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if sleep.deadline() >= due {
            return Poll::Ready(watch.expire());
        }
        sleep.as_mut().reset(due);
    }
}
