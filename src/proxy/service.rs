//! The phases of a request, as pingora calls them: head, admission, upstream, answer.
//!
//! Each phase is a few calls into the rooms that know; what is decided is decided in `gate` and
//! `decision`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use http::header;
use pingora::Error;
use pingora::ErrorType;
use pingora::http::RequestHeader;
use pingora::http::ResponseHeader;
use pingora::modules::http::HttpModules;
use pingora::prelude::HttpPeer;
use pingora::protocols::Digest;
use pingora::proxy::FailToProxy;
use pingora::proxy::ProxyHttp;
use pingora::proxy::ProxyWarnLogContext;
use pingora::proxy::Session;

use crate::model::id::RequestId;
use crate::ports::entropy::id_bytes;
use crate::ports::vitals::Vitals;
use crate::proxy::access;
use crate::proxy::access::Noted;
use crate::proxy::access::OpenLine;
use crate::proxy::compression;
use crate::proxy::context::BodyProgress;
use crate::proxy::context::CURRENT;
use crate::proxy::context::Link;
use crate::proxy::context::RequestContext;
use crate::proxy::error_pages;
use crate::proxy::exchange;
use crate::proxy::forward;
use crate::proxy::homeward;
use crate::proxy::inbound;
use crate::proxy::live::Live;
use crate::proxy::outbound;
use crate::proxy::outbound::Outgoing;
use crate::proxy::refusal::Refusal;
use crate::proxy::refusal::refusal_for;
use crate::proxy::refusal::tell_failure;
use crate::proxy::retry;
use crate::proxy::shaping;
use crate::proxy::step::Step;

/// The gateway as pingora sees it.
pub struct Portway {
    live: Arc<Live>,
    vitals: Arc<dyn Vitals>,
}

impl Portway {
    /// Serves what is live when a request comes, and tells balancers how the node is.
    #[must_use]
    pub const fn new(live: Arc<Live>, vitals: Arc<dyn Vitals>) -> Self {
        Self { live, vitals }
    }
}

impl std::fmt::Debug for Portway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Portway")
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ProxyHttp for Portway {
    // pingora moves it about with the futures of a request.
    type CTX = Box<RequestContext>;

    fn new_ctx(&self) -> Self::CTX {
        // pingora calls this once the header of a request is there, not when it begins to wait for one.
        let serving = self.live.take();
        Box::new(RequestContext {
            current: CURRENT.try_with(Clone::clone).ok(),
            id: RequestId::from_bytes(id_bytes(serving.entropy.as_ref())),
            serving,
            admitted: None,
            body: BodyProgress::default(),
            compressor: None,
            replacement: None,
            noted: Noted::default(),
            line: None,
            is_over: false,
        })
    }

    fn init_downstream_modules(&self, modules: &mut HttpModules) {
        if let Some(whereabouts) = self.live.take().whereabouts.clone() {
            modules.add_module(Box::new(whereabouts));
        }
    }

    async fn early_request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        if let Some(current) = &ctx.current {
            current.watch.header_is_read();
            current.connection.line.is_read();
            let headers = &session.req_header().headers;
            let peer = current.connection.peer.ip();
            let given = inbound::request_id(headers, peer, &ctx.serving.trusted_proxies);
            ctx.id = given.unwrap_or(ctx.id);
        }
        ctx.line = OpenLine::begin(&ctx.serving, session.req_header());
        let limits = &ctx.serving.limits;
        // pingora closes after `Connection: close` and HTTP/1.0; beyond that it waits without end, which is what
        // it takes 0 for, and the edge loop keeps the time. Its reader of chunks takes sizes and extensions that
        // others read differently, so after a chunked body it is in doubt where the next request would begin.
        let is_chunked = session
            .req_header()
            .headers
            .contains_key(header::TRANSFER_ENCODING);
        let kept = session.get_keepalive().filter(|_| !is_chunked);
        session.set_keepalive(kept.map(|_| 0));
        session.set_read_timeout(Some(limits.body_idle_timeout));
        session.set_write_timeout(Some(limits.send_timeout));
        session.set_total_drain_timeout(Some(limits.body_idle_timeout));
        Ok(())
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<bool> {
        let (step, noted) = ctx.serving.step(session, ctx).await;
        ctx.noted = noted;
        let step = step.unwrap_or_else(Step::Refuse);
        step.carry_out(session, ctx, self.vitals.as_ref()).await
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<Box<HttpPeer>> {
        access::is_forwarded(ctx);
        let peer = forward::choose_peer(session, ctx);
        peer.ok_or_else(|| {
            Error::explain(
                ErrorType::HTTPStatus(503),
                "no upstream of the pool is left",
            )
        })
    }

    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        _: bool,
        _: &HttpPeer,
        socket: std::os::fd::RawFd,
        _: Option<&Digest>,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        exchange::begins(session, socket, ctx);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let (Some(admitted), Some(current)) = (&ctx.admitted, &ctx.current) else {
            return Error::e_explain(ErrorType::HTTPStatus(500), "a request without a permit");
        };
        let member = admitted
            .in_flight
            .as_ref()
            .map_or("", |at| at.member().authority.as_str());
        let outgoing = Outgoing {
            admitted,
            member,
            id: ctx.id,
            version: session.req_header().version,
            memory: &current.connection.memory,
        };
        outbound::write_head(head, &outgoing, &ctx.serving).map_err(|error| {
            tracing::error!(
                request_id = %ctx.id,
                error = &error as &dyn std::error::Error,
                "a request could not be written"
            );
            Error::explain(ErrorType::HTTPStatus(500), "the head could not be written")
        })?;
        if admitted.link == Link::Own {
            return Ok(());
        }
        exchange::ready_for_http2(session, head, ctx).await
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let piece = body.as_ref().map_or(&[][..], |piece| piece.as_ref());
        if let Some(wait) = shaping::request_waits(session, ctx, piece.len()) {
            // Apart, so that bodies which never wait carry no timer about.
            Box::pin(tokio::time::sleep(wait)).await;
        }
        if exchange::is_shared(ctx) || session.was_upgraded() {
            // pingora writes a piece to its end before it reads on, and both ends would wait for each other at last.
            tokio::task::yield_now().await;
        }
        forward::body_moves(session, ctx, piece, end_of_stream)?;
        // pingora takes an empty last piece for a last chunk, and writes another one behind it.
        body.take_if(|piece| end_of_stream && piece.is_empty());
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        exchange::head_comes(session, head, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        homeward::suit_version(head, session.req_header().version);
        let Some(admitted) = &ctx.admitted else {
            return Ok(());
        };
        homeward::ready(head, admitted, ctx.id, &ctx.serving)
            .and_then(|()| compression::begin(session, head, ctx))
            .map_err(|_| Error::explain(ErrorType::HTTPStatus(502), "the answer has an odd head"))
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        _: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<Option<Duration>> {
        if end_of_stream {
            exchange::is_answered(ctx);
        } else {
            exchange::body_comes(session, ctx);
        }
        Ok(None)
    }

    fn upstream_response_trailer_filter(
        &self,
        _: &mut Session,
        trailers: &mut HeaderMap,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        exchange::trailers_come(trailers, ctx);
        Ok(())
    }

    async fn response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut HeaderMap,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<Option<Bytes>> {
        compression::end_at_trailers(ctx)
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<Option<Duration>> {
        compression::encode(ctx, body, end_of_stream)?;
        let bytes = body.as_ref().map_or(0, Bytes::len);
        Ok(shaping::answer_waits(session, ctx, bytes, end_of_stream))
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _: &HttpPeer,
        ctx: &mut Self::CTX,
        mut error: Box<Error>,
    ) -> Box<Error> {
        forward::could_not_connect(session, ctx, &mut error);
        error
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Self::CTX,
        reused: bool,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("Peer: {peer}"));
        forward::was_broken_off(session, ctx, &mut error, reused);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Self::CTX,
    ) -> FailToProxy {
        // pingora keeps no connection whose request has failed, and a client is to know.
        session.set_keepalive(None);
        if let Some(replacement) = ctx.replacement.take() {
            return error_pages::replace(session, *replacement, ctx).await;
        }
        let late = ctx
            .current
            .as_ref()
            .is_some_and(|current| current.watch.is_late());
        let refusal = if late {
            Some(Refusal::UpstreamLate)
        } else {
            refusal_for(error)
        };
        let status = refusal.map_or(0, |refusal| refusal.status().as_u16());
        if let Some(refusal) = refusal.filter(|_| !retry::is_answered(session)) {
            tell_failure(status, error, ctx);
            // A client that is gone needs no answer.
            error_pages::refuse(session, refusal, ctx).await.ok();
        }
        FailToProxy {
            error_code: status,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, fault: Option<&Error>, ctx: &mut Self::CTX) {
        if let Some(current) = &ctx.current {
            current.watch.upstream_is_done();
        }
        exchange::is_over(session, fault, ctx);
        let status = session.response_written().map(|head| head.status.as_u16());
        let took = ctx.current.as_ref();
        let took = took.and_then(|current| current.watch.since_head());
        let of = ctx.route().map(|route| route.counts.as_ref());
        ctx.serving
            .counts
            .note(of, status, took.unwrap_or_default());
        access::is_done(session, ctx);
        ctx.is_over = true;
        if tracing::enabled!(tracing::Level::DEBUG) {
            let status = status.unwrap_or_default();
            let method = &session.req_header().method;
            let route = ctx
                .admitted
                .as_ref()
                .map_or("", |admitted| &admitted.route.config.name);
            tracing::debug!(request_id = %ctx.id, %method, route, status, "request done");
        }
    }

    // pingora's own lines carry path and query, which may hold tokens; ours above do not.
    fn suppress_error_log(&self, _: &Session, _: &Self::CTX, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Self::CTX,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    fn request_summary(&self, session: &Session, ctx: &Self::CTX) -> String {
        format!("{} request {}", session.req_header().method, ctx.id)
    }
}
