//! Identity providers: who checks a credential.
//!
//! Sessions, levels of a route and the login page are not known here; a provider answers one question.

pub mod nobody;
pub mod openid;
pub mod users_file;
pub mod web;
