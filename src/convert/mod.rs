//! Configurations of other gateways in, `gateway.yaml` and a loss report out.
//!
//! Pure: files are asked for through [`nginx::Surroundings`], and nothing is written. Deliberately absent: a way
//! past the configuration's own check, which what comes out is held against before anybody gets it.

pub mod nginx;
pub mod report;
mod yaml;
