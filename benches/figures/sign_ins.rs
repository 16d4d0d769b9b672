//! A thousand users who sign in at the same moment: what it costs those who are signed in already.
//!
//! The hashes are those that `portway users` makes: each takes a processor for tens of milliseconds. Every limit is
//! the default; the users come from an address each, as a proxy in front would tell it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::line::Line;
use crate::support::Answer;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::gateway::Setup;
use crate::support::jar::Jar;
use crate::support::yaml;
use crate::table::Figure;
use crate::table::Scale;
use crate::table::Times;

/// Measures requests before and beside sign-ins.
pub(crate) async fn measure(scale: Scale) -> Vec<Figure> {
    let count = scale.of(SIGN_INS);
    let application = Application::start().await;
    let gateway = start(count, &application).await;
    let mut local = Browser::new(&gateway);
    let page = local.get(APP).await.expect(303);
    let page = local.follow(&page).await.expect(200);
    let back = local.log_in(&page, &name(0), PASSWORD).await.expect(303);
    local.follow_all(back).await.expect(200);
    let mut line = Line::new(&gateway);
    let jar = &mut local.jar;
    let before = served(&mut line, jar, scale.of(LOCAL), &AtomicBool::new(false)).await;
    let ready = ready(&gateway, count).await;
    let going = AtomicBool::new(true);
    let sign_ins = async {
        let began = Instant::now();
        let posted = ready
            .into_iter()
            .enumerate()
            .map(|(number, (browser, page))| {
                let mut browser = browser;
                async move { browser.log_in(&page, &name(number), PASSWORD).await.status }
            });
        let statuses = join_all(posted).await;
        going.store(false, Ordering::Relaxed);
        (statuses, began.elapsed())
    };
    let ((statuses, took), beside) = tokio::join!(sign_ins, served(&mut line, jar, 1, &going));
    let are_answered = statuses.iter().all(|status| [303, BUSY].contains(status));
    assert!(are_answered, "{statuses:?}");
    let busy = statuses.iter().filter(|status| **status == BUSY).count();
    let mut figures = Vec::new();
    for (times, when) in [(&before, "before"), (&beside, "beside")] {
        let how = format!("{} one after the other", times.count());
        let name = format!("request {when} {count} sign-ins at once");
        figures.extend(Figure::times(&name, times, &how));
    }
    let how = "argon2id, 19 MiB, two passes; default limits";
    let all = format!("{count} sign-ins at once");
    figures.push(Figure::time(&format!("{all}, all"), took, how));
    let name = format!("{all}, answered {BUSY}");
    figures.push(Figure::new(&name, busy as f64, "", how));
    figures
}

async fn start(users: usize, application: &Application) -> Gateway {
    let hash: PasswordHash = Argon2::default()
        .hash_password(PASSWORD.as_bytes())
        .unwrap();
    let mut text = String::from("users:\n");
    for number in 0..users.max(1) {
        text.push_str(&format!(
            "  - {{ name: {}, password: '{hash}' }}\n",
            name(number)
        ));
    }
    let yaml = yaml::applications(&[application.address()]);
    let config = format!("trusted_proxies: [127.0.0.1]\n{yaml}");
    Setup::new().file("users.yaml", &text).start(&config).await
}

/// Browsers that have the login page open.
async fn ready(gateway: &Gateway, count: usize) -> Vec<(Browser, Answer)> {
    let one = |number: usize| async move {
        let address = format!("10.0.{}.{}", number / 250, number % 250 + 1);
        let mut browser = Browser::new(gateway).sending("x-forwarded-for", &address);
        let page = browser.get("https://login.test/").await.expect(200);
        (browser, page)
    };
    let all = futures_util::stream::iter(0..count).map(one);
    all.buffer_unordered(OPENING).collect().await
}

/// How long requests of somebody who is signed in took: so many, and more while others go on.
async fn served(line: &mut Line, jar: &mut Jar, at_least: usize, others: &AtomicBool) -> Times {
    let mut times = Vec::new();
    while times.len() < at_least || others.load(Ordering::Relaxed) {
        times.push(line.get(jar, APP).await.unwrap().served());
    }
    Times::new(times)
}

fn name(number: usize) -> String {
    format!("user-{number:05}")
}

/// What a sign-in is answered with that finds no room.
const BUSY: u16 = 503;
const APP: &str = "https://app.test/";
const PASSWORD: &str = "a password of the figures";
/// Sign-ins at the same moment.
const SIGN_INS: usize = 1000;
/// Requests before.
const LOCAL: usize = 3000;
/// Login pages that are opened at the same time.
const OPENING: usize = 8;
