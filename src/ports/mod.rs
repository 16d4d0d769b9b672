//! What gate, engine and the edges ask of each other and of the world: one small trait per file, and what
//! they hand each other with it.
//!
//! No implementation lives here; `app` alone names them.

pub mod audit_trail;
pub mod clock;
pub mod control;
pub mod cookie_terms;
pub mod end_log;
pub mod entropy;
pub mod identity_provider;
pub mod keys;
pub mod peer_channel;
pub mod peer_service;
pub mod pools;
pub mod relying_party;
pub mod resolver;
pub mod session_engine;
pub mod session_store;
pub mod sessions;
pub mod vitals;
