//! `engine`: in this process, or behind the back-channel of engine nodes.
//!
//! A node without an engine is a gate only: other sections mean nothing there or lead elsewhere, and that
//! is said where they stand.

use std::time::Duration;

use crate::config::mdc::EngineSource;
use crate::config::mdc::RemoteAddress;
use crate::config::mdc::RemoteEngine;
use crate::config::mdc::Security;
use crate::config::parse::back_channel::Addresses;
use crate::config::parse::back_channel::Tiers;
use crate::config::parse::back_channel::values;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::security::Given;
use crate::config::problem::Problem;
use crate::config::problem::advice::Advice;
use crate::config::problem::mdc::MdcProblem;
use crate::model::name::ClusterId;

/// Where the engine is; known of a faulty section too, so that one fault does not become many.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EnginePlace {
    Embedded,
    Remote,
    /// The section is neither.
    Unknown,
}

impl Reading<'_> {
    pub(super) fn engine(
        &mut self,
        found: Option<&Found<'_>>,
        given: Given<'_>,
    ) -> (EnginePlace, Option<EngineSource>) {
        let Some(found) = found else {
            return (EnginePlace::Embedded, Some(EngineSource::Embedded));
        };
        if !found.is_map() {
            let source = self.word(found, &[("embedded", EngineSource::Embedded)]);
            let place = source.as_ref().map(|_| EnginePlace::Embedded);
            return (place.unwrap_or(EnginePlace::Unknown), source);
        }
        let remote = self.section(found, KEYS).and_then(|section| {
            let remote = self.required(&section, "remote").cloned()?;
            self.remote_engine(&remote, given)
        });
        (EnginePlace::Remote, remote.map(EngineSource::Remote))
    }

    fn remote_engine(&mut self, found: &Found<'_>, given: Given<'_>) -> Option<RemoteEngine> {
        let section = self.section(found, REMOTE_KEYS)?;
        let name = self.required(&section, "name").cloned();
        let name = name.and_then(|found| self.name(&found, "the name of a gate", ClusterId::parse));
        let security = self.security(&section, given);
        let password = self.password(&section);
        let timeout = self.or(&section, "timeout", TIMEOUT, Self::duration);
        let cache_max = self.or(&section, "cache", CACHE, |this, found| {
            this.count(found, 1..=CACHE_MAX)
        });
        let tiers = self.tiers(&section, Self::remote_address);
        if let Some(tiers) = &tiers {
            self.check_engines(&section, tiers, security.as_ref());
        }
        let (name, security, password) = (name?, security?, password?);
        match security {
            Security::Cert(_) | Security::Simple(_) => self.advise_password(&section),
            Security::Open if password.is_none() => {
                self.mdc_fault(found, MdcProblem::PasswordNeeded);
            }
            Security::Open => {}
        }
        let tiers = tiers?;
        Some(RemoteEngine {
            name,
            failover_threshold: tiers.threshold,
            primary: values(tiers.primary),
            secondary: values(tiers.secondary),
            security,
            password,
            timeout,
            cache_max,
        })
    }

    fn remote_address(&mut self, found: &Found<'_>) -> Option<RemoteAddress> {
        let section = self.section(found, ADDRESS_KEYS)?;
        let cluster = self.required(&section, "cluster_id").cloned();
        let cluster = cluster.and_then(|found| self.name(&found, "a cluster id", ClusterId::parse));
        let address = self.weighted(&section, "the address and port of an engine node");
        Some(RemoteAddress {
            cluster: cluster?,
            address: address?,
        })
    }

    fn check_engines(
        &mut self,
        section: &Section<'_>,
        tiers: &Tiers<'_, RemoteAddress>,
        security: Option<&Security>,
    ) {
        let mut addresses = Addresses::default();
        for (item, engine) in tiers.all() {
            self.check_address(item, &engine.address, security, &mut addresses);
        }
        self.check_exposed(section, &addresses.exposed);
        self.advise_symmetry(section, tiers);
    }

    /// The primaries are of this gate's own data centre, the secondaries of others (M-027).
    fn advise_symmetry(&mut self, section: &Section<'_>, tiers: &Tiers<'_, RemoteAddress>) {
        let Some(own) = tiers.primary.first().map(|(_, engine)| &engine.cluster) else {
            return;
        };
        let stranger = tiers
            .primary
            .iter()
            .find(|(_, engine)| engine.cluster != *own);
        if let Some((item, engine)) = stranger {
            let advice = Advice::SeveralPrimaries(own.clone(), engine.cluster.clone());
            self.advise(item, advice);
        }
        if tiers.secondary.is_empty() {
            self.advise(&section.found, Advice::NoSecondary);
        }
        let again = tiers
            .secondary
            .iter()
            .find(|(_, engine)| engine.cluster == *own);
        if let Some((item, engine)) = again {
            self.advise(item, Advice::BothTiers(engine.cluster.clone()));
        }
    }

    /// What other sections mean on a gate without an engine.
    pub(super) fn check_gate_only(&mut self, section: &Section<'_>) {
        if let Some(found) = section.get("mdc") {
            self.fault_at_key(found, Problem::Mdc(MdcProblem::RemoteWithMdc));
        }
        for key in ["authentication", "session"] {
            if let Some(found) = section.get(key) {
                self.advise_inert(found, key, "on a gate with `engine.remote`");
            }
        }
    }
}

pub(super) const KEYS: &[&str] = &["remote"];
pub(super) const REMOTE_KEYS: &[&str] = &[
    "allow_open",
    "ca_file",
    "cache",
    "certificate_file",
    "failover_threshold",
    "key_file",
    "name",
    "password",
    "password_file",
    "primary",
    "secondary",
    "security",
    "timeout",
];
pub(super) const ADDRESS_KEYS: &[&str] = &["address", "cluster_id", "weight"];
/// More than an adoption takes at an engine, which is three seconds at most by default.
const TIMEOUT: Duration = Duration::from_secs(5);
const CACHE: usize = 100_000;
const CACHE_MAX: u32 = 10_000_000;
