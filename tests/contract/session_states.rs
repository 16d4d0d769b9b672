//! What every session store keeps to about records that do not serve: copies that wait for their
//! release, stubs, ended ones (S-2, S-6).

use std::time::Duration;

use portway::model::id::SsoId;
use portway::model::session::Generation;
use portway::model::session::Session;
use portway::model::session::SessionState;
use portway::ports::session_store::Found;
use portway::ports::session_store::Replaced;

use crate::world::Moment;
use crate::world::Store;
use crate::world::World;
use crate::world::at;
use crate::world::counted;
use crate::world::id;
use crate::world::moved;
use crate::world::pending;
use crate::world::session;
use crate::world::session_in;
use crate::world::staff;
use crate::world::tombstone;
use crate::world::user;

crate::for_every_store!(
    s_2_a_record_in_any_state_is_found_as_it_was_inserted,
    s_6_a_copy_is_pending_until_it_is_resolved,
    s_6_every_pending_copy_is_told_of_in_its_turn,
    s_6_a_session_that_was_reserved_or_released_is_found_so,
    a_stub_and_a_pending_copy_are_due_at_their_expiry_and_not_before,
    a_record_that_serves_again_goes_idle_again,
    a_replacement_moves_the_deadline_of_its_record,
    s_21_records_in_every_state_are_listed_and_counted,
);

const IDLE: Duration = Duration::from_secs(10);

fn states() -> [(u16, SessionState); 4] {
    [
        (1, SessionState::Ended),
        (2, SessionState::Live),
        (3, moved()),
        (4, pending()),
    ]
}

async fn s_2_a_record_in_any_state_is_found_as_it_was_inserted(mut world: World) {
    for (n, state) in states() {
        let session = session_in(state, n);
        world.store().insert_unless_ended(session).await.unwrap();
    }
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        for (n, state) in states() {
            assert_eq!(record(&*store, n), session_in(state, n));
        }
    }
}

async fn s_6_a_copy_is_pending_until_it_is_resolved(mut world: World) {
    for n in 1..=6 {
        let copy = session_in(pending(), n);
        world.store().insert_unless_ended(copy).await.unwrap();
    }
    world.store().insert_unless_ended(session(7)).await.unwrap();
    let store = world.later().await;
    // Records that are still to be taken up are told of once they are.
    assert_eq!(counted(&*store).await, 7);
    assert_eq!(told(&*store, 9), sorted((1..=6).map(id)));
    assert!(store.pending(9).iter().all(|copy| copy.state == pending()));

    let committed = session_in(SessionState::Live, 1);
    store.replace_if_version(committed).await.unwrap();
    store.remove(&id(2)).await.unwrap();
    store.append(tombstone(3)).await.unwrap();
    let moved_on = session_in(moved(), 4);
    store.replace_if_version(moved_on).await.unwrap();
    let read_again = session_in(pending(), 5);
    store.replace_if_version(read_again).await.unwrap();
    let copied_again = session_in(pending(), 7);
    store.replace_if_version(copied_again).await.unwrap();
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert_eq!(counted(&*store).await, 5);
        assert_eq!(told(&*store, 9), sorted([5, 6, 7].map(id).into_iter()));
    }
}

async fn s_6_every_pending_copy_is_told_of_in_its_turn(mut world: World) {
    for n in 0..20 {
        let copy = session_in(pending(), n);
        world.store().insert_unless_ended(copy).await.unwrap();
    }
    let store = world.later().await;
    assert_eq!(counted(&*store).await, 20);
    assert!(store.pending(0).is_empty());
    // None is resolved: the peers of those told of first may be silent for long.
    let mut all = Vec::new();
    for _ in 0..4 {
        let told = store.pending(5);
        assert_eq!(told.len(), 5);
        all.extend(told.iter().map(|session| session.facts.sso));
    }
    assert_eq!(sorted(all.into_iter()), sorted((0..20).map(id)));
}

async fn s_6_a_session_that_was_reserved_or_released_is_found_so(mut world: World) {
    let store = world.store();
    store.insert_unless_ended(session(1)).await.unwrap();
    let released = Session {
        state: moved(),
        reserved: None,
        ..session(1)
    };
    store.replace_if_version(released.clone()).await.unwrap();
    drop(store);
    let store = world.later().await;
    let standing = Session {
        version: 1,
        ..released
    };
    assert_eq!(record(&*store, 1), standing);
}

async fn a_stub_and_a_pending_copy_are_due_at_their_expiry_and_not_before(mut world: World) {
    for (n, state) in states() {
        let session = session_in(state, n);
        world.store().insert_unless_ended(session).await.unwrap();
    }
    let store = world.later().await;
    assert_eq!(counted(&*store).await, 4);
    assert_eq!(due(&*store, 11_000), [id(2)], "only what serves goes idle");
    store.remove(&id(2)).await.unwrap();
    store.touch(&id(3), at(99_999));
    assert_eq!(due(&*store, 99_999), []);
    assert_eq!(due(&*store, 100_000), sorted([1, 3, 4].map(id).into_iter()));
    for n in [1, 3, 4] {
        store.remove(&id(n)).await.unwrap();
    }
    assert_eq!((due(&*store, 100_000), counted(&*store).await), (vec![], 0));
}

async fn a_record_that_serves_again_goes_idle_again(mut world: World) {
    let store = world.store();
    store.insert_unless_ended(session(1)).await.unwrap();
    let stub = session_in(moved(), 1);
    store.replace_if_version(stub).await.unwrap();
    drop(store);
    let store = world.later().await;
    assert_eq!(counted(&*store).await, 1);
    assert_eq!(due(&*store, 50_000), []);
    let reclaimed = Session {
        version: 1,
        last_access: at(50_000),
        ..session(1)
    };
    store.replace_if_version(reclaimed).await.unwrap();
    drop(store);
    let store = world.later().await;
    assert_eq!(counted(&*store).await, 1);
    assert_eq!(due(&*store, 59_999), []);
    assert_eq!(due(&*store, 60_000), [id(1)]);
}

async fn a_replacement_moves_the_deadline_of_its_record(mut world: World) {
    let store = world.store();
    store.insert_unless_ended(session(1)).await.unwrap();
    let mut merged = session_in(moved(), 1);
    merged.facts.expires = at(30_000);
    merged.facts.generation = Generation(9);
    assert!(matches!(
        store.replace_if_version(merged.clone()).await.unwrap(),
        Replaced::Replaced
    ));
    drop(store);
    let store = world.later().await;
    assert_eq!(counted(&*store).await, 1);
    merged.version = 1;
    assert_eq!(record(&*store, 1), merged);
    assert_eq!(due(&*store, 29_999), []);
    assert_eq!(due(&*store, 30_000), [id(1)]);
    store.remove(&id(1)).await.unwrap();
    assert_eq!(due(&*store, 200_000), [], "it is indexed once");
}

async fn s_21_records_in_every_state_are_listed_and_counted(mut world: World) {
    for (n, state) in states() {
        let session = session_in(state, n);
        world.store().insert_unless_ended(session).await.unwrap();
    }
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        let listed = store.list_by_user(&staff(), &user("alice")).await;
        let listed = sorted(listed.iter().map(|session| session.facts.sso));
        assert_eq!(listed, sorted((1..=4).map(id)));
        assert_eq!(counted(&*store).await, 4);
    }
}

fn record(store: &dyn Store, n: u16) -> Session {
    match store.find(&id(n)) {
        Found::Record(session) => Session::clone(&session),
        found @ (Found::Absent | Found::Ended) => panic!("{found:?} where a record should stand"),
    }
}

fn told(store: &dyn Store, limit: usize) -> Vec<SsoId> {
    let pending = store.pending(limit);
    sorted(pending.iter().map(|session| session.facts.sso))
}

fn due(store: &dyn Store, now: u64) -> Vec<SsoId> {
    sorted(store.due(at(now), IDLE, 9).into_iter())
}

fn sorted(ids: impl Iterator<Item = SsoId>) -> Vec<SsoId> {
    let mut ids: Vec<SsoId> = ids.collect();
    ids.sort();
    ids
}
