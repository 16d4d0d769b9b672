//! `listeners`: where connections are accepted, with which certificates.
//!
//! Only the kind of a PEM block is checked here; that a key belongs to its certificate is found when
//! the listener is built (`crypto`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use ipnet::IpNet;

use crate::config::Announcers;
use crate::config::Bind;
use crate::config::CertificateSource;
use crate::config::Http2;
use crate::config::Listener;
use crate::config::ListenerTls;
use crate::config::TlsVersion;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::config::problem::advice::Advice;
use crate::config::problem::listener::ListenerProblem;
use crate::decision::forwarded::is_trusted;
use crate::model::name::ListenerName;
use crate::model::secret::Secret;

/// The listeners of a file: the valid ones, and the names of all, so that a reference to a faulty
/// one is not a second fault.
#[derive(Default)]
pub(super) struct Listeners {
    pub(super) valid: Vec<Listener>,
    pub(super) names: Vec<String>,
    /// The line of each place that is bound.
    pub(super) binds: Binds,
    tls: Vec<Option<ListenerName>>,
}

/// The line of each place that is bound, by how it is shown.
pub(super) type Binds = BTreeMap<String, usize>;

impl Listeners {
    /// Whether any listener has TLS, be it a faulty one.
    pub(super) const fn offers_tls(&self) -> bool {
        !self.tls.is_empty()
    }

    /// Whether a virtual host bound to these names, none meaning all, is served with TLS.
    pub(super) fn serves_tls(&self, names: &[ListenerName]) -> bool {
        let serves =
            |name: &Option<ListenerName>| name.as_ref().is_none_or(|name| names.contains(name));
        self.tls.iter().any(|name| names.is_empty() || serves(name))
    }

    /// Whether a virtual host bound to these names, none meaning all, is served without TLS.
    pub(super) fn serves_plain(&self, names: &[ListenerName]) -> bool {
        let serves = |listener: &&Listener| names.is_empty() || names.contains(&listener.name);
        self.valid
            .iter()
            .filter(serves)
            .any(|listener| listener.tls.is_none())
    }
}

impl Reading<'_> {
    pub(super) fn listeners(&mut self, found: &Found<'_>, trusted: &[IpNet]) -> Listeners {
        let mut listeners = Listeners::default();
        let mut names = BTreeMap::new();
        for item in self.some_list(found).unwrap_or_default() {
            let Some(section) = self.section(&item, KEYS) else {
                continue;
            };
            let name = self.listener_name(&section, &mut names);
            let bind = self.listener_place(&section, &mut listeners.binds);
            let announcers = self.announcers(&section, bind.as_ref());
            self.check_one_client(&section, bind.as_ref(), trusted);
            let h2c = self.or(&section, "h2c", false, Self::switch);
            if h2c {
                self.exclusive(&section, "h2c", "tls");
            }
            let ready_path = section.get("ready_path");
            let ready_path = ready_path.and_then(|found| self.ready_path(found));
            let tls = section.get("tls").map(|found| self.listener_tls(found));
            if tls.is_some() {
                listeners.tls.push(name.clone());
            }
            listeners
                .names
                .extend(name.as_ref().map(|name| name.as_str().to_owned()));
            if let (Some(name), Some(bind)) = (name, bind)
                && tls.as_ref().is_none_or(Option::is_some)
            {
                listeners.valid.push(Listener {
                    name,
                    bind,
                    proxy_protocol: announcers,
                    h2c: offered(h2c),
                    tls: tls.flatten(),
                    ready_path,
                });
            }
        }
        listeners
    }

    fn listener_name(
        &mut self,
        section: &Section<'_>,
        seen: &mut BTreeMap<ListenerName, usize>,
    ) -> Option<ListenerName> {
        let found = self.required(section, "name")?;
        let name = self.name(found, "the name of a listener", ListenerName::parse)?;
        if let Some(first) = seen.get(&name) {
            let text = name.as_str().to_owned();
            self.fault(
                found,
                Problem::Duplicate {
                    what: "listener",
                    text,
                    first: *first,
                },
            );
        } else {
            seen.insert(name.clone(), found.node.at.line);
        }
        Some(name)
    }

    /// Where a listener accepts; two cannot do so in the same place.
    fn listener_place(&mut self, section: &Section<'_>, seen: &mut Binds) -> Option<Bind> {
        let mode = section.get("mode");
        let read = mode.map_or(Some(MODE), |found| self.mode(found));
        let found = self.required(section, "bind")?;
        let Some(path) = self.text(found)?.strip_prefix("unix:").map(str::to_owned) else {
            if let Some(mode) = mode {
                self.fault_at_key(mode, Problem::Listener(ListenerProblem::ModeOfAddress));
            }
            return self.listener_bind(section, seen).map(Bind::Tcp);
        };
        let folder = self.surroundings.folder;
        let path = self.shaped(
            found,
            ("a socket with its path", "unix:/run/portway/http.sock"),
            |_| {
                let path = folder.join(&path);
                let fits = !path.as_os_str().is_empty() && path.as_os_str().len() <= PATH_BYTES_MAX;
                (fits && path.file_name().is_some()).then_some(path)
            },
        )?;
        let bind = Bind::Unix { path, mode: read? };
        self.check_bind(found, &bind, seen);
        Some(bind)
    }

    /// The permissions of a file, as `chmod` takes them.
    fn mode(&mut self, found: &Found<'_>) -> Option<u32> {
        self.shaped(found, ("a file mode", "\"0660\""), |text| {
            let is_octal = (3..=4).contains(&text.len());
            let mode = u32::from_str_radix(text, 8).ok().filter(|_| is_octal)?;
            (mode <= 0o777).then_some(mode)
        })
    }

    /// An address to listen on; two cannot listen on the same.
    pub(super) fn listener_bind(
        &mut self,
        section: &Section<'_>,
        seen: &mut Binds,
    ) -> Option<SocketAddr> {
        let found = self.required(section, "bind")?;
        let bind = self.socket_address(found)?;
        self.check_bind(found, &Bind::Tcp(bind), seen);
        Some(bind)
    }

    /// Who announces clients by the PROXY protocol.
    fn announcers(&mut self, section: &Section<'_>, bind: Option<&Bind>) -> Option<Announcers> {
        let section = self.section(section.get("proxy_protocol")?, PROXY_PROTOCOL_KEYS)?;
        let from = section.get("from");
        match (bind?, from) {
            (Bind::Unix { .. }, None) => Some(Announcers::Anybody),
            (Bind::Unix { .. }, Some(from)) => {
                self.fault_at_key(from, Problem::Listener(ListenerProblem::SendersOfSocket));
                None
            }
            (Bind::Tcp(_), None) => {
                let missing = Problem::Listener(ListenerProblem::SendersMissing);
                self.fault(&section.found, missing);
                None
            }
            (Bind::Tcp(_), Some(from)) => {
                let items = self.some_list(from)?;
                self.each(&items, Self::network).map(Announcers::At)
            }
        }
    }

    /// Warns of a socket whose clients nobody tells apart.
    fn check_one_client(&mut self, section: &Section<'_>, bind: Option<&Bind>, trusted: &[IpNet]) {
        let is_told = section.get("proxy_protocol").is_some()
            || is_trusted(IpAddr::V4(Ipv4Addr::LOCALHOST), trusted);
        if let (Some(Bind::Unix { .. }), Some(found)) = (bind, section.get("bind"))
            && !is_told
        {
            self.advise(found, Advice::OneClient);
        }
    }

    /// Reports an address that is listened on already; `found` is where this one stands.
    pub(super) fn check_bind(&mut self, found: &Found<'_>, bind: &Bind, seen: &mut Binds) {
        let text = bind.to_string();
        if let Some(first) = seen.get(&text).filter(|_| !bind.is_any()) {
            self.fault(
                found,
                Problem::Duplicate {
                    what: "address",
                    text,
                    first: *first,
                },
            );
        } else {
            seen.insert(text, found.node.at.line);
        }
    }

    /// A path as a balancer writes it: exact, without a query.
    fn ready_path(&mut self, found: &Found<'_>) -> Option<String> {
        self.shaped(found, ("a path for balancers", "/ready"), |text| {
            let is_path = text.starts_with('/') && text.len() > 1;
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
            (is_path && text.bytes().all(is_plain)).then(|| text.to_owned())
        })
    }

    fn listener_tls(&mut self, found: &Found<'_>) -> Option<ListenerTls> {
        let section = self.section(found, TLS_KEYS)?;
        let http2 = self.or(&section, "http2", true, Self::switch);
        let min_version = self.or(&section, "min_version", TlsVersion::V12, |this, found| {
            this.word(found, TLS_VERSIONS)
        });
        let certificates = self.required(&section, "certificates")?;
        let items = self.some_list(certificates)?;
        let certificates = self.each(&items, Self::certificate)?;
        self.distinct_certificates(&items, &certificates);
        Some(ListenerTls {
            certificates,
            min_version,
            http2: offered(http2),
        })
    }

    fn certificate(&mut self, found: &Found<'_>) -> Option<CertificateSource> {
        let section = self.section(found, CERTIFICATE_KEYS)?;
        self.certificate_in(&section)
    }

    /// The certificate and the key of a section that may say other things too.
    pub(super) fn certificate_in(&mut self, section: &Section<'_>) -> Option<CertificateSource> {
        let chain = self.inline_or_file(
            section,
            "certificate",
            "certificate_file",
            CERTIFICATE_ONE_OF,
        );
        let key = self.inline_or_file(section, "key", "key_file", KEY_ONE_OF);
        if let Some((chain, bytes)) = &chain
            && !holds_block(bytes, &["CERTIFICATE"])
        {
            self.fault(chain, Problem::Pem("certificate"));
        }
        if let Some((key, bytes)) = &key {
            self.check_key(key, bytes);
        }
        let (chain_found, chain_pem) = chain?;
        let origin = match section.get("certificate_file") {
            Some(found) => self.text(found)?,
            None => chain_found.path,
        };
        let key_file = section.get("key_file");
        Some(CertificateSource {
            chain_pem,
            key_pem: Secret::new(key?.1),
            key_file: key_file.and_then(|found| self.path(found)),
            origin,
        })
    }

    /// Whether a file holds a private key that can be read.
    pub(super) fn check_key(&mut self, found: &Found<'_>, bytes: &[u8]) -> bool {
        let problem = if holds_block(bytes, &["ENCRYPTED PRIVATE KEY"]) {
            Problem::PemEncrypted
        } else if !holds_block(bytes, &["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]) {
            Problem::Pem("private key")
        } else {
            return true;
        };
        self.fault(found, problem);
        false
    }

    /// The bytes of a value that is written in place or in a file.
    pub(super) fn inline_or_file<'n>(
        &mut self,
        section: &Section<'n>,
        inline: &'static str,
        file: &'static str,
        one_of: &'static [&'static str],
    ) -> Option<(Found<'n>, Vec<u8>)> {
        self.exclusive(section, inline, file);
        match (section.get(inline), section.get(file)) {
            (Some(found), _) => self
                .text(found)
                .map(|text| (found.clone(), text.into_bytes())),
            (None, Some(found)) => self.file(found).map(|bytes| (found.clone(), bytes)),
            (None, None) => {
                self.fault(&section.found, Problem::MissingOneOf(one_of));
                None
            }
        }
    }

    /// The certificates of those who vouch for others, as PEM; the inner `None` where there are none.
    pub(super) fn authorities(&mut self, section: &Section<'_>) -> Option<Option<Vec<u8>>> {
        if section.first_of(CA_KEYS).is_none() {
            return Some(None);
        }
        let (found, pem) = self.inline_or_file(section, "ca", "ca_file", CA_KEYS)?;
        if !holds_block(&pem, &["CERTIFICATE"]) {
            self.fault(&found, Problem::Pem("certificate"));
            return None;
        }
        Some(Some(pem))
    }

    fn distinct_certificates(&mut self, items: &[Found<'_>], sources: &[CertificateSource]) {
        let mut seen: BTreeMap<&[u8], usize> = BTreeMap::new();
        for (item, source) in items.iter().zip(sources) {
            if let Some(first) = seen.get(source.chain_pem.as_slice()) {
                let text = source.origin.clone();
                self.fault(
                    item,
                    Problem::Duplicate {
                        what: "certificate",
                        text,
                        first: *first,
                    },
                );
            } else {
                seen.insert(&source.chain_pem, item.node.at.line);
            }
        }
    }
}

/// Whether a PEM text holds a block with one of these labels.
pub(super) fn holds_block(pem: &[u8], labels: &[&str]) -> bool {
    let text = String::from_utf8_lossy(pem);
    labels.iter().any(|label| {
        text.contains(&format!("-----BEGIN {label}-----"))
            && text.contains(&format!("-----END {label}-----"))
    })
}

const fn offered(switch: bool) -> Http2 {
    if switch { Http2::Offered } else { Http2::Off }
}

pub(super) const KEYS: &[&str] = &[
    "bind",
    "h2c",
    "mode",
    "name",
    "proxy_protocol",
    "ready_path",
    "tls",
];
pub(super) const PROXY_PROTOCOL_KEYS: &[&str] = &["from"];
pub(super) const TLS_KEYS: &[&str] = &["certificates", "http2", "min_version"];
const TLS_VERSIONS: &[(&str, TlsVersion)] =
    &[("TLSv1.2", TlsVersion::V12), ("TLSv1.3", TlsVersion::V13)];
pub(super) const CERTIFICATE_KEYS: &[&str] =
    &["certificate", "certificate_file", "key", "key_file"];
pub(super) const CA_KEYS: &[&str] = &["ca", "ca_file"];
const CERTIFICATE_ONE_OF: &[&str] = &["certificate", "certificate_file"];
/// Its owner and group may connect.
const MODE: u32 = 0o660;
/// What the system takes, with room for what is put beside the socket while it is made.
const PATH_BYTES_MAX: usize = 100;
const KEY_ONE_OF: &[&str] = &["key", "key_file"];
