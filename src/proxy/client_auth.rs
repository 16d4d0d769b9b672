//! Certificates of clients on their way from the handshake to a request: which virtual host asks for one, what was
//! shown, and what that comes to for each request (W-23, W-24).
//!
//! A handshake asks by the name that the client greets with. A request that names a virtual host with other
//! settings is misdirected, in either direction: no connection carries an identity to where it was not asked
//! for, and none goes around a question. Chains are judged in `crypto::client_certificate`.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;

use crate::config::client_certificates::ClientCertificates;
use crate::config::client_certificates::ClientMode;
use crate::crypto::client_certificate::ClientCertificate;
use crate::crypto::client_certificate::ClientFault;
use crate::crypto::client_certificate::ClientTrust;
use crate::crypto::client_certificate::ClientTrustError;
use crate::crypto::client_certificate::escaped_pem;
use crate::decision::facts::ClientFacts;
use crate::decision::facts::TlsFacts;
use crate::decision::facts::Verified;
use crate::model::time::Timestamp;
use crate::proxy::context::ConnectionFacts;
use crate::proxy::context::Transport;
use crate::proxy::hosts::HostRuntime;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;

/// What virtual hosts ask of clients' certificates, ready. Those that ask the same share it.
#[derive(Debug)]
pub struct ClientAuth {
    /// As configured.
    pub config: ClientCertificates,
    /// Whose certificates are taken.
    pub trust: ClientTrust,
}

impl ClientAuth {
    /// Makes it ready.
    ///
    /// # Errors
    /// When the CA bundle or the revocation lists cannot be used.
    pub fn new(config: &ClientCertificates) -> Result<Self, ClientTrustError> {
        let (ca, crl) = (config.ca_pem.as_deref(), config.crl_pem.as_deref());
        Ok(Self {
            trust: ClientTrust::new(ca, crl, config.depth.into())?,
            config: config.clone(),
        })
    }

    /// What a chain, leaf first, comes to; that of a client without a certificate is empty.
    ///
    /// # Errors
    /// See [`ClientRefusal`].
    pub fn facts(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<ClientFacts, ClientRefusal> {
        let mode = self.config.mode;
        let Some(leaf) = chain.first() else {
            return match mode {
                ClientMode::Required => Err(ClientRefusal::Missing),
                ClientMode::Optional | ClientMode::OptionalUnverified => Ok(ClientFacts {
                    verified: Verified::None,
                    certificate: None,
                }),
            };
        };
        // One that cannot be read cannot be told to anybody.
        let certificate = ClientCertificate::read(leaf).ok_or(ClientFault::Malformed)?;
        let verified = match (self.trust.judge(chain, now), mode) {
            (Ok(()), _) => Verified::Success(Arc::new(certificate)),
            (Err(fault), ClientMode::OptionalUnverified) if fault.is_only_unknown() => {
                Verified::Failed(fault)
            }
            (Err(fault), _) => return Err(fault.into()),
        };
        Ok(ClientFacts {
            verified,
            certificate: Some(escaped_pem(leaf).into()),
        })
    }

    /// Whether requests are taken without TLS, where no certificate can be shown.
    ///
    /// # Errors
    /// [`ClientRefusal::Missing`] where one has to be.
    pub const fn without_tls(&self) -> Result<(), ClientRefusal> {
        match self.config.mode {
            ClientMode::Required => Err(ClientRefusal::Missing),
            ClientMode::Optional | ClientMode::OptionalUnverified => Ok(()),
        }
    }
}

/// Why a virtual host does not take what a client has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientRefusal {
    /// It has to be a certificate, and there is none.
    #[error("there is none")]
    Missing,
    /// It is not good.
    #[error(transparent)]
    NotGood(#[from] ClientFault),
}

/// What a client has said of itself in the handshake, on a listener where some virtual host asks.
#[derive(Debug)]
pub struct Greeting {
    /// The name that it came for, canonical.
    pub name: Option<Box<str>>,
    /// What it has shown, leaf first; absent where it was not asked.
    pub chain: Option<Vec<CertificateDer<'static>>>,
    /// What that came to last.
    judged: Mutex<Option<Judged>>,
}

/// What a chain came to, and by what.
#[derive(Clone, Debug)]
struct Judged {
    by: Arc<ClientAuth>,
    until: Timestamp,
    verdict: Result<Arc<TlsFacts>, ClientRefusal>,
}

impl Greeting {
    /// What a handshake has left.
    #[must_use]
    pub const fn new(name: Option<Box<str>>, chain: Option<Vec<CertificateDer<'static>>>) -> Self {
        Self {
            name,
            chain,
            judged: Mutex::new(None),
        }
    }

    /// What the chain comes to: looked at again when something else is asked, and every minute, since
    /// certificates and revocation lists expire.
    fn judge(
        &self,
        chain: &[CertificateDer<'static>],
        auth: &Arc<ClientAuth>,
        tls: &TlsFacts,
        now: Timestamp,
    ) -> Result<Arc<TlsFacts>, ClientRefusal> {
        let mut judged = self.judged.lock();
        let known = judged.as_ref();
        if let Some(known) = known.filter(|was| Arc::ptr_eq(&was.by, auth) && now < was.until) {
            return known.verdict.clone();
        }
        let verdict = auth.facts(chain, now).map(|client| {
            let client = Some(client);
            Arc::new(TlsFacts {
                client,
                ..tls.clone()
            })
        });
        *judged = Some(Judged {
            by: Arc::clone(auth),
            until: now.after(JUDGED_FOR),
            verdict: verdict.clone(),
        });
        verdict
    }
}

impl Serving {
    /// What a virtual host, or one that asks for nothing, is told of the client of a connection; nothing where it
    /// does not ask.
    ///
    /// # Errors
    /// [`Refusal::Misdirected`] where the handshake was for a virtual host with other settings, and the refusals of
    /// certificates that are missing or not good.
    pub(super) fn client_of(
        &self,
        connection: &ConnectionFacts,
        host: Option<&HostRuntime>,
    ) -> Result<Option<Arc<TlsFacts>>, Refusal> {
        if self.client_auths.is_empty() {
            return Ok(None);
        }
        let asks = host.and_then(|host| host.client_auth.as_ref());
        let (Some(tls), Transport::Tls) = (&connection.tls, connection.transport) else {
            let taken = asks.map_or(Ok(()), |auth| auth.without_tls());
            return taken
                .map(|()| None)
                .map_err(|why| self.uncertified(why, connection));
        };
        let greeting = connection.greeting.as_deref();
        let greeted = greeting
            .and_then(|greeting| self.host_at(greeting.name.as_deref()?, &connection.entrance));
        let asked = greeted.and_then(|host| host.client_auth.as_ref());
        match (asks, asked) {
            (None, None) => return Ok(None),
            (Some(asks), Some(asked)) if Arc::ptr_eq(asks, asked) => {}
            _ => return Err(Refusal::Misdirected),
        }
        // A connection from before the question was there: another one will be asked.
        let chain = greeting.and_then(|greeting| Some((greeting, greeting.chain.as_deref()?)));
        let (Some(auth), Some((greeting, chain))) = (asks, chain) else {
            return Err(Refusal::Misdirected);
        };
        let judged = greeting.judge(chain, auth, tls, self.clock.now());
        judged
            .map(Some)
            .map_err(|why| self.uncertified(why, connection))
    }

    fn uncertified(&self, why: ClientRefusal, connection: &ConnectionFacts) -> Refusal {
        let fault = match why {
            ClientRefusal::Missing => return Refusal::CertificateMissing,
            ClientRefusal::NotGood(fault) => fault,
        };
        let (client, reason) = (connection.peer.ip(), fault.to_string());
        if let Some(kept_back) = self.may_tell(client, &reason) {
            tracing::info!(%client, kept_back, %reason, "certificate of a client refused");
        }
        Refusal::CertificateRefused
    }
}

const JUDGED_FOR: Duration = Duration::from_mins(1);
