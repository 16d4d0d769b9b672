//! The proxy: pingora and the edge loop around it.
//!
//! `edge` accepts connections, `opening` and `connection` run them, `framing`, `inbound` and `arrival` make trusted values of requests, `service` walks each through
//! its phases, `connect` and `outbound` forward it, `answer` and `pages` speak for Portway itself.
//! Decisions are made below, in `gate` and `decision`.

pub mod access;
mod activity;
pub mod address;
pub mod allowances;
mod announcing;
pub mod answer;
pub mod arrival;
pub mod client_auth;
pub mod compression;
pub mod connect;
mod connection;
mod connections;
pub mod context;
pub mod counts;
mod denied;
pub mod edge;
pub mod entered;
mod exchange;
pub mod farewell;
mod fixed;
pub mod forward;
mod found;
mod framing;
mod handshake;
pub mod health;
pub mod hosts;
mod homeward;
pub mod inbound;
pub mod journey;
mod kept;
pub mod line;
pub mod limiters;
mod linger;
pub mod listening;
pub mod live;
pub mod member;
pub mod memory;
pub mod naming;
mod opening;
pub mod outbound;
mod outcome;
mod outliers;
mod own_headers;
pub mod pages;
pub mod pool;
pub mod portal;
pub mod refusal;
pub mod resets;
mod retry;
pub mod service;
pub mod serving;
mod setback;
pub mod shaping;
mod socket;
mod standing;
mod step;
pub mod streams;
pub mod terms;
pub mod tls;
pub mod upgrades;
pub mod upstream;
pub mod watch;
mod whereabouts;
