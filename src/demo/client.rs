//! The client of `portway demo --script`: what a browser does on such a journey, step by step.
//!
//! It trusts the demonstration's authority and connects to 127.0.0.1 whatever a name resolves to. One
//! connection per request: how a client reuses connections is not what the journey is about.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::header;
use http::uri::PathAndQuery;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Request;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::demo::form::Form;
use crate::demo::jar::Jar;

/// A WebSocket through the gateway.
pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// An absolute URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    scheme: Scheme,
    pub(super) host: String,
    port: u16,
    target: PathAndQuery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Address {
    pub(super) fn parse(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        let (scheme, port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, 80),
            Some("https") => (Scheme::Https, 443),
            Some(_) | None => bail!("{url} is neither http nor https"),
        };
        Ok(Self {
            scheme,
            host: uri
                .host()
                .context("a URL without a host")?
                .to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(port),
            target: uri
                .path_and_query()
                .cloned()
                .unwrap_or(PathAndQuery::from_static("/")),
        })
    }

    /// Where a reference on the page at this address leads.
    pub(super) fn join(&self, reference: &str) -> anyhow::Result<Self> {
        if reference.contains("://") {
            return Self::parse(reference);
        }
        let target = match reference.chars().next() {
            None => self.target.to_string(),
            Some('/') if !reference.starts_with("//") => reference.to_owned(),
            Some('?') => format!("{}{reference}", self.path()),
            Some(_) => bail!("the reference {reference} is of a kind that is not expected here"),
        };
        Self::parse(&format!("{}{target}", self.origin()))
    }

    pub(super) fn is_secure(&self) -> bool {
        self.scheme == Scheme::Https
    }

    pub(super) fn path(&self) -> &str {
        self.target.path()
    }

    pub(super) fn origin(&self) -> String {
        let scheme = if self.is_secure() { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    pub(super) fn url(&self) -> String {
        format!("{}{}", self.origin(), self.target)
    }
}

/// What a request wants back, in the headers that browsers send for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The script of a page asks for data.
    Fetch,
    /// The user opens a page.
    Page,
}

/// The answer to one request.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) address: Address,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Where a redirect leads; nothing for any other answer.
    pub(super) fn leads_to(&self) -> anyhow::Result<Option<Address>> {
        if !self.status.is_redirection() {
            return Ok(None);
        }
        let location = self.header("location");
        if location.is_empty() {
            bail!("{} redirects without saying where to", self.address.url());
        }
        self.address.join(location).map(Some)
    }

    /// The first form with this field.
    pub(super) fn form_with(&self, field: &str) -> Option<Form> {
        Form::all(&self.body)
            .into_iter()
            .find(|form| form.has(field))
    }

    /// What was answered, short enough for a line.
    pub(super) fn brief(&self) -> String {
        let path = self.address.path();
        format!(
            "{} from {}{path}",
            self.status.as_u16(),
            self.address.origin()
        )
    }
}

/// A client with a cookie jar.
#[derive(Clone)]
pub(super) struct Client {
    tls: TlsConnector,
    pub(super) jar: Jar,
}

impl Client {
    pub(super) fn new(ca_pem: &[u8]) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            jar: Jar::default(),
        })
    }

    /// Opens a page, or follows a link; redirects are answered as they are.
    pub(super) async fn get(&mut self, url: &str) -> anyhow::Result<Answer> {
        self.get_with(url, Purpose::Page, &[]).await
    }

    /// A GET with more headers.
    pub(super) async fn get_with(
        &mut self,
        url: &str,
        purpose: Purpose,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<Answer> {
        let address = Address::parse(url)?;
        let mut request = self.request(Method::GET, &address, purpose, String::new())?;
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_str(value)?);
        }
        self.send(&address, request).await
    }

    /// Submits a form of `page`.
    pub(super) async fn submit(
        &mut self,
        page: &Answer,
        form: &Form,
        values: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let address = page.address.join(&form.action)?;
        let body = form.filled(values);
        let mut request = self.request(Method::POST, &address, Purpose::Page, body)?;
        let headers = request.headers_mut();
        headers.insert(
            header::ORIGIN,
            HeaderValue::from_str(&page.address.origin())?,
        );
        headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        self.send(&address, request).await
    }

    /// Follows redirects from an answer to the page at their end; also answers the way there.
    pub(super) async fn follow(&mut self, answer: Answer) -> anyhow::Result<(Answer, String)> {
        let mut answer = answer;
        let mut way = answer.brief();
        for _ in 0..REDIRECTS_MAX {
            let Some(next) = answer.leads_to()? else {
                return Ok((answer, way));
            };
            answer = self.get(&next.url()).await?;
            way = format!("{way} → {}", answer.brief());
        }
        bail!("more than {REDIRECTS_MAX} redirects: {way}")
    }

    /// Opens a WebSocket, with the cookies and the origin a page of that host would send.
    pub(super) async fn socket(&mut self, url: &str) -> anyhow::Result<Socket> {
        let address = Address::parse(url)?;
        let uri: Uri = address.url().replacen("https", "wss", 1).parse()?;
        let mut request = uri.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(header::ORIGIN, HeaderValue::from_str(&address.origin())?);
        if let Some(cookies) = self.jar.header_for(&address) {
            headers.insert(header::COOKIE, HeaderValue::from_str(&cookies)?);
        }
        let opened = async {
            let stream = self.tls_stream(&address).await?;
            Ok::<_, anyhow::Error>(tokio_tungstenite::client_async(request, stream).await?)
        };
        let (socket, _) = tokio::time::timeout(ANSWER_TIMEOUT, opened)
            .await
            .context("the WebSocket was not opened in time")??;
        Ok(socket)
    }

    fn request(
        &self,
        method: Method,
        address: &Address,
        purpose: Purpose,
        body: String,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let (accept, mode, destination) = match purpose {
            Purpose::Fetch => ("application/json", "cors", "empty"),
            Purpose::Page => ("text/html,*/*;q=0.8", "navigate", "document"),
        };
        let site = if purpose == Purpose::Fetch {
            "same-origin"
        } else {
            "none"
        };
        let mut request = Request::builder()
            .method(method)
            .uri(address.target.as_str())
            .header(header::HOST, format!("{}:{}", address.host, address.port))
            .header(header::USER_AGENT, "portway-demo")
            .header(header::ACCEPT, accept)
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", destination)
            .header("sec-fetch-site", site);
        if let Some(cookies) = self.jar.header_for(address) {
            request = request.header(header::COOKIE, cookies);
        }
        Ok(request.body(Full::from(body))?)
    }

    async fn send(
        &mut self,
        address: &Address,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Answer> {
        let exchanged = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(address, request));
        let answer = exchanged
            .await
            .with_context(|| format!("no answer from {} in time", address.url()))?
            .with_context(|| format!("no answer from {}", address.url()))?;
        for set_cookie in answer.headers.get_all(header::SET_COOKIE) {
            self.jar.take(set_cookie.to_str()?, address)?;
        }
        Ok(answer)
    }

    async fn exchange(
        &self,
        address: &Address,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Answer> {
        let response = match address.scheme {
            Scheme::Http => converse(TokioIo::new(connect(address).await?), request).await?,
            Scheme::Https => {
                converse(TokioIo::new(self.tls_stream(address).await?), request).await?
            }
        };
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the body broke off: {error}"))?;
        Ok(Answer {
            address: address.clone(),
            status: head.status,
            headers: head.headers,
            body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        })
    }

    async fn tls_stream(&self, address: &Address) -> anyhow::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(address.host.clone())?;
        Ok(self.tls.connect(name, connect(address).await?).await?)
    }
}

async fn connect(address: &Address) -> std::io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, address.port)).await
}

/// One request and its answer; the connection lives in a task until the body has been read.
async fn converse<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<hyper::Response<Incoming>>
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(async move {
        // What breaks is seen where the answer is awaited.
        let _broken = connection.await.is_err();
    });
    Ok(sender.send_request(request).await?)
}

/// For one answer. A machine that compiles meanwhile is slow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// A sign-in takes three, a sign-out one per host.
const REDIRECTS_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_where_a_browser_would_go() {
        let page = Address::parse("https://App.x.test/a/b?c=1").unwrap();
        assert_eq!(page.url(), "https://app.x.test:443/a/b?c=1");
        for (reference, url) in [
            ("", "https://app.x.test:443/a/b?c=1"),
            ("/y?z", "https://app.x.test:443/y?z"),
            ("?r=2", "https://app.x.test:443/a/b?r=2"),
            ("http://o.test:81/", "http://o.test:81/"),
        ] {
            assert_eq!(page.join(reference).unwrap().url(), url, "{reference}");
        }
        assert!(page.join("//evil.test/").is_err());
        assert!(page.join("javascript:alert(1)").is_err());
    }
}
