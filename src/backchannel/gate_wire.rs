//! The verbs between a gate without an engine and the engines that it uses (M-055).
//!
//! They are the port `SessionEngine` as messages, with two differences: what an engine says of a session
//! comes with the place in its feed of ends up to which that holds, and that feed is read by questions
//! that wait. A gate cannot say that it asks at the collector, which believes more than an application
//! does: there is no word for it here.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::backchannel::gate_terms::GateTerms;
use crate::backchannel::wire::Body;
use crate::backchannel::wire::WireError;
use crate::backchannel::wire::bounds;
use crate::model::claim::Claim;
use crate::model::claim::Hint;
use crate::model::claim::HostLimits;
use crate::model::claim::NotLive;
use crate::model::claim::Place;
use crate::model::claim::Presented;
use crate::model::end::Confirmed;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::name::ClusterId;
use crate::model::name::DATA_CENTRES_MAX;
use crate::model::name::HostName;
use crate::model::peer::Rest;
use crate::model::session::EndCause;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// What a gate asks an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum GateQuestion {
    /// End this SSO session (S-18).
    End {
        /// The SSO session as the cookie has it.
        facts: SsoFacts,
        /// Why.
        cause: EndCause,
    },
    /// Does this claim's session serve?
    Judge {
        /// The claim.
        claim: GateClaim,
    },
    /// Is this the first time that the one-step token is used? (S-24)
    Spend {
        /// The token.
        token: TokenId,
        /// When it is over by itself.
        expires: Timestamp,
    },
    /// Which of these stand no more?
    Standing {
        /// SSO sessions, at most [`SESSIONS_MAX`].
        sessions: Vec<SsoId>,
    },
    /// What holds at your data centre that gates go by?
    Terms,
    /// These saw permitted requests.
    Touch {
        /// SSO sessions, and how many milliseconds ago, at most [`SESSIONS_MAX`]. A span of time is the
        /// same by every clock.
        sessions: Vec<(SsoId, u64)>,
    },
    /// A host is about to hold an authn cookie of this claim's session.
    Visit {
        /// The claim.
        claim: GateClaim,
        /// The host.
        host: HostName,
    },
    /// What has stopped serving? Without news the answer is held back for a while.
    Watch {
        /// Up to where it is known; none: nothing is.
        after: Option<Mark>,
        /// How long to wait for news, in milliseconds.
        hold: u64,
    },
}

/// What an engine answers a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum GateAnswer {
    /// Done.
    Done,
    /// To `End`.
    Ended {
        /// The application hosts that hold an authn cookie of it.
        visited: Vec<HostName>,
        /// Whether the end is durable here.
        durability: Confirmed,
        /// The other data centres, and whether the end is durable there.
        peers: Vec<(ClusterId, Confirmed)>,
    },
    /// To `Judge` and `Visit`.
    Judged {
        /// What is to be said of the claim.
        verdict: Verdict,
        /// It holds up to here in the feed.
        at: Mark,
    },
    /// To `End`: it is not taken now; the gate tells it again later.
    NotDurable,
    /// To `Standing`: those that do not.
    NotStanding(Vec<SsoId>),
    /// To `Spend`: it was used before.
    SpentBefore,
    /// To `Terms`.
    Terms(GateTerms),
    /// To `Watch`.
    Watched {
        /// Up to where this goes.
        at: Mark,
        /// What there is to tell.
        news: News,
    },
}

/// A place in the feed of ends of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The life of the feed: it has another one after a start, and after it lost something.
    pub(super) feed: [u8; 16],
    /// How many ends came before.
    pub(super) position: u64,
}

/// What an engine says of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    /// The session serves.
    Live {
        /// Its record.
        session: Box<Session>,
        /// After how many milliseconds without a request it is over.
        idle_timeout: u64,
    },
    /// It does not, for this reason.
    NotLive(NotLive),
}

/// What there is to tell of ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum News {
    /// These have stopped serving since, at most [`SESSIONS_MAX`].
    Ended {
        /// The SSO sessions, in order.
        sessions: Vec<SsoId>,
        /// Whether there are more behind them.
        rest: Rest,
    },
    /// The place is not known: anything may have stopped serving since.
    Lost,
}

/// A claim, as a gate passes it on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GateClaim {
    facts: SsoFacts,
    cluster: ClusterId,
    session: SessionId,
    hints: Vec<(Holder, Timestamp)>,
    last_access: Option<Timestamp>,
    client_address: IpAddr,
    coming: Coming,
    /// The idle time-out of the virtual host, in milliseconds, where it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_timeout: Option<u64>,
    /// The lifetime that it gives sessions, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
}

/// How the browser of a claim came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Coming {
    /// Straight from signing in ([`Place::Arrival`]).
    FromSignIn,
    /// With an authn cookie, or with what was signed in earlier.
    Otherwise,
}

impl From<&Claim> for GateClaim {
    fn from(claim: &Claim) -> Self {
        let hints = claim.hints.iter().take(HINTS_MAX);
        Self {
            facts: claim.facts.clone(),
            cluster: claim.cluster.clone(),
            session: claim.session,
            hints: hints
                .map(|hint| (hint.holder.clone(), hint.last_access))
                .collect(),
            last_access: claim.last_access,
            client_address: claim.presented.client_address,
            coming: match claim.presented.at {
                Place::Arrival => Coming::FromSignIn,
                Place::Application | Place::Collector => Coming::Otherwise,
            },
            idle_timeout: claim.presented.limits.idle_timeout.map(millis),
            lifetime: claim.presented.limits.lifetime.map(millis),
        }
    }
}

impl From<GateClaim> for Claim {
    fn from(claim: GateClaim) -> Self {
        let hint = |(holder, last_access)| Hint {
            holder,
            last_access,
        };
        Self {
            facts: claim.facts,
            cluster: claim.cluster,
            session: claim.session,
            hints: claim.hints.into_iter().map(hint).collect(),
            last_access: claim.last_access,
            presented: Presented {
                // A gate is never a collector.
                at: match claim.coming {
                    Coming::FromSignIn => Place::Arrival,
                    Coming::Otherwise => Place::Application,
                },
                client_address: claim.client_address,
                limits: HostLimits {
                    idle_timeout: claim.idle_timeout.map(Duration::from_millis),
                    lifetime: claim.lifetime.map(Duration::from_millis),
                },
            },
        }
    }
}

impl Body for GateQuestion {
    const VERBS: &'static [&'static str] = &[
        "End", "Judge", "Spend", "Standing", "Terms", "Touch", "Visit", "Watch",
    ];

    fn check(&self) -> Result<(), WireError> {
        match self {
            Self::Judge { claim } | Self::Visit { claim, .. } => {
                bounds::at_most(&claim.hints, HINTS_MAX, "hints")
            }
            Self::Standing { sessions } => bounds::at_most(sessions, SESSIONS_MAX, "sessions"),
            Self::Touch { sessions } => bounds::at_most(sessions, SESSIONS_MAX, "sessions"),
            Self::End { .. } | Self::Spend { .. } | Self::Terms | Self::Watch { .. } => Ok(()),
        }
    }
}

impl Body for GateAnswer {
    const VERBS: &'static [&'static str] = &[
        "Done",
        "Ended",
        "Judged",
        "NotDurable",
        "NotStanding",
        "SpentBefore",
        "Terms",
        "Watched",
    ];

    fn check(&self) -> Result<(), WireError> {
        match self {
            Self::Ended { visited, peers, .. } => {
                bounds::at_most(visited, Session::VISITED_MAX, "visited hosts")?;
                bounds::at_most(peers, PEERS_MAX, "peers")
            }
            Self::Judged { verdict, .. } => match verdict {
                Verdict::Live { session, .. } => bounds::session(session),
                Verdict::NotLive(_) => Ok(()),
            },
            Self::NotStanding(sessions) => bounds::at_most(sessions, SESSIONS_MAX, "sessions"),
            Self::Terms(terms) => terms.check(),
            Self::Watched { news, .. } => match news {
                News::Ended { sessions, .. } => bounds::at_most(sessions, SESSIONS_MAX, "sessions"),
                News::Lost => Ok(()),
            },
            Self::Done | Self::NotDurable | Self::SpentBefore => Ok(()),
        }
    }
}

/// A span as the milliseconds of a message.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Most sessions in one message.
pub(super) const SESSIONS_MAX: usize = 1000;
/// Most hints in a claim: one for each data centre that there can be, and one from the GITO cookie.
const HINTS_MAX: usize = DATA_CENTRES_MAX + 1;
/// Most data centres besides one.
const PEERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backchannel::wire;
    use crate::backchannel::wire::Letterhead;
    use crate::crypto::pki::node_name::NodeName;
    use crate::model::identity::AuthLevel;
    use crate::model::name::StoreName;
    use crate::model::name::UserName;
    use crate::model::session::Generation;

    #[test]
    fn a_claim_of_a_gate_is_one_of_an_application_whatever_it_was_and_keeps_a_fresh_sign_in_mdc_adopt_4()
     {
        let mut claim = Claim {
            facts: facts(),
            cluster: ClusterId::parse("ny").unwrap(),
            session: SessionId::from_bytes([2; 16]),
            hints: vec![Hint {
                holder: Holder {
                    cluster: ClusterId::parse("ldc").unwrap(),
                    session: SessionId::from_bytes([3; 16]),
                },
                last_access: Timestamp::from_millis(7),
            }],
            last_access: Some(Timestamp::from_millis(8)),
            presented: Presented {
                at: Place::Collector,
                client_address: IpAddr::from([192, 0, 2, 1]),
                limits: HostLimits {
                    idle_timeout: Some(Duration::from_mins(5)),
                    lifetime: None,
                },
            },
        };
        for (at, heard) in [
            (Place::Application, Place::Application),
            (Place::Arrival, Place::Arrival),
            (Place::Collector, Place::Application),
        ] {
            claim.presented.at = at;
            let question = GateQuestion::Judge {
                claim: GateClaim::from(&claim),
            };
            let read: GateQuestion = wire::body(&enclosed(&question)).unwrap();
            assert_eq!(read, question);
            let GateQuestion::Judge { claim: read } = read else {
                panic!("{read:?}");
            };
            let mut expected = claim.clone();
            expected.presented.at = heard;
            assert_eq!(Claim::from(read), expected);
        }
    }

    #[test]
    fn every_reason_travels_and_lists_keep_their_bounds() {
        for reason in [
            NotLive::Ended,
            NotLive::Reauthenticate,
            NotLive::Disabled,
            NotLive::LeaseOver,
            NotLive::HeldElsewhere,
            NotLive::Expired,
            NotLive::ExpiredHere,
            NotLive::Idle,
            NotLive::IdleHere,
            NotLive::Mismatched,
            NotLive::Missing,
            NotLive::Refused,
            NotLive::Skew,
            NotLive::Unanswered,
            NotLive::UnknownStore,
        ] {
            let answer = GateAnswer::Judged {
                verdict: Verdict::NotLive(reason),
                at: Mark {
                    feed: [1; 16],
                    position: 5,
                },
            };
            let read: GateAnswer = wire::body(&enclosed(&answer)).unwrap();
            assert_eq!(read, answer);
        }
        let many = vec![SsoId::from_bytes([1; 16]); SESSIONS_MAX + 1];
        let question = GateQuestion::Standing { sessions: many };
        let refused: Result<GateQuestion, WireError> = wire::body(&enclosed(&question));
        assert_eq!(refused, Err(WireError::Bound("sessions")));
        let answer = GateAnswer::Done;
        let refused: Result<GateQuestion, WireError> = wire::body(&enclosed(&answer));
        assert_eq!(refused, Err(WireError::UnknownVerb("Done".to_owned())));
    }

    fn enclosed<B: Body>(body: &B) -> Vec<u8> {
        let head = Letterhead {
            from: NodeName::parse("portway-gate://edge-1").unwrap(),
            to: NodeName::parse("portway://ny").unwrap(),
            sent: Timestamp::default(),
            valid_until: Timestamp::default(),
        };
        wire::enclose(&head, body).unwrap()
    }

    fn facts() -> SsoFacts {
        SsoFacts {
            sso: SsoId::from_bytes([1; 16]),
            subject: UserName::parse("alice").unwrap(),
            store: StoreName::parse("users").unwrap(),
            first_authenticated: Timestamp::from_millis(1),
            expires: Timestamp::from_millis(2),
            generation: Generation(3),
            level: AuthLevel::MAX,
            level_reached: Timestamp::from_millis(1),
        }
    }
}
