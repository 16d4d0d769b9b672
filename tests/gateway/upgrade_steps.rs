//! An upgrade that does not come to its end: successors that are gone after a step, and a gateway that is told to
//! stop in the middle of it. The successors are scripts that know the letters of a hand-over.

use std::collections::HashSet;
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

const HELLO: &str = r#"{"Hello":{"protocol":2,"version":"0.1.0"}}"#;
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

/// How many are connected to a process at sockets of the file system.
fn asking(process: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let open: HashSet<PathBuf> = open.collect();
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let connected = table.lines().filter(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        match fields[..] {
            [.., "03", inode, _path] => open.contains(Path::new(&format!("socket:[{inode}]"))),
            _ => false,
        }
    });
    connected.count()
}

async fn are_asking(wanted: usize, process: u32) {
    let look = || async { (asking(process) == wanted).then_some(()) };
    until("all have asked", PATIENCE, look).await;
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

/// They were never answered, and their connections to the old process ended when it did.
#[tokio::test]
async fn who_reloads_or_drains_while_another_process_takes_over_is_told_to_ask_that_one() {
    let (application, _, gateway) = gateway("disk").await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    let mark = gateway.folder().join("id");
    // It begins when it is let to.
    let go = gateway.folder().join("go");
    let wait = format!(
        "echo $$ > {0}.new; mv {0}.new {0}\nwhile [ ! -e {1} ]; do sleep 0.05; done\nexec {2} \"$@\"",
        mark.display(),
        go.display(),
        env!("CARGO_BIN_EXE_portway"),
    );
    let program = program(&gateway, &wait);
    let others = async {
        told(&mark).await;
        let address = application.address().to_string();
        let drain = ["pool", "drain", "app", &address, "--even-if-last"];
        let asked = async { tokio::join!(gateway.reload(), gateway.verb(&drain)) };
        let let_go = async {
            // The upgrade, the reload and the drain.
            are_asking(3, gateway.pid()).await;
            fs::write(&go, "").unwrap();
        };
        tokio::join!(asked, let_go).0
    };
    let all = async { tokio::join!(upgrade(&gateway, &program), others) };
    let ((said, code), ((reload, _), drain)) = within("all are answered", PATIENCE, all).await;
    assert_eq!(code, 0, "{said}");
    let again = "another process serves by now; ask again";
    assert!(reload.contains(again), "{reload}");
    let drain = String::from_utf8(drain.stderr).unwrap();
    assert!(drain.contains(again), "{drain}");
    is_alice(&mut alice).await;
    let (said, code) = gateway.reload().await;
    assert_eq!(code, 0, "{said}");
}
