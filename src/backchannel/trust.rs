//! The certificates of this node and the CAs it believes, read again when their files change
//! (MDC-SEC-2, MDC-SEC-3).
//!
//! What is wrong with a file keeps a node from starting; later it changes nothing, and the last good state
//! goes on. Reading files is the caller's: `read` comes in. What a certificate must say is
//! `crypto::peer_tls`'s.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::ServerConfig;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use sha2::Digest;
use sha2::Sha256;
use tokio::sync::watch;

use crate::config::mdc::PeerTls;
use crate::config::mdc::Security;
use crate::crypto::peer_tls;
use crate::crypto::peer_tls::PeerMaterial;
use crate::crypto::peer_tls::PeerPem;
use crate::crypto::peer_tls::PeerTlsError;
use crate::crypto::peer_tls::Proven;
use crate::crypto::pki::node_name::NodeName;
use crate::model::secret::Secret;
use crate::ports::clock::Clock;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What is in the files cannot be used.
    #[error("{} with {} and {} cannot be used for the back-channel", files.certificate_file.display(), files.key_file.display(), files.ca_file.display())]
    Unusable {
        /// The files.
        files: Box<PeerTls>,
        /// Why.
        #[source]
        source: PeerTlsError,
    },
}

/// Whether files were taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// They have changed and are in use.
    Changed,
    /// They are as they were.
    Unchanged,
}

/// What this node shows, and whom it believes.
pub(super) struct Trust {
    own: NodeName,
    time: Arc<dyn TimeProvider>,
    /// The sets of files in use, each once.
    files: Vec<PeerTls>,
    /// Which of them each caller is judged by.
    callers: HashMap<NodeName, usize>,
    in_use: ArcSwap<InUse>,
    /// What the files held when they were read last, so that one fault is told of once.
    seen: Mutex<[u8; 32]>,
    changes: watch::Sender<u64>,
}

struct InUse {
    materials: Vec<PeerMaterial>,
    server: Option<Arc<ServerConfig>>,
}

impl Trust {
    /// Reads and checks the files. `own_security` comes first, so that callers nobody knows are judged by
    /// it.
    ///
    /// # Errors
    /// When a file is missing, or what it holds cannot be used: a node never starts without its CA.
    pub(super) fn new(
        own: NodeName,
        securities: &[(Option<NodeName>, &Security)],
        clock: &Arc<dyn Clock>,
        read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, TrustError> {
        let mut files: Vec<PeerTls> = Vec::new();
        let mut callers = HashMap::new();
        for (caller, security) in securities {
            let Some(wanted) = files_of(security) else {
                continue;
            };
            let known = files.iter().position(|known| known == wanted);
            let place = known.unwrap_or_else(|| {
                files.push(wanted.clone());
                files.len() - 1
            });
            if let Some(caller) = caller {
                callers.insert(caller.clone(), place);
            }
        }
        let time: Arc<dyn TimeProvider> = Arc::new(ClockTime(Arc::clone(clock)));
        let contents = contents(&files, read)?;
        let in_use = InUse::new(&own, &files, &contents, &callers, &time)?;
        Ok(Self {
            own,
            time,
            files,
            callers,
            in_use: ArcSwap::from_pointee(in_use),
            seen: Mutex::new(digest(&contents)),
            changes: watch::Sender::new(0),
        })
    }

    /// Reads the files again and takes them over if they are good.
    ///
    /// # Errors
    /// When they are not; everything goes on as before, and the same fault is not told of again.
    pub(super) fn reload(
        &self,
        read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<Reloaded, TrustError> {
        let mut seen = self.seen.lock();
        let contents = match contents(&self.files, read) {
            Ok(contents) => contents,
            // While a file is being replaced there may be none for a moment; the same absence is told
            // of once.
            Err(_) if *seen == ABSENT => return Ok(Reloaded::Unchanged),
            Err(error) => {
                *seen = ABSENT;
                return Err(error);
            }
        };
        let digest = digest(&contents);
        if digest == *seen {
            return Ok(Reloaded::Unchanged);
        }
        *seen = digest;
        let in_use = InUse::new(&self.own, &self.files, &contents, &self.callers, &self.time)?;
        self.in_use.store(Arc::new(in_use));
        self.changes.send_modify(|count| *count += 1);
        Ok(Reloaded::Changed)
    }

    /// The settings for connecting to `expected` with these files.
    ///
    /// # Errors
    /// When the TLS library refuses them.
    pub(super) fn client(
        &self,
        files: &PeerTls,
        expected: NodeName,
    ) -> Result<Arc<ClientConfig>, PeerTlsError> {
        let in_use = self.in_use.load();
        let mut pairs = self.files.iter().zip(&in_use.materials);
        let found = pairs.find(|(known, _)| *known == files);
        let (_, material) = found.ok_or_else(|| {
            PeerTlsError::Library(rustls::Error::General("unknown files".to_owned()))
        })?;
        let config = material.client(expected, Arc::clone(&self.time))?;
        Ok(Arc::new(config))
    }

    /// The settings for accepting connections; none where nobody speaks TLS.
    pub(super) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.in_use.load().server.clone()
    }

    /// The own certificates.
    pub(super) fn own(&self) -> Vec<Proven> {
        let in_use = self.in_use.load();
        let own = in_use.materials.iter().map(PeerMaterial::own);
        own.cloned().collect()
    }

    /// Tells of changes, so that connections made before are replaced.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl InUse {
    fn new(
        own: &NodeName,
        files: &[PeerTls],
        contents: &[Contents],
        callers: &HashMap<NodeName, usize>,
        time: &Arc<dyn TimeProvider>,
    ) -> Result<Self, TrustError> {
        let unusable = |files: &PeerTls, source| TrustError::Unusable {
            files: Box::new(files.clone()),
            source,
        };
        let pairs = files.iter().zip(contents);
        let materials = pairs.map(|(files, contents)| {
            contents
                .material(own)
                .map_err(|error| unusable(files, error))
        });
        let materials = materials.collect::<Result<Vec<_>, _>>()?;
        let server = files.first().map(|first| {
            peer_tls::server(&materials, callers, Arc::clone(time))
                .map_err(|error| unusable(first, error))
        });
        Ok(Self {
            server: server.transpose()?.map(Arc::new),
            materials,
        })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("own", &self.own)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// What one set of files holds.
struct Contents {
    chain: Vec<u8>,
    key: Secret,
    authority: Vec<u8>,
}

impl Contents {
    fn material(&self, own: &NodeName) -> Result<PeerMaterial, PeerTlsError> {
        let pem = PeerPem {
            chain: &self.chain,
            key: &self.key,
            authority: &self.authority,
        };
        PeerMaterial::new(&pem, own)
    }
}

fn contents(
    files: &[PeerTls],
    read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Vec<Contents>, TrustError> {
    let read = |path: &PathBuf| {
        read(path).map_err(|source| TrustError::Unreadable {
            path: path.clone(),
            source,
        })
    };
    let one = |files: &PeerTls| {
        Ok(Contents {
            chain: read(&files.certificate_file)?,
            key: Secret::new(read(&files.key_file)?),
            authority: read(&files.ca_file)?,
        })
    };
    files.iter().map(one).collect()
}

fn digest(contents: &[Contents]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let parts = contents
        .iter()
        .flat_map(|one| [one.chain.as_slice(), one.key.expose(), &one.authority]);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The files that a mode needs.
pub(super) const fn files_of(security: &Security) -> Option<&PeerTls> {
    match security {
        Security::Cert(files) | Security::Simple(files) => Some(files),
        Security::Open => None,
    }
}

/// The clock, as the TLS library asks for it.
struct ClockTime(Arc<dyn Clock>);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = self.0.now().as_millis();
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}

/// Stands for files that could not be read.
const ABSENT: [u8; 32] = [0; 32];
