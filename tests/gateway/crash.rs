//! `kill -9` under a load of sign-ins and sign-outs: what was answered holds after the restart.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::gateway::password;
use crate::support::page;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;

/// What clients were answered in one round.
#[derive(Default)]
struct Record {
    signed_in: Vec<Browser>,
    signed_out: Vec<Browser>,
}

/// Sign-ins and sign-outs answered before the process is killed.
const ANSWERED_BEFORE_KILL: usize = 24;
const CLIENTS: usize = 6;
const ROUNDS: usize = 5;

#[tokio::test]
async fn every_answered_sign_in_and_sign_out_survives_kill_9_s_15() {
    let rounds = std::env::var_os("PORTWAY_CRASH_ROUNDS")
        .map_or(ROUNDS, |rounds| rounds.to_str().unwrap().parse().unwrap());
    let application = Application::start().await;
    let yaml = yaml::applications(&[application.address()]);
    // More clients at a time than may try one account.
    let yaml = yaml.replace(
        "users_file: users.yaml",
        "users_file: users.yaml, throttle: { per_account: 100 }",
    );
    let yaml = format!("{yaml}session: {{ per_user_max: 10000 }}\n");
    let mut gateway = Gateway::start(&yaml).await;
    let (mut live, mut dead) = (0, 0);
    let mut lost = Vec::new();
    for round in 0..rounds {
        let record = Arc::new(Mutex::new(Record::default()));
        let answered = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                tokio::spawn(client(
                    Browser::new(&gateway),
                    record.clone(),
                    answered.clone(),
                ))
            })
            .collect();
        // At another moment in each round.
        let enough = ANSWERED_BEFORE_KILL + round;
        until("enough is answered", PATIENCE, || async {
            (answered.load(Ordering::SeqCst) >= enough).then_some(())
        })
        .await;
        gateway.kill9();
        for client in clients {
            client.await.unwrap();
        }
        gateway.restart().await;
        let record = std::mem::take(&mut *record.lock().unwrap());
        live += record.signed_in.len();
        dead += record.signed_out.len();
        for browser in record.signed_in {
            lost.extend(lost_sign_in(browser).await);
        }
        for browser in record.signed_out {
            lost.extend(lost_sign_out(browser).await);
        }
    }
    eprintln!(
        "kill -9: {rounds} rounds, {live} sign-ins and {dead} sign-outs answered before, {} lost",
        lost.len()
    );
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(live > 0 && dead > 0, "{live} {dead}");
}

/// What is wrong with a sign-in that was answered.
async fn lost_sign_in(mut browser: Browser) -> Option<String> {
    let answer = browser.get("https://app.test/").await;
    let answer = browser.follow_all(answer).await;
    let holds = answer.status == 200 && answer.url.host() == "app.test";
    (!holds).then(|| format!("a sign-in: {} {}", answer.status, answer.url))
}

/// What is wrong with a sign-out that was answered.
async fn lost_sign_out(mut browser: Browser) -> Option<String> {
    for host in ["app.test", "login.test"] {
        let answer = browser.get(&format!("https://{host}/")).await;
        let answer = browser.follow_all(answer).await;
        if page::form(&answer.text()).is_none() {
            return Some(format!("a sign-out: {} {}", answer.status, answer.url));
        }
    }
    None
}

/// Signs in, and every other time out again, until the gateway is gone.
async fn client(fresh: Browser, record: Arc<Mutex<Record>>, answered: Arc<AtomicUsize>) {
    for turn in 0.. {
        let Some(browser) = sign_in(fresh.clone()).await else {
            return;
        };
        answered.fetch_add(1, Ordering::SeqCst);
        if turn % 2 == 0 {
            record.lock().unwrap().signed_in.push(browser);
            continue;
        }
        // A sign-out that was not answered may have happened or not, and is not recorded.
        let logout = Request::post("https://app.test/.portway/logout");
        match browser.try_send(logout).await {
            Ok(answer) if answer.status == 303 => {
                answered.fetch_add(1, Ordering::SeqCst);
                record.lock().unwrap().signed_out.push(browser);
            }
            Ok(answer) => panic!("a sign-out: {answer:?}"),
            Err(_) => return,
        }
    }
}

/// Signs in as far as the cookie of the application; `None` when the gateway is gone.
async fn sign_in(mut browser: Browser) -> Option<Browser> {
    let html = "text/html";
    let request = Request::get("https://app.test/").header("accept", html);
    let sent = step(&mut browser, request).await?;
    let page = step(
        &mut browser,
        Request::get(&sent.location().to_string()).header("accept", html),
    )
    .await?;
    let form = page
        .form()
        .with("username", "alice")
        .with("password", &password("alice"));
    let post = Request::post(&page.url.join(&form.action).to_string()).form(&form.fields);
    let back = step(&mut browser, post).await?;
    assert_eq!(back.status, 303, "{back:?}");
    step(&mut browser, Request::get(&back.location().to_string())).await?;
    Some(browser)
}

async fn step(browser: &mut Browser, request: Request) -> Option<crate::support::Answer> {
    let answer = browser.try_send(request).await.ok()?;
    browser.keep(&answer);
    Some(answer)
}
