//! `portway keys`: keys follow one another while the gateway serves, and nobody is signed out by it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::gateway::stages_in;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;

const RING: &str = "state/key-ring.json";

async fn start() -> (Application, Gateway) {
    let application = Application::start().await;
    let gateway = Gateway::start(&yaml::applications(&[application.address()])).await;
    (application, gateway)
}

/// What a verb about keys answers; it must have been done.
async fn told(gateway: &Gateway, words: &[&str]) -> Value {
    let words = [&["keys"], words, &["--json"]].concat();
    let output = gateway.verb(&words).await;
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn refusal(gateway: &Gateway, words: &[&str]) -> String {
    let output = gateway.verb(&[&["keys"], words].concat()).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn ring(gateway: &Gateway) -> String {
    std::fs::read_to_string(gateway.folder().join(RING)).unwrap()
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get("https://app.test/").await.status == 200
}

/// Goes on visiting until told to stop; never has to sign in again.
async fn visit(mut browser: Browser, stop: Arc<AtomicBool>, visits: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        let answer = browser.get("https://app.test/").await.expect(200);
        assert_eq!(answer.told("remote-user"), "alice");
        visits.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_rotation_under_load_signs_nobody_out_d_15() {
    let (_application, mut gateway) = start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let visits = Arc::new(AtomicUsize::new(0));
    let first = Browser::signed_in(&gateway, "alice").await;
    let visitors: Vec<_> = (0..3)
        .map(|_| {
            let (stop, visits) = (Arc::clone(&stop), Arc::clone(&visits));
            tokio::spawn(visit(first.clone(), stop, visits))
        })
        .collect();
    let mut browsers = vec![first];
    for round in 1..=3 {
        let before = visits.load(Ordering::Relaxed);
        let list = stages_in(&told(&gateway, &["rotate"]).await);
        assert_eq!(list.len(), round + 1);
        let sealing = list.iter().filter(|(_, stage)| stage == "sealing");
        assert_eq!(sealing.count(), 1, "{list:?}");
        assert_eq!(list[0].1, "sealing", "a node on its own waits for nobody");
        browsers.push(Browser::signed_in(&gateway, "bob").await);
        until("visits go on", PATIENCE, || async {
            (visits.load(Ordering::Relaxed) > before + 5).then_some(())
        })
        .await;
        for browser in &mut browsers {
            assert!(is_signed_in(browser).await);
        }
    }
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        visitor.await.unwrap();
    }
    let keys = stages_in(&told(&gateway, &["list"]).await);
    assert!(
        told(&gateway, &["retire"]).await["keys"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let (old, _) = keys.last().unwrap();
    let said = refusal(&gateway, &["retire", old]).await;
    assert!(
        said.contains(&format!("key {old} may be needed until")),
        "{said}"
    );
    // The next process goes on with the same keys, and opens the records of all of them.
    gateway.terminate();
    assert!(gateway.wait_for_exit(PATIENCE).await.success());
    gateway.restart().await;
    for browser in &mut browsers {
        assert!(is_signed_in(browser).await);
    }
    assert_eq!(stages_in(&told(&gateway, &["list"]).await), keys);
}

#[tokio::test]
async fn the_audit_trail_goes_on_over_a_rotation_and_tells_of_each_stage() {
    let (_application, gateway) = start().await;
    let keys = stages_in(&told(&gateway, &["rotate"]).await);
    let (new, old) = (&keys[0].0, &keys[1].0);
    told(&gateway, &["retire", old, "--even-if-needed"]).await;
    let trail = gateway.folder().join("state/audit.jsonl");
    for (change, key) in [("published", new), ("sealing", new), ("retired", old)] {
        let parts = [
            "\"keys_changed\"".to_owned(),
            format!("\"change\":\"{change}\""),
            format!("\"key\":\"{key}\""),
        ];
        let told = |line: &str| parts.iter().all(|part| line.contains(part));
        until(&format!("{change} is told"), PATIENCE, || async {
            let text = std::fs::read_to_string(&trail).unwrap();
            text.lines().any(told).then_some(())
        })
        .await;
    }
    let verified = gateway.command(&["audit", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    let text = std::fs::read_to_string(&trail).unwrap();
    assert!(!text.contains("trail_cut"), "{text}");
}

#[tokio::test]
async fn a_key_that_is_known_to_somebody_is_taken_out_at_once_with_what_it_sealed() {
    let (_application, gateway) = start().await;
    let mut before = Browser::signed_in(&gateway, "alice").await;
    let keys = stages_in(&told(&gateway, &["rotate"]).await);
    let mut after = Browser::signed_in(&gateway, "bob").await;
    let (sealing, old) = (&keys[0].0, &keys[1].0);
    let said = refusal(&gateway, &["retire", sealing, "--even-if-needed"]).await;
    assert!(said.contains(&format!("key {sealing} seals")), "{said}");
    let said = refusal(&gateway, &["retire", "00000000"]).await;
    assert!(said.contains("there is no key 00000000"), "{said}");
    let retired = told(&gateway, &["retire", old, "--even-if-needed"]).await;
    assert_eq!(retired["keys"], serde_json::json!([old]));
    assert!(!is_signed_in(&mut before).await);
    assert!(is_signed_in(&mut after).await);
    assert!(!ring(&gateway).is_empty());
}

#[tokio::test]
async fn a_ring_that_was_copied_here_is_taken_over_and_a_key_in_use_stays_in_it_s_23() {
    let (_application, mut gateway) = start().await;
    let alone = ring(&gateway);
    told(&gateway, &["rotate"]).await;
    let both = ring(&gateway);
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    gateway.replace(RING, &alone);
    gateway
        .wait_for_log("the key ring lacks a key that is needed, which stays in it")
        .await;
    assert!(is_signed_in(&mut browser).await);
    assert_eq!(stages_in(&told(&gateway, &["list"]).await).len(), 2);
    // The next process has it, too.
    gateway.terminate();
    assert!(gateway.wait_for_exit(PATIENCE).await.success());
    gateway.restart().await;
    assert!(is_signed_in(&mut browser).await);
    // What cannot be understood is not written over: it may be somebody's only copy.
    gateway.replace(RING, "{}");
    gateway.wait_for_log("it is not a key ring").await;
    assert!(is_signed_in(&mut browser).await);
    let said = refusal(&gateway, &["rotate"]).await;
    assert!(said.contains("cannot be used"), "{said}");
    assert_eq!(ring(&gateway), "{}");
    // A third key, as another data centre would have made it.
    let mut written: Value = serde_json::from_str(&both).unwrap();
    let mut third = written["keys"][0].clone();
    third["id"] = 7.into();
    third["secret"] = format!("{}=", "A".repeat(43)).into();
    written["keys"].as_array_mut().unwrap().push(third);
    gateway.replace(RING, &written.to_string());
    until("the third key is there", PATIENCE, || async {
        let keys = stages_in(&told(&gateway, &["list"]).await);
        let third = ("00000007".to_owned(), "opening".to_owned());
        keys.contains(&third).then_some(())
    })
    .await;
    assert!(is_signed_in(&mut browser).await);
}

#[tokio::test]
async fn a_start_without_a_key_that_is_needed_says_so() {
    let (_application, mut gateway) = start().await;
    let alone = ring(&gateway);
    let old = told(&gateway, &["rotate"]).await;
    let (new, _) = stages_in(&old)[0].clone();
    gateway.terminate();
    assert!(gateway.wait_for_exit(PATIENCE).await.success());
    gateway.replace(RING, &alone);
    gateway.restart().await;
    gateway
        .wait_for_log("the key ring lacks a key that was used before the start")
        .await;
    assert!(gateway.log().contains(&new), "{}", gateway.log());
}

#[tokio::test]
async fn a_key_that_could_not_be_made_is_made_once_the_disk_allows_it_and_what_users_are_told_of_is_sealed_with_it()
 {
    let (_application, mut gateway) = start().await;
    let old = stages_in(&told(&gateway, &["list"]).await)[0].0.clone();
    gateway.terminate();
    assert!(gateway.wait_for_exit(PATIENCE).await.success());
    let state = gateway.folder().join("state");
    let ledger = std::fs::read_to_string(state.join("key-use.json")).unwrap();
    let mut ledger: Value = serde_json::from_str(&ledger).unwrap();
    for line in ledger.as_object_mut().unwrap().values_mut() {
        line["uses"] = (1_u64 << 31).into();
    }
    std::fs::write(state.join("key-use.json"), ledger.to_string()).unwrap();
    let lock = state.join(".key-ring.json.lock");
    if lock.exists() {
        std::fs::remove_file(&lock).unwrap();
    }
    std::fs::create_dir(&lock).unwrap();
    gateway.restart().await;
    gateway
        .wait_for_log("the key ring could not be changed; it is tried again")
        .await;
    std::fs::remove_dir(&lock).unwrap();
    let new = until("another key seals", PATIENCE, || async {
        let keys = stages_in(&told(&gateway, &["list"]).await);
        (keys[0].0 != old && keys[0].1 == "sealing").then(|| keys[0].0.clone())
    })
    .await;
    // A command beside the gateway seals its line of the trail with the key that stays.
    let output = gateway.command(&["users", "remove", "bob"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let trail = std::fs::read_to_string(state.join("audit.jsonl")).unwrap();
    let of_command = |line: &&str| line.contains("\"bob\"") && !line.contains("may_sign_in");
    let mut lines = trail.lines().rev();
    let line = lines.find(|line| line.contains("users_changed") && of_command(line));
    let line: Value = serde_json::from_str(line.unwrap_or(&trail)).unwrap();
    assert_eq!(sealed_with(line["seal"].as_str().unwrap()), new);
}

/// The id of a key is what comes after the version.
fn sealed_with(seal: &str) -> String {
    use base64::Engine;

    let seal = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(seal);
    let id = seal.unwrap().into_iter().skip(1).take(4);
    id.map(|byte| format!("{byte:02x}")).collect()
}
