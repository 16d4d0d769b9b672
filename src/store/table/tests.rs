//! The table against a naive model, and what its sweep costs.

use std::collections::BTreeMap;

use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prop_oneof;
use proptest::proptest;

use super::*;
use crate::model::id::SessionId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::session::EndCause;
use crate::model::session::Generation;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;

const IDLE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
enum Step {
    CutOff { user: u8, before: u64, expires: u64 },
    End { sso: u8, expires: u64 },
    Insert { sso: u8, user: u8, at: u64 },
    Remove { sso: u8 },
    Replace { sso: u8, version: u64, user: u8 },
    Touch { sso: u8, at: u64 },
    Trim { before: u64 },
    Undo { sso: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let (sso, user, at) = (0_u8..6, 0_u8..2, 0_u64..60);
    prop_oneof![
        1 => (user.clone(), at.clone(), at.clone())
            .prop_map(|(user, before, expires)| Step::CutOff { user, before, expires }),
        2 => (sso.clone(), at.clone()).prop_map(|(sso, expires)| Step::End { sso, expires }),
        6 => (sso.clone(), user.clone(), at.clone())
            .prop_map(|(sso, user, at)| Step::Insert { sso, user, at }),
        1 => sso.clone().prop_map(|sso| Step::Remove { sso }),
        2 => (sso.clone(), 0_u64..3, user)
            .prop_map(|(sso, version, user)| Step::Replace { sso, version, user }),
        3 => (sso.clone(), at.clone()).prop_map(|(sso, at)| Step::Touch { sso, at }),
        1 => at.prop_map(|before| Step::Trim { before }),
        1 => sso.prop_map(|sso| Step::Undo { sso }),
        1 => Just(Step::Trim { before: 0 }),
    ]
}

/// The same in the plainest way: lists that are walked.
#[derive(Debug, Default)]
struct Model {
    records: BTreeMap<u8, (Session, u64)>,
    log: Vec<(u64, End)>,
    last: u64,
}

impl Model {
    fn is_ended(&self, sso: u8) -> bool {
        self.log.iter().any(|(_, end)| match end {
            End::Tombstone { sso: ended, .. } => *ended == id(sso),
            End::UserCutOff { .. } => false,
        })
    }

    fn cut_off(&self, user: &UserName) -> Option<(u64, Timestamp, Timestamp)> {
        self.log.iter().find_map(|(position, end)| match end {
            End::UserCutOff {
                subject,
                authenticated_before,
                expires,
                ..
            } => (subject == user).then_some((*position, *authenticated_before, *expires)),
            End::Tombstone { .. } => None,
        })
    }

    fn is_covered(&self, facts: &SsoFacts) -> bool {
        self.cut_off(&facts.subject)
            .is_some_and(|(_, before, _)| facts.first_authenticated < before)
    }

    fn append(&mut self, end: End) -> u64 {
        self.last += 1;
        self.log.push((self.last, end));
        self.last
    }

    fn end(&mut self, end: End) -> u64 {
        match end.clone() {
            End::Tombstone { sso, .. } => {
                self.records
                    .retain(|_, (session, _)| session.facts.sso != sso);
                let standing = self.log.iter().find_map(|(position, end)| match end {
                    End::Tombstone { sso: ended, .. } => (*ended == sso).then_some(*position),
                    End::UserCutOff { .. } => None,
                });
                standing.unwrap_or_else(|| self.append(end))
            }
            End::UserCutOff {
                store,
                subject,
                authenticated_before,
                expires,
            } => {
                let position = match self.cut_off(&subject) {
                    Some((standing, before, until))
                        if before >= authenticated_before && until >= expires =>
                    {
                        standing
                    }
                    Some((standing, before, until)) => {
                        self.log.retain(|(position, _)| *position != standing);
                        let authenticated_before = authenticated_before.max(before);
                        let expires = expires.max(until);
                        let end = End::UserCutOff {
                            store,
                            subject,
                            authenticated_before,
                            expires,
                        };
                        self.append(end)
                    }
                    None => self.append(end),
                };
                let covered: Vec<u8> = self
                    .records
                    .iter()
                    .filter(|(_, (session, _))| self.is_covered(&session.facts))
                    .map(|(sso, _)| *sso)
                    .collect();
                for sso in covered {
                    self.records.remove(&sso);
                }
                position
            }
        }
    }
}

proptest! {
    #[test]
    fn the_table_answers_as_a_naive_model_does(steps in proptest::collection::vec(step(), 1..60)) {
        let table = Table::new(Contents::Complete);
        let mut model = Model::default();
        for step in steps {
            run(&table, &mut model, step);
            compare(&table, &model);
        }
    }
}

fn run(table: &Table, model: &mut Model, step: Step) {
    match step {
        Step::CutOff {
            user,
            before,
            expires,
        } => {
            let end = End::UserCutOff {
                store: StoreName::parse("staff").unwrap(),
                subject: name(user),
                authenticated_before: Timestamp::from_millis(before),
                expires: Timestamp::from_millis(expires),
            };
            assert_eq!(table.append(end.clone(), drop).0, model.end(end));
        }
        Step::End { sso, expires } => {
            let end = tombstone(sso, expires);
            assert_eq!(table.append(end.clone(), drop).0, model.end(end));
        }
        Step::Insert { sso, user, at } => {
            let session = session(sso, user, at);
            let expected = if model.is_ended(sso) {
                Inserted::Ended
            } else if model.records.contains_key(&sso) {
                Inserted::Exists
            } else if model.is_covered(&session.facts) {
                Inserted::Ended
            } else {
                model.records.insert(sso, (session.clone(), at));
                Inserted::Inserted
            };
            assert_eq!(table.insert(session, drop), expected);
        }
        Step::Remove { sso } => {
            model.records.remove(&sso);
            table.remove(&id(sso), drop);
        }
        Step::Replace { sso, version, user } => {
            let mut session = session(sso, user, 30);
            session.version = version;
            replace(table, model, sso, session);
        }
        Step::Touch { sso, at } => {
            let known = model
                .records
                .get_mut(&sso)
                .map(|(_, access)| *access = at.max(*access));
            let touched = table.touch(&id(sso), Timestamp::from_millis(at), Duration::MAX);
            assert_eq!(touched == Touched::Unknown, known.is_none());
        }
        Step::Trim { before } => {
            let before = Timestamp::from_millis(before);
            let count = model.log.len();
            model.log.retain(|(_, end)| match end {
                End::Tombstone { expires, .. } | End::UserCutOff { expires, .. } => {
                    *expires >= before
                }
            });
            assert_eq!(
                table.trim(before, usize::MAX).len(),
                count - model.log.len()
            );
        }
        Step::Undo { sso } => {
            if let Some((session, _)) = model.records.remove(&sso) {
                table.undo_insert(&session, drop);
            }
        }
    }
}

fn replace(table: &Table, model: &mut Model, sso: u8, session: Session) {
    let (read, successor) = successor(session.clone());
    let replaced = table.replace(read, successor, drop);
    let is_covered = model.is_covered(&session.facts);
    match (model.records.get_mut(&sso), replaced) {
        (None, Replaced::Ended) => assert!(model.is_ended(sso)),
        (None, Replaced::Missing) => assert!(!model.is_ended(sso)),
        (Some(_), Replaced::Ended) => assert!(is_covered),
        (Some((standing, _)), Replaced::Stale(newer)) => {
            assert_ne!(standing.version, session.version);
            assert_eq!(*newer, *standing);
        }
        (Some((standing, access)), Replaced::Replaced) => {
            assert!(!is_covered);
            assert_eq!(standing.version, session.version);
            *access = (*access).max(session.last_access.as_millis());
            *standing = Session {
                version: session.version + 1,
                ..session
            };
        }
        (standing, replaced) => panic!("{replaced:?} for {standing:?}"),
    }
}

fn compare(table: &Table, model: &Model) {
    for sso in 0..6 {
        match (table.find(&id(sso)), model.records.get(&sso)) {
            (Found::Record(found), Some((session, access))) => {
                assert_eq!(*found, *session);
                let access = Some(Timestamp::from_millis(*access));
                assert_eq!(table.last_access(&id(sso)), access);
            }
            (Found::Ended, None) => assert!(model.is_ended(sso)),
            (Found::Absent, None) => assert!(!model.is_ended(sso)),
            (found, session) => panic!("{found:?} for {session:?}"),
        }
    }
    assert_eq!(table.count(), model.records.len());
    let log: Vec<(u64, End)> = table
        .since(Position(0), 100)
        .into_iter()
        .map(|(at, end)| (at.0, end))
        .collect();
    assert_eq!(log, model.log);
    for user in 0..2 {
        let listed = table
            .list_by_user(&StoreName::parse("staff").unwrap(), &name(user))
            .len();
        let expected = model
            .records
            .values()
            .filter(|(session, _)| session.facts.subject == name(user));
        assert_eq!(listed, expected.count());
        let cut_off = table.cut_off(&StoreName::parse("staff").unwrap(), &name(user));
        assert_eq!(
            cut_off,
            model.cut_off(&name(user)).map(|(_, before, _)| before)
        );
    }
    for now in [0, 25, 50, 200] {
        let mut due = table.due(Timestamp::from_millis(now), IDLE, 100).sessions;
        due.sort();
        let expected: Vec<SsoId> = model
            .records
            .iter()
            .filter(|(_, (session, access))| {
                session.facts.expires.as_millis() <= now || access + 20 <= now
            })
            .map(|(sso, _)| id(*sso))
            .collect();
        assert_eq!(due, expected);
    }
}

#[test]
fn a_sweep_looks_at_what_it_returns_and_not_at_what_the_table_holds() {
    let table = Table::new(Contents::Complete);
    for n in 0..20_000_u32 {
        let mut session = session(0, 0, u64::from(n));
        session.facts.sso = wide_id(n);
        session.facts.expires = Timestamp::from_millis(1_000_000);
        assert_eq!(table.insert(session, drop), Inserted::Inserted);
    }
    let due = table.due(Timestamp::from_millis(29), IDLE, 1000);
    assert_eq!(due.sessions, (0..10).map(wide_id).collect::<Vec<_>>());
    assert_eq!(due.examined, 10);
    let due = table.due(Timestamp::from_millis(30_000), IDLE, 7);
    assert_eq!((due.sessions.len(), due.examined), (7, 7));
}

#[test]
fn a_touched_record_is_looked_at_once_in_each_idle_time_out() {
    let table = Table::new(Contents::Complete);
    table.insert(session(1, 0, 0), drop);
    table.touch(&id(1), Timestamp::from_millis(15), Duration::MAX);
    let due = |now| table.due(Timestamp::from_millis(now), IDLE, 10);
    let (first, second) = (due(20), due(20));
    assert_eq!((first.sessions.len(), first.examined), (0, 1));
    assert_eq!((second.sessions.len(), second.examined), (0, 0));
    assert_eq!(due(35).sessions, [id(1)]);
}

#[test]
fn a_record_that_was_removed_while_loading_does_not_come_back() {
    let table = Table::new(Contents::Loading);
    let access = Access {
        written: Timestamp::default(),
        counts: Timestamp::default(),
    };
    assert_eq!(table.load(session(1, 0, 0), access), Loaded::Stands);
    table.remove(&id(1), drop);
    assert_eq!(table.load(session(1, 0, 0), access), Loaded::Overtaken);
    table.append(tombstone(2, 9), drop);
    assert_eq!(table.load(session(2, 0, 0), access), Loaded::Ended);
    table.complete();
    assert_eq!(table.load(session(3, 0, 0), access), Loaded::Overtaken);
    assert_eq!(table.count(), 0);
}

#[test]
fn a_replacement_taken_back_leaves_the_record_that_stood() {
    let table = Table::new(Contents::Complete);
    table.insert(session(1, 0, 5), drop);
    let mut put = None;
    table.replace(0, session(1, 1, 9), |change| put = Some(change));
    let Some(Change::Put {
        session: new,
        replaced: Some(old),
    }) = put
    else {
        panic!("{put:?}")
    };
    table.undo_replace(&new, &old);
    let Found::Record(standing) = table.find(&id(1)) else {
        panic!("it is gone")
    };
    assert_eq!(*standing, session(1, 0, 5));
    assert_eq!(table.list_by_user(&standing.facts.store, &name(0)).len(), 1);
}

#[test]
fn an_access_is_due_for_writing_once_in_each_interval() {
    let table = Table::new(Contents::Complete);
    table.insert(session(1, 0, 0), drop);
    let touch = |at| {
        table.touch(
            &id(1),
            Timestamp::from_millis(at),
            Duration::from_millis(10),
        )
    };
    let touched: Vec<Touched> = [9, 10, 11, 19, 20].into_iter().map(touch).collect();
    let (due, noted) = (Touched::Due, Touched::Noted);
    assert_eq!(touched, [noted, due, noted, noted, due]);
    assert_eq!(table.unwritten(), []);
    touch(21);
    assert_eq!(table.unwritten(), [id(1)]);
    assert_eq!(table.write_back(&id(1)), Some(Timestamp::from_millis(21)));
    assert_eq!(table.unwritten(), []);
}

fn id(n: u8) -> SsoId {
    SsoId::from_bytes([n; 16])
}

fn wide_id(n: u32) -> SsoId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    SsoId::from_bytes(bytes)
}

fn name(n: u8) -> UserName {
    UserName::parse(&format!("user-{n}")).unwrap()
}

fn tombstone(sso: u8, expires: u64) -> End {
    let expires = Timestamp::from_millis(expires);
    End::Tombstone {
        sso: id(sso),
        cause: EndCause::LoggedOut,
        expires,
    }
}

fn session(sso: u8, user: u8, at: u64) -> Session {
    let store = StoreName::parse("staff").unwrap();
    let at = Timestamp::from_millis(at);
    Session {
        id: SessionId::from_bytes([sso; 16]),
        facts: SsoFacts {
            sso: id(sso),
            subject: name(user),
            store: store.clone(),
            first_authenticated: at,
            expires: at.after(Duration::from_millis(40)),
            generation: Generation(0),
            level: AuthLevel::MAX,
            level_reached: at,
        },
        state: SessionState::Live,
        identity: Identity {
            store,
            subject: name(user),
            name: None,
            email: None,
            groups: Vec::new(),
        },
        last_access: at,
        client_address: std::net::Ipv4Addr::LOCALHOST.into(),
        aliases: Vec::new(),
        visited: Vec::new(),
        version: 0,
    }
}
