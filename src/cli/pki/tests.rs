//! Tests of `portway pki` below its process: what it writes, what it refuses, what it prints.

use std::os::unix::fs::PermissionsExt;

use clap::Parser;

use super::*;

const PHRASE: &str = "correct horse battery staple";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    pki: PkiArgs,
}

#[test]
fn the_arguments_are_consistent() {
    <Line as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn no_option_takes_a_pass_phrase_on_the_command_line() {
    for line in [
        ["pki", "init", "--dir=x", "--passphrase=y"],
        ["pki", "init", "--dir=x", "y"],
    ] {
        assert!(Line::try_parse_from(line).is_err(), "{line:?}");
    }
}

#[test]
fn a_certificate_is_for_a_data_centre_or_a_gate_and_never_for_both_or_neither() {
    let common = ["pki", "issue", "--dir=x", "--out=y"];
    for names in [&["--cluster=ny", "--gate=edge"][..], &[]] {
        let line = common.iter().chain(names);
        assert!(Line::try_parse_from(line).is_err(), "{names:?}");
    }
}

#[test]
fn a_ca_is_made_once_and_nodes_are_enrolled_with_its_bundle_m_036() {
    let folder = Folder::new();
    folder.run(&["init", "--dir=ca"], PHRASE).unwrap();
    folder.assert_mode("ca/ca.bundle", 0o600);
    folder.assert_mode("ca", 0o700);
    let again = folder.run(&["init", "--dir=ca"], PHRASE).unwrap_err();
    assert!(is_refusal(&again), "{again:#}");

    // The bundle alone is enough elsewhere.
    std::fs::copy(folder.path("ca/ca.bundle"), folder.path("copied")).unwrap();
    std::fs::create_dir(folder.path("state")).unwrap();
    let enrol = [
        "enrol",
        "--dir=copied",
        "--cluster=ldc",
        "--state-dir=state",
    ];
    let printed = folder.run(&enrol, PHRASE).unwrap();
    assert_eq!(printed.lines().count(), 3, "{printed}");
    folder.assert_mode("state/pki/node.key", 0o600);
    let names = |file: &str| {
        let pem = std::fs::read(folder.path(file)).unwrap();
        let chain = certificates::chain(&pem).unwrap();
        NodeName::all_in(&chain[0]).unwrap()
    };
    let ldc = NodeName::Engine(ClusterId::parse("ldc").unwrap());
    assert_eq!(names("state/pki/node.pem"), [ldc]);
    let same = |one: &str, other: &str| {
        let read = |file| std::fs::read(folder.path(file)).unwrap();
        assert_eq!(read(one), read(other));
    };
    same("state/pki/ca.pem", "ca/ca.pem");

    let issue = [
        "issue",
        "--dir=ca",
        "--gate=edge-1",
        "--out=gate",
        "--days=30",
    ];
    folder.run(&issue, PHRASE).unwrap();
    let edge = NodeName::Gate(ClusterId::parse("edge-1").unwrap());
    assert_eq!(names("gate/node.pem"), [edge]);
}

#[test]
fn root_makes_no_state_directory_that_the_gateway_could_not_enter() {
    let folder = Folder::new();
    folder.run(&["init", "--dir=ca"], PHRASE).unwrap();
    let enrol = ["enrol", "--dir=ca", "--cluster=ny", "--state-dir=state"];
    let enrolled = folder.run(&enrol, PHRASE);
    if files::is_root() {
        let refused = enrolled.unwrap_err();
        assert!(is_refusal(&refused), "{refused:#}");
        assert!(refused.to_string().contains("install -d"), "{refused:#}");
        assert!(!folder.path("state").exists());
    } else {
        enrolled.unwrap();
    }
    std::fs::create_dir_all(folder.path("state")).unwrap();
    let again = [&enrol[..], &["--replace"]].concat();
    folder.run(&again, PHRASE).unwrap();
}

#[test]
fn files_that_stand_are_replaced_only_where_that_is_asked_for() {
    let folder = Folder::new();
    folder.run(&["init", "--dir=ca"], PHRASE).unwrap();
    let issue = ["issue", "--dir=ca", "--cluster=ny", "--out=node"];
    folder.run(&issue, PHRASE).unwrap();
    let key = || std::fs::read(folder.path("node/node.key")).unwrap();
    let first = key();
    let refused = folder.run(&issue, PHRASE).unwrap_err();
    assert!(is_refusal(&refused), "{refused:#}");
    assert_eq!(key(), first);
    let with_leave = [&issue[..], &["--replace"]].concat();
    folder.run(&with_leave, PHRASE).unwrap();
    assert_ne!(key(), first);
    let drafts = std::fs::read_dir(folder.path("node")).unwrap().count();
    assert_eq!(drafts, 3, "no draft is left behind");
}

#[test]
fn a_wrong_pass_phrase_writes_nothing_and_says_no_more_than_that() {
    let folder = Folder::new();
    folder.run(&["init", "--dir=ca"], PHRASE).unwrap();
    let issue = ["issue", "--dir=ca", "--cluster=ny", "--out=node"];
    for wrong in ["correct horse battery stapl", "x"] {
        let refused = folder.run(&issue, wrong).unwrap_err();
        assert!(is_refusal(&refused));
        assert_eq!(
            format!("{refused:#}"),
            "the pass phrase does not open this CA"
        );
    }
    assert!(!folder.path("node").exists());
}

#[test]
fn a_weak_pass_phrase_makes_no_ca() {
    let folder = Folder::new();
    for weak in ["", "portway", "aaaaaaaaaaaaaaaaaaaa"] {
        let refused = folder.run(&["init", "--dir=ca"], weak).unwrap_err();
        assert!(is_refusal(&refused), "{weak}: {refused:#}");
    }
    assert!(!folder.path("ca").exists());
}

#[test]
fn bad_names_and_days_are_refused_before_the_ca_is_looked_for() {
    let folder = Folder::new();
    for bad in [
        ["--cluster=more-than-sixteen-bytes", "--days=1"],
        ["--cluster=a b", "--days=1"],
        ["--gate=", "--days=1"],
        ["--cluster=ny", "--days=0"],
        ["--cluster=ny", "--days=4000"],
    ] {
        let line = [&["issue", "--dir=none", "--out=node"], &bad[..]].concat();
        let refused = folder.run(&line, PHRASE).unwrap_err();
        assert!(is_refusal(&refused), "{bad:?}: {refused:#}");
    }
}

#[test]
fn what_a_file_holds_is_shown_without_the_pass_phrase() {
    let folder = Folder::new();
    folder.run(&["init", "--dir=ca"], PHRASE).unwrap();
    let issue = ["issue", "--dir=ca", "--cluster=ny", "--out=node"];
    folder.run(&issue, PHRASE).unwrap();
    let show = |file: &str| folder.run(&["show", file], PHRASE).unwrap();
    let shown = show("node/node.pem");
    assert!(shown.contains("name:        URI:portway://ny\n"), "{shown}");
    assert!(shown.contains("(valid)"), "{shown}");
    assert_eq!(show("ca/ca.bundle"), show("ca/ca.pem"));
    assert!(show("ca/ca.pem").contains("kind:        CA\n"));
    let key = folder.run(&["show", "node/node.key"], PHRASE).unwrap_err();
    assert!(is_refusal(&key), "{key:#}");
}

/// A folder to work in; paths in arguments start from it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, line: &[&str], phrase: &str) -> anyhow::Result<String> {
        let file = self.path("phrase");
        std::fs::write(&file, format!("{phrase}\n"))?;
        let placed = |argument: &&str| match argument.split_once('=') {
            Some((option @ ("--dir" | "--out" | "--state-dir"), path)) => {
                format!("{option}={}", self.path(path).display())
            }
            None if argument.contains('.') => self.path(argument).display().to_string(),
            Some(_) | None => (*argument).to_owned(),
        };
        let from_file = format!("--passphrase-file={}", file.display());
        let asks = line.first() != Some(&"show");
        let line = ["pki".to_owned()]
            .into_iter()
            .chain(line.iter().map(placed))
            .chain(asks.then_some(from_file));
        let args = Line::try_parse_from(line)?;
        let mut out = Vec::new();
        execute(&args.pki.command, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    fn assert_mode(&self, name: &str, mode: u32) {
        let found = std::fs::metadata(self.path(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{name}");
    }
}
