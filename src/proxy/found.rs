//! A request whose route is known: as policies read it, as it is told where it is denied, and as it goes on.
//!
//! What becomes of it is decided in `journey`.

use std::sync::Arc;

use pingora::http::RequestHeader;

use crate::decision::admission::Permit;
use crate::decision::facts::RequestFacts;
use crate::decision::facts::TlsFacts;
use crate::decision::response::Given;
use crate::gate::Caller;
use crate::model::claim::Claim;
use crate::model::id::RequestId;
use crate::proxy::allowances::Share;
use crate::proxy::arrival::Arrived;
use crate::proxy::context::Admitted;
use crate::proxy::context::Link;
use crate::proxy::context::RequestContext;
use crate::proxy::denied::Denied;
use crate::proxy::hosts::RouteRuntime;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;
use crate::proxy::streams::Registration;

/// A request whose route is known.
pub(super) struct Found<'r> {
    pub(super) arrived: Arc<Arrived>,
    pub(super) route: Arc<RouteRuntime>,
    /// The canonical path.
    pub(super) path: &'r str,
    /// The target as it will be forwarded, if it differs from what was written.
    pub(super) canonical: Option<String>,
    /// The TLS of the connection with the client's certificate, where that is asked for.
    pub(super) client: Option<Arc<TlsFacts>>,
}

impl Found<'_> {
    /// The request as policies read it.
    pub(super) fn facts<'a>(
        &'a self,
        head: &'a RequestHeader,
        ctx: &'a RequestContext,
    ) -> RequestFacts<'a> {
        let connection = ctx.current.as_ref().map(|current| &current.connection);
        // That of a proxy in front says nothing about the client's.
        let connection = connection.filter(|_| self.arrived.origin.is_direct());
        RequestFacts {
            id: ctx.id,
            method: &head.method,
            scheme: self.arrived.origin.scheme,
            host: self.arrived.host.as_str(),
            path: self.path,
            query: head.uri.query(),
            headers: &head.headers,
            address: self.arrived.origin.client,
            tls: connection.and_then(|connection| match &self.client {
                Some(client) => Some(client.as_ref()),
                None => connection.tls.as_ref(),
            }),
        }
    }

    /// It as the gate reads it, with the cookies that may be read.
    pub(super) fn caller<'a>(
        &'a self,
        head: &'a RequestHeader,
        cookies: &'a [&'a [u8]],
        ctx: &'a RequestContext,
    ) -> Caller<'a> {
        let current = ctx.current.as_ref();
        Caller {
            cookies,
            host: &self.arrived.host,
            address: self.arrived.origin.client,
            headers: &head.headers,
            limits: self.route.limits,
            opened: current.map(|current| &current.connection.memory.cookie),
        }
    }

    /// It as it is told where it is denied.
    pub(super) fn denied<'a>(
        &'a self,
        head: &'a RequestHeader,
        id: RequestId,
        claim: Option<&'a Claim>,
    ) -> Denied<'a> {
        Denied {
            method: &head.method,
            path: head.uri.path(),
            host: &self.arrived.host,
            client: self.arrived.origin.client,
            route: &self.route.config.name,
            policy: &self.route.config.policy_name,
            claim,
            id,
        }
    }

    /// The target that the upstream is asked for, where it differs from what was written.
    pub(super) fn rewritten(
        &self,
        request: &RequestFacts<'_>,
        serving: &Serving,
    ) -> Result<Option<String>, Refusal> {
        let config = &self.route.config;
        let Some(rewrite) = &config.rewrite else {
            return Ok(self.canonical.clone());
        };
        let path = rewrite
            .path(self.path, config.tolerance)
            .map_err(|refusal| {
                let client = self.arrived.origin.client;
                let why = format!("rewritten, {refusal}");
                if let Some(kept_back) = serving.may_tell(client, &why) {
                    tracing::info!(
                        request_id = %request.id, %client, route = %config.name, kept_back,
                        reason = %refusal, "rewritten path refused"
                    );
                }
                Refusal::BadRequest
            })?;
        let Some(path) = path else {
            return Ok(self.canonical.clone());
        };
        Ok(Some(match request.query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        }))
    }

    /// It as it goes on to an upstream.
    pub(super) fn admitted(self, permit: Permit, registration: Option<Registration>) -> Admitted {
        Admitted {
            permit,
            route: self.route,
            arrived: self.arrived,
            target: self.canonical,
            tried: Vec::new(),
            in_flight: None,
            link: Link::Own,
            turned_away: 0,
            registration,
            gito: None,
            identity: None,
            given: Given::default(),
            share: Share::default(),
            headers: None,
        }
    }
}
