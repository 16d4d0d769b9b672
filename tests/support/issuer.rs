//! A provider of OpenID Connect that says whatever a test wants it to, also what no honest one would.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use ring::signature::EcdsaKeyPair;
use ring::signature::KeyPair;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A key that signs tokens.
pub(crate) struct Signer(EcdsaKeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let made = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(kind, made.as_ref(), &random).unwrap())
    }

    /// The public half (RFC 7517), by this name.
    pub(crate) fn jwk(&self, name: &str) -> Value {
        let point = self.point();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..65]));
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": name })
    }

    /// The public half, uncompressed.
    pub(crate) fn point(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// A token with this header and these claims.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", encode(signature.unwrap().as_ref()))
    }
}

/// What is signed of a token.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    )
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// How a path is answered.
type Answer = Arc<dyn Fn() -> Response<Full<Bytes>> + Send + Sync>;

/// What it says, by path.
#[derive(Default)]
struct Script {
    answers: Vec<(&'static str, Answer)>,
    /// The requests so far: path and body.
    heard: Vec<(String, String)>,
}

/// A running provider; it stops when dropped.
pub(crate) struct Issuer {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    pub(crate) signer: Signer,
    _tasks: JoinSet<()>,
}

impl Issuer {
    /// One that is honest so far: it describes itself and publishes the key `own`.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Arc<Mutex<Script>> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&script)));
        let issuer = Self {
            address,
            script,
            signer: Signer::new(),
            _tasks: tasks,
        };
        issuer.describe(|_| ());
        issuer.publish(&[issuer.signer.jwk("own")]);
        issuer
    }

    /// Its name in its tokens.
    pub(crate) fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Describes itself, with a change.
    pub(crate) fn describe(&self, change: impl FnOnce(&mut Value)) {
        let name = self.name();
        let mut description = json!({
            "issuer": name,
            "authorization_endpoint": format!("{name}/authorize"),
            "token_endpoint": format!("{name}/token"),
            "jwks_uri": format!("{name}/keys"),
        });
        change(&mut description);
        self.say("/.well-known/openid-configuration", &description);
    }

    /// Publishes keys.
    pub(crate) fn publish(&self, keys: &[Value]) {
        self.say("/keys", &json!({ "keys": keys }));
    }

    /// Gives this token for any code.
    pub(crate) fn give(&self, id_token: &str) {
        self.say(
            "/token",
            &json!({ "access_token": "a", "token_type": "Bearer", "id_token": id_token }),
        );
    }

    /// Answers a path with a document.
    pub(crate) fn say(&self, path: &'static str, document: &Value) {
        let body = Bytes::from(document.to_string());
        self.answer(path, move || Response::new(Full::new(body.clone())));
    }

    /// Answers a path.
    pub(crate) fn answer(
        &self,
        path: &'static str,
        answer: impl Fn() -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) {
        let mut script = self.script.lock();
        script.answers.retain(|(known, _)| *known != path);
        script.answers.push((path, Arc::new(answer)));
    }

    /// The bodies of the requests to a path so far.
    pub(crate) fn heard(&self, path: &str) -> Vec<String> {
        let script = self.script.lock();
        let heard = script.heard.iter().filter(|(known, _)| known == path);
        heard.map(|(_, body)| body.clone()).collect()
    }
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let script = Arc::clone(&script);
        connections.spawn(async move {
            let service = service_fn(|request| respond(request, &script));
            let server = hyper::server::conn::http1::Builder::new();
            server
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    script: &Mutex<Script>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let answer = {
        let mut script = script.lock();
        script.heard.push((path.clone(), body));
        let mut answers = script.answers.iter();
        let found = answers.find(|(known, _)| *known == path);
        found.map(|(_, answer)| Arc::clone(answer))
    };
    Ok(answer.map_or_else(
        || {
            Response::builder()
                .status(404)
                .body(Full::default())
                .unwrap()
        },
        |answer| answer(),
    ))
}
