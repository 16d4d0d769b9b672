//! The table of nginx's directives in the document is the converter's own. `UPDATE_EXPECTED=1` writes it.

use std::fs;

use portway::convert::nginx;

use crate::root;

const BEGINS: &str = "<!-- The table is made from the converter's own. -->\n\n";

#[test]
fn the_table_of_directives_is_the_converter_s_w_38() {
    let path = root().join("docs/migrating-from-nginx.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, table) = text.split_once(BEGINS).expect("the table has a place");
    let made = nginx::table();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, format!("{before}{BEGINS}{made}")).unwrap();
        return;
    }
    assert!(
        table == made,
        "docs/migrating-from-nginx.md has another table; UPDATE_EXPECTED=1 writes it"
    );
}
