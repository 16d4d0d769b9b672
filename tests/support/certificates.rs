//! A certificate authority for one run, and certificates made by it.

use std::sync::Arc;
use std::sync::OnceLock;

use rcgen::BasicConstraints;
use rcgen::Certificate;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rustls::ClientConfig;
use rustls::RootCertStore;

/// The names that a gateway's certificate is made for unless a test says otherwise.
pub(crate) const NAMES: &[&str] = &[
    "login.test",
    "app.test",
    "other.test",
    "third.test",
    "admin.test",
    "*.apps.test",
    "localhost",
    "login.emm.wso2.com",
    "work.emm.wso2.com",
    "ssl.work.emm.wso2.com",
    "mgt.emm.wso2.com",
    "keymgt.emm.wso2.com",
    "login.portway.localhost",
    "app.portway.localhost",
    "mail.portway.localhost",
];

/// A certificate chain and its key, as PEM.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Makes a certificate for these names.
pub(crate) fn issue(names: &[&str]) -> Issued {
    issue_until(names, (4000, 1, 1))
}

/// Makes a certificate for these names that is good until a day.
pub(crate) fn issue_until(names: &[&str], (year, month, day): (i32, u8, u8)) -> Issued {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.not_after = rcgen::date_time_ymd(year, month, day);
    params
        .distinguished_name
        .push(DnType::CommonName, names[0].clone());
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority().issuer).unwrap();
    Issued {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// The authority's own certificate, as PEM.
pub(crate) fn authority_pem() -> String {
    authority().certificate.pem()
}

/// A client that trusts the authority and offers these application protocols.
pub(crate) fn client(protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority().certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Authority of the tests");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Authority {
            certificate,
            issuer: Issuer::new(params, key),
        }
    })
}

/// The bytes of a certificate that is given as PEM.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;

    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}
