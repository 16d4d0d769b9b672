//! The tiers of a pool: upstreams by their addresses, as sockets of the file system, or as services. And the addresses
//! of other nodes.
//!
//! How one is chosen, and everything else about pools, is `pool`'s.

use crate::config::UNIX_PREFIX;
use crate::config::Upstream;
use crate::config::UpstreamPlace;
use crate::config::mdc::NodeAddress;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::scalar::short;
use crate::config::problem::Problem;
use crate::config::problem::upstream::SOCKET_PATH_BYTES_MAX;
use crate::config::problem::upstream::UpstreamProblem;
use crate::model::name::HostName;

impl Reading<'_> {
    /// Both tiers of a pool, primary first; none in the place of one with a faulty upstream.
    pub(super) fn pool_tiers(
        &mut self,
        section: &Section<'_>,
    ) -> (Option<Vec<Upstream>>, Option<Vec<Upstream>>) {
        let primary = self.required(section, "primary").cloned();
        let primary = primary.and_then(|found| self.tier(&found, Tier::Primary));
        let secondary = match section.get("secondary") {
            Some(found) => self.tier(found, Tier::Secondary),
            None => Some(Vec::new()),
        };
        let mut all = primary.iter().chain(&secondary).flatten();
        let port = section
            .get("health_check")
            .and_then(|check| check.value_of("port"));
        if let Some(port) = port.filter(|_| all.any(Upstream::is_socket)) {
            self.fault_at_key(&port, Problem::Upstream(UpstreamProblem::PortOfSocket));
        }
        (primary, secondary)
    }

    /// The upstreams of a tier.
    fn tier(&mut self, found: &Found<'_>, tier: Tier) -> Option<Vec<Upstream>> {
        let items = match tier {
            Tier::Primary => self.some_list(found)?,
            Tier::Secondary => self.list(found)?,
        };
        self.each(&items, |this, item| this.member(item))
    }

    /// An upstream of a pool: an address, one with a weight, or a service.
    fn member(&mut self, found: &Found<'_>) -> Option<Upstream> {
        if !found.is_map() {
            return self.upstream(found, 1);
        }
        let section = self.section(found, MEMBER_KEYS)?;
        match (section.get("address"), section.get("service")) {
            (Some(address), None) => {
                let weight = self.weight(&section);
                self.upstream(address, weight)
            }
            (None, Some(service)) => {
                let host = self.shaped(service, ("the name of a service", SERVICE), |text| {
                    let name = HostName::parse(text).ok()?;
                    let labels = name.as_str().split('.').take(2);
                    let are_marked = labels.filter(|label| label.starts_with('_')).count() == 2;
                    are_marked.then(|| name.as_str().to_owned())
                });
                let weight = self.weight(&section);
                Some(Upstream {
                    place: UpstreamPlace::Service(host?),
                    weight,
                })
            }
            (Some(_), Some(_)) | (None, None) => {
                self.fault(found, Problem::MissingOneOf(&["address", "service"]));
                None
            }
        }
    }

    fn weight(&mut self, section: &Section<'_>) -> u32 {
        self.or(section, "weight", 1, |this, found| {
            this.number(found, 1..=WEIGHT_MAX)
        })
    }

    /// An upstream at an address, or at a socket of the file system.
    fn upstream(&mut self, found: &Found<'_>, weight: u32) -> Option<Upstream> {
        let written = self.text(found)?;
        let place = match written.strip_prefix(UNIX_PREFIX) {
            Some(path) => match socket(path) {
                Ok(path) => UpstreamPlace::Unix(path),
                Err(problem) => {
                    self.fault(found, problem);
                    return None;
                }
            },
            None => {
                let (host, port) = self.host_and_port(found, UPSTREAM)?;
                UpstreamPlace::Inet { host, port }
            }
        };
        Some(Upstream { place, weight })
    }

    /// The address of another node, alone or with a weight; `what` says of which.
    pub(super) fn node(&mut self, found: &Found<'_>, what: &'static str) -> Option<NodeAddress> {
        if !found.is_map() {
            return self.node_address(found, what, 1);
        }
        let section = self.section(found, NODE_KEYS)?;
        self.weighted(&section, what)
    }

    /// `address` and `weight` of a section.
    pub(super) fn weighted(
        &mut self,
        section: &Section<'_>,
        what: &'static str,
    ) -> Option<NodeAddress> {
        let weight = self.weight(section);
        let address = self.required(section, "address")?;
        self.node_address(address, what, weight)
    }

    fn node_address(
        &mut self,
        found: &Found<'_>,
        what: &'static str,
        weight: u32,
    ) -> Option<NodeAddress> {
        let (host, port) = self.host_and_port(found, what)?;
        Some(NodeAddress { host, port, weight })
    }

    /// A host without brackets, and a port.
    fn host_and_port(&mut self, found: &Found<'_>, what: &'static str) -> Option<(String, u16)> {
        self.shaped(found, (what, "10.0.0.1:8080"), |text| {
            let (host, port) = text.rsplit_once(':')?;
            let port = port.parse().ok().filter(|port: &u16| *port > 0)?;
            let name = HostName::parse(host).ok()?;
            let host = name
                .as_str()
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned();
            Some((host, port))
        })
    }
}

/// The path of a socket, where it can be one.
fn socket(path: &str) -> Result<String, Problem> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let problem = if !path.starts_with('/') {
        UpstreamProblem::SocketRelative
    } else if matches!(last, "" | "." | "..") {
        UpstreamProblem::SocketFolder
    } else if path.len() > SOCKET_PATH_BYTES_MAX {
        UpstreamProblem::SocketTooLong(path.len())
    } else if path.contains(char::is_control) {
        return Err(Problem::Address {
            text: short(path),
            what: "the path of a socket",
            example: "unix:/run/app.sock",
        });
    } else {
        return Ok(path.to_owned());
    };
    Err(Problem::Upstream(problem))
}

#[derive(Clone, Copy)]
pub(super) enum Tier {
    Primary,
    Secondary,
}

pub(super) const NODE_KEYS: &[&str] = &["address", "weight"];
pub(super) const MEMBER_KEYS: &[&str] = &["address", "service", "weight"];
const WEIGHT_MAX: u32 = 1000;
const SERVICE: &str = "_http._tcp.app.internal";
const UPSTREAM: &str = "the address and port of an upstream";
