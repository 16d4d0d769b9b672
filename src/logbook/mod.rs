//! What is written down of requests and events, as values and as lines. Pure: `telemetry` and `audit` write the
//! lines to where they belong.
//!
//! Whatever comes from a client is escaped here, so that nobody can write lines of their own. No cookie, token or
//! session id is ever in a line; ids appear as short hashes.

pub mod access;
pub mod allowance;
pub mod causes;
pub mod chain;

pub mod escape;
pub mod event;

pub mod field;
pub mod line_format;
pub mod moment;
pub mod query;
