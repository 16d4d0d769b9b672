//! Every faulty fixture gives exactly its expected faults. `UPDATE_EXPECTED=1` writes what is seen,
//! for a person to read before it is kept.

use std::fs;

use crate::fixtures;
use crate::parse_as;

#[test]
fn every_invalid_fixture_gives_exactly_its_faults() {
    let mut wrong = Vec::new();
    for path in fixtures("invalid", "yaml") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let seen = match parse_as(&name, &text) {
            Ok(_) => "valid\n".to_owned(),
            Err(faults) => format!("{faults}\n"),
        };
        let expected_path = path.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected_path, &seen).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if seen != expected {
            wrong.push(format!(
                "== {name}, expected:\n{expected}\n== seen:\n{seen}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_fixture_is_valid_and_none_is_left_over() {
    let faulty = fixtures("invalid", "yaml");
    assert!(faulty.len() >= 120, "{}", faulty.len());
    for path in &faulty {
        let expected = fs::read_to_string(path.with_extension("expected")).unwrap();
        assert!(expected.starts_with("error: "), "{}", path.display());
    }
    let expected = fixtures("invalid", "expected");
    let stale: Vec<_> = expected
        .iter()
        .filter(|path| !path.with_extension("yaml").exists())
        .collect();
    assert!(stale.is_empty(), "{stale:?}");
}

#[test]
fn all_faults_of_a_file_are_reported_in_its_order() {
    let text = "threads: 0
listeners: [{ name: a b, bind: nowhere }]
virtual_hosts:
  - host: a.test
    routes: [{ path: x, access: maybe, pool: none }]
colour: red
";
    let faults = parse_as("gateway.yaml", text).unwrap_err();
    let lines: Vec<usize> = faults
        .iter()
        .filter_map(|fault| fault.at)
        .map(|at| at.line)
        .collect();
    assert_eq!(lines, [1, 2, 2, 5, 5, 5, 6], "{faults}");
}
