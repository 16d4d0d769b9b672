//! What every end log keeps to (S-15).

use std::collections::BTreeSet;
use std::sync::Arc;

use portway::model::name::StoreName;
use portway::ports::end_log::End;
use portway::ports::end_log::Position;
use portway::ports::session_store::Found;
use portway::ports::session_store::Inserted;
use tokio::task::JoinSet;

use crate::world::Moment;
use crate::world::Store;
use crate::world::World;
use crate::world::at;
use crate::world::cut_off;
use crate::world::id;
use crate::world::session_of;
use crate::world::staff;
use crate::world::tombstone;
use crate::world::tombstone_until;
use crate::world::user;

crate::for_every_store!(
    s_15_entries_are_read_in_order_from_any_place,
    s_15_the_log_is_the_same_life_until_it_starts_empty,
    s_15_appends_that_race_have_a_place_each,
    s_18_what_was_never_known_here_can_end_here,
    a_tombstone_that_stands_keeps_its_place,
    a_cut_off_ends_what_began_before_it_and_nothing_else,
    a_cut_off_refuses_what_began_before_it,
    the_later_of_two_cut_offs_counts,
    what_has_expired_is_trimmed_and_nothing_else,
    a_place_is_not_given_out_again_after_trimming,
);

async fn s_15_entries_are_read_in_order_from_any_place(mut world: World) {
    let store = world.store();
    assert!(store.since(Position(0), 9).is_empty());
    let ends = [
        tombstone(3),
        cut_off("alice", 5, 9),
        tombstone(1),
        tombstone(2),
    ];
    for (place, end) in (1..).zip(&ends) {
        assert_eq!(store.append(end.clone()).await.unwrap(), Position(place));
    }
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        let all: Vec<_> = (1..).map(Position).zip(ends.clone()).collect();
        assert_eq!(store.since(Position(0), 9), all);
        let [_, second, third, _] = &all[..] else {
            panic!("four were appended")
        };
        assert_eq!(store.since(Position(2), 1), std::slice::from_ref(third));
        assert_eq!(store.since(Position(1), 2), [second.clone(), third.clone()]);
        assert!(store.since(Position(4), 9).is_empty());
    }
}

async fn s_15_the_log_is_the_same_life_until_it_starts_empty(mut world: World) {
    let incarnation = world.store().incarnation();
    assert_eq!(world.later().await.incarnation(), incarnation);
}

async fn s_15_appends_that_race_have_a_place_each(mut world: World) {
    let store = world.store();
    let mut races = JoinSet::new();
    for n in 0..128 {
        let store = Arc::clone(&store);
        races.spawn(async move { store.append(tombstone(n / 2)).await.unwrap() });
    }
    let places: BTreeSet<Position> = races.join_all().await.into_iter().collect();
    assert_eq!(places, (1..=64).map(Position).collect());
    drop(store);
    assert_eq!(world.later().await.since(Position(0), 999).len(), 64);
}

async fn s_18_what_was_never_known_here_can_end_here(mut world: World) {
    world.store().append(tombstone(9)).await.unwrap();
    let store = world.later().await;
    assert!(matches!(store.find(&id(9)), Found::Ended));
    assert_eq!(store.count(), 0);
}

async fn a_tombstone_that_stands_keeps_its_place(mut world: World) {
    let first = world.store().append(tombstone(1)).await.unwrap();
    world.store().append(tombstone(2)).await.unwrap();
    let store = world.later().await;
    assert_eq!(store.append(tombstone(1)).await.unwrap(), first);
    assert_eq!(store.since(Position(0), 9).len(), 2);
}

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
        let standing: Vec<u16> = (1..=5).filter(|n| stands(&*store, *n)).collect();
        assert_eq!(standing, [2, 3, 4, 5]);
        assert_eq!(store.cut_off(&staff(), &user("alice")), Some(at(20)));
        assert_eq!(store.cut_off(&staff(), &user("carol")), None);
        assert_eq!(store.count(), 4);
    }
}

async fn a_cut_off_refuses_what_began_before_it(mut world: World) {
    world
        .store()
        .append(cut_off("alice", 20, 100_000))
        .await
        .unwrap();
    let store = world.later().await;
    let insert = async |n, began| {
        store
            .insert_unless_ended(session_of("alice", n, began))
            .await
            .unwrap()
    };
    assert_eq!(insert(1, 19).await, Inserted::Ended);
    assert_eq!(insert(2, 20).await, Inserted::Inserted);
    assert!(!stands(&*store, 1));
}

async fn the_later_of_two_cut_offs_counts(mut world: World) {
    let store = world.store();
    let first = store.append(cut_off("alice", 20, 90)).await.unwrap();
    assert_eq!(
        store.append(cut_off("alice", 10, 80)).await.unwrap(),
        first,
        "it says no more"
    );
    let second = store.append(cut_off("alice", 30, 70)).await.unwrap();
    assert!(second > first);
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert_eq!(store.cut_off(&staff(), &user("alice")), Some(at(30)));
        let merged = End::UserCutOff {
            store: staff(),
            subject: user("alice"),
            authenticated_before: at(30),
            expires: at(90),
        };
        assert_eq!(store.since(Position(0), 9), [(second, merged)]);
    }
}

async fn what_has_expired_is_trimmed_and_nothing_else(mut world: World) {
    let store = world.store();
    for end in [
        tombstone_until(1, 50),
        tombstone_until(2, 60),
        cut_off("alice", 20, 59),
        cut_off("carol", 20, 61),
    ] {
        store.append(end).await.unwrap();
    }
    drop(store);
    let store = world.later().await;
    assert_eq!(store.trim(at(60)).await.unwrap(), 2);
    assert_eq!(store.trim(at(60)).await.unwrap(), 0);
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert!(matches!(store.find(&id(1)), Found::Absent));
        assert!(matches!(store.find(&id(2)), Found::Ended));
        assert_eq!(store.cut_off(&staff(), &user("alice")), None);
        assert_eq!(store.cut_off(&staff(), &user("carol")), Some(at(20)));
        assert_eq!(store.since(Position(0), 9).len(), 2);
    }
    let inserted = world
        .store()
        .insert_unless_ended(session_of("alice", 3, 1))
        .await
        .unwrap();
    assert_eq!(inserted, Inserted::Inserted);
}

async fn a_place_is_not_given_out_again_after_trimming(mut world: World) {
    let last = world.store().append(tombstone_until(1, 50)).await.unwrap();
    world.store().trim(at(60)).await.unwrap();
    let store = world.later().await;
    assert!(store.append(tombstone(1)).await.unwrap() > last);
}

fn stands(store: &dyn Store, n: u16) -> bool {
    matches!(store.find(&id(n)), Found::Record(_))
}
