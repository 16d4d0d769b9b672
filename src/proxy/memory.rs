//! What the requests of a connection leave to those after them: much of what is worked out for one is the
//! same for the next.
//!
//! Nothing is decided by what stands here; each entry is used for exactly what it was made from.

use std::sync::Arc;

use http::HeaderName;
use http::HeaderValue;
use parking_lot::Mutex;

use crate::decision::forwarded::Origin;
use crate::decision::forwarded_headers::ForwardedHeaders;
use crate::decision::identity_headers;
use crate::decision::identity_headers::IdentityHeaderError;
use crate::decision::identity_headers::IdentityHeaderNames;
use crate::gate::opened::OpenedCookie;
use crate::model::name::HostName;
use crate::model::session::Session;

/// What a connection remembers of its last request.
#[derive(Default)]
pub struct ConnectionMemory {
    /// The authn cookie.
    pub cookie: OpenedCookie,
    origin: Mutex<Option<OriginTold>>,
    identity: Mutex<Option<IdentityTold>>,
}

/// Headers, ready to be sent.
pub type Headers = Arc<[(HeaderName, HeaderValue)]>;

/// What an upstream was told of where a request comes from.
struct OriginTold {
    origin: Origin,
    host: HostName,
    which: ForwardedHeaders,
    headers: Headers,
}

/// What an upstream was told of who is signed in.
struct IdentityTold {
    session: Arc<Session>,
    names: Arc<IdentityHeaderNames>,
    headers: Headers,
}

impl ConnectionMemory {
    /// Those of the headers that tell an upstream where a request comes from, see [`Origin::headers`].
    pub fn origin(&self, origin: &Origin, host: &HostName, which: ForwardedHeaders) -> Headers {
        let mut told = self.origin.lock();
        let same = told
            .as_ref()
            .filter(|told| told.which == which && told.origin == *origin && told.host == *host);
        if let Some(told) = same {
            return Arc::clone(&told.headers);
        }
        let headers = origin.headers(host);
        let headers: Headers = headers.filter(|(name, _)| which.includes(name)).collect();
        *told = Some(OriginTold {
            origin: origin.clone(),
            host: host.clone(),
            which,
            headers: Arc::clone(&headers),
        });
        headers
    }

    /// The headers that tell an upstream who is signed in, see [`identity_headers::values`]. A record of a
    /// session never changes: what has changed is another record.
    ///
    /// # Errors
    /// As there.
    pub fn identity(
        &self,
        session: &Arc<Session>,
        names: &Arc<IdentityHeaderNames>,
    ) -> Result<Headers, IdentityHeaderError> {
        let mut told = self.identity.lock();
        let same = told
            .as_ref()
            .filter(|told| Arc::ptr_eq(&told.session, session) && Arc::ptr_eq(&told.names, names));
        if let Some(told) = same {
            return Ok(Arc::clone(&told.headers));
        }
        let values = identity_headers::values(&session.identity, session.attributes, names);
        let values = values.map(|value| value.map(|(name, value)| (name.clone(), value)));
        let headers: Headers = values.collect::<Result<_, _>>()?;
        *told = Some(IdentityTold {
            session: Arc::clone(session),
            names: Arc::clone(names),
            headers: Arc::clone(&headers),
        });
        Ok(headers)
    }
}

impl std::fmt::Debug for ConnectionMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionMemory").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;
    use crate::decision::forwarded::Arrival;
    use crate::decision::forwarded::Scheme;

    fn host(name: &str) -> HostName {
        HostName::parse(name).unwrap()
    }

    /// The origin of a request for a host, by way of a trusted proxy that names a client.
    fn origin(host: &HostName, client: &str) -> Origin {
        let arrival = Arrival {
            peer: "192.0.2.1".parse().unwrap(),
            scheme: Scheme::Https,
            host,
            port: 443,
        };
        let trusted: [IpNet; 1] = ["192.0.2.0/24".parse().unwrap()];
        let mut headers = http::HeaderMap::new();
        headers.insert("x-forwarded-for", client.parse().unwrap());
        Origin::of(&arrival, &trusted, &headers)
    }

    /// Requests of many clients and for many hosts may come by one connection.
    #[test]
    fn each_request_is_told_of_as_it_is_whatever_came_before_it_w_10() {
        let memory = ConnectionMemory::default();
        let hosts = [host("a.test"), host("b.test")];
        let asked = [0, 0, 1, 1, 0].iter().zip([1, 2, 2, 2, 1]);
        for (at, client) in asked {
            let origin = origin(&hosts[*at], &format!("198.51.100.{client}"));
            let expected: Headers = origin.headers(&hosts[*at]).collect();
            assert_eq!(
                memory.origin(&origin, &hosts[*at], ForwardedHeaders::ALL),
                expected
            );
        }
    }
}
