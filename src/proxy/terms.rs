//! What holds for a connection from its first byte to its last: limits, and the options of its protocol.

use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::H2Options;
use pingora::protocols::http::v2::server::default_h2_options;

use crate::config::Limits;

/// What a connection keeps from its beginning to its end.
#[derive(Clone, Debug)]
pub struct ConnectionTerms {
    /// Bounds on what the client may take.
    pub limits: Limits,
    /// How pingora keeps the connection.
    pub server: HttpServerOptions,
    /// How it speaks HTTP/2 by it.
    pub h2: H2Options,
}

impl ConnectionTerms {
    /// What follows from the limits of a configuration.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        let mut server = HttpServerOptions::default();
        // What a client is slow to take is counted as idle, and would be lost.
        let idle = limits.keep_alive_timeout.max(limits.send_timeout);
        server.h2_idle_timeout = Some(idle);
        server.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION);
        let mut h2 = default_h2_options();
        let header_list = u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX);
        h2.initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(header_list.saturating_mul(2));
        Self {
            limits: limits.clone(),
            server,
            h2,
        }
    }
}

/// Requests after which a connection is closed, so that its memory is given back now and then.
const REQUESTS_PER_CONNECTION: u32 = 100_000;
/// HTTP/2 windows: the 64 KiB of the RFC would slow uploads over long ways down.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
