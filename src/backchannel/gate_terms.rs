//! What a data centre has chosen that the gates it serves go by: told over the back-channel, so that it is
//! configured once and gates cannot differ from their engines.
//!
//! Which engine a gate listens to is `remote`'s.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::backchannel::gate_wire::millis;
use crate::backchannel::wire::WireError;
use crate::backchannel::wire::bounds;
use crate::config::mdc::Mdc;
use crate::config::mdc::SkewLimits;
use crate::crypto::tags::Clusters;
use crate::crypto::tags::SameTag;
use crate::decision::adoption::Anchor;
use crate::decision::cookies::gito::Gito;
use crate::decision::cookies::settings::CookieSettings;
use crate::model::name::ClusterId;
use crate::model::name::DATA_CENTRES_MAX;
use crate::model::name::HostName;

/// What a data centre has chosen, as a gate goes by it. Spans are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateTerms {
    /// The data centres that it knows, itself among them.
    clusters: Vec<ClusterId>,
    /// The domain of the GITO cookie and how often it is issued; none where there is none.
    gito: Option<(HostName, u64)>,
    /// How long an authn cookie is good (M-078).
    authn_lifetime: u64,
    /// How far ahead the clock that wrote a cookie may be (S-22).
    skew_allowance: u64,
    /// How far apart clocks may be between which sessions move (S-22). Earlier engines do not say.
    #[serde(default = "skew_hard_default")]
    skew_hard: u64,
    /// How long an adoption may take (S-7).
    adoption_deadline: u64,
}

impl GateTerms {
    /// What the engines of the data centre `own` tell.
    #[must_use]
    pub fn of(own: &ClusterId, mdc: &Mdc) -> Self {
        let peers = mdc.peers.iter().map(|peer| peer.cluster.clone());
        Self {
            clusters: std::iter::once(own.clone()).chain(peers).collect(),
            gito: mdc
                .gito
                .as_ref()
                .map(|gito| (gito.domain.clone(), millis(gito.granularity))),
            authn_lifetime: millis(mdc.authn_lifetime),
            skew_allowance: millis(mdc.skew.allowance),
            skew_hard: millis(mdc.skew.hard),
            adoption_deadline: millis(mdc.adoption.deadline()),
        }
    }

    /// What a gate makes of it. The teller is the data centre that the engine has proven to be of.
    ///
    /// # Errors
    /// [`SameTag`] when cookies could not tell two of the data centres apart.
    pub(super) fn settings(&self, teller: &ClusterId) -> Result<CookieSettings, SameTag> {
        Ok(CookieSettings {
            cluster: teller.clone(),
            clusters: Clusters::new(self.clusters.iter().cloned())?,
            // It shapes the ID cookie, which gates neither read nor write.
            anchor: Anchor::Free,
            authn_lifetime: Some(Duration::from_millis(self.authn_lifetime)),
            gito: self.gito.as_ref().map(|(domain, granularity)| Gito {
                domain: domain.clone(),
                granularity: Duration::from_millis(*granularity),
            }),
            skew_allowance: Duration::from_millis(self.skew_allowance),
            skew_hard: Duration::from_millis(self.skew_hard),
        })
    }

    /// How long an engine of that data centre may take until it answers.
    pub(super) const fn adoption_deadline(&self) -> Duration {
        Duration::from_millis(self.adoption_deadline)
    }

    pub(super) fn check(&self) -> Result<(), WireError> {
        bounds::at_most(&self.clusters, DATA_CENTRES_MAX, "data centres")
    }
}

fn skew_hard_default() -> u64 {
    millis(SkewLimits::default().hard)
}

#[cfg(test)]
pub(super) mod tests {
    use ciborium::Value;

    use super::*;

    /// What an engine of north says that knows south.
    pub(in crate::backchannel) fn terms() -> GateTerms {
        let cluster = |name| ClusterId::parse(name).unwrap();
        GateTerms {
            clusters: ["north", "south"].map(cluster).into(),
            gito: Some((HostName::parse("example.test").unwrap(), 60_000)),
            authn_lifetime: 900_000,
            skew_allowance: 30_000,
            skew_hard: 120_000,
            adoption_deadline: 3000,
        }
    }

    #[test]
    fn more_data_centres_than_a_cookie_can_name_are_no_terms() {
        let mut terms = terms();
        terms.clusters = (0..=DATA_CENTRES_MAX)
            .map(|number| ClusterId::parse(&format!("dc-{number}")).unwrap())
            .collect();
        assert_eq!(terms.check(), Err(WireError::Bound("data centres")));
        terms.clusters.pop();
        assert_eq!(terms.check(), Ok(()));
    }

    #[test]
    fn the_cluster_is_the_one_that_was_proven_and_not_what_the_message_says() {
        let proven = ClusterId::parse("west").unwrap();
        let settings = terms().settings(&proven).unwrap();
        assert_eq!(settings.cluster, proven);
        assert_eq!(settings.authn_lifetime, Some(Duration::from_mins(15)));
        assert_eq!(terms().adoption_deadline(), Duration::from_secs(3));
    }

    fn fields() -> Vec<(Value, Value)> {
        let written = Value::serialized(&terms()).unwrap();
        written.into_map().unwrap()
    }

    #[test]
    fn the_terms_of_an_engine_of_before_can_be_read() {
        let mut fields = fields();
        fields.retain(|(name, _)| name.as_text() != Some("skew_hard"));
        let read: GateTerms = Value::Map(fields).deserialized().unwrap();
        assert_eq!(read, terms(), "the default is what the configuration has");
    }

    #[test]
    fn the_page_about_gates_names_every_field_of_the_terms() {
        let page = include_str!("../../docs/gate-only.md");
        let mut rows = page.lines();
        let row = rows.find(|row| row.starts_with("| `Terms` |")).unwrap();
        for (name, _) in fields() {
            let name = name.into_text().unwrap();
            assert!(row.contains(&name), "{name}");
        }
    }
}
