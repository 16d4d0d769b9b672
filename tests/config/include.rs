//! Included files: what they add, and that nothing else changes.

use crate::meaning_of;
use crate::parse_as;
use crate::parsed;

const MAIN: &str = "listeners: [{ name: http, bind: 0.0.0.0:80 }]
pools: { app: { primary: [10.0.0.1:80] } }
virtual_hosts:
  - host: app.test
    plain_http: serve
    routes: [{ path: /, access: excluded, pool: app }]
";

#[test]
fn sections_of_an_included_file_become_part_of_the_configuration() {
    let config = parsed(&format!("include: hosts.yaml\n{MAIN}"));
    let listeners = config.listeners.iter().map(|at| at.name.to_string());
    assert_eq!(listeners.collect::<Vec<_>>(), ["http", "second"]);
    let pools = config.pools.keys().map(ToString::to_string);
    assert_eq!(pools.collect::<Vec<_>>(), ["app", "more"]);
    let hosts = config.virtual_hosts.iter();
    let hosts = hosts.flat_map(|host| host.hosts.iter().map(ToString::to_string));
    assert_eq!(hosts.collect::<Vec<_>>(), ["app.test", "more.test"]);
}

#[test]
fn a_file_may_hold_all_there_is_of_a_section() {
    let (listeners, rest) = MAIN.split_once('\n').unwrap();
    assert!(rest.starts_with("pools"));
    let config = parsed(&format!(
        "include: [hosts.yaml, empty.yaml]\n{listeners}\npools: {{ app: {{ primary: ['a:1'] }} }}\n"
    ));
    assert_eq!(config.virtual_hosts.len(), 1);
}

#[test]
fn an_included_file_means_the_same_as_its_text_in_place() {
    let apart = parsed(&format!("include: hosts.yaml\n{MAIN}"));
    let whole = parsed(
        "listeners: [{ name: http, bind: 0.0.0.0:80 }, { name: second, bind: 0.0.0.0:81 }]
pools: { app: { primary: [10.0.0.1:80] }, more: { primary: [10.0.0.3:80] } }
policies: { nobody: [] }
virtual_hosts:
  - { host: app.test, plain_http: serve, routes: [{ path: /, access: excluded, pool: app }] }
  - { host: more.test, plain_http: serve, routes: [{ path: /, access: excluded, pool: app }] }
",
    );
    assert_eq!(meaning_of(apart), meaning_of(whole));
}

#[test]
fn every_fault_has_the_name_of_its_own_file() {
    let text = format!("include: [faulty.yaml]\ncolour: red\n{MAIN}");
    let faults = parse_as("gateway.yaml", &text).unwrap_err();
    let places: Vec<_> = faults
        .reports()
        .map(|fault| {
            let at = fault.at.unwrap();
            (fault.file.to_owned(), at.line, fault.path.to_owned())
        })
        .collect();
    let place = |file: &str, line, path: &str| (file.to_owned(), line, path.to_owned());
    let expected = [
        place("gateway.yaml", 2, "colour"),
        place("faulty.yaml", 7, "virtual_hosts[1].routes[0].access"),
        place("faulty.yaml", 7, "virtual_hosts[1].routes[0].pool"),
    ];
    assert_eq!(places, expected);
}
