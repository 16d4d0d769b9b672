//! An upgrade that does not come to its end: successors that are gone after a step, and a gateway that is told to
//! stop in the middle of it. The successors are scripts that know the letters of a hand-over.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::upgrade::STORES;
use crate::upgrade::gateway;
use crate::upgrade::has_ended;
use crate::upgrade::is_alice;
use crate::upgrade::program;

const HELLO: &str = r#"{"Hello":{"protocol":1,"version":"0.1.0"}}"#;
const READY: &str = r#""Ready""#;

/// A program that writes these letters and then does something.
fn successor(gateway: &Gateway, letters: &[&str], then: &str) -> PathBuf {
    let write = |letter: &&str| {
        let length = u32::try_from(letter.len()).unwrap().to_be_bytes();
        let length = length.map(|byte| format!("\\{byte:03o}")).concat();
        format!("printf '{length}%s' '{letter}' >&0\n")
    };
    let letters: String = letters.iter().map(write).collect();
    program(gateway, &(letters + then))
}

async fn upgrade(gateway: &Gateway, to: &Path) -> (String, i32) {
    gateway.upgrade(&["--binary", to.to_str().unwrap()]).await
}

/// The id of the process that writes it to this file.
async fn told(file: &Path) -> u32 {
    let read = || async { fs::read_to_string(file).ok()?.trim().parse().ok() };
    until("the successor is there", PATIENCE, read).await
}

#[tokio::test]
async fn a_successor_that_is_gone_after_any_step_is_as_none() {
    let steps = [&[][..], &[HELLO], &[HELLO, READY], &[HELLO, READY, READY]];
    let ways = steps
        .iter()
        .flat_map(|letters| [(letters, "exit 3"), (letters, "kill -9 $$")]);
    for store in STORES {
        let (_application, _, gateway) = gateway(store).await;
        let mut alice = Browser::signed_in(&gateway, "alice").await;
        for (letters, end) in ways.clone() {
            let (said, code) = upgrade(&gateway, &successor(&gateway, letters, end)).await;
            assert_eq!(code, 1, "{said}");
            assert!(said.contains("the gateway goes on as before"), "{said}");
            is_alice(&mut alice).await;
        }
        Browser::signed_in(&gateway, "bob").await;
        let (said, code) = gateway.upgrade(&[]).await;
        assert_eq!(code, 0, "{said}");
        is_alice(&mut alice).await;
    }
}

/// Whoever is told to stop in the middle used to drain and end, and its successor, which had been given the
/// sessions, took that end for leave and served.
#[tokio::test]
async fn a_gateway_that_is_told_to_stop_while_it_hands_over_leaves_nobody_and_loses_nothing() {
    let (_application, _, mut gateway) = gateway("disk").await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    for letters in [&[][..], &[HELLO], &[HELLO, READY]] {
        let id = gateway.folder().join("id");
        fs::remove_file(&id).ok();
        let wait = format!(
            "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600",
            id.display()
        );
        let program = successor(&gateway, letters, &wait);
        let stop = async {
            let successor = told(&id).await;
            gateway.terminate();
            has_ended(successor).await;
        };
        let both = async { tokio::join!(upgrade(&gateway, &program), stop) };
        let ((said, code), ()) = within("the upgrade is given up", PATIENCE, both).await;
        // The end of the gateway may be nearer than its answer.
        assert!([1, 4].contains(&code), "{said}");
        assert!(gateway.wait_for_exit(PATIENCE).await.success());
        gateway.restart().await;
        is_alice(&mut alice).await;
    }
}
