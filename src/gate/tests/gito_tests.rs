//! The GITO cookie: set by an authorisation, read beside an authn cookie, and never a proof of anything
//! (MDC-COOKIE-4, S-13, M-020…M-023).

use super::*;

const DOMAIN: &str = "test";

fn post() -> Post {
    post_with(MINUTE)
}

fn post_with(granularity: Duration) -> Post {
    Post::with(|settings| {
        settings.gito = Some(Gito {
            domain: host(DOMAIN),
            granularity,
        });
    })
}

/// What a GITO cookie says of a session that was used now, in another data centre.
fn elsewhere(post: &Post, session: &Session) -> GitoCookie {
    let facts = &session.facts;
    GitoCookie {
        sso: facts.sso,
        cluster: ClusterTag::of(&cluster("south")),
        session: SessionId::from_bytes([0x50; 16]),
        user: UserTag::of(&facts.store, &facts.subject),
        generation: Generation(3),
        expires: facts.expires,
        last_access: post.now(),
        created: post.now(),
    }
}

impl Post {
    /// The GITO cookie that the response to a request sets.
    async fn gito_set(&self, cookies: &[Vec<u8>]) -> Option<GitoResponse> {
        let policy = everyone();
        let admission = self.admission(&asked(&policy), cookies).await;
        assert!(matches!(admission.decision, Decision::Allow(_)));
        admission.gito
    }

    fn opened(&self, response: &GitoResponse) -> GitoCookie {
        let settings = self.gito();
        let (pair, _) = response.set_cookie.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        assert_eq!(name, self.gate.names.gito);
        let binding = settings.binding(&self.gate.names);
        self.gate.keys.open_claims(&binding, value).unwrap()
    }

    /// The last access and the hints of the claim that these cookies make.
    async fn claimed(&self, cookies: &[Vec<u8>]) -> (Option<Timestamp>, Vec<Hint>) {
        self.admit(cookies).await;
        let claim = self.engine.claims.lock().pop().unwrap();
        (claim.last_access, claim.hints)
    }
}

/// As a browser sends it back.
fn sent_back(response: &GitoResponse) -> Vec<u8> {
    let pair = response.set_cookie.split(';').next().unwrap();
    pair.as_bytes().to_vec()
}

#[tokio::test]
async fn an_authorisation_sets_the_gito_cookie_of_the_domain_mdc_cookie_4_m_020_f4_5() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    let set = post.gito_set(&[post.cookie(&session, APP)]).await.unwrap();
    for part in [
        "__Secure-portway-gito-main=",
        "Domain=test",
        "Path=/",
        "Secure",
        "HttpOnly",
        "SameSite=Lax",
    ] {
        assert!(set.set_cookie.contains(part), "{set:?} lacks {part}");
    }
    assert!(!set.set_cookie.contains("Max-Age") && !set.set_cookie.contains("Expires"));
    assert_eq!(set.until, post.now().after(MINUTE));
}

#[tokio::test]
async fn the_gito_cookie_says_where_and_when_the_session_was_used_m_022_s_1() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    post.pass(MINUTE);
    let set = post.gito_set(&[post.cookie(&session, APP)]).await.unwrap();
    let expected = GitoCookie {
        sso: session.facts.sso,
        cluster: ClusterTag::of(&cluster("north")),
        session: session.id,
        user: UserTag::of(&session.facts.store, &session.facts.subject),
        generation: session.facts.generation,
        expires: session.facts.expires,
        last_access: post.now(),
        created: post.now(),
    };
    assert_eq!(post.opened(&set), expected);
}

#[tokio::test]
async fn the_gito_cookie_names_the_data_centre_that_served_wherever_the_gate_is_m_022() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    let authn = post.cookie(&session, APP);
    *post.engine.served_by.lock() = Some(cluster("south"));
    let away = post.gito_set(std::slice::from_ref(&authn)).await.unwrap();
    assert_eq!(
        post.opened(&away).cluster,
        ClusterTag::of(&cluster("south"))
    );
    let browser = [authn.clone(), sent_back(&away)];
    assert_eq!(post.gito_set(&browser).await, None);
    // Back home it says so at once, whatever the granularity.
    *post.engine.served_by.lock() = None;
    let home = post.gito_set(&browser).await.unwrap();
    assert_eq!(
        post.opened(&home).cluster,
        ClusterTag::of(&cluster("north"))
    );
}

#[tokio::test]
async fn a_gate_that_was_not_told_what_holds_honours_no_cookie_and_spends_no_token() {
    let mut post = post();
    let session = session(1);
    post.engine.begin(&session);
    let cookies = [post.cookie(&session, APP), post.nonce_cookie(NONCE)];
    let told = std::mem::take(&mut post.gate.terms);
    assert!(!post.is_admitted(&cookies).await);
    let sealed = post.sealed_token(&post.token(&session), APP);
    let reply = post.callback(&cookies, Some(&sealed)).await;
    assert!(cookies_of(&reply).is_empty());
    assert!(post.engine.spent.lock().is_empty());
    let reply = post.sign_out(&[], None).await;
    assert_eq!(cleared_by(&reply).len(), 2);
    post.gate.terms = told;
    assert!(post.is_admitted(&cookies).await);
    let reply = post.callback(&cookies, Some(&sealed)).await;
    assert_eq!(cookies_of(&reply).len(), 1);
}

#[tokio::test]
async fn the_gito_cookie_is_set_at_most_once_in_its_granularity_mdc_cookie_4() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    let authn = post.cookie(&session, APP);
    let first = post.gito_set(std::slice::from_ref(&authn)).await.unwrap();
    let browser = [authn, sent_back(&first)];
    post.pass(MINUTE.checked_sub(MILLISECOND).unwrap());
    assert_eq!(post.gito_set(&browser).await, None);
    post.pass(MILLISECOND);
    let second = post.gito_set(&browser).await.unwrap();
    assert_eq!(post.opened(&second).last_access, post.now());
}

#[tokio::test]
async fn with_a_granularity_of_zero_every_authorisation_sets_it_mdc_cookie_4() {
    let post = post_with(Duration::ZERO);
    let session = session(1);
    post.engine.begin(&session);
    let authn = post.cookie(&session, APP);
    let first = post.gito_set(std::slice::from_ref(&authn)).await.unwrap();
    let again = post.gito_set(&[authn, sent_back(&first)]).await.unwrap();
    assert_eq!(
        again.until,
        post.now().after(MINUTE),
        "a response takes time"
    );
}

#[tokio::test]
async fn a_session_that_came_from_elsewhere_says_so_at_once_f4_5() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    let cookies = [
        post.cookie(&session, APP),
        post.gito_cookie(&elsewhere(&post, &session)),
    ];
    let set = post.gito_set(&cookies).await.unwrap();
    assert_eq!(post.opened(&set).cluster, ClusterTag::of(&cluster("north")));
}

#[tokio::test]
async fn nothing_but_an_authorisation_sets_the_gito_cookie_m_020() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    let authn = [post.cookie(&session, APP)];
    let (nobody, all) = (one_rule(Effect::Deny), everyone());
    let denied = post.admission(&asked(&nobody), &authn).await;
    assert!(matches!(denied.decision, Decision::Deny(_)));
    assert_eq!(denied.gito, None);
    let challenged = post.admission(&asked(&all), &[]).await;
    assert_eq!(challenged.gito, None);
    let excluded = Asked {
        access: Access::Excluded,
        ..asked(&all)
    };
    assert_eq!(post.admission(&excluded, &authn).await.gito, None);
    let unprotected = Asked {
        access: Access::Unprotected,
        ..asked(&all)
    };
    assert_eq!(post.admission(&unprotected, &[]).await.gito, None);
    let poll = Asked {
        activity: Activity::None,
        ..asked(&all)
    };
    assert_eq!(post.admission(&poll, &authn).await.gito, None);
    assert!(post.admission(&unprotected, &authn).await.gito.is_some());
}

#[tokio::test]
async fn without_a_common_domain_there_is_no_gito_cookie_m_024() {
    let with = post();
    let without = Post::new();
    let session = session(1);
    without.engine.begin(&session);
    let cookies = [
        without.cookie(&session, APP),
        with.gito_cookie(&elsewhere(&with, &session)),
    ];
    assert_eq!(without.gito_set(&cookies).await, None);
    let claimed = without.claimed(&cookies).await;
    assert_eq!(claimed, (Some(without.now()), Vec::new()));
}

#[tokio::test]
async fn a_host_outside_the_domain_sets_no_gito_cookie() {
    let covered = [
        ("test", true),
        ("app.test", true),
        ("a.b.test", true),
        ("apptest", false),
        ("test.example", false),
    ];
    let gito = post().gito();
    for (name, covers) in covered {
        assert_eq!(gito.covers(&host(name)), covers, "{name}");
    }
    let post = Post::with(|settings| {
        settings.gito = Some(Gito {
            domain: host("example"),
            granularity: MINUTE,
        });
    });
    let session = session(1);
    post.engine.begin(&session);
    assert_eq!(post.gito_set(&[post.cookie(&session, APP)]).await, None);
}

#[tokio::test]
async fn a_gito_cookie_beside_the_authn_cookie_says_when_and_where_s_7_s_13_m_023() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    let hint = |name: &str, session, last_access| Hint {
        holder: Holder {
            cluster: cluster(name),
            session,
        },
        last_access,
    };
    let times = [post.now(), post.now().after(MINUTE)];
    post.pass(2 * MINUTE);
    for (issued, used) in [(times[0], times[1]), (times[1], times[0])] {
        let mut gito = elsewhere(&post, &session);
        gito.last_access = used;
        let authn = post.cookie_at(&session, APP, issued);
        let claimed = post.claimed(&[authn, post.gito_cookie(&gito)]).await;
        let mut hints = vec![
            hint("north", session.id, issued),
            hint("south", gito.session, used),
        ];
        hints.sort_by_key(|hint| std::cmp::Reverse(hint.last_access));
        assert_eq!(claimed, (Some(times[1]), hints));
    }
}

#[tokio::test]
async fn a_gito_cookie_alone_signs_nobody_in_s_13() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    let gito = post.gito_cookie(&elsewhere(&post, &session));
    assert!(!post.is_admitted(std::slice::from_ref(&gito)).await);
    let name = pair(
        &post.gate.names.authn,
        std::str::from_utf8(&gito)
            .unwrap()
            .split_once('=')
            .unwrap()
            .1,
    );
    assert!(!post.is_admitted(&[name]).await, "nor by another name");
    assert_eq!(post.engine.looked_up.load(Ordering::SeqCst), 0);
}

/// Each differs from a good one in one thing.
#[tokio::test]
async fn a_gito_cookie_that_does_not_belong_to_the_session_is_ignored_s_13() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    post.pass(MINUTE);
    let good = elsewhere(&post, &session);
    let ahead = post.now().after(Duration::from_secs(30)).after(MILLISECOND);
    let bob = UserName::parse("bob").unwrap();
    let wrong = [
        GitoCookie {
            sso: sso(2),
            ..good
        },
        GitoCookie {
            user: UserTag::of(&session.facts.store, &bob),
            ..good
        },
        GitoCookie {
            cluster: ClusterTag::of(&cluster("nowhere")),
            ..good
        },
        GitoCookie {
            expires: post.now(),
            ..good
        },
        GitoCookie {
            created: ahead,
            ..good
        },
        GitoCookie {
            last_access: ahead,
            ..good
        },
    ];
    let authn = post.cookie(&session, APP);
    for wrong in wrong {
        let cookies = [authn.clone(), post.gito_cookie(&wrong)];
        let claimed = post.claimed(&cookies).await;
        assert_eq!(claimed, (Some(post.now()), Vec::new()), "{wrong:?}");
    }
    let other_domain = Post::with(|settings| {
        settings.gito = Some(Gito {
            domain: host("example.test"),
            granularity: MINUTE,
        });
    });
    let cookies = [authn, other_domain.gito_cookie(&good)];
    let claimed = post.claimed(&cookies).await;
    assert_eq!(claimed, (Some(post.now()), Vec::new()));
}

#[tokio::test]
async fn of_several_gito_cookies_the_newest_that_belongs_counts_s_13() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    let old = elsewhere(&post, &session);
    post.pass(MINUTE);
    let new = elsewhere(&post, &session);
    post.pass(MINUTE);
    let foreign = GitoCookie {
        sso: sso(2),
        ..elsewhere(&post, &session)
    };
    let authn = post.cookie_at(&session, APP, BEGINNING);
    for order in [[&old, &new, &foreign], [&foreign, &new, &old]] {
        let mut cookies = vec![authn.clone(), pair(&post.gate.names.gito, "junk")];
        cookies.extend(order.map(|cookie| post.gito_cookie(cookie)));
        let (last_access, hints) = post.claimed(&cookies).await;
        assert_eq!(last_access, Some(new.last_access));
        assert_eq!(hints.len(), 2, "the authn cookie's own is the other");
    }
}

#[tokio::test]
async fn a_last_access_ahead_of_the_clock_counts_as_now_s_13() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    let mut gito = elsewhere(&post, &session);
    gito.last_access = post.now().after(Duration::from_secs(20));
    let cookies = [post.cookie(&session, APP), post.gito_cookie(&gito)];
    let (last_access, hints) = post.claimed(&cookies).await;
    assert_eq!(last_access, Some(post.now()));
    assert_eq!(hints.first().unwrap().last_access, post.now());
}

#[tokio::test]
async fn a_sign_out_clears_the_gito_cookie_of_the_domain_mdc_logout_1() {
    let post = post();
    let session = session(1);
    post.engine.begin(&session);
    let cookies = [post.cookie(&session, APP)];
    let sealed = post.sealed_state(&post.passing(), APP);
    for reply in [
        post.sign_out(&cookies, None).await,
        post.clear(&cookies, Some(&sealed)),
    ] {
        let names = &post.gate.names;
        assert_eq!(
            cleared_by(&reply),
            [&names.authn, &names.nonce, &names.gito]
        );
        let cleared = reply
            .cookies
            .iter()
            .find(|set| set.starts_with(&names.gito));
        assert!(cleared.unwrap().contains("Domain=test"));
    }
}
