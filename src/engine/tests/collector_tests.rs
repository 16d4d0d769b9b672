//! The collector's login page: what it shows, what it accepts, where it sends a browser that signed in.

use std::sync::LazyLock;

use http::HeaderMap;

use super::*;
use crate::crypto::bearer::BindRules;
use crate::crypto::bearer::Bound;
use crate::crypto::claims::AuthnCookie;
use crate::crypto::claims::Claims;
use crate::crypto::claims::Form;
use crate::crypto::claims::Freshness;
use crate::crypto::claims::IdCookie;
use crate::crypto::claims::Seen;
use crate::crypto::claims::SignInRequest;
use crate::crypto::claims::SignOut;
use crate::crypto::claims::Token;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::cookies;
use crate::decision::cookies::CookieNames;
use crate::decision::cookies::settings::CookieSettings;
use crate::decision::endpoints;
use crate::decision::origins::Origins;
use crate::decision::password::PasswordRules;
use crate::decision::reply::Circling;
use crate::decision::reply::LoginPage;
use crate::decision::reply::Notice;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::decision::routing::HostPattern;
use crate::engine::collector::Collector;
use crate::engine::collector::Provenance;
use crate::engine::collector::Submission;
use crate::engine::collector::Visitor;
use crate::model::claim::Activity;
use crate::model::id::Nonce;
use crate::model::id::SessionId;
use crate::model::name::DeploymentId;
use crate::model::session::Holder;
use crate::ports::entropy::id_bytes;
use crate::ports::entropy::seal_nonce;
use crate::telemetry::complaints::Complaints;

pub(super) const COLLECTOR: &str = "login.test";
pub(super) const APP: &str = "app.test";
const APP_NONCE: Nonce = Nonce::from_bytes([0xA1; 16]);
const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// A collector on its engine, and one browser in front of it.
pub(super) struct Desk {
    pub(super) world: World,
    pub(super) collector: Collector,
    pub(super) browser: Browser,
}

impl Desk {
    pub(super) fn new() -> Self {
        let world = World::new();
        let served = [(APP, 443), ("*.apps.test", 8443)];
        let served = served.map(|(host, port)| (HostPattern::parse(host).unwrap(), port));
        let collector = Collector {
            engine: Arc::<EmbeddedEngine>::clone(&world.engine),
            keys: Arc::new(key_ring([7; 32])),
            names: CookieNames::new(&DeploymentId::parse("main").unwrap()),
            origins: Arc::new(Origins::new(Some((host(COLLECTOR), 443)), served.into())),
            host: host(COLLECTOR),
            settings: Arc::new(CookieSettings::of_one(cluster())),
            password: PasswordRules::default(),
            bind_to: BindRules::default(),
            password_level: Some(level(20)),
            parties: Vec::new(),
            audit: Arc::<Told>::clone(&world.told),
            clock: Arc::<TestClock>::clone(&world.clock),
            entropy: Arc::<CountingEntropy>::clone(&world.entropy),
            complaints: Complaints::default(),
        };
        Self {
            world,
            collector,
            browser: Browser::default(),
        }
    }

    pub(super) fn seal<C: Claims>(&self, binding: &Binding<'_>, claims: &C) -> String {
        let nonce = seal_nonce(self.world.entropy.as_ref());
        self.collector.keys.seal_claims(binding, nonce, claims)
    }

    pub(super) fn open<C: Claims>(&self, binding: &Binding<'_>, sealed: &str) -> Option<C> {
        self.collector.keys.open_claims(binding, sealed)
    }

    /// A request for a sign-in, made now by an application host.
    pub(super) fn request(&self, app: &str, needed: u8) -> String {
        let request = SignInRequest {
            host: host(app),
            target: "/deep?link=1".to_owned(),
            nonce: APP_NONCE,
            level: AuthLevel::new(needed).unwrap(),
            issued: self.world.now(),
            freshness: Freshness::Earlier,
            seen: Seen::Nothing,
            limits: HostLimits::NONE,
            activity: Activity::Counts,
        };
        self.seal(&request_binding(COLLECTOR), &request)
    }

    pub(super) async fn show(&mut self, request: Option<&str>) -> ReplyKind {
        let lines = self.browser.lines();
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        let visitor = visitor(&lines, Provenance::Elsewhere);
        let reply = self.collector.show(&visitor, request).await;
        self.browser.take(reply)
    }

    pub(super) async fn page(&mut self, request: Option<&str>) -> LoginPage {
        login_page(self.show(request).await)
    }

    /// Posts the form of a page from that page.
    pub(super) async fn post(&mut self, page: &LoginPage, name: &str, password: &str) -> ReplyKind {
        self.send(filled(page, name, password), Provenance::Own)
            .await
    }

    async fn send(&mut self, submission: Submission, provenance: Provenance) -> ReplyKind {
        let lines = self.browser.lines();
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        let visitor = visitor(&lines, provenance);
        let reply = self.collector.submit(&visitor, submission).await;
        self.browser.take(reply)
    }

    /// Opens the login page and posts its form.
    pub(super) async fn sign_in_for(&mut self, request: Option<&str>, name: &str) -> ReplyKind {
        self.world.pass(MILLISECOND);
        let page = self.page(request).await;
        self.post(&page, name, PASSWORD).await
    }

    /// Signs in for nothing in particular and answers the session.
    pub(super) async fn sign_in(&mut self, name: &str) -> Arc<Session> {
        let next = self.sign_in_for(None, name).await;
        let page = format!("https://{COLLECTOR}{}", endpoints::SIGN_IN);
        assert_eq!(next, ReplyKind::Redirect(page));
        let facts = self.id_cookie().unwrap().facts;
        match self.world.store.find(&facts.sso) {
            Found::Record(session) => session,
            Found::Absent | Found::Ended => panic!("no session of {name}"),
        }
    }

    pub(super) fn id_cookie(&self) -> Option<IdCookie> {
        let name = &self.collector.names.id;
        self.open(&id_binding(name), self.browser.value(name)?)
    }

    /// A sealed ID cookie of a session, as it would be set.
    pub(super) fn id_cookie_of(&self, session: &Session) -> String {
        let cookie = IdCookie {
            facts: session.facts.clone(),
            earlier: Vec::new(),
            latest: here(session),
            last_access: self.world.now(),
            rounds: None,
            bound: Bound::default(),
        };
        self.seal(&id_binding(&self.collector.names.id), &cookie)
    }

    /// The token in a redirect to an application's callback.
    pub(super) fn token(&self, reply: &ReplyKind, app: &str, origin: &str) -> Token {
        let sealed = sealed_in(reply, &format!("{origin}/.portway/callback?t="));
        self.open(&token_binding(app), &sealed).unwrap()
    }

    fn has_asked_nobody(&self) -> bool {
        self.world.provider.asked() == 0
    }
}

/// The cookies that a browser has, by name; those of one name are kept in order.
#[derive(Default)]
pub(super) struct Browser(Vec<(String, String)>);

impl Browser {
    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.0.retain(|(found, _)| found != name);
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// `Cookie` headers as HTTP/2 splits them, one for each cookie.
    pub(super) fn lines(&self) -> Vec<Vec<u8>> {
        let lines = self.0.iter();
        lines
            .map(|(name, value)| format!("{name}={value}").into_bytes())
            .collect()
    }

    fn line(&self) -> String {
        let pairs = self.0.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// Takes the cookies of a reply and hands on what it says.
    pub(super) fn take(&mut self, reply: Reply) -> ReplyKind {
        for set in &reply.cookies {
            let (pair, attributes) = set.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.forget(name);
            if !attributes.contains("Max-Age=0") {
                self.add(name, value);
            }
        }
        reply.kind
    }
}

/// This data centre and its record.
pub(super) fn here(session: &Session) -> Holder {
    Holder {
        cluster: cluster(),
        session: session.id,
    }
}

pub(super) fn key_ring(secret: [u8; 32]) -> KeyRing {
    let file = KeyRing::first_file(&secret.into(), BEGINNING).unwrap();
    KeyRing::parse(&file).unwrap()
}

pub(super) fn visitor<'a>(cookies: &'a [&'a [u8]], provenance: Provenance) -> Visitor<'a> {
    static HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    Visitor {
        cookies,
        address: ADDRESS,
        headers: &HEADERS,
        provenance,
    }
}

fn request_binding(collector: &str) -> Binding<'_> {
    Binding {
        purpose: Purpose::SignInRequest,
        name: endpoints::REQUEST,
        scope: collector,
    }
}

fn token_binding(app: &str) -> Binding<'_> {
    Binding {
        purpose: Purpose::Token,
        name: endpoints::TOKEN,
        scope: app,
    }
}

pub(super) fn id_binding(name: &str) -> Binding<'_> {
    Binding {
        purpose: Purpose::IdCookie,
        name,
        scope: COLLECTOR,
    }
}

/// What stands behind `address` in a redirect.
pub(super) fn sealed_in(reply: &ReplyKind, address: &str) -> String {
    let ReplyKind::Redirect(location) = reply else {
        panic!("{reply:?} is no redirect to {address}");
    };
    let sealed = location.strip_prefix(address);
    sealed.unwrap_or_else(|| panic!("{location}")).to_owned()
}

fn login_page(reply: ReplyKind) -> LoginPage {
    match reply {
        ReplyKind::LoginPage(page) => page,
        ReplyKind::Circling(_)
        | ReplyKind::ClocksDiffer { .. }
        | ReplyKind::ConfirmSignOut
        | ReplyKind::Denied(_)
        | ReplyKind::Heard(_)
        | ReplyKind::LevelUnreachable
        | ReplyKind::NotAccepted { .. }
        | ReplyKind::Onward(_)
        | ReplyKind::PasswordChanged { .. }
        | ReplyKind::PasswordPage(_)
        | ReplyKind::Redirect(_)
        | ReplyKind::Replay(_)
        | ReplyKind::SignInRequired { .. }
        | ReplyKind::SignedOut(_)
        | ReplyKind::SignOutUnheard(_)
        | ReplyKind::Unconfirmed { .. }
        | ReplyKind::Welcome { .. } => panic!("{reply:?} is no login page"),
    }
}

fn filled(page: &LoginPage, name: &str, password: &str) -> Submission {
    Submission {
        request: page.request.clone(),
        form: page.form.clone(),
        user: name.to_owned(),
        password: Secret::new(password.as_bytes().to_vec()),
    }
}

#[tokio::test]
async fn a_visit_without_a_request_shows_a_page_for_nothing_in_particular() {
    let mut desk = Desk::new();
    for nothing in [None, Some(""), Some("junk"), Some("AAAA")] {
        let page = desk.page(nothing).await;
        assert_eq!(page.request, "", "{nothing:?}");
        assert_eq!(page.application, None);
        assert_eq!(page.notice, Notice::None);
    }
}

#[tokio::test]
async fn the_page_says_which_application_it_leads_to() {
    let mut desk = Desk::new();
    let request = desk.request("shop.apps.test", 0);
    let page = desk.page(Some(&request)).await;
    assert_eq!(page.request, request);
    assert_eq!(page.application.as_deref(), Some("shop.apps.test"));
}

#[tokio::test]
async fn a_request_for_a_host_that_is_not_served_is_for_nothing_d_18() {
    let mut desk = Desk::new();
    let request = desk.request("evil.test", 0);
    assert_eq!(desk.page(Some(&request)).await.request, "");
    let next = desk.sign_in_for(Some(&request), "alice").await;
    let own = format!("https://{COLLECTOR}{}", endpoints::SIGN_IN);
    assert_eq!(next, ReplyKind::Redirect(own));
}

#[tokio::test]
async fn a_request_for_another_collector_or_of_another_kind_is_for_nothing() {
    let mut desk = Desk::new();
    let request = SignInRequest {
        host: host(APP),
        target: "/".to_owned(),
        nonce: APP_NONCE,
        level: AuthLevel::NONE,
        issued: desk.world.now(),
        freshness: Freshness::Earlier,
        seen: Seen::Nothing,
        limits: HostLimits::NONE,
        activity: Activity::Counts,
    };
    let foreign = desk.seal(&request_binding("other.test"), &request);
    let other_kind = desk.seal(&token_binding(COLLECTOR), &request);
    for sealed in [foreign, other_kind] {
        assert_eq!(desk.page(Some(&sealed)).await.request, "");
    }
}

#[tokio::test]
async fn one_nonce_cookie_serves_any_number_of_tabs() {
    let mut desk = Desk::new();
    let request = desk.request(APP, 0);
    let first = desk.page(Some(&request)).await;
    let nonce = desk.browser.lines();
    let second = desk.page(None).await;
    assert_eq!(desk.browser.lines(), nonce);
    assert_ne!(first.form, second.form, "sealed with a nonce of its own");
    for page in [second, first] {
        let next = desk.post(&page, "alice", PASSWORD).await;
        assert!(matches!(next, ReplyKind::Redirect(_)));
    }
}

#[tokio::test]
async fn a_right_credential_leads_back_with_a_one_step_token_s_24() {
    let mut desk = Desk::new();
    let request = desk.request(APP, 20);
    let next = desk.sign_in_for(Some(&request), "alice").await;
    let now = desk.world.now();
    let token = desk.token(&next, APP, "https://app.test");
    let session = desk.id_cookie().unwrap();
    let expected = AuthnCookie {
        facts: session.facts.clone(),
        cluster: cluster(),
        session: session.latest.session,
        issued: now,
        last_access: None,
        bound: Bound::default(),
    };
    assert_eq!(token.cookie, expected);
    assert_eq!(token.nonce, APP_NONCE);
    assert_eq!(token.target, "/deep?link=1");
    assert_eq!(token.expires, now.after(MINUTE));
    assert_eq!(session.facts.subject, user("alice"));
    assert!(session.earlier.is_empty(), "a new chain (S-11)");
}

#[tokio::test]
async fn a_token_opens_at_its_own_application_only_s_24() {
    let mut desk = Desk::new();
    let request = desk.request("shop.apps.test", 0);
    let next = desk.sign_in_for(Some(&request), "alice").await;
    let address = "https://shop.apps.test:8443/.portway/callback?t=";
    let sealed = sealed_in(&next, address);
    let open = |app| desk.open::<Token>(&token_binding(app), &sealed);
    assert!(open("shop.apps.test").is_some());
    assert!(open("other.apps.test").is_none());
    assert!(open(COLLECTOR).is_none());
}

#[tokio::test]
async fn a_sign_in_for_nothing_welcomes_the_user() {
    let mut desk = Desk::new();
    desk.sign_in("alice").await;
    let user = "alice".to_owned();
    assert_eq!(desk.show(None).await, ReplyKind::Welcome { user });
}

#[tokio::test]
async fn every_refused_credential_gets_the_same_page() {
    let mut desk = Desk::new();
    let request = desk.request(APP, 0);
    for (name, password) in [("alice", "wrong"), ("mallory", PASSWORD), ("", "")] {
        let page = desk.page(Some(&request)).await;
        let posted = desk.post(&page, name, password).await;
        let page = login_page(posted);
        assert_eq!(page.notice, Notice::Refused, "{name}");
        assert_eq!(page.request, request);
        assert_eq!(page.application.as_deref(), Some(APP));
    }
    assert!(desk.id_cookie().is_none());
    assert_eq!(desk.world.store.count(), 0);
}

#[tokio::test]
async fn a_form_may_be_posted_again_after_a_typing_error() {
    let mut desk = Desk::new();
    let page = desk.page(None).await;
    let posted = desk.post(&page, "alice", "wrogn").await;
    let page = login_page(posted);
    let posted = desk.post(&page, "alice", PASSWORD).await;
    assert!(matches!(posted, ReplyKind::Redirect(_)));
}

#[tokio::test]
async fn whoever_was_cut_off_a_moment_ago_is_told_to_wait() {
    let mut desk = Desk::new();
    let now = desk.world.now();
    // As with several data centres, whose clocks may differ.
    let cut_off = End::UserCutOff {
        store: staff(),
        subject: user("alice"),
        authenticated_before: now.after(MINUTE),
        expires: now.after(LIFETIME),
    };
    desk.world.store.append(cut_off).await.unwrap();
    let page = login_page(desk.sign_in_for(None, "alice").await);
    assert_eq!(page.notice, Notice::CutOff);
    desk.world.pass(MINUTE);
    let signed_in = desk.sign_in_for(None, "alice").await;
    assert!(matches!(signed_in, ReplyKind::Redirect(_)));
}

#[tokio::test]
async fn when_nothing_can_be_checked_or_kept_the_page_asks_to_try_again() {
    let mut desk = Desk::new();
    let silent = VerifyError::Unavailable(staff(), "no answer".into());
    for error in [VerifyError::Busy, silent] {
        desk.world.provider.fail_with(error);
        let page = login_page(desk.sign_in_for(None, "alice").await);
        assert_eq!(page.notice, Notice::Busy);
    }
    desk.world.store.close().await.unwrap();
    let page = login_page(desk.sign_in_for(None, "alice").await);
    assert_eq!(page.notice, Notice::Busy);
    assert!(desk.id_cookie().is_none());
}

#[tokio::test]
async fn a_form_of_another_browser_checks_no_credential() {
    let mut desk = Desk::new();
    let page = desk.page(None).await;
    let name = desk.collector.names.nonce.clone();
    let other = cookies::encode_nonce(&Nonce::from_bytes([0x66; 16]));
    for nonce in [Some(other), Some("junk".to_owned()), None] {
        desk.browser.forget(&name);
        if let Some(nonce) = nonce {
            desk.browser.add(&name, &nonce);
        }
        let posted = desk.post(&page, "alice", PASSWORD).await;
        assert_eq!(login_page(posted).notice, Notice::Stale);
    }
    assert!(desk.has_asked_nobody());
}

#[tokio::test]
async fn a_form_that_is_none_checks_no_credential() {
    let mut desk = Desk::new();
    let page = desk.page(None).await;
    let name = desk.collector.names.nonce.clone();
    let value = desk.browser.value(&name).unwrap().to_owned();
    let held = desk
        .collector
        .names
        .nonces(&[format!("{name}={value}").as_bytes()])
        .next();
    let form = Form {
        nonce: held.unwrap(),
        issued: desk.world.now(),
    };
    let elsewhere = Binding {
        purpose: Purpose::Form,
        name: "form",
        scope: "other.test",
    };
    let other_kind = request_binding(COLLECTOR);
    let forms = [
        String::new(),
        "junk".to_owned(),
        format!("{}A", page.form),
        desk.seal(&elsewhere, &form),
        desk.seal(&other_kind, &form),
    ];
    for form in forms {
        let mut submission = filled(&page, "alice", PASSWORD);
        submission.form = form;
        let posted = desk.send(submission, Provenance::Own).await;
        assert_eq!(login_page(posted).notice, Notice::Stale);
    }
    assert!(desk.has_asked_nobody());
}

#[tokio::test]
async fn a_form_that_was_open_for_too_long_is_shown_again() {
    let mut desk = Desk::new();
    let page = desk.page(None).await;
    desk.world.pass(HOUR);
    let posted = desk.post(&page, "alice", "wrong").await;
    assert_eq!(login_page(posted).notice, Notice::Refused);
    desk.world.pass(MILLISECOND);
    let posted = desk.post(&page, "alice", PASSWORD).await;
    let page = login_page(posted);
    assert_eq!(page.notice, Notice::Stale);
    let posted = desk.post(&page, "alice", PASSWORD).await;
    assert!(matches!(posted, ReplyKind::Redirect(_)));
}

#[tokio::test]
async fn a_form_posted_from_another_site_checks_no_credential() {
    let mut desk = Desk::new();
    let request = desk.request(APP, 0);
    let page = desk.page(Some(&request)).await;
    let posted = desk
        .send(filled(&page, "alice", PASSWORD), Provenance::Elsewhere)
        .await;
    let page = login_page(posted);
    assert_eq!(page.notice, Notice::Stale);
    assert_eq!(page.request, request, "the user may try again from here");
    assert!(desk.has_asked_nobody());
    assert!(desk.id_cookie().is_none());
}

#[tokio::test]
async fn a_request_that_is_too_old_begins_again_at_the_same_address() {
    let mut desk = Desk::new();
    let request = desk.request(APP, 0);
    let page = desk.page(Some(&request)).await;
    desk.world.pass(HOUR);
    assert_eq!(desk.page(Some(&request)).await.request, request);
    desk.world.pass(MILLISECOND);
    let again = ReplyKind::Redirect("https://app.test/deep?link=1".to_owned());
    let posted = desk.post(&page, "alice", PASSWORD).await;
    assert_eq!(posted, again);
    assert!(desk.has_asked_nobody());
}

#[tokio::test]
async fn a_request_of_a_clock_that_is_hours_behind_is_answered_as_if_made_now_s_22_d_10() {
    let mut desk = Desk::new();
    let request = desk.request(APP, 0);
    desk.world.pass(2 * HOUR);
    // To send it back would bring the next one, which would be as old.
    let page = desk.page(Some(&request)).await;
    assert_ne!(page.request, request);
    let posted = desk.post(&page, "alice", PASSWORD).await;
    let token = desk.token(&posted, APP, "https://app.test");
    assert_eq!(token.target, "/deep?link=1");
    // Whoever is signed in is sent back, a few times.
    assert!(matches!(
        desk.show(Some(&request)).await,
        ReplyKind::Redirect(_)
    ));
}

#[tokio::test]
async fn a_demand_for_a_new_sign_in_that_is_too_old_is_not_met_by_what_came_since_mdc_adopt_4() {
    let mut desk = Desk::new();
    let request = request_with(&desk, "/", Freshness::Now, Seen::Over);
    desk.world.pass(HOUR.checked_sub(MINUTE).unwrap());
    desk.sign_in("alice").await;
    assert!(matches!(
        desk.show(Some(&request)).await,
        ReplyKind::Redirect(_)
    ));
    desk.world.pass(2 * MINUTE);
    assert_eq!(desk.page(Some(&request)).await.notice, Notice::Again);
}

#[tokio::test]
async fn rounds_that_a_clock_makes_are_told_by_the_time_of_their_requests_d_10_s_22() {
    let mut desk = Desk::new();
    desk.sign_in("alice").await;
    let request = SignInRequest {
        issued: desk.world.now().after(2 * HOUR),
        ..wanted(&desk, "/", Freshness::Earlier, Seen::NonceOnly)
    };
    let request = desk.seal(&request_binding(COLLECTOR), &request);
    for _ in 0..3 {
        let reply = desk.show(Some(&request)).await;
        assert!(matches!(reply, ReplyKind::Redirect(_)), "{reply:?}");
    }
    let told = ReplyKind::Circling(Circling {
        application: host(APP),
        seen: Seen::ClocksDiffer,
        again: "https://app.test/".to_owned(),
    });
    assert_eq!(desk.show(Some(&request)).await, told);
}

#[tokio::test]
async fn a_signed_in_user_goes_straight_back_without_a_question() {
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    for app in [APP, "shop.apps.test"] {
        let request = desk.request(app, 20);
        let next = desk.show(Some(&request)).await;
        let origin = desk.collector.origins.of(&host(app)).unwrap();
        let token = desk.token(&next, app, &origin);
        assert_eq!(token.cookie.facts, session.facts);
        assert_eq!(token.cookie.session, session.id);
    }
    assert_eq!(desk.world.provider.asked(), 1);
}

#[tokio::test]
async fn a_silent_sign_in_counts_as_activity_and_rewrites_the_id_cookie_mdc_cookie_2() {
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    desk.world.pass(IDLE / 2);
    let request = desk.request(APP, 0);
    desk.show(Some(&request)).await;
    let cookie = desk.id_cookie().unwrap();
    assert_eq!(cookie.last_access, desk.world.now());
    assert_eq!(cookie.facts, session.facts, "S-1");
    assert_eq!(cookie.latest, here(&session));
    assert!(cookie.earlier.is_empty());
    desk.world.pass(IDLE.checked_sub(MILLISECOND).unwrap());
    assert!(desk.world.serves(&session));
}

#[tokio::test]
async fn a_session_that_no_longer_serves_is_asked_to_sign_in() {
    for reason in ["ended", "idle", "expired"] {
        let mut desk = Desk::new();
        let session = desk.sign_in("alice").await;
        match reason {
            "ended" => drop(desk.world.end(&session).await),
            "idle" => desk.world.pass(IDLE),
            _ => desk.world.clock.set(session.facts.expires),
        }
        let request = desk.request(APP, 0);
        let page = desk.page(Some(&request)).await;
        assert_eq!(page.application.as_deref(), Some(APP), "{reason}");
    }
}

#[tokio::test]
async fn a_level_that_a_sign_in_can_reach_is_asked_for_s_12() {
    let mut desk = Desk::new();
    desk.collector.password_level = Some(level(50));
    desk.sign_in("alice").await;
    let request = desk.request(APP, 40);
    let page = desk.page(Some(&request)).await;
    *desk.world.provider.level.lock() = level(50);
    let posted = desk.post(&page, "alice", PASSWORD).await;
    let token = desk.token(&posted, APP, "https://app.test");
    assert_eq!(token.cookie.facts.level, level(50));
}

#[tokio::test]
async fn a_level_that_no_sign_in_reaches_is_said_so_and_never_asked_for_in_a_loop_s_12() {
    let mut desk = Desk::new();
    let request = desk.request(APP, 21);
    let next = desk.sign_in_for(Some(&request), "alice").await;
    assert_eq!(next, ReplyKind::LevelUnreachable);
    assert!(desk.id_cookie().is_some(), "signed in all the same");
    let next = desk.show(Some(&request)).await;
    assert_eq!(next, ReplyKind::LevelUnreachable);
    assert_eq!(desk.world.provider.asked(), 1);
}

#[tokio::test]
async fn a_new_sign_in_ends_the_session_of_the_id_cookie_s_11() {
    let mut desk = Desk::new();
    let alice = desk.sign_in("alice").await;
    let request = desk.request(APP, 0);
    desk.collector.password_level = Some(level(30));
    let stronger = desk.request(APP, 30);
    let mut page = desk.page(Some(&stronger)).await;
    page.request = request;
    let posted = desk.post(&page, "bob", PASSWORD).await;
    let token = desk.token(&posted, APP, "https://app.test");
    assert_eq!(token.cookie.facts.subject, user("bob"));
    assert_eq!(desk.world.refusal(&claim(&alice)), Some(NotLive::Ended));
    assert_eq!(desk.id_cookie().unwrap().facts.subject, user("bob"));
}

#[tokio::test]
async fn when_the_old_session_cannot_be_ended_durably_nobody_is_signed_in_s_11() {
    let mut desk = Desk::new();
    let alice = desk.sign_in("alice").await;
    desk.world.pass(IDLE);
    let page = desk.page(None).await;
    desk.world.store.ends_are(Ends::Failing);
    let posted = desk.post(&page, "bob", PASSWORD).await;
    assert_eq!(login_page(posted).notice, Notice::Busy);
    assert!(!desk.world.serves(&alice));
    assert_eq!(desk.world.store.count(), 0);
}

#[tokio::test]
async fn of_several_id_cookies_the_first_whose_session_serves_counts_d_24() {
    let mut desk = Desk::new();
    let dead = desk.sign_in("carol").await;
    desk.world.end(&dead).await;
    desk.browser.forget(&desk.collector.names.id.clone());
    let live = desk.sign_in("alice").await;
    let name = desk.collector.names.id.clone();
    let values = [
        "junk".to_owned(),
        desk.id_cookie_of(&dead),
        desk.id_cookie_of(&live),
    ];
    desk.browser.forget(&name);
    for value in &values {
        desk.browser.add(&name, value);
    }
    let user = "alice".to_owned();
    assert_eq!(desk.show(None).await, ReplyKind::Welcome { user });
}

#[tokio::test]
async fn a_new_sign_in_ends_the_sessions_of_all_id_cookies_s_11_d_24() {
    let mut desk = Desk::new();
    let page = desk.page(None).await;
    let name = desk.collector.names.id.clone();
    let alice = desk.world.sign_in("alice").await;
    let carol = desk.world.sign_in("carol").await;
    let values = [&alice, &carol].map(|session| desk.id_cookie_of(session));
    for value in &values {
        desk.browser.add(&name, value);
    }
    let posted = desk.post(&page, "bob", PASSWORD).await;
    assert!(matches!(posted, ReplyKind::Redirect(_)));
    assert!(!desk.world.serves(&alice) && !desk.world.serves(&carol));
}

#[tokio::test]
async fn an_id_cookie_of_another_key_host_or_kind_is_none() {
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    let name = desk.collector.names.id.clone();
    let cookie = desk.id_cookie().unwrap();
    let nonce = seal_nonce(desk.world.entropy.as_ref());
    let foreign_host = Binding {
        scope: APP,
        ..id_binding(&name)
    };
    let other_name = Binding {
        name: "__Host-portway-id-other",
        ..id_binding(&name)
    };
    let other_kind = Binding {
        purpose: Purpose::AuthnCookie,
        ..id_binding(&name)
    };
    let other_key = key_ring([8; 32]).seal_claims(&id_binding(&name), nonce, &cookie);
    let forged = [
        other_key,
        desk.seal(&foreign_host, &cookie),
        desk.seal(&other_name, &cookie),
        desk.seal(&other_kind, &cookie),
    ];
    for value in &forged {
        desk.browser.forget(&name);
        desk.browser.add(&name, value);
        desk.page(None).await;
    }
    assert!(desk.world.serves(&session));
}

/// The ID cookie carries the whole chain and is the largest; nothing in it grows with the groups.
#[tokio::test]
async fn all_cookies_of_the_collector_stay_under_a_kibibyte_d_1() {
    let mut desk = Desk::new();
    let groups = (0..500).map(|n| GroupName::parse(&format!("group-number-{n}")).unwrap());
    *desk.world.provider.groups.lock() = groups.collect();
    let begun = desk.sign_in(LONGEST_USER).await;
    assert_eq!(begun.identity.groups.len(), 500);
    let mut travelled = Session::clone(&begun);
    let entropy = desk.world.entropy.as_ref();
    travelled.aliases = (1..16)
        .map(|n| {
            let id = SessionId::from_bytes(id_bytes(entropy));
            Holder {
                cluster: ClusterId::parse(&format!("region-{n:02}")).unwrap(),
                session: id,
            }
        })
        .collect();
    desk.world
        .store
        .replace_if_version(travelled)
        .await
        .unwrap();
    let request = desk.request(APP, 0);
    let next = desk.show(Some(&request)).await;
    desk.token(&next, APP, "https://app.test");
    assert_eq!(desk.id_cookie().unwrap().earlier.len(), 15);
    let line = desk.browser.line();
    assert!(line.len() < 1024, "{} bytes: {line}", line.len());
}

/// The state of a sign-out, read as the host does that it was sealed for.
pub(super) fn sign_out_binding(scope: &str) -> Binding<'_> {
    Binding {
        purpose: Purpose::SignOut,
        name: endpoints::SIGN_OUT,
        scope,
    }
}

pub(super) fn no_sign_out(expires: Timestamp) -> SignOut {
    SignOut {
        ended: Vec::new(),
        hosts: Vec::new(),
        provider: None,
        return_to: None,
        confirmed: crate::model::end::Confirmed::Durable,
        data_centres: Vec::new(),
        expires,
    }
}

/// A request for a sign-in, made now, with these demands.
fn request_with(desk: &Desk, target: &str, freshness: Freshness, seen: Seen) -> String {
    let request = wanted(desk, target, freshness, seen);
    desk.seal(&request_binding(COLLECTOR), &request)
}

#[tokio::test]
async fn a_session_that_the_wanted_host_does_not_take_is_asked_for_anew_and_not_renewed_d_19_s_20()
{
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    let mut request = wanted(&desk, "/", Freshness::Earlier, Seen::Over);
    request.limits.idle_timeout = Some(Duration::from_mins(5));
    let sealed = desk.seal(&request_binding(COLLECTOR), &request);
    let reply = desk.show(Some(&sealed)).await;
    assert!(matches!(reply, ReplyKind::Redirect(_)), "{reply:?}");
    desk.world.pass(Duration::from_mins(6));
    for _ in 0..2 {
        assert_eq!(desk.page(Some(&sealed)).await.notice, Notice::None);
    }
    desk.world.pass(Duration::from_mins(24));
    let refused = desk.world.refusal(&claim(&session));
    assert_eq!(refused, Some(NotLive::Idle), "since the hand-over");
}

#[tokio::test]
async fn a_request_that_is_no_activity_is_handed_over_and_renews_nothing_d_19() {
    let mut desk = Desk::new();
    let session = desk.sign_in("alice").await;
    let used = desk.id_cookie().unwrap().last_access;
    let poll = SignInRequest {
        activity: Activity::None,
        ..wanted(&desk, "/", Freshness::Earlier, Seen::Good)
    };
    let sealed = desk.seal(&request_binding(COLLECTOR), &poll);
    desk.world.pass(Duration::from_mins(20));
    let next = desk.show(Some(&sealed)).await;
    let token = desk.token(&next, APP, "https://app.test");
    assert_eq!(token.cookie.issued, desk.world.now());
    assert_eq!(token.cookie.last_access, Some(used));
    assert_eq!(desk.id_cookie().unwrap().last_access, used);
    desk.world.pass(Duration::from_mins(10));
    let refused = desk.world.refusal(&claim(&session));
    assert_eq!(refused, Some(NotLive::Idle));
}

fn wanted(desk: &Desk, target: &str, freshness: Freshness, seen: Seen) -> SignInRequest {
    SignInRequest {
        host: host(APP),
        target: target.to_owned(),
        nonce: APP_NONCE,
        level: AuthLevel::NONE,
        issued: desk.world.now(),
        freshness,
        seen,
        limits: HostLimits::NONE,
        activity: Activity::Counts,
    }
}

#[tokio::test]
async fn a_demand_to_sign_in_anew_is_met_by_a_new_sign_in_only_mdc_adopt_4_s_11() {
    let mut desk = Desk::new();
    let old = desk.sign_in("alice").await;
    desk.world.pass(MILLISECOND);
    let request = request_with(&desk, "/", Freshness::Now, Seen::Over);
    let page = desk.page(Some(&request)).await;
    assert_eq!(page.notice, Notice::Again);
    desk.world.pass(MILLISECOND);
    let posted = desk.post(&page, "alice", PASSWORD).await;
    let token = desk.token(&posted, APP, "https://app.test");
    assert_eq!(token.freshness, Freshness::Now);
    assert_ne!(token.cookie.facts.sso, old.facts.sso);
    assert_eq!(desk.world.refusal(&claim(&old)), Some(NotLive::Ended));
    // Another tab had been asked the same, and has its answer.
    let next = desk.show(Some(&request)).await;
    let token = desk.token(&next, APP, "https://app.test");
    assert_eq!(token.freshness, Freshness::Now);
    // Whoever asks later is not content with that.
    let later = request_with(&desk, "/", Freshness::Now, Seen::Over);
    assert_eq!(desk.page(Some(&later)).await.notice, Notice::Again);
    // Without the demand a sign-in of some time ago does, and is said to be one.
    let request = request_with(&desk, "/", Freshness::Earlier, Seen::Nothing);
    let next = desk.show(Some(&request)).await;
    let token = desk.token(&next, APP, "https://app.test");
    assert_eq!(token.freshness, Freshness::Earlier);
}

#[tokio::test]
async fn a_browser_that_is_sent_back_again_and_again_is_told_why_d_10() {
    let mut desk = Desk::new();
    desk.sign_in("alice").await;
    let goes_on = |reply: &ReplyKind| matches!(reply, ReplyKind::Redirect(_));
    for _ in 0..3 {
        let request = request_with(&desk, "/a?b=c", Freshness::Earlier, Seen::Nothing);
        assert!(goes_on(&desk.show(Some(&request)).await));
    }
    for seen in [Seen::Nothing, Seen::Unconfirmed, Seen::ClocksDiffer] {
        let request = request_with(&desk, "/a?b=c", Freshness::Earlier, seen);
        let circling = Circling {
            application: host(APP),
            seen,
            again: "https://app.test/a?b=c".to_owned(),
        };
        assert_eq!(
            desk.show(Some(&request)).await,
            ReplyKind::Circling(circling)
        );
    }
    assert!(desk.id_cookie().is_some(), "signed in all the same");
    desk.world.pass(MINUTE);
    let request = request_with(&desk, "/a?b=c", Freshness::Earlier, Seen::Nothing);
    assert!(goes_on(&desk.show(Some(&request)).await));
    // Other pages, and a sign-in by credential, are another matter.
    for n in 0..10 {
        let request = request_with(&desk, &format!("/{n}"), Freshness::Earlier, Seen::Nothing);
        assert!(goes_on(&desk.show(Some(&request)).await), "{n}");
    }
}
