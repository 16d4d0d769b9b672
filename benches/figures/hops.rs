//! Users who come to the other data centre: how long their first request takes there, and how many can
//! come at once. With the default policy, logouts too.

use std::io::Write;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::centres::APP;
use crate::centres::Centres;
use crate::centres::OPEN;
use crate::centres::Plan;
use crate::line::Line;
use crate::logout;
use crate::round_trip;
use crate::support::jar::Jar;
use crate::table::Figure;
use crate::table::Scale;
use crate::table::Times;
use crate::table::millis;

/// Measures adoptions, and logouts.
pub(crate) async fn measure(scale: Scale) -> Vec<Figure> {
    let trip = round_trip::measure(ROUND_TRIPS).await;
    let how = format!("{ROUND_TRIPS} of 512 bytes each way, TLS 1.3, nothing behind it");
    let mut figures = Figure::times("round trip", &trip, &how);
    let how = format!("{COMMITS} of 4 KiB each, in the folder of the gateways");
    figures.extend(Figure::times("write and fsync", &disk(COMMITS), &how));
    for course in COURSES {
        figures.extend(Box::pin(run(course, trip.percentile(50), scale)).await);
    }
    figures
}

/// A configuration under which users hop, and how many do.
#[derive(Clone, Copy, Debug)]
struct Course {
    name: &'static str,
    /// Keys of `mdc.adoption`.
    adoption: &'static str,
    /// Keys of `session`.
    session: &'static str,
    /// Questions that a user waits for.
    questions: u32,
    /// Sessions that are adopted many at a time.
    together: usize,
    /// Sessions that are logged out.
    leaving: usize,
}

async fn run(course: Course, trip: Duration, scale: Scale) -> Vec<Figure> {
    let (alone, together) = (scale.of(ALONE), scale.of(course.together));
    let leaving = scale.of(course.leaving);
    let all = alone + together + leaving;
    let plan = Plan {
        adoption: course.adoption,
        session: course.session,
        back_channel: "",
        users: all.div_ceil(SESSIONS_EACH).max(2),
    };
    let centres = Centres::start(plan, None).await;
    let mut jars = centres.signed_in_at_a(all).await;
    let mut leavers = jars.split_off(alone + together);
    let mut crowd = jars.split_off(alone);
    let mut figures = one_by_one(course, trip, &centres, &mut jars).await;
    figures.extend(at_once(course, &centres, &mut crowd).await);
    centres.expect_adoptions(alone + together).await;
    if leaving > 0 {
        figures.extend(logout::measure(&centres, &mut leavers).await);
    }
    figures
}

/// Each request that adopts is followed by one that finds the session there, so that both meet the same
/// machine.
async fn one_by_one(
    course: Course,
    trip: Duration,
    centres: &Centres,
    jars: &mut [Jar],
) -> Vec<Figure> {
    let mut line = Line::new(&centres.b);
    let (mut adopting, mut plain) = (Vec::new(), Vec::new());
    for jar in jars.iter_mut() {
        adopting.push(line.get(jar, APP).await.unwrap().served());
        plain.push(line.get(jar, APP).await.unwrap().served());
    }
    let (adopting, plain) = (Times::new(adopting), Times::new(plain));
    let Course {
        name, questions, ..
    } = course;
    let others = plain.percentile(50) + trip * questions;
    let trips = match questions {
        1 => "one round trip",
        _ => "its two round trips",
    };
    let beyond = adopting.less(others);
    let how = format!("{} first requests of a user, one by one", jars.len());
    let mut figures = Figure::times(&format!("{name}: request"), &adopting, &how);
    figures.extend(Figure::times(
        &format!("{name}: next request"),
        &plain,
        "the second request of each user",
    ));
    figures.extend(Figure::times(
        &format!("{name}: beyond {trips}"),
        &beyond,
        &format!("less the medians of the next request and of {trips}"),
    ));
    figures
}

/// What it takes to have something on the disk.
fn disk(count: usize) -> Times {
    let mut file = tempfile::tempfile().unwrap();
    let commit = |_| {
        let began = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        began.elapsed()
    };
    Times::new((0..count).map(commit).collect())
}

/// Many users at once; what each adoption costs is seen by letting them come again.
async fn at_once(course: Course, centres: &Centres, jars: &mut [Jar]) -> Vec<Figure> {
    let first = visit_all(centres, jars).await;
    let again = visit_all(centres, jars).await;
    let count = jars.len() as f64;
    let per_second = |time: Duration| count / time.as_secs_f64().max(f64::EPSILON);
    let micros = |time: Duration| millis(time) * 1000.0 / count;
    let name = course.name;
    let how = format!(
        "{} on {LINES} connections; user and system time of both gateways, request included",
        jars.len()
    );
    let rest = first.processor.saturating_sub(again.processor);
    vec![
        Figure::new(
            &format!("{name}: per second and core"),
            per_second(first.processor),
            "1/s",
            &how,
        ),
        Figure::new(
            &format!("{name}: per second, as seen"),
            per_second(first.elapsed),
            "1/s",
            "the same by the clock; client and application share the machine",
        ),
        Figure::new(
            &format!("{name}: processor time"),
            micros(rest),
            "µs",
            &format!(
                "less that of the same requests again, {:.0} µs each",
                micros(again.processor)
            ),
        ),
    ]
}

/// What many requests took.
struct Spent {
    elapsed: Duration,
    processor: Duration,
}

async fn visit_all(centres: &Centres, jars: &mut [Jar]) -> Spent {
    let each = jars.len().div_ceil(LINES);
    let mut lines: Vec<_> = (0..LINES).map(|_| Line::new(&centres.b)).collect();
    for line in &mut lines {
        line.get(&mut Jar::default(), OPEN).await.unwrap().served();
    }
    let before = centres.processor_time();
    let began = Instant::now();
    let visits = jars.chunks_mut(each).zip(&mut lines).map(visit);
    join_all(visits).await;
    Spent {
        elapsed: began.elapsed(),
        processor: centres.processor_time() - before,
    }
}

async fn visit((jars, line): (&mut [Jar], &mut Line)) {
    for jar in jars {
        line.get(jar, APP).await.unwrap().served();
    }
}

const COURSES: [Course; 3] = [
    Course {
        name: "adoption",
        adoption: "",
        session: "",
        questions: 1,
        together: 1000,
        leaving: 200,
    },
    Course {
        name: "adoption in memory",
        adoption: "",
        session: "store: memory",
        questions: 1,
        together: 1000,
        leaving: 0,
    },
    Course {
        name: "anchored adoption",
        adoption: "anchor_session: true",
        session: "",
        questions: 2,
        together: 500,
        leaving: 0,
    },
];

/// Sessions that are adopted one after the other.
const ALONE: usize = 500;
/// Below the most that a user may have.
const SESSIONS_EACH: usize = 4;
/// Below what one address may adopt at a time.
const LINES: usize = 16;
const ROUND_TRIPS: usize = 2000;
const COMMITS: usize = 200;
