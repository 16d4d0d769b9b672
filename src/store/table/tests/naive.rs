//! The table against a model of lists that are walked.

use std::collections::BTreeMap;

use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::select;

use super::*;
use crate::model::session::Rank;

#[derive(Clone, Debug)]
enum Step {
    Append(End),
    Insert(Session),
    Remove { sso: u8 },
    Replace(Session),
    Touch { sso: u8, at: u64 },
    Trim { before: u64 },
    Undo { sso: u8 },
}

const SESSIONS: u8 = 6;
const USERS: u8 = 2;
const PROVIDER_SESSIONS: u8 = 2;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => end().prop_map(Step::Append),
        6 => record().prop_map(Step::Insert),
        1 => (0..SESSIONS).prop_map(|sso| Step::Remove { sso }),
        4 => (record(), 0_u64..3)
            .prop_map(|(session, version)| Step::Replace(Session { version, ..session })),
        3 => (0..SESSIONS, 0_u64..60).prop_map(|(sso, at)| Step::Touch { sso, at }),
        1 => prop_oneof![0_u64..60, 0_u64..1].prop_map(|before| Step::Trim { before }),
        1 => (0..SESSIONS).prop_map(|sso| Step::Undo { sso }),
    ]
}

fn end() -> impl Strategy<Value = End> {
    let time = || (0_u64..60).prop_map(Timestamp::from_millis);
    prop_oneof![
        2 => (0..SESSIONS, 0_u64..60).prop_map(|(sso, expires)| tombstone(sso, expires)),
        2 => (0..SESSIONS, 0_u32..3, 0_u8..2, time()).prop_map(|(sso, generation, n, expires)| {
            let (generation, cluster) = (Generation(generation), cluster(n));
            let holder = Rank { generation, cluster };
            End::Moved { sso: id(sso), holder, expires }
        }),
        1 => (0..USERS, time(), time()).prop_map(|(user, before, expires)| End::UserCutOff {
            store: staff(),
            subject: name(user),
            authenticated_before: before,
            expires,
        }),
        1 => (0..PROVIDER_SESSIONS, 0_u64..60)
            .prop_map(|(n, expires)| provider_cut_off(n, expires)),
    ]
}

fn record() -> impl Strategy<Value = Session> {
    let states = vec![
        SessionState::Ended,
        SessionState::Live,
        SessionState::Live,
        SessionState::Live,
        moved(),
        pending(),
    ];
    let names = (0..SESSIONS, 0..USERS);
    let provider = prop_oneof![3 => select(vec![None]), 1 => (0..PROVIDER_SESSIONS).prop_map(Some)];
    (names, 0_u64..60, any::<u8>(), select(states), provider).prop_map(
        |((sso, user), at, lifetime, state, provider)| {
            let mut session = session(sso, user, at);
            session.facts.expires = Timestamp::from_millis(at + u64::from(lifetime % 60));
            session.facts.generation = Generation(u32::from(lifetime));
            Session {
                state,
                provider_session: provider.map(provider_session),
                ..session
            }
        },
    )
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

#[derive(Debug, Default)]
struct Model {
    records: BTreeMap<SsoId, (Session, u64)>,
    log: Vec<(u64, End)>,
    last: u64,
}

impl Model {
    fn tombstone(&self, sso: &SsoId) -> Option<u64> {
        self.position(|end| matches!(end, End::Tombstone { sso: ended, .. } if ended == sso))
    }

    fn cut_off(&self, user: &UserName) -> Option<(u64, Timestamp, Timestamp)> {
        self.log.iter().find_map(|(position, end)| match end {
            End::UserCutOff {
                subject,
                authenticated_before,
                expires,
                ..
            } => (subject == user).then_some((*position, *authenticated_before, *expires)),
            End::Tombstone { .. } | End::Moved { .. } | End::ProviderCutOff { .. } => None,
        })
    }

    fn is_user_cut_off(&self, session: &Session) -> bool {
        self.cut_off(&session.facts.subject)
            .is_some_and(|(_, before, _)| session.facts.first_authenticated < before)
    }

    fn is_provider_cut_off(&self, session: &Session) -> bool {
        session.provider_session.is_some_and(|provider_session| {
            self.position(|end| is_cut_off_of(end, provider_session))
                .is_some()
        })
    }

    /// Whether a record is kept out; what its provider ended leaves a tombstone.
    fn refuses(&mut self, session: &Session) -> bool {
        if self.is_provider_cut_off(session) {
            self.entomb(session.facts.sso, session.facts.expires);
            return true;
        }
        self.is_user_cut_off(session)
    }

    fn entomb(&mut self, sso: SsoId, expires: Timestamp) {
        let cause = EndCause::LoggedOut;
        self.end(End::Tombstone {
            sso,
            cause,
            expires,
        });
    }

    fn append(&mut self, end: End) -> u64 {
        self.last += 1;
        self.log.push((self.last, end));
        self.last
    }

    fn end(&mut self, end: End) -> u64 {
        match end.clone() {
            End::Tombstone { sso, .. } => {
                self.records.remove(&sso);
                if let Some(standing) = self.tombstone(&sso) {
                    return standing;
                }
                self.append_in_place_of(end, |end| is_move_of(end, &sso))
            }
            End::Moved { sso, holder, .. } => {
                let says_as_much = |end: &End| match end {
                    End::Moved { holder: to, .. } => is_move_of(end, &sso) && *to >= holder,
                    End::Tombstone { sso: ended, .. } => *ended == sso,
                    End::UserCutOff { .. } | End::ProviderCutOff { .. } => false,
                };
                if let Some(standing) = self.position(says_as_much) {
                    return standing;
                }
                self.append_in_place_of(end, |end| is_move_of(end, &sso))
            }
            End::UserCutOff {
                store,
                subject,
                authenticated_before,
                expires,
            } => {
                let (position, before, until) = self.cut_off(&subject).unwrap_or_default();
                if position > 0 && before >= authenticated_before && until >= expires {
                    return position;
                }
                self.log.retain(|(standing, _)| *standing != position);
                let position = self.append(End::UserCutOff {
                    store,
                    subject,
                    authenticated_before: authenticated_before.max(before),
                    expires: expires.max(until),
                });
                self.sweep();
                position
            }
            End::ProviderCutOff {
                session,
                expires: until,
            } => {
                let is_theirs = |end: &End| is_cut_off_of(end, session);
                let says_as_much = |end: &End| is_theirs(end) && expires(end) >= until;
                if let Some(standing) = self.position(says_as_much) {
                    return standing;
                }
                let position = self.append_in_place_of(end, is_theirs);
                self.sweep();
                position
            }
        }
    }

    fn position(&self, is_it: impl Fn(&End) -> bool) -> Option<u64> {
        let found = self.log.iter().find(|(_, end)| is_it(end));
        found.map(|(position, _)| *position)
    }

    fn append_in_place_of(&mut self, end: End, is_it: impl Fn(&End) -> bool) -> u64 {
        self.log.retain(|(_, end)| !is_it(end));
        self.append(end)
    }

    fn sweep(&mut self) {
        let standing: Vec<Session> = self
            .records
            .values()
            .map(|(session, _)| session.clone())
            .collect();
        for session in standing {
            if self.refuses(&session) {
                self.records.remove(&session.facts.sso);
            }
        }
    }
}

fn is_move_of(end: &End, sso: &SsoId) -> bool {
    matches!(end, End::Moved { sso: moved, .. } if moved == sso)
}

fn is_cut_off_of(end: &End, provider_session: ProviderSessionId) -> bool {
    matches!(end, End::ProviderCutOff { session, .. } if *session == provider_session)
}

const fn expires(end: &End) -> Timestamp {
    match end {
        End::Tombstone { expires, .. }
        | End::Moved { expires, .. }
        | End::UserCutOff { expires, .. }
        | End::ProviderCutOff { expires, .. } => *expires,
    }
}

fn run(table: &Table, model: &mut Model, step: Step) {
    match step {
        Step::Append(end) => {
            assert_eq!(table.append(end.clone(), drop).0, model.end(end));
        }
        Step::Insert(session) => {
            let sso = session.facts.sso;
            let expected = if model.tombstone(&sso).is_some() {
                Inserted::Ended
            } else if model.records.contains_key(&sso) {
                Inserted::Exists
            } else if model.refuses(&session) {
                Inserted::Ended
            } else {
                let access = session.last_access.as_millis();
                model.records.insert(sso, (session.clone(), access));
                Inserted::Inserted
            };
            assert_eq!(table.insert(session, drop), expected);
        }
        Step::Remove { sso } => {
            model.records.remove(&id(sso));
            table.remove(&id(sso), drop);
        }
        Step::Replace(session) => replace(table, model, session),
        Step::Touch { sso, at } => {
            let known = model
                .records
                .get_mut(&id(sso))
                .map(|(_, access)| *access = at.max(*access));
            let touched = table.touch(&id(sso), Timestamp::from_millis(at), Duration::MAX);
            assert_eq!(touched == Touched::Unknown, known.is_none());
        }
        Step::Trim { before } => {
            let before = Timestamp::from_millis(before);
            let count = model.log.len();
            model.log.retain(|(_, end)| expires(end) >= before);
            assert_eq!(
                table.trim(before, usize::MAX).len(),
                count - model.log.len()
            );
        }
        Step::Undo { sso } => {
            if let Some((session, _)) = model.records.remove(&id(sso)) {
                table.undo_insert(&session, drop);
            }
        }
    }
}

fn replace(table: &Table, model: &mut Model, session: Session) {
    let sso = session.facts.sso;
    let (read, successor) = successor(session.clone());
    let replaced = table.replace(read, successor, drop);
    if !model.records.contains_key(&sso) {
        match replaced {
            Replaced::Ended => assert!(model.tombstone(&sso).is_some()),
            Replaced::Missing => assert!(model.tombstone(&sso).is_none()),
            Replaced::Replaced | Replaced::Stale(_) => panic!("{replaced:?} for nothing"),
        }
        return;
    }
    if model.refuses(&session) {
        assert!(matches!(replaced, Replaced::Ended), "{replaced:?}");
        return;
    }
    let (standing, access) = model.records.get_mut(&sso).unwrap();
    match replaced {
        Replaced::Stale(newer) => {
            assert_ne!(standing.version, session.version);
            assert_eq!(*newer, *standing);
        }
        Replaced::Replaced => {
            assert_eq!(standing.version, session.version);
            *access = (*access).max(session.last_access.as_millis());
            *standing = Session {
                version: session.version + 1,
                ..session
            };
        }
        Replaced::Ended | Replaced::Missing => panic!("{replaced:?} for {standing:?}"),
    }
}

fn compare(table: &Table, model: &Model) {
    for sso in (0..SESSIONS).map(id) {
        match (table.find(&sso), model.records.get(&sso)) {
            (Found::Record(found), Some((session, access))) => {
                assert_eq!(*found, *session);
                let access = Some(Timestamp::from_millis(*access));
                assert_eq!(table.last_access(&sso), access);
            }
            (Found::Ended, None) => assert!(model.tombstone(&sso).is_some()),
            (Found::Absent, None) => assert!(model.tombstone(&sso).is_none()),
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
    for user in (0..USERS).map(name) {
        let listed = table.list_by_user(&staff(), &user).len();
        let expected = model
            .records
            .values()
            .filter(|(session, _)| session.facts.subject == user);
        assert_eq!(listed, expected.count());
        assert_eq!(
            table.cut_off(&staff(), &user),
            model.cut_off(&user).map(|(_, before, _)| before)
        );
    }
    let records = || model.records.values();
    assert_eq!(
        ids(table.pending(100).iter().map(|session| session.facts.sso)),
        ids(records()
            .filter(|(session, _)| matches!(session.state, SessionState::Pending(_)))
            .map(|(session, _)| session.facts.sso))
    );
    for now in [0, 25, 50, 200] {
        let due = table.due(Timestamp::from_millis(now), IDLE, 100).sessions;
        let is_due = |(session, access): &&(Session, u64)| {
            let is_idle = session.state == SessionState::Live && access + 20 <= now;
            session.facts.expires.as_millis() <= now || is_idle
        };
        let expected = records()
            .filter(is_due)
            .map(|(session, _)| session.facts.sso);
        assert_eq!(ids(due.into_iter()), ids(expected));
    }
}

fn ids(ids: impl Iterator<Item = SsoId>) -> Vec<SsoId> {
    let mut ids: Vec<SsoId> = ids.collect();
    ids.sort();
    ids
}

fn staff() -> StoreName {
    StoreName::parse("staff").unwrap()
}
