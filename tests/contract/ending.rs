//! What ends do to the records of every session store (S-14, S-15, S-17).
//!
//! The rules of the log itself are in `end_log`; tombstones are held against records in `session_store`.

use std::sync::Arc;

use portway::model::end::End;
use portway::model::end::Position;
use portway::model::id::SsoId;
use portway::model::name::StoreName;
use portway::model::session::EndCause;
use portway::model::session::Generation;
use portway::model::session::Rank;
use portway::model::session::Session;
use portway::model::session::SessionState;
use portway::ports::session_store::Found;
use portway::ports::session_store::Inserted;
use portway::ports::session_store::Replaced;
use tokio::task::JoinSet;

use crate::world::Moment;
use crate::world::Store;
use crate::world::World;
use crate::world::at;
use crate::world::cluster;
use crate::world::counted;
use crate::world::cut_off;
use crate::world::id;
use crate::world::moved;
use crate::world::pending;
use crate::world::provider_cut_off;
use crate::world::provider_session;
use crate::world::session;
use crate::world::session_in;
use crate::world::session_of;
use crate::world::staff;
use crate::world::user;

crate::for_every_store!(
    a_cut_off_ends_what_began_before_it_and_nothing_else,
    s_15_a_provider_cut_off_ends_what_began_with_its_session_and_nothing_else,
    s_17_no_insert_survives_a_provider_cut_off_that_it_races_with,
    s_17_no_replacement_brings_in_what_a_provider_cut_off_ended,
    s_14_a_move_touches_no_record,
);

async fn a_cut_off_ends_what_began_before_it_and_nothing_else(mut world: World) {
    let store = world.store();
    for (n, name, began) in [
        (1, "alice", 10),
        (2, "alice", 20),
        (3, "alice", 21),
        (4, "carol", 1),
    ] {
        store
            .insert_unless_ended(session_of(name, n, began))
            .await
            .unwrap();
    }
    let mut elsewhere = session_of("alice", 5, 1);
    elsewhere.facts.store = StoreName::parse("partners").unwrap();
    store.insert_unless_ended(elsewhere).await.unwrap();
    store.append(cut_off("alice", 20, 100_000)).await.unwrap();
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert_eq!(standing(&*store, 1..=5), [2, 3, 4, 5]);
        assert_eq!(store.cut_off(&staff(), &user("alice")), Some(at(20)));
        assert_eq!(store.cut_off(&staff(), &user("carol")), None);
        assert_eq!(counted(&*store).await, 4);
    }
}

async fn s_15_a_provider_cut_off_ends_what_began_with_its_session_and_nothing_else(
    mut world: World,
) {
    let store = world.store();
    let records = [
        (1, SessionState::Live, Some(1)),
        (2, moved(), Some(1)),
        (3, pending(), Some(1)),
        (4, SessionState::Live, Some(2)),
        (5, SessionState::Live, None),
    ];
    for (n, state, provider) in records {
        let session = begun_with(provider, session_in(state, n));
        store.insert_unless_ended(session).await.unwrap();
    }
    let position = store.append(provider_cut_off(1, 100_000)).await.unwrap();
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert_eq!(standing(&*store, 1..=5), [4, 5]);
        for n in 1..=3 {
            assert!(
                matches!(store.find(&id(n)), Found::Ended),
                "no cookie names the session at the provider, so each has a tombstone"
            );
        }
        assert_eq!(counted(&*store).await, 2);
        assert!(store.pending(9).is_empty());
        assert_eq!(store.list_by_user(&staff(), &user("alice")).await.len(), 2);
        let told = store.since(position, 9);
        let mut ended: Vec<_> = told.iter().filter_map(|(_, end)| signed_out(end)).collect();
        assert_eq!(ended.len(), told.len());
        ended.sort();
        let mut expected = [id(1), id(2), id(3)];
        expected.sort();
        assert_eq!(ended, expected, "peers are told of each");
    }
}

async fn s_17_no_insert_survives_a_provider_cut_off_that_it_races_with(mut world: World) {
    let store = world.store();
    let mut races = JoinSet::new();
    for n in 0..RACES {
        let (inserter, ender) = (Arc::clone(&store), Arc::clone(&store));
        let provider = u8::try_from(n).unwrap();
        races.spawn(async move {
            let session = begun_with(Some(provider), session(n));
            inserter.insert_unless_ended(session).await.unwrap();
        });
        races.spawn(async move {
            let end = provider_cut_off(provider, 100_000);
            ender.append(end).await.unwrap();
        });
    }
    races.join_all().await;
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert!((0..RACES).all(|n| matches!(store.find(&id(n)), Found::Ended)));
        assert_eq!(counted(&*store).await, 0);
        assert!(
            store
                .list_by_user(&staff(), &user("alice"))
                .await
                .is_empty()
        );
    }
}

async fn s_17_no_replacement_brings_in_what_a_provider_cut_off_ended(mut world: World) {
    let store = world.store();
    store.append(provider_cut_off(1, 100_000)).await.unwrap();
    store.insert_unless_ended(session(1)).await.unwrap();
    drop(store);
    let store = world.later().await;
    let merged = begun_with(Some(1), session(1));
    assert!(matches!(
        store.replace_if_version(merged).await.unwrap(),
        Replaced::Ended
    ));
    assert!(matches!(store.find(&id(1)), Found::Ended));
    assert_eq!(
        store.insert_unless_ended(session(1)).await.unwrap(),
        Inserted::Ended
    );
}

async fn s_14_a_move_touches_no_record(mut world: World) {
    let store = world.store();
    store.insert_unless_ended(session(1)).await.unwrap();
    let end = End::Moved {
        sso: id(1),
        holder: Rank {
            generation: Generation(9),
            cluster: cluster("north"),
        },
        expires: at(100_000),
    };
    let position = store.append(end.clone()).await.unwrap();
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        let Found::Record(standing) = store.find(&id(1)) else {
            panic!("it is gone")
        };
        assert_eq!(*standing, session(1));
        assert_eq!(store.since(Position(0), 9), [(position, end.clone())]);
    }
    let store = world.store();
    let stub = session_in(moved(), 1);
    assert!(matches!(
        store.replace_if_version(stub).await.unwrap(),
        Replaced::Replaced
    ));
}

/// Enough that some of them truly meet.
const RACES: u16 = 128;

fn signed_out(end: &End) -> Option<SsoId> {
    match end {
        End::Tombstone {
            sso,
            cause: EndCause::LoggedOut,
            expires,
        } => (*expires == at(100_000)).then_some(*sso),
        End::Tombstone { .. }
        | End::Moved { .. }
        | End::UserCutOff { .. }
        | End::ProviderCutOff { .. } => None,
    }
}

fn begun_with(provider: Option<u8>, session: Session) -> Session {
    Session {
        provider_session: provider.map(provider_session),
        ..session
    }
}

fn standing(store: &dyn Store, numbers: std::ops::RangeInclusive<u16>) -> Vec<u16> {
    let is_record = |n: &u16| matches!(store.find(&id(*n)), Found::Record(_));
    numbers.filter(is_record).collect()
}
