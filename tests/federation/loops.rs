//! Collector and application in different data centres, and what is in the way of a browser between them:
//! it arrives, is asked, or is told what is wrong, and is never sent round and round (D-10).
//!
//! Clocks are moved by faketime.

use std::time::Duration;

use crate::clocks::OF_A;
use crate::clocks::OF_B;
use crate::clocks::skew_is;
use crate::pair::ANCHORED;
use crate::pair::APP;
use crate::pair::Arrival;
use crate::pair::BOUND;
use crate::pair::FREE;
use crate::pair::OTHER;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::assert_dead;
use crate::pair::served;
use crate::pair::until_dead;
use crate::support::Answer;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::Url;
use crate::support::gateway::password;
use crate::support::until;

/// A balancer that sends the collector's host to one data centre and the applications to another.
#[derive(Clone, Copy)]
struct Split<'p> {
    collector: &'p Gateway,
    application: &'p Gateway,
    /// Where the callback of an application goes.
    callback: &'p Gateway,
}

impl<'p> Split<'p> {
    fn of(pair: &'p Pair) -> Self {
        Self {
            collector: &pair.a,
            application: &pair.b,
            callback: &pair.b,
        }
    }

    fn send(&self, browser: &mut Browser, url: &Url) {
        browser.go_to(match (url.host(), url.path()) {
            ("login.apps.test", _) => self.collector,
            (_, "/.portway/callback") => self.callback,
            _ => self.application,
        });
    }

    async fn open(&self, browser: &mut Browser, url: &str) -> Answer {
        self.send(browser, &Url::parse(url));
        let first = browser.get(url).await;
        self.follow(browser, first).await
    }

    /// Goes wherever an answer leads, as far as a browser would.
    async fn follow(&self, browser: &mut Browser, first: Answer) -> Answer {
        let mut answer = first;
        for _ in 0..REDIRECTS_MAX {
            if !answer.redirects() {
                return answer;
            }
            self.send(browser, &answer.location());
            answer = browser.follow(&answer).await;
        }
        panic!("too many redirects, at {}", answer.url);
    }

    async fn log_in(&self, browser: &mut Browser, page: &Answer, user: &str) -> Answer {
        self.send(browser, &page.url);
        let posted = browser
            .log_in(page, user, &password(user))
            .await
            .expect(303);
        self.follow(browser, posted).await
    }

    /// Opens an address and says what came of it.
    async fn visit(&self, browser: &mut Browser, url: &str) -> Arrival {
        let last = self.open(browser, url).await.expect(200);
        if last.url.path() == "/.portway/sign-in" {
            Arrival::Challenged
        } else {
            Arrival::Served(last.told("remote-user"))
        }
    }
}

#[tokio::test]
async fn where_the_application_cannot_ask_for_a_session_the_browser_is_told_so_mdc_fail_3_m_074() {
    let pair = Pair::start(FREE).await;
    let split = Split::of(&pair);
    let mut alice = pair.signed_in_at_a("alice").await;
    pair.cut();
    let told = split.open(&mut alice, OTHER).await.expect(503);
    assert_eq!(told.url.host(), "other.apps.test");
    assert!(!told.header("retry-after").is_empty());
    let text = told.text();
    for part in [
        "other.apps.test cannot confirm it",
        "Try again",
        "Reference: <code>",
    ] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert!(!text.contains("dc-a"), "{text}");
    // A new sign-in does not help, and is not turned round either.
    let mut fresh = Browser::new(&pair.b);
    let page = split.open(&mut fresh, OTHER).await.expect(200);
    split.log_in(&mut fresh, &page, "bob").await.expect(503);
    // A program is told in its own way.
    let request = Request::get(&told.url.to_string()).header("accept", "application/json");
    let as_json = alice.send(request).await.expect(503);
    assert_eq!(as_json.header("content-type"), "application/json");
    assert!(as_json.text().contains("\"reference\""));
    // The link leads on as soon as the way is free again: the token was not used up.
    pair.heal();
    let (_, link) = text.split_once("<a href=\"").unwrap();
    let (link, _) = link.split_once('"').unwrap();
    let again = told.url.join(link).to_string();
    let arrived = until("the way is free again", BOUND, || async {
        let mut copy = alice.clone();
        let last = split.open(&mut copy, &again).await;
        (last.status == 200).then_some(last)
    })
    .await;
    assert_eq!(arrived.told("remote-user"), "alice");
}

#[tokio::test]
async fn with_reauthentication_an_application_elsewhere_is_reached_by_signing_in_once_mdc_adopt_4_m_062()
 {
    for adoption in [
        "reauthenticate: true",
        "reauthenticate: true, anchor_session: true",
        "reauthenticate: true, retrieve_data: false",
    ] {
        let pair = Pair::start(Plan { adoption, ..FREE }).await;
        let split = Split::of(&pair);
        // Whoever signs in to go there has been asked.
        let mut bob = Browser::new(&pair.a);
        let page = split.open(&mut bob, APP).await.expect(200);
        let arrived = split.log_in(&mut bob, &page, "bob").await.expect(200);
        assert_eq!(arrived.told("remote-user"), "bob", "{adoption}");
        assert_eq!(split.visit(&mut bob, APP).await, served("bob"));
        // That was for this data centre, not for one application; nor does the way home ask again.
        for url in [OTHER, APP, OTHER] {
            assert_eq!(
                split.visit(&mut bob, url).await,
                served("bob"),
                "{adoption}"
            );
        }
        let home = crate::pair::visit(&mut bob, &pair.a, APP).await;
        assert_eq!(home, served("bob"), "{adoption}");
        assert_eq!(
            split.visit(&mut bob, OTHER).await,
            served("bob"),
            "{adoption}"
        );
        // Whoever has signed in before is asked once more, with or without an authn cookie.
        for url in [APP, OTHER] {
            let mut alice = pair.signed_in_at_a("alice").await;
            let old = alice.clone();
            let page = split.open(&mut alice, url).await.expect(200);
            assert!(page.text().contains("sign in again"), "{}", page.text());
            // Being asked costs nothing.
            assert_eq!(
                crate::pair::visit(&mut alice.clone(), &pair.a, APP).await,
                served("alice")
            );
            let arrived = split.log_in(&mut alice, &page, "alice").await.expect(200);
            assert_eq!(arrived.told("remote-user"), "alice", "{adoption} {url}");
            assert_eq!(split.visit(&mut alice, url).await, served("alice"));
            // The session left behind ended with the new sign-in (S-11).
            until_dead(&old, &pair.a).await;
            assert_dead(&old, &pair.b).await;
        }
    }
}

#[tokio::test]
async fn clocks_that_differ_within_the_hard_limit_keep_nobody_out_s_22_s_24_mdc_cookie_6() {
    for plan in [FREE, ANCHORED] {
        for ahead in [(45, 0), (100, 0), (0, 45), (0, 100)] {
            keep_nobody_out(plan, ahead).await;
        }
    }
}

/// Signs in and goes about with a collector and an application this many seconds ahead.
async fn keep_nobody_out(plan: Plan<'_>, ahead: (u64, u64)) {
    let Some(pair) = Pair::with_clocks(plan).await else {
        return;
    };
    let split = Split::of(&pair);
    pair.a.set_clock_ahead(Duration::from_secs(ahead.0));
    pair.b.set_clock_ahead(Duration::from_secs(ahead.1));
    let mut alice = Browser::new(&pair.a);
    let page = split.open(&mut alice, APP).await.expect(200);
    let arrived = split.log_in(&mut alice, &page, "alice").await.expect(200);
    assert_eq!(arrived.told("remote-user"), "alice");
    for url in [APP, OTHER, APP] {
        let arrival = split.visit(&mut alice, url).await;
        assert_eq!(arrival, served("alice"), "{ahead:?} {url}");
    }
}

#[tokio::test]
async fn clocks_beyond_the_hard_limit_end_on_a_page_that_names_them_s_22_d_10_m_043() {
    // A sign-in request that is old on arrival, and a token from the future; then a token that has expired.
    for (ahead, at) in [((7200, 0), "app.apps.test"), ((0, 7200), "login.apps.test")] {
        for adoption in ["", "retrieve_data: false"] {
            end_on_a_page(Plan { adoption, ..FREE }, ahead, at).await;
        }
    }
}

/// Signs in with a collector and an application this many seconds ahead, and is told at this host.
async fn end_on_a_page(plan: Plan<'_>, ahead: (u32, u32), at: &str) {
    let Some(pair) = Pair::with_clocks(plan).await else {
        return;
    };
    let split = Split::of(&pair);
    let seconds = |ahead| Duration::from_secs(u64::from(ahead));
    pair.a.set_clock_ahead(seconds(ahead.0));
    pair.b.set_clock_ahead(seconds(ahead.1));
    let apart = f64::from(ahead.1) - f64::from(ahead.0);
    skew_is(&pair.a, OF_B, apart).await;
    skew_is(&pair.b, OF_A, -apart).await;
    let mut alice = Browser::new(&pair.a);
    let page = split.open(&mut alice, APP).await.expect(200);
    let told = split.log_in(&mut alice, &page, "alice").await.expect(503);
    assert_eq!(told.url.host(), at, "{ahead:?}");
    let text = told.text();
    let clocks = if at == "app.apps.test" {
        "the clocks of the servers differ too much"
    } else {
        "The clocks of its servers differ too much"
    };
    for part in [clocks, "Reference: <code>", "Try again"] {
        assert!(text.contains(part), "{ahead:?}: no {part}: {text}");
    }
    // Whoever is signed in is told so at once, or after a few rounds.
    let told = split.open(&mut alice, OTHER).await.expect(503);
    assert!(told.text().contains("clocks of"), "{}", told.text());
    // With clocks that agree again everybody gets through.
    pair.a.set_clock_ahead(Duration::ZERO);
    pair.b.set_clock_ahead(Duration::ZERO);
    skew_is(&pair.a, OF_B, 0.0).await;
    skew_is(&pair.b, OF_A, 0.0).await;
    let mut bob = Browser::new(&pair.a);
    let page = split.open(&mut bob, APP).await.expect(200);
    let arrived = split.log_in(&mut bob, &page, "bob").await.expect(200);
    assert_eq!(arrived.told("remote-user"), "bob", "{ahead:?}");
}

/// Opens an address again and again with cookies that are good, until the collector says why.
async fn told_at_last(split: &Split<'_>, browser: &mut Browser, url: &str, status: u16) -> String {
    let last = split.open(browser, url).await.expect(status);
    assert_eq!(last.url.host(), "login.apps.test");
    let text = last.text();
    for part in [
        "does not come to an end",
        "Reference: <code>",
        &format!("<a href=\"{url}\">"),
    ] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    text
}

#[tokio::test]
async fn a_callback_that_goes_elsewhere_than_its_page_ends_on_a_diagnosis_of_silence_d_10() {
    let pair = Pair::start(FREE).await;
    // Each visit of the callback succeeds, and the page behind it is asked for at the other one.
    let split = Split {
        callback: &pair.a,
        ..Split::of(&pair)
    };
    let mut alice = pair.signed_in_at_a("alice").await;
    pair.cut();
    let text = told_at_last(&split, &mut alice, OTHER, 503).await;
    assert!(text.contains("does not confirm it just now"), "{text}");
    assert!(!text.contains("dc-"), "{text}");
}

#[tokio::test]
async fn a_callback_whose_clock_is_ahead_of_its_page_ends_on_a_diagnosis_of_clocks_d_10_mdc_cookie_6()
 {
    let Some(pair) = Pair::with_clocks(FREE).await else {
        return;
    };
    let split = Split {
        callback: &pair.a,
        ..Split::of(&pair)
    };
    pair.a.set_clock_ahead(Duration::from_secs(100));
    let mut alice = Browser::new(&pair.a);
    let page = split.open(&mut alice, APP).await.expect(200);
    let last = split.log_in(&mut alice, &page, "alice").await.expect(503);
    assert!(last.text().contains("The clocks"), "{}", last.text());
}

#[tokio::test]
async fn an_application_whose_cookies_are_refused_ends_on_a_diagnosis_of_cookies_d_10() {
    let pair = Pair::start(FREE).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let forgetful = |browser: &mut Browser| browser.jar.forget("other.apps.test", "__Host-");
    let mut answer = alice.get(OTHER).await;
    for _ in 0..REDIRECTS_MAX {
        if !answer.redirects() {
            break;
        }
        forgetful(&mut alice);
        answer = alice.follow(&answer).await;
    }
    let text = answer.expect(403).text();
    assert!(text.contains("allow cookies"), "{text}");
    // With cookies it goes on from there, as soon as the minute is over or by another page.
    let other = format!("{OTHER}another");
    let page = alice.get(&other).await;
    let page = alice.follow_all(page).await.expect(200);
    assert_eq!(page.told("remote-user"), "alice");
}

/// As many as browsers follow.
const REDIRECTS_MAX: usize = 20;
