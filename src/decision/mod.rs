//! Plain decisions: functions and small state machines without clock, randomness, log, lock or I/O.
//!
//! Some are about a request (path and routing, cookies, admission and authorization, identity headers,
//! upstream), some about signing in and out, some about what data centres say to each other;
//! `ARCHITECTURE.md` sorts the files. What happens because of a decision lives above.

pub mod address_rules;
pub mod admission;
pub mod adoption;
pub mod authorization;
pub mod compression;
pub mod cookies;
pub mod endpoints;
pub mod error_pages;
pub mod explanation;
pub mod expression;
pub mod facts;
pub mod fixed_answer;
pub mod following;
pub mod form;
pub mod forwarded;
pub mod forwarded_headers;
pub mod group_filter;
pub mod hand_over;
pub mod header_rules;
pub mod identity_headers;
pub mod idle;
pub mod kept_posts;
pub mod key_life;
pub mod landing;
pub mod maintenance;
pub mod names;
pub mod openid;
pub mod origins;
pub mod password;
pub mod path;
pub mod percent;
pub mod policy;
pub mod proxy_header;
pub mod rate;
pub mod release;
pub mod reply;
pub mod response;
pub mod retry;
pub mod rewrite;
pub mod routing;
pub mod sign_out;
pub mod succession;
pub mod surplus;
pub mod throttle;
pub mod template;
pub mod text_test;
mod three_valued;
pub mod time_window;
pub mod trace_context;
pub mod upstream;
