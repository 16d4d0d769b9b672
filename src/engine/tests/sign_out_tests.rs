//! The collector's sign-out: everything ends first, then the browser is tidied up host by host.

use super::collector_tests::COLLECTOR;
use super::collector_tests::Desk;
use super::collector_tests::no_sign_out;
use super::collector_tests::sealed_in;
use super::collector_tests::sign_out_binding;
use super::collector_tests::visitor;
use super::*;
use crate::crypto::claims::SignOut;
use crate::decision::reply::ReplyKind;
use crate::decision::reply::SignedOut;
use crate::engine::collector::Provenance;
use crate::model::end::Confirmed;

const MINUTES: Duration = Duration::from_secs(5 * 60);

/// The page at the end of a sign-out in one data centre.
fn signed_out(confirmed: Confirmed) -> ReplyKind {
    ReplyKind::SignedOut(SignedOut {
        confirmed,
        data_centres: Vec::new(),
        return_to: None,
    })
}

impl Desk {
    async fn sign_out(
        &mut self,
        provenance: Provenance,
        state: Option<&str>,
        return_to: Option<&str>,
    ) -> ReplyKind {
        let lines = self.browser.lines();
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        let visitor = visitor(&lines, provenance);
        let reply = self.collector.sign_out(&visitor, state, return_to).await;
        self.browser.take(reply)
    }

    async fn visit(&self, session: &Session, names: &[&str]) {
        for name in names {
            let visit = self.world.visit(&claim(session), name).await;
            assert!(matches!(visit, Lookup::Live(_)));
        }
    }

    fn state(&self, state: &SignOut) -> String {
        self.seal(&sign_out_binding(COLLECTOR), state)
    }

    /// A state as an application host sends it, good for some minutes.
    fn fresh(&self) -> SignOut {
        no_sign_out(self.world.now().after(MINUTES))
    }

    /// The state that was sent on to the next host.
    fn sent_to(&self, reply: &ReplyKind, name: &str, origin: &str) -> SignOut {
        let sealed = sealed_in(reply, &format!("{origin}/.portway/clear?c="));
        self.open(&sign_out_binding(name), &sealed).unwrap()
    }
}

#[tokio::test]
async fn a_sign_out_ends_the_session_and_clears_the_collectors_cookies_s_14() {
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    let reply = desk.sign_out(Provenance::Own, None, None).await;
    assert_eq!(reply, signed_out(Confirmed::Durable));
    assert_eq!(desk.world.refusal(&claim(&session)), Some(NotLive::Ended));
    let device = desk.collector.names.device.as_str();
    assert_eq!(
        desk.browser.names(),
        [device],
        "ID and nonce cookie are gone"
    );
}

#[tokio::test]
async fn a_sign_out_goes_on_to_the_visited_hosts_in_their_order() {
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    desk.visit(&session, &["app.test", "shop.apps.test"]).await;
    let reply = desk.sign_out(Provenance::Own, None, None).await;
    let state = desk.sent_to(&reply, "app.test", "https://app.test");
    let expected = SignOut {
        ended: vec![session.facts.sso],
        hosts: vec![host("shop.apps.test")],
        provider: None,
        return_to: None,
        confirmed: Confirmed::Durable,
        data_centres: Vec::new(),
        expires: desk.world.now().after(MINUTES),
    };
    assert_eq!(state, expected);
    let sealed = sealed_in(&reply, "https://app.test/.portway/clear?c=");
    let elsewhere = sign_out_binding("shop.apps.test");
    assert!(desk.open::<SignOut>(&elsewhere, &sealed).is_none());
}

#[tokio::test]
async fn a_visited_host_that_is_no_longer_served_is_left_out_d_18() {
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    desk.visit(&session, &["gone.test", "shop.apps.test"]).await;
    let reply = desk.sign_out(Provenance::Own, None, None).await;
    let origin = "https://shop.apps.test:8443";
    let state = desk.sent_to(&reply, "shop.apps.test", origin);
    assert!(state.hosts.is_empty());
}

#[tokio::test]
async fn a_link_on_another_site_signs_nobody_out() {
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    let expired = no_sign_out(desk.world.now());
    let expired = desk.state(&expired);
    let foreign = desk.seal(&sign_out_binding("app.test"), &desk.fresh());
    for state in [
        None,
        Some("junk"),
        Some(expired.as_str()),
        Some(foreign.as_str()),
    ] {
        let reply = desk.sign_out(Provenance::Elsewhere, state, None).await;
        assert_eq!(reply, ReplyKind::ConfirmSignOut);
    }
    assert!(desk.world.serves(&session));
    assert!(desk.id_cookie().is_some());
}

#[tokio::test]
async fn a_sign_out_that_began_at_an_application_goes_on_without_a_question() {
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    desk.visit(&session, &["app.test", "shop.apps.test"]).await;
    let ended = desk.world.end(&session).await;
    let mut begun = desk.fresh();
    begun.ended.push(session.facts.sso);
    begun.hosts.extend(ended.visited);
    let sealed = desk.state(&begun);
    let reply = desk
        .sign_out(Provenance::Elsewhere, Some(&sealed), None)
        .await;
    let state = desk.sent_to(&reply, "app.test", "https://app.test");
    assert_eq!(state.hosts, [host("shop.apps.test")], "each host once");
    assert!(state.ended.iter().all(|sso| *sso == session.facts.sso));
    assert_eq!(state.expires, begun.expires, "a journey is not prolonged");
    assert_eq!(desk.browser.names(), [desk.collector.names.device.as_str()]);
}

/// Anybody can have a sign-out sealed, at an application and for a session of their own.
#[tokio::test]
async fn a_sign_out_of_somebody_else_signs_nobody_out() {
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    let mut others = desk.fresh();
    others.ended.push(SsoId::from_bytes([0xF0; 16]));
    let nobodys = desk.fresh();
    for state in [others.clone(), nobodys] {
        let sealed = desk.state(&state);
        let reply = desk.sign_out(Provenance::Elsewhere, Some(&sealed), None);
        assert_eq!(reply.await, ReplyKind::ConfirmSignOut);
    }
    assert!(desk.world.serves(&session));
    let sealed = desk.state(&others);
    let reply = desk.sign_out(Provenance::Own, Some(&sealed), None).await;
    assert_eq!(reply, signed_out(Confirmed::Durable));
    assert!(
        !desk.world.serves(&session),
        "confirmed on a page of its own"
    );
}

#[tokio::test]
async fn a_browser_that_is_not_signed_in_is_signed_out_all_the_same() {
    let mut desk = Desk::new();
    let page = desk.page(None).await;
    assert!(!page.form.is_empty());
    let reply = desk.sign_out(Provenance::Own, None, None).await;
    assert_eq!(reply, signed_out(Confirmed::Durable));
    assert_eq!(desk.browser.names(), [""; 0]);
    assert!(desk.world.log().is_empty());
}

#[tokio::test]
async fn a_sign_out_ends_every_session_that_an_id_cookie_names_s_18() {
    let mut desk = Desk::new();
    let alice = desk.world.sign_in("alice").await;
    let bob = desk.world.sign_in("bob").await;
    let mut unknown = Session::clone(&bob);
    unknown.facts.sso = SsoId::from_bytes([0xF1; 16]);
    let name = desk.collector.names.id.clone();
    let values = [&alice, &bob, &unknown].map(|session| desk.id_cookie_of(session));
    for value in &values {
        desk.browser.add(&name, value);
    }
    desk.sign_out(Provenance::Own, None, None).await;
    for session in [&alice, &bob, &unknown] {
        let found = desk.world.store.find(&session.facts.sso);
        assert!(matches!(found, Found::Ended), "{session:?}");
    }
}

#[tokio::test]
async fn a_return_address_is_kept_on_served_hosts_only_d_18() {
    let cases = [
        ("https://app.test/bye", Some("https://app.test/bye")),
        (
            "https://shop.apps.test:8443",
            Some("https://shop.apps.test:8443/"),
        ),
        ("https://evil.test/", None),
        ("//evil.test/", None),
        ("/relative", None),
        ("", None),
    ];
    for (asked, sent) in cases {
        let mut desk = Desk::new();
        desk.sign_in("alice").await;
        let reply = desk.sign_out(Provenance::Own, None, Some(asked)).await;
        let expected = match sent {
            Some(address) => ReplyKind::Redirect(address.to_owned()),
            None => signed_out(Confirmed::Durable),
        };
        assert_eq!(reply, expected, "{asked:?}");
    }
}

#[tokio::test]
async fn an_end_that_is_not_durable_is_told_to_the_user_s_15() {
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    desk.visit(&session, &["app.test"]).await;
    desk.world.store.ends_are(Ends::Failing);
    let reply = desk.sign_out(Provenance::Own, None, None).await;
    let state = desk.sent_to(&reply, "app.test", "https://app.test");
    assert_eq!(state.confirmed, Confirmed::Outstanding);
    assert!(!desk.world.serves(&session));
    let sealed = desk.state(&state);
    let page = desk.collector.signed_out(Some(&sealed)).kind;
    assert_eq!(page, signed_out(Confirmed::Outstanding));
}

#[tokio::test]
async fn a_return_address_does_not_hide_that_an_end_is_not_durable_s_15() {
    let mut desk = Desk::new();
    desk.sign_in("alice").await;
    desk.world.store.ends_are(Ends::Failing);
    let address = Some("https://app.test/bye");
    let reply = desk.sign_out(Provenance::Own, None, address).await;
    let page = ReplyKind::SignedOut(SignedOut {
        confirmed: Confirmed::Outstanding,
        data_centres: Vec::new(),
        return_to: address.map(str::to_owned),
    });
    assert_eq!(reply, page, "and the page leads there");
}

#[tokio::test]
async fn an_end_that_was_not_durable_at_the_application_stays_told_s_15() {
    let mut desk = Desk::new();
    let mut begun = desk.fresh();
    begun.confirmed = Confirmed::Outstanding;
    let sealed = desk.state(&begun);
    let reply = desk.sign_out(Provenance::Elsewhere, Some(&sealed), None);
    assert_eq!(reply.await, signed_out(Confirmed::Outstanding));
}

#[test]
fn the_end_of_a_sign_out_tells_what_its_state_says() {
    let desk = Desk::new();
    let durable = desk.state(&desk.fresh());
    for state in [Some(durable.as_str()), Some("junk"), None] {
        let reply = desk.collector.signed_out(state);
        assert_eq!(reply.kind, signed_out(Confirmed::Durable));
        assert!(reply.cookies.is_empty());
    }
}
