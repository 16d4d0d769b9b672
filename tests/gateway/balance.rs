//! Which member gets a request: turns, weights, keys, the least busy; two tiers.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use crate::support::Answer;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Nginx;
use crate::support::Request;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml::POLICIES;

const QUICK: &str = "fail_timeout: 500ms";

/// One pool with these settings; `/in` is protected, everything else is not.
fn pool(settings: &str) -> String {
    format!(
        "trusted_proxies: [127.0.0.1/32]
{HEAD}pools: {{ app: {{ {settings} }} }}
{POLICIES}virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /in, access: protected, policy: anybody, pool: app }}
      - {{ path: /, access: excluded, pool: app }}
"
    )
}

/// Real upstreams, each with a letter for a name; `None` without nginx.
async fn upstreams(names: &str) -> Option<Vec<Nginx>> {
    let mut started = Vec::new();
    for name in names.chars() {
        started.push(Nginx::start(&name.to_string()).await?);
    }
    Some(started)
}

fn list(upstreams: &[Nginx]) -> String {
    let quoted: Vec<_> = upstreams
        .iter()
        .map(|one| format!("\"{}\"", one.address()))
        .collect();
    format!("[{}]", quoted.join(", "))
}

async fn who(gateway: &Gateway, request: Request) -> String {
    let answer: Answer = Browser::new(gateway).send(request).await.expect(200);
    answer.told("upstream")
}

fn page() -> Request {
    Request::get("https://app.test/")
}

fn from(client: &str) -> Request {
    page().header("x-forwarded-for", client)
}

/// M-049: each pool has weights of its own.
#[tokio::test]
async fn round_robin_gives_each_member_its_weight_w_03() {
    let Some(upstreams) = upstreams("abc").await else {
        return;
    };
    let [a, b, c] = [0, 1, 2].map(|at: usize| upstreams[at].address());
    let settings = format!(
        "primary: [\"{a}\", {{ address: \"{b}\", weight: 2 }}, {{ address: \"{c}\", weight: 3 }}]"
    );
    let gateway = Gateway::start(&pool(&settings)).await;
    let mut counts = BTreeMap::new();
    for _ in 0..60 {
        *counts.entry(who(&gateway, page()).await).or_insert(0) += 1;
    }
    let expected = [("a", 10), ("b", 20), ("c", 30)];
    assert_eq!(
        counts,
        expected
            .map(|(name, count)| (name.to_owned(), count))
            .into()
    );
}

#[tokio::test]
async fn ip_hash_keeps_a_network_on_one_member_while_it_is_there_w_05() {
    let Some(mut upstreams) = upstreams("abc").await else {
        return;
    };
    let settings = format!("primary: {}, balance: ip_hash, {QUICK}", list(&upstreams));
    let gateway = Gateway::start(&pool(&settings)).await;
    let mut homes = BTreeMap::new();
    for network in 0..24 {
        let home = who(&gateway, from(&format!("203.0.{network}.1"))).await;
        for host in [2, 77, 255] {
            let client = format!("203.0.{network}.{host}");
            assert_eq!(who(&gateway, from(&client)).await, home, "{client}");
        }
        homes.insert(network, home);
    }
    let names: std::collections::BTreeSet<_> = homes.values().cloned().collect();
    assert_eq!(names.len(), 3, "{homes:?}");
    // A member that goes takes only its own clients along, and they come back with it.
    upstreams[0].kill();
    let mut moved = BTreeMap::new();
    for (network, home) in &homes {
        let now = who(&gateway, from(&format!("203.0.{network}.9"))).await;
        assert_ne!(now, "a");
        assert!(home == "a" || now == *home, "{network}: {home} {now}");
        moved.insert(network, now);
    }
    for (network, home) in &moved {
        assert_eq!(
            who(&gateway, from(&format!("203.0.{network}.10"))).await,
            *home
        );
    }
    upstreams[0].start_again().await;
    let one_of_a = homes.iter().find(|(_, home)| *home == "a").unwrap().0;
    until("its clients come back", PATIENCE, || async {
        (who(&gateway, from(&format!("203.0.{one_of_a}.1"))).await == "a").then_some(())
    })
    .await;
    for (network, home) in &homes {
        assert_eq!(
            who(&gateway, from(&format!("203.0.{network}.1"))).await,
            *home
        );
    }
}

#[tokio::test]
async fn ip_hash_and_a_secondary_tier_work_together_w_06() {
    let Some(mut upstreams) = upstreams("abxy").await else {
        return;
    };
    let settings = format!(
        "primary: {}, secondary: {}, balance: ip_hash, {QUICK}",
        list(&upstreams[..2]),
        list(&upstreams[2..])
    );
    let gateway = Gateway::start(&pool(&settings)).await;
    let clients: Vec<String> = (0..12)
        .map(|network| format!("198.51.{network}.1"))
        .collect();
    let mut homes = Vec::new();
    for client in &clients {
        homes.push(who(&gateway, from(client)).await);
    }
    assert!(homes.iter().all(|home| "ab".contains(home)), "{homes:?}");
    upstreams[0].kill();
    upstreams[1].kill();
    let mut away = Vec::new();
    for client in &clients {
        away.push(who(&gateway, from(client)).await);
    }
    assert!(away.iter().all(|home| "xy".contains(home)), "{away:?}");
    for (client, home) in clients.iter().zip(&away) {
        assert_eq!(who(&gateway, from(client)).await, *home, "{client}");
    }
    upstreams[0].start_again().await;
    upstreams[1].start_again().await;
    until("everybody is back", PATIENCE, || async {
        let mut back = Vec::new();
        for client in &clients {
            back.push(who(&gateway, from(client)).await);
        }
        (back == homes).then_some(())
    })
    .await;
}

#[tokio::test]
async fn secondaries_serve_when_the_primaries_are_gone_and_only_then_mdc_topo_2() {
    let Some(mut upstreams) = upstreams("abx").await else {
        return;
    };
    let settings = format!(
        "primary: {}, secondary: {}, {QUICK}",
        list(&upstreams[..2]),
        list(&upstreams[2..])
    );
    let gateway = Gateway::start(&pool(&settings)).await;
    let serving = |gateway| async move {
        let mut names = std::collections::BTreeSet::new();
        for _ in 0..6 {
            names.insert(who(gateway, page()).await);
        }
        names.into_iter().collect::<String>()
    };
    assert_eq!(serving(&gateway).await, "ab");
    upstreams[0].kill();
    assert_eq!(serving(&gateway).await, "b");
    upstreams[1].kill();
    assert_eq!(serving(&gateway).await, "x");
    upstreams[1].start_again().await;
    until("the primaries serve alone", PATIENCE, || async {
        (serving(&gateway).await == "b").then_some(())
    })
    .await;
    upstreams[0].start_again().await;
    until("both primaries serve", PATIENCE, || async {
        (serving(&gateway).await == "ab").then_some(())
    })
    .await;
}

#[tokio::test]
async fn below_the_threshold_secondaries_join_the_primaries_mdc_topo_2() {
    let Some(mut upstreams) = upstreams("abx").await else {
        return;
    };
    let settings = format!(
        "primary: {}, secondary: {}, failover_threshold: 2, fail_timeout: 60s",
        list(&upstreams[..2]),
        list(&upstreams[2..])
    );
    let gateway = Gateway::start(&pool(&settings)).await;
    let mut names = BTreeMap::new();
    for _ in 0..6 {
        *names.entry(who(&gateway, page()).await).or_insert(0) += 1;
    }
    assert_eq!(names.keys().cloned().collect::<String>(), "ab");
    upstreams[0].kill();
    // The requests that find out go on to others.
    for _ in 0..3 {
        who(&gateway, page()).await;
    }
    let mut names = BTreeMap::new();
    for _ in 0..10 {
        *names.entry(who(&gateway, page()).await).or_insert(0) += 1;
    }
    assert_eq!(
        names,
        BTreeMap::from([("b".to_owned(), 5), ("x".to_owned(), 5)])
    );
}

#[tokio::test]
async fn a_hash_keeps_a_cookie_a_header_or_a_session_on_one_member() {
    let Some(upstreams) = upstreams("abc").await else {
        return;
    };
    for (balance, header) in [
        ("{ hash: { cookie: JSESSIONID } }", "cookie"),
        ("{ hash: { header: X-Tenant } }", "x-tenant"),
    ] {
        let settings = format!("primary: {}, balance: {balance}", list(&upstreams));
        let gateway = Gateway::start(&pool(&settings)).await;
        let mut homes = std::collections::BTreeSet::new();
        for key in 0..16 {
            let value = match header {
                "cookie" => format!("a=b; JSESSIONID={key}; c=d{key}"),
                _ => key.to_string(),
            };
            let asked = [(); 3].map(|()| who(&gateway, page().header(header, &value)));
            let names: std::collections::BTreeSet<_> = join_all(asked).await.into_iter().collect();
            assert_eq!(names.len(), 1, "{value}: {names:?}");
            homes.extend(names);
        }
        assert_eq!(homes.len(), 3, "{balance}: {homes:?}");
        // Without the key requests take turns.
        let mut turns = std::collections::BTreeSet::new();
        for _ in 0..3 {
            turns.insert(who(&gateway, page()).await);
        }
        assert_eq!(turns.len(), 3);
    }
    let settings = format!(
        "primary: {}, balance: {{ hash: session }}",
        list(&upstreams)
    );
    let gateway = Gateway::start(&pool(&settings)).await;
    let mut homes = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let mut browser = Browser::new(&gateway);
        let there = browser
            .sign_in("https://app.test/in", "alice")
            .await
            .expect(200);
        let home = there.told("upstream");
        for _ in 0..2 {
            let again = browser.get("https://app.test/in/again").await.expect(200);
            assert_eq!(again.told("upstream"), home);
        }
        homes.insert(home);
    }
    assert!(homes.len() > 1, "{homes:?}");
}

#[tokio::test]
async fn least_connections_chooses_the_member_with_the_fewest_running_requests() {
    let (one, two) = (Application::start().await, Application::start().await);
    let settings = format!(
        "primary: [\"{}\", \"{}\"], balance: least_connections",
        one.address(),
        two.address()
    );
    let gateway = Gateway::start(&pool(&settings)).await;
    let browser = Browser::new(&gateway);
    let mut streams = Vec::new();
    for opened in 1..=6 {
        let mut live = browser.open(Request::get("https://app.test/still")).await;
        live.next().await.unwrap().unwrap();
        streams.push(live);
        let difference = one.open().abs_diff(two.open());
        assert_eq!((one.open() + two.open(), difference), (opened, opened % 2));
    }
    // Requests that have ended no longer count.
    streams.truncate(3);
    until("three streams are left", PATIENCE, || async {
        (one.open() + two.open() == 3).then_some(())
    })
    .await;
    let mut live = browser.open(Request::get("https://app.test/still")).await;
    live.next().await.unwrap().unwrap();
    assert_eq!((one.open(), two.open()), (2, 2));
}
