//! The fields of an access line: their names, and how each is written.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use crate::logbook::access::AccessRecord;
use crate::logbook::access::AskedFor;
use crate::logbook::access::Forwarded;
use crate::logbook::escape::Escape;
use crate::logbook::moment::MomentStyle;
use crate::logbook::moment::MomentWriter;
use crate::logbook::moment::push_digits;
use crate::logbook::query::QueryRule;

/// A field of an access line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// How many upstreams were tried.
    Attempts,
    /// Bytes of the request's body.
    BytesReceived,
    /// Bytes of the answer's body.
    BytesSent,
    /// The client's address.
    Client,
    /// The name of this data centre.
    DataCentre,
    /// What was decided.
    Decision,
    /// Seconds from head to end.
    Duration,
    /// The host asked for.
    Host,
    /// The listener.
    Listener,
    /// The method.
    Method,
    /// The path, and of the query what the rule says.
    Path,
    /// The pool of the upstream.
    Pool,
    /// The version of HTTP.
    Protocol,
    /// The page it came from.
    Referer,
    /// The id of the request.
    RequestId,
    /// The route.
    Route,
    /// The status.
    Status,
    /// The time, as in RFC 3339.
    Time,
    /// The time, as in the combined format.
    TimeCombined,
    /// The version of TLS.
    Tls,
    /// The upstream tried last.
    Upstream,
    /// Seconds until the upstream began to answer.
    UpstreamTime,
    /// The user.
    User,
    /// The client's name of itself.
    UserAgent,
}

/// Every field by its name, in the order of the names.
pub const FIELDS: &[(&str, Field)] = &[
    ("attempts", Field::Attempts),
    ("bytes_received", Field::BytesReceived),
    ("bytes_sent", Field::BytesSent),
    ("client", Field::Client),
    ("data_centre", Field::DataCentre),
    ("decision", Field::Decision),
    ("duration", Field::Duration),
    ("host", Field::Host),
    ("listener", Field::Listener),
    ("method", Field::Method),
    ("path", Field::Path),
    ("pool", Field::Pool),
    ("protocol", Field::Protocol),
    ("referer", Field::Referer),
    ("request_id", Field::RequestId),
    ("route", Field::Route),
    ("status", Field::Status),
    ("time", Field::Time),
    ("time_combined", Field::TimeCombined),
    ("tls", Field::Tls),
    ("upstream", Field::Upstream),
    ("upstream_time", Field::UpstreamTime),
    ("user", Field::User),
    ("user_agent", Field::UserAgent),
];

/// What writing a field takes beside the record.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    /// What is written of queries.
    pub(super) query: QueryRule,
    /// The name of this data centre.
    pub(super) data_centre: &'a str,
    /// Writes points in time.
    pub(super) moments: &'a mut MomentWriter,
}

impl Field {
    /// Whether the value is a number, which JSON writes without quotes.
    #[must_use]
    pub const fn is_number(self) -> bool {
        matches!(
            self,
            Self::Attempts
                | Self::BytesReceived
                | Self::BytesSent
                | Self::Duration
                | Self::Status
                | Self::UpstreamTime
        )
    }

    /// Appends the value; nothing where there is none.
    pub(super) fn write(
        self,
        record: &AccessRecord<'_>,
        setting: &mut Setting<'_>,
        escape: Escape,
        line: &mut Vec<u8>,
    ) {
        let upstream = record.upstream.as_ref();
        match self {
            Self::BytesReceived => push_digits(record.bytes_received, 1, line),
            Self::BytesSent => push_digits(record.bytes_sent, 1, line),
            Self::Client => write_address(record.client, line),
            Self::DataCentre => escape.write(setting.data_centre.as_bytes(), line),
            Self::Decision => line.extend_from_slice(record.decision.as_str().as_bytes()),
            Self::Duration => write_seconds(record.duration, line),
            Self::Host => escape.write(record.host.as_bytes(), line),
            Self::Listener => escape.write(record.listener.as_bytes(), line),
            Self::Route => escape.write(record.route.as_bytes(), line),
            Self::Status => {
                if let Some(status) = record.status {
                    push_digits(status.into(), 3, line);
                }
            }
            Self::Time => {
                setting.moments.write(record.at, MomentStyle::Rfc3339, line);
            }
            Self::TimeCombined => {
                setting
                    .moments
                    .write(record.at, MomentStyle::Combined, line);
            }
            Self::Tls => line.extend_from_slice(record.tls.as_bytes()),
            Self::User => escape.write(record.user.as_bytes(), line),
            Self::Attempts | Self::Pool | Self::Upstream | Self::UpstreamTime => {
                if let Some(upstream) = upstream {
                    self.write_forwarded(upstream, escape, line);
                }
            }
            Self::Method
            | Self::Path
            | Self::Protocol
            | Self::Referer
            | Self::RequestId
            | Self::UserAgent => {
                if let Some(asked) = &record.asked {
                    self.write_asked(asked, setting.query, escape, line);
                }
            }
        }
    }

    fn write_forwarded(self, upstream: &Forwarded<'_>, escape: Escape, line: &mut Vec<u8>) {
        match (self, upstream.time) {
            (Self::Attempts, _) => push_digits(upstream.attempts as u64, 1, line),
            (Self::Pool, _) => escape.write(upstream.pool.as_bytes(), line),
            (Self::Upstream, _) => escape.write(upstream.address.as_bytes(), line),
            (Self::UpstreamTime, Some(time)) => write_seconds(time, line),
            _ => {}
        }
    }

    fn write_asked(
        self,
        asked: &AskedFor<'_>,
        query: QueryRule,
        escape: Escape,
        line: &mut Vec<u8>,
    ) {
        if self == Self::Method {
            escape.write(asked.method.as_bytes(), line);
        } else if self == Self::Path {
            escape.write(asked.path.as_bytes(), line);
            if let Some(written) = asked.query {
                query.write(written, escape, line);
            }
        } else if self == Self::Protocol {
            line.extend_from_slice(asked.protocol.as_bytes());
        } else if self == Self::Referer {
            query.write_referer(asked.referer, escape, line);
        } else if self == Self::RequestId {
            escape.write(asked.id.as_str().as_bytes(), line);
        } else if self == Self::UserAgent {
            escape.write(asked.user_agent, line);
        }
    }
}

/// An address; the standard library's formatting takes its time for the common kind.
fn write_address(address: IpAddr, line: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            push_digits(a.into(), 1, line);
            for part in [b, c, d] {
                line.push(b'.');
                push_digits(part.into(), 1, line);
            }
        }
        // Writing to memory does not fail.
        IpAddr::V6(v6) => write!(line, "{v6}").unwrap_or_default(),
    }
}

/// Seconds with milliseconds behind the point, as nginx writes times.
fn write_seconds(span: Duration, line: &mut Vec<u8>) {
    push_digits(span.as_secs(), 1, line);
    line.push(b'.');
    push_digits(span.subsec_millis().into(), 3, line);
}
