//! Idle time and lifetime across data centres (table 7-2): from the newest GITO cookie where there is one,
//! else from the ID cookie and by asking the data centres of the chain.
//!
//! Clocks are moved by faketime; the time-outs are half an hour and what a test says.

use crate::pair::APP;
use crate::pair::Arrival;
use crate::pair::BOUND;
use crate::pair::FREE;
use crate::pair::Gito;
use crate::pair::OTHER;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::adoptions;
use crate::pair::served;
use crate::pair::sign_out;
use crate::pair::until_dead;
use crate::pair::visit;
use crate::support::Browser;
use crate::support::until;

/// Clocks jump here, and a lease must not run out by that.
const LEASE: &str = "  partition_lease: 12h\n";
/// A silent data centre keeps nobody from going on.
const CONTINUED: Plan<'static> = Plan {
    adoption: "continue_on_sync_failure: true",
    mdc: LEASE,
    ..FREE
};

#[tokio::test]
async fn with_gito_idle_time_counts_from_the_newest_access_anywhere_mdc_time_1_m_058() {
    let Some(pair) = Pair::with_clocks(CONTINUED).await else {
        return;
    };
    let mut alice = pair.signed_in_at_a("alice").await;
    pair.set_clocks_ahead(20);
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    // For A alone she has been idle; the cookie knows better, and nobody can be asked. Whether her record
    // still stands there is all one.
    pair.cut();
    pair.set_clocks_ahead(30);
    assert_believed_with_gito_only(&pair, &mut alice).await;
    // Half an hour after the last access of all she is asked, wherever she goes (A.6, row 9).
    pair.heal();
    pair.set_clocks_ahead(61);
    for gateway in [&pair.a, &pair.b] {
        let arrival = visit(&mut alice.clone(), gateway, APP).await;
        assert_eq!(arrival, Arrival::Challenged);
    }
}

/// Her data centre has let her record go by then, and does what another would (MDC-FAIL-4).
#[tokio::test]
async fn who_was_elsewhere_for_longer_than_the_idle_time_is_served_at_home_by_gito_mdc_adopt_5() {
    let Some(pair) = Pair::with_clocks(CONTINUED).await else {
        return;
    };
    let mut alice = pair.signed_in_at_a("alice").await;
    pair.set_clocks_ahead(20);
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    pair.cut();
    pair.set_clocks_ahead(45);
    until("A sweeps", BOUND, || async {
        let sessions = pair.a.metric("portway_sessions").await;
        (sessions == Some(0.0)).then_some(())
    })
    .await;
    assert_believed_with_gito_only(&pair, &mut alice).await;
    // It is the same session: its end at B ends it here.
    pair.heal();
    sign_out(&mut alice.clone(), &pair.b).await;
    until_dead(&alice, &pair.a).await;
}

/// Without the GITO cookie she is asked at A, with it she is served.
async fn assert_believed_with_gito_only(pair: &Pair, alice: &mut Browser) {
    let mut forgetful = alice.clone();
    forgetful.jar.forget("app.apps.test", "gito");
    let arrival = visit(&mut forgetful, &pair.a, OTHER).await;
    assert_eq!(arrival, Arrival::Challenged);
    assert_eq!(visit(alice, &pair.a, APP).await, served("alice"));
}

#[tokio::test]
async fn without_gito_the_data_centres_of_the_chain_are_asked_mdc_time_1_m_059_m_076_s_20() {
    let plan = Plan {
        gito: Gito::Without,
        mdc: LEASE,
        ..FREE
    };
    let Some(pair) = Pair::with_clocks(plan).await else {
        return;
    };
    let mut alice = pair.signed_in_at_a("alice").await;
    pair.set_clocks_ahead(20);
    // The authn cookie has lapsed by now: the collector of B renews it, and the ID cookie with it.
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    // This access only B knows of.
    pair.set_clocks_ahead(34);
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    pair.set_clocks_ahead(55);
    pair.cut();
    let mut cut_off = alice.clone();
    assert_eq!(visit(&mut cut_off, &pair.a, APP).await, Arrival::Challenged);
    // Silence has ended nothing.
    pair.heal();
    until("B is heard", BOUND, || async {
        let arrival = visit(&mut alice.clone(), &pair.a, APP).await;
        (arrival == served("alice")).then_some(())
    })
    .await;
}

/// M-077: with its data centre lost, what only that one knew of an access is lost, and the user is challenged
/// rather than let in for too long.
#[tokio::test]
async fn at_a_fail_over_without_gito_an_access_counts_as_far_as_the_cookies_know_it_m_077_m_057() {
    let plan = Plan {
        adoption: "continue_on_sync_failure: true",
        gito: Gito::Without,
        mdc: LEASE,
        ..FREE
    };
    let Some(mut pair) = Pair::with_clocks(plan).await else {
        return;
    };
    let mut alice = pair.signed_in_at_a("alice").await;
    let mut bob = pair.signed_in_at_a("bob").await;
    // After 20 minutes the authn cookies have lapsed: the collector renews them, and notes the access in the
    // ID cookies. Of that after 34 no cookie knows.
    for minutes in [20, 34] {
        pair.set_clocks_ahead(minutes);
        for (browser, user) in [(&mut alice, "alice"), (&mut bob, "bob")] {
            assert_eq!(visit(browser, &pair.a, APP).await, served(user));
        }
    }
    pair.a.kill9();
    pair.set_clocks_ahead(49);
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    pair.set_clocks_ahead(51);
    assert_eq!(visit(&mut bob, &pair.b, APP).await, Arrival::Challenged);
}

#[tokio::test]
async fn a_session_idle_in_every_data_centre_is_challenged_whatever_the_policy_mdc_time_1_m_062() {
    for adoption in [
        "continue_on_sync_failure: true",
        "retrieve_data: false",
        "anchor_session: true, continue_on_sync_failure: true",
    ] {
        let plan = Plan {
            adoption,
            mdc: LEASE,
            ..FREE
        };
        let Some(pair) = Pair::with_clocks(plan).await else {
            return;
        };
        let alice = pair.signed_in_at_a("alice").await;
        pair.set_clocks_ahead(31);
        for (gateway, url) in [(&pair.b, APP), (&pair.b, OTHER), (&pair.a, APP)] {
            let arrival = visit(&mut alice.clone(), gateway, url).await;
            assert_eq!(arrival, Arrival::Challenged, "{adoption}");
        }
    }
}

/// M-067: whoever serves enforces the expiry that the cookie carries.
#[tokio::test]
async fn no_number_of_hops_makes_a_session_last_longer_mdc_adopt_7_mdc_time_2_s_3() {
    for adoption in [
        "anchor_session: true",
        "retrieve_data: false",
        "anchor_session: true, continue_on_sync_failure: true",
    ] {
        let plan = Plan {
            adoption,
            mdc: "  partition_lease: 1h\n",
            session: "lifetime: 1h",
            ..FREE
        };
        let Some(pair) = Pair::with_clocks(plan).await else {
            return;
        };
        let mut alice = pair.signed_in_at_a("alice").await;
        for (minutes, gateway) in [(15, &pair.b), (30, &pair.a), (45, &pair.b), (59, &pair.a)] {
            pair.set_clocks_ahead(minutes);
            assert_eq!(visit(&mut alice, gateway, APP).await, served("alice"));
            assert_eq!(visit(&mut alice, gateway, OTHER).await, served("alice"));
        }
        pair.set_clocks_ahead(61);
        for (gateway, url) in [(&pair.a, APP), (&pair.b, APP), (&pair.b, OTHER)] {
            let arrival = visit(&mut alice.clone(), gateway, url).await;
            assert_eq!(arrival, Arrival::Challenged, "{adoption}");
        }
    }
}

/// What another data centre knows of counts for a host with a time-out of its own as well, and what that host
/// refuses neither ends the session nor moves it about.
#[tokio::test]
async fn a_host_with_a_stricter_idle_time_out_goes_by_the_newest_access_anywhere_d_19_s_20_mdc_time_1()
 {
    for (adoption, gito) in [
        ("", Gito::Always),
        ("", Gito::Without),
        ("anchor_session: true", Gito::Always),
    ] {
        let plan = Plan {
            adoption,
            gito,
            mdc: LEASE,
            host: "    session: { idle_timeout: 10m }\n",
            ..FREE
        };
        let Some(pair) = Pair::with_clocks(plan).await else {
            return;
        };
        let mut alice = pair.signed_in_at_a("alice").await;
        pair.set_clocks_ahead(8);
        assert_eq!(visit(&mut alice, &pair.b, OTHER).await, served("alice"));
        pair.set_clocks_ahead(17);
        assert_eq!(visit(&mut alice, &pair.a, APP).await, served("alice"));
        pair.set_clocks_ahead(28);
        assert_eq!(
            visit(&mut alice.clone(), &pair.b, APP).await,
            Arrival::Challenged
        );
        let moved = (adoptions(&pair.a).await, adoptions(&pair.b).await);
        for _ in 0..3 {
            let arrival = visit(&mut alice.clone(), &pair.b, APP).await;
            assert_eq!(arrival, Arrival::Challenged, "{gito:?} {adoption}");
        }
        assert_eq!((adoptions(&pair.a).await, adoptions(&pair.b).await), moved);
        assert_eq!(visit(&mut alice, &pair.a, OTHER).await, served("alice"));
    }
}

/// With a GITO cookie or without, in the data centre of the sign-in or another one: what is no activity leaves no
/// trace that another data centre takes for an access.
#[tokio::test]
async fn a_route_without_activity_renews_no_cookie_either_d_19_s_20() {
    for gito in [Gito::Always, Gito::Without] {
        let plan = Plan {
            gito,
            mdc: LEASE,
            ..FREE
        };
        let Some(pair) = Pair::with_clocks(plan).await else {
            return;
        };
        let mut alice = pair.signed_in_at_a("alice").await;
        let poll = format!("{APP}poll");
        for (minutes, gateway) in [(10, &pair.a), (16, &pair.b), (29, &pair.a)] {
            pair.set_clocks_ahead(minutes);
            let arrival = visit(&mut alice, gateway, &poll).await;
            assert_eq!(arrival, served("alice"), "{gito:?} {minutes}");
        }
        pair.set_clocks_ahead(31);
        for gateway in [&pair.a, &pair.b] {
            let arrival = visit(&mut alice.clone(), gateway, &poll).await;
            assert_eq!(arrival, Arrival::Challenged, "{gito:?}");
        }
    }
}
