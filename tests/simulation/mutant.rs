//! Mutations: rules switched off, one at a time, to see that the witness notices.
//!
//! Nothing in the product can be switched. A mutation stands between an engine and one of its ports, and
//! makes of what passes there what an engine without the rule would have made of it. The witness looks at
//! the other side of it, and so sees what really is.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use portway::decision::adoption::Anchor;
use portway::decision::adoption::Hop;
use portway::decision::adoption::OnSilence;
use portway::decision::adoption::Retrieval;
use portway::engine::EmbeddedEngine;
use portway::engine::FederationSettings;
use portway::model::claim::Claim;
use portway::model::session::Generation;
use portway::ports::clock::Clock;
use portway::ports::end_log::EndLog;
use portway::ports::peer_channel::PeerChannel;
use portway::ports::peer_service::PeerService;
use portway::ports::session_store::SessionStore;

use crate::centre::Process;
use crate::mutant::wires::MutantChannel;
use crate::mutant::wires::MutantService;
use crate::network::Channel;
use crate::plan::Balancer;
use crate::plan::FORGETFUL;
use crate::plan::Plan;
use crate::plan::Records;
use crate::store::SimStore;

mod cookies;
mod records;
mod wires;

/// A rule that is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A pending copy serves before its release is confirmed (S-6).
    PendingServes,
    /// The generation of what is held is not compared with what the asker has seen (S-4).
    NoGenerationCheck,
    /// A release is taken for granted instead of being asked for (S-6).
    NoCommit,
    /// A new log honours older cookies before it has read the others' (S-15).
    NoPullBeforeHonouring,
    /// Of requests that come together each adopts for itself (MDC-INDEX-3).
    NoSingleFlight,
    /// A GITO cookie counts whatever session it is of (S-13).
    NoSsoMatchOnGito,
    /// Tombstones are forgotten (S-14).
    NoTombstoneCheck,
    /// `moved` is applied whoever ranks higher (S-14).
    MovedWithoutRank,
    /// The lifetime begins anew with each adoption (MDC-ADOPT-7).
    LifetimeBeginsAnew,
    /// An engine that forgot says that there is no such session (S-19).
    MissingAfterAmnesia,
    /// The check for an end and the insert are two steps (S-17).
    InsertInTwoSteps,
    /// No data centre is ever unheard of for too long (S-16).
    NoLease,
    /// A reservation never lapses (S-6).
    NoLapse,
    /// A refusal is taken for silence (S-8).
    RefusalIsSilence,
}

impl Mutation {
    /// Makes a run one in which the rule matters.
    pub(crate) fn shape(self, plan: &mut Plan) {
        let policy = &mut plan.policy;
        policy.hop = Hop::Silent;
        match self {
            Self::InsertInTwoSteps => plan.thinking_max = BUSY,
            Self::LifetimeBeginsAnew | Self::NoSingleFlight | Self::NoTombstoneCheck => {}
            Self::MissingAfterAmnesia => {
                plan.records = Records::Lost;
                plan.faults.crash = 30;
            }
            Self::MovedWithoutRank | Self::NoGenerationCheck => {
                policy.anchor = Anchor::Anchored;
                policy.on_silence = OnSilence::Continue;
                plan.faults.partition = 30;
            }
            Self::NoCommit | Self::NoLapse | Self::PendingServes => {
                policy.anchor = Anchor::Anchored;
            }
            Self::NoLease => plan.faults.partition = 30,
            Self::NoPullBeforeHonouring => {
                // Some that are read and serve, one that is not.
                plan.centres = 5;
                plan.balancer = Balancer::Sticky;
                plan.faults.lost_log = 30;
                plan.thinking_max = BUSY;
            }
            Self::NoSsoMatchOnGito => {
                // Without retrieval nobody but the cookies says when a session was last used.
                policy.anchor = Anchor::Free;
                policy.retrieval = Retrieval::Off;
                plan.habits = &FORGETFUL;
                plan.per_user_max = 8;
            }
            Self::RefusalIsSilence => policy.on_silence = OnSilence::Continue,
        }
        if policy.anchor == Anchor::Anchored || self == Self::NoSsoMatchOnGito {
            plan.gito = Some(Duration::ZERO);
            plan.authn_lifetime = plan.idle;
        }
    }
}

/// Users who hardly think.
const BUSY: Duration = Duration::from_secs(3);

/// The store as an engine sees it.
pub(crate) fn store(
    mutation: Option<Mutation>,
    store: &Arc<SimStore>,
    clock: &Arc<dyn Clock>,
    plan: &Plan,
) -> (Arc<dyn SessionStore>, Arc<dyn EndLog>) {
    let Some(mutation) = mutation else {
        return (Arc::<SimStore>::clone(store), Arc::<SimStore>::clone(store));
    };
    let mutant = Arc::new(records::MutantStore {
        mutation,
        inner: Arc::clone(store),
        clock: Arc::clone(clock),
        lifetime: plan.lifetime,
        lapse: plan.lapse,
    });
    (Arc::<records::MutantStore>::clone(&mutant), mutant)
}

/// The peers as an engine sees them.
pub(crate) fn channel(
    mutation: Option<Mutation>,
    channel: Channel,
    store: &Arc<SimStore>,
) -> Arc<dyn PeerChannel> {
    match mutation {
        None => Arc::new(channel),
        Some(mutation) => Arc::new(MutantChannel {
            mutation,
            inner: channel,
            store: Arc::clone(store),
        }),
    }
}

/// An engine as its peers see it.
pub(crate) fn service(
    mutation: Option<Mutation>,
    engine: &Arc<EmbeddedEngine>,
    store: &Arc<SimStore>,
) -> Arc<dyn PeerService> {
    match mutation {
        None => Arc::<EmbeddedEngine>::clone(engine),
        Some(mutation) => Arc::new(MutantService {
            mutation,
            inner: Arc::clone(engine),
            store: Arc::clone(store),
        }),
    }
}

/// What a cookie claims, as an engine sees it.
pub(crate) fn claim(mutation: Option<Mutation>, claim: &Claim) -> Cow<'_, Claim> {
    let mut seen = Cow::Borrowed(claim);
    if mutation == Some(Mutation::NoGenerationCheck) {
        seen.to_mut().facts.generation = Generation::default();
    }
    seen
}

/// The settings of an engine.
pub(crate) fn settings(
    mutation: Option<Mutation>,
    settings: FederationSettings,
) -> FederationSettings {
    match mutation {
        Some(Mutation::NoLease) => FederationSettings {
            partition_lease: FOREVER,
            ..settings
        },
        _ => settings,
    }
}

/// The cookies of a request as gate and collector see them.
pub(crate) fn cookies(process: &Process, cookies: String) -> String {
    match process.shared.mutation {
        Some(Mutation::NoSsoMatchOnGito) => cookies::rematched(process, &cookies),
        _ => cookies,
    }
}

/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
