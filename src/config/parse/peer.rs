//! `mdc.peers` and `mdc.gates`: the other data centres, and the gates that may use this one.
//!
//! That both ends are configured alike shows when they meet; one file shows only what it says itself.

use std::collections::BTreeMap;

use crate::config::mdc::EnrolledGate;
use crate::config::mdc::Peer;
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
use crate::crypto::tags::Clusters;
use crate::model::name::ClusterId;
use crate::model::name::DATA_CENTRES_MAX;
use crate::model::secret::Secret;

/// What the section around peers and gates says.
#[derive(Clone, Copy)]
pub(super) struct Around<'c> {
    /// The name of this data centre, if it is one.
    pub(super) own: Option<&'c ClusterId>,
    /// What connections prove themselves with where they say nothing.
    pub(super) given: Given<'c>,
}

/// What peers and gates have in common: each has a name of its own, and a password of its own.
#[derive(Default)]
pub(super) struct Known<'n> {
    names: BTreeMap<ClusterId, usize>,
    passwords: Vec<(ClusterId, Secret)>,
    pub(super) addresses: Addresses<'n>,
}

impl Reading<'_> {
    pub(super) fn peers<'n>(
        &mut self,
        found: &Found<'n>,
        around: Around<'_>,
        known: &mut Known<'n>,
    ) -> Option<Vec<Peer>> {
        let items = self.list(found)?;
        let count = items.len().saturating_add(1);
        if count > DATA_CENTRES_MAX {
            self.mdc_fault(found, MdcProblem::TooMany(count));
        }
        let peers = self.each(&items, |this, item| this.peer(item, around, known))?;
        self.check_tags(&items, &peers, around.own);
        let has_two = peers.iter().any(|peer| !peer.secondary.is_empty());
        let lopsided = items.iter().zip(&peers);
        for (item, peer) in lopsided.filter(|(_, peer)| has_two && peer.secondary.is_empty()) {
            self.advise(item, Advice::Lopsided(peer.cluster.clone()));
        }
        Some(peers)
    }

    /// Cookies name data centres by short tags: two must not have the same.
    fn check_tags(&mut self, items: &[Found<'_>], peers: &[Peer], own: Option<&ClusterId>) {
        let mut known: Vec<ClusterId> = own.into_iter().cloned().collect();
        for (item, peer) in items.iter().zip(peers) {
            known.push(peer.cluster.clone());
            if let Err(same) = Clusters::new(known.iter().cloned()) {
                let place = item.value_of("cluster_id");
                self.mdc_fault(place.as_ref().unwrap_or(item), MdcProblem::SameTag(same));
                return;
            }
        }
    }

    fn peer<'n>(
        &mut self,
        found: &Found<'n>,
        around: Around<'_>,
        known: &mut Known<'n>,
    ) -> Option<Peer> {
        let section = self.section(found, PEER_KEYS)?;
        let cluster = self.peer_name(&section, around, known);
        let security = self.peer_security(&section, around.given);
        let password = self.password(&section);
        let tiers = self.tiers(&section, |this, item| {
            this.node(item, "the address and port of a peer")
        });
        for (item, address) in tiers.iter().flat_map(Tiers::all) {
            self.check_address(item, address, security.as_ref(), &mut known.addresses);
        }
        let (cluster, security, password) = (cluster?, security?, password?);
        self.check_password(&section, (&cluster, &security), password.as_ref(), known);
        let tiers = tiers?;
        Some(Peer {
            cluster,
            failover_threshold: tiers.threshold,
            primary: values(tiers.primary),
            secondary: values(tiers.secondary),
            security,
            password,
        })
    }

    fn peer_name(
        &mut self,
        section: &Section<'_>,
        around: Around<'_>,
        known: &mut Known<'_>,
    ) -> Option<ClusterId> {
        let found = self.required(section, "cluster_id")?;
        let cluster = self.name(found, "a cluster id", ClusterId::parse)?;
        if around.own == Some(&cluster) {
            self.mdc_fault(found, MdcProblem::OwnPeer(cluster.clone()));
        }
        self.distinct(found, ("peer", &cluster), &mut known.names);
        Some(cluster)
    }

    /// What a peer says of its own, or what holds for the back-channel.
    fn peer_security(&mut self, section: &Section<'_>, given: Given<'_>) -> Option<Security> {
        match section.first_of(SECURITY_KEYS) {
            Some(_) => self.security(section, given),
            None => given.above.security().cloned(),
        }
    }

    pub(super) fn gates<'n>(
        &mut self,
        found: &Found<'n>,
        around: Around<'_>,
        known: &mut Known<'n>,
    ) -> Option<Vec<EnrolledGate>> {
        let items = self.list(found)?;
        let clusters = known.names.keys().chain(around.own);
        let clusters: Vec<ClusterId> = clusters.cloned().collect();
        self.each(&items, |this, item| {
            let section = this.section(item, GATE_KEYS)?;
            let name = this.gate_name(&section, &clusters, known);
            let password = this.password(&section);
            let (name, password) = (name?, password?);
            if let Some(security) = around.given.above.security() {
                this.check_password(&section, (&name, security), password.as_ref(), known);
            }
            Some(EnrolledGate { name, password })
        })
    }

    fn gate_name(
        &mut self,
        section: &Section<'_>,
        clusters: &[ClusterId],
        known: &mut Known<'_>,
    ) -> Option<ClusterId> {
        let found = self.required(section, "name")?;
        let name = self.name(found, "the name of a gate", ClusterId::parse)?;
        if clusters.contains(&name) {
            self.mdc_fault(found, MdcProblem::GateIsDataCentre(name.clone()));
        } else {
            self.distinct(found, ("gate", &name), &mut known.names);
        }
        Some(name)
    }

    /// In `open` mode the password is all that tells one from another (MDC-SEC-4).
    fn check_password(
        &mut self,
        section: &Section<'_>,
        (name, security): (&ClusterId, &Security),
        password: Option<&Secret>,
        known: &mut Known<'_>,
    ) {
        if !matches!(security, Security::Open) {
            self.advise_password(section);
            return;
        }
        let Some(password) = password else {
            self.mdc_fault(&section.found, MdcProblem::PasswordMissing(name.clone()));
            return;
        };
        let same = known.passwords.iter().find(|(_, other)| other == password);
        if let Some((other, _)) = same
            && let Some((_, place)) = section.first_of(&["password", "password_file"])
        {
            self.mdc_fault(place, MdcProblem::PasswordShared(other.clone()));
        }
        known.passwords.push((name.clone(), password.clone()));
    }

    /// A password that nobody asks for.
    pub(super) fn advise_password(&mut self, section: &Section<'_>) {
        if let Some((key, found)) = section.first_of(&["password", "password_file"]) {
            self.advise_inert(found, key, "with certificates, which prove who it is");
        }
    }

    /// Reports what was there before.
    pub(super) fn distinct<K: Ord + Clone + ToString>(
        &mut self,
        found: &Found<'_>,
        (what, key): (&'static str, &K),
        seen: &mut BTreeMap<K, usize>,
    ) {
        if let Some(first) = seen.get(key) {
            let problem = Problem::Duplicate {
                what,
                text: key.to_string(),
                first: *first,
            };
            self.fault(found, problem);
        } else {
            seen.insert(key.clone(), found.node.at.line);
        }
    }
}

pub(super) const PEER_KEYS: &[&str] = &[
    "ca_file",
    "certificate_file",
    "cluster_id",
    "failover_threshold",
    "key_file",
    "password",
    "password_file",
    "primary",
    "secondary",
    "security",
];
const SECURITY_KEYS: &[&str] = &["ca_file", "certificate_file", "key_file", "security"];
pub(super) const GATE_KEYS: &[&str] = &["name", "password", "password_file"];
