//! The ID cookie and what it is bound to: where it is bound, where it is worth nothing, and what a sign-in from
//! elsewhere comes to (D-19).

use http::HeaderMap;
use http::header::USER_AGENT;

use super::collector_tests::Desk;
use super::collector_tests::visitor;
use super::*;
use crate::crypto::bearer::BindTo;
use crate::decision::reply::ReplyKind;
use crate::engine::collector::Provenance;
use crate::engine::collector::Visitor;
use crate::model::network::PrefixLengths;

const BOTH: BindTo = BindTo {
    address: Some(PrefixLengths::USUAL),
    user_agent: true,
};
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));

impl Desk {
    fn binding_to(bind_to: BindTo) -> Self {
        let mut desk = Self::new();
        desk.collector.bind_to.what = bind_to;
        desk
    }

    /// What a visit with the browser's cookies comes to, from an address and by a program.
    async fn visited(&mut self, address: IpAddr, program: Option<&str>) -> ReplyKind {
        let lines = self.browser.lines();
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        let headers: HeaderMap = program
            .map(|program| (USER_AGENT, program.parse().unwrap()))
            .into_iter()
            .collect();
        let visitor = Visitor {
            address,
            headers: &headers,
            ..visitor(&lines, Provenance::Elsewhere)
        };
        let reply = self.collector.show(&visitor, None).await;
        self.browser.take(reply)
    }
}

fn is_welcome(reply: &ReplyKind) -> bool {
    matches!(reply, ReplyKind::Welcome { .. })
}

#[tokio::test]
async fn an_id_cookie_is_worth_nothing_elsewhere_and_its_owner_goes_on_d_19() {
    let mut desk = Desk::binding_to(BOTH);
    let session = desk.sign_in("alice").await;
    let told = desk.world.told.of(EventKind::CookieStrayed);
    assert!(told.is_empty());
    assert!(!is_welcome(&desk.visited(ELSEWHERE, None).await));
    assert!(!is_welcome(&desk.visited(ADDRESS, Some("wolf")).await));
    let told = desk.world.told.of(EventKind::CookieStrayed);
    let differs: Vec<_> = told
        .iter()
        .flatten()
        .filter(|(name, _)| *name == "differs")
        .map(|(_, what)| what.as_str())
        .collect();
    assert_eq!(differs, ["address", "user_agent"]);
    assert!(desk.world.serves(&session), "nothing ends");
    // The cookie is rewritten at each visit, and stays bound as it was.
    for _ in 0..2 {
        assert!(is_welcome(&desk.visited(ADDRESS, None).await));
        assert_eq!(desk.id_cookie().unwrap().bound.what(), BOTH);
    }
    assert!(!is_welcome(&desk.visited(ELSEWHERE, None).await));
}

#[tokio::test]
async fn a_session_stays_bound_as_it_was_when_it_began_d_19() {
    for (then, now) in [(BOTH, BindTo::default()), (BindTo::default(), BOTH)] {
        let mut desk = Desk::binding_to(then);
        desk.sign_in("alice").await;
        desk.collector.bind_to.what = now;
        let is_free = then == BindTo::default();
        assert!(is_welcome(&desk.visited(ADDRESS, None).await));
        assert_eq!(is_welcome(&desk.visited(ELSEWHERE, None).await), is_free);
        assert_eq!(desk.id_cookie().unwrap().bound.what(), then);
        let id = desk.collector.names.id.clone();
        desk.browser.forget(&id);
        // The next session is bound as the operator wants it by then.
        desk.sign_in("alice").await;
        assert_eq!(desk.id_cookie().unwrap().bound.what(), now);
    }
}
