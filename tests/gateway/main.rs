//! The gateway as its users and operators meet it: the built binary, real sockets, real upstreams.
//!
//! One file per feature. Hostile messages have a suite of their own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "what goes wrong in a test stops the test, and says so"
)]

#[path = "../support/mod.rs"]
mod support;

mod access_log;
mod activity;
mod addresses;
mod answers;
mod audit;
mod balance;
mod binding;
mod bodies;
mod branding;
mod checks;
mod circles;
mod client_certificates;
mod client_forgery;
mod compression;
mod convert;
mod cookie;
mod crash;
mod drain;
mod edge;
mod ejection;
mod error_pages;
mod examples;
mod failover;
mod gate_only;
mod gito;
mod grpc;
mod header_rules;
mod health;
mod host_limits;
mod http2_tools;
mod http2_upstreams;
mod identity;
mod keys;
mod lifetime;
mod limits;
mod listeners;
mod log;
mod logout;
mod logout_links;
mod maintenance;
mod names;
mod narrowed_routes;
mod openid;
mod openid_hostile;
mod ops;
mod password;
mod pki;
mod policy;
mod pool_drain;
mod programs;
mod proxy_protocol;
mod proxy_protocol_out;
mod reload;
mod repeated;
mod replay;
mod reload_files;
mod responses;
mod retries;
mod rewrite;
mod service_manager;
mod services;
mod sessions;
mod sign_in;
mod slow_clients;
mod slow_start;
mod stale;
mod streams;
mod throttle;
mod timeouts;
mod tls;
mod upstream_certificates;
mod upgrade;
mod upgrade_life;
mod upgrade_load;
mod upgrade_steps;
mod unix_upstreams;
mod users;
mod watchdog;
mod websockets;
