//! A hostile provider, and what others make of an honest one: each case ends in a refusal, none in a session
//! (`threats.md` §1.5).

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use ring::hmac;
use serde_json::Value;
use serde_json::json;

use crate::support::Answer;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Nginx;
use crate::support::Request;
use crate::support::gateway::Setup;
use crate::support::issuer::Issuer;
use crate::support::issuer::Signer;
use crate::support::issuer::encode;
use crate::support::issuer::unsigned;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;

const CALLBACK: &str = "https://login.test/.portway/provider/corp/callback";
const LOGOUT: &str = "https://login.test/.portway/provider/corp/logout";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

struct Site {
    issuer: Issuer,
    gateway: Gateway,
    _upstream: Nginx,
}

/// A browser that has been sent to the provider.
struct Journey {
    browser: Browser,
    state: String,
    nonce: String,
}

impl Site {
    async fn start() -> Option<Self> {
        Self::start_with("", |yaml| yaml).await
    }

    /// With further keys of the provider, each with a comma before it, and a change of the configuration.
    async fn start_with(more: &str, change: impl FnOnce(String) -> String) -> Option<Self> {
        let upstream = Nginx::start("one").await?;
        let issuer = Issuer::start().await;
        let section = format!(
            "authentication:
  openid_connect: [{{ name: corp, issuer: \"{}\", client_id: portway, client_secret: s, timeout: 2s{more} }}]
",
            issuer.name()
        );
        let head = yaml::signing_in_by(&section);
        let config = change(format!("{head}{}", yaml::sites(&[upstream.address()])));
        let gateway = Setup::new().start(&config).await;
        Some(Self {
            issuer,
            gateway,
            _upstream: upstream,
        })
    }

    async fn journey(&self) -> Journey {
        let mut browser = Browser::new(&self.gateway);
        let sent = browser.get("https://app.test/x").await.expect(303);
        let sent = browser.follow(&sent).await.expect(303);
        let there = sent.location();
        assert_eq!(there.origin(), self.issuer.name());
        Journey {
            browser,
            state: there.parameter("state").unwrap(),
            nonce: there.parameter("nonce").unwrap(),
        }
    }

    /// What an honest provider would say.
    fn claims(&self, journey: &Journey) -> Value {
        let now = now();
        json!({
            "iss": self.issuer.name(),
            "aud": "portway",
            "sub": "alice",
            "sid": "s-1",
            "nonce": journey.nonce,
            "iat": now,
            "exp": now + 300,
            "name": "Alice",
            "email": "alice@idp.test",
            "groups": ["staff"],
        })
    }

    fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": "own" });
        self.issuer.signer.sign(&header, claims)
    }

    /// Signs a user in.
    async fn sign_in(&self) -> Browser {
        let journey = self.journey().await;
        self.issuer.give(&self.token(&self.claims(&journey)));
        let (mut browser, answer) = journey.come_back("").await;
        let there = browser.follow_all(answer).await.expect(200);
        assert_eq!(there.told("remote-user"), "alice");
        browser
    }

    fn logout_token(&self, id: &str) -> Value {
        let now = now();
        json!({
            "iss": self.issuer.name(),
            "aud": "portway",
            "iat": now,
            "exp": now + 60,
            "jti": id,
            "sid": "s-1",
            "events": { EVENT: {} },
        })
    }

    async fn tell_of_logout(&self, token: &str) -> u16 {
        let form = [("logout_token".to_owned(), token.to_owned())];
        let request = Request::post(LOGOUT).form(&form);
        Browser::new(&self.gateway).send(request).await.status
    }
}

impl Journey {
    /// Comes back with a code.
    async fn come_back(mut self, more: &str) -> (Browser, Answer) {
        let address = format!("{CALLBACK}?code=c-7&state={}{more}", self.state);
        let answer = self.browser.get_from_elsewhere(&address).await;
        (self.browser, answer)
    }

    /// Comes back with a code, and is not signed in.
    async fn comes_to_nothing(self, status: u16, case: &str) {
        let (browser, answer) = self.come_back("").await;
        assert_eq!(answer.status, status, "{case}");
        assert!(browser.jar.find("login.test", "-id-").is_none(), "{case}");
    }
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap()
}

#[tokio::test]
async fn a_token_that_is_signed_wrongly_signs_nobody_in() {
    let Some(site) = Site::start().await else {
        return;
    };
    site.sign_in().await;
    let other = Signer::new();
    let keys = |journey: &Journey| {
        let claims = site.claims(journey);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &site.issuer.signer.point());
        let mac = unsigned(&json!({ "alg": "HS256", "kid": "own" }), &claims);
        let mac = format!("{mac}.{}", encode(hmac::sign(&secret, mac.as_bytes())));
        let none = unsigned(&json!({ "alg": "none" }), &claims);
        let good = site.token(&claims);
        let (head, signature) = good.rsplit_once('.').unwrap();
        let (header, _) = head.split_once('.').unwrap();
        let changed = json!({ "sub": "mallory" }).to_string();
        let bait = json!({
            "alg": "ES256",
            "kid": "own",
            "jwk": other.jwk("own"),
            "jku": format!("{}/bait", site.issuer.name()),
            "x5u": format!("{}/bait", site.issuer.name()),
        });
        let critical = json!({ "alg": "ES256", "kid": "own", "crit": ["exp"] });
        [
            (
                "another key",
                other.sign(&json!({ "alg": "ES256", "kid": "own" }), &claims),
            ),
            ("a key of its own", other.sign(&bait, &claims)),
            ("HS256 with the public key", mac),
            ("none", format!("{none}.")),
            ("no signature", head.to_owned()),
            (
                "other claims",
                format!("{header}.{}.{signature}", encode(changed)),
            ),
            (
                "a critical header",
                site.issuer.signer.sign(&critical, &claims),
            ),
            ("no token", "x".to_owned()),
        ]
    };
    let count = keys(&site.journey().await).len();
    for index in 0..count {
        let journey = site.journey().await;
        let (case, token) = &keys(&journey)[index];
        site.issuer.give(token);
        journey.comes_to_nothing(403, case).await;
    }
    assert!(
        site.issuer.heard("/bait").is_empty(),
        "jku and x5u are not asked"
    );
}

#[tokio::test]
async fn a_token_with_a_claim_that_is_off_signs_nobody_in() {
    let Some(site) = Site::start().await else {
        return;
    };
    let now = now();
    for (name, value) in [
        ("iss", json!("https://other.test")),
        ("aud", json!("other")),
        ("aud", json!(["portway", "other"])),
        ("azp", json!("other")),
        ("nonce", json!("another")),
        ("nonce", json!(null)),
        ("exp", json!(now - 120)),
        ("iat", json!(now + 600)),
        ("nbf", json!(now + 600)),
        ("sub", json!("")),
        ("sub", json!("a\nb")),
        ("sub", json!(null)),
    ] {
        let journey = site.journey().await;
        let mut claims = site.claims(&journey);
        claims[name] = value.clone();
        site.issuer.give(&site.token(&claims));
        journey
            .comes_to_nothing(403, &format!("{name}: {value}"))
            .await;
    }
}

/// RFC 9207: a code of another provider never gets to this one.
#[tokio::test]
async fn a_mixed_up_issuer_and_a_code_for_nothing_are_refused() {
    let Some(site) = Site::start().await else {
        return;
    };
    let journey = site.journey().await;
    site.issuer.give(&site.token(&site.claims(&journey)));
    let (browser, answer) = journey.come_back("&iss=https%3A%2F%2Fevil.test").await;
    answer.expect(403);
    assert!(browser.jar.find("login.test", "-id-").is_none());
    assert!(
        site.issuer.heard("/token").is_empty(),
        "the code was not given away"
    );
    site.issuer.answer("/token", || {
        let body = Bytes::from_static(br#"{"error":"invalid_grant"}"#);
        Response::builder()
            .status(400)
            .body(Full::new(body))
            .unwrap()
    });
    site.journey()
        .await
        .comes_to_nothing(403, "a code that is not good")
        .await;
}

#[tokio::test]
async fn answers_that_are_huge_redirecting_or_broken_sign_nobody_in() {
    let Some(site) = Site::start().await else {
        return;
    };
    site.sign_in().await;
    let redirect = format!("{}/elsewhere", site.issuer.name());
    site.issuer.answer("/token", move || {
        Response::builder()
            .status(307)
            .header("location", &redirect)
            .body(Full::default())
            .unwrap()
    });
    site.journey()
        .await
        .comes_to_nothing(503, "a redirect")
        .await;
    assert!(
        site.issuer.heard("/elsewhere").is_empty(),
        "no redirect is followed"
    );
    site.issuer.answer("/token", || {
        Response::new(Full::new(Bytes::from(vec![b' '; 2 << 20])))
    });
    site.journey()
        .await
        .comes_to_nothing(503, "two mebibytes")
        .await;
    for body in [
        "",
        "{",
        "[]",
        r#"{"id_token": 7}"#,
        r#"{"access_token": "a"}"#,
    ] {
        site.issuer.answer("/token", move || {
            Response::new(Full::new(Bytes::from_static(body.as_bytes())))
        });
        site.journey().await.comes_to_nothing(503, body).await;
    }
}

/// A provider that describes itself as somebody else, or without TLS, is not used at all.
#[tokio::test]
async fn a_description_that_is_another_s_is_not_used() {
    for (name, value) in [
        ("issuer", "https://idp.test"),
        ("token_endpoint", "http://idp.test/token"),
        ("authorization_endpoint", "javascript:alert(1)"),
        ("jwks_uri", "http://idp.test/keys"),
    ] {
        let Some(site) = Site::start().await else {
            return;
        };
        site.issuer
            .describe(|description| description[name] = json!(value));
        let mut browser = Browser::new(&site.gateway);
        let answer = browser.get("https://app.test/x").await;
        let answer = browser.follow_all(answer).await.expect(503);
        assert!(
            answer.text().contains("Signing in is not possible"),
            "{name}"
        );
    }
}

/// Keys that are exchanged are found at the next sign-in, and whoever makes tokens up has nobody asked for keys
/// again and again.
#[tokio::test]
async fn a_new_key_is_asked_for_once() {
    let Some(site) = Site::start().await else {
        return;
    };
    site.sign_in().await;
    let fresh = Signer::new();
    site.issuer.publish(&[fresh.jwk("fresh")]);
    let asked = site.issuer.heard("/keys").len();
    for _ in 0..5 {
        let journey = site.journey().await;
        let header = json!({ "alg": "ES256", "kid": "made up" });
        site.issuer
            .give(&Signer::new().sign(&header, &site.claims(&journey)));
        journey.comes_to_nothing(403, "a key that nobody has").await;
    }
    assert!(site.issuer.heard("/keys").len() <= asked + 1);
}

#[tokio::test]
async fn a_logout_token_ends_the_session_and_is_heard_once() {
    let Some(site) = Site::start().await else {
        return;
    };
    let mut browser = site.sign_in().await;
    let good = |id: &str| site.token(&site.logout_token(id));
    let off = |name: &str, value: Value| {
        let mut claims = site.logout_token("off");
        claims[name] = value;
        site.token(&claims)
    };
    let header = json!({ "alg": "ES256", "kid": "own" });
    for (case, token) in [
        (
            "forged",
            Signer::new().sign(&header, &site.logout_token("f")),
        ),
        ("another's", off("aud", json!("other"))),
        ("an ID token", off("nonce", json!("n"))),
        ("no event", off("events", json!({}))),
        ("expired", off("exp", json!(now() - 120))),
        ("nameless", off("jti", json!(""))),
        ("nobody's", off("sid", json!(null))),
        ("none", "x".to_owned()),
    ] {
        assert_eq!(site.tell_of_logout(&token).await, 400, "{case}");
        browser.get("https://app.test/x").await.expect(200);
    }
    let token = good("1");
    assert_eq!(site.tell_of_logout(&token).await, 200);
    browser.get("https://app.test/x").await.expect(303);
    // Whoever signs in again at the same session there is not signed out by a copy.
    assert_eq!(site.tell_of_logout(&token).await, 400);
}

#[tokio::test]
async fn a_logout_token_for_a_user_ends_all_sessions_of_that_user() {
    let Some(site) = Site::start().await else {
        return;
    };
    let mut browsers = [site.sign_in().await, site.sign_in().await];
    let mut claims = site.logout_token("u");
    claims["sub"] = json!("alice");
    claims.as_object_mut().unwrap().remove("sid");
    assert_eq!(site.tell_of_logout(&site.token(&claims)).await, 200);
    for browser in &mut browsers {
        browser.get("https://app.test/x").await.expect(303);
    }
}

#[tokio::test]
async fn a_browser_may_say_in_front_which_session_is_over() {
    let Some(site) = Site::start().await else {
        return;
    };
    let mut browser = site.sign_in().await;
    let mut other = Browser::new(&site.gateway);
    let front = "https://login.test/.portway/provider/corp/front-channel-logout";
    other.get_from_elsewhere(front).await.expect(400);
    let strange = format!("{front}?iss=https%3A%2F%2Fother.test&sid=s-1");
    other.get_from_elsewhere(&strange).await.expect(400);
    browser.get("https://app.test/x").await.expect(200);
    let said = format!("{front}?iss={}&sid=s-1", site.issuer.name());
    other.get_from_elsewhere(&said).await.expect(200);
    until("the session is over", PATIENCE, || async {
        let answer = browser.clone().get("https://app.test/x").await;
        (answer.status == 303).then_some(())
    })
    .await;
}

/// A route that asks for more has the provider asked for more, and what it says of the sign-in counts.
#[tokio::test]
async fn a_level_is_what_the_provider_says_of_the_sign_in() {
    let Some(site) = Site::start_with(", levels: { \"urn:two\": 30 }", |yaml| {
        yaml.replace(
            "path: /admin, access: protected, policy: admins",
            "path: /admin, level: 20, access: protected, policy: anybody",
        )
    })
    .await
    else {
        return;
    };
    let journey = site.journey().await;
    site.issuer.give(&site.token(&site.claims(&journey)));
    let (mut browser, answer) = journey.come_back("").await;
    browser.follow_all(answer).await.expect(200);
    for (context, status) in [("urn:one", 403), ("urn:two", 200)] {
        let sent = browser.get("https://app.test/admin").await.expect(303);
        let sent = browser.follow(&sent).await.expect(303);
        let there = sent.location();
        assert_eq!(there.parameter("acr_values").unwrap(), "urn:two");
        let journey = Journey {
            browser,
            state: there.parameter("state").unwrap(),
            nonce: there.parameter("nonce").unwrap(),
        };
        let mut claims = site.claims(&journey);
        claims["acr"] = json!(context);
        site.issuer.give(&site.token(&claims));
        let (next, answer) = journey.come_back("").await;
        browser = next;
        let answer = browser.follow_all(answer).await;
        assert_eq!(answer.status, status, "{context}: {}", answer.text());
    }
}
