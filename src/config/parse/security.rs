//! How the ends of a back-channel prove who they are, with which files and passwords, and how far clear
//! text may go.
//!
//! Files are only looked at here; the back-channel reads them when it starts and follows them from then
//! on. Whether a key belongs to its certificate is `crypto`.

use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;

use crate::config::mdc::NodeAddress;
use crate::config::mdc::PeerTls;
use crate::config::mdc::Security;
use crate::config::parse::FILE_BYTES_MAX;
use crate::config::parse::listener::holds_block;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::config::problem::advice::Advice;
use crate::config::problem::mdc::MdcProblem;
use crate::config::problem::mdc::PASSWORD_BYTES_MAX;
use crate::config::problem::mdc::PASSWORD_BYTES_MIN;
use crate::config::raw::Content;
use crate::model::secret::Secret;

/// Where clear text would leave this machine: the place in the file, and the address.
pub(super) type Exposed<'n> = Vec<(Found<'n>, String)>;

/// What a connection proves itself with where its own section says nothing.
#[derive(Clone, Copy)]
pub(super) struct Given<'c> {
    /// That of the section above.
    pub(super) above: Above<'c>,
    /// Where `portway pki` keeps its files.
    pub(super) pki: &'c Path,
}

impl<'c> Given<'c> {
    /// Where there is no section above.
    pub(super) const fn at_the_top(pki: &'c Path) -> Self {
        let above = Above::Nothing;
        Self { above, pki }
    }
}

/// What the section above says.
#[derive(Clone, Copy)]
pub(super) enum Above<'c> {
    /// Something faulty: what is missing here may be there.
    Faulty,
    /// This.
    Is(&'c Security),
    /// There is no section above.
    Nothing,
}

impl<'c> Above<'c> {
    pub(super) const fn security(self) -> Option<&'c Security> {
        match self {
            Self::Is(security) => Some(security),
            Self::Faulty | Self::Nothing => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Cert,
    Open,
    Simple,
}

/// Where a file is that the section does not name.
#[derive(Clone, Copy)]
enum Source<'c> {
    /// In the section above.
    Above(&'c PeerTls),
    /// It must be named.
    Nowhere,
    /// Where `portway pki` puts it.
    Pki(&'c Path),
    /// Perhaps in the section above, which is faulty.
    Unknown,
}

/// What a file must hold.
#[derive(Clone, Copy)]
enum Holds {
    Certificate,
    Key,
}

impl Reading<'_> {
    /// `security` with its files, each from the section itself, from the one above, or, in `simple` mode,
    /// from where `portway pki` puts it.
    pub(super) fn security(&mut self, section: &Section<'_>, given: Given<'_>) -> Option<Security> {
        let mode_above = given.above.security().map(mode_of);
        let mode = match section.get("security") {
            Some(found) => self.word(found, MODES)?,
            None => mode_above.unwrap_or(Mode::Cert),
        };
        if mode == Mode::Open {
            return self.no_files(section).then_some(Security::Open);
        }
        let source = match given.above {
            _ if mode == Mode::Simple && mode_above != Some(mode) => Source::Pki(given.pki),
            Above::Is(Security::Cert(tls) | Security::Simple(tls)) if mode_above == Some(mode) => {
                Source::Above(tls)
            }
            Above::Faulty => Source::Unknown,
            Above::Is(_) | Above::Nothing => Source::Nowhere,
        };
        let certificate = self.tls_file(section, &CERTIFICATE, source);
        let key = self.tls_file(section, &KEY, source);
        let ca = self.tls_file(section, &CA, source);
        let tls = PeerTls {
            certificate_file: certificate?,
            key_file: key?,
            ca_file: ca?,
        };
        Some(match mode {
            Mode::Simple => Security::Simple(tls),
            Mode::Cert | Mode::Open => Security::Cert(tls),
        })
    }

    fn tls_file(
        &mut self,
        section: &Section<'_>,
        file: &TlsFile,
        source: Source<'_>,
    ) -> Option<PathBuf> {
        if let Some(found) = section.get(file.key) {
            let written = self.text(found)?;
            let path = self.path(found)?;
            let read = (self.surroundings.read)(&path, FILE_BYTES_MAX);
            let bytes = read
                .map_err(|error| {
                    let path = PathBuf::from(written);
                    self.fault(found, Problem::File { path, error });
                })
                .ok()?;
            return self.holds(found, file, &bytes).then_some(path);
        }
        match source {
            Source::Above(tls) => Some((file.of)(tls).clone()),
            Source::Nowhere => {
                self.fault(&section.found, Problem::Missing(file.key));
                None
            }
            Source::Pki(pki) => self.made_file(section, file, pki.join(file.made_by_pki)),
            Source::Unknown => None,
        }
    }

    /// A file that `portway pki` makes.
    fn made_file(
        &mut self,
        section: &Section<'_>,
        file: &TlsFile,
        path: PathBuf,
    ) -> Option<PathBuf> {
        let place = section.get("security").unwrap_or(&section.found);
        match (self.surroundings.read)(&path, FILE_BYTES_MAX) {
            Ok(bytes) => self.holds(place, file, &bytes).then_some(path),
            Err(error) => {
                self.mdc_fault(place, MdcProblem::PkiFile { path, error });
                None
            }
        }
    }

    fn holds(&mut self, found: &Found<'_>, file: &TlsFile, bytes: &[u8]) -> bool {
        match file.holds {
            Holds::Certificate => {
                let holds = holds_block(bytes, &["CERTIFICATE"]);
                if !holds {
                    self.fault(found, Problem::Pem("certificate"));
                }
                holds
            }
            Holds::Key => self.check_key(found, bytes),
        }
    }

    /// A file beside `security: open` looks like protection and is none.
    fn no_files(&mut self, section: &Section<'_>) -> bool {
        let mut is_free = true;
        for file in [&CERTIFICATE, &KEY, &CA] {
            if let Some(found) = section.get(file.key) {
                let place = "`security: open`";
                self.fault_at_key(
                    found,
                    Problem::NoEffect {
                        key: file.key,
                        place,
                    },
                );
                is_free = false;
            }
        }
        is_free
    }

    /// A password that is shared with the other end. The outer `None` is a fault.
    pub(super) fn password(&mut self, section: &Section<'_>) -> Option<Option<Secret>> {
        let (_, place) = section.first_of(PASSWORD_KEYS).unzip();
        let Some(place) = place.cloned() else {
            return Some(None);
        };
        let (_, mut bytes) =
            self.inline_or_file(section, "password", "password_file", PASSWORD_KEYS)?;
        if section.get("password").is_some_and(is_written_out) {
            self.advise(&place, Advice::InlinePassword);
        }
        while bytes
            .last()
            .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
        {
            bytes.pop();
        }
        let length = bytes.len();
        if (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&length) {
            return Some(Some(Secret::new(bytes)));
        }
        self.mdc_fault(&place, MdcProblem::Password(length));
        None
    }

    /// Says where clear text would leave this machine: as a fault, or, where the operator allows it, once
    /// as a warning (MDC-SEC-1).
    pub(super) fn check_exposed(&mut self, section: &Section<'_>, exposed: &Exposed<'_>) {
        let allowed = section
            .get("allow_open")
            .filter(|found| self.switch(found) == Some(true))
            .cloned();
        match (allowed, exposed.as_slice()) {
            (Some(found), []) => {
                let because = "where nothing is in clear text beyond this machine";
                self.advise_inert(&found, "allow_open", because);
            }
            (Some(found), _) => self.advise(&found, Advice::Open),
            (None, places) => {
                for (found, address) in places {
                    self.mdc_fault(found, MdcProblem::OpenExposed(address.clone()));
                }
            }
        }
    }
}

/// Whether an address is on this machine whatever the resolver says (RFC 6761 §6.3).
pub(super) fn is_loopback(address: &NodeAddress) -> bool {
    match address.host.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => address.host == "localhost" || address.host.ends_with(".localhost"),
    }
}

/// Whether a secret stands in the file: anything but a single variable without a default.
fn is_written_out(found: &Found<'_>) -> bool {
    let Content::Text(written) = &found.node.content else {
        return false;
    };
    let name = written
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    name.is_none_or(|name| name.contains(['$', '{', '}']) || name.contains(":-"))
}

const fn mode_of(security: &Security) -> Mode {
    match security {
        Security::Cert(_) => Mode::Cert,
        Security::Open => Mode::Open,
        Security::Simple(_) => Mode::Simple,
    }
}

/// A file of mutual TLS.
struct TlsFile {
    key: &'static str,
    made_by_pki: &'static str,
    holds: Holds,
    of: fn(&PeerTls) -> &PathBuf,
}

const CERTIFICATE: TlsFile = TlsFile {
    key: "certificate_file",
    made_by_pki: "node.pem",
    holds: Holds::Certificate,
    of: |tls| &tls.certificate_file,
};
const KEY: TlsFile = TlsFile {
    key: "key_file",
    made_by_pki: "node.key",
    holds: Holds::Key,
    of: |tls| &tls.key_file,
};
const CA: TlsFile = TlsFile {
    key: "ca_file",
    made_by_pki: "ca.pem",
    holds: Holds::Certificate,
    of: |tls| &tls.ca_file,
};

const MODES: &[(&str, Mode)] = &[
    ("cert", Mode::Cert),
    ("open", Mode::Open),
    ("simple", Mode::Simple),
];
const PASSWORD_KEYS: &[&str] = &["password", "password_file"];
