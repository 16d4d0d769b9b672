//! What health checks ask: bodies, TLS alone, gRPC; and what is told of why they fail.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::support::Application;
use crate::support::Gateway;
use crate::support::LocalSocket;
use crate::support::Recorder;
use crate::support::certificates;
use crate::support::certificates::Issued;
use crate::support::recorder::Reply;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;

const OFTEN: &str = "interval: 400ms, timeout: 350ms, healthy_after: 1, unhealthy_after: 1";

fn config(address: SocketAddr, check: &str) -> String {
    yaml::pool(&format!(
        "primary: [\"{address}\"], health_check: {{ {check}, {OFTEN} }}"
    ))
}

/// Waits until the check fails for this reason.
async fn fails(gateway: &Gateway, why: &str) {
    until(&format!("the check fails: {why}"), PATIENCE, || async {
        let status = gateway.status().await;
        let upstream = status.pointer("/pools/0/upstreams/0").unwrap();
        let said = text(upstream, "check_fault");
        (text(upstream, "state") == "down" && said.contains(why)).then_some(())
    })
    .await;
}

fn text(upstream: &serde_json::Value, key: &str) -> String {
    let text = upstream.get(key).and_then(serde_json::Value::as_str);
    text.unwrap_or_default().to_owned()
}

async fn passes(gateway: &Gateway) {
    until("the check passes", PATIENCE, || async {
        let status = gateway.status().await;
        let upstream = status.pointer("/pools/0/upstreams/0").unwrap();
        let is_well = text(upstream, "state") == "healthy";
        (is_well && text(upstream, "check_fault").is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_check_reads_the_body_where_it_is_told_to() {
    let body = Arc::new(Mutex::new("state: up"));
    let told = Arc::clone(&body);
    let upstream = Recorder::scripted(move |_, _, _| {
        let body = *told.lock().unwrap();
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        Reply::Send(answer.into_bytes())
    })
    .await;
    let check = "http: { path: /healthz, body: \"state: (up|warm)$\" }";
    let gateway = Gateway::start(&config(upstream.address(), check)).await;
    upstream.wait_for("GET /healthz").await;
    passes(&gateway).await;
    *body.lock().unwrap() = "state: upside down";
    fails(&gateway, "the body of its answer").await;
    gateway.wait_for_log("error=\"the body of its answer").await;
    let list = gateway.verb(&["pool", "list"]).await;
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("down (check: "), "{list}");
    *body.lock().unwrap() = "state: warm";
    passes(&gateway).await;
}

#[tokio::test]
async fn why_a_check_fails_is_told() {
    let upstream = Recorder::answering(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").await;
    let check = "http: { path: /healthz }";
    let gateway = Gateway::start(&config(upstream.address(), check)).await;
    fails(&gateway, "it answers with the status 503").await;
    drop(upstream);
    fails(&gateway, "it cannot be connected to").await;
}

/// A server that ends TLS handshakes, and speaks gRPC's health check after them.
struct Server {
    address: SocketAddr,
    tasks: JoinSet<()>,
    /// The state that it tells.
    state: Arc<AtomicU8>,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    async fn start(tls: Option<&Issued>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut server = Self {
            address: listener.local_addr().unwrap(),
            tasks: JoinSet::new(),
            state: Arc::new(AtomicU8::new(1)),
            asked: Arc::default(),
        };
        let told = (Arc::clone(&server.state), Arc::clone(&server.asked));
        server
            .tasks
            .spawn(accept(listener, tls.map(acceptor), told));
        server
    }

    fn port(&self) -> u16 {
        self.address.port()
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, told: Told) {
    let mut serving = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, told) = (acceptor.clone(), told.clone());
        serving.spawn(async move {
            let Some(acceptor) = acceptor else {
                return serve(stream, told).await;
            };
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, told).await;
            }
        });
    }
}

fn acceptor(issued: &Issued) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes());
    let chain: Vec<_> = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth();
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

type Told = (Arc<AtomicU8>, Arc<Mutex<Vec<Vec<u8>>>>);

async fn serve<S>(stream: S, (state, asked): Told)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (state, asked) = (Arc::clone(&state), Arc::clone(&asked));
        async move {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            assert_eq!(
                request.headers().get("content-type").unwrap(),
                "application/grpc"
            );
            assert_eq!(request.headers().get("te").unwrap(), "trailers");
            let body = request.into_body().collect().await.unwrap().to_bytes();
            asked.lock().unwrap().push(body.to_vec());
            Ok::<_, Infallible>(answer(state.load(Ordering::SeqCst)))
        }
    });
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

/// An answer with this state; one of 100 and more is an error of gRPC's, which comes without a body.
fn answer(
    state: u8,
) -> Response<StreamBody<impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>>>> {
    let mut answer = Response::builder().header("content-type", "application/grpc");
    let mut frames = Vec::new();
    match state.checked_sub(100) {
        Some(error) => answer = answer.header("grpc-status", error.to_string()),
        None => {
            let message = vec![0, 0, 0, 0, 2, 8, state];
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            frames.push(Ok(Frame::data(Bytes::from(message))));
            frames.push(Ok(Frame::trailers(trailers)));
        }
    }
    answer
        .body(StreamBody::new(futures_util::stream::iter(frames)))
        .unwrap()
}

#[tokio::test]
async fn a_grpc_server_says_itself_whether_a_service_serves() {
    let (application, server) = (Application::start().await, Server::start(None).await);
    let check = format!(
        "grpc: {{ service: shop.v1.Orders }}, port: {}",
        server.port()
    );
    let gateway = Gateway::start(&config(application.address(), &check)).await;
    until("it is asked", PATIENCE, || async {
        let asked = server.asked.lock().unwrap();
        let expected = b"\0\0\0\0\x10\x0a\x0eshop.v1.Orders";
        asked.iter().any(|body| body == expected).then_some(())
    })
    .await;
    passes(&gateway).await;
    for (state, why) in [
        (2, "it says that it is NOT_SERVING"),
        (105, "it answers with the gRPC status 5"),
    ] {
        server.state.store(state, Ordering::SeqCst);
        fails(&gateway, why).await;
        server.state.store(1, Ordering::SeqCst);
        passes(&gateway).await;
    }
}

#[tokio::test]
async fn a_grpc_server_is_asked_over_tls_in_a_pool_of_https() {
    let server = Server::start(Some(&certificates::issue(&["upstream.test"]))).await;
    let pool = yaml::pool(&format!(
        "scheme: https, tls: {{ ca_file: ca.pem, server_name: upstream.test }}, \
         primary: [\"{}\"], health_check: {{ grpc: {{}}, {OFTEN} }}",
        server.address
    ));
    let gateway = Gateway::start(&pool).await;
    until("it is asked", PATIENCE, || async {
        let asked = server.asked.lock().unwrap();
        asked.iter().any(|body| body == b"\0\0\0\0\0").then_some(())
    })
    .await;
    passes(&gateway).await;
    server.state.store(0, Ordering::SeqCst);
    fails(&gateway, "UNKNOWN").await;
}

#[tokio::test]
async fn a_tls_check_of_a_pool_in_plain_looks_at_the_certificate() {
    let application = Application::start().await;
    let server = Server::start(Some(&certificates::issue(&["upstream.test"]))).await;
    let at = |tls: &str| {
        let check = format!("tls: {tls}, port: {}", server.port());
        config(application.address(), &check)
    };
    let good = at("{ ca_file: ca.pem, server_name: upstream.test }");
    let gateway = Gateway::start(&at("true")).await;
    // Nobody but the platform's authorities is trusted, and the address is no name of the certificate's.
    fails(&gateway, "TLS fails").await;
    gateway.reload_with(&good).await;
    passes(&gateway).await;
    gateway
        .reload_with(&at("{ ca_file: ca.pem, server_name: other.test }"))
        .await;
    fails(&gateway, "TLS fails: invalid peer certificate").await;
    gateway.reload_with(&at("{ verify: false }")).await;
    passes(&gateway).await;
    let expired = certificates::issue_until(&["upstream.test"], (2020, 1, 1));
    let server = Server::start(Some(&expired)).await;
    let check = format!(
        "tls: {{ ca_file: ca.pem, server_name: upstream.test }}, port: {}",
        server.port()
    );
    gateway
        .reload_with(&config(application.address(), &check))
        .await;
    fails(&gateway, "certificate expired").await;
}

#[tokio::test]
async fn an_upstream_at_a_socket_is_asked_there_in_each_way() {
    let folder = tempfile::tempdir().unwrap();
    let told = Recorder::start().await;
    let plain = Server::start(None).await;
    let own = certificates::issue(&["localhost"]);
    let secure = Server::start(Some(&own)).await;
    let tls = "scheme: https, tls: { ca_file: ca.pem }";
    for (place, (server, pool, check)) in [
        (told.address(), "scheme: http", "http: { path: /healthz }"),
        (
            plain.address,
            "scheme: h2c",
            "grpc: { service: shop.v1.Orders }",
        ),
        (secure.address, "scheme: http", "tls: { ca_file: ca.pem }"),
        (secure.address, tls, "tcp: true"),
        (secure.address, tls, "grpc: {}"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{place}.sock"));
        let socket = LocalSocket::before(server, &path);
        let pool = format!(
            "{pool}, primary: [\"{}\"], health_check: {{ {check}, {OFTEN} }}",
            socket.name()
        );
        let gateway = Gateway::start(&yaml::pool(&pool)).await;
        until("it is asked", PATIENCE, || async {
            (socket.connections() > 1).then_some(())
        })
        .await;
        passes(&gateway).await;
        socket.stop().await;
        fails(&gateway, "it cannot be connected to").await;
    }
    let asked = told.text();
    assert!(
        asked.contains("GET /healthz HTTP/1.1\r\nhost: localhost\r\n"),
        "{asked}"
    );
    let asked = plain.asked.lock().unwrap();
    let expected = b"\0\0\0\0\x10\x0a\x0eshop.v1.Orders";
    assert!(asked.iter().any(|body| body == expected));
}
