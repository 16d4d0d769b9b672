//! What a data centre holds of a session arrives in the record that another one makes of it: out of the
//! holder's decision, over the wire, and through the adoption (M-068, M-070, MDC-ADOPT-7).

use super::*;
use crate::decision::adoption::Adoption;
use crate::decision::adoption::AdoptionPolicy;
use crate::decision::adoption::Anchor;
use crate::decision::adoption::Case;
use crate::decision::adoption::Creation;
use crate::decision::adoption::Effect;
use crate::decision::adoption::Input;
use crate::decision::adoption::Kept;
use crate::decision::adoption::Local;
use crate::decision::adoption::Outcome;
use crate::decision::adoption::Reread;
use crate::decision::release;
use crate::decision::release::Change;
use crate::decision::release::Commit;
use crate::decision::release::Holding;
use crate::decision::release::Known;
use crate::decision::release::Reserve;
use crate::model::claim::HostLimits;
use crate::model::claim::Place;
use crate::model::claim::Presented;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

fn here() -> ClusterId {
    ClusterId::parse("here").unwrap()
}

fn there() -> ClusterId {
    ClusterId::parse("there").unwrap()
}

/// A session in use, with whatever it may have.
fn in_use() -> impl Strategy<Value = Session> {
    (session(), 0..1000_u32).prop_map(|(any, generation)| Session {
        state: SessionState::Live,
        reserved: None,
        attributes: Attributes::Known,
        last_access: NOW.before(Duration::from_mins(3)),
        held_since: NOW.before(Duration::from_mins(20)),
        facts: SsoFacts {
            first_authenticated: NOW.before(Duration::from_mins(20)),
            expires: NOW.after(Duration::from_hours(1)),
            generation: Generation(generation),
            ..any.facts
        },
        ..any
    })
}

/// Says something to the other end, as the wire carries it.
fn carried<T: Body>(said: &T) -> T {
    body(&enclose(&head(), said).unwrap()).unwrap()
}

/// The data centre that holds the session.
struct There {
    standing: Session,
}

impl There {
    fn answer(&mut self, question: Question) -> Answer {
        let (own, from) = (there(), here());
        let holding = Holding {
            own: &own,
            now: NOW,
            idle_timeout: Duration::from_mins(30),
            min_hold: Duration::from_millis(250),
            lapse: Duration::from_secs(10),
            hard_skew: Duration::from_mins(2),
            remembers_since: Timestamp::from_millis(0),
        };
        let known = Known::Record {
            session: &self.standing,
            last_access: self.standing.last_access,
        };
        let reply = match question {
            Question::Fetch { facts, session } => {
                release::fetch(&holding, &known, &from, &facts, session)
            }
            Question::Reserve {
                facts,
                adoption,
                data,
            } => {
                let facts = &facts;
                let wanted = Reserve {
                    facts,
                    adoption,
                    data,
                };
                release::reserve(&holding, &known, &from, &wanted)
            }
            Question::Commit {
                adoption,
                version,
                generation,
                session,
                ..
            } => {
                let wanted = Commit {
                    adoption,
                    version,
                    generation,
                    session,
                };
                release::commit(&holding, &known, &from, &wanted)
            }
            other @ (Question::Hello(_)
            | Question::Abort { .. }
            | Question::LastAccess { .. }
            | Question::PushEnds { .. }
            | Question::PullEnds { .. }) => panic!("{other:?}"),
        };
        if let Change::Replace(session) = reply.change {
            let version = self.standing.version.wrapping_add(1);
            self.standing = Session {
                version,
                ..*session
            };
        }
        reply.answer
    }
}

/// Adopts a session with an identity store that cannot be asked; answers the record that serves.
fn adopted(theirs: &Session, anchor: Anchor) -> Session {
    let policy = AdoptionPolicy {
        anchor,
        ..AdoptionPolicy::default()
    };
    let case = Case {
        own: here(),
        policy,
        facts: theirs.facts.clone(),
        presented: Presented {
            at: Place::Application,
            client_address: IpAddr::from([192, 0, 2, 1]),
            limits: HostLimits::NONE,
        },
        local: Local::Absent,
        candidates: vec![there()],
        silent: Vec::new(),
        chain: Vec::new(),
        last_access: None,
        idle_timeout: Duration::from_mins(30),
        creation: Creation::Allowed,
        adoption: AdoptionId::from_bytes([3; 16]),
        session: SessionId::from_bytes([4; 16]),
    };
    let mut holder = There {
        standing: theirs.clone(),
    };
    let mut kept: Option<Session> = None;
    let (mut adoption, mut effect) = Adoption::begin(case, NOW);
    loop {
        let input = match effect {
            Effect::Ask { question, .. } => {
                let answer = holder.answer(carried(&*question));
                Input::Answer(carried(&answer))
            }
            Effect::Reread => Input::Reread(Reread::Unavailable),
            Effect::Keep(session) => {
                let version = kept.map_or(1, |before| before.version + 1);
                kept = Some(Session {
                    version,
                    ..*session
                });
                Input::Kept(Kept::Kept { version })
            }
            Effect::Finish(outcome) => {
                assert_eq!(outcome, Outcome::Serve);
                return kept.unwrap();
            }
            other @ (Effect::Announce(_) | Effect::Wait(_)) => panic!("{other:?}"),
        };
        effect = adoption.handle(input, NOW);
    }
}

proptest! {
    #[test]
    fn all_that_a_session_has_arrives_in_the_record_made_of_it_m_068_m_070_mdc_adopt_7(
        theirs in in_use(),
        anchor in prop_oneof![Just(Anchor::Anchored), Just(Anchor::Free)],
    ) {
        // Every field is named, so that none that is added is forgotten.
        let Session {
            id,
            facts,
            state,
            identity,
            last_access,
            client_address,
            held_since,
            reserved,
            provider_session,
            attributes,
            noted,
            aliases,
            visited,
            version: _,
        } = adopted(&theirs, anchor);
        let generation = match anchor {
            Anchor::Anchored => theirs.facts.generation.next(),
            Anchor::Free => theirs.facts.generation,
        };
        prop_assert_eq!(facts, SsoFacts { generation, ..theirs.facts });
        prop_assert_eq!(identity, theirs.identity);
        prop_assert_eq!(attributes, Attributes::Known);
        prop_assert_eq!(noted, theirs.noted);
        prop_assert_eq!(client_address, theirs.client_address);
        prop_assert_eq!(provider_session, theirs.provider_session);
        prop_assert_eq!(last_access, theirs.last_access);
        for host in &theirs.visited {
            prop_assert!(visited.contains(host));
        }
        for known in &theirs.aliases {
            let is_here = known.cluster == here();
            prop_assert!(is_here || aliases.iter().any(|kept| kept.cluster == known.cluster));
        }
        prop_assert!(aliases.iter().any(|kept| kept.session == theirs.id));
        // These are the record's own.
        prop_assert_eq!((id, held_since), (SessionId::from_bytes([4; 16]), NOW));
        prop_assert_eq!((state, reserved), (SessionState::Live, None));
    }
}
