//! Chooses the upstream of a request and says how to connect to it.
//!
//! The choice itself is `decision::upstream`; here its key is taken from the request, and what every
//! connection to a pool has in common is prepared once.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use pingora::protocols::ALPN;
use pingora::protocols::TcpKeepalive;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::CertKey;
use pingora::utils::tls::WrappedX509;
use pingora::utils::tls::parse_x509;

use crate::config::CertificateSource;
use crate::config::Http2Terms;
use crate::config::Pool;
use crate::config::Timeouts;
use crate::config::UpstreamTls;
use crate::config::Verify;
use crate::crypto::certificates;
use crate::crypto::certificates::CertificateError;
use crate::decision::upstream::Balance;
use crate::decision::upstream::HashOf;
use crate::decision::upstream::Pick;
use crate::decision::upstream::choose;
use crate::decision::upstream::is_any_left;
use crate::decision::upstream::nginx_address_key;
use crate::decision::upstream::stable_hash;
use crate::model::id::RequestId;
use crate::model::name::PoolName;
use crate::proxy::context::Admitted;
use crate::proxy::context::application_cookie;
use crate::proxy::member::MemberRuntime;
use crate::proxy::pool::Members;
use crate::proxy::pool::PoolRuntime;

/// What connections to the members of a pool have in common.
pub struct PeerTemplate {
    tls: Option<UpstreamTls>,
    http2: Option<Http2Terms>,
    ca: Option<Arc<CaType>>,
    client: Option<Arc<CertKey>>,
    /// Keeps connections apart of pools that are verified in other ways, or show another certificate:
    /// pingora's pool of idle connections does not look at the CA, and at no more of a certificate than
    /// its serial number.
    group: u64,
}

/// Why the members of a pool cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub enum PeerTemplateError {
    /// The CA holds no usable certificate.
    #[error("the CA of the pool {pool} cannot be used")]
    Ca {
        /// The pool.
        pool: PoolName,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// What the gateway is to show for itself is no certificate with its key.
    #[error("the client certificate of the pool {pool} cannot be used")]
    Client {
        /// The pool.
        pool: PoolName,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
}

impl std::fmt::Debug for PeerTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // pingora would show the private key.
        f.debug_struct("PeerTemplate")
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl PeerTemplate {
    /// Prepares the connections of a pool.
    ///
    /// # Errors
    /// See [`PeerTemplateError`].
    pub fn new(pool: &Pool) -> Result<Self, PeerTemplateError> {
        let ca_pem = pool.tls.as_ref().and_then(|tls| tls.ca_pem.as_deref());
        let ca = ca_pem.map(authorities).transpose();
        let ca = ca.map_err(|source| PeerTemplateError::Ca {
            pool: pool.name.clone(),
            source,
        })?;
        let source = pool.tls.as_ref().and_then(|tls| tls.client.as_ref());
        let client = source.map(own_certificate).transpose();
        let client = client.map_err(|source| PeerTemplateError::Client {
            pool: pool.name.clone(),
            source,
        })?;
        let mut identity = format!(
            "{:?}",
            (
                pool.tls.as_ref().map(|tls| (&tls.server_name, tls.verify)),
                &pool.http2
            )
        );
        identity.push_str(&String::from_utf8_lossy(ca_pem.unwrap_or_default()));
        if let Some(source) = source {
            identity.push_str("\nclient: ");
            identity.push_str(&String::from_utf8_lossy(&source.chain_pem));
        }
        Ok(Self {
            tls: pool.tls.clone(),
            http2: pool.http2,
            ca,
            client,
            group: stable_hash(identity.as_bytes()),
        })
    }

    /// How to connect to a member.
    #[must_use]
    pub fn peer(&self, member: &MemberRuntime, timeouts: &Timeouts) -> HttpPeer {
        let address = &member.address;
        let mut peer = match &self.tls {
            None => address.peer(None),
            Some(tls) => {
                let named = tls
                    .server_name
                    .as_ref()
                    .map(|name| name.as_str().to_owned());
                let name = named.unwrap_or_else(|| member.certificate_name().to_owned());
                let mut peer = address.peer(Some(name));
                let full = tls.verify == Verify::Full;
                peer.options.verify_cert = full;
                peer.options.verify_hostname = full;
                peer.options.ca = self.ca.clone();
                peer.client_cert_key = self.client.clone();
                peer
            }
        };
        peer.group_key ^= self.group;
        peer.options.alpn = ALPN::H1;
        if let Some(terms) = &self.http2 {
            peer.group_key ^= member.standing().connection();
            speak_http2(&mut peer, terms);
        }
        peer.options.connection_timeout = Some(timeouts.connect);
        peer.options.total_connection_timeout = Some(timeouts.connect);
        // How long an answer may take is watched by the edge loop, which tells its first byte from the next.
        peer.options.write_timeout = Some(timeouts.write_idle);
        peer.options.idle_timeout = Some(IDLE_UPSTREAM);
        peer
    }
}

/// Makes a connection one of HTTP/2, with others on it.
fn speak_http2(peer: &mut HttpPeer, terms: &Http2Terms) {
    let options = &mut peer.options;
    options.alpn = ALPN::H2;
    options.max_h2_streams = usize::try_from(terms.streams).unwrap_or(usize::MAX);
    options.h2_stream_window_size = Some(WINDOW_BYTES);
    // Room for every stream: clients that take their answers slowly hold up nobody else's.
    options.h2_connection_window_size = Some(WINDOW_BYTES.saturating_mul(terms.streams));
    // A machine that has gone is noticed by the system. Frames that ask whether it is there would be noticed
    // sooner, but servers of gRPC end connections over them.
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(20),
        interval: Duration::from_secs(5),
        count: 3,
        user_timeout: Duration::from_secs(30),
    });
}

/// Makes room for a stream, on connections that carry nothing but streams: where an upstream answers as it is sent
/// to, more of the answer may wait while a piece of the request does.
pub fn widen(peer: &mut HttpPeer) {
    let streams = u32::try_from(peer.options.max_h2_streams).unwrap_or(u32::MAX);
    let all = STREAM_WINDOW_BYTES.saturating_mul(streams);
    peer.options.h2_stream_window_size = Some(STREAM_WINDOW_BYTES);
    peer.options.h2_connection_window_size = Some(all.min(WINDOW_BYTES_MAX));
    peer.group_key ^= STREAMS;
}

fn authorities(pem: &[u8]) -> Result<Arc<CaType>, CertificateError> {
    let chain = certificates::readable_chain(pem)?;
    let wrap =
        |der: &rustls::pki_types::CertificateDer<'_>| WrappedX509::new(der.to_vec(), parse_x509);
    Ok(chain.iter().map(wrap).collect())
}

/// A certificate with its key, as pingora takes them; it would panic over what is none.
fn own_certificate(source: &CertificateSource) -> Result<Arc<CertKey>, CertificateError> {
    let provider = rustls::crypto::ring::default_provider();
    certificates::certified(&source.chain_pem, &source.key_pem, &provider)?;
    let chain = certificates::readable_chain(&source.chain_pem)?;
    let chain = chain.iter().map(|der| der.to_vec()).collect();
    let key = certificates::private_key(&source.key_pem)?;
    Ok(Arc::new(CertKey::new(chain, key.secret_der().to_vec())))
}

/// Chooses the member of a pool that the request of this id goes to, leaving out those it has tried.
#[must_use]
pub fn choose_member(
    pool: &PoolRuntime,
    admitted: &Admitted,
    headers: &HeaderMap,
    id: RequestId,
) -> Option<Arc<MemberRuntime>> {
    let members = pool.members();
    let tried = places(&members, &admitted.tried);
    let chosen = |pick| choose(&members, pick, &tried).map(|chosen| Arc::clone(chosen.member));
    let address_key = nginx_address_key(admitted.arrived.origin.client);
    let key: Option<&[u8]> = match &pool.config.balance {
        Balance::RoundRobin => None,
        Balance::LeastConnections => {
            return chosen(Pick::Least(pool.next_turn()));
        }
        Balance::RandomTwo => {
            return chosen(Pick::Two(stable_hash(id.as_str().as_bytes())));
        }
        Balance::Hash(HashOf::ClientAddress) => Some(address_key.as_bytes()),
        Balance::Hash(HashOf::Cookie(name)) => application_cookie(headers, name).map(str::as_bytes),
        Balance::Hash(HashOf::Header(name)) => headers.get(name).map(http::HeaderValue::as_bytes),
        Balance::Hash(HashOf::Session) => {
            let session = admitted.permit.session();
            session.map(|session| session.facts.sso.as_bytes().as_slice())
        }
    };
    // A request without the cookie, header or session to hash takes its turn.
    let pick = key.map_or_else(|| Pick::Turn(pool.next_turn()), Pick::Key);
    chosen(pick)
}

/// Whether a request that has tried these could go to another member.
#[must_use]
pub fn is_another_left(pool: &PoolRuntime, tried: &[Arc<MemberRuntime>]) -> bool {
    let members = pool.members();
    is_any_left(&members, &places(&members, tried))
}

/// Where the members stand that a request has tried; they may have other places than at the time.
fn places(members: &Members, tried: &[Arc<MemberRuntime>]) -> Vec<usize> {
    if tried.is_empty() {
        return Vec::new();
    }
    let is_tried = |member| tried.iter().any(|tried| Arc::ptr_eq(tried, member));
    let places = members.members().filter(|(_, member)| is_tried(*member));
    places.map(|(place, _)| place).collect()
}

/// What an answer may hold that its client has not taken yet. Less, and an upstream that answers while it is sent to
/// could wait for us while we wait for it.
const WINDOW_BYTES: u32 = 1 << 20;
/// The same, of a route that streams.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// The most that HTTP/2 knows (RFC 9113 §6.9.1).
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;
/// Sets the connections of streams apart.
const STREAMS: u64 = 0x7374_7265_616d_7321;
/// How long an idle connection to an upstream is kept, below the 75 s that nginx keeps one.
const IDLE_UPSTREAM: Duration = Duration::from_secs(60);
