//! What tells routes with the same pattern apart beside methods: how a request came, its headers, its query.
//!
//! All of it is the client's choice. So a request of which it cannot be told goes to none of the routes.

use http::HeaderMap;
use http::HeaderName;
use http::Method;

use crate::decision::authorization::passes;
use crate::decision::facts::RequestFacts;
use crate::decision::facts::header_of;
use crate::decision::facts::parameter_of;
use crate::decision::forwarded::Scheme;
use crate::decision::text_test::TextTest;
use crate::decision::three_valued::Combine;
use crate::decision::three_valued::combine;

/// Which requests for the paths of a route are its: those that pass every test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// How they come; either way where nothing is said.
    pub scheme: Option<Scheme>,
    /// What their headers have to be like.
    pub headers: Vec<(HeaderName, TextTest)>,
    /// What parameters of their queries, decoded, have to be like.
    pub query: Vec<(Box<str>, TextTest)>,
}

/// A request, as far as it chooses among routes with the same pattern.
#[derive(Clone, Copy, Debug)]
pub struct Traits<'a> {
    /// What it wants to do.
    pub method: &'a Method,
    /// How it came to the gateway, or to the trusted proxy in front of it.
    pub scheme: Scheme,
    /// Its query, as it was written.
    pub query: Option<&'a str>,
    /// Its headers, as the client sent them.
    pub headers: &'a HeaderMap,
}

impl<'a> Traits<'a> {
    /// Those of a request that policies read.
    #[must_use]
    pub const fn of(request: &RequestFacts<'a>) -> Self {
        Self {
            method: request.method,
            scheme: request.scheme,
            query: request.query,
            headers: request.headers,
        }
    }
}

impl Narrowing {
    /// Whether a request is one of these; `None` when that cannot be told and no other test settles it.
    #[must_use]
    pub fn holds(&self, request: &Traits<'_>) -> Option<bool> {
        let scheme = self.scheme.is_none_or(|scheme| scheme == request.scheme);
        let headers = self.headers.iter();
        let headers = headers.map(|(name, test)| passes(&header_of(request.headers, name), test));
        let query = self.query.iter();
        let query = query.map(|(name, test)| passes(&parameter_of(request.query, name), test));
        let all = std::iter::once(Some(scheme)).chain(headers).chain(query);
        combine(all, Combine::All)
    }
}
