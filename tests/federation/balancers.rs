//! What answers tell a balancer in front of several data centres (M-006).

use crate::pair::APP;
use crate::pair::FREE;
use crate::pair::Gito;
use crate::pair::OTHER;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::visit;
use crate::support::Answer;

const NAMED: Plan<'static> = Plan {
    mdc: "  data_centre_cookie: dc\n",
    gito: Gito::Without,
    ..FREE
};

fn hints(answer: &Answer) -> Vec<String> {
    let cookies = answer.set_cookies().into_iter();
    let hints = cookies.filter(|cookie| cookie.starts_with("dc="));
    hints.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_answer_names_its_data_centre_and_a_cookie_does_so_once_m_006() {
    let pair = Pair::start(NAMED).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let page = alice.get(APP).await;
    assert_eq!((page.status, page.header("x-dc")), (200, "dc-a"));
    assert!(hints(&page).is_empty(), "she was told before");
    let refused = alice.get("https://app.apps.test/%2e%2e%2f%00").await;
    assert_eq!((refused.status, refused.header("x-dc")), (400, "dc-a"));
    // The balancer changes its mind: the other data centre says so.
    visit(&mut alice, &pair.b, OTHER).await;
    let page = alice.get(APP).await;
    assert_eq!((page.status, page.header("x-dc")), (200, "dc-b"));
    assert_eq!(
        hints(&page),
        ["dc=dc-b; HttpOnly; SameSite=Lax; Secure; Path=/"]
    );
    assert!(hints(&alice.get(APP).await).is_empty());
}

#[tokio::test]
async fn the_header_can_be_left_out_m_006() {
    let pair = Pair::start(Plan {
        mdc: "  data_centre_header: null\n",
        ..NAMED
    })
    .await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let page = alice.get(APP).await;
    assert_eq!((page.status, page.header("x-dc")), (200, ""));
    assert!(hints(&page).is_empty(), "there is no cookie");
}
