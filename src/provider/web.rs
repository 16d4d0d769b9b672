//! Calls to other servers: bounded in time and size, over verified TLS, and never sent on elsewhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper_rustls::HttpsConnector;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;

use crate::crypto::certificates;
use crate::crypto::certificates::CertificateError;

/// Calls servers of one trust.
#[derive(Clone)]
pub(super) struct Web {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebError {
    #[error("the answer broke off, or has more than {ANSWER_BYTES_MAX} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the server could not be asked")]
    Call(#[from] hyper_util::client::legacy::Error),
    #[error("the address of the server is none")]
    Request(#[from] http::Error),
    #[error("the server gave no answer within {0:?}")]
    Timeout(Duration),
}

/// Why nothing can be called.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The certificates of those who are trusted cannot be read.
    #[error("the certificates of the CA cannot be used")]
    Certificate(#[from] CertificateError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

impl Web {
    /// Trusts the authorities of a file, or those of the platform.
    pub(super) fn new(ca_pem: Option<&[u8]>, timeout: Duration) -> Result<Self, TrustError> {
        let platform = || rustls_native_certs::load_native_certs().unwrap_or_default();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(certificates::roots(ca_pem, platform)?)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_all_versions()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(2)
            .build(connector);
        Ok(Self { client, timeout })
    }

    /// Makes a call; the answer is whole.
    pub(super) async fn call(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, WebError> {
        let answered = tokio::time::timeout(self.timeout, async {
            let (head, body) = self.client.request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(WebError::Body)?.to_bytes();
            Ok(Response::from_parts(head, body))
        });
        answered
            .await
            .unwrap_or(Err(WebError::Timeout(self.timeout)))
    }

    /// Fetches a document.
    pub(super) async fn get(&self, address: &str) -> Result<Response<Bytes>, WebError> {
        let request = Request::get(address)
            .header(http::header::ACCEPT, "application/json")
            .body(Full::default())?;
        self.call(request).await
    }
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}

/// Descriptions, keys and tokens are smaller by far.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const IDLE: Duration = Duration::from_secs(30);
