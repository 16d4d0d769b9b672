//! Every odd fixture is valid and gives exactly its expected warnings. `UPDATE_EXPECTED=1` writes what is
//! seen, for a person to read before it is kept.

use std::fs;

use crate::fixtures;
use crate::parsed;

#[test]
fn every_odd_fixture_gives_exactly_its_warnings_x_12() {
    let paths = fixtures("warnings", "yaml");
    assert!(paths.len() >= 15, "{}", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let config = crate::parse_as(&name, &text).unwrap_or_else(|faults| panic!("{faults}"));
        let seen = format!("{}\n", config.warnings);
        let expected_path = path.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected_path, &seen).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if seen != expected || !seen.starts_with("warning: ") {
            wrong.push(format!(
                "== {name}, expected:\n{expected}\n== seen:\n{seen}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_expectation_is_left_over() {
    for path in fixtures("warnings", "expected") {
        assert!(path.with_extension("yaml").exists(), "{}", path.display());
    }
}

#[test]
fn a_configuration_keeps_no_secret_among_its_warnings() {
    let path = crate::root().join("tests/fixtures/config/warnings/password-inline.yaml");
    let config = parsed(&fs::read_to_string(path).unwrap());
    assert_eq!(config.warnings.count(), 3);
    let shown = format!("{config:?}\n{}", config.warnings);
    assert!(!shown.contains("hunter2"), "{shown}");
    let lines: Vec<String> = config.warnings.lines().collect();
    assert!(
        lines[0].starts_with("gateway.yaml:17:17  mdc.peers[0].password: the password stands"),
        "{lines:?}"
    );
    assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
}
