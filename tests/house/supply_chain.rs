//! The policy of `deny.toml`, enforced on what `cargo metadata` says is in the dependency tree.
//!
//! Advisories are those of a snapshot of the RustSec database, `advisories.tsv`, which `scripts/advisories.sh`
//! writes. What became known since is in `FLOORS`: versions that must not come back by a lowered requirement.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::process::Command;

use regex::Regex;
use semver::Version;
use semver::VersionReq;
use serde_json::Value;

use crate::read;
use crate::root;

/// Crates of which a second version would split TLS or HTTP in two.
const SINGLE: &[&str] = &[
    "h2",
    "http",
    "http-body",
    "hyper",
    "pingora-core",
    "ring",
    "rustls",
    "rustls-webpki",
    "tokio",
    "tokio-rustls",
];

/// Lowest versions without a known fault in what a gateway exposes.
const FLOORS: &[(&str, [u64; 3])] = &[
    ("h2", [0, 4, 4]),
    ("pingora-core", [0, 8, 1]),
    ("rustls", [0, 23, 45]),
    ("rustls-webpki", [0, 103, 15]),
];

/// One package of the dependency tree.
struct Package {
    name: String,
    version: String,
    license: String,
    source: Option<String>,
}

/// What is compiled on this kind of machine, tests and build scripts included.
fn packages() -> Vec<Package> {
    let metadata = |network: &[&str]| {
        Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--format-version",
                "1",
                "--locked",
                "--filter-platform",
            ])
            .arg(host())
            .args(network)
            .current_dir(root())
            .output()
            .unwrap()
    };
    // Offline, unless a package that only another system needs was never fetched.
    let offline = metadata(&["--offline"]);
    let metadata = if offline.status.success() {
        offline
    } else {
        metadata(&[])
    };
    assert!(
        metadata.status.success(),
        "{}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| Package {
            name: text(package, "name"),
            version: text(package, "version"),
            license: text(package, "license"),
            source: package["source"].as_str().map(str::to_owned),
        })
        .collect()
}

fn host() -> String {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_owned()
}

/// The quoted words of one list in `deny.toml`: those after `key = [`, up to the closing bracket.
fn listed(policy: &str, section: &str, key: &str) -> BTreeSet<String> {
    let body = policy
        .split(&format!("\n[{section}]\n"))
        .nth(1)
        .unwrap_or_else(|| panic!("no [{section}]"));
    let body = body.split("\n[").next().unwrap_or_default();
    let list = body
        .split(&format!("\n{key} = ["))
        .nth(1)
        .unwrap_or_else(|| panic!("no {key} in [{section}]"));
    let list = list.split("\n]").next().unwrap_or_default();
    let word = Regex::new(r#"^(?:\{ (?:crate|id) = )?"([^"]+)""#).unwrap();
    list.lines()
        .filter_map(|line| word.captures(line.trim()))
        .map(|found| found.extract::<1>().1.concat())
        .collect()
}

/// Whether a licence expression can be satisfied with the allowed licences.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let tokens = Regex::new(r"\(|\)|[^\s()]+").unwrap();
    let expression = expression.replace('/', " OR ");
    let tokens: Vec<&str> = tokens
        .find_iter(&expression)
        .map(|found| found.as_str())
        .collect();
    let mut rest = tokens.as_slice();
    any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut fits = all_of(rest, allowed);
    while let Some(after) = rest.strip_prefix(&["OR"]) {
        *rest = after;
        fits |= all_of(rest, allowed);
    }
    fits
}

fn all_of(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut fits = one(rest, allowed);
    while let Some(after) = rest.strip_prefix(&["AND"]) {
        *rest = after;
        fits &= one(rest, allowed);
    }
    fits
}

fn one(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    match *rest {
        ["(", after @ ..] => {
            *rest = after;
            let fits = any_of(rest, allowed);
            *rest = rest.strip_prefix(&[")"]).unwrap_or(&[]);
            fits
        }
        [license, "WITH", exception, after @ ..] => {
            *rest = after;
            allowed.contains(&format!("{license} WITH {exception}"))
        }
        [license, after @ ..] => {
            *rest = after;
            allowed.contains(*license)
        }
        [] => false,
    }
}

fn numbers(version: &str) -> [u64; 3] {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let mut parts = core.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[test]
fn every_licence_is_on_the_list() {
    let allowed = listed(&read("deny.toml"), "licenses", "allow");
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !is_allowed(&package.license, &allowed))
        .map(|package| format!("{} {}: {}", package.name, package.version, package.license))
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn nothing_banned_is_in_the_tree() {
    let banned = listed(&read("deny.toml"), "bans", "deny");
    assert!(
        ["aws-lc-rs", "openssl-sys", "native-tls"]
            .iter()
            .all(|name| banned.contains(*name)),
        "{banned:?}"
    );
    let found: Vec<String> = packages()
        .into_iter()
        .map(|package| package.name)
        .filter(|name| banned.contains(name))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn tls_and_http_come_once_and_ring_is_the_only_provider() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        versions
            .entry(package.name)
            .or_default()
            .insert(package.version);
    }
    for name in SINGLE {
        let found = versions
            .get(*name)
            .unwrap_or_else(|| panic!("{name} is not in the tree; drop it from SINGLE"));
        assert_eq!(found.len(), 1, "{name}: {found:?}");
    }
}

#[test]
fn no_version_with_a_known_fault_comes_back() {
    for package in packages() {
        if let Some((name, floor)) = FLOORS.iter().find(|(name, _)| *name == package.name) {
            assert!(
                numbers(&package.version) >= *floor,
                "{name} {} is below {floor:?}",
                package.version
            );
        }
    }
}

#[test]
fn no_dependency_has_an_advisory_that_is_not_set_aside() {
    let known = advisories(&read("tests/house/advisories.tsv"));
    assert!(known.len() > 1000, "{}", known.len());
    let mut met = BTreeSet::new();
    for package in packages() {
        let version = Version::parse(&package.version).unwrap();
        let found = known.iter().filter(|known| known.package == package.name);
        let found = found.filter(|known| known.concerns(&version));
        met.extend(found.map(|known| known.id.clone()));
    }
    let set_aside = listed(&read("deny.toml"), "advisories", "ignore");
    let new: Vec<&String> = met.difference(&set_aside).collect();
    assert!(new.is_empty(), "{new:?}");
    // What no longer concerns anything here need not be set aside.
    let snapshot: BTreeSet<String> = known.iter().map(|known| known.id.clone()).collect();
    let stale: Vec<&String> = set_aside.difference(&met).collect();
    let stale: Vec<_> = stale.iter().filter(|id| snapshot.contains(**id)).collect();
    assert!(stale.is_empty(), "{stale:?}");
}

#[test]
fn an_advisory_concerns_what_is_neither_patched_nor_never_was_at_fault() {
    let known = advisories(
        "# of a day\nX-1\th2\t^0.3.24 | >= 0.4.2\t< 0.2\t\nX-2\told\t\t\tunmaintained\n",
    );
    let concerns = |id: &str, version: &str| {
        let one = known.iter().find(|known| known.id == id).unwrap();
        one.concerns(&Version::parse(version).unwrap())
    };
    assert!(concerns("X-1", "0.3.23") && concerns("X-1", "0.4.1"));
    for good in ["0.3.24", "0.4.2", "1.0.0", "0.1.9"] {
        assert!(!concerns("X-1", good), "{good}");
    }
    assert!(concerns("X-2", "9.9.9"));
}

/// One line of the snapshot.
struct Advisory {
    id: String,
    package: String,
    /// Versions without the fault.
    good: Vec<VersionReq>,
}

impl Advisory {
    fn concerns(&self, version: &Version) -> bool {
        !self.good.iter().any(|good| good.matches(version))
    }
}

fn advisories(snapshot: &str) -> Vec<Advisory> {
    let lines = snapshot.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [id, package, patched, unaffected, _kind] = columns.as_slice() else {
                panic!("five columns: {line}")
            };
            let good = patched.split('|').chain(unaffected.split('|'));
            let good = good.map(str::trim).filter(|good| !good.is_empty());
            Advisory {
                id: (*id).to_owned(),
                package: (*package).to_owned(),
                good: good
                    .map(|good| VersionReq::parse(good).expect(line))
                    .collect(),
            }
        })
        .collect()
}

#[test]
fn every_dependency_comes_from_the_registry() {
    for package in packages() {
        let from_registry = package
            .source
            .as_deref()
            .is_none_or(|source| source.starts_with("registry+"));
        assert!(from_registry, "{}: {:?}", package.name, package.source);
        assert!(
            package.source.is_some() || package.name == "portway",
            "{} is a path",
            package.name
        );
    }
}

#[test]
fn licence_expressions_are_read_as_written() {
    let allowed: BTreeSet<String> = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]
        .map(str::to_owned)
        .into();
    for fits in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0/MIT",
        "(GPL-3.0 OR MIT) AND ISC",
        "Apache-2.0 WITH LLVM-exception OR X",
    ] {
        assert!(is_allowed(fits, &allowed), "{fits}");
    }
    for refused in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "Apache-2.0",
        "(MIT OR GPL-3.0) AND GPL-3.0",
    ] {
        assert!(!is_allowed(refused, &allowed), "{refused}");
    }
}

#[test]
fn versions_compare_by_number() {
    assert!(numbers("0.103.16") > numbers("0.103.9"));
    assert_eq!(numbers("1.2.3-rc.1+x"), [1, 2, 3]);
}
