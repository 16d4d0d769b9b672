//! Upstreams that are services: what name servers say of who offers them, with ports, priorities and weights.

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Manner;
use crate::support::Multiplexed;
use crate::support::NameServer;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;

const SERVICE: &str = "_http._tcp.app.test";
const PAGE: &str = "https://app.test/";

struct Rig {
    names: NameServer,
    one: Application,
    two: Application,
    gateway: Gateway,
}

/// Two applications, each on a host of its own, and who offers the service at first.
async fn start(first: impl Fn(u16, u16) -> Vec<(u16, u16, u16, &'static str)>) -> Rig {
    let (one, two) = (Application::start().await, Application::start().await);
    let names = NameServer::start().await;
    names.set("one.test", &["127.0.0.1"], 1);
    names.set("two.test", &["127.0.0.1"], 1);
    names.offer(SERVICE, &first(one.address().port(), two.address().port()));
    let pool = yaml::pool(&format!("primary: [{{ service: {SERVICE} }}]"));
    let ops = "ops: { bind: \"127.0.0.1:0\" }\n";
    let gateway = Gateway::start(&format!("{}{ops}{pool}", names.line())).await;
    until("the service is known", PATIENCE, || async {
        let answer = Browser::new(&gateway).get(PAGE).await;
        (answer.status == 200).then_some(())
    })
    .await;
    Rig {
        names,
        one,
        two,
        gateway,
    }
}

impl Rig {
    /// How many of so many requests came to each.
    async fn shares(&self, times: usize) -> [usize; 2] {
        let before = [self.one.requests(), self.two.requests()];
        let mut browser = Browser::new(&self.gateway);
        for _ in 0..times {
            browser.get(PAGE).await.expect(200);
        }
        [
            self.one.requests() - before[0],
            self.two.requests() - before[1],
        ]
    }

    /// Address, name, tier and weight of each member.
    async fn members(&self) -> Vec<String> {
        let status = self.gateway.status().await;
        let upstreams = status
            .pointer("/pools/0/upstreams")
            .unwrap()
            .as_array()
            .unwrap();
        let each = upstreams.iter();
        each.map(|at| {
            let each = ["address", "name", "tier", "weight"];
            let each = each.map(|key| at.get(key).unwrap().to_string().replace('"', ""));
            each.join(" ")
        })
        .collect()
    }
}

#[tokio::test]
async fn a_service_is_offered_by_hosts_with_ports_and_weights_of_their_own() {
    let rig = start(|one, two| vec![(10, 1, one, "one.test."), (10, 3, two, "two.test.")]).await;
    assert_eq!(rig.shares(40).await, [10, 30]);
    let at = rig.two.address();
    let up = format!("portway_upstream_up{{pool=\"app\",upstream=\"{SERVICE}\",address=\"{at}\"}}");
    assert_eq!(rig.gateway.metric(&up).await, Some(1.0));
    // Other weights are followed, and one that is gone is sent nothing.
    let (one, two) = (rig.one.address().port(), rig.two.address().port());
    let equal = [(10, 0, one, "one.test."), (10, 1, two, "two.test.")];
    rig.names.offer(SERVICE, &equal);
    until("the weights are equal", PATIENCE, || async {
        (rig.shares(8).await == [4, 4]).then_some(())
    })
    .await;
    rig.names.offer(SERVICE, &[(10, 1, two, "two.test.")]);
    rig.gateway
        .wait_for_log(&format!("gone=\"127.0.0.1:{one}\""))
        .await;
    assert_eq!(rig.shares(8).await, [0, 8]);
}

#[tokio::test]
async fn hosts_of_a_higher_priority_number_join_when_the_first_are_gone() {
    let rig = start(|one, two| vec![(20, 1, two, "two.test."), (10, 1, one, "one.test.")]).await;
    assert_eq!(rig.shares(8).await, [8, 0]);
    let mut expected = vec![
        format!("{} {SERVICE} primary 1", rig.one.address()),
        format!("{} {SERVICE} secondary 1", rig.two.address()),
    ];
    expected.sort_unstable();
    let mut members = rig.members().await;
    members.sort_unstable();
    assert_eq!(members, expected);
    let done = rig
        .gateway
        .verb(&["pool", "drain", "app", &rig.one.address().to_string()])
        .await;
    assert!(done.status.success(), "{done:?}");
    assert_eq!(rig.shares(8).await, [0, 8]);
}

/// Whoever forges an answer chooses the hosts of a service, and would have a certificate for one of them.
#[tokio::test]
async fn certificates_are_for_the_domain_of_a_service_and_not_for_hosts_that_an_answer_names() {
    let upstream = Multiplexed::start(Manner::Tls(&[b"h2"])).await;
    let names = NameServer::start().await;
    for (service, host, status) in [
        ("_https._tcp.app.test", "elsewhere.test", 200),
        ("_https._tcp.elsewhere.test", "app.test", 503),
    ] {
        names.set(host, &["127.0.0.1"], 1);
        let port = upstream.address().port();
        names.offer(service, &[(1, 1, port, &format!("{host}."))]);
        let tls = "scheme: h2, tls: { ca_file: ca.pem }";
        let pool = yaml::pool(&format!("primary: [{{ service: {service} }}], {tls}"));
        let gateway = Gateway::start(&format!("{}{pool}", names.line())).await;
        gateway.wait_for_log("a name has other addresses").await;
        Browser::new(&gateway).get(PAGE).await.expect(status);
    }
    assert_eq!(upstream.heads().len(), 1);
}

#[tokio::test]
async fn half_an_answer_about_a_host_takes_nobody_away() {
    let rig = start(|one, _| vec![(10, 1, one, "one.test.")]).await;
    rig.names.set("one.test", &["127.0.0.1", "::1"], 1);
    until("both addresses are known", PATIENCE, || async {
        (rig.members().await.len() == 2).then_some(())
    })
    .await;
    rig.names.set_lost_for_ipv6(true);
    rig.gateway.wait_for_log("a name was not resolved").await;
    assert_eq!(rig.members().await.len(), 2, "{}", rig.gateway.log());
}

#[tokio::test]
async fn a_service_that_nobody_offers_any_more_stays_where_it_was() {
    let rig = start(|one, _| {
        vec![
            (10, 1, one, "one.test."),
            // Nobody has this host, which is nothing to the others.
            (10, 1, 9, "nobody.test."),
        ]
    })
    .await;
    assert_eq!(rig.shares(4).await, [4, 0]);
    // A dot in place of a host says that the service is not offered.
    rig.names.offer(SERVICE, &[(0, 0, 0, ".")]);
    rig.gateway.wait_for_log("knows no such service").await;
    assert_eq!(rig.shares(4).await, [4, 0]);
    let two = rig.two.address().port();
    rig.names.offer(SERVICE, &[(10, 1, two, "two.test.")]);
    rig.gateway.wait_for_log("a name is resolved again").await;
    until("the other one is asked", PATIENCE, || async {
        (rig.shares(4).await == [0, 4]).then_some(())
    })
    .await;
}
