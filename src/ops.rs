//! The ops listener: whether the process lives, whether it serves, and its metrics, over plain HTTP for those
//! who run it (MDC-TIME-2).
//!
//! It can be read only. What is told is `app`'s to gather; browsers and applications never come here.

use std::convert::Infallible;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::ports::vitals::Readiness;
use crate::ports::vitals::Vitals;
use crate::telemetry::metrics;

/// Answers on a socket until `stop` comes to its end.
///
/// # Errors
/// When the socket cannot be used.
pub async fn serve(
    socket: TcpListener,
    node: Arc<dyn Vitals>,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut stop = pin!(stop);
    socket.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(socket)?;
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
        // Whoever finds no place is closed: nobody needs more.
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let node = Arc::clone(&node);
            tokio::spawn(async move {
                let _place = place;
                let answering = answer_on(stream, node);
                tokio::time::timeout(CONNECTION_AGE_MAX, answering)
                    .await
                    .ok();
            });
        }
    }
}

async fn answer_on(stream: TcpStream, node: Arc<dyn Vitals>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), node.as_ref());
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    // Whoever breaks off breaks off.
    connection.await.ok();
}

fn answer(method: &Method, path: &str, node: &dyn Vitals) -> Response<Full<Bytes>> {
    let is_read = *method == Method::GET || *method == Method::HEAD;
    match path {
        LIVE | METRICS | READY if !is_read => {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            let allow = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(header::ALLOW, allow);
            refused
        }
        LIVE => text(StatusCode::OK, "alive\n"),
        METRICS => {
            let body = node.snapshot().into_text();
            page(StatusCode::OK, metrics::CONTENT_TYPE, body.into())
        }
        READY => match node.readiness() {
            Readiness::Ready => text(StatusCode::OK, "ready\n"),
            Readiness::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            Readiness::Lost(lost) => {
                let said = Bytes::from(format!("lost {lost}\n"));
                page(StatusCode::SERVICE_UNAVAILABLE, PLAIN_TEXT, said)
            }
            Readiness::NoEngine => text(StatusCode::SERVICE_UNAVAILABLE, "no engine answers\n"),
            Readiness::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        },
        _ => text(StatusCode::NOT_FOUND, "/livez, /metrics or /readyz\n"),
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    page(status, PLAIN_TEXT, Bytes::from_static(body.as_bytes()))
}

fn page(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let never = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, never);
    response
}

const LIVE: &str = "/livez";
const METRICS: &str = "/metrics";
const READY: &str = "/readyz";
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
/// Connections at the same time: a few who watch.
const CONNECTIONS_MAX: usize = 32;
/// How long one may last, whatever comes by it.
const CONNECTION_AGE_MAX: Duration = Duration::from_mins(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const HEADER_BYTES_MAX: usize = 16 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Snapshot;

    struct Told(Readiness);

    impl Vitals for Told {
        fn snapshot(&self) -> Snapshot {
            Snapshot::default()
        }

        fn readiness(&self) -> Readiness {
            self.0
        }
    }

    fn status(method: &Method, path: &str, readiness: Readiness) -> u16 {
        answer(method, path, &Told(readiness)).status().as_u16()
    }

    #[test]
    fn a_process_that_does_not_serve_is_alive_and_not_ready() {
        for not_ready in [
            Readiness::Draining,
            Readiness::Lost("the sweep of sessions"),
            Readiness::NoEngine,
            Readiness::Starting,
        ] {
            assert_eq!(status(&Method::GET, "/livez", not_ready), 200);
            assert_eq!(status(&Method::GET, "/readyz", not_ready), 503);
        }
        assert_eq!(status(&Method::GET, "/readyz", Readiness::Ready), 200);
    }

    #[test]
    fn nothing_can_be_changed_and_nothing_else_is_here() {
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert_eq!(status(&method, "/metrics", Readiness::Ready), 405);
        }
        assert_eq!(status(&Method::HEAD, "/metrics", Readiness::Ready), 200);
        for path in ["/", "/metrics/", "/debug", "/livez/../metrics"] {
            assert_eq!(status(&Method::GET, path, Readiness::Ready), 404, "{path}");
        }
    }

    #[test]
    fn metrics_say_what_they_are_and_are_not_kept() {
        let page = answer(&Method::GET, "/metrics", &Told(Readiness::Ready));
        let header = |name| page.headers().get(name).unwrap().to_str().unwrap();
        assert!(header(header::CONTENT_TYPE).starts_with("application/openmetrics-text"));
        assert_eq!(header(header::CACHE_CONTROL), "no-store");
    }
}
