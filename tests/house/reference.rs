//! The reference of the configuration is what the program prints. `UPDATE_EXPECTED=1` writes it.

use std::fs;

use portway::config::parse::schema;

use crate::root;

#[test]
fn the_reference_is_what_the_program_prints() {
    let path = root().join("docs/reference.md");
    let printed = schema::reference();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == printed,
        "docs/reference.md is not what `portway config reference` prints; UPDATE_EXPECTED=1 writes it"
    );
}

/// Who runs into a limit looks for its row.
#[test]
fn the_page_on_limits_has_a_row_for_each() {
    let page = crate::read("docs/limits.md");
    let reference = schema::reference();
    let rows = reference.lines().filter_map(|row| {
        let key = row.strip_prefix("| `")?.split_once('`')?.0;
        key.starts_with("limits.").then_some(key)
    });
    let keys: Vec<&str> = rows.collect();
    assert!(keys.len() >= 15, "{keys:?}");
    for key in keys {
        assert!(page.contains(&format!("| `{key}`")), "no row for {key}");
    }
}
