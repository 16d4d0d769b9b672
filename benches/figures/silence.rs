//! A peer that accepts connections and never answers: what it costs those who are served here, and those
//! whose session is there (R12).

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;

use crate::centres::APP;
use crate::centres::Centres;
use crate::centres::Plan;
use crate::centres::name;
use crate::line::Line;
use crate::link::Link;
use crate::support::Browser;
use crate::support::jar::Jar;
use crate::table::Figure;
use crate::table::Scale;
use crate::table::Times;

/// Measures local requests before and beside a silent peer, and what unknown sessions wait.
pub(crate) async fn measure(scale: Scale) -> Vec<Figure> {
    let link = Link::new().await;
    let foreign = scale.of(FOREIGN).max(ASKING);
    let plan = Plan {
        adoption: "retrieve_timeout: 200ms, retrieve_retries: 1",
        session: "",
        back_channel: ", circuit_pause: 300ms",
        users: foreign.div_ceil(SESSIONS_EACH).max(2),
    };
    let centres = Centres::start(plan, Some(&link)).await;
    let mut jars = centres.signed_in_at_a(foreign).await;
    let mut local = Browser::new(&centres.b);
    local.sign_in(APP, &name(0)).await.expect(200);
    let local = &mut local.jar;
    let mut line = Line::new(&centres.b);
    let before = served(&mut line, local, scale.of(LOCAL), &AtomicBool::new(false)).await;
    link.silence();
    let asking = AtomicBool::new(true);
    let unknown = async {
        let waited = unknown(&centres, &mut jars).await;
        asking.store(false, Ordering::Relaxed);
        waited
    };
    let (waited, beside) = tokio::join!(unknown, served(&mut line, local, 1, &asking));
    figures(&before, &beside, &waited)
}

fn figures(before: &Times, beside: &Times, waited: &Times) -> Vec<Figure> {
    let mut figures = Vec::new();
    let peers = [
        (before, "beside a peer that answers"),
        (beside, "beside a silent peer"),
    ];
    for (times, when) in peers {
        let how = format!("{} one after the other", times.count());
        figures.extend(Figure::times(&format!("local request {when}"), times, &how));
    }
    let how = format!(
        "{} sessions of the peer, {ASKING} at a time, until the login page; 2 × 200 ms are configured",
        waited.count()
    );
    figures.push(Figure::time(
        "unknown session at a silent peer, longest",
        waited.longest(),
        &how,
    ));
    figures.push(Figure::time(
        "unknown session at a silent peer, p50",
        waited.percentile(50),
        "the same; while the circuit is open nobody waits",
    ));
    figures
}

/// How long requests with a session of this data centre took: so many, and more while others go on.
async fn served(line: &mut Line, jar: &mut Jar, at_least: usize, others: &AtomicBool) -> Times {
    let mut times = Vec::new();
    while times.len() < at_least || others.load(Ordering::Relaxed) {
        times.push(line.get(jar, APP).await.unwrap().served());
    }
    Times::new(times)
}

/// How long requests with sessions of the silent peer took.
async fn unknown(centres: &Centres, jars: &mut [Jar]) -> Times {
    let each = jars.len().div_ceil(ASKING);
    let asking = jars.chunks_mut(each).map(|jars| async {
        let mut line = Line::new(&centres.b);
        let mut times = Vec::new();
        for jar in jars {
            times.push(line.get(jar, APP).await.unwrap().challenged());
        }
        times
    });
    Times::new(join_all(asking).await.concat())
}

/// Local requests before the peer falls silent.
const LOCAL: usize = 3000;
/// Sessions of the peer.
const FOREIGN: usize = 400;
/// Requests with them at the same time.
const ASKING: usize = 4;
/// Below the most that a user may have.
const SESSIONS_EACH: usize = 4;
