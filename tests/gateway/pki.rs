//! `portway pki` as an operator runs it: what it writes, cross-checked by openssl.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::parts;

const PHRASE: &str = "a pass phrase of the tests";

#[test]
fn openssl_verifies_what_a_private_ca_signs_for_both_ends_of_a_connection_mdc_sec_2() {
    let site = Site::new();
    site.pki(&["init", "--dir", "ca"]).expect_done();
    let issue = ["issue", "--dir", "ca", "--cluster", "ny", "--out", "node"];
    site.pki(&issue).expect_done();
    let Some(openssl) = parts::find("openssl") else {
        return;
    };
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new(&openssl);
        let done = command.args(arguments).current_dir(site.path()).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    for purpose in ["sslserver", "sslclient"] {
        let verify = ["verify", "-x509_strict", "-CAfile", "ca/ca.pem", "-purpose"];
        openssl(&[&verify[..], &[purpose, "node/node.pem"]].concat());
    }
    let text = openssl(&["x509", "-in", "node/node.pem", "-noout", "-text"]);
    for expected in [
        "URI:portway://ny",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "CA:FALSE",
        "ASN1 OID: prime256v1",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("DNS:"), "{text}");
    let of_certificate = openssl(&["x509", "-in", "node/node.pem", "-noout", "-pubkey"]);
    assert_eq!(
        openssl(&["pkey", "-in", "node/node.key", "-pubout"]),
        of_certificate
    );

    let shown = site.pki(&["show", "node/node.pem"]).expect_done();
    let hash = [
        "x509",
        "-in",
        "node/node.pem",
        "-noout",
        "-fingerprint",
        "-sha256",
    ];
    let fingerprint = openssl(&hash);
    let fingerprint = fingerprint.trim().split_once('=').unwrap().1;
    assert!(shown.contains(fingerprint), "{fingerprint}: {shown}");
}

#[test]
fn a_node_enrols_with_a_copied_bundle_and_the_pass_phrase_alone_m_036() {
    let site = Site::new();
    site.pki(&["init", "--dir", "ca"]).expect_done();
    site.copy("ca/ca.bundle", "elsewhere.bundle");
    std::fs::create_dir(site.path().join("state")).unwrap();
    let enrol = [
        "enrol",
        "--dir",
        "elsewhere.bundle",
        "--cluster",
        "ldc",
        "--state-dir",
        "state",
    ];

    let wrong = site.run(
        &enrol,
        &[("PORTWAY_PKI_PASSPHRASE", "a pass phrase of the test")],
    );
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert_eq!(
        String::from_utf8(wrong.stderr).unwrap(),
        "portway pki: the pass phrase does not open this CA\n"
    );
    assert!(!site.path().join("state/pki").exists());

    let printed = site.pki(&enrol).expect_done();
    assert_eq!(
        printed,
        "state/pki/node.key\nstate/pki/node.pem\nstate/pki/ca.pem\n"
    );
    let again = site.pki(&enrol);
    assert_eq!(again.0.status.code(), Some(2), "{again:?}");
    let files = std::fs::read_dir(site.path().join("state/pki")).unwrap();
    assert_eq!(files.count(), 3, "the CA's key stays away from nodes");
}

#[test]
fn the_pass_phrase_comes_from_a_file_or_the_environment_but_not_from_both() {
    let site = Site::new();
    site.write("phrase", &format!("{PHRASE}\n"));
    let init = ["init", "--dir", "ca"];
    let both = [
        ("PORTWAY_PKI_PASSPHRASE", PHRASE),
        ("PORTWAY_PKI_PASSPHRASE_FILE", "phrase"),
    ];
    let refused = site.run(&init, &both);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let nobody = site.run(&init, &[]);
    assert_eq!(nobody.status.code(), Some(2), "{nobody:?}");
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("--passphrase-file"));

    let [by_value, by_file] = both;
    assert!(site.run(&init, &[by_file]).status.success());
    let issue = ["issue", "--dir", "ca", "--gate", "edge-1", "--out"];
    let with = |more: &[&'static str]| [&issue[..], more].concat();
    assert!(site.run(&with(&["one"]), &[by_value]).status.success());
    let by_option = with(&["two", "--passphrase-file", "phrase"]);
    assert!(site.run(&by_option, &[]).status.success());
}

/// A folder to work in.
struct Site(TempDir);

/// What a run came to.
#[derive(Debug)]
struct Ran(Output);

impl Site {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn copy(&self, from: &str, to: &str) {
        std::fs::copy(self.path().join(from), self.path().join(to)).unwrap();
    }

    /// Runs with the right pass phrase in the environment.
    fn pki(&self, arguments: &[&str]) -> Ran {
        Ran(self.run(arguments, &[("PORTWAY_PKI_PASSPHRASE", PHRASE)]))
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_portway"))
            .arg("pki")
            .args(arguments)
            .env_remove("PORTWAY_PKI_PASSPHRASE")
            .env_remove("PORTWAY_PKI_PASSPHRASE_FILE")
            .envs(environment.iter().copied())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Ran {
    #[track_caller]
    fn expect_done(self) -> String {
        assert!(self.0.status.success(), "{self:?}");
        String::from_utf8(self.0.stdout).unwrap()
    }
}
