//! Signing in at a provider of OpenID Connect in one data centre, going on in another, and signing out at the
//! provider.

use serde_json::json;

use crate::pair::APP;
use crate::pair::BOUND;
use crate::pair::FREE;
use crate::pair::OTHER;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::adoptions;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::gateway::Setup;
use crate::support::openid::OpenId;
use crate::support::openid::SECRET;
use crate::support::until;

/// What was adopted carries who it is, and what the provider says to one data centre holds in the other (MDC-ADOPT-8,
/// S-15).
#[tokio::test]
async fn a_session_of_a_provider_is_adopted_and_ends_everywhere_when_it_is_over_there() {
    let collector = "https://login.apps.test/.portway/provider/corp";
    let settings = json!({
        "redirect": format!("{collector}/callback"),
        "backChannel": format!("{collector}/logout"),
    });
    let Some(provider) = OpenId::start(&settings).await else {
        return;
    };
    let section = provider.section(", claims: { attributes: { dept: org.dept } }");
    let plan = Plan {
        authentication: Some(&section),
        ..FREE
    };
    let secret = format!("{SECRET}\n");
    let [a, b] = [(); 2].map(|()| Setup::new().file("client.secret", &secret));
    let pair = Pair::with(plan, a, b).await;
    provider.meets(&pair.a);
    let mut browser = Browser::new(&pair.a);
    let page = browser.get(APP).await;
    let page = browser.follow_all(page).await.expect(200);
    let back = OpenId::sign_in(&mut browser, &page, "carol").await;
    browser.follow_all(back).await.expect(200);
    browser.go_to(&pair.b);
    let there = browser.get(OTHER).await;
    let there = browser.follow_all(there).await.expect(200);
    assert_eq!(adoptions(&pair.b).await, 1);
    for (name, value) in [
        ("remote-user", "carol"),
        ("remote-groups", "staff,admins"),
        ("remote-email", "carol@idp.test"),
    ] {
        assert_eq!(there.told(name), value);
    }
    let page = browser
        .get(&format!("{}/session/end", provider.issuer()))
        .await;
    let form = page.form().pressing("logout", "yes");
    let answer = browser.submit(&page, &form).await;
    browser.follow_all(answer).await;
    for gateway in [&pair.b, &pair.a] {
        until_asked(&browser, gateway, &provider).await;
    }
}

/// Waits until a browser is sent to the provider.
async fn until_asked(browser: &Browser, at: &Gateway, provider: &OpenId) {
    until("the session is over", BOUND, || async {
        let mut copy = browser.clone();
        copy.go_to(at);
        let answer = copy.get(OTHER).await;
        let answer = copy.follow_all(answer).await;
        (answer.url.origin() == provider.issuer()).then_some(())
    })
    .await;
}
