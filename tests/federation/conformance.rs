//! The operator's script in `tests/conformance`, run against two data centres as an operator would: all is
//! well with a good pair, and what is not well is said.

use std::path::Path;
use std::process::Command;
use std::process::Output;

use crate::pair::ANCHORED;
use crate::pair::APP;
use crate::pair::FREE;
use crate::pair::OTHER;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::support::gateway::password;
use crate::support::parts;

/// Runs the script; `None` when Python is not installed.
async fn run(pair: &Pair) -> Option<Output> {
    let python = parts::find("python3")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/federation.py");
    let folder = pair.a.folder();
    let credentials = folder.join("credentials");
    std::fs::write(&credentials, format!("alice\n{}\n", password("alice"))).unwrap();
    let (a, b) = (pair.a.address("https"), pair.b.address("https"));
    let (a, b) = (a.to_string(), b.to_string());
    let mut command = Command::new(python);
    command.arg(script);
    command.args(["--app", APP, "--other", OTHER, "--a", &a, "--b", &b]);
    command.arg("--credentials").arg(credentials);
    command.arg("--ca").arg(folder.join("ca.pem"));
    // The relays go on meanwhile.
    let ran = tokio::task::spawn_blocking(move || command.output());
    Some(ran.await.unwrap().unwrap())
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_operators_script_finds_nothing_wrong_with_a_good_pair_mdc_adopt_2_mdc_adopt_3() {
    for plan in [FREE, ANCHORED] {
        let pair = Pair::start(plan).await;
        let Some(output) = run(&pair).await else {
            return;
        };
        let lines = lines(&output);
        let failed = lines.iter().any(|line| line.starts_with("not ok"));
        assert!(output.status.success() && !failed, "{output:?}");
        let ok = lines.iter().filter(|line| line.starts_with("ok")).count();
        assert!(lines.contains(&format!("1..{ok}")), "{lines:#?}");
        assert!(ok >= 15, "{lines:#?}");
    }
}

#[tokio::test]
async fn the_operators_script_says_what_is_wrong_mdc_fail_3_mdc_logout_3() {
    let pair = Pair::start(Plan {
        adoption: "reauthenticate: true",
        ..FREE
    })
    .await;
    let Some(output) = run(&pair).await else {
        return;
    };
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let failed = |rule: &str| {
        lines(&output)
            .iter()
            .any(|line| line.starts_with("not ok") && line.contains(rule))
    };
    assert!(failed("MDC-ADOPT-2"), "{output:?}");
    pair.cut();
    let output = run(&pair).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        lines(&output)
            .iter()
            .any(|line| line.starts_with("not ok") && line.contains("MDC-LOGOUT-3")),
        "{output:?}"
    );
}
