//! What the black-box tests share: a gateway that runs as a process, real and scripted upstreams, and
//! clients for HTTP/1.1, HTTP/2 and WebSockets.
//!
//! Nothing here knows the gateway from inside; no test waits blindly, but for a condition with a bound.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "what goes wrong in a test stops the test, and says so"
)]
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part of this"
)]

pub(crate) mod application;
pub(crate) mod browser;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod issuer;
pub(crate) mod jar;
pub(crate) mod local_socket;
pub(crate) mod message;
pub(crate) mod multiplexed;
pub(crate) mod names;
pub(crate) mod nginx;
pub(crate) mod openid;
pub(crate) mod ops;
pub(crate) mod page;
pub(crate) mod parts;
pub(crate) mod ports;
pub(crate) mod recorder;
pub(crate) mod wait;
pub(crate) mod websocket;
pub(crate) mod yaml;

pub(crate) use application::Application;
pub(crate) use browser::Browser;
pub(crate) use client::Protocol;
pub(crate) use gateway::Gateway;
pub(crate) use local_socket::LocalSocket;
pub(crate) use message::Answer;
pub(crate) use message::Request;
pub(crate) use message::Url;
pub(crate) use multiplexed::Manner;
pub(crate) use multiplexed::Multiplexed;
pub(crate) use names::NameServer;
pub(crate) use nginx::Nginx;
pub(crate) use nginx::applications;
pub(crate) use nginx::applications_with_clock;
pub(crate) use recorder::Recorder;
pub(crate) use wait::until;
pub(crate) use yaml::HEAD;
