//! Serves the paths that Portway keeps for itself: sign-in, callback, sign-out, style.
//!
//! Reads queries and forms into values, hands them to gate or collector, and answers. No application
//! sees a request that comes by here.

use std::time::Duration;

use http::Method;
use http::header;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::decision::endpoints;
use crate::decision::reply::Reply;
use crate::engine::collector::Collector;
use crate::engine::collector::Provenance;
use crate::engine::collector::Visitor;
use crate::gate::Caller;
use crate::model::claim::HostLimits;
use crate::model::name::HostName;
use crate::proxy::answer;
use crate::proxy::answer::Voice;
use crate::proxy::arrival::Arrived;
use crate::proxy::context::RequestContext;
use crate::proxy::context::cookie_headers;
use crate::proxy::inbound::asker;
use crate::proxy::portal::elsewhere::elsewhere;
use crate::proxy::portal::form::new_password;
use crate::proxy::portal::form::posted;
use crate::proxy::portal::form::submission;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;
use crate::proxy::step::Place;

mod elsewhere;
pub(super) mod form;

/// A request to one of Portway's own paths.
#[derive(Clone, Copy, Debug)]
struct OwnRequest<'a> {
    /// The host it came to.
    host: &'a HostName,
    /// The origin of that host, as a browser spells it.
    origin: &'a str,
    /// Where it came from.
    client: std::net::IpAddr,
    /// What that host asks of sessions beyond what holds everywhere.
    limits: HostLimits,
    /// What it is answered with.
    voice: Voice<'a>,
    /// For the whole of a posted form.
    form_timeout: Duration,
}

impl Serving {
    /// Answers a request to one of Portway's own paths.
    pub(super) async fn serve_own(
        &self,
        session: &mut Session,
        ctx: &RequestContext,
        place: Place,
        arrived: &Arrived,
    ) -> pingora::Result<()> {
        let origins = &self.gate.origins;
        let public = match place {
            Place::Application => origins.of(&arrived.host),
            Place::Collector => origins.collector(),
        };
        let public = public.unwrap_or_default();
        let host = self.hosts.find(arrived.host.as_str());
        let changes = self.own_changes(session.req_header(), ctx);
        let own = OwnRequest {
            host: &arrived.host,
            limits: host.map_or(HostLimits::NONE, |host| host.limits),
            origin: &public,
            client: arrived.origin.client,
            voice: Voice {
                changes: &changes,
                ..self.voice(ctx.id)
            },
            form_timeout: self.limits.body_idle_timeout,
        };
        match (place, &self.collector) {
            (Place::Application, _) => application(session, self, &own).await,
            (Place::Collector, Some(its)) => {
                collector(session, its, &own, self.title.as_deref()).await
            }
            (Place::Collector, None) => answer::refuse(session, Refusal::NotFound, own.voice).await,
        }
    }
}

/// Answers a request to the collector's host.
///
/// # Errors
/// When the client is gone.
async fn collector(
    session: &mut Session,
    collector: &Collector,
    own: &OwnRequest<'_>,
    title: Option<&str>,
) -> pingora::Result<()> {
    let (path, method) = path_and_method(session);
    let reply = match (path.as_str(), &method) {
        (endpoints::STYLE, _) => return answer::style(session, own.voice).await,
        (asset, _) if asset.starts_with(endpoints::STATIC) => {
            return file(session, asset, own).await;
        }
        ("/" | endpoints::SIGN_IN, &Method::GET | &Method::HEAD) => {
            let request = parameter(session, endpoints::REQUEST);
            let cookies = cookie_headers(&session.req_header().headers);
            collector
                .show(&visitor(session, &cookies, own), request.as_deref())
                .await
        }
        (endpoints::SIGN_IN, &Method::POST) => {
            let Some(form) = posted(session, own).await? else {
                return Ok(());
            };
            let cookies = cookie_headers(&session.req_header().headers);
            collector
                .submit(&visitor(session, &cookies, own), submission(&form))
                .await
        }
        (endpoints::PASSWORD, &Method::GET | &Method::HEAD) => {
            let request = parameter(session, endpoints::REQUEST);
            let cookies = cookie_headers(&session.req_header().headers);
            collector
                .show_password(&visitor(session, &cookies, own), request.as_deref())
                .await
        }
        (endpoints::PASSWORD, &Method::POST) => {
            let Some(form) = posted(session, own).await? else {
                return Ok(());
            };
            let cookies = cookie_headers(&session.req_header().headers);
            collector
                .submit_password(&visitor(session, &cookies, own), new_password(&form))
                .await
        }
        (endpoints::LOGOUT, &Method::GET | &Method::POST) => {
            let state = parameter(session, endpoints::SIGN_OUT);
            let return_to = parameter(session, endpoints::RETURN);
            let cookies = cookie_headers(&session.req_header().headers);
            let visitor = visitor(session, &cookies, own);
            collector
                .sign_out(&visitor, state.as_deref(), return_to.as_deref())
                .await
        }
        (endpoints::SIGNED_OUT, &Method::GET | &Method::HEAD) => {
            match parameter(session, endpoints::STATE) {
                Some(state) => collector.departed(&state).await,
                None => collector.signed_out(parameter(session, endpoints::SIGN_OUT).as_deref()),
            }
        }
        (path, _) if path.starts_with(endpoints::PROVIDERS) => {
            match elsewhere(session, collector, own, path).await? {
                Some(reply) => reply,
                None => return Ok(()),
            }
        }
        (path, _) => return by_another_method(session, own, path).await,
    };
    answer::reply(session, reply, title, own.voice).await
}

/// Answers a request to the collector by a method that its path does not know, or whose path is none.
///
/// # Errors
/// When the client is gone.
async fn by_another_method(
    session: &mut Session,
    own: &OwnRequest<'_>,
    path: &str,
) -> pingora::Result<()> {
    let methods: &[Method] = match path {
        endpoints::PASSWORD | endpoints::SIGN_IN => &[Method::GET, Method::HEAD, Method::POST],
        endpoints::LOGOUT => &[Method::GET, Method::POST],
        endpoints::SIGNED_OUT => &[Method::GET, Method::HEAD],
        _ => return answer::refuse(session, Refusal::NotFound, own.voice).await,
    };
    answer::disallow(session, methods, own.voice).await
}

/// Answers a request to one of Portway's paths on an application host.
///
/// # Errors
/// When the client is gone.
async fn application(
    session: &mut Session,
    serving: &Serving,
    own: &OwnRequest<'_>,
) -> pingora::Result<()> {
    let (path, method) = path_and_method(session);
    let gate = &serving.gate;
    let reply = match (path.as_str(), &method) {
        (endpoints::STYLE, _) => return answer::style(session, own.voice).await,
        (asset, _) if asset.starts_with(endpoints::STATIC) => {
            return file(session, asset, own).await;
        }
        (endpoints::CALLBACK, &Method::GET) => {
            let token = parameter(session, endpoints::TOKEN);
            let cookies = cookie_headers(&session.req_header().headers);
            let asker = asker(&method, &session.req_header().headers);
            gate.callback(&caller(session, &cookies, own), token.as_deref(), asker)
                .await
        }
        (endpoints::CLEAR, &Method::GET) => {
            let state = parameter(session, endpoints::SIGN_OUT);
            let cookies = cookie_headers(&session.req_header().headers);
            let reply = gate.clear(&caller(session, &cookies, own), state.as_deref());
            forgetting_policies(reply, serving, own)
        }
        (endpoints::SIGN_IN, &Method::GET | &Method::HEAD) => {
            let return_to = parameter(session, endpoints::RETURN);
            let level = parameter(session, endpoints::LEVEL);
            let cookies = cookie_headers(&session.req_header().headers);
            let asker = asker(&method, &session.req_header().headers);
            let wanted = (return_to.as_deref(), level.as_deref());
            gate.sign_in_for_a_page(&caller(session, &cookies, own), wanted, asker)
                .await
        }
        (endpoints::REPLAY, &Method::GET) => {
            let sealed = parameter(session, endpoints::POST);
            let cookies = cookie_headers(&session.req_header().headers);
            gate.replay(&caller(session, &cookies, own), sealed.as_deref())
        }
        (endpoints::LOGOUT, &Method::GET | &Method::POST) => {
            match provenance(session.req_header(), own.origin) {
                Provenance::Elsewhere => confirm_sign_out(),
                Provenance::Own => {
                    let return_to = parameter(session, endpoints::RETURN);
                    let cookies = cookie_headers(&session.req_header().headers);
                    let caller = caller(session, &cookies, own);
                    let reply = gate.sign_out(&caller, return_to.as_deref()).await;
                    forgetting_policies(reply, serving, own)
                }
            }
        }
        (endpoints::SIGN_IN, _) => {
            return answer::disallow(session, &[Method::GET, Method::HEAD], own.voice).await;
        }
        (endpoints::CALLBACK | endpoints::CLEAR | endpoints::REPLAY, _) => {
            return answer::disallow(session, &[Method::GET], own.voice).await;
        }
        (endpoints::LOGOUT, _) => {
            return answer::disallow(session, &[Method::GET, Method::POST], own.voice).await;
        }
        _ => return answer::refuse(session, Refusal::NotFound, own.voice).await,
    };
    answer::reply(session, reply, None, own.voice).await
}

async fn file(session: &mut Session, path: &str, own: &OwnRequest<'_>) -> pingora::Result<()> {
    let name = path.strip_prefix(endpoints::STATIC).unwrap_or_default();
    answer::file(session, name, own.voice).await
}

fn caller<'a>(session: &'a Session, cookies: &'a [&'a [u8]], own: &OwnRequest<'a>) -> Caller<'a> {
    Caller {
        cookies,
        host: own.host,
        address: own.client,
        headers: &session.req_header().headers,
        limits: own.limits,
        opened: None,
    }
}

/// Has an answer that makes the browser forget its session forget what policies gave it as well. One that has signed
/// in again meanwhile keeps all.
fn forgetting_policies(reply: Reply, serving: &Serving, own: &OwnRequest<'_>) -> Reply {
    if reply.cookies.is_empty() {
        return reply;
    }
    let host = serving.hosts.find(own.host.as_str());
    let clearing = host.into_iter().flat_map(|host| &host.clearing);
    clearing.cloned().fold(reply, Reply::with_cookie)
}

fn confirm_sign_out() -> Reply {
    Reply::new(crate::decision::reply::ReplyKind::ConfirmSignOut)
}

fn visitor<'v>(session: &'v Session, cookies: &'v [&'v [u8]], own: &OwnRequest<'_>) -> Visitor<'v> {
    let provenance = provenance(session.req_header(), own.origin);
    Visitor {
        cookies,
        address: own.client,
        headers: &session.req_header().headers,
        provenance,
    }
}

/// Where a request was made: browsers say so in `Sec-Fetch-Site`, older ones in `Origin`. A request with
/// neither is no browser's post; a GET of that kind may be an image on somebody's page, which must not
/// sign anybody out.
fn provenance(head: &RequestHeader, own_origin: &str) -> Provenance {
    let headers = &head.headers;
    let own = match (headers.get("sec-fetch-site"), headers.get(header::ORIGIN)) {
        (Some(site), _) => matches!(site.as_bytes(), b"same-origin" | b"none"),
        (None, Some(origin)) => origin.as_bytes() == own_origin.as_bytes(),
        (None, None) => head.method == Method::POST,
    };
    if own {
        Provenance::Own
    } else {
        Provenance::Elsewhere
    }
}

fn path_and_method(session: &Session) -> (String, Method) {
    let head = session.req_header();
    (head.uri.path().to_owned(), head.method.clone())
}

fn parameter(session: &Session, name: &str) -> Option<String> {
    let query = session.req_header().uri.query()?;
    form_urlencoded::parse(query.as_bytes())
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}
