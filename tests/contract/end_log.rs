//! What every end log keeps to (S-15), whatever becomes of the records beside it.

use std::collections::BTreeSet;
use std::sync::Arc;

use portway::model::end::End;
use portway::model::end::Incarnation;
use portway::model::end::Position;
use portway::model::end::Pulled;
use portway::model::id::SsoId;
use portway::model::session::Generation;
use portway::model::session::Rank;
use portway::model::session::Session;
use portway::ports::session_store::Found;
use portway::ports::session_store::Inserted;
use portway::ports::session_store::Replaced;
use tokio::task::JoinSet;

use crate::world::MADE;
use crate::world::Moment;
use crate::world::Store;
use crate::world::World;
use crate::world::at;
use crate::world::cluster;
use crate::world::counted;
use crate::world::cut_off;
use crate::world::id;
use crate::world::provider_cut_off;
use crate::world::provider_session;
use crate::world::session_of;
use crate::world::staff;
use crate::world::tombstone;
use crate::world::tombstone_until;
use crate::world::user;

crate::for_every_log!(
    s_15_entries_are_read_in_order_from_any_place,
    s_15_the_log_is_the_same_life_until_it_starts_empty,
    s_15_a_log_that_a_peer_has_read_beyond_its_head_begins_a_new_life,
    s_15_appends_that_race_have_a_place_each,
    s_15_how_far_peers_were_read_is_remembered,
    s_16_a_peer_that_was_never_read_is_not_said_to_have_been,
    s_14_a_move_stands_until_one_to_a_higher_rank,
    s_14_of_moves_that_race_the_highest_stands,
    s_14_a_tombstone_takes_the_place_of_a_move_for_good,
    s_18_what_was_never_known_here_can_end_here,
    s_19_memory_reaches_back_to_where_records_were_first_kept,
    a_tombstone_that_stands_keeps_its_place,
    a_cut_off_refuses_what_began_before_it,
    a_provider_cut_off_refuses_what_began_with_its_session,
    the_later_of_two_cut_offs_counts,
    the_longer_lived_of_two_provider_cut_offs_counts,
    what_has_expired_is_trimmed_and_nothing_else,
    a_place_is_not_given_out_again_after_trimming,
);

async fn s_15_entries_are_read_in_order_from_any_place(mut world: World) {
    let store = world.store();
    assert!(store.since(Position(0), 9).is_empty());
    let ends = [
        tombstone(3),
        cut_off("alice", 5, 9),
        moved_to(1, 4, "north"),
        provider_cut_off(2, 9),
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
    assert_eq!(world.store().began(), MADE);
    let store = world.later().await;
    assert_eq!((store.incarnation(), store.began()), (incarnation, MADE));
}

async fn s_15_a_log_that_a_peer_has_read_beyond_its_head_begins_a_new_life(mut world: World) {
    let store = world.store();
    let over = store.incarnation();
    store.append(tombstone(1)).await.unwrap();
    let head = store.append(tombstone(2)).await.unwrap();
    let beyond = Position(head.0 + 1);
    for (life, read) in [(over, head), (Incarnation([3; 16]), beyond)] {
        let next = Incarnation([4; 16]);
        let asked = store.renew_if_outrun(life, read, next, at(9)).await;
        asked.unwrap();
        assert_eq!((store.incarnation(), store.began()), (over, MADE));
    }
    let next = Incarnation([5; 16]);
    for (life, now) in [(over, at(10)), (over, at(11))] {
        let asked = store.renew_if_outrun(life, beyond, next, now).await;
        asked.unwrap();
    }
    assert_eq!(store.remembers_since(), at(10));
    let entries = store.since(Position(0), 9);
    assert_eq!(entries.len(), 2);
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert_eq!((store.incarnation(), store.began()), (next, at(10)));
        assert_eq!(store.since(Position(0), 9), entries);
    }
    assert!(world.store().append(tombstone(3)).await.unwrap() > head);
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

async fn s_15_how_far_peers_were_read_is_remembered(mut world: World) {
    let (north, south) = (pulled(7, 1000), pulled(9, 2000));
    let store = world.store();
    store.note_pulled(&cluster("north"), pulled(6, 900));
    store.note_pulled(&cluster("north"), north);
    store.note_pulled(&cluster("south"), south);
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert_eq!(store.pulled(&cluster("north")), Some(north));
        assert_eq!(store.pulled(&cluster("south")), Some(south));
    }
    let another_life = Pulled {
        incarnation: Incarnation([8; 16]),
        ..pulled(1, 3000)
    };
    world.store().note_pulled(&cluster("north"), another_life);
    let store = world.later().await;
    assert_eq!(store.pulled(&cluster("north")), Some(another_life));
}

async fn s_16_a_peer_that_was_never_read_is_not_said_to_have_been(mut world: World) {
    assert_eq!(world.store().pulled(&cluster("north")), None);
    for n in 0..20 {
        let name = format!("dc-{n}");
        world.store().note_pulled(&cluster(&name), pulled(n, n));
    }
    let store = world.later().await;
    assert_eq!(store.pulled(&cluster("north")), None);
    for n in 0..20 {
        let name = format!("dc-{n}");
        assert_eq!(store.pulled(&cluster(&name)), Some(pulled(n, n)));
    }
}

async fn s_14_a_move_stands_until_one_to_a_higher_rank(mut world: World) {
    let first = world.store().append(moved_to(1, 4, "north")).await.unwrap();
    let other = world.store().append(moved_to(2, 1, "north")).await.unwrap();
    let store = world.later().await;
    for (generation, name) in [(4, "north"), (4, "east"), (3, "west")] {
        let stale = moved_to(1, generation, name);
        assert_eq!(
            store.append(stale).await.unwrap(),
            first,
            "it does not rank above what stands"
        );
    }
    let second = store.append(moved_to(1, 4, "south")).await.unwrap();
    let third = store.append(moved_to(1, 5, "east")).await.unwrap();
    assert!(other < second && second < third);
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert_eq!(
            store.since(Position(0), 9),
            [
                (other, moved_to(2, 1, "north")),
                (third, moved_to(1, 5, "east"))
            ]
        );
        assert!(matches!(store.find(&id(1)), Found::Absent));
    }
    let again = world.store().append(moved_to(1, 5, "east")).await.unwrap();
    assert_eq!(again, third);
}

async fn s_14_of_moves_that_race_the_highest_stands(mut world: World) {
    let store = world.store();
    let mut races = JoinSet::new();
    for n in 0..128 {
        let store = Arc::clone(&store);
        // Every number of 0..16 in an order that differs from session to session.
        let generation = (n / 8 * 5 + n % 8 * 3) % 16;
        races.spawn(async move {
            let end = moved_to(u16::try_from(n % 8).unwrap(), generation, "north");
            store.append(end).await.unwrap()
        });
    }
    races.join_all().await;
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        let mut standing = store.since(Position(0), 999);
        let expected: Vec<End> = (0..8).map(|n| moved_to(n, 15, "north")).collect();
        assert_eq!(standing.len(), expected.len());
        standing.retain(|(_, end)| expected.contains(end));
        let mut standing: Vec<SsoId> = standing.iter().filter_map(|(_, end)| moved(end)).collect();
        let mut expected: Vec<SsoId> = (0..8).map(id).collect();
        standing.sort();
        expected.sort();
        assert_eq!(standing, expected);
    }
}

async fn s_14_a_tombstone_takes_the_place_of_a_move_for_good(mut world: World) {
    let moved = world.store().append(moved_to(1, 4, "north")).await.unwrap();
    let ended = world.store().append(tombstone(1)).await.unwrap();
    assert!(ended > moved);
    let store = world.later().await;
    assert_eq!(store.append(moved_to(1, 9, "north")).await.unwrap(), ended);
    assert_eq!(store.since(Position(0), 9), [(ended, tombstone(1))]);
    assert!(matches!(store.find(&id(1)), Found::Ended));
}

async fn s_18_what_was_never_known_here_can_end_here(mut world: World) {
    world.store().append(tombstone(9)).await.unwrap();
    let store = world.later().await;
    assert!(matches!(store.find(&id(9)), Found::Ended));
    assert_eq!(counted(&*store).await, 0);
}

async fn s_19_memory_reaches_back_to_where_records_were_first_kept(mut world: World) {
    assert_eq!(world.store().remembers_since(), MADE);
    let since = world.remembers_since_later();
    assert_eq!(world.later().await.remembers_since(), since);
}

async fn a_tombstone_that_stands_keeps_its_place(mut world: World) {
    let first = world.store().append(tombstone(1)).await.unwrap();
    world.store().append(tombstone(2)).await.unwrap();
    let store = world.later().await;
    assert_eq!(store.append(tombstone(1)).await.unwrap(), first);
    assert_eq!(store.since(Position(0), 9).len(), 2);
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

async fn a_provider_cut_off_refuses_what_began_with_its_session(mut world: World) {
    world
        .store()
        .append(provider_cut_off(1, 100_000))
        .await
        .unwrap();
    let store = world.later().await;
    let insert = async |n, provider| {
        let session = session_at(provider, n);
        store.insert_unless_ended(session).await.unwrap()
    };
    assert_eq!(insert(1, Some(1)).await, Inserted::Ended);
    assert_eq!(insert(2, Some(2)).await, Inserted::Inserted);
    assert_eq!(insert(3, None).await, Inserted::Inserted);
    // No cookie names the session at the provider: its facts alone must not make the session anew.
    assert!(matches!(store.find(&id(1)), Found::Ended));
    assert_eq!(insert(1, None).await, Inserted::Ended);
    let learned = session_at(Some(1), 3);
    assert!(matches!(
        store.replace_if_version(learned).await.unwrap(),
        Replaced::Ended
    ));
    assert!(matches!(store.find(&id(3)), Found::Ended));
    assert_eq!(counted(&*store).await, 1);
    // What was learned is durable with whatever comes next.
    store.append(tombstone(9)).await.unwrap();
    drop(store);
    let store = world.later().await;
    assert!(
        [1, 3]
            .iter()
            .all(|n| matches!(store.find(&id(*n)), Found::Ended))
    );
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

async fn the_longer_lived_of_two_provider_cut_offs_counts(mut world: World) {
    let store = world.store();
    let first = store.append(provider_cut_off(1, 80)).await.unwrap();
    for expires in [80, 70] {
        assert_eq!(
            store.append(provider_cut_off(1, expires)).await.unwrap(),
            first
        );
    }
    let other = store.append(provider_cut_off(2, 10)).await.unwrap();
    let second = store.append(provider_cut_off(1, 90)).await.unwrap();
    assert!(second > other);
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert_eq!(
            store.since(Position(0), 9),
            [
                (other, provider_cut_off(2, 10)),
                (second, provider_cut_off(1, 90))
            ]
        );
    }
}

async fn what_has_expired_is_trimmed_and_nothing_else(mut world: World) {
    let store = world.store();
    for end in [
        tombstone_until(1, 50),
        tombstone_until(2, 60),
        cut_off("alice", 20, 59),
        cut_off("carol", 20, 61),
        provider_cut_off(1, 59),
        provider_cut_off(2, 60),
        moved_until(4, 59),
        moved_until(5, 60),
    ] {
        store.append(end).await.unwrap();
    }
    drop(store);
    let store = world.later().await;
    assert_eq!(store.trim(at(60)).await.unwrap(), 4);
    assert_eq!(store.trim(at(60)).await.unwrap(), 0);
    drop(store);
    for moment in [Moment::Now, Moment::Later] {
        let store = world.at(moment).await;
        assert!(matches!(store.find(&id(1)), Found::Absent));
        assert!(matches!(store.find(&id(2)), Found::Ended));
        assert_eq!(store.cut_off(&staff(), &user("alice")), None);
        assert_eq!(store.cut_off(&staff(), &user("carol")), Some(at(20)));
        assert_eq!(store.since(Position(0), 9).len(), 4);
    }
    let store = world.store();
    let last = store.since(Position(0), 9).last().unwrap().0;
    assert_eq!(store.append(moved_until(5, 60)).await.unwrap(), last);
    assert!(store.append(moved_until(4, 59)).await.unwrap() > last);
    let insert = async |session| store.insert_unless_ended(session).await.unwrap();
    let (alice, ours, theirs) = (
        session_of("alice", 3, 1),
        session_at(Some(1), 6),
        session_at(Some(2), 7),
    );
    assert_eq!(insert(alice).await, Inserted::Inserted);
    assert_eq!(insert(ours).await, Inserted::Inserted);
    assert_eq!(insert(theirs).await, Inserted::Ended);
}

async fn a_place_is_not_given_out_again_after_trimming(mut world: World) {
    let last = world.store().append(tombstone_until(1, 50)).await.unwrap();
    world.store().trim(at(60)).await.unwrap();
    let store = world.later().await;
    assert!(store.append(tombstone(1)).await.unwrap() > last);
}

fn moved(end: &End) -> Option<SsoId> {
    match end {
        End::Moved { sso, .. } => Some(*sso),
        End::Tombstone { .. } | End::UserCutOff { .. } | End::ProviderCutOff { .. } => None,
    }
}

fn moved_to(n: u16, generation: u32, name: &str) -> End {
    End::Moved {
        sso: id(n),
        holder: Rank {
            generation: Generation(generation),
            cluster: cluster(name),
        },
        expires: at(100_000),
    }
}

fn moved_until(n: u16, expires: u64) -> End {
    End::Moved {
        sso: id(n),
        holder: Rank {
            generation: Generation(2),
            cluster: cluster("north"),
        },
        expires: at(expires),
    }
}

fn pulled(position: u64, sent: u64) -> Pulled {
    Pulled {
        incarnation: Incarnation([7; 16]),
        position: Position(position),
        sent: at(sent),
    }
}

/// A session of alice that began with a session at the identity provider, or with none.
fn session_at(provider: Option<u8>, n: u16) -> Session {
    Session {
        provider_session: provider.map(provider_session),
        ..session_of("alice", n, 90)
    }
}

fn stands(store: &dyn Store, n: u16) -> bool {
    matches!(store.find(&id(n)), Found::Record(_))
}
