//! Slows bodies down to the bandwidth that their clients may have: says how long each piece waits.
//!
//! pingora does the waiting for answers, `service` for requests; the rates are `decision::rate`'s, and which of
//! them hold for a request is `allowances`' matter.

use std::sync::Arc;
use std::time::Duration;

use pingora::proxy::Session;

use crate::decision::rate::ByteRate;
use crate::decision::rate::table::Place;
use crate::proxy::context::RequestContext;
use crate::proxy::counts::Direction;
use crate::proxy::exchange;
use crate::proxy::limiters::Limiters;
use crate::proxy::serving::Serving;

/// The rates of one request. What waits when it is dropped never passes, and is given back.
#[derive(Debug, Default)]
pub struct Shaping {
    down: Flow,
    up: Flow,
    /// Where it was taken, once something had to wait.
    limiters: Option<Arc<Limiters>>,
}

/// Those of one direction.
#[derive(Debug, Default)]
struct Flow {
    own: Vec<(ByteRate, u64)>,
    shared: Vec<SharedRate>,
    has_waited: bool,
    /// Of the piece that came last. No other waits: pingora takes the next when it has passed.
    bytes: usize,
}

/// One that the request shares with others of its client.
#[derive(Debug)]
struct SharedRate {
    rate: ByteRate,
    place: Place,
    /// Until when the piece that came last has to wait for this rate, in nanoseconds, as the limiters count. A rate
    /// of the request's own may have it wait for longer.
    until: u64,
}

impl Shaping {
    /// Adds a rate of the request's own.
    pub(super) fn add_own(&mut self, direction: Direction, rate: ByteRate) {
        self.flow_mut(direction).own.push((rate, 0));
    }

    /// Adds one that the request shares with others of its client.
    pub(super) fn add_shared(&mut self, direction: Direction, rate: ByteRate, place: Place) {
        let until = 0;
        self.flow_mut(direction)
            .shared
            .push(SharedRate { rate, place, until });
    }

    fn flow_mut(&mut self, direction: Direction) -> &mut Flow {
        match direction {
            Direction::Down => &mut self.down,
            Direction::Up => &mut self.up,
        }
    }

    /// Whether there is no rate in it.
    pub(super) fn is_empty(&self) -> bool {
        let flows = [&self.down, &self.up];
        flows
            .iter()
            .all(|flow| flow.own.is_empty() && flow.shared.is_empty())
    }

    /// How long a piece waits, if it does. It counts for every rate at once, so the longest wait is enough.
    fn wait(&mut self, direction: Direction, bytes: usize, serving: &Serving) -> Option<Duration> {
        let flow = self.flow_mut(direction);
        if bytes == 0 {
            return None;
        }
        flow.bytes = bytes;
        let now = serving.limiters.now();
        let own = flow.own.iter_mut().map(|(rate, due)| {
            let (then, wait) = rate.take(*due, now, bytes);
            *due = then;
            wait
        });
        let shared = flow.shared.iter_mut().map(|shared| {
            let wait = serving.limiters.take(shared.place, &shared.rate, bytes);
            let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
            shared.until = now.saturating_add(nanos);
            wait
        });
        let wait = own.chain(shared).max().filter(|wait| !wait.is_zero())?;
        if !std::mem::replace(&mut flow.has_waited, true) {
            serving.counts.note_delay(direction);
        }
        self.limiters
            .get_or_insert_with(|| Arc::clone(&serving.limiters));
        Some(wait)
    }
}

impl Drop for Shaping {
    fn drop(&mut self) {
        let Some(limiters) = &self.limiters else {
            return;
        };
        let now = limiters.now();
        for flow in [&self.down, &self.up] {
            for shared in flow.shared.iter().filter(|shared| shared.until > now) {
                let left = Duration::from_nanos(shared.until - now);
                limiters.give_back(shared.place, &shared.rate, flow.bytes, left);
            }
        }
    }
}

/// How long a piece of an answer waits, if it does; `end` with the last one. Over a tunnel nobody looks meanwhile
/// whether the client has left: what it sent before goes on to the upstream.
pub(super) fn answer_waits(
    session: &Session,
    ctx: &mut RequestContext,
    bytes: usize,
    end: bool,
) -> Option<Duration> {
    let admitted = ctx.admitted.as_deref_mut()?;
    let shaping = admitted.share.shaping.as_deref_mut()?;
    let wait = shaping.wait(Direction::Down, bytes, &ctx.serving)?;
    if let Some(current) = &ctx.current {
        if !session.was_upgraded() {
            current.watch.hold_back(wait);
        }
        if !end {
            // The upstream is not heard meanwhile, which is no fault of its.
            let next = exchange::next_byte(admitted, &ctx.serving.limits);
            current.watch.await_next_byte(next.saturating_add(wait));
        }
    }
    Some(wait)
}

/// How long a piece of a request's body waits, if it does. Over a tunnel as in [`answer_waits`].
pub(super) fn request_waits(
    session: &Session,
    ctx: &mut RequestContext,
    bytes: usize,
) -> Option<Duration> {
    let admitted = ctx.admitted.as_deref_mut()?;
    let shaping = admitted.share.shaping.as_deref_mut()?;
    let wait = shaping.wait(Direction::Up, bytes, &ctx.serving)?;
    // Neither the client nor the upstream is heard meanwhile.
    ctx.body.waited += wait;
    if let Some(current) = &ctx.current {
        let timeouts = &admitted.route.config.timeouts;
        if session.was_upgraded() {
            current.watch.await_next_byte(timeouts.read_idle + wait);
        } else {
            current.watch.hold_back(wait);
            let body_idle = ctx.serving.body_idle(timeouts);
            current.watch.await_body(body_idle + wait);
        }
    }
    Some(wait)
}
