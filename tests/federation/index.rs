//! A session that came from elsewhere is found again, and comes once.

use futures_util::future::join_all;

use crate::pair::ANCHORED;
use crate::pair::APP;
use crate::pair::FREE;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::adoptions;
use crate::pair::served;
use crate::pair::visit;
use crate::support::Request;

const PARALLEL: usize = 200;

/// M-017: the cookie stays as it is, and the index leads from it to the session here.
#[tokio::test]
async fn later_requests_with_the_same_cookie_ask_nobody_mdc_index_1_mdc_index_2_m_018_m_019() {
    let pair = Pair::start(FREE).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let cookie = alice.jar.find("app.apps.test", "authn").unwrap().clone();
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    // The cookie still names the other data centre: it is not set anew at authorisation (MDC-COOKIE-3).
    let after = alice.jar.find("app.apps.test", "authn").unwrap();
    assert_eq!(after.value, cookie.value);
    pair.cut();
    for _ in 0..20 {
        assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    }
    assert_eq!(adoptions(&pair.b).await, 1);
}

#[tokio::test]
async fn two_hundred_first_requests_at_once_are_one_adoption_mdc_index_3_x_21() {
    for plan in [
        FREE,
        Plan {
            // A busy machine needs its time for two hundred handshakes.
            adoption: "anchor_session: true, retrieve_timeout: 5s",
            ..ANCHORED
        },
    ] {
        let pair = Pair::start(plan).await;
        let mut alice = pair.signed_in_at_a("alice").await;
        alice.go_to(&pair.b);
        let requests = (0..PARALLEL).map(|_| alice.try_send(Request::get(APP)));
        let answers = join_all(requests).await;
        for answer in answers {
            let answer = answer.unwrap().expect(200);
            assert_eq!(answer.told("remote-user"), "alice");
        }
        assert_eq!(adoptions(&pair.b).await, 1);
        assert_eq!(adoptions(&pair.a).await, 0);
    }
}
