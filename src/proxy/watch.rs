//! What the edge loop races a request against: being cut, and the deadline of whatever it waits for.
//!
//! pingora has one read time-out per upstream connection and none for a whole header. Here a request
//! names what it is waiting for (its header, the first byte of an answer, the next one), and the loop
//! that polls it keeps the time.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::Shutdown;
use nix::sys::socket::recv;
use nix::sys::socket::shutdown;
use tokio::time::Instant;

use crate::proxy::departure;
use crate::proxy::line::RequestLine;

/// The state of one request that the edge loop and its phases share.
#[derive(Debug)]
pub struct RequestWatch {
    began: Instant,
    /// How long the header may take beyond the pause that its client may make before it.
    header: Duration,
    /// What has been seen of its line; nothing over HTTP/2, where a request begins with its header.
    line: Arc<RequestLine>,
    /// When the header was there, in microseconds after `began`; [`NEVER`] before.
    head: AtomicU64,
    cut: AtomicBool,
    waker: AtomicWaker,
    /// Milliseconds after `began`; [`NEVER`] when nothing is waited for.
    deadline: AtomicU64,
    /// Milliseconds after `began` for the whole request.
    total: AtomicU64,
    stage: AtomicU8,
    /// The socket of the upstream, [`SHARED`] or [`NOWHERE`].
    upstream: AtomicI32,
    /// How long the next byte of the answer may take, in milliseconds.
    span: AtomicU64,
    /// Whether it was the first byte of the answer that did not come.
    unanswered: AtomicBool,
    /// The socket of the client, where the request has it for itself; else [`NOWHERE`].
    client: AtomicI32,
    /// Until when a piece of a body is held back, in milliseconds after `began`.
    held_until: AtomicU64,
    /// When it is looked next whether the client is still there, in milliseconds after `began`; [`NEVER`] where it
    /// would be noticed anyway.
    look: AtomicU64,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Its own header.
    Header = 0,
    /// Nothing that has a deadline here.
    Idle = 1,
    /// The first byte of the answer.
    FirstByte = 2,
    /// The next byte of the answer.
    NextByte = 3,
    /// The end of a request whose upstream is late.
    Late = 4,
    /// The next piece of its own body.
    Body = 5,
    /// The first byte of its header, on a connection that has served others.
    Pause = 6,
}

/// What is to be done when a deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Drop the request.
    Drop,
    /// Poll it once more: one of its connections has been stopped, and it will answer for that.
    PollAgain,
    /// Nothing: the deadline has been moved.
    Wait,
}

impl RequestWatch {
    /// Begins to watch a request whose header is due within `header`, counted from the end of the `pause` that
    /// its client may make before it; a client that sends nothing in the pause is not waited for any longer.
    #[must_use]
    pub fn new(pause: Option<Duration>, header: Duration, line: Arc<RequestLine>) -> Self {
        let stage = pause.map_or(Stage::Header, |_| Stage::Pause);
        Self {
            began: Instant::now(),
            header,
            line,
            head: AtomicU64::new(NEVER),
            cut: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            deadline: AtomicU64::new(millis(pause.unwrap_or(header))),
            total: AtomicU64::new(NEVER),
            stage: AtomicU8::new(stage as u8),
            upstream: AtomicI32::new(NOWHERE),
            span: AtomicU64::new(NEVER),
            unanswered: AtomicBool::new(false),
            client: AtomicI32::new(NOWHERE),
            held_until: AtomicU64::new(0),
            look: AtomicU64::new(NEVER),
        }
    }

    /// The client has asked on this socket, and has nothing else on it.
    pub fn looks_at(&self, socket: RawFd) {
        self.client.store(socket, Ordering::Relaxed);
    }

    /// A piece of a body is held back for so long. pingora does not hear the client meanwhile, so it is looked
    /// after.
    pub fn hold_back(&self, wait: Duration) {
        let now = self.elapsed();
        let until = now.saturating_add(millis(wait));
        self.held_until.store(until, Ordering::Relaxed);
        let look = now.saturating_add(millis(LOOK_EVERY));
        self.look.store(look, Ordering::Relaxed);
    }

    /// How long the request has been watched.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Ends the request at once.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether the request has been cut.
    pub fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Whether the request has been cut; if not, the task is woken when it is.
    pub fn poll_cut(&self, cx: &Context<'_>) -> bool {
        if self.is_cut() {
            return true;
        }
        self.waker.register(cx.waker());
        self.is_cut()
    }

    /// The header has been read.
    pub fn header_is_read(&self) {
        self.head.store(self.micros(), Ordering::Relaxed);
        self.arm(Stage::Idle, None);
    }

    /// How long it is since the header was there; none before.
    pub fn since_head(&self) -> Option<Duration> {
        let head = self.head.load(Ordering::Relaxed);
        (head != NEVER).then(|| Duration::from_micros(self.micros().saturating_sub(head)))
    }

    /// The whole exchange with the upstream is due within `total`.
    pub fn limit_total(&self, total: Duration) {
        self.total.store(
            self.elapsed().saturating_add(millis(total)),
            Ordering::Relaxed,
        );
    }

    /// No limit for the whole applies any more: the connection was upgraded.
    pub fn lift_total(&self) {
        self.total.store(NEVER, Ordering::Relaxed);
    }

    /// The request goes to the upstream on this socket.
    pub fn is_connected(&self, socket: RawFd) {
        self.upstream.store(socket, Ordering::Relaxed);
    }

    /// The request goes to the upstream on a connection that carries others as well, and that nothing may be done
    /// to on its account.
    pub fn is_connected_among_others(&self) {
        self.upstream.store(SHARED, Ordering::Relaxed);
    }

    /// The client is due to send more of the request's body within `body_idle`, unless the upstream has
    /// begun to answer already.
    pub fn await_body(&self, body_idle: Duration) {
        if !self.is_in(Stage::NextByte) {
            self.arm(Stage::Body, Some(body_idle));
        }
    }

    /// The upstream has the whole request and is due to begin its answer within `first_byte`, unless it
    /// has done so already.
    pub fn await_first_byte(&self, first_byte: Duration) {
        if !self.is_in(Stage::NextByte) {
            self.arm(Stage::FirstByte, Some(first_byte));
        }
    }

    /// The client or the upstream has sent something, and either is due to send more within `idle`. Answers how long
    /// the request has been watched.
    pub fn await_either(&self, idle: Duration) -> Duration {
        if self.is_in(Stage::NextByte) {
            return self.await_next_byte(idle);
        }
        self.arm(Stage::Body, Some(idle));
        self.age()
    }

    /// Whether the first byte of the answer is waited for.
    pub fn awaits_answer(&self) -> bool {
        self.is_in(Stage::FirstByte)
    }

    /// The upstream is due to send more within `read_idle`. Answers how long the request has been watched.
    pub fn await_next_byte(&self, read_idle: Duration) -> Duration {
        let (age, span) = (self.age(), millis(read_idle));
        self.span.store(span, Ordering::Relaxed);
        self.set(Stage::NextByte, millis(age).saturating_add(span));
        age
    }

    /// The upstream has nothing more to send; its socket may belong to another request from now on.
    pub fn upstream_is_done(&self) {
        self.upstream.store(NOWHERE, Ordering::Relaxed);
        self.total.store(NEVER, Ordering::Relaxed);
        self.arm(Stage::Idle, None);
    }

    /// The request is tried again from its beginning.
    pub fn begins_anew(&self) {
        self.upstream_is_done();
        self.line.go_on();
    }

    /// Whether the upstream was late.
    pub fn is_late(&self) -> bool {
        self.is_in(Stage::Late)
    }

    /// Whether the upstream never began to answer; lateness after that may be the client's.
    pub fn is_unanswered(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Whether the first byte of the answer is overdue.
    pub fn is_unanswered_now(&self) -> bool {
        self.awaits_answer() && self.limit() <= self.elapsed()
    }

    /// When something is due, if anything is.
    pub fn due(&self) -> Option<Instant> {
        let due = self.limit().min(self.look.load(Ordering::Relaxed));
        (due != NEVER).then(|| self.began + Duration::from_millis(due))
    }

    /// When the request is late, in milliseconds after it began.
    fn limit(&self) -> u64 {
        let total = self.total.load(Ordering::Relaxed);
        self.deadline.load(Ordering::Relaxed).min(total)
    }

    /// Acts on a deadline that has passed. Called by the task that polls the request, between two polls,
    /// so that the upstream's socket is still the request's own.
    pub fn expire(&self) -> Expired {
        if let Some(looked) = self.look_after_client() {
            return looked;
        }
        if self.is_in(Stage::Pause) && self.line.has_begun() {
            self.arm(Stage::Header, Some(self.header));
            return Expired::Wait;
        }
        let socket = self.upstream.load(Ordering::Relaxed);
        // A client that stopped sending is no fault of the upstream's.
        if socket == NOWHERE || self.is_in(Stage::Late) || self.is_in(Stage::Body) {
            return Expired::Drop;
        }
        if socket == SHARED {
            // The answer is waited for beside the client, which is the end that can be made to stop.
            self.is_late_now();
            self.line.stop();
            return Expired::PollAgain;
        }
        let in_time = self.elapsed() < self.total.load(Ordering::Relaxed);
        if in_time && self.is_in(Stage::NextByte) && has_unread(socket) {
            // The upstream has sent more; it waits to be read until the client has taken what came before.
            let span = Duration::from_millis(self.span.load(Ordering::Relaxed));
            self.await_next_byte(span);
            return Expired::Wait;
        }
        self.is_late_now();
        // A failure means that the connection is gone already, which the request notices by itself.
        shutdown(socket, Shutdown::Both).ok();
        Expired::PollAgain
    }

    /// Looks whether the client is still there, if it is time to.
    fn look_after_client(&self) -> Option<Expired> {
        let now = self.elapsed();
        if now < self.look.load(Ordering::Relaxed) {
            return None;
        }
        let is_held = now < self.held_until.load(Ordering::Relaxed);
        let next = if is_held {
            now.saturating_add(millis(LOOK_EVERY))
        } else {
            NEVER
        };
        self.look.store(next, Ordering::Relaxed);
        let is_gone = || {
            let socket = self.client.load(Ordering::Relaxed);
            self.line.has_ended() || (socket != NOWHERE && departure::has_left(socket))
        };
        Some(if is_held && is_gone() {
            Expired::Drop
        } else {
            Expired::Wait
        })
    }

    fn is_late_now(&self) {
        self.upstream.store(NOWHERE, Ordering::Relaxed);
        self.unanswered
            .store(self.is_in(Stage::FirstByte), Ordering::Relaxed);
        self.total.store(NEVER, Ordering::Relaxed);
        self.arm(Stage::Late, Some(LATE_GRACE));
    }

    fn is_in(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Relaxed) == stage as u8
    }

    fn arm(&self, stage: Stage, within: Option<Duration>) {
        let due = within.map_or(NEVER, |within| {
            self.elapsed().saturating_add(millis(within))
        });
        self.set(stage, due);
    }

    fn set(&self, stage: Stage, due: u64) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        self.deadline.store(due, Ordering::Relaxed);
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(NEVER)
    }

    fn elapsed(&self) -> u64 {
        millis(self.began.elapsed())
    }
}

/// Whether the kernel holds bytes of the upstream's, or its end, that have not been read yet.
fn has_unread(socket: RawFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(socket, &mut [0], flags).is_ok()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(NEVER)
}

const NEVER: u64 = u64::MAX;
/// No socket.
pub(super) const NOWHERE: RawFd = -1;
const SHARED: RawFd = -2;
/// How long a request may take to answer for a late upstream.
const LATE_GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether a client is still there whose body is held back.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What a client does not take keeps nobody from noticing that the upstream has stopped, once it does.
    #[tokio::test]
    async fn a_client_that_is_slow_moves_the_deadline_and_does_not_lift_it() {
        let (ours, mut upstream) = UnixStream::pair().unwrap();
        let idle = Duration::from_secs(60);
        let watch = RequestWatch::new(None, idle, Arc::default());
        watch.is_connected(ours.as_raw_fd());
        watch.await_next_byte(idle);
        upstream.write_all(b"more").unwrap();
        assert_eq!(watch.expire(), Expired::Wait);
        let due = watch.due().unwrap();
        assert!(due <= Instant::now() + idle, "{due:?}");
    }
}
