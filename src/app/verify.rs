//! Whether the files can be used that a configuration names: certificates by their listener, with their key;
//! the CAs and revocation lists for clients; the CAs and client certificates of pools; the users; the certificates
//! of the back-channel, by this node and still.
//!
//! The rooms that use them check the same when they start, and refuse to. Here it is said before, all at once,
//! by `portway check` and by a reload alike.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use crate::app::places;
use crate::app::pools::connector;
use crate::config::Config;
use crate::config::Probe;
use crate::config::client_certificates::ClientCertificates;
use crate::config::mdc::EngineSource;
use crate::config::mdc::PeerTls;
use crate::config::mdc::Security;
use crate::crypto::peer_tls::PeerMaterial;
use crate::crypto::peer_tls::PeerPem;
use crate::crypto::pki::node_name::NodeName;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::provider::openid::OpenId;
use crate::provider::users_file::document;
use crate::proxy::client_auth::ClientAuth;
use crate::proxy::connect::PeerTemplate;
use crate::proxy::tls;

/// Everything that would keep a node from starting, each as a message in the form of a fault.
pub(crate) fn unstartable(config: &Config, now: Timestamp) -> Vec<String> {
    let mut all = places::before_start(config);
    all.extend(unusable(config, now));
    all
}

/// Every set of files that cannot be used, each as a message in the form of a fault.
pub(crate) fn unusable(config: &Config, now: Timestamp) -> Vec<String> {
    let mut all = listeners(config);
    all.extend(clients(config));
    all.extend(pools(config));
    all.extend(users(config));
    all.extend(providers(config));
    all.extend(back_channel(config, now));
    all.extend(places::of_logs(config));
    all
}

fn providers(config: &Config) -> Vec<String> {
    let faulty = config.providers.iter().filter_map(|provider| {
        let error = OpenId::check(provider).err()?;
        let (store, said) = (&provider.store, chain_of(&error));
        Some(format!(
            "error: the provider {store} cannot be used: {said}\n"
        ))
    });
    faulty.collect()
}

fn listeners(config: &Config) -> Vec<String> {
    let provider = rustls::crypto::ring::default_provider();
    let with_tls = config.listeners.iter().filter_map(|listener| {
        let tls = listener.tls.as_ref()?;
        Some((listener, tls::table(tls, &provider).err()?))
    });
    with_tls
        .map(|(listener, error)| {
            let said = chain_of(&error);
            format!(
                "error: the listener {} cannot have TLS: {said}\n",
                listener.name
            )
        })
        .collect()
}

fn clients(config: &Config) -> Vec<String> {
    let hosts = config.virtual_hosts.iter();
    // Revocation lists take a while to read: those of several hosts are read once.
    let mut read: Vec<&ClientCertificates> = Vec::new();
    let refused = hosts.filter_map(|host| {
        let asks = host.client_certificates.as_ref()?;
        if read.contains(&asks) {
            return None;
        }
        read.push(asks);
        let error = ClientAuth::new(asks).err()?;
        let name = host.hosts.first().map(ToString::to_string);
        let said = chain_of(&error);
        Some(format!(
            "error: certificates of the clients of {} cannot be judged: {said}\n",
            name.unwrap_or_default()
        ))
    });
    refused.collect()
}

fn pools(config: &Config) -> Vec<String> {
    let refused = config.pools.values().filter_map(|pool| {
        let error = PeerTemplate::new(pool).err()?;
        Some(format!("error: {}\n", chain_of(&error)))
    });
    let checks = config.pools.values().filter_map(|pool| {
        let own = pool.health_check.as_ref().map(|check| &check.probe);
        let Some(Probe::Tls(_)) = own else {
            return None;
        };
        let error = connector(pool)?.err()?;
        let (name, said) = (&pool.name, chain_of(&error));
        Some(format!(
            "error: the health check of the pool {name} cannot speak TLS: {said}\n"
        ))
    });
    refused.chain(checks).collect()
}

/// A users file that is not there yet is no fault: `portway users add` makes it.
fn users(config: &Config) -> Option<String> {
    let file = &config.authentication.as_ref()?.users_file;
    if matches!(file.try_exists(), Ok(false)) {
        return None;
    }
    let said = chain_of(&document::load(file).err()?);
    let file = file.display();
    Some(format!(
        "error: the users file {file} cannot be used: {said}\n"
    ))
}

fn back_channel(config: &Config, now: Timestamp) -> Vec<String> {
    let mut sets: Vec<&PeerTls> = Vec::new();
    for files in securities(config).into_iter().filter_map(files_of) {
        if !sets.contains(&files) {
            sets.push(files);
        }
    }
    let own = own_name(config);
    sets.into_iter()
        .filter_map(|files| Some(message(files, &fault(files, &own, now)?)))
        .collect()
}

fn securities(config: &Config) -> Vec<&Security> {
    let remote = match &config.engine {
        EngineSource::Embedded => None,
        EngineSource::Remote(engine) => Some(&engine.security),
    };
    let several = config.mdc.iter().flat_map(|mdc| {
        let peers = mdc.peers.iter().map(|peer| &peer.security);
        std::iter::once(&mdc.back_channel.security).chain(peers)
    });
    remote.into_iter().chain(several).collect()
}

const fn files_of(security: &Security) -> Option<&PeerTls> {
    match security {
        Security::Cert(files) | Security::Simple(files) => Some(files),
        Security::Open => None,
    }
}

/// Who this node has to be.
fn own_name(config: &Config) -> NodeName {
    match &config.engine {
        EngineSource::Embedded => NodeName::Engine(config.cluster.clone()),
        EngineSource::Remote(engine) => NodeName::Gate(engine.name.clone()),
    }
}

/// Why files cannot be used, if they cannot.
fn fault(files: &PeerTls, own: &NodeName, now: Timestamp) -> Option<String> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
    };
    let contents = read(&files.certificate_file).and_then(|chain| {
        let key = Secret::new(read(&files.key_file)?);
        Ok((chain, key, read(&files.ca_file)?))
    });
    let (chain, key, authority) = match contents {
        Ok(contents) => contents,
        Err(said) => return Some(said),
    };
    let pem = PeerPem {
        chain: &chain,
        key: &key,
        authority: &authority,
    };
    match PeerMaterial::new(&pem, own) {
        Err(error) => Some(chain_of(&error)),
        Ok(material) if material.own().until <= now => Some("the certificate has expired".into()),
        Ok(_) => None,
    }
}

/// An error with its causes, in one line.
pub(super) fn chain_of(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _infallible = write!(said, ": {error}");
        cause = error.source();
    }
    said
}

fn message(files: &PeerTls, said: &str) -> String {
    let (certificate, key) = (&files.certificate_file, &files.key_file);
    format!(
        "error: the back-channel cannot use its files: {said}\n  --> {}, {}, {}\n",
        certificate.display(),
        key.display(),
        files.ca_file.display()
    )
}

#[cfg(test)]
mod tests {
    use rcgen::BasicConstraints;
    use rcgen::CertificateParams;
    use rcgen::IsCa;
    use rcgen::Issuer;
    use rcgen::KeyPair;
    use rcgen::SanType;

    use super::*;
    use crate::config::load::load;

    #[test]
    fn a_node_with_a_certificate_of_its_own_is_well_mdc_sec_3() {
        let folder = Folder::with("portway://nydc");
        assert_eq!(folder.unusable(NOW), Vec::<String>::new());
    }

    #[test]
    fn a_certificate_of_another_data_centre_is_refused_once_mdc_sec_4() {
        let said = Folder::with("portway://ldc").unusable(NOW);
        assert_eq!(said.len(), 1, "{said:?}");
        let words = "the certificate is for portway://ldc, but this node is portway://nydc";
        assert!(said[0].contains(words), "{said:?}");
    }

    #[test]
    fn keys_and_users_that_no_start_would_take_are_refused_all_at_once() {
        let folder = Folder::with("portway://nydc");
        folder.write("other.key", &KeyPair::generate().unwrap().serialize_pem());
        folder.write("users.yaml", "users: [{ name: alice }]\n");
        let tls = "tls: { certificates: [{ certificate_file: node.pem, key_file: other.key }] }";
        let hosts = HOSTS.replace(
            "bind: '127.0.0.1:0'",
            &format!("bind: '127.0.0.1:0', {tls}"),
        );
        let users = "authentication: { users_file: users.yaml }\n";
        folder.write("gateway.yaml", &format!("{hosts}{users}"));
        let said = folder.unusable(NOW);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].contains("the private key does not belong"),
            "{said:?}"
        );
        assert!(said[1].contains("users.yaml"), "{said:?}");
        std::fs::remove_file(folder.0.path().join("users.yaml")).unwrap();
        assert_eq!(folder.unusable(NOW).len(), 1, "users may come later");
    }

    #[test]
    fn a_gate_needs_the_certificate_of_a_gate() {
        let folder = Folder::with("portway://edge-1");
        folder.write("gateway.yaml", &format!("{HOSTS}{GATE}"));
        assert_eq!(folder.unusable(NOW).len(), 1);
        let folder = Folder::with("portway-gate://edge-1");
        folder.write("gateway.yaml", &format!("{HOSTS}{GATE}"));
        assert_eq!(folder.unusable(NOW), Vec::<String>::new());
    }

    /// M-037
    #[test]
    fn a_key_of_another_certificate_a_bad_authority_and_an_old_certificate_are_refused() {
        let folder = Folder::with("portway://nydc");
        let far = Timestamp::from_millis(u64::MAX);
        assert!(folder.unusable(far)[0].contains("the certificate has expired"));
        let leaf = std::fs::read_to_string(folder.0.path().join("node.pem")).unwrap();
        folder.write("ca.pem", &leaf);
        assert!(folder.unusable(NOW)[0].contains("no CA's"));
        folder.write("node.key", &KeyPair::generate().unwrap().serialize_pem());
        let said = folder.unusable(NOW);
        assert!(said[0].contains("does not belong"), "{said:?}");
    }

    /// A folder with a configuration, a certificate that carries this name, and the CA that made it.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(name: &str) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            let mut authority = CertificateParams::default();
            authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let authority_key = KeyPair::generate().unwrap();
            let root = authority.self_signed(&authority_key).unwrap();
            let mut leaf = CertificateParams::default();
            leaf.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
            let key = KeyPair::generate().unwrap();
            let issuer = Issuer::new(authority, authority_key);
            let leaf = leaf.signed_by(&key, &issuer).unwrap();
            folder.write("node.pem", &leaf.pem());
            folder.write("node.key", &key.serialize_pem());
            folder.write("ca.pem", &root.pem());
            folder.write("gateway.yaml", &format!("{HOSTS}{SEVERAL}"));
            folder
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.path().join(name), text).unwrap();
        }

        fn unusable(&self, now: Timestamp) -> Vec<String> {
            let config = load(&self.0.path().join("gateway.yaml")).unwrap();
            unusable(&config, now)
        }
    }

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    const HOSTS: &str = "cluster_id: nydc
listeners: [{ name: http, bind: '127.0.0.1:0' }]
pools: { app: { primary: ['10.0.0.1:80'] } }
virtual_hosts:
  - host: app.example.com
    plain_http: serve
    routes: [{ path: /, access: excluded, pool: app }]
";
    const SEVERAL: &str = "mdc:
  back_channel: { bind: '127.0.0.1:0', certificate_file: node.pem, key_file: node.key, ca_file: ca.pem }
  peers:
    - { cluster_id: ldc, primary: ['127.0.0.1:5576'] }
    - { cluster_id: tkdc, primary: ['127.0.0.1:5577'] }
";
    const GATE: &str = "engine:
  remote:
    name: edge-1
    primary: [{ cluster_id: nydc, address: '127.0.0.1:5575' }]
    certificate_file: node.pem
    key_file: node.key
    ca_file: ca.pem
";
}
