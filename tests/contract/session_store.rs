//! What every session store keeps to.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use portway::model::session::Session;
use portway::ports::session_store::Found;
use portway::ports::session_store::Inserted;
use portway::ports::session_store::Replaced;
use portway::ports::session_store::StoreError;
use tokio::task::JoinSet;

use crate::world::Moment;
use crate::world::Store;
use crate::world::World;
use crate::world::at;
use crate::world::counted;
use crate::world::cut_off;
use crate::world::id;
use crate::world::pending;
use crate::world::session;
use crate::world::session_in;
use crate::world::session_of;
use crate::world::staff;
use crate::world::tombstone;
use crate::world::user;

crate::for_every_store!(
    a_record_is_found_as_it_was_inserted,
    a_session_that_nobody_inserted_is_absent,
    a_second_record_of_an_sso_session_is_refused,
    a_replacement_names_the_version_that_it_read,
    a_replacement_of_nothing_is_missing,
    s_14_a_tombstone_takes_the_place_of_the_record,
    s_17_an_ended_sso_session_is_neither_inserted_nor_replaced,
    s_17_no_insert_survives_an_end_that_it_races_with,
    s_17_no_insert_survives_a_cut_off_that_it_races_with,
    s_17_no_replacement_revives_a_session_that_ends_meanwhile,
    of_inserts_that_race_one_wins,
    of_replacements_that_race_each_is_seen_by_the_next,
    s_20_a_removed_record_leaves_no_tombstone,
    s_21_the_sessions_of_a_user_are_listed_and_counted,
    a_walk_tells_of_every_record_once_a_piece_at_a_time,
    activity_only_moves_forward,
    a_replacement_does_not_lose_activity,
    an_expired_record_is_due_until_it_is_removed,
    an_idle_record_is_due_and_a_touched_one_is_not,
    what_is_due_is_limited_and_all_of_it_comes_in_the_end,
    a_closed_store_writes_nothing_more,
);

const IDLE: Duration = Duration::from_secs(10);

async fn a_record_is_found_as_it_was_inserted(mut world: World) {
    let inserted = world.store().insert_unless_ended(session(1)).await.unwrap();
    assert_eq!(inserted, Inserted::Inserted);
    assert_eq!(*record(&*world.store(), 1), session(1));
    assert_eq!(*record(&*world.later().await, 1), session(1));
}

async fn a_session_that_nobody_inserted_is_absent(mut world: World) {
    assert!(is_absent(&*world.store(), 1));
    assert_eq!(world.store().last_access(&id(1)), None);
    world.store().touch(&id(1), at(5));
    assert!(is_absent(&*world.later().await, 1));
    assert_eq!(counted(&*world.store()).await, 0);
}

async fn a_second_record_of_an_sso_session_is_refused(mut world: World) {
    world.store().insert_unless_ended(session(1)).await.unwrap();
    let second = session_in(pending(), 1);
    let store = world.later().await;
    assert_eq!(
        store.insert_unless_ended(second).await.unwrap(),
        Inserted::Exists
    );
    assert_eq!(*record(&*store, 1), session(1));
}

async fn a_replacement_names_the_version_that_it_read(mut world: World) {
    world.store().insert_unless_ended(session(1)).await.unwrap();
    let changed = Session {
        visited: Vec::new(),
        ..session(1)
    };
    let replaced = world
        .store()
        .replace_if_version(changed.clone())
        .await
        .unwrap();
    assert!(matches!(replaced, Replaced::Replaced));
    let store = world.later().await;
    let standing = Session {
        version: 1,
        ..changed
    };
    assert_eq!(*record(&*store, 1), standing);
    let Replaced::Stale(newer) = store.replace_if_version(session(1)).await.unwrap() else {
        panic!("a version that nobody can have read since was replaced");
    };
    assert_eq!(*newer, standing);
    assert_eq!(*record(&*store, 1), standing);
}

async fn a_replacement_of_nothing_is_missing(mut world: World) {
    let replaced = world
        .later()
        .await
        .replace_if_version(session(1))
        .await
        .unwrap();
    assert!(matches!(replaced, Replaced::Missing));
    assert!(is_absent(&*world.store(), 1));
}

async fn s_14_a_tombstone_takes_the_place_of_the_record(mut world: World) {
    world.store().insert_unless_ended(session(1)).await.unwrap();
    world.store().insert_unless_ended(session(2)).await.unwrap();
    world.store().append(tombstone(1)).await.unwrap();
    assert!(is_ended(&*world.store(), 1));
    let store = world.later().await;
    assert!(is_ended(&*store, 1));
    assert_eq!(store.last_access(&id(1)), None);
    assert_eq!(counted(&*store).await, 1);
    assert_eq!(*record(&*store, 2), session(2));
    assert_eq!(store.list_by_user(&staff(), &user("alice")).await.len(), 1);
    assert_eq!(store.due(at(1_000_000), IDLE, 9), [id(2)]);
}

async fn s_17_an_ended_sso_session_is_neither_inserted_nor_replaced(mut world: World) {
    world.store().append(tombstone(1)).await.unwrap();
    let store = world.later().await;
    assert_eq!(
        store.insert_unless_ended(session(1)).await.unwrap(),
        Inserted::Ended
    );
    assert!(matches!(
        store.replace_if_version(session(1)).await.unwrap(),
        Replaced::Ended
    ));
    store.remove(&id(1)).await.unwrap();
    assert!(
        is_ended(&*store, 1),
        "removing a record does not remove a tombstone"
    );
    assert_eq!(counted(&*store).await, 0);
}

async fn s_17_no_insert_survives_an_end_that_it_races_with(mut world: World) {
    let store = world.store();
    let mut races = JoinSet::new();
    for n in 0..RACES {
        let (inserter, ender) = (Arc::clone(&store), Arc::clone(&store));
        races.spawn(async move {
            inserter.insert_unless_ended(session(n)).await.unwrap();
        });
        races.spawn(async move {
            ender.append(tombstone(n)).await.unwrap();
        });
    }
    races.join_all().await;
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert!((0..RACES).all(|n| is_ended(&*store, n)));
        assert_eq!(counted(&*store).await, 0);
        assert!(
            store
                .list_by_user(&staff(), &user("alice"))
                .await
                .is_empty()
        );
        assert!(store.due(at(1_000_000), IDLE, 9).is_empty());
    }
}

async fn s_17_no_insert_survives_a_cut_off_that_it_races_with(mut world: World) {
    let store = world.store();
    let mut races = JoinSet::new();
    for n in 0..RACES {
        let name = format!("user-{n}");
        let (inserter, ender) = (Arc::clone(&store), Arc::clone(&store));
        let session = session_of(&name, n, 1000);
        races.spawn(async move {
            inserter.insert_unless_ended(session).await.unwrap();
        });
        let end = cut_off(&name, 1001, 100_000);
        races.spawn(async move {
            ender.append(end).await.unwrap();
        });
    }
    races.join_all().await;
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert!((0..RACES).all(|n| is_absent(&*store, n)));
        assert_eq!(counted(&*store).await, 0);
    }
}

async fn s_17_no_replacement_revives_a_session_that_ends_meanwhile(mut world: World) {
    let store = world.store();
    let mut races = JoinSet::new();
    for n in 0..RACES {
        store.insert_unless_ended(session(n)).await.unwrap();
        let (replacer, ender) = (Arc::clone(&store), Arc::clone(&store));
        races.spawn(async move {
            replacer.replace_if_version(session(n)).await.unwrap();
        });
        races.spawn(async move {
            ender.append(tombstone(n)).await.unwrap();
        });
    }
    races.join_all().await;
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert!((0..RACES).all(|n| is_ended(&*store, n)));
        assert_eq!(counted(&*store).await, 0);
    }
}

async fn of_inserts_that_race_one_wins(world: World) {
    let store = world.store();
    let mut races = JoinSet::new();
    for n in 0..RACES {
        let store = Arc::clone(&store);
        races.spawn(async move { store.insert_unless_ended(session(n / 8)).await.unwrap() });
    }
    let answers = races.join_all().await;
    let count_of = |answer| answers.iter().filter(|given| **given == answer).count();
    let winners = usize::from(RACES / 8);
    assert_eq!(count_of(Inserted::Inserted), winners);
    assert_eq!(count_of(Inserted::Exists), usize::from(RACES) - winners);
    assert_eq!(counted(&*store).await, winners);
}

async fn of_replacements_that_race_each_is_seen_by_the_next(mut world: World) {
    let store = world.store();
    store.insert_unless_ended(session(1)).await.unwrap();
    let mut races = JoinSet::new();
    for _ in 0..RACES {
        let store = Arc::clone(&store);
        races.spawn(async move {
            let mut read = record(&*store, 1);
            loop {
                let mut next = Session::clone(&read);
                next.last_access = next.last_access.after(Duration::from_millis(1));
                match store.replace_if_version(next).await.unwrap() {
                    Replaced::Replaced => break,
                    Replaced::Stale(newer) => read = newer,
                    Replaced::Ended | Replaced::Missing => panic!("nobody ended it"),
                }
            }
        });
    }
    races.join_all().await;
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        let standing = record(&*store, 1);
        assert_eq!(standing.version, u64::from(RACES));
        assert_eq!(standing.last_access, at(1000 + u64::from(RACES)));
    }
}

async fn s_20_a_removed_record_leaves_no_tombstone(mut world: World) {
    world.store().insert_unless_ended(session(1)).await.unwrap();
    world.store().remove(&id(1)).await.unwrap();
    world.store().remove(&id(2)).await.unwrap();
    assert!(is_absent(&*world.store(), 1));
    let store = world.later().await;
    assert!(is_absent(&*store, 1));
    assert_eq!(
        store.insert_unless_ended(session(1)).await.unwrap(),
        Inserted::Inserted
    );
}

async fn s_21_the_sessions_of_a_user_are_listed_and_counted(mut world: World) {
    for n in 0..3 {
        world.store().insert_unless_ended(session(n)).await.unwrap();
    }
    world
        .store()
        .insert_unless_ended(session_of("carol", 3, 1000))
        .await
        .unwrap();
    world.store().remove(&id(1)).await.unwrap();
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        let mut listed = ids_of(&*store, "alice").await;
        listed.sort();
        let mut expected = [id(0), id(2)];
        expected.sort();
        assert_eq!(listed, expected);
        assert_eq!(ids_of(&*store, "carol").await, [id(3)]);
        assert!(ids_of(&*store, "mallory").await.is_empty());
        assert_eq!(counted(&*store).await, 3);
    }
}

async fn a_walk_tells_of_every_record_once_a_piece_at_a_time(world: World) {
    let store = world.store();
    assert!(store.walk(None, 2).records.is_empty());
    for n in 1..=5 {
        store.insert_unless_ended(session(n)).await.unwrap();
    }
    store.touch(&id(3), at(2000));
    let (mut seen, mut from) = (Vec::new(), None);
    loop {
        let walked = store.walk(from, 2);
        assert!(walked.records.len() <= 2);
        for (session, last_access) in walked.records {
            assert_eq!(store.last_access(&session.facts.sso), Some(last_access));
            seen.push((session.facts.expires, session.facts.sso));
        }
        // It may end, come or go between two pieces.
        if seen.len() == 2 {
            let gone = (1..=5)
                .map(id)
                .find(|sso| !seen.iter().any(|(_, of)| of == sso));
            store.remove(&gone.unwrap()).await.unwrap();
        }
        from = walked.next;
        if from.is_none() {
            break;
        }
    }
    let each: HashSet<_> = seen.iter().map(|(_, sso)| *sso).collect();
    assert_eq!((seen.len(), each.len()), (4, 4), "{seen:?}");
    assert!(
        seen.is_sorted_by(|(one, _), (next, _)| one >= next),
        "{seen:?}"
    );
}

async fn activity_only_moves_forward(mut world: World) {
    world.store().insert_unless_ended(session(1)).await.unwrap();
    world.store().touch(&id(1), at(999));
    assert_eq!(world.store().last_access(&id(1)), Some(at(1000)));
    world.store().touch(&id(1), at(90_000));
    world.store().touch(&id(1), at(80_000));
    assert_eq!(world.store().last_access(&id(1)), Some(at(90_000)));
    // Shares a commit with the access where there are commits at all.
    world.store().insert_unless_ended(session(2)).await.unwrap();
    assert_eq!(world.later().await.last_access(&id(1)), Some(at(90_000)));
}

async fn a_replacement_does_not_lose_activity(mut world: World) {
    world.store().insert_unless_ended(session(1)).await.unwrap();
    world.store().touch(&id(1), at(90_000));
    world.store().replace_if_version(session(1)).await.unwrap();
    let store = world.later().await;
    assert_eq!(store.last_access(&id(1)), Some(at(90_000)));
    let later = Session {
        version: 1,
        last_access: at(95_000),
        ..session(1)
    };
    store.replace_if_version(later).await.unwrap();
    assert_eq!(store.last_access(&id(1)), Some(at(95_000)));
    assert!(store.due(at(99_999), IDLE, 9).is_empty());
    assert_eq!(
        store.due(at(100_000), IDLE, 9),
        [id(1)],
        "it is indexed once"
    );
}

async fn an_expired_record_is_due_until_it_is_removed(mut world: World) {
    world.store().insert_unless_ended(session(1)).await.unwrap();
    let store = world.later().await;
    assert_eq!(counted(&*store).await, 1);
    store.touch(&id(1), at(99_999));
    assert!(store.due(at(99_999), IDLE, 9).is_empty());
    assert_eq!(
        store.due(at(100_000), IDLE, 9),
        [id(1)],
        "activity does not extend a lifetime"
    );
    assert_eq!(store.due(at(100_000), IDLE, 9), [id(1)]);
    store.remove(&id(1)).await.unwrap();
    assert!(store.due(at(100_000), IDLE, 9).is_empty());
}

async fn an_idle_record_is_due_and_a_touched_one_is_not(mut world: World) {
    world.store().insert_unless_ended(session(1)).await.unwrap();
    world.store().insert_unless_ended(session(2)).await.unwrap();
    let store = world.later().await;
    assert_eq!(counted(&*store).await, 2);
    store.touch(&id(2), at(5000));
    assert!(store.due(at(10_999), IDLE, 9).is_empty());
    assert_eq!(store.due(at(11_000), IDLE, 9), [id(1)]);
    assert_eq!(
        store.due(at(11_000), IDLE * 2, 9),
        [],
        "the time-out is the caller's"
    );
    assert_eq!(store.due(at(15_000), IDLE, 9).len(), 2);
}

async fn what_is_due_is_limited_and_all_of_it_comes_in_the_end(mut world: World) {
    for n in 0..20 {
        world.store().insert_unless_ended(session(n)).await.unwrap();
    }
    let store = world.later().await;
    assert_eq!(counted(&*store).await, 20);
    assert!(store.due(at(50_000), IDLE, 0).is_empty());
    let mut swept = 0;
    loop {
        let due = store.due(at(50_000), IDLE, 7);
        assert!(due.len() <= 7);
        for sso in &due {
            store.remove(sso).await.unwrap();
        }
        swept += due.len();
        if due.is_empty() {
            break;
        }
    }
    assert_eq!((swept, counted(&*store).await), (20, 0));
}

async fn a_closed_store_writes_nothing_more(world: World) {
    let store = world.store();
    store.insert_unless_ended(session(1)).await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(
        store.insert_unless_ended(session(2)).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        store.replace_if_version(session(1)).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        store.remove(&id(1)).await,
        Err(StoreError::Closed)
    ));
    assert!(is_absent(&*store, 2));
    assert_eq!(*record(&*store, 1), session(1));
    assert!(matches!(
        store.append(tombstone(1)).await,
        Err(StoreError::Closed)
    ));
    assert!(
        is_ended(&*store, 1),
        "what ended is refused even if nobody can write it down"
    );
}

/// Enough that some of them truly meet.
const RACES: u16 = 128;

fn record(store: &dyn Store, n: u16) -> Arc<Session> {
    match store.find(&id(n)) {
        Found::Record(session) => session,
        found @ (Found::Absent | Found::Ended) => panic!("{found:?} where a record should stand"),
    }
}

fn is_absent(store: &dyn Store, n: u16) -> bool {
    matches!(store.find(&id(n)), Found::Absent)
}

fn is_ended(store: &dyn Store, n: u16) -> bool {
    matches!(store.find(&id(n)), Found::Ended)
}

async fn ids_of(store: &dyn Store, name: &str) -> Vec<portway::model::id::SsoId> {
    let listed = store.list_by_user(&staff(), &user(name)).await;
    listed.iter().map(|session| session.facts.sso).collect()
}
