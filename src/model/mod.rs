//! The words of the field as types: names, ids, identities, sessions, times, secrets.
//!
//! Everything here is a value. No I/O, no clock and no policy: those live in the layers above.

pub mod attribute;
pub mod claim;
pub mod end;
pub mod identity;
pub mod id;
pub mod name;
pub mod network;
pub mod peer;
pub mod secret;
pub mod session;
pub mod time;
