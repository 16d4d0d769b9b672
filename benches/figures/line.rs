//! A connection that a client keeps, so that what is measured is a request and no handshake.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Url;
use crate::support::client;
use crate::support::jar::Jar;
use crate::support::wait::PATIENCE;

/// A connection to a gateway, made again where the gateway has closed it.
pub(crate) struct Line {
    to: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// From sending to the last byte of the answer.
    pub(crate) took: Duration,
}

impl Seen {
    /// The time of a request that the application answered.
    pub(crate) fn served(self) -> Duration {
        assert_eq!(self.status, 200, "not served");
        self.took
    }

    /// The time of a request that led to the login page.
    pub(crate) fn challenged(self) -> Duration {
        assert_eq!(self.status, 303, "not asked to sign in");
        self.took
    }
}

impl Line {
    pub(crate) fn new(gateway: &Gateway) -> Self {
        Self {
            to: gateway.address("https"),
            sender: None,
        }
    }

    /// Opens an address with the cookies of a browser, as a browser does, and keeps what is set.
    pub(crate) async fn get(&mut self, jar: &mut Jar, url: &str) -> Result<Seen, String> {
        let asking = self.ask(jar, url);
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(seen) => seen,
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        }
    }

    async fn ask(&mut self, jar: &mut Jar, url: &str) -> Result<Seen, String> {
        let url = Url::parse(url);
        let mut request = http::Request::get(&url.target)
            .header("host", &url.authority)
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-site", "none");
        if let Some(cookies) = jar.header(url.host(), &url.scheme, url.path()) {
            request = request.header("cookie", cookies);
        }
        let request = request.body(Full::default()).unwrap();
        let sender = self.ready(&url).await?;
        let began = Instant::now();
        let answer = sender.send_request(request).await;
        let (head, body) = answer.map_err(client::chain)?.into_parts();
        body.collect().await.map_err(client::chain)?;
        let took = began.elapsed();
        for cookie in head.headers.get_all("set-cookie") {
            jar.take(url.host(), &url.scheme, cookie.to_str().unwrap());
        }
        Ok(Seen {
            status: head.status.as_u16(),
            took,
        })
    }

    async fn ready(&mut self, url: &Url) -> Result<&mut SendRequest<Full<Bytes>>, String> {
        let is_open = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !is_open {
            let stream = client::connect(url, self.to, Protocol::H1).await?;
            let made = http1::handshake(TokioIo::new(stream)).await;
            let (sender, connection) = made.map_err(client::chain)?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        self.sender.as_mut().ok_or_else(|| "no connection".into())
    }
}
