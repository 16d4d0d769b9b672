//! What the requests of a connection leave to those after them: much of what is worked out for one is the
//! same for the next.
//!
//! Nothing is decided by what stands here; each entry is used for exactly what it was made from.

use std::sync::Arc;
use std::sync::Weak;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Version;
use parking_lot::Mutex;

use crate::crypto::sameness::are_same;
use crate::decision::forwarded::Origin;
use crate::decision::forwarded_headers::ForwardedHeaders;
use crate::decision::group_filter::GroupFilter;
use crate::decision::identity_headers;
use crate::decision::identity_headers::IdentityHeaderError;
use crate::decision::identity_headers::IdentityHeaderNames;
use crate::gate::opened::OpenedCookie;
use crate::model::name::HostName;
use crate::model::session::Session;
use crate::proxy::arrival::Arrived;
use crate::proxy::context::Admitted;
use crate::proxy::hosts::RouteRuntime;
use crate::proxy::serving::Serving;

/// What a connection remembers of its last request.
#[derive(Default)]
pub struct ConnectionMemory {
    /// The authn cookie.
    pub cookie: OpenedCookie,
    head: Mutex<Option<HeadRead>>,
    origin: Mutex<Option<OriginTold>>,
    identity: Mutex<Option<IdentityTold>>,
}

/// Headers, ready to be sent.
pub type Headers = Arc<[(HeaderName, HeaderValue)]>;

/// The head of a request.
struct HeadRead {
    /// Its lines behind the request line.
    fields: Box<[u8]>,
    version: Version,
    /// What it was read with.
    serving: Weak<Serving>,
    arrived: Arc<Arrived>,
    told: Told,
}

/// What an upstream was told instead of a head.
enum Told {
    /// Not kept: the head has come once.
    Unknown,
    /// Not kept yet, although the head has come before.
    Due,
    /// This, but for the id and the trace of the request: those stand here as places to write into.
    Headers {
        route: Arc<RouteRuntime>,
        session: Option<Arc<Session>>,
        headers: HeaderMap,
    },
}

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
    only_groups: GroupFilter,
    headers: Headers,
}

impl ConnectionMemory {
    /// What was read of the last head, if these bytes are that head and nothing it was read with has changed.
    /// Compared in constant time, for a connection may carry requests of many users.
    pub(super) fn arrived(
        &self,
        fields: &[u8],
        version: Version,
        serving: &Arc<Serving>,
    ) -> Option<Arc<Arrived>> {
        let mut read = self.head.lock();
        let same = read.as_mut().filter(|read| {
            read.version == version
                && std::ptr::eq(read.serving.as_ptr(), Arc::as_ptr(serving))
                && are_same(&read.fields, fields)
        })?;
        if matches!(same.told, Told::Unknown) {
            same.told = Told::Due;
        }
        Some(Arc::clone(&same.arrived))
    }

    /// Remembers what was read of a head, unless it is a large one.
    pub(super) fn has_arrived(
        &self,
        fields: &[u8],
        version: Version,
        serving: &Arc<Serving>,
        arrived: &Arc<Arrived>,
    ) {
        let read = (fields.len() <= HEAD_BYTES_MAX).then(|| HeadRead {
            fields: fields.into(),
            version,
            serving: Arc::downgrade(serving),
            arrived: Arc::clone(arrived),
            told: Told::Unknown,
        });
        let before = std::mem::replace(&mut *self.head.lock(), read);
        drop(before);
    }

    /// What an upstream was told by this route instead of the same head of the same session.
    pub(super) fn told(&self, of: &Admitted) -> Option<HeaderMap> {
        let read = self.head.lock();
        let read = read.as_ref()?;
        let Told::Headers {
            route,
            session,
            headers,
        } = &read.told
        else {
            return None;
        };
        let is_same = Arc::ptr_eq(&read.arrived, &of.arrived)
            && Arc::ptr_eq(route, &of.route)
            && is_same_session(session.as_ref(), of.permit.session());
        is_same.then(|| headers.clone())
    }

    /// Remembers what an upstream is told, if the same head has come before.
    pub(super) fn is_told(&self, of: &Admitted, headers: &HeaderMap) {
        let mut read = self.head.lock();
        let read = read
            .as_mut()
            .filter(|read| Arc::ptr_eq(&read.arrived, &of.arrived));
        if let Some(read) = read
            && !matches!(read.told, Told::Unknown)
        {
            read.told = Told::Headers {
                route: Arc::clone(&of.route),
                session: of.permit.session().map(Arc::clone),
                headers: headers.clone(),
            };
        }
    }

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

    /// The headers that tell an upstream who is signed in, and in which of these groups, see
    /// [`identity_headers::values`]. A record of a session never changes: what has changed is another record.
    ///
    /// # Errors
    /// As there.
    pub fn identity(
        &self,
        session: &Arc<Session>,
        names: &Arc<IdentityHeaderNames>,
        only_groups: &GroupFilter,
    ) -> Result<Headers, IdentityHeaderError> {
        let mut told = self.identity.lock();
        let same = told.as_ref().filter(|told| {
            Arc::ptr_eq(&told.session, session)
                && Arc::ptr_eq(&told.names, names)
                && told.only_groups == *only_groups
        });
        if let Some(told) = same {
            return Ok(Arc::clone(&told.headers));
        }
        let identity = only_groups.told(&session.identity);
        let values = identity_headers::values(&identity, session.attributes, names);
        let values = values.map(|value| value.map(|(name, value)| (name.clone(), value)));
        let headers: Headers = values.collect::<Result<_, _>>()?;
        *told = Some(IdentityTold {
            session: Arc::clone(session),
            names: Arc::clone(names),
            only_groups: only_groups.clone(),
            headers: Arc::clone(&headers),
        });
        Ok(headers)
    }
}

fn is_same_session(one: Option<&Arc<Session>>, other: Option<&Arc<Session>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Heads beyond this are not remembered: an idle connection is to cost little memory.
const HEAD_BYTES_MAX: usize = 4096;

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
        let mut headers = HeaderMap::new();
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
