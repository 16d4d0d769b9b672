//! What a sweep of the table costs, and what loading, taking back and writing back do to it.
//!
//! What it answers is held against a plain model in `naive`.

use super::*;
use crate::model::id::AdoptionId;
use crate::model::id::ProviderSessionId;
use crate::model::id::SessionId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::ClusterId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Attributes;
use crate::model::session::EndCause;
use crate::model::session::Generation;
use crate::model::session::Release;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;

mod naive;

const IDLE: Duration = Duration::from_millis(20);

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
    assert_eq!(table.load(&session(1, 0, 0), access, drop), Loaded::Stands);
    table.remove(&id(1), drop);
    assert_eq!(
        table.load(&session(1, 0, 0), access, drop),
        Loaded::Overtaken
    );
    table.append(tombstone(2, 9), drop);
    assert_eq!(table.load(&session(2, 0, 0), access, drop), Loaded::Ended);
    table.complete();
    assert_eq!(
        table.load(&session(3, 0, 0), access, drop),
        Loaded::Overtaken
    );
    assert_eq!(table.count(), 0);
}

#[test]
fn a_record_of_a_session_that_ended_at_its_provider_leaves_a_tombstone_when_it_is_taken_up() {
    let table = Table::new(Contents::Loading);
    let access = Access {
        written: Timestamp::default(),
        counts: Timestamp::default(),
    };
    table.append(provider_cut_off(1, 99), drop);
    let theirs = Session {
        provider_session: Some(provider_session(1)),
        ..session(1, 0, 0)
    };
    let mut told = None;
    let loaded = table.load(&theirs, access, |change| told = Some(change));
    assert_eq!(loaded, Loaded::Ended);
    assert!(matches!(table.find(&id(1)), Found::Ended));
    let Some(Change::Ended { position, end, .. }) = told else {
        panic!("{told:?}")
    };
    assert_eq!((position, end), (Position(2), tombstone(1, 40)));
}

#[test]
fn pending_records_cost_what_is_told_and_come_round() {
    let table = Table::new(Contents::Complete);
    for n in 0..20_u8 {
        let state = match n % 4 {
            0 => pending(),
            _ => SessionState::Live,
        };
        table.insert(
            Session {
                state,
                ..session(n, 0, 0)
            },
            drop,
        );
    }
    let told = |limit| -> Vec<SsoId> {
        let pending = table.pending(limit);
        pending.iter().map(|session| session.facts.sso).collect()
    };
    assert_eq!(told(0), []);
    assert_eq!(told(2), [id(0), id(4)]);
    assert_eq!(told(2), [id(8), id(12)]);
    assert_eq!(told(2), [id(16), id(0)]);
    assert_eq!(told(9).len(), 5, "none is told of twice at once");
    table.remove(&id(4), drop);
    table.append(tombstone(8, 99), drop);
    let live = Session {
        version: 1,
        ..session(12, 0, 0)
    };
    table.replace(0, live, drop);
    let mut told = told(9);
    told.sort();
    assert_eq!(told, [id(0), id(16)]);
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

fn provider_session(n: u8) -> ProviderSessionId {
    ProviderSessionId::from_bytes([n; 32])
}

fn provider_cut_off(n: u8, expires: u64) -> End {
    End::ProviderCutOff {
        session: provider_session(n),
        expires: Timestamp::from_millis(expires),
    }
}

fn cluster(n: u8) -> ClusterId {
    ClusterId::parse(&format!("dc-{n}")).unwrap()
}

fn pending() -> SessionState {
    SessionState::Pending(Release {
        adoption: AdoptionId::from_bytes([7; 16]),
        from: cluster(0),
        generation: Generation(1),
        version: 3,
    })
}

fn moved() -> SessionState {
    SessionState::Moved {
        to: cluster(0),
        generation: Generation(1),
        adoption: None,
    }
}

pub(super) fn session(sso: u8, user: u8, at: u64) -> Session {
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
            attributes: Default::default(),
        },
        last_access: at,
        client_address: std::net::Ipv4Addr::LOCALHOST.into(),
        held_since: at,
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: Default::default(),
        aliases: Vec::new(),
        visited: Vec::new(),
        version: 0,
    }
}
