//! Upstreams that answer with errors while others do well: ejected, never the last, and back by themselves.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::failover::CONNECTIONS;
use crate::failover::Seen;
use crate::failover::load;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Recorder;
use crate::support::parts;
use crate::support::recorder::OK;
use crate::support::recorder::Reply;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;

const PAGE: &str = "https://app.test/";
const OOPS: &[u8] = b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops";

/// An upstream that is well or not, as the test says.
struct Moody {
    recorder: Recorder,
    is_well: Arc<AtomicBool>,
    good: Arc<AtomicUsize>,
    bad: Arc<AtomicUsize>,
}

impl Moody {
    async fn start() -> Self {
        let is_well = Arc::new(AtomicBool::new(true));
        let (good, bad) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let told = (Arc::clone(&is_well), Arc::clone(&good), Arc::clone(&bad));
        let recorder = Recorder::scripted(move |_, _, _| {
            let (is_well, good, bad) = &told;
            let (count, answer) = match is_well.load(Ordering::SeqCst) {
                true => (good, OK),
                false => (bad, OOPS),
            };
            count.fetch_add(1, Ordering::SeqCst);
            Reply::Send(answer.to_vec())
        });
        Self {
            recorder: recorder.await,
            is_well,
            good,
            bad,
        }
    }

    fn is(&self, is_well: bool) {
        self.is_well.store(is_well, Ordering::SeqCst);
    }

    fn good(&self) -> usize {
        self.good.load(Ordering::SeqCst)
    }

    fn bad(&self) -> usize {
        self.bad.load(Ordering::SeqCst)
    }

    fn address(&self) -> String {
        self.recorder.address().to_string()
    }
}

async fn gateway(upstreams: &[&Moody], more: &str) -> Gateway {
    let addresses: Vec<String> = upstreams
        .iter()
        .map(|at| format!("\"{}\"", at.address()))
        .collect();
    let pool = yaml::pool(&format!("primary: [{}]{more}", addresses.join(", ")));
    Gateway::start(&format!("ops: {{ bind: \"127.0.0.1:0\" }}\n{pool}")).await
}

/// The statuses of so many answers.
async fn ask(gateway: &Gateway, times: usize) -> Vec<u16> {
    let mut browser = Browser::new(gateway);
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(browser.get(PAGE).await.status);
    }
    statuses
}

#[tokio::test]
async fn an_upstream_that_answers_with_errors_is_ejected_and_comes_back_by_itself() {
    let (one, two) = (Moody::start().await, Moody::start().await);
    // Long enough that it is still out at the last look.
    let outliers = ", outliers: { consecutive_5xx: 3, ejection: 1h, ejection_max: 1h }";
    let for_long = gateway(&[&one, &two], outliers).await;
    assert_eq!(ask(&for_long, 4).await, [200; 4]);
    one.is(false);
    let statuses = ask(&for_long, 20).await;
    let errors = statuses.iter().filter(|status| **status == 500).count();
    assert_eq!((errors, one.bad()), (3, 3), "{}", for_long.log());
    for_long.wait_for_log("pool member ejected").await;
    assert_eq!(for_long.upstream_states().await, ["ejected", "healthy"]);
    let list = for_long.verb(&["pool", "list"]).await;
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("ejected until 2"), "{list}");
    let at = one.address();
    let labels = format!("pool=\"app\",upstream=\"{at}\",address=\"{at}\"");
    for (name, expected) in [
        (format!("portway_upstream_ejections_total{{{labels}}}"), 1.0),
        (format!("portway_upstream_up{{{labels}}}"), 0.0),
        (
            format!("portway_upstream_state{{{labels},state=\"ejected\"}}"),
            1.0,
        ),
    ] {
        assert_eq!(for_long.metric(&name).await, Some(expected), "{name}");
    }
    drop(for_long);
    let outliers = ", outliers: { consecutive_5xx: 3, ejection: 2s }";
    let gateway = gateway(&[&one, &two], outliers).await;
    until("it is ejected", PATIENCE, || async {
        ask(&gateway, 4).await;
        let log = gateway.log();
        log.contains("pool member ejected").then_some(())
    })
    .await;
    one.is(true);
    let before = one.good();
    until("it is asked again", PATIENCE, || async {
        assert_eq!(ask(&gateway, 4).await, [200; 4]);
        (one.good() > before).then_some(())
    })
    .await;
    gateway.wait_for_log("pool member back").await;
    until("both are well", PATIENCE, || async {
        (gateway.upstream_states().await == ["healthy", "healthy"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_last_upstream_is_never_ejected_and_an_ejected_one_is_better_than_none() {
    let (one, two) = (Moody::start().await, Moody::start().await);
    let outliers = ", outliers: { consecutive_5xx: 2, ejection: 1h, ejection_max: 1h, \
                    ejected_percent_max: 100 }";
    let gateway = gateway(&[&one, &two], outliers).await;
    one.is(false);
    two.is(false);
    assert_eq!(ask(&gateway, 30).await, [500; 30]);
    let mut states = gateway.upstream_states().await;
    states.sort_unstable();
    assert_eq!(states, ["ejected", "healthy"]);
    let spared = "portway_upstream_ejections_spared_total{pool=\"app\"}";
    assert!(gateway.metric(spared).await.unwrap() > 0.0);
    // The one that is left goes away: the ejected one answers, and nobody sees that nobody is left.
    let (ejected, left) = if one.bad() < two.bad() {
        (one, two)
    } else {
        (two, one)
    };
    ejected.is(true);
    drop(left);
    assert_eq!(ask(&gateway, 10).await, [200; 10]);
}

#[tokio::test]
async fn answers_that_are_tried_again_elsewhere_count_for_an_ejection() {
    let (one, two) = (Moody::start().await, Moody::start().await);
    let outliers = ", max_fails: 0, outliers: { consecutive_5xx: 3, consecutive_failures: 0 }";
    let pool = yaml::pool(&format!(
        "primary: [\"{}\", \"{}\"]{outliers}",
        one.address(),
        two.address()
    ));
    let pool = pool.replace("pool: app }", "pool: app, retry_on: [500] }");
    let gateway = Gateway::start(&pool).await;
    one.is(false);
    assert_eq!(ask(&gateway, 20).await, [200; 20], "nobody notices");
    assert_eq!(one.bad(), 3, "{}", gateway.log());
    assert_eq!(gateway.upstream_states().await, ["ejected", "healthy"]);
}

/// Under load: who answers with errors is ejected after a few of them, whoever recovers serves again, and
/// when all are ill somebody is left.
#[tokio::test]
async fn ejection_under_load_costs_few_errors_never_the_last_upstream_and_ends_by_itself() {
    let Some(wrk) = parts::find("wrk") else {
        return;
    };
    let all = [
        Moody::start().await,
        Moody::start().await,
        Moody::start().await,
    ];
    let outliers = ", outliers: { consecutive_5xx: 5, ejection: 1s, ejection_max: 1s, \
                    ejected_percent_max: 100 }";
    let gateway = gateway(&[&all[0], &all[1], &all[2]], outliers).await;
    let browser = Browser::new(&gateway);
    let load = load(&wrk, &gateway, &browser);
    until("all serve", PATIENCE, || async {
        all.iter().all(|one| one.good() > 50).then_some(())
    })
    .await;
    // One falls ill: it is ejected at once, and tried again each second until it is well.
    all[0].is(false);
    gateway.wait_for_log("pool member ejected").await;
    until("it is tried again", PATIENCE, || async {
        (ejections(&gateway).await >= 2.0).then_some(())
    })
    .await;
    all[0].is(true);
    let ill = (all[0].bad(), ejections(&gateway).await);
    let before = all[0].good();
    until("it serves again", PATIENCE, || async {
        (all[0].good() > before + 50).then_some(())
    })
    .await;
    all_fall_ill(&gateway, &all).await;
    let said = load.end().await;
    let seen = Seen::read(&said);
    let bad: usize = all.iter().map(Moody::bad).sum();
    eprintln!(
        "ejection under load: {} requests, {} error answers of {bad} that upstreams gave, {} broken \
         connections, {} ejections; of one that was ill {} errors in {} ejections",
        seen.requests,
        seen.errors,
        seen.broken,
        ejections(&gateway).await,
        ill.0,
        ill.1,
    );
    assert!(seen.requests > 300, "{said}");
    assert_eq!(seen.broken, 0, "{said}\n{}", gateway.log());
    // What wrk does not wait for at its end it does not count.
    assert!(bad - seen.errors.min(bad) <= CONNECTIONS, "{bad}: {said}");
    assert!(seen.errors <= bad, "an error that no upstream gave: {said}");
    // Five errors eject it; what is there already or on its way then comes on top.
    let most = (5 + CONNECTIONS) as f64 * (ill.1 + 1.0);
    assert!(
        ill.0 as f64 <= most,
        "{} errors in {} ejections",
        ill.0,
        ill.1
    );
    assert!(!gateway.log().contains("ERROR"), "{}", gateway.log());
}

/// All fall ill: one stays, whoever it is, until they are well again.
async fn all_fall_ill(gateway: &Gateway, all: &[Moody; 3]) {
    for one in all {
        one.is(false);
    }
    until("two are ejected", PATIENCE, || async {
        let states = gateway.upstream_states().await;
        let count = |state: &str| states.iter().filter(|its| *its == state).count();
        assert!(count("healthy") > 0, "the last was ejected");
        (count("ejected") == 2).then_some(())
    })
    .await;
    for one in all {
        one.is(true);
    }
    until("all are back", PATIENCE, || async {
        (gateway.upstream_states().await == ["healthy"; 3]).then_some(())
    })
    .await;
}

/// How often any upstream was ejected.
async fn ejections(gateway: &Gateway) -> f64 {
    let page = gateway.ops("/metrics").await.expect(200).text();
    let lines = page.lines();
    let counts = lines.filter(|line| line.starts_with("portway_upstream_ejections_total{"));
    counts
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}
