//! Connecting to an address of a peer: name, TCP, TLS, HTTP/2, and the opening in which both ends say who
//! they are and prove it (MDC-SEC-1…4).
//!
//! A connection that comes out of here is proven at both ends, and the other end is alive: it has answered.
//! When to connect is `address`'s matter.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::overheard::Overheard;
use crate::backchannel::connection::Connection;
use crate::backchannel::connection::KeepAlive;
use crate::backchannel::connection::PostError;
use crate::backchannel::trust::Trust;
use crate::backchannel::wire;
use crate::backchannel::wire::Code;
use crate::backchannel::wire::WireError;
use crate::config::mdc::PeerTls;
use crate::crypto::peer_proof::ConnectionKeys;
use crate::crypto::peer_proof::Opening;
use crate::crypto::peer_proof::PROOF_BYTES;
use crate::crypto::peer_proof::Side;
use crate::crypto::peer_tls;
use crate::crypto::peer_tls::OddCertificate;
use crate::crypto::peer_tls::PeerTlsError;
use crate::crypto::peer_tls::Proven;
use crate::crypto::pki::node_name::NodeName;
use crate::model::peer::Silence;
use crate::model::secret::Secret;
use crate::ports::entropy::Entropy;
use crate::ports::resolver::ResolveError;
use crate::ports::resolver::Resolver;

mod overheard;

/// Connects to peers.
pub(super) struct Dialler {
    /// This node.
    pub(super) own: NodeName,
    /// How both ends prove who they are.
    pub(super) proof: Proof,
    /// How long connecting may take, the opening included.
    pub(super) timeout: Duration,
    /// How connections are kept alive.
    pub(super) keep_alive: KeepAlive,
    /// Where nonces come from.
    pub(super) entropy: Arc<dyn Entropy>,
    /// Who knows the addresses of names.
    pub(super) resolver: Arc<dyn Resolver>,
}

/// How both ends prove who they are.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// By a password that both know (MDC-SEC-1).
    Password(Secret),
    /// By certificates (MDC-SEC-2, MDC-SEC-3).
    Tls {
        /// What is believed.
        trust: Arc<Trust>,
        /// Which files of it.
        files: PeerTls,
    },
}

/// Where to connect to, and whom to expect there.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Who must prove to be there.
    pub(super) node: NodeName,
    /// A host name or an IP address, without brackets.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("the address is not known")]
    Resolve(#[from] ResolveError),
    #[error("the name has no addresses")]
    Nowhere,
    #[error("{address} cannot be connected to")]
    Connect {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("connecting took too long")]
    TimedOut,
    #[error("the certificates cannot be used")]
    Settings(#[source] PeerTlsError),
    #[error("the other end does not speak TLS; the security mode must be the same at both ends")]
    NotTls(#[source] io::Error),
    #[error("the other end's certificate is not accepted, or TLS failed")]
    Tls(#[source] io::Error),
    #[error("the other end's certificate names no node")]
    Certificate(#[source] OddCertificate),
    #[error("the other end does not accept this node's certificate: {0}")]
    CertificateRefused(rustls::Error),
    #[error("the connection broke before it was open")]
    Broken(#[source] PostError),
    #[error("the other end turned the connection away: {0}")]
    Refused(Code),
    #[error("{0} answers at this address")]
    WrongNode(NodeName),
    #[error("the other end did not prove that it knows the password")]
    NotProven,
    #[error("the other end does not speak the protocol")]
    Wire(#[from] WireError),
}

impl DialError {
    /// Whether this is no answer, or the answer that this is not the place (S-8).
    pub(super) const fn silence(&self) -> Silence {
        match self {
            Self::Resolve(_) | Self::Nowhere | Self::Connect { .. } | Self::Broken(_) => {
                Silence::Unreachable
            }
            Self::TimedOut => Silence::TimedOut,
            Self::Refused(Code::Busy) => Silence::Busy,
            Self::Certificate(_)
            | Self::CertificateRefused(_)
            | Self::NotProven
            | Self::NotTls(_)
            | Self::Refused(_)
            | Self::Settings(_)
            | Self::Tls(_)
            | Self::Wire(_)
            | Self::WrongNode(_) => Silence::Protocol,
        }
    }
}

impl Dialler {
    /// Connects. The addresses of a name are tried one after the other, beginning at the `turn`th.
    ///
    /// # Errors
    /// See [`DialError`].
    pub(super) async fn dial(&self, target: &Target, turn: usize) -> Result<Connection, DialError> {
        let dialling = self.dial_unbounded(target, turn);
        let dialled = tokio::time::timeout(self.timeout, dialling).await;
        dialled.unwrap_or(Err(DialError::TimedOut))
    }

    async fn dial_unbounded(&self, target: &Target, turn: usize) -> Result<Connection, DialError> {
        let stream = self.connect(target, turn).await?;
        match &self.proof {
            Proof::Password(password) => {
                let connection = Connection::open(stream, self.keep_alive).await;
                let mut connection = connection.map_err(broken)?;
                let keys = self.prove(&connection, target, password).await?;
                connection.sign_with(keys);
                Ok(connection)
            }
            Proof::Tls { trust, files } => {
                let config = trust.client(files, target.node.clone());
                let config = config.map_err(DialError::Settings)?;
                let name = server_name(&target.host);
                let stream = TlsConnector::from(config).connect(name, stream).await;
                let stream = stream.map_err(not_accepted)?;
                let proven = proven_by(&stream).map_err(DialError::Certificate)?;
                let (stream, heard) = Overheard::new(stream);
                let opened = self.open_over(stream, target).await;
                // In TLS 1.3 the other end's word on our certificate comes after the handshake, as an
                // alert in place of what it would have said.
                let mut connection = opened.map_err(|error| match heard.lock().take() {
                    Some(refused) => DialError::CertificateRefused(refused),
                    None => error,
                })?;
                connection.trust_until(proven.until);
                Ok(connection)
            }
        }
    }

    async fn open_over(
        &self,
        stream: Overheard<TlsStream<TcpStream>>,
        target: &Target,
    ) -> Result<Connection, DialError> {
        let connection = Connection::open(stream, self.keep_alive).await;
        let connection = connection.map_err(broken)?;
        self.introduce(&connection, target, None).await?;
        Ok(connection)
    }

    async fn connect(&self, target: &Target, turn: usize) -> Result<TcpStream, DialError> {
        let resolved = self.resolver.resolve(&target.host).await?.addresses;
        let mut failed = DialError::Nowhere;
        let start = turn.checked_rem(resolved.len()).unwrap_or_default();
        for ip in resolved.iter().cycle().skip(start).take(resolved.len()) {
            let address = SocketAddr::new(*ip, target.port);
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Questions are small and somebody waits for each.
                    stream.set_nodelay(true).ok();
                    return Ok(stream);
                }
                Err(source) => failed = DialError::Connect { address, source },
            }
        }
        Err(failed)
    }

    /// Says who this is and whom it means, and hears who is there.
    async fn introduce(
        &self,
        connection: &Connection,
        target: &Target,
        nonce: Option<[u8; PROOF_BYTES]>,
    ) -> Result<wire::Opening, DialError> {
        let opening = wire::Opening {
            from: self.own.clone(),
            to: target.node.clone(),
            nonce,
        };
        let answer = connection.post(wire::OPEN_PATH, opening.enclose()?).await;
        let answer = wire::Opening::read(&answer.map_err(turned_away)?)?;
        if answer.from != target.node {
            return Err(DialError::WrongNode(answer.from));
        }
        Ok(answer)
    }

    /// Proves the password, and has the other end prove it; this end first, so that whoever merely
    /// connects learns nothing to guess at.
    async fn prove(
        &self,
        connection: &Connection,
        target: &Target,
        password: &Secret,
    ) -> Result<ConnectionKeys, DialError> {
        let mut nonce = [0; PROOF_BYTES];
        self.entropy.fill(&mut nonce);
        let heard = self.introduce(connection, target, Some(nonce)).await?;
        let opening = Opening {
            dialler: self.own.clone(),
            listener: target.node.clone(),
            dialler_nonce: nonce,
            listener_nonce: heard.nonce.ok_or(DialError::NotProven)?,
        };
        let keys = ConnectionKeys::new(password, &opening);
        let proof = wire::enclose_proof(keys.prove(Side::Dialler))?;
        let answer = connection.post(wire::PROVE_PATH, proof).await;
        let proof = wire::read_proof(&answer.map_err(turned_away)?)?;
        if keys.is_proof(Side::Listener, &proof) {
            Ok(keys)
        } else {
            Err(DialError::NotProven)
        }
    }
}

impl std::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialler")
            .field("own", &self.own)
            .field("proof", &self.proof)
            .finish_non_exhaustive()
    }
}

fn broken(error: hyper::Error) -> DialError {
    DialError::Broken(PostError::Broken(error))
}

fn turned_away(error: PostError) -> DialError {
    match error {
        PostError::Refused(code) => DialError::Refused(code),
        PostError::Body(_)
        | PostError::Broken(_)
        | PostError::Expired
        | PostError::Unsent(_)
        | PostError::Unsigned
        | PostError::Unwritable(_) => DialError::Broken(error),
    }
}

/// Sorts what a failed handshake says. A plain listener of ours answers with one alert of its own; other
/// programs with something that is no TLS at all.
fn not_accepted(error: io::Error) -> DialError {
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match rustls {
        Some(rustls::Error::InvalidMessage(_))
        | Some(rustls::Error::AlertReceived(rustls::AlertDescription::InsufficientSecurity)) => {
            DialError::NotTls(error)
        }
        Some(_) => DialError::Tls(error),
        None => DialError::Broken(PostError::Body(error.to_string())),
    }
}

/// Whom the certificate names that the handshake has verified.
fn proven_by(stream: &TlsStream<TcpStream>) -> Result<Proven, OddCertificate> {
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    peer_tls::proven(leaf.ok_or(OddCertificate::Nameless)?)
}

/// A name for the handshake; nobody is verified by it.
fn server_name(host: &str) -> ServerName<'static> {
    let fallback = || ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    ServerName::try_from(host.to_owned()).unwrap_or_else(|_| fallback())
}
