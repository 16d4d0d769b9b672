//! Portway: an access gateway in one binary.
//!
//! This file is the map. Each paragraph of `mod` lines below is a layer, top to bottom; a module
//! uses only what stands below it, and modules of one paragraph never use each other.
//! `ARCHITECTURE.md` walks through the rooms, `tests/architecture.rs` enforces them.

pub mod cli;

pub mod demo;

pub mod app;

pub mod admin;
pub mod audit;
pub mod backchannel;
pub mod convert;
pub mod dns;
pub mod ops;
pub mod provider;
pub mod proxy;
pub mod store;
pub mod system;

pub mod engine;
pub mod gate;

pub mod ports;

pub mod config;
pub mod telemetry;

pub mod decision;
pub mod logbook;

pub mod crypto;

pub mod model;
