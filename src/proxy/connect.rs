//! Chooses the upstream of a request and says how to connect to it.
//!
//! The choice itself is `decision::upstream`; here its key is taken from the request, and what every
//! connection to a pool has in common is prepared once.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use pingora::protocols::ALPN;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::WrappedX509;
use pingora::utils::tls::parse_x509;

use crate::config::Pool;
use crate::config::Timeouts;
use crate::config::UpstreamTls;
use crate::config::Verify;
use crate::crypto::certificates;
use crate::crypto::certificates::CertificateError;
use crate::decision::upstream::Balance;
use crate::decision::upstream::Chosen;
use crate::decision::upstream::HashOf;
use crate::decision::upstream::Pick;
use crate::decision::upstream::choose;
use crate::decision::upstream::nginx_address_key;
use crate::decision::upstream::stable_hash;
use crate::proxy::context::Admitted;
use crate::proxy::context::application_cookie;
use crate::proxy::pool::MemberRuntime;
use crate::proxy::pool::PoolRuntime;

/// What connections to the members of a pool have in common.
#[derive(Debug)]
pub struct PeerTemplate {
    tls: Option<UpstreamTls>,
    ca: Option<Arc<CaType>>,
    /// Keeps connections of differently verified pools apart: pingora's pool of idle connections does
    /// not look at the CA.
    group: u64,
}

impl PeerTemplate {
    /// Prepares the connections of a pool.
    ///
    /// # Errors
    /// When the CA is not a list of certificates.
    pub fn new(pool: &Pool) -> Result<Self, CertificateError> {
        let ca_pem = pool.tls.as_ref().and_then(|tls| tls.ca_pem.as_deref());
        let ca = ca_pem.map(|pem| {
            let chain = certificates::readable_chain(pem)?;
            let wrap = |der: &rustls::pki_types::CertificateDer<'_>| {
                WrappedX509::new(der.to_vec(), parse_x509)
            };
            Ok(chain.iter().map(wrap).collect::<Arc<CaType>>())
        });
        let mut identity = format!(
            "{:?}",
            pool.tls.as_ref().map(|tls| (&tls.server_name, tls.verify))
        );
        identity.push_str(&String::from_utf8_lossy(ca_pem.unwrap_or_default()));
        Ok(Self {
            tls: pool.tls.clone(),
            ca: ca.transpose()?,
            group: stable_hash(identity.as_bytes()),
        })
    }

    /// How to connect to a member; `None` while its name has no address.
    #[must_use]
    pub fn peer(&self, member: &MemberRuntime, timeouts: &Timeouts) -> Option<HttpPeer> {
        let address = member.address()?;
        let mut peer = match &self.tls {
            None => HttpPeer::new(address, false, String::new()),
            Some(tls) => {
                let named = tls
                    .server_name
                    .as_ref()
                    .map(|name| name.as_str().to_owned());
                let name = named.unwrap_or_else(|| member.upstream.host.clone());
                let mut peer = HttpPeer::new(address, true, name);
                let full = tls.verify == Verify::Full;
                peer.options.verify_cert = full;
                peer.options.verify_hostname = full;
                peer.options.ca = self.ca.clone();
                peer
            }
        };
        peer.group_key = self.group;
        peer.options.alpn = ALPN::H1;
        peer.options.connection_timeout = Some(timeouts.connect);
        peer.options.total_connection_timeout = Some(timeouts.connect);
        // How long an answer may take is watched by the edge loop, which tells its first byte from the next.
        peer.options.write_timeout = Some(timeouts.write_idle);
        peer.options.idle_timeout = Some(IDLE_UPSTREAM);
        Some(peer)
    }
}

/// Chooses the member of a pool that a request goes to, leaving out those it has tried.
#[must_use]
pub fn choose_member<'p>(
    pool: &'p PoolRuntime,
    admitted: &Admitted,
    headers: &HeaderMap,
) -> Option<Chosen<'p, Arc<MemberRuntime>>> {
    let address_key = nginx_address_key(admitted.origin.client);
    let key: Option<&[u8]> = match &pool.config.balance {
        Balance::RoundRobin => None,
        Balance::LeastConnections => {
            return choose(&pool.tiers, Pick::Least(pool.next_turn()), &admitted.tried);
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
    choose(&pool.tiers, pick, &admitted.tried)
}

/// How long an idle connection to an upstream is kept, below the 75 s that nginx keeps one.
const IDLE_UPSTREAM: Duration = Duration::from_secs(60);
