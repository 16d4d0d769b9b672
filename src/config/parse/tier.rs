//! The tiers of a pool: upstreams by their addresses, or as services.
//!
//! How one is chosen, and everything else about pools, is `pool`'s.

use crate::config::Upstream;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::model::name::HostName;

impl Reading<'_> {
    /// The upstreams of a tier.
    pub(super) fn tier(&mut self, found: &Found<'_>, tier: Tier) -> Option<Vec<Upstream>> {
        let items = match tier {
            Tier::Primary => self.some_list(found)?,
            Tier::Secondary => self.list(found)?,
        };
        self.each(&items, |this, item| this.member(item))
    }

    /// An upstream of a pool: an address, one with a weight, or a service.
    fn member(&mut self, found: &Found<'_>) -> Option<Upstream> {
        if !found.is_map() {
            return self.upstream_address(found, UPSTREAM, 1);
        }
        let section = self.section(found, MEMBER_KEYS)?;
        match (section.get("address"), section.get("service")) {
            (Some(_), None) => self.weighted(&section, UPSTREAM),
            (None, Some(service)) => {
                let host = self.shaped(service, ("the name of a service", SERVICE), |text| {
                    let name = HostName::parse(text).ok()?;
                    let labels = name.as_str().split('.').take(2);
                    let are_marked = labels.filter(|label| label.starts_with('_')).count() == 2;
                    are_marked.then(|| name.as_str().to_owned())
                });
                let weight = self.weight(&section);
                Some(Upstream {
                    host: host?,
                    port: 0,
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

    /// An address, or an address with a weight; `what` says of what.
    pub(super) fn upstream(&mut self, found: &Found<'_>, what: &'static str) -> Option<Upstream> {
        if !found.is_map() {
            return self.upstream_address(found, what, 1);
        }
        let section = self.section(found, UPSTREAM_KEYS)?;
        self.weighted(&section, what)
    }

    /// `address` and `weight` of a section.
    pub(super) fn weighted(
        &mut self,
        section: &Section<'_>,
        what: &'static str,
    ) -> Option<Upstream> {
        let weight = self.weight(section);
        let address = self.required(section, "address")?;
        self.upstream_address(address, what, weight)
    }

    fn upstream_address(
        &mut self,
        found: &Found<'_>,
        what: &'static str,
        weight: u32,
    ) -> Option<Upstream> {
        self.shaped(found, (what, "10.0.0.1:8080"), |text| {
            let (host, port) = text.rsplit_once(':')?;
            let port = port.parse().ok().filter(|port: &u16| *port > 0)?;
            let name = HostName::parse(host).ok()?;
            let host = name
                .as_str()
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned();
            Some(Upstream { host, port, weight })
        })
    }
}

#[derive(Clone, Copy)]
pub(super) enum Tier {
    Primary,
    Secondary,
}

pub(super) const UPSTREAM_KEYS: &[&str] = &["address", "weight"];
pub(super) const MEMBER_KEYS: &[&str] = &["address", "service", "weight"];
const WEIGHT_MAX: u32 = 1000;
const SERVICE: &str = "_http._tcp.app.internal";
const UPSTREAM: &str = "the address and port of an upstream";
