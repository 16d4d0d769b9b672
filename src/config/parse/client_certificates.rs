//! `client_certificates` of virtual hosts: who has to show a certificate, and whose are taken.
//!
//! Whether the files can be used is `app::verify`.

use std::sync::Arc;

use crate::config::client_certificates::ClientCertificates;
use crate::config::client_certificates::ClientMode;
use crate::config::parse::LISTS_BYTES_MAX;
use crate::config::parse::listener::CA_KEYS;
use crate::config::parse::listener::holds_block;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;

impl Reading<'_> {
    /// What a virtual host asks of clients' certificates; the inner `None` where it asks for none.
    pub(super) fn client_certificates(
        &mut self,
        found: &Found<'_>,
    ) -> Option<Option<ClientCertificates>> {
        let section = self.section(found, KEYS)?;
        let mode = self.required(&section, "mode").cloned();
        let mode = mode.and_then(|found| self.word(&found, MODES));
        let depth = self.or(&section, "depth", DEPTH, |this, found| {
            this.number(found, 0..=DEPTH_MAX)
        });
        let ca = self.authorities(&section);
        let crl = self.lists_of(&section);
        let Some(mode) = mode? else {
            self.check_unasked(&section);
            return Some(None);
        };
        let (ca_pem, crl_pem) = (ca?, crl?);
        if ca_pem.is_none() {
            match (mode, section.first_of(CRL_KEYS)) {
                (ClientMode::Optional | ClientMode::Required, _) => {
                    self.fault(&section.found, Problem::MissingOneOf(CA_KEYS));
                    return None;
                }
                (ClientMode::OptionalUnverified, Some((key, found))) => {
                    let place = "certificates that no authority is given for";
                    self.fault_at_key(found, Problem::NoEffect { key, place });
                }
                (ClientMode::OptionalUnverified, None) => {}
            }
        }
        Some(Some(ClientCertificates {
            mode,
            ca_pem: ca_pem.map(Arc::from),
            depth,
            crl_pem,
        }))
    }

    /// Who asks for nothing has nothing else to say.
    fn check_unasked(&mut self, section: &Section<'_>) {
        let others = KEYS.iter().filter(|key| **key != "mode");
        for (key, found) in others.filter_map(|key| Some((key, section.get(key)?))) {
            let place = "a virtual host that asks for no certificates";
            self.fault_at_key(found, Problem::NoEffect { key, place });
        }
    }

    /// The inner `None` where there are none. Lists can be large: those of a file are held once, however many
    /// virtual hosts name it.
    fn lists_of(&mut self, section: &Section<'_>) -> Option<Option<Arc<[u8]>>> {
        self.exclusive(section, "crl", "crl_file");
        let (found, pem) = match (section.get("crl"), section.get("crl_file")) {
            (Some(found), _) => (found, Arc::from(self.text(found)?.into_bytes())),
            (None, Some(found)) => {
                let path = self.path(found)?;
                if let Some(known) = self.lists.get(&path) {
                    return Some(Some(Arc::clone(known)));
                }
                let pem: Arc<[u8]> = self.file_up_to(found, LISTS_BYTES_MAX)?.into();
                self.lists.insert(path, Arc::clone(&pem));
                (found, pem)
            }
            (None, None) => return Some(None),
        };
        if !holds_block(&pem, &["X509 CRL"]) {
            self.fault(found, Problem::Pem("certificate revocation list"));
            return None;
        }
        Some(Some(pem))
    }
}

pub(super) const KEYS: &[&str] = &["ca", "ca_file", "crl", "crl_file", "depth", "mode"];
const CRL_KEYS: &[&str] = &["crl", "crl_file"];
const MODES: &[(&str, Option<ClientMode>)] = &[
    ("off", None),
    ("optional", Some(ClientMode::Optional)),
    ("optional_unverified", Some(ClientMode::OptionalUnverified)),
    ("required", Some(ClientMode::Required)),
];
/// As nginx's.
const DEPTH: u8 = 1;
const DEPTH_MAX: u8 = 10;
