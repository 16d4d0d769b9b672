//! The same requests through real nginx and through Portway with the configuration that `portway convert nginx`
//! makes of nginx's, before the same recording upstreams.
//!
//! `corpus` has the configurations, `requests` makes requests of a seed, `compare` says where the two differ, and
//! `differences` is the one table of what may differ, with the reason; docs/migrating-from-nginx.md has it as well.
//! What nginx does is asked of nginx, and not known here.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::excessive_nesting,
    reason = "what goes wrong in a test stops the test, and says so; slow clients pause for real; loops over doors, names and paths stand inside one another"
)]

#[path = "../support/mod.rs"]
mod support;

mod client;
mod compare;
mod configuration;
mod differences;
mod multiplexed;
mod random;
mod requests;
mod rig;
mod tally;
mod upstream;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use configuration::Configuration;
use rig::Rig;
use tally::Tally;

/// Each configuration on its own: a process of nginx, one of Portway, and upstreams of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn converted_configurations_do_what_nginx_did_w_38() {
    if support::parts::find("nginx").is_none() {
        return;
    }
    let only = std::env::var("PORTWAY_EQUIVALENCE_ONLY").ok();
    let seed = std::env::var("PORTWAY_EQUIVALENCE_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    let all = Configuration::corpus();
    assert!(all.len() > 27, "{} configurations", all.len());
    let some = all
        .into_iter()
        .filter(|one| only.as_ref().is_none_or(|only| one.name == *only));
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for configuration in some {
        let places = Arc::clone(&places);
        running.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            let rig = Rig::start(configuration).await;
            tokio::task::spawn_blocking(move || rig.compare(seed))
                .await
                .unwrap()
        });
    }
    let mut tally = Tally::default();
    let mut broken = 0;
    while let Some(one) = running.join_next().await {
        match one {
            Ok(one) => tally.add(one),
            // Its message is there already; the others go on.
            Err(_) => broken += 1,
        }
    }
    assert_eq!(broken, 0, "configurations that were not compared");
    eprintln!("{} (seed {seed})", tally.summary());
    tally.expect_nothing_new(seed);
    if only.is_none() && seed == SEED {
        tally.expect_each_row();
        tally.expect_each_way();
    }
}

/// `UPDATE_EXPECTED=1` writes it.
#[test]
fn the_table_of_differences_is_in_the_document_w_38() {
    let path = root().join("docs/migrating-from-nginx.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGINS).expect("the table has a place");
    let (_, behind) = rest.split_once(ENDS).expect("the table has an end");
    let made = format!("{before}{BEGINS}{}{ENDS}{behind}", differences::table());
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, made).unwrap();
        return;
    }
    assert!(
        text == made,
        "docs/migrating-from-nginx.md has another table; UPDATE_EXPECTED=1 writes it"
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

const BEGINS: &str = "<!-- The table is made from tests/equivalence/differences.rs. -->\n\n";
const ENDS: &str = "\n## Directives\n";
const SEED: u64 = 20_261_123;
const AT_ONCE: usize = 4;
