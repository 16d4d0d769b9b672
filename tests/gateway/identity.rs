//! What upstreams are told of the user, and what neither side may pretend.

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Nginx;
use crate::support::Protocol;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::applications;
use crate::support::gateway::Setup;
use crate::support::gateway::users_with;
use crate::support::recorder;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;

#[tokio::test]
async fn an_upstream_is_told_user_groups_address_and_name() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut carol = Browser::new(&gateway);
    let there = carol
        .sign_in("https://app.test/", "carol")
        .await
        .expect(200);
    assert_eq!(there.told("remote-user"), "carol");
    assert_eq!(there.told("remote-groups"), "staff,admins");
    assert_eq!(there.told("remote-email"), "carol@mail.test");
    assert_eq!(there.told("remote-name"), "Carol");
    let mut dora = Browser::new(&gateway);
    let there = dora.sign_in("https://app.test/", "dora").await.expect(200);
    assert_eq!(there.told("remote-user"), "dora");
    assert_eq!(there.told("remote-groups"), "");
    assert_eq!(there.told("remote-email"), "");
}

#[tokio::test]
async fn headers_that_pretend_an_identity_never_arrive_in_any_spelling_d_17() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&yaml::applications(&[recorder.address()])).await;
    let browser = Browser::signed_in(&gateway, "dora").await;
    let names = [
        "Remote-User",
        "REMOTE_USER",
        "remote.user",
        "Remote_User",
        "Remote-Groups",
        "remote_groups",
        "Remote-Email",
        "Remote-Name",
        "X-Forwarded-For",
        "x_forwarded_for",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Prefix",
        "X-Forwarded-User",
        "Forwarded",
        "X-Real-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Portway-Anything",
        "Proxy",
    ];
    for (protocol, path, told) in [
        (Protocol::H1, "/", names.len()),
        (Protocol::H1, "/public", names.len()),
        (Protocol::H1, "/plain", 0),
        (Protocol::H2, "/", names.len()),
        (Protocol::H2, "/public", names.len()),
        (Protocol::H2, "/plain", 0),
    ] {
        recorder.clear();
        let mut browser = browser.clone().over(protocol);
        let url = format!("https://app.test{path}");
        for name in names {
            let request = Request::get(&url).header(name, "attacker");
            browser.send(request).await.expect(200);
        }
        let seen = recorder.text().to_ascii_lowercase();
        assert_eq!(recorder.requests(), names.len());
        assert!(!seen.contains("attacker"), "{path}: {seen}");
        let users = seen.matches("\r\nremote-user: dora\r\n").count();
        assert_eq!(users, told, "{path}: {seen}");
    }
}

#[tokio::test]
async fn the_names_of_identity_headers_are_configured_and_null_sends_none() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let yaml = yaml::applications(&[nginx.address()]);
    let names =
        "identity_headers: { user: X-Remote-User, groups: null, email: null, name: null }\n";
    let gateway = Gateway::start(&format!("{yaml}{names}")).await;
    let mut browser = Browser::new(&gateway);
    let there = browser
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
    assert_eq!(there.told("x-remote-user"), "alice");
    for name in [
        "remote-user",
        "remote-groups",
        "remote-email",
        "remote-name",
    ] {
        assert_eq!(there.told(name), "");
    }
    let forged = Request::get("https://app.test/").header("x_remote-user", "root");
    assert_eq!(browser.send(forged).await.told("x-remote-user"), "alice");
}

/// An application that denies a group would let in whom it does not know to be in it.
#[tokio::test]
async fn groups_that_do_not_fit_are_not_cut_off_and_an_application_may_be_told_of_a_few_d_1() {
    let application = Application::start().await;
    let many: Vec<String> = (0..500)
        .map(|n| format!("some-group-of-the-company-{n}"))
        .collect();
    let groups = format!("[staff, wiki-editors, {}]", many.join(", "));
    let users = users_with(&[("alice", &groups, "alice@mail.test", "Alice")]);
    for (names, header) in [
        ("{}", "remote-groups"),
        ("{ preset: pomerium }", "x-pomerium-claim-groups"),
    ] {
        let config = format!(
            "{HEAD}
identity_headers: {names}
pools: {{ app: {{ primary: [\"{}\"] }} }}
virtual_hosts:
  - host: app.test
    routes:
      - path: /wiki
        access: protected
        policy: [{{ allow: {{ group: some-group-of-the-company-499 }} }}]
        pool: app
        only_groups: [\"wiki-*\", staff]
      - {{ path: /none, access: protected, policy: [{{ allow: signed_in }}], pool: app, only_groups: [] }}
      - {{ path: /, access: protected, policy: [{{ allow: signed_in }}], pool: app }}
",
            application.address()
        );
        let setup = Setup::new().file("users.yaml", &users);
        let gateway = setup.start(&config).await;
        let mut alice = Browser::new(&gateway);
        let wiki = alice.sign_in("https://app.test/wiki", "alice").await;
        assert_eq!(wiki.expect(200).told(header), "staff,wiki-editors");
        let none = alice.get("https://app.test/none").await.expect(200);
        assert!(!none.text().contains(header), "{}", none.text());
        let served = application.requests();
        let refused = alice.get("https://app.test/").await.expect(431);
        assert!(
            refused.text().contains("too long to be sent"),
            "{}",
            refused.text()
        );
        assert_eq!(application.requests(), served, "no upstream was asked");
        gateway
            .wait_for_log("an application cannot be told of a user")
            .await;
        let line = until("the trail has it", PATIENCE, || async {
            let trail = gateway.folder().join("state/audit.jsonl");
            let text = std::fs::read_to_string(trail).ok()?;
            let mut lines = text.lines();
            let line = lines.find(|line| line.contains("\"event\":\"denied\""))?;
            Some(line.to_owned())
        })
        .await;
        let reason = format!("the header {header} would be ");
        assert!(line.contains(&reason) && line.contains("alice"), "{line}");
        let wiki = alice.get("https://app.test/wiki").await.expect(200);
        assert_eq!(wiki.told(header), "staff,wiki-editors");
    }
}

#[tokio::test]
async fn own_cookies_never_reach_an_upstream_and_those_of_applications_do_byte_for_byte_m_014() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&yaml::applications(&[recorder.address()])).await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let own = browser.cookies_for("https://app.test/");
    assert!(
        own.contains("-authn-main=") && own.contains("-nonce-main="),
        "{own}"
    );
    recorder.clear();
    let cookies = format!("a=1; {own}; b=\"x y\"; __Host-PORTWAY-id-main=x; c==2=; d");
    let request = Request::get("https://app.test/").header("cookie", &cookies);
    browser.send(request).await.expect(200);
    let seen = recorder.text();
    assert!(
        seen.to_ascii_lowercase()
            .contains("\r\ncookie: a=1; b=\"x y\"; c==2=; d\r\n"),
        "{seen}"
    );
    assert!(!seen.to_ascii_lowercase().contains("portway-"), "{seen}");
    // HTTP/2 may send one header for each cookie.
    recorder.clear();
    let crumbs = own.split("; ").chain(["a=1", "b=2"]);
    let request = crumbs.fold(Request::get("https://app.test/"), |request, crumb| {
        request.header("cookie", crumb)
    });
    browser
        .clone()
        .over(Protocol::H2)
        .send(request)
        .await
        .expect(200);
    let seen = recorder.text();
    assert!(
        seen.to_ascii_lowercase()
            .contains("\r\ncookie: a=1; b=2\r\n"),
        "{seen}"
    );
    assert!(!seen.to_ascii_lowercase().contains("portway-"), "{seen}");
}

#[tokio::test]
async fn an_upstream_sets_its_own_cookies_and_none_of_portways_m_014() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let before = browser.jar.find("app.test", "-authn-").unwrap().clone();
    for path in ["/cookies", "/public/../cookies", "/cookies?again"] {
        let answer = browser.get(&format!("https://app.test{path}")).await;
        if answer.status == 200 {
            assert_eq!(answer.set_cookies(), ["app=\"a b\"; Path=/"], "{path}");
        }
    }
    assert_eq!(browser.jar.find("app.test", "-authn-"), Some(&before));
    let told = browser.get("https://app.test/").await.told("cookie");
    assert_eq!(told, "app=\"a b\"");
}

#[tokio::test]
async fn protected_answers_are_not_cached_unless_the_route_leaves_that_to_the_upstream() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let yaml = format!(
        "{HEAD}
pools: {{ app: {{ primary: [\"{}\"] }} }}
virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /cached/upstream, access: protected, policy: [{{ allow: signed_in }}], pool: app, caching: upstream }}
      - {{ path: /cached/open, access: unprotected, pool: app }}
      - {{ path: /open/upstream, access: unprotected, pool: app, caching: upstream }}
      - {{ path: /, access: protected, policy: [{{ allow: signed_in }}], pool: app }}
",
        nginx.address()
    );
    let gateway = Gateway::start(&yaml).await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    for (path, said) in [
        ("/cached/x", "no-store"),
        ("/cached/upstream", "public, max-age=600"),
        ("/cached/open", "public, max-age=600"),
        ("/open/upstream", ""),
        ("/", "no-store"),
    ] {
        let answer = browser
            .get(&format!("https://app.test{path}"))
            .await
            .expect(200);
        assert_eq!(answer.header("cache-control"), said, "{path}");
    }
}

#[tokio::test]
async fn an_unprotected_route_is_told_who_is_signed_in_and_never_asks() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut browser = Browser::new(&gateway);
    let anonymous = browser.get("https://app.test/public").await.expect(200);
    assert_eq!(anonymous.told("remote-user"), "");
    assert!(anonymous.set_cookies().is_empty());
    browser
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
    let known = browser.get("https://app.test/public").await.expect(200);
    assert_eq!(known.told("remote-user"), "alice");
    // A page with a name on it must not come back from the browser's own cache after a sign-out.
    assert_eq!(anonymous.header("cache-control"), "");
    assert_eq!(known.header("cache-control"), "no-store");
    let excluded = browser.get("https://app.test/plain").await.expect(200);
    assert_eq!(excluded.told("remote-user"), "");
    assert_eq!(excluded.told("cookie"), "");
    assert_eq!(excluded.header("cache-control"), "");
    let junk = Request::get("https://app.test/public");
    let junk = junk.header("cookie", "__Host-portway-authn-main=junk");
    assert_eq!(
        Browser::new(&gateway)
            .send(junk)
            .await
            .expect(200)
            .told("remote-user"),
        ""
    );
}

#[tokio::test]
async fn a_name_outside_ascii_arrives_encoded_and_cannot_break_a_header() {
    let application = Application::start().await;
    let gateway = Gateway::start(&yaml::applications(&[application.address()])).await;
    let mut browser = Browser::new(&gateway);
    let there = browser
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
    let name = there.told("remote-name");
    assert!(name.is_ascii() && !name.is_empty(), "{name}");
    assert!(name.contains("Alice"), "{name}");
}

#[tokio::test]
async fn an_answer_to_a_stranger_holds_not_one_byte_of_the_upstream() {
    let recorder = Recorder::answering(recorder::OK).await;
    let gateway = Gateway::start(&yaml::applications(&[recorder.address()])).await;
    let mut browser = Browser::new(&gateway);
    browser.get("https://app.test/").await.expect(303);
    browser
        .send(Request::post("https://app.test/").body("a=b"))
        .await
        .expect(401);
    assert!(recorder.bytes().is_empty(), "{}", recorder.text());
}
