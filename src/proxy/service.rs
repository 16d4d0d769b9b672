//! The phases of a request, as pingora calls them: head, admission, upstream, answer.
//!
//! Each phase is a few calls into the rooms that know; what is decided is decided in `gate` and
//! `decision`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
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
use crate::proxy::activity;
use crate::proxy::answer;
use crate::proxy::answer::Voice;
use crate::proxy::context::BodyProgress;
use crate::proxy::context::CURRENT;
use crate::proxy::context::RequestContext;
use crate::proxy::entered;
use crate::proxy::forward;
use crate::proxy::homeward;
use crate::proxy::inbound;
use crate::proxy::live::Live;
use crate::proxy::outbound;
use crate::proxy::outbound::Outgoing;
use crate::proxy::refusal::Refusal;
use crate::proxy::refusal::reason;
use crate::proxy::refusal::refusal_for;
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
        if let (Some(current), Some(admitted)) = (&ctx.current, &ctx.admitted) {
            current.watch.is_connected(socket);
            if session.is_upgrade_req() || session.as_mut().is_body_done() {
                let first_byte = admitted.route.config.timeouts.first_byte;
                current.watch.await_first_byte(first_byte);
            } else {
                let timeouts = &admitted.route.config.timeouts;
                current.watch.await_body(ctx.serving.body_idle(timeouts));
            }
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
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
            memory: &current.connection.memory,
        };
        outbound::write_head(head, &outgoing, &ctx.serving).map_err(|error| {
            tracing::error!(
                request_id = %ctx.id,
                error = &error as &dyn std::error::Error,
                "a request could not be written"
            );
            Error::explain(ErrorType::HTTPStatus(500), "the head could not be written")
        })
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
        forward::body_moves(session, ctx, piece, end_of_stream)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        retry::give_up(session, ctx, head.status)?;
        access::is_answered(ctx, head.status.as_u16());
        let (Some(current), Some(admitted)) = (&ctx.current, &ctx.admitted) else {
            return Ok(());
        };
        if homeward::is_interim(head.status) {
            return Ok(());
        }
        let is_tunnel = head.status == http::StatusCode::SWITCHING_PROTOCOLS;
        if !homeward::is_framed_plainly(head) || (is_tunnel && !session.is_upgrade_req()) {
            let why = "the answer can be read in more than one way";
            return Error::e_explain(ErrorType::HTTPStatus(502), why);
        }
        if is_tunnel {
            current.watch.lift_total();
        }
        current
            .watch
            .await_next_byte(admitted.route.config.timeouts.read_idle);
        if let Some(at) = &admitted.in_flight {
            at.member().succeeded(ctx.serving.clock.now());
        }
        if is_tunnel {
            entered::note(session.req_header(), ctx);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        _: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let Some(admitted) = &ctx.admitted else {
            return Ok(());
        };
        homeward::ready(head, admitted, ctx.id, &ctx.serving)
            .map_err(|_| Error::explain(ErrorType::HTTPStatus(502), "the answer has an odd head"))
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        _: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<Option<Duration>> {
        if let (Some(current), Some(admitted)) = (&ctx.current, &ctx.admitted) {
            if end_of_stream {
                current.watch.upstream_is_done();
            } else {
                let read_idle = admitted.route.config.timeouts.read_idle;
                let age = current.watch.await_next_byte(read_idle);
                activity::answer_moved(session, ctx, age);
            }
        }
        Ok(None)
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<Option<Duration>> {
        let bytes = body.as_ref().map_or(0, Bytes::len);
        Ok(shaping::answer_waits(ctx, bytes, end_of_stream))
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        ctx: &mut Self::CTX,
        mut error: Box<Error>,
    ) -> Box<Error> {
        forward::could_not_connect(ctx, &mut error);
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
            let error = reason(error);
            tracing::info!(request_id = %ctx.id, status, error = error.as_str(), "request failed");
            // A client that is gone needs no answer.
            let changes = ctx.serving.own_changes(session.req_header(), ctx);
            let voice = Voice {
                changes: &changes,
                ..ctx.serving.voice(ctx.id)
            };
            answer::refuse(session, refusal, voice).await.ok();
        }
        FailToProxy {
            error_code: status,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Self::CTX) {
        if let Some(current) = &ctx.current {
            current.watch.upstream_is_done();
        }
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
