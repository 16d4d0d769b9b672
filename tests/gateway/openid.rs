//! Signing in at a provider of OpenID Connect, a real one: there, back, and on to the application.

use serde_json::json;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Nginx;
use crate::support::gateway::Setup;
use crate::support::gateway::password;
use crate::support::issuer::encode;
use crate::support::openid::OpenId;
use crate::support::openid::REDIRECT;
use crate::support::openid::SECRET;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;

/// A gateway whose users sign in at a provider only.
struct Site {
    provider: OpenId,
    gateway: Gateway,
    _upstream: Nginx,
}

impl Site {
    async fn start(settings: &serde_json::Value, more: &str) -> Option<Self> {
        let provider = OpenId::start(settings).await?;
        let upstream = Nginx::start("one").await?;
        let section = provider.section(more);
        let gateway = gateway(&section, &upstream).await;
        Some(Self {
            provider,
            gateway,
            _upstream: upstream,
        })
    }
}

async fn gateway(section: &str, upstream: &Nginx) -> Gateway {
    let head = yaml::signing_in_by(section);
    let config = format!("{head}{}", yaml::sites(&[upstream.address()]));
    Setup::new()
        .file("client.secret", &format!("{SECRET}\n"))
        .start(&config)
        .await
}

#[tokio::test]
async fn a_deep_link_comes_back_from_the_provider_with_who_it_is() {
    for (settings, more) in [
        (json!({}), ""),
        (json!({ "alg": "ES256", "auth": "client_secret_post" }), ""),
        (json!({ "alg": "EdDSA" }), ""),
        (json!({ "alg": "PS256", "userinfo": true }), ""),
        (json!({}), ", claims: { user: email, groups: org.dept }"),
    ] {
        let Some(site) = Site::start(&settings, more).await else {
            return;
        };
        let mut browser = Browser::new(&site.gateway);
        let asked = browser.get("https://app.test/deep?a=1&b=%20x").await;
        let page = browser.follow_all(asked).await.expect(200);
        assert_eq!(page.url.origin(), site.provider.issuer(), "{}", page.url);
        let back = OpenId::sign_in(&mut browser, &page, "carol").await;
        assert!(back.location().to_string().starts_with(REDIRECT));
        let there = browser.follow_all(back).await.expect(200);
        assert_eq!(there.told("uri"), "/deep?a=1&b=%20x");
        assert_eq!(there.told("remote-email"), "carol@idp.test");
        assert_eq!(there.told("remote-name"), "carol of the provider");
        let (user, groups) = match more {
            "" => ("carol", "staff,admins"),
            _ => ("carol@idp.test", "Sales"),
        };
        assert_eq!(there.told("remote-user"), user);
        assert_eq!(there.told("remote-groups"), groups);
        let other = browser.get("https://other.test/x").await;
        let other = browser.follow_all(other).await.expect(200);
        assert_eq!(other.told("remote-user"), user);
    }
}

#[tokio::test]
async fn passwords_and_a_provider_stand_on_one_page() {
    let Some(provider) = OpenId::start(&json!({})).await else {
        return;
    };
    let Some(upstream) = Nginx::start("one").await else {
        return;
    };
    let section = provider.section("").replace(
        "authentication:\n",
        "authentication:\n  users_file: users.yaml\n",
    );
    let gateway = gateway(&section, &upstream).await;
    let mut browser = Browser::new(&gateway);
    let page = browser.get("https://app.test/x?y").await;
    let page = browser.follow_all(page).await.expect(200);
    assert!(page.text().contains("Sign in with Corporate"));
    let mut other = browser.clone();
    let by_password = other.log_in(&page, "alice", &password("alice")).await;
    by_password.expect(303);
    let link = page.text();
    let link = link.split("href=\"/.portway/provider").nth(1).unwrap();
    let link = link.split('"').next().unwrap().replace("&amp;", "&");
    let link = format!("https://login.test/.portway/provider{link}");
    let page = browser.get_from_elsewhere(&link).await;
    let page = browser.follow_all(page).await.expect(200);
    let back = OpenId::sign_in(&mut browser, &page, "alice").await;
    let there = browser.follow_all(back).await.expect(200);
    assert_eq!(there.told("uri"), "/x?y");
    assert_eq!(there.told("remote-email"), "alice@idp.test");
}

/// A way back is for one browser and good once: neither a stolen address nor one that is opened again signs
/// anybody in.
#[tokio::test]
async fn a_way_back_is_for_one_browser_and_good_once() {
    let Some(site) = Site::start(&json!({}), "").await else {
        return;
    };
    let mut browser = Browser::new(&site.gateway);
    let page = browser.get("https://app.test/x").await;
    let page = browser.follow_all(page).await.expect(200);
    let back = OpenId::sign_in(&mut browser, &page, "carol").await;
    let address = back.location().to_string();
    let mut thief = Browser::new(&site.gateway);
    thief.get_from_elsewhere(&address).await.expect(403);
    assert!(thief.jar.find("login.test", "-id-").is_none());
    let there = browser.follow_all(back).await.expect(200);
    assert_eq!(there.told("remote-user"), "carol");
    browser.get_from_elsewhere(&address).await.expect(403);
    // Nor is one that was changed, or one for another provider.
    for odd in [
        REDIRECT.to_owned(),
        format!("{REDIRECT}?code=x&state=y"),
        format!("{REDIRECT}?error=access_denied"),
    ] {
        thief.get_from_elsewhere(&odd).await.expect(403);
    }
    let other = address.replace("/corp/", "/other/");
    browser.get_from_elsewhere(&other).await.expect(404);
}

#[tokio::test]
async fn whom_the_provider_turns_away_is_told_so_and_may_try_again() {
    let Some(site) = Site::start(&json!({}), "").await else {
        return;
    };
    let mut browser = Browser::new(&site.gateway);
    let page = browser.get("https://app.test/x").await;
    let page = browser.follow_all(page).await.expect(200);
    let html = page.text();
    let abort = html.split("href=\"").find(|part| part.contains("/abort"));
    let abort = abort.unwrap().split('"').next().unwrap();
    let abort = page.url.join(abort).to_string();
    let mut answer = browser.get(&abort).await;
    while answer.redirects() {
        answer = browser.follow(&answer).await;
    }
    let answer = answer.expect(403);
    assert!(answer.text().contains("You were not signed in"));
    assert!(answer.text().contains("Sign in with Corporate"));
    site.gateway.wait_for_log("access_denied").await;
    let trail = site.gateway.folder().join("state/audit.jsonl");
    until("the trail has it", PATIENCE, || async {
        let told = std::fs::read_to_string(&trail).ok()?;
        told.contains("\"cause\":\"declined\"").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_gives_no_answer_is_said_to_be_and_asked_again() {
    let Some(upstream) = Nginx::start("one").await else {
        return;
    };
    let section = "authentication:
  openid_connect: [{ name: corp, issuer: \"http://127.0.0.1:1\", client_id: portway }]
";
    let gateway = gateway(section, &upstream).await;
    let mut browser = Browser::new(&gateway);
    let page = browser.get("https://app.test/x").await;
    let page = browser.follow_all(page).await.expect(503);
    assert!(page.text().contains("Signing in is not possible"));
    assert!(page.text().contains("Sign in with corp"));
    gateway
        .wait_for_log("gave no answer that can be used")
        .await;
}

#[tokio::test]
async fn whoever_signs_out_here_signs_out_at_the_provider_and_comes_back() {
    let back = "https://login.test/.portway/signed-out";
    let Some(site) = Site::start(&json!({ "afterLogout": [back] }), "").await else {
        return;
    };
    let mut browser = Browser::new(&site.gateway);
    let page = browser.get("https://app.test/x").await;
    let page = browser.follow_all(page).await.expect(200);
    let answer = OpenId::sign_in(&mut browser, &page, "carol").await;
    browser.follow_all(answer).await.expect(200);
    let asked = browser.get("https://app.test/.portway/logout").await;
    let page = browser.follow_all(asked).await.expect(200);
    assert_eq!(page.url.origin(), site.provider.issuer(), "{}", page.url);
    let form = page.form().pressing("logout", "yes");
    let answer = browser.submit(&page, &form).await;
    let end = browser.follow_all(answer).await.expect(200);
    assert!(end.url.to_string().starts_with(back), "{}", end.url);
    assert!(end.text().contains("signed out"), "{}", end.text());
    // The provider asks for the password again.
    let page = browser.get("https://app.test/x").await;
    let page = browser.follow_all(page).await.expect(200);
    assert!(page.text().contains("name=\"login\""), "{}", page.text());
}

#[tokio::test]
async fn whoever_signs_out_at_the_provider_is_signed_out_here() {
    let settings = json!({ "backChannel": "https://login.test/.portway/provider/corp/logout" });
    let Some(site) = Site::start(&settings, "").await else {
        return;
    };
    site.provider.meets(&site.gateway);
    let mut browser = Browser::new(&site.gateway);
    let page = browser.get("https://app.test/x").await;
    let page = browser.follow_all(page).await.expect(200);
    let answer = OpenId::sign_in(&mut browser, &page, "carol").await;
    browser.follow_all(answer).await.expect(200);
    let end = format!("{}/session/end", site.provider.issuer());
    let page = browser.get(&end).await.expect(200);
    let form = page.form().pressing("logout", "yes");
    let answer = browser.submit(&page, &form).await;
    browser.follow_all(answer).await;
    until("the session is over", PATIENCE, || async {
        let answer = browser.clone().get("https://app.test/x").await;
        (answer.status == 303).then_some(())
    })
    .await;
    site.gateway
        .wait_for_log("session ended at its provider")
        .await;
}

/// A client may prove who it is by a key instead of a secret (`private_key_jwt`).
#[tokio::test]
async fn a_client_proves_itself_by_a_key() {
    let key = rcgen::KeyPair::generate().unwrap();
    let point = rcgen::PublicKeyData::der_bytes(&key);
    let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "k-1", "use": "sig" });
    let settings = json!({ "auth": "private_key_jwt", "keys": [jwk] });
    let Some(provider) = OpenId::start(&settings).await else {
        return;
    };
    let Some(upstream) = Nginx::start("one").await else {
        return;
    };
    let section = provider.section("").replace(
        "client_secret_file: client.secret",
        "client_key_file: client.key, client_key_id: k-1",
    );
    let head = yaml::signing_in_by(&section);
    let config = format!("{head}{}", yaml::sites(&[upstream.address()]));
    let setup = Setup::new().file("client.key", &key.serialize_pem());
    let gateway = setup.start(&config).await;
    let mut browser = Browser::new(&gateway);
    let page = browser.get("https://app.test/x").await;
    let page = browser.follow_all(page).await.expect(200);
    let back = OpenId::sign_in(&mut browser, &page, "carol").await;
    let there = browser.follow_all(back).await.expect(200);
    assert_eq!(there.told("remote-user"), "carol");
}
