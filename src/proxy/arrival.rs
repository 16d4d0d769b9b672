//! Where a request goes and where it comes from, as its head says it.
//!
//! Programs and pages that poll send the same head again and again. Where a connection brings the very bytes
//! of its last one, what was read of them holds.

use std::sync::Arc;

use http::Version;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::decision::forwarded::Arrival;
use crate::decision::forwarded::Origin;
use crate::decision::forwarded::Scheme;
use crate::model::name::HostName;
use crate::proxy::context::ConnectionFacts;
use crate::proxy::context::Transport;
use crate::proxy::framing::Framing;
use crate::proxy::framing::PerHop;
use crate::proxy::framing::RawHead;
use crate::proxy::inbound;
use crate::proxy::inbound::InboundError;
use crate::proxy::refusal::Refusal;
use crate::proxy::refusal::refusal_of;
use crate::proxy::serving::Serving;

/// What a head says of where a request goes and where it comes from.
#[derive(Debug)]
pub struct Arrived {
    /// The virtual host it asks for, canonical.
    pub host: HostName,
    /// The port in its `Host` header, if there was one.
    pub port: Option<u16>,
    /// Where it comes from, behind trusted proxies.
    pub origin: Origin,
    /// Whether it has fields that go no further.
    pub(super) per_hop: PerHop,
}

impl Serving {
    /// Reads the head of a request, strictly.
    ///
    /// # Errors
    /// When it can be read in more than one way, or names no host; the connection is closed after each.
    pub(super) fn arrive(
        self: &Arc<Self>,
        session: &Session,
        connection: &ConnectionFacts,
    ) -> Result<Arc<Arrived>, Refusal> {
        if connection.line.is_odd() {
            return Err(Refusal::BadRequest);
        }
        let head = session.req_header();
        let arrived = match session.as_ref().as_http1() {
            Some(h1) => self.arrive_by_h1(head, &h1.get_headers_raw_bytes(), connection),
            None => self.arrive_by_h2(head, connection),
        };
        arrived.map_err(refusal_of)
    }

    fn arrive_by_h1(
        self: &Arc<Self>,
        head: &RequestHeader,
        raw: &[u8],
        connection: &ConnectionFacts,
    ) -> Result<Arc<Arrived>, InboundError> {
        if raw.len() > self.limits.header_bytes_max {
            return Err(InboundError::HeaderTooLarge);
        }
        inbound::check_method(&head.method, &self.methods)?;
        let raw = RawHead::of(raw)?;
        let memory = &connection.memory;
        let fields = Some(raw.fields).filter(|_| raw.is_in_origin_form());
        let same = fields.and_then(|fields| memory.arrived(fields, head.version, self));
        if let Some(same) = same {
            return Ok(same);
        }
        let framing = raw.framing()?;
        if head.version < Version::HTTP_11 && framing.codings > 0 {
            return Err(InboundError::Malformed("HTTP/1.0 has no transfer codings"));
        }
        let arrived = Arc::new(self.read(head, &framing, connection)?);
        if let Some(fields) = fields {
            memory.has_arrived(fields, head.version, self, &arrived);
        }
        Ok(arrived)
    }

    fn arrive_by_h2(
        &self,
        head: &RequestHeader,
        connection: &ConnectionFacts,
    ) -> Result<Arc<Arrived>, InboundError> {
        if inbound::header_bytes(&head.headers) > self.limits.header_bytes_max {
            return Err(InboundError::HeaderTooLarge);
        }
        inbound::check_method(&head.method, &self.methods)?;
        let framing = Framing::of(&head.headers)?;
        self.read(head, &framing, connection).map(Arc::new)
    }

    fn read(
        &self,
        head: &RequestHeader,
        framing: &Framing,
        connection: &ConnectionFacts,
    ) -> Result<Arrived, InboundError> {
        let (host, port) = inbound::authority(head)?;
        let arrival = Arrival {
            peer: connection.peer.ip(),
            scheme: match connection.transport {
                Transport::Plain => Scheme::Http,
                Transport::Tls => Scheme::Https,
            },
            host: &host,
            port: port.unwrap_or_else(|| connection.local.port()),
        };
        let origin = Origin::of(&arrival, &self.trusted_proxies, &head.headers);
        Ok(Arrived {
            host,
            port,
            origin,
            per_hop: framing.per_hop,
        })
    }
}
