//! What a gate goes by is what its engines say, and the data centre that it names is the one that served.

use std::time::Duration;

use crate::backchannel::remote::tests::rig_tests::*;
use crate::decision::cookies::settings::CookieSettings;
use crate::ports::clock::Clock;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;

impl TestGate {
    /// What the gate goes by.
    fn terms(&self) -> Option<CookieSettings> {
        let terms = self.remote.cookie_terms();
        let current = terms.current();
        current.as_ref().map(|settings| settings.as_ref().clone())
    }

    async fn goes_by(&self, name: &'static str) -> CookieSettings {
        let is_by = || self.terms().is_some_and(|it| it.cluster == cluster(name));
        until("the gate goes by it", is_by).await;
        self.terms().unwrap()
    }

    /// The data centre that a session which serves would be said to be served by.
    async fn served_by(&self, claim: &crate::model::claim::Claim) -> String {
        let Lookup::Live(session) = self.remote.judge(claim, self.clock.now()).await else {
            panic!("it serves");
        };
        let holder = self.remote.holder(&session).unwrap();
        assert_eq!(holder.session, session.id);
        holder.cluster.to_string()
    }
}

#[tokio::test]
async fn a_gate_goes_by_what_its_engine_says_mdc_cookie_3_mdc_cookie_4() {
    let ny = Site::start("ny", &[GATE]).await;
    let gate = Plan::at(&ny).start();
    assert!(gate.terms().is_none(), "before it has said anything");
    gate.remote.told().await;
    let told = gate.terms().unwrap();
    assert_eq!(told.cluster, cluster("ny"));
    assert_eq!(told.authn_lifetime, Some(Duration::from_mins(15)));
    assert_eq!(told.skew_allowance, Duration::from_secs(30));
    let gito = told.gito.unwrap();
    assert_eq!(gito.domain.as_str(), "test");
    assert_eq!(gito.granularity, Duration::from_secs(20));
    let tag = crate::crypto::tags::ClusterTag::of(&cluster("ny"));
    assert_eq!(told.clusters.find(tag), Some(&cluster("ny")));
}

#[tokio::test]
async fn an_engine_that_starts_with_another_configuration_is_asked_again() {
    let mut ny = Site::start("ny", &[GATE]).await;
    let gate = Plan::at(&ny).start();
    gate.follows(0).await;
    ny.authn_lifetime = Duration::from_mins(7);
    ny.restart(&[GATE]).await;
    let is_new = || gate.terms().unwrap().authn_lifetime == Some(Duration::from_mins(7));
    until("the gate goes by it", is_new).await;
}

#[tokio::test]
async fn a_gate_goes_by_its_own_data_centre_as_soon_as_that_is_heard_of_m_055() {
    let ny = Site::start("ny", &[GATE]).await;
    let ldc = Site::start("ldc", &[GATE]).await;
    ny.relay.set(Passage::Cut);
    let gate = Plan {
        secondary: vec![&ldc],
        ..Plan::at(&ny)
    }
    .start();
    gate.goes_by("ldc").await;
    ny.relay.set(Passage::Open);
    gate.goes_by("ny").await;
    ny.relay.set(Passage::Cut);
    let home = gate.remote.node(0).unwrap();
    until("home is lost", || !home.is_followed(gate.clock.now())).await;
    assert_eq!(gate.terms().unwrap().cluster, cluster("ny"));
}

#[tokio::test]
async fn the_data_centre_that_served_is_named_and_home_again_when_home_m_022() {
    let ny = Site::start("ny", &[GATE]).await;
    let ldc = Site::start("ldc", &[GATE]).await;
    let claim = ny.engine.hold(1);
    ldc.engine.hold(1);
    let gate = Plan {
        secondary: vec![&ldc],
        ..Plan::at(&ny)
    }
    .start();
    gate.follows(0).await;
    gate.follows(1).await;
    assert_eq!(gate.served_by(&claim).await, "ny");
    ny.relay.set(Passage::Cut);
    until("memory is not relied on", || {
        is_unknown(&gate.lookup(&claim))
    })
    .await;
    assert_eq!(gate.served_by(&claim).await, "ldc");
    ny.relay.set(Passage::Open);
    gate.follows(0).await;
    assert_eq!(gate.served_by(&claim).await, "ny");
}
