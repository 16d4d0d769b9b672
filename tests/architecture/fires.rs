//! Shows that each check of the architecture test fires on code that breaks its rule, and only then.
//!
//! The snippets are judged as if they stood in `src/` at the path given; nothing here reads a file.

use super::Layers;
use super::length_fault;
use super::source_faults;

const MAP: &str = "//! Map.\n\npub mod app;\n\npub mod proxy;\npub mod store;\n\npub mod engine;\npub mod gate;\n\npub mod decision;\n\npub mod model;\n";

/// What the checks say about one line of code in a file at `path`.
fn faults(path: &str, code: &str) -> Vec<String> {
    let text = format!("//! Lives here to be judged; nothing else does.\n\n{code}\n");
    source_faults(&Layers::read(MAP), path, &text)
}

fn fires(path: &str, code: &str, expected: &str) {
    let faults = faults(path, code);
    assert!(
        faults.iter().any(|fault| fault.contains(expected)),
        "{path} {code}: {faults:?}"
    );
}

fn is_quiet(path: &str, code: &str) {
    assert_eq!(faults(path, code), Vec::<String>::new(), "{path} {code}");
}

#[test]
fn the_ladder_is_climbed_downwards_only() {
    is_quiet("engine/login.rs", "use crate::decision::session;");
    fires(
        "engine/login.rs",
        "use crate::proxy::pages;",
        "stands above it",
    );
    fires(
        "decision/path.rs",
        "fn f() { crate::engine::g() }",
        "stands above it",
    );
    fires(
        "engine/login.rs",
        "use crate::nowhere::x;",
        "not a module of lib.rs",
    );
    fires("nowhere/x.rs", "fn f() {}", "is not in lib.rs");
    is_quiet(
        "engine/login.rs",
        "// crate::proxy is above us\nconst A: &str = \"crate::proxy\";",
    );
}

#[test]
fn modules_of_one_paragraph_are_strangers() {
    fires("gate/admit.rs", "use crate::engine::login;", "strangers");
    fires(
        "proxy/inbound.rs",
        "use crate::{model::id, store::disk};",
        "strangers",
    );
    is_quiet("gate/admit.rs", "use crate::gate::other;");
}

#[test]
fn super_does_not_leave_its_room() {
    fires("gate/mod.rs", "use super::engine;", "climbing");
    fires("gate/admit.rs", "use super::super::engine;", "climbing");
    is_quiet("gate/admit.rs", "use super::Gate;");
}

#[test]
fn pure_places_do_not_act() {
    for code in [
        "async fn f() {}",
        "use tokio::sync::watch;",
        "fn f() { tracing::info!(\"x\") }",
        "use std::sync::Mutex;",
        "use std::time::Instant;",
        "fn f() { std::fs::read(\"x\"); }",
    ] {
        fires("decision/path.rs", code, "in a pure place");
        fires("model/id.rs", code, "in a pure place");
    }
    is_quiet(
        "decision/path.rs",
        "/// Never async: tokio, tracing and Mutex live above.\nfn f() {}",
    );
    is_quiet("engine/login.rs", "async fn f() {}");
}

#[test]
fn fenced_names_stay_in_their_places() {
    fires(
        "engine/login.rs",
        "use pingora::proxy::Session;",
        "`pingora` belongs in",
    );
    fires(
        "engine/login.rs",
        "use redb::Database;",
        "`redb` belongs in",
    );
    fires(
        "gate/admit.rs",
        "use rustls::ServerConfig;",
        "`rustls` belongs in",
    );
    fires(
        "proxy/inbound.rs",
        "fn f() { std::env::var(\"X\"); }",
        "`std::env` belongs in",
    );
    fires(
        "proxy/inbound.rs",
        "fn f() { let now = Instant::now(); }",
        "`Instant::now` belongs in",
    );
    is_quiet("proxy/inbound.rs", "use pingora::proxy::Session;");
    is_quiet("store/disk.rs", "use redb::Database;");
    is_quiet("proxy/inbound.rs", "use hyper_like::Thing;");
}

#[test]
fn only_the_assembly_names_implementations() {
    is_quiet("app/mod.rs", "use crate::store::disk;");
    let map = "pub mod cli;\n\npub mod app;\n\npub mod store;\n";
    let text = "//! Lives here to be judged; nothing else does.\nuse crate::store::disk;\n";
    let faults = source_faults(&Layers::read(map), "cli/run.rs", text);
    assert!(
        faults
            .iter()
            .any(|fault| fault.contains("only app/ may name `store`")),
        "{faults:?}"
    );
}

#[test]
fn gate_and_engine_can_be_simulated() {
    for code in [
        "fn f() { tokio::spawn(g()); }",
        "use tokio::time::sleep;",
        "use std::thread;",
    ] {
        fires("engine/login.rs", code, "cannot be simulated");
        fires("gate/admit.rs", code, "cannot be simulated");
    }
    is_quiet("engine/login.rs", "use tokio::sync::broadcast;");
}

#[test]
fn trusted_types_are_made_where_bytes_come_in() {
    fires(
        "engine/login.rs",
        "fn f(t: &str) { UserName::parse(t); }",
        "trusted type",
    );
    fires(
        "gate/admit.rs",
        "fn f(b: [u8; 16]) { SsoId::from_bytes(b); }",
        "trusted type",
    );
    is_quiet(
        "engine/login.rs",
        "fn f(e: &dyn Entropy) { SsoId::from_bytes(id_bytes(e)); }",
    );
    is_quiet("app/mod.rs", "fn f() { UserName::parse(\"nobody\"); }");
    is_quiet("model/name.rs", "fn f(t: &str) { UserName::parse(t); }");
}

#[test]
fn every_file_says_what_lives_in_it() {
    let faults = source_faults(&Layers::read(MAP), "gate/admit.rs", "fn f() {}\n");
    assert!(
        faults.iter().any(|fault| fault.contains("`//!`")),
        "{faults:?}"
    );
}

#[test]
fn imports_come_line_by_line() {
    fires("gate/admit.rs", "use std::{fmt, io};", "one `use` line");
}

#[test]
fn a_long_file_is_a_fault_and_its_tests_do_not_count() {
    let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(400));
    assert!(length_fault("gate/admit.rs", &long).is_some());
    let tested = format!(
        "//! Short.\n#[cfg(test)]\nmod tests {{\n{}}}\n",
        "fn f() {}\n".repeat(400)
    );
    assert!(length_fault("gate/admit.rs", &tested).is_none());
}

#[test]
fn words_of_others_are_not_ours() {
    for code in [
        "struct PoolManager;",
        "fn upstream_helper() {}",
        "/// The backends.\nfn f() {}",
        "mod utils {}",
        "let vhost = 1;",
    ] {
        fires("gate/admit.rs", code, "is not our word");
    }
    is_quiet("proxy/inbound.rs", "use http_body_util::BodyExt;");
    is_quiet("proxy/inbound.rs", "use pingora::utils::tls::CertKey;");
    is_quiet(
        "gate/admit.rs",
        "/// For managers.\nfn handle_utilisation() {}",
    );
}
