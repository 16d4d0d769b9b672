//! Reads requests from the control socket and writes answers. Only the user that the process runs as, and
//! root, are let in: the permissions of a socket do not bind on every system.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http_body_util::BodyExt;
use http_body_util::Limited;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use crate::admin::ControlSocket;
use crate::admin::Desk;
use crate::admin::SUDO_USER;
use crate::admin::door;
use crate::admin::reply::Reply;
use crate::admin::verbs;
use crate::admin::verbs::Question;
use crate::logbook::event::Actor;

/// Answers on the control socket until `stop` comes to its end.
///
/// # Errors
/// When the socket cannot be used.
pub async fn serve(
    socket: ControlSocket,
    desk: Desk,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut stop = pin!(stop);
    socket.listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(socket.listener.try_clone()?)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => return Ok(()),
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: trying again at once would only spin.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(uid) = owner(&stream) else {
            tracing::warn!("somebody else was turned away from the control socket");
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let desk = desk.clone();
        tokio::spawn(async move {
            let _place = place;
            talk(stream, (uid, desk)).await;
        });
    }
}

/// The user of the other end, if that is the same as of this process, or root.
fn owner(stream: &UnixStream) -> Option<u32> {
    let own = rustix::process::geteuid().as_raw();
    let uid = stream.peer_cred().ok()?.uid();
    (uid == own || uid == ROOT).then_some(uid)
}

async fn talk(stream: UnixStream, (uid, desk): (u32, Desk)) {
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(respond(request, (uid, &desk)).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever asked may have gone away.
    tokio::time::timeout(CONNECTION_AGE_MAX, connection)
        .await
        .ok();
}

async fn respond(request: Request<Incoming>, (uid, desk): (u32, &Desk)) -> Response<Body> {
    if let Some(told) = told_as_it_happens(&request, desk) {
        return told;
    }
    let reply = match question(request, uid).await {
        Ok(question) => verbs::answer(&question, desk).await,
        Err(refused) => refused,
    };
    reply.into_response().map(BodyExt::boxed)
}

/// What is told for as long as somebody listens; none where something else is asked.
fn told_as_it_happens(request: &Request<Incoming>, desk: &Desk) -> Option<Response<Body>> {
    let below = request.uri().path().strip_prefix(PREFIX)?;
    let is_asked =
        request.method() == Method::GET && below.split('/').eq([door::DOOR, door::ENDED]);
    let services = desk.door.as_ref().filter(|_| is_asked)?;
    Some(door::ended(services.sessions.watch_ended()))
}

async fn question(request: Request<Incoming>, uid: u32) -> Result<Question, Reply> {
    let (head, body) = request.into_parts();
    let Some(path) = head.uri.path().strip_prefix(PREFIX) else {
        return Err(Reply::refused(StatusCode::NOT_FOUND, "there is only /v1/"));
    };
    let bytes_max = if path == door::DOOR {
        door::QUESTION_BYTES_MAX
    } else {
        BODY_BYTES_MAX
    };
    let path = path.split('/').map(str::to_owned).collect();
    let sudo = head.headers.get(SUDO_USER);
    let sudo = sudo.map(|name| String::from_utf8_lossy(name.as_bytes()));
    let sudo_user = sudo.map(|name| name.chars().take(SUDO_USER_MAX).collect());
    let body = Limited::new(body, bytes_max).collect().await;
    let body =
        body.map_err(|_| Reply::refused(StatusCode::PAYLOAD_TOO_LARGE, "the body cannot be read"))?;
    Ok(Question {
        method: head.method,
        path,
        query: head.uri.query().map(str::to_owned),
        body: body.to_bytes().to_vec(),
        actor: Actor {
            uid,
            sudo_user: sudo_user.unwrap_or_default(),
        },
    })
}

type Body = BoxBody<Bytes, Infallible>;

const PREFIX: &str = "/v1/";
const ROOT: u32 = 0;
/// Longest name told, in characters.
const SUDO_USER_MAX: usize = 64;
/// Connections at the same time: a few who run the node, and those of processes that this one has followed.
const CONNECTIONS_MAX: usize = 256;
/// How long one may last, whatever comes by it.
const CONNECTION_AGE_MAX: Duration = Duration::from_mins(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const HEADER_BYTES_MAX: usize = 16 * 1024;
const BODY_BYTES_MAX: usize = 64 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
