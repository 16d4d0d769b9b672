//! `mdc.back_channel` with those who use it: the listener, how connections behave, and addresses in two
//! tiers.
//!
//! What connections prove themselves with is `security`, who they belong to `peer`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::mdc::BackChannel;
use crate::config::mdc::EnrolledGate;
use crate::config::mdc::NodeAddress;
use crate::config::mdc::Peer;
use crate::config::mdc::Security;
use crate::config::parse::mdc::Site;
use crate::config::parse::peer::Around;
use crate::config::parse::peer::Known;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::security::Above;
use crate::config::parse::security::Exposed;
use crate::config::parse::security::Given;
use crate::config::parse::security::is_loopback;
use crate::config::parse::tier::Tier;
use crate::config::problem::advice::Advice;

/// Who may connect, and how.
pub(super) struct Connections {
    pub(super) channel: BackChannel,
    pub(super) peers: Vec<Peer>,
    pub(super) gates: Vec<EnrolledGate>,
}

/// How connections behave.
struct Behaviour {
    connection_age_max: Duration,
    keep_alive_interval: Duration,
    connect_timeout: Duration,
    questions_max: usize,
    circuit_failures: u32,
    circuit_pause: Duration,
}

/// The addresses of all who are connected to.
#[derive(Default)]
pub(super) struct Addresses<'n> {
    seen: BTreeMap<String, usize>,
    pub(super) exposed: Exposed<'n>,
}

/// Addresses that are asked first, and those that join them.
pub(super) struct Tiers<'n, T> {
    pub(super) primary: Vec<(Found<'n>, T)>,
    pub(super) secondary: Vec<(Found<'n>, T)>,
    pub(super) threshold: usize,
}

impl<'n, T> Tiers<'n, T> {
    /// Both tiers.
    pub(super) fn all(&self) -> impl Iterator<Item = &(Found<'n>, T)> {
        self.primary.iter().chain(&self.secondary)
    }
}

/// The values without their places.
pub(super) fn values<T>(tier: Vec<(Found<'_>, T)>) -> Vec<T> {
    tier.into_iter().map(|(_, value)| value).collect()
}

impl Reading<'_> {
    pub(super) fn connections(
        &mut self,
        section: &Section<'_>,
        site: &Site<'_>,
    ) -> Option<Connections> {
        let mut known = Known::default();
        let found = self.required(section, "back_channel").cloned();
        let channel_section = found.and_then(|found| self.section(&found, CHANNEL_KEYS));
        let channel = channel_section
            .as_ref()
            .and_then(|section| self.back_channel(section, site));
        let around = Around {
            own: site.cluster,
            given: Given {
                above: channel
                    .as_ref()
                    .map_or(Above::Faulty, |channel| Above::Is(&channel.security)),
                ..site.given
            },
        };
        let peers = section.get("peers");
        let peers = peers.map_or(Some(Vec::new()), |at| self.peers(at, around, &mut known));
        let gates = section.get("gates");
        let gates = gates.map_or(Some(Vec::new()), |at| self.gates(at, around, &mut known));
        if let Some(section) = &channel_section {
            let bind = channel.as_ref().and_then(|channel| {
                let peers = peers.as_deref().unwrap_or_default();
                exposed_bind(section, channel, peers)
            });
            let connected_to = std::mem::take(&mut known.addresses.exposed);
            let exposed = bind.into_iter().chain(connected_to).collect();
            self.check_exposed(section, &exposed);
        }
        let (peers, gates) = (peers?, gates?);
        if peers.is_empty() && gates.is_empty() {
            self.advise(&section.found, Advice::Nobody);
        }
        Some(Connections {
            channel: channel?,
            peers,
            gates,
        })
    }

    fn back_channel(&mut self, section: &Section<'_>, site: &Site<'_>) -> Option<BackChannel> {
        let bind = self.listener_bind(section, &mut site.listeners.binds.clone());
        let security = self.security(section, site.given);
        let behaviour = self.behaviour(section);
        Some(BackChannel {
            bind: bind?,
            security: security?,
            connection_age_max: behaviour.connection_age_max,
            keep_alive_interval: behaviour.keep_alive_interval,
            connect_timeout: behaviour.connect_timeout,
            questions_max: behaviour.questions_max,
            circuit_failures: behaviour.circuit_failures,
            circuit_pause: behaviour.circuit_pause,
        })
    }

    fn behaviour(&mut self, section: &Section<'_>) -> Behaviour {
        let mut behaviour = Behaviour {
            connection_age_max: Duration::from_mins(10),
            keep_alive_interval: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(1),
            questions_max: 1024,
            circuit_failures: 3,
            circuit_pause: Duration::from_secs(2),
        };
        for (key, place) in [
            ("connection_max_age", &mut behaviour.connection_age_max),
            ("keep_alive_interval", &mut behaviour.keep_alive_interval),
            ("connect_timeout", &mut behaviour.connect_timeout),
            ("circuit_pause", &mut behaviour.circuit_pause),
        ] {
            self.set(section, key, place, Self::duration);
        }
        let questions = &mut behaviour.questions_max;
        self.set(section, "questions_max", questions, |this, at| {
            this.count(at, 1..=QUESTIONS_MAX)
        });
        let failures = &mut behaviour.circuit_failures;
        self.set(section, "circuit_failures", failures, |this, at| {
            this.number(at, 1..=CIRCUIT_FAILURES_MAX)
        });
        if let Some(found) = section.get("keep_alive_interval")
            && behaviour.keep_alive_interval >= behaviour.connection_age_max
        {
            let because = "with a shorter `connection_max_age`";
            self.advise_inert(found, "keep_alive_interval", because);
        }
        behaviour
    }

    /// An address leads to one data centre, and in clear text only to this machine.
    pub(super) fn check_address<'n>(
        &mut self,
        found: &Found<'n>,
        address: &NodeAddress,
        security: Option<&Security>,
        addresses: &mut Addresses<'n>,
    ) {
        let shown = address.authority();
        self.distinct(found, ("address", &shown), &mut addresses.seen);
        if matches!(security, Some(Security::Open)) && !is_loopback(address) {
            addresses.exposed.push((found.clone(), shown));
        }
    }

    /// Two tiers of addresses, each with its place; the secondary one may be absent.
    pub(super) fn tiers<'n, T>(
        &mut self,
        section: &Section<'n>,
        mut read: impl FnMut(&mut Self, &Found<'n>) -> Option<T>,
    ) -> Option<Tiers<'n, T>> {
        let mut tier = |this: &mut Self, found: &Found<'n>, tier| {
            let items = match tier {
                Tier::Primary => this.some_list(found)?,
                Tier::Secondary => this.list(found)?,
            };
            let values = this.each(&items, &mut read)?;
            Some(items.into_iter().zip(values).collect::<Vec<_>>())
        };
        let primary = self.required(section, "primary").cloned();
        let primary = primary.and_then(|found| tier(self, &found, Tier::Primary));
        let secondary = match section.get("secondary") {
            Some(found) => tier(self, found, Tier::Secondary),
            None => Some(Vec::new()),
        };
        let threshold = self.failover_threshold(section, primary.as_ref().map(Vec::len));
        let (primary, secondary) = (primary?, secondary?);
        if threshold == 0
            && !secondary.is_empty()
            && let Some(found) = section.get("secondary")
        {
            self.advise_inert(found, "secondary", "with `failover_threshold: 0`");
        }
        Some(Tiers {
            primary,
            secondary,
            threshold,
        })
    }
}

/// The listener, if it is beyond this machine and takes clear text: from gates and most peers, which prove
/// themselves as it does, or from a single peer. Whoever claims to be that one may come from anywhere,
/// wherever that peer is connected to (MDC-SEC-1).
fn exposed_bind<'n>(
    section: &Section<'n>,
    channel: &BackChannel,
    peers: &[Peer],
) -> Option<(Found<'n>, String)> {
    let mut securities = peers.iter().map(|peer| &peer.security);
    let takes_clear_text = matches!(channel.security, Security::Open)
        || securities.any(|security| matches!(security, Security::Open));
    let is_exposed = !channel.bind.ip().to_canonical().is_loopback();
    let found = section.get("bind")?;
    (takes_clear_text && is_exposed).then(|| (found.clone(), channel.bind.to_string()))
}

pub(super) const CHANNEL_KEYS: &[&str] = &[
    "allow_open",
    "bind",
    "ca_file",
    "certificate_file",
    "circuit_failures",
    "circuit_pause",
    "connect_timeout",
    "connection_max_age",
    "keep_alive_interval",
    "key_file",
    "questions_max",
    "security",
];
const QUESTIONS_MAX: u32 = 100_000;
const CIRCUIT_FAILURES_MAX: u32 = 1000;
