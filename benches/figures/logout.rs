//! How soon a logout at one data centre holds at the other: a client asks there all the time, with the
//! cookies that were served until then.

use std::time::Duration;

use tokio::time::Instant;

use crate::centres::APP;
use crate::centres::Centres;
use crate::line::Line;
use crate::support::jar::Jar;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::table::Figure;
use crate::table::Times;

/// Signs out at `dc-a`, one browser after the other, each of which is served at `dc-b` before.
pub(crate) async fn measure(centres: &Centres, jars: &mut [Jar]) -> Vec<Figure> {
    let mut here = Line::new(&centres.a);
    let mut there = Line::new(&centres.b);
    let (mut refused, mut answered) = (Vec::new(), Vec::new());
    for jar in jars.iter_mut() {
        there.get(jar, APP).await.unwrap().served();
        let copy = jar.clone();
        let began = Instant::now();
        let (leaving, refusal) = tokio::join!(
            here.get(jar, LOGOUT),
            first_refusal(&mut there, &copy, began)
        );
        // A redirect to the login host, which goes on clearing cookies.
        answered.push(leaving.unwrap().challenged());
        refused.push(refusal);
        // It was no accident: the same cookies lead to the login page from now on.
        there
            .get(&mut copy.clone(), APP)
            .await
            .unwrap()
            .challenged();
    }
    let (refused, answered) = (Times::new(refused), Times::new(answered));
    let how = format!(
        "{} logouts; the peer is asked without a pause",
        refused.count()
    );
    let mut figures = Figure::times("logout: until the peer refuses", &refused, &how);
    figures.push(Figure::time(
        "logout: until it is answered, p99",
        answered.percentile(99),
        "on disk here, and confirmed by the peer",
    ));
    figures
}

/// How long after `began` a request was refused, or cut off, for the first time.
async fn first_refusal(line: &mut Line, jar: &Jar, began: Instant) -> Duration {
    let asking = async {
        while let Ok(seen) = line.get(&mut jar.clone(), APP).await
            && seen.status == 200
        {}
        began.elapsed()
    };
    within("the peer refuses", PATIENCE, asking).await
}

const LOGOUT: &str = "https://app.apps.test/.portway/logout";
