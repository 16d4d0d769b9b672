//! Sessions that are bound to the network or the program of their browser: the other data centre enforces it
//! alike, and a hop loosens nothing (D-19).

use crate::pair::ANCHORED;
use crate::pair::APP;
use crate::pair::Arrival;
use crate::pair::FREE;
use crate::pair::OTHER;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::adoptions;
use crate::pair::served;
use crate::pair::visit;
use crate::support::Browser;
use crate::support::Gateway;

const HOME: &str = "192.0.2.1";
const AWAY: &str = "192.0.2.2";

fn from(browser: &Browser, address: &str) -> Browser {
    browser.clone().sending("x-forwarded-for", address)
}

/// Copies of a browser's cookies in another network and in another program.
fn thieves(owner: &Browser) -> [Browser; 2] {
    let renamed = owner.clone().sending("user-agent", "another");
    [from(owner, AWAY), renamed]
}

async fn are_thieves_challenged(owner: &Browser, at: &Gateway) -> bool {
    for mut thief in thieves(owner) {
        for url in [APP, OTHER] {
            if visit(&mut thief, at, url).await != Arrival::Challenged {
                return false;
            }
        }
    }
    true
}

async fn is_served(owner: &mut Browser, at: &Gateway) -> bool {
    for url in [APP, OTHER] {
        if visit(owner, at, url).await != served("alice") {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn a_bound_session_is_its_owners_at_every_data_centre_and_nobody_elses_d_19() {
    for plan in [FREE, ANCHORED] {
        let pair = Pair::start(Plan {
            session: "bind_to: [address, user_agent]",
            ..plan
        })
        .await;
        let mut alice = from(&Browser::new(&pair.a), HOME);
        alice.sign_in(APP, "alice").await.expect(200);
        assert!(are_thieves_challenged(&alice, &pair.b).await);
        assert_eq!(adoptions(&pair.b).await, 0, "nothing moves for a thief");
        assert!(is_served(&mut alice, &pair.b).await);
        // The cookies that she got there are as bound as those of home, here and there.
        for gateway in [&pair.b, &pair.a] {
            assert!(are_thieves_challenged(&alice, gateway).await);
            assert!(is_served(&mut alice, gateway).await);
        }
        // Who moves signs in where they are.
        let mut moved = from(&alice, AWAY);
        moved.go_to(&pair.b);
        moved.sign_in(APP, "alice").await.expect(200);
        assert!(is_served(&mut moved, &pair.a).await);
    }
}
