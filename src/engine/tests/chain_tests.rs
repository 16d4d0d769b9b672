//! The collector where there are several data centres: what an ID cookie claims, how it is rewritten, and
//! what a sign-out tells of the others.

use super::collector_tests::APP;
use super::collector_tests::COLLECTOR;
use super::collector_tests::Desk;
use super::collector_tests::MINUTE;
use super::collector_tests::here;
use super::collector_tests::id_binding;
use super::collector_tests::sealed_in;
use super::collector_tests::sign_out_binding;
use super::collector_tests::visitor;
use super::*;
use crate::crypto::bearer::Bound;
use crate::crypto::claims::GitoCookie;
use crate::crypto::claims::IdCookie;
use crate::crypto::claims::SignOut;
use crate::crypto::claims::Visited;
use crate::crypto::tags::ClusterTag;
use crate::crypto::tags::Clusters;
use crate::crypto::tags::UserTag;
use crate::decision::adoption::Anchor;
use crate::decision::cookies::gito::Gito;
use crate::decision::cookies::settings::CookieSettings;
use crate::decision::reply::ReplyKind;
use crate::decision::sign_out;
use crate::engine::collector::Provenance;
use crate::model::end::Confirmed;
use crate::model::id::SessionId;
use crate::model::id::TokenId;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::ports::session_engine::Ended;

/// An engine that remembers the claims it judged, and has other data centres to tell of ends.
struct Listening {
    engine: Arc<EmbeddedEngine>,
    claims: Mutex<Vec<Claim>>,
    peers: Mutex<Vec<(ClusterId, Confirmed)>>,
    visited_elsewhere: Mutex<Vec<HostName>>,
}

#[async_trait]
impl SessionEngine for Listening {
    fn lookup(&self, claim: &Claim, now: Timestamp) -> Lookup {
        self.claims.lock().push(claim.clone());
        self.engine.lookup(claim, now)
    }

    async fn resolve(&self, claim: &Claim, now: Timestamp) -> Lookup {
        self.engine.resolve(claim, now).await
    }

    fn is_standing(&self, sso: &SsoId) -> bool {
        self.engine.is_standing(sso)
    }

    fn holder(&self, session: &Session) -> Option<Holder> {
        self.engine.holder(session)
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        self.engine.touch(sso, now);
    }

    async fn sign_in(&self, request: SignIn) -> Result<Arc<Session>, SignInError> {
        self.engine.sign_in(request).await
    }

    async fn visit(&self, claim: &Claim, host: &HostName) -> Lookup {
        self.engine.visit(claim, host).await
    }

    fn spend(&self, token: TokenId, expires: Timestamp) -> bool {
        self.engine.spend(token, expires)
    }

    async fn end(&self, facts: &SsoFacts, cause: EndCause) -> Ended {
        let mut ended = self.engine.end(facts, cause).await;
        ended.peers.clone_from(&self.peers.lock());
        ended.visited.extend(self.visited_elsewhere.lock().clone());
        ended
    }

    fn watch_ended(&self) -> broadcast::Receiver<SsoId> {
        self.engine.watch_ended()
    }
}

/// A collector of data centre north, beside south and west.
struct Federated {
    desk: Desk,
    engine: Arc<Listening>,
}

impl Federated {
    fn new(anchor: Anchor) -> Self {
        let mut desk = Desk::new();
        let engine = Arc::new(Listening {
            engine: Arc::clone(&desk.world.engine),
            claims: Mutex::default(),
            peers: Mutex::default(),
            visited_elsewhere: Mutex::default(),
        });
        desk.collector.engine = Arc::<Listening>::clone(&engine);
        let known = ["north", "south", "west"].map(named);
        desk.collector.settings = Arc::new(CookieSettings {
            clusters: Clusters::new(known).unwrap(),
            anchor,
            gito: Some(Gito {
                domain: host("test"),
                granularity: MINUTE,
            }),
            ..CookieSettings::of_one(cluster())
        });
        Self { desk, engine }
    }

    /// Gives the browser an ID cookie of a session, written in the data centres of this chain.
    fn carry(&mut self, session: &Session, chain: &[Holder]) -> IdCookie {
        let (latest, earlier) = chain.split_last().unwrap();
        let cookie = IdCookie {
            facts: session.facts.clone(),
            earlier: earlier.iter().map(visited).collect(),
            latest: latest.clone(),
            last_access: self.desk.world.now(),
            rounds: None,
            bound: Bound::default(),
        };
        self.present(&cookie);
        cookie
    }

    fn present(&mut self, cookie: &IdCookie) {
        let name = self.desk.collector.names.id.clone();
        let sealed = self.desk.seal(&id_binding(&name), cookie);
        self.desk.browser.forget(&name);
        self.desk.browser.add(&name, &sealed);
    }

    fn carry_gito(&mut self, cookie: &GitoCookie) {
        let names = &self.desk.collector.names;
        let gito = self.desk.collector.settings.gito.clone().unwrap();
        let sealed = self.desk.seal(&gito.binding(names), cookie);
        let name = names.gito.clone();
        self.desk.browser.forget(&name);
        self.desk.browser.add(&name, &sealed);
    }

    /// The claim that the last visit made.
    fn claimed(&self) -> Claim {
        self.engine.claims.lock().pop().unwrap()
    }

    async fn sign_out(&mut self, state: Option<&SignOut>, return_to: Option<&str>) -> ReplyKind {
        let lines = self.desk.browser.lines();
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        let visitor = visitor(&lines, Provenance::Own);
        let sealed = state.map(|state| self.desk.seal(&sign_out_binding(COLLECTOR), state));
        let collector = &self.desk.collector;
        let reply = collector.sign_out(&visitor, sealed.as_deref(), return_to);
        self.desk.browser.take(reply.await)
    }
}

fn named(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

fn at(name: &str, n: u8) -> Holder {
    Holder {
        cluster: named(name),
        session: SessionId::from_bytes([n; 16]),
    }
}

fn visited(holder: &Holder) -> Visited {
    Visited {
        cluster: ClusterTag::of(&holder.cluster),
        session: holder.session,
    }
}

/// What a GITO cookie says of a session that is used in another data centre now.
fn used_in(name: &str, session: &Session, now: Timestamp) -> GitoCookie {
    GitoCookie {
        sso: session.facts.sso,
        cluster: ClusterTag::of(&named(name)),
        session: SessionId::from_bytes([0x60; 16]),
        user: UserTag::of(&session.facts.store, &session.facts.subject),
        generation: Generation(2),
        expires: session.facts.expires,
        last_access: now,
        created: now,
    }
}

#[tokio::test]
async fn an_id_cookie_claims_the_latest_data_centre_and_its_whole_chain_s_7_f1_8() {
    let mut federated = Federated::new(Anchor::Free);
    let session = federated.desk.sign_in("alice").await;
    let cookie = federated.carry(&session, &[at("west", 3), here(&session), at("south", 2)]);
    federated.desk.world.pass(MINUTE);
    federated.desk.show(None).await;
    let claim = federated.claimed();
    assert_eq!(claim.facts, session.facts);
    assert_eq!(
        (claim.cluster, claim.session),
        (named("south"), at("south", 2).session)
    );
    assert_eq!(claim.last_access, Some(cookie.last_access));
    assert_eq!(claim.presented.at, Place::Collector);
    assert_eq!(claim.presented.client_address, ADDRESS);
    let asked: Vec<_> = claim.hints.into_iter().map(|hint| hint.holder).collect();
    assert_eq!(asked, [at("south", 2), here(&session), at("west", 3)]);
}

#[tokio::test]
async fn a_newer_gito_cookie_says_where_to_ask_first_f4_5_m_021() {
    let mut federated = Federated::new(Anchor::Free);
    let session = federated.desk.sign_in("alice").await;
    federated.carry(&session, &[here(&session), at("south", 2)]);
    federated.desk.world.pass(MINUTE);
    let now = federated.desk.world.now();
    federated.carry_gito(&used_in("west", &session, now));
    federated.desk.world.pass(MINUTE);
    federated.desk.show(None).await;
    let claim = federated.claimed();
    assert_eq!(claim.last_access, Some(now), "MDC-TIME-1");
    let first = claim.hints.first().unwrap();
    assert_eq!(first.holder, at("west", 0x60));
    assert_eq!(claim.cluster, named("south"), "it selects nothing (S-13)");
}

#[tokio::test]
async fn a_gito_cookie_of_another_session_or_alone_changes_nothing_s_13() {
    let mut federated = Federated::new(Anchor::Free);
    let session = federated.desk.sign_in("alice").await;
    federated.carry(&session, &[here(&session)]);
    let now = federated.desk.world.now();
    let mut foreign = used_in("west", &session, now);
    foreign.sso = SsoId::from_bytes([0xF0; 16]);
    federated.carry_gito(&foreign);
    federated.desk.world.pass(MINUTE);
    federated.desk.show(None).await;
    let claim = federated.claimed();
    assert_eq!(claim.hints.len(), 1);
    assert_eq!(claim.last_access, Some(now));
    let id = federated.desk.collector.names.id.clone();
    federated.desk.browser.forget(&id);
    federated.carry_gito(&used_in("west", &session, now));
    let shown = federated.desk.show(None).await;
    assert!(matches!(shown, ReplyKind::LoginPage(_)), "{shown:?}");
    assert!(federated.engine.claims.lock().is_empty());
}

#[tokio::test]
async fn a_visit_moves_this_data_centre_to_the_end_of_the_chain_mdc_cookie_2_f1_10() {
    let mut federated = Federated::new(Anchor::Free);
    let session = federated.desk.sign_in("alice").await;
    federated.carry(&session, &[here(&session), at("south", 2), at("west", 3)]);
    federated.desk.world.pass(MINUTE);
    let request = federated.desk.request(APP, 0);
    for request in [Some(request.as_str()), None] {
        federated.desk.show(request).await;
        let cookie = federated.desk.id_cookie().unwrap();
        assert_eq!(cookie.latest, here(&session));
        let earlier = [at("south", 2), at("west", 3)];
        assert_eq!(cookie.earlier, earlier.each_ref().map(visited));
        assert_eq!(cookie.last_access, federated.desk.world.now());
    }
}

#[tokio::test]
async fn an_anchored_visit_leaves_this_data_centre_alone_in_the_chain_mdc_cookie_2_f2_7() {
    let mut federated = Federated::new(Anchor::Anchored);
    let session = federated.desk.sign_in("alice").await;
    federated.carry(&session, &[at("west", 3), at("south", 2)]);
    federated.desk.show(None).await;
    let cookie = federated.desk.id_cookie().unwrap();
    assert_eq!(cookie.latest, here(&session));
    assert!(cookie.earlier.is_empty());
}

#[tokio::test]
async fn a_new_sign_in_begins_a_new_chain_whatever_was_presented_s_11() {
    let mut federated = Federated::new(Anchor::Free);
    let alice = federated.desk.sign_in("alice").await;
    federated.carry(&alice, &[here(&alice), at("south", 2)]);
    federated.desk.world.pass(IDLE);
    let bob = federated.desk.sign_in("bob").await;
    let cookie = federated.desk.id_cookie().unwrap();
    assert_ne!(cookie.facts.sso, alice.facts.sso);
    assert_eq!(cookie.latest, here(&bob));
    assert!(cookie.earlier.is_empty());
    let refusal = federated.desk.world.refusal(&claim(&alice));
    assert_eq!(refusal, Some(NotLive::Ended));
}

#[tokio::test]
async fn an_id_cookie_from_the_future_is_absent_mdc_cookie_6_s_22() {
    let mut federated = Federated::new(Anchor::Free);
    let session = federated.desk.sign_in("alice").await;
    let mut cookie = federated.carry(&session, &[here(&session)]);
    let allowed = federated.desk.world.now().after(Duration::from_secs(30));
    for (last_access, believed) in [(allowed, true), (allowed.after(MILLISECOND), false)] {
        cookie.last_access = last_access;
        federated.present(&cookie);
        let shown = federated.desk.show(None).await;
        assert_eq!(matches!(shown, ReplyKind::Welcome { .. }), believed);
        let rejected = federated.desk.collector.keys.rejected();
        assert!(rejected.contains(&("id", u64::from(!believed))));
    }
    cookie.last_access = allowed;
    federated.present(&cookie);
    federated.desk.show(None).await;
    let now = federated.desk.world.now();
    assert_eq!(federated.claimed().last_access, Some(now), "clamped to now");
}

/// S-18 outweighs MDC-COOKIE-6 here: to end too much harms nobody.
#[tokio::test]
async fn a_sign_out_ends_the_session_of_an_id_cookie_from_the_future_too_s_18() {
    let mut federated = Federated::new(Anchor::Free);
    let session = federated.desk.sign_in("alice").await;
    let mut cookie = federated.carry(&session, &[here(&session)]);
    cookie.last_access = federated.desk.world.now().after(10 * MINUTE);
    federated.present(&cookie);
    federated.sign_out(None, None).await;
    assert!(!federated.desk.world.serves(&session));
}

/// The authn cookie that is too low is not seen here; what counts is the ID cookie and the session.
#[tokio::test]
async fn a_browser_whose_session_reaches_the_level_is_handed_it_silently_s_12() {
    let mut federated = Federated::new(Anchor::Free);
    let session = federated.desk.sign_in("alice").await;
    federated.carry(&session, &[here(&session), at("south", 2)]);
    let request = federated.desk.request(APP, 20);
    let next = federated.desk.show(Some(&request)).await;
    let token = federated.desk.token(&next, APP, "https://app.test");
    assert_eq!(token.cookie.facts.level, level(20));
    assert_eq!(token.cookie.cluster, cluster());
    assert_eq!(federated.desk.world.provider.asked(), 1, "silently");
}

#[tokio::test]
async fn a_copy_of_an_old_id_cookie_does_not_rise_with_the_session_s_12() {
    let mut federated = Federated::new(Anchor::Free);
    let session = federated.desk.sign_in("alice").await;
    let mut cookie = federated.carry(&session, &[here(&session)]);
    cookie.facts.level = level(10);
    federated.present(&cookie);
    let request = federated.desk.request(APP, 20);
    let shown = federated.desk.show(Some(&request)).await;
    assert!(matches!(shown, ReplyKind::LoginPage(_)), "{shown:?}");
    let request = federated.desk.request(APP, 10);
    let next = federated.desk.show(Some(&request)).await;
    let token = federated.desk.token(&next, APP, "https://app.test");
    assert_eq!(token.cookie.facts.level, level(10));
}

#[tokio::test]
async fn the_page_at_the_end_lists_which_data_centres_have_confirmed_mdc_logout_3() {
    let mut federated = Federated::new(Anchor::Free);
    federated.desk.sign_in("alice").await;
    *federated.engine.peers.lock() = vec![
        (named("south"), Confirmed::Outstanding),
        (named("west"), Confirmed::Durable),
    ];
    let address = "https://app.test/bye";
    let ReplyKind::SignedOut(page) = federated.sign_out(None, Some(address)).await else {
        panic!("somebody has to be told");
    };
    let listed = [
        (named("north"), Confirmed::Durable),
        (named("south"), Confirmed::Outstanding),
        (named("west"), Confirmed::Durable),
    ];
    assert_eq!(page.data_centres, listed);
    assert_eq!(page.confirmed, Confirmed::Durable);
    assert_eq!(page.return_to.as_deref(), Some(address));
}

#[tokio::test]
async fn where_everyone_has_confirmed_the_user_goes_where_they_wanted_mdc_logout_3() {
    let mut federated = Federated::new(Anchor::Free);
    federated.desk.sign_in("alice").await;
    *federated.engine.peers.lock() = vec![(named("south"), Confirmed::Durable)];
    let address = "https://app.test/bye";
    let reply = federated.sign_out(None, Some(address)).await;
    assert_eq!(reply, ReplyKind::Redirect(address.to_owned()));
}

/// The application is served by another data centre than the collector.
#[tokio::test]
async fn what_was_outstanding_at_the_application_may_be_confirmed_at_the_collector_mdc_logout_3() {
    for (confirmation, told) in [
        (Confirmed::Durable, Confirmed::Durable),
        (Confirmed::Outstanding, Confirmed::Outstanding),
    ] {
        let mut federated = Federated::new(Anchor::Free);
        let session = federated.desk.sign_in("alice").await;
        *federated.engine.peers.lock() = vec![(named("south"), confirmation)];
        let mut begun = sign_out::begin(None, federated.desk.world.now());
        begun.ended.push(session.facts.sso);
        begun.data_centres = vec![
            (named("south"), Confirmed::Durable),
            (named("north"), Confirmed::Outstanding),
        ];
        let ReplyKind::SignedOut(page) = federated.sign_out(Some(&begun), None).await else {
            panic!("this is the end");
        };
        let listed = [(named("north"), Confirmed::Durable), (named("south"), told)];
        assert_eq!(page.data_centres, listed);
    }
}

#[tokio::test]
async fn the_hosts_visited_through_other_data_centres_are_cleared_too_mdc_logout_1() {
    let mut federated = Federated::new(Anchor::Free);
    let session = federated.desk.sign_in("alice").await;
    federated
        .desk
        .world
        .visit(&claim(&session), "app.test")
        .await;
    *federated.engine.visited_elsewhere.lock() = vec![host("app.test"), host("shop.apps.test")];
    let reply = federated.sign_out(None, None).await;
    let sealed = sealed_in(&reply, "https://app.test/.portway/clear?c=");
    let state: SignOut = federated
        .desk
        .open(&sign_out_binding("app.test"), &sealed)
        .unwrap();
    assert_eq!(state.hosts, [host("shop.apps.test")]);
}

#[tokio::test]
async fn a_sign_out_clears_the_gito_cookie_too_mdc_logout_1() {
    let mut federated = Federated::new(Anchor::Free);
    let session = federated.desk.sign_in("alice").await;
    let now = federated.desk.world.now();
    federated.carry_gito(&used_in("south", &session, now));
    federated.sign_out(None, None).await;
    let names = &federated.desk.collector.names;
    assert_eq!(federated.desk.browser.names(), [names.device.as_str()]);
}

#[tokio::test]
async fn a_session_that_several_id_cookies_name_is_ended_once_s_18() {
    let mut federated = Federated::new(Anchor::Free);
    let session = federated.desk.sign_in("alice").await;
    let name = federated.desk.collector.names.id.clone();
    let again = federated.desk.id_cookie_of(&session);
    federated.desk.browser.add(&name, &again);
    federated.sign_out(None, None).await;
    assert_eq!(federated.desk.world.log().len(), 1);
    assert!(!federated.desk.world.serves(&session));
}
