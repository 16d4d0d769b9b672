//! Cookies that are bound to the network and the program of the browser that they were given to (D-19).

use http::header::USER_AGENT;

use super::*;
use crate::crypto::bearer::BindTo;
use crate::model::network::PrefixLengths;

const BOTH: BindTo = BindTo {
    address: Some(PrefixLengths::USUAL),
    user_agent: true,
};
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));

fn program(name: &str) -> HeaderMap {
    HeaderMap::from_iter([(USER_AGENT, name.parse().unwrap())])
}

/// A request from an address, made by a program.
fn from<'a>(cookies: &'a [&'a [u8]], address: IpAddr, headers: &'a HeaderMap) -> Caller<'a> {
    Caller {
        address,
        headers,
        ..caller(cookies)
    }
}

impl Post {
    /// A `Cookie` header with an authn cookie that is bound to a fox at [`ADDRESS`].
    fn bound_cookie(&self, session: &Session, what: BindTo) -> Vec<u8> {
        let fox = program("fox");
        let bearer = from(&[], ADDRESS, &fox);
        let cookie = AuthnCookie {
            bound: Bound::to(what, &session.facts.sso, &bearer.bearer()),
            ..authn(session)
        };
        let value = self
            .gate
            .seal(&self.gate.authn_binding(&host(APP)), &cookie);
        pair(&self.gate.names.authn, &value)
    }

    /// One that whoever [`caller`] makes a request for has not been given.
    pub(super) fn cookie_of_another(&self, session: &Session) -> Vec<u8> {
        self.bound_cookie(session, BOTH)
    }

    async fn admits(&self, cookie: &[u8], address: IpAddr, name: &str) -> bool {
        let (cookies, headers) = ([cookie], program(name));
        let caller = from(&cookies, address, &headers);
        let policy = everyone();
        let admission = self.gate.admit(&asked(&policy), &caller).await;
        assert_eq!(admission.refused, None, "as good as absent");
        matches!(admission.decision, Decision::Allow(_))
    }

    fn strayed(&self) -> Vec<String> {
        let events = self.audit.0.lock();
        let strayed = events
            .iter()
            .filter(|event| event.kind == EventKind::CookieStrayed);
        strayed.map(|event| format!("{event:?}")).collect()
    }
}

#[tokio::test]
async fn a_strayed_cookie_asks_no_engine_ends_nothing_and_is_told_to_the_trail_d_19() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let cookie = post.bound_cookie(&session, BOTH);
    assert!(!post.admits(&cookie, ELSEWHERE, "fox").await);
    assert!(!post.admits(&cookie, ADDRESS, "wolf").await);
    assert_eq!(post.engine.looked_up.load(Ordering::SeqCst), 0);
    assert!(post.engine.touched().is_empty());
    assert!(post.engine.ended.lock().is_empty());
    let told = post.strayed();
    assert_eq!(told.len(), 2, "{told:?}");
    for (line, differs) in told.iter().zip(["address", "user_agent"]) {
        assert!(line.contains(&format!("\"{differs}\"")), "{line}");
        assert!(!line.contains("wolf") && !line.contains("fox"), "{line}");
    }
    assert!(
        post.admits(&cookie, ADDRESS, "fox").await,
        "its owner goes on"
    );
}

#[tokio::test]
async fn a_cookie_that_is_bound_to_nothing_goes_anywhere() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let cookie = post.bound_cookie(&session, BindTo::default());
    assert_eq!(
        cookie.len(),
        post.cookie(&session, APP).len(),
        "no byte more"
    );
    assert!(post.admits(&cookie, ELSEWHERE, "wolf").await);
    assert!(post.strayed().is_empty());
}

/// One that has strayed beside one that is at home: browsers keep several of one name.
#[tokio::test]
async fn a_strayed_cookie_is_no_hindrance_to_another() {
    let post = Post::new();
    let (one, other) = (session(1), session(2));
    post.engine.begin(&one);
    post.engine.begin(&other);
    let strayed = post.bound_cookie(&one, BOTH);
    let free = post.cookie(&other, APP);
    let cookies = [strayed.as_slice(), free.as_slice()];
    let wolf = program("wolf");
    let policy = everyone();
    let caller = from(&cookies, ELSEWHERE, &wolf);
    let admission = post.gate.admit(&asked(&policy), &caller).await;
    let Decision::Allow(permit) = admission.decision else {
        panic!("{:?}", admission.decision);
    };
    assert_eq!(permit.session().unwrap().facts, other.facts);
}

#[tokio::test]
async fn the_authn_cookie_is_bound_to_who_brings_the_token_d_19() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let fox = program("fox");
    // The collector saw the browser at another address than the application does.
    let seen_by_collector = from(&[], ELSEWHERE, &fox);
    for what in [BOTH, BindTo::default()] {
        let mut token = post.token(&session);
        token.id = TokenId::from_bytes([u8::from(what.address.is_some()); 16]);
        token.cookie.bound = Bound::to(what, &session.facts.sso, &seen_by_collector.bearer());
        let sealed = post.sealed_token(&token, APP);
        let nonce = post.nonce_cookie(NONCE);
        let cookies = [nonce.as_slice()];
        let caller = from(&cookies, ADDRESS, &fox);
        let reply = post
            .gate
            .callback(&caller, Some(&sealed), Asker::Navigation)
            .await;
        let set = cookies_of(&reply);
        let cookie = set.first().unwrap();
        assert!(post.admits(cookie, ADDRESS, "fox").await);
        let goes_anywhere = what.address.is_none();
        assert_eq!(post.admits(cookie, ELSEWHERE, "fox").await, goes_anywhere);
        assert_eq!(post.admits(cookie, ADDRESS, "wolf").await, goes_anywhere);
    }
}

/// Whoever signs out wants it ended, wherever they are by now (S-18).
#[tokio::test]
async fn a_sign_out_ends_the_session_of_a_strayed_cookie_s_18() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let cookie = post.bound_cookie(&session, BOTH);
    let (cookies, wolf) = ([cookie.as_slice()], program("wolf"));
    post.gate
        .sign_out(&from(&cookies, ELSEWHERE, &wolf), None)
        .await;
    assert_eq!(*post.engine.ended.lock(), [session.facts.sso]);
}

/// Proxies in front send requests of many clients on one connection.
#[tokio::test]
async fn what_a_connection_remembers_of_a_cookie_is_checked_for_each_request_d_19() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let cookie = post.bound_cookie(&session, BOTH);
    let (cookies, fox, memory) = ([cookie.as_slice()], program("fox"), OpenedCookie::default());
    let policy = everyone();
    for (address, is_let_in) in [(ADDRESS, true), (ELSEWHERE, false), (ADDRESS, true)] {
        let caller = Caller {
            opened: Some(&memory),
            ..from(&cookies, address, &fox)
        };
        let decision = post.gate.admit(&asked(&policy), &caller).await.decision;
        assert_eq!(
            matches!(decision, Decision::Allow(_)),
            is_let_in,
            "{address}"
        );
    }
}
