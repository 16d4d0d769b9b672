//! The disk store where only a test can reach: a full disk, damaged bytes, a start half done.

use std::io;
use std::ops::Bound;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use futures_util::poll;
use parking_lot::Condvar;
use redb::BackendError;
use redb::Database;
use redb::ReadableDatabase;
use redb::ReadableTable;
use redb::ReadableTableMetadata;
use redb::StorageBackend;
use redb::TableDefinition;
use redb::backends::FileBackend;
use tempfile::TempDir;

use super::*;
use crate::model::id::AdoptionId;
use crate::model::id::ProviderSessionId;
use crate::model::id::SessionId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::session::Attributes;
use crate::model::session::EndCause;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::model::session::Rank;
use crate::model::session::Release;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::store::RecordSealer;
use crate::store::disk::file::Opener;
use crate::store::disk::header::Closed;
use crate::store::disk::header::Header;
use crate::store::disk::open::Setting;
use crate::store::record::version_1;

const SESSIONS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("sessions");
const ENDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("ends");
const ACCESSES: TableDefinition<'_, &[u8; 16], u64> = TableDefinition::new("last_accesses");
const USERS: TableDefinition<'_, &[u8; 16], u64> = TableDefinition::new("users");
const PULLED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("pulled");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

const INTERVAL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_full_disk_refuses_records_and_keeps_ends_in_memory_until_there_is_room() {
    let place = Place::new();
    let store = place.open();
    store.insert_unless_ended(session(1)).await.unwrap();
    place.full.store(true, Ordering::SeqCst);
    assert!(failed(&store.insert_unless_ended(session(2)).await));
    assert!(matches!(store.find(&id(2)), Found::Absent));
    assert_eq!(
        (
            counted(&store),
            store.table.list_by_user(&staff(), &alice()).len()
        ),
        (1, 1)
    );
    assert!(failed(&store.append(tombstone(1)).await));
    assert!(matches!(store.find(&id(1)), Found::Ended));
    assert!(
        failed(&store.append(tombstone(1)).await),
        "the end still is not durable"
    );
    place.full.store(false, Ordering::SeqCst);
    store.append(tombstone(3)).await.unwrap();
    store.append(tombstone(1)).await.unwrap();
    drop(store);
    let store = place.open();
    assert!(matches!(store.find(&id(1)), Found::Ended));
    assert!(matches!(store.find(&id(2)), Found::Absent));
    assert!(matches!(store.find(&id(3)), Found::Ended));
    assert_eq!(counted(&store), 0);
}

#[tokio::test]
async fn an_end_that_a_full_disk_refused_is_written_once_there_is_room_without_anyone_asking() {
    let place = Place::new();
    let store = place.open();
    place.full.store(true, Ordering::SeqCst);
    assert!(failed(&store.append(tombstone(1)).await));
    place.full.store(false, Ordering::SeqCst);
    drop(store);
    assert!(matches!(place.open().find(&id(1)), Found::Ended));
}

#[tokio::test]
async fn a_replacement_that_a_full_disk_refused_leaves_the_record_as_it_was() {
    let place = Place::new();
    let store = place.open();
    store.insert_unless_ended(session(1)).await.unwrap();
    place.full.store(true, Ordering::SeqCst);
    let visited = vec![crate::model::name::HostName::parse("app.test").unwrap()];
    let replacement = Session {
        visited,
        ..session(1)
    };
    assert!(failed(&store.replace_if_version(replacement).await));
    let Found::Record(standing) = store.find(&id(1)) else {
        panic!("it is gone")
    };
    assert_eq!(*standing, session(1));
}

/// At whichever of its steps the answer of the disk is lost.
#[tokio::test]
async fn a_change_that_was_refused_is_undone_on_the_disk_before_anybody_hears_of_it_s_6_r9() {
    let mut refused = 0;
    for step in 1..=SYNCS_MAX {
        let place = Place::new();
        let store = place.open();
        store.insert_unless_ended(session(1)).await.unwrap();
        place.syncs.lose(step, Then::GoesOn);
        if !failed(&store.replace_if_version(moved(1)).await) {
            continue;
        }
        refused += 1;
        place.syncs.lose(step, Then::GoesOn);
        assert!(failed(&store.insert_unless_ended(session(2)).await));
        let killed = place.copied();
        for store in [&store, &killed.open()] {
            assert_eq!(standing(store, 1), Some(session(1)));
            assert_eq!(standing(store, 2), None);
        }
    }
    assert!(refused > 1);
}

#[tokio::test]
async fn a_change_that_was_refused_is_undone_on_the_disk_with_the_next_commit_s_6_r9() {
    let mut left = 0;
    for step in 1..=SYNCS_MAX {
        let place = Place::new();
        let store = place.open();
        store.insert_unless_ended(session(1)).await.unwrap();
        place.syncs.lose(step, Then::IsFull);
        if !failed(&store.replace_if_version(moved(1)).await) {
            continue;
        }
        // It cannot be undone yet, and the disk may have either.
        left += usize::from(standing(&place.copied().open(), 1) == Some(moved_times(1, 1)));
        assert!(failed(&store.append(tombstone(3)).await));
        assert!(failed(&store.replace_if_version(moved(1)).await));
        assert_eq!(standing(&store, 1), Some(session(1)));
        place.full.store(false, Ordering::SeqCst);
        store.append(tombstone(9)).await.unwrap();
        let killed = place.copied().open();
        assert_eq!(standing(&killed, 1), Some(session(1)));
        assert!(is_ended(&killed, &id(3)));
    }
    assert!(left > 0, "no lost answer left the change on the disk");
}

#[tokio::test]
async fn what_builds_on_a_replacement_that_was_refused_is_refused_too_s_6_r9() {
    let place = Place::new();
    let store = place.open();
    store.insert_unless_ended(session(1)).await.unwrap();
    place.syncs.hold();
    let mut first = pin!(store.replace_if_version(moved(1)));
    assert!(poll!(&mut first).is_pending());
    place.syncs.wait_for_writer();
    let mut second = pin!(store.replace_if_version(moved_times(1, 1)));
    let mut third = pin!(store.replace_if_version(moved_times(1, 2)));
    assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    place.syncs.lose(1, Then::GoesOn);
    place.syncs.release();
    assert!(failed(&first.await) && failed(&second.await) && failed(&third.await));
    store.append(tombstone(9)).await.unwrap();
    for store in [&store, &place.copied().open()] {
        assert_eq!(standing(store, 1), Some(session(1)));
    }
    let again = store.replace_if_version(moved(1)).await;
    assert!(matches!(again, Ok(Replaced::Replaced)));
}

#[tokio::test]
async fn what_builds_on_a_record_that_was_refused_is_refused_too_s_6_r9() {
    let place = Place::new();
    let store = place.open();
    place.syncs.hold();
    let mut first = pin!(store.insert_unless_ended(session(1)));
    assert!(poll!(&mut first).is_pending());
    place.syncs.wait_for_writer();
    let mut second = pin!(store.replace_if_version(session(1)));
    let mut third = pin!(store.replace_if_version(moved_times(1, 1)));
    assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    place.syncs.lose(1, Then::GoesOn);
    place.syncs.release();
    assert!(failed(&first.await) && failed(&second.await) && failed(&third.await));
    store.append(tombstone(9)).await.unwrap();
    for store in [&store, &place.copied().open()] {
        assert_eq!(standing(store, 1), None);
    }
    let again = store.insert_unless_ended(session(1)).await;
    assert!(matches!(again, Ok(Inserted::Inserted)));
}

#[tokio::test]
async fn a_log_that_was_put_back_begins_a_new_life_once_a_peer_tells_that_it_read_further_s_15() {
    let place = Place::new();
    let store = place.open();
    for n in 1..=3 {
        store.insert_unless_ended(session(n)).await.unwrap();
    }
    store.append(tombstone(3)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let backup = place.copied();
    let store = place.open();
    for n in 4..=6 {
        store.append(tombstone(n)).await.unwrap();
    }
    let read = store.since(Position(0), 9).last().unwrap().0;
    drop(store);
    let store = backup.open_at(at(200));
    let (life, kept) = (store.incarnation(), store.since(Position(0), 9));
    let next = Incarnation([5; 16]);
    store
        .renew_if_outrun(life, read, next, at(300))
        .await
        .unwrap();
    assert_eq!((store.incarnation(), store.began()), (next, at(300)));
    assert_eq!(store.remembers_since(), at(300), "S-19");
    drop(store);
    let gate = Gate::shut();
    let store = backup.start(Arc::clone(&gate) as Arc<dyn RecordSealer>, at(400));
    let store = store.unwrap();
    assert_eq!((store.incarnation(), store.began()), (next, at(300)));
    assert_eq!(store.remembers_since(), at(300));
    assert_eq!(store.since(Position(0), 9), kept);
    gate.open_up();
    assert_eq!(store.list_by_user(&staff(), &alice()).await.len(), 2);
}

#[tokio::test]
async fn a_log_that_was_put_back_does_not_pass_unseen_what_a_peer_has_read_s_15() {
    let mut outrun = 0;
    let place = Place::new();
    place.open().close().await.unwrap();
    let backup = place.copied();
    let store = place.open();
    store.append(tombstone(1)).await.unwrap();
    let read = store.append(tombstone(2)).await.unwrap();
    drop(store);
    for chance in 0..=20 {
        let mut again = backup.copied();
        again.chance = Incarnation([chance; 16]);
        let store = again.open();
        // The peer is away while more ends than it had read.
        for n in 1..=9 {
            store.append(tombstone(n)).await.unwrap();
        }
        let told = store.since(read, 99).len();
        let head = store.table.head();
        assert!(told == 9 || head < read || chance == 9, "{chance}");
        outrun += usize::from(head < read);
    }
    assert!(outrun > 0);
}

#[tokio::test]
async fn a_commit_that_fails_while_records_are_taken_up_loses_none_of_them() {
    let place = Place::new();
    place.filled_with(1..=200).await;
    let gate = Gate::shut();
    let store = place.open_with(Arc::clone(&gate) as Arc<dyn RecordSealer>);
    place.full.store(true, Ordering::SeqCst);
    assert!(failed(&store.append(tombstone(250)).await));
    assert!(store.table.is_loading());
    gate.open_up();
    place.full.store(false, Ordering::SeqCst);
    assert_eq!(counted(&store), 200);
    assert!(matches!(store.find(&id(250)), Found::Ended));
}

/// Whatever thread counts.
#[tokio::test]
async fn counting_does_not_wait_for_records_that_are_still_to_be_taken_up() {
    let place = Place::new();
    place.filled_with(1..=9).await;
    let gate = Gate::shut();
    let store = place.open_with(Arc::clone(&gate) as Arc<dyn RecordSealer>);
    assert_eq!((store.count(), store.is_complete()), (0, false));
    gate.open_up();
    assert_eq!((counted(&store), store.is_complete()), (9, true));
}

#[tokio::test]
async fn a_read_that_fails_holds_the_taking_up_of_records_up_for_a_moment_only() {
    let place = Place::new();
    place.filled_with(1..=200).await;
    let gate = Gate::shut();
    let store = place.open_with(Arc::clone(&gate) as Arc<dyn RecordSealer>);
    place.unreadable.fail();
    gate.open_up();
    place.unreadable.wait_until_it_has_failed();
    assert!(store.count() < 200);
    let listed = store.list_by_user(&staff(), &alice()).await;
    assert!(listed.len() < 200, "nobody waits for a broken disk");
    place.unreadable.recover();
    assert_eq!(counted(&store), 200);
    let listed = store.list_by_user(&staff(), &alice()).await;
    assert_eq!(listed.len(), 200);
}

#[tokio::test]
async fn a_record_that_is_not_taken_up_yet_is_read_through() {
    let place = Place::new();
    place.filled_with(1..=9).await;
    let gate = Gate::shut();
    let store = place.open_with(Arc::clone(&gate) as Arc<dyn RecordSealer>);
    assert!(matches!(store.find(&id(5)), Found::Record(_)));
    assert!(matches!(store.find(&id(77)), Found::Absent));
    assert_eq!(
        store.insert_unless_ended(session(6)).await.unwrap(),
        Inserted::Exists
    );
    assert!(matches!(
        store.replace_if_version(session(7)).await.unwrap(),
        Replaced::Replaced
    ));
    store.remove(&id(8)).await.unwrap();
    store.append(tombstone(9)).await.unwrap();
    store.touch(&id(4), at(500));
    assert_eq!(store.last_access(&id(4)), Some(at(500)));
    assert!(store.table.is_loading());
    gate.open_up();
    assert_eq!(counted(&store), 7);
    assert!(matches!(store.find(&id(8)), Found::Absent));
    assert!(matches!(store.find(&id(9)), Found::Ended));
    let Found::Record(replaced) = store.find(&id(7)) else {
        panic!("it is gone")
    };
    assert_eq!(replaced.version, 1);
    assert_eq!(store.last_access(&id(4)), Some(at(500)));
}

#[tokio::test]
async fn s_21_the_sessions_of_a_user_are_listed_while_those_of_others_are_still_to_be_taken_up() {
    let place = Place::new();
    let store = place.open();
    for (n, name) in [
        (1, "carol"),
        (2, "alice"),
        (3, "carol"),
        (4, "alice"),
        (5, "alice"),
    ] {
        store
            .insert_unless_ended(session_of(name, n))
            .await
            .unwrap();
    }
    store.remove(&id(5)).await.unwrap();
    store.close().await.unwrap();
    let gate = Gate::shut();
    let store = place.open_with(Arc::clone(&gate) as Arc<dyn RecordSealer>);
    store.insert_unless_ended(session(6)).await.unwrap();
    store.remove(&id(2)).await.unwrap();
    let listed = store.list_by_user(&staff(), &alice()).await;
    assert_eq!(
        listed
            .iter()
            .map(|session| session.facts.sso)
            .collect::<Vec<_>>(),
        [id(4), id(6)]
    );
    assert!(store.table.is_loading());
    gate.open_up();
    assert_eq!(counted(&store), 4);
}

#[tokio::test]
async fn a_cut_off_concerns_records_that_are_not_taken_up_yet() {
    let place = Place::new();
    place.filled_with(1..=9).await;
    let gate = Gate::shut();
    let store = place.open_with(Arc::clone(&gate) as Arc<dyn RecordSealer>);
    let end = End::UserCutOff {
        store: staff(),
        subject: alice(),
        authenticated_before: at(101),
        expires: at(10_000),
    };
    store.append(end).await.unwrap();
    assert!(matches!(store.find(&id(5)), Found::Absent));
    gate.open_up();
    assert_eq!(counted(&store), 0);
    store.close().await.unwrap();
    assert_eq!(place.rows(), 0);
}

#[tokio::test]
async fn after_an_unclean_stop_the_last_access_counts_as_one_write_back_interval_later() {
    let place = Place::new();
    let store = place.open();
    store.insert_unless_ended(session(1)).await.unwrap();
    store.insert_unless_ended(session(2)).await.unwrap();
    store.touch(&id(1), at(101));
    store.touch(&id(2), at(100).after(INTERVAL));
    // The next commit takes the access along that is due for writing.
    store.insert_unless_ended(session(3)).await.unwrap();
    drop(store);
    let later = at(100).after(INTERVAL * 9);
    let store = place.open_at(later);
    assert_eq!(store.last_access(&id(1)), Some(at(100).after(INTERVAL)));
    assert_eq!(store.last_access(&id(2)), Some(at(100).after(INTERVAL * 2)));
    drop(store);
    let soon = at(100).after(INTERVAL / 2);
    let store = place.open_at(soon);
    assert_eq!(
        store.last_access(&id(1)),
        Some(soon),
        "no access was later than now"
    );
    assert_eq!(
        store.last_access(&id(2)),
        Some(at(100).after(INTERVAL)),
        "what is written stays"
    );
}

#[tokio::test]
async fn after_a_clean_stop_the_last_access_is_as_it_was() {
    let place = Place::new();
    let store = place.open();
    store.insert_unless_ended(session(1)).await.unwrap();
    store.touch(&id(1), at(101));
    store.close().await.unwrap();
    drop(store);
    let store = place.open_at(at(100).after(INTERVAL * 9));
    assert_eq!(store.last_access(&id(1)), Some(at(101)));
}

#[tokio::test]
async fn after_an_unclean_stop_no_place_in_the_end_log_is_given_out_twice() {
    let place = Place::new();
    let store = place.open();
    store.append(tombstone(1)).await.unwrap();
    place.full.store(true, Ordering::SeqCst);
    assert!(store.append(tombstone(2)).await.is_err());
    let told = store.since(Position(0), 9).last().unwrap().0;
    drop(store);
    place.full.store(false, Ordering::SeqCst);
    assert!(place.open().append(tombstone(3)).await.unwrap() > told);
    let store = place.open();
    let ends: Vec<End> = store
        .since(Position(0), 9)
        .into_iter()
        .map(|(_, end)| end)
        .collect();
    assert_eq!(ends, [tombstone(1), tombstone(3)]);
    let last = store.append(tombstone(4)).await.unwrap();
    assert_eq!(counted(&store), 0);
    store.close().await.unwrap();
    drop(store);
    assert!(place.open().append(tombstone(5)).await.unwrap() > last);
}

#[tokio::test]
async fn a_damaged_record_is_left_out_and_counted_and_forgotten_once_it_expired() {
    let place = Place::new();
    place.filled_with(1..=5).await;
    place.damage(1, |bytes| bytes.truncate(3));
    place.damage(2, |bytes| bytes.truncate(60));
    place.damage(3, |bytes| bytes[20] ^= 0xff);
    place.damage(4, |bytes| bytes[0] = 200);
    let store = place.open_at(at(200));
    assert_eq!((counted(&store), store.unreadable()), (1, 4));
    assert!(matches!(store.find(&id(2)), Found::Absent));
    store.close().await.unwrap();
    assert_eq!(
        place.rows(),
        5,
        "a key that is missing today may be back tomorrow"
    );
    let store = place.open_at(at(20_000));
    assert_eq!((counted(&store), store.unreadable()), (1, 4));
    store.close().await.unwrap();
    assert_eq!(place.rows(), 3, "those that say when they expire are gone");
}

#[tokio::test]
async fn a_damaged_end_is_a_start_up_error() {
    let place = Place::new();
    place.open().append(tombstone(1)).await.unwrap();
    place.change(|writing| {
        let mut ends = writing.open_table(ENDS).unwrap();
        ends.insert(1, [1, 0, 3].as_slice()).unwrap();
    });
    let error = place.try_open().unwrap_err();
    assert!(
        matches!(error, OpenStoreError::End(_, Position(1))),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_of_a_later_release_or_of_something_else_is_refused() {
    let place = Place::new();
    place.open().close().await.unwrap();
    let set_format = |format: u64| {
        place.change(|writing| {
            let mut meta = writing.open_table(META).unwrap();
            meta.insert("format", format.to_be_bytes().as_slice())
                .unwrap();
        });
        place.try_open().unwrap_err()
    };
    let error = set_format(3);
    assert!(
        matches!(error, OpenStoreError::Newer { found: 3, .. }),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("has format 3; this release reads up to 2")
    );
    assert!(matches!(set_format(0), OpenStoreError::Foreign(_)));
}

#[test]
fn a_store_that_is_open_elsewhere_is_a_start_up_error() {
    let place = Place::new();
    let _store = place.open();
    let error = place.try_open().unwrap_err();
    assert!(matches!(error, OpenStoreError::InUse(_)), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("sessions.redb is in use by another process")
    );
}

#[test]
fn the_file_is_its_owners_alone() {
    let place = Place::new();
    drop(place.open());
    let mode = std::fs::metadata(place.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn what_is_closed_is_free_for_the_next() {
    let place = Place::new();
    let store = place.open();
    store.insert_unless_ended(session(1)).await.unwrap();
    store.close().await.unwrap();
    let next = place.open();
    assert!(matches!(
        store.insert_unless_ended(session(2)).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        store.append(tombstone(1)).await,
        Err(StoreError::Closed)
    ));
    assert!(
        matches!(store.find(&id(1)), Found::Ended),
        "it is refused all the same"
    );
    assert!(matches!(next.find(&id(1)), Found::Record(_)));
}

#[tokio::test]
async fn s_15_a_full_disk_keeps_ends_of_every_kind_in_memory_until_there_is_room() {
    let place = Place::new();
    let store = place.open();
    for (n, provider) in [(1, Some(7)), (2, None)] {
        let session = begun_with(provider, session(n));
        store.insert_unless_ended(session).await.unwrap();
    }
    place.full.store(true, Ordering::SeqCst);
    assert!(failed(&store.append(provider_cut_off(7)).await));
    assert!(failed(&store.append(moved_to(3, 4)).await));
    assert!(failed(&store.append(moved_to(3, 5)).await));
    assert!(failed(&store.append(moved_to(3, 4)).await));
    let told: Vec<End> = store
        .since(Position(0), 9)
        .into_iter()
        .map(|(_, end)| end)
        .collect();
    assert_eq!(told, [provider_cut_off(7), tombstone(1), moved_to(3, 5)]);
    assert!(matches!(store.find(&id(1)), Found::Ended));
    let refused = store.insert_unless_ended(begun_with(Some(7), session(4)));
    assert!(matches!(refused.await, Ok(Inserted::Ended)));
    let learned = begun_with(Some(7), session(2));
    assert!(matches!(
        store.replace_if_version(learned).await,
        Ok(Replaced::Ended)
    ));
    place.full.store(false, Ordering::SeqCst);
    store.append(tombstone(9)).await.unwrap();
    let told = store.since(Position(0), 9);
    drop(store);
    let store = place.open();
    assert_eq!(store.since(Position(0), 9), told);
    assert!([1, 2, 4].map(id).iter().all(|sso| is_ended(&store, sso)));
    let refused = store.insert_unless_ended(begun_with(Some(7), session(5)));
    assert!(matches!(refused.await, Ok(Inserted::Ended)));
}

#[tokio::test]
async fn s_16_a_cursor_is_written_no_sooner_than_the_ends_before_it() {
    let place = Place::new();
    let store = place.open();
    store.note_pulled(&north(), pulled(1, 100));
    store.append(tombstone(1)).await.unwrap();
    place.full.store(true, Ordering::SeqCst);
    assert!(failed(&store.append(tombstone(2)).await));
    store.note_pulled(&north(), pulled(2, 200));
    assert_eq!(store.pulled(&north()), Some(pulled(2, 200)));
    assert!(failed(&store.append(tombstone(3)).await));
    // Stopped with a full disk, as by a crash.
    drop(store);
    place.full.store(false, Ordering::SeqCst);
    let store = place.open();
    assert!(matches!(store.find(&id(2)), Found::Absent));
    assert_eq!(store.pulled(&north()), Some(pulled(1, 100)));

    place.full.store(true, Ordering::SeqCst);
    assert!(failed(&store.append(tombstone(2)).await));
    store.note_pulled(&north(), pulled(2, 200));
    assert!(failed(&store.append(tombstone(3)).await));
    store.note_pulled(&north(), pulled(3, 300));
    place.full.store(false, Ordering::SeqCst);
    drop(store);
    let store = place.open();
    assert!([2, 3].map(id).iter().all(|sso| is_ended(&store, sso)));
    assert_eq!(
        store.pulled(&north()),
        Some(pulled(3, 300)),
        "what was put back does not overtake what is newer"
    );
}

#[tokio::test]
async fn s_16_a_cursor_that_only_grew_older_is_written_once_in_each_interval() {
    let place = Place::new();
    let later = 100 + u64::try_from(INTERVAL.as_millis()).unwrap();
    let store = place.open();
    store.note_pulled(&north(), pulled(1, 100));
    store.note_pulled(&north(), pulled(1, later - 1));
    drop(store);
    let store = place.open();
    assert_eq!(store.pulled(&north()), Some(pulled(1, 100)));
    store.note_pulled(&north(), pulled(1, later));
    drop(store);
    let store = place.open();
    assert_eq!(store.pulled(&north()), Some(pulled(1, later)));
    store.note_pulled(&north(), pulled(1, later - 1));
    drop(store);
    let store = place.open();
    assert_eq!(
        store.pulled(&north()),
        Some(pulled(1, later - 1)),
        "no later time is left behind by a clock that was set back"
    );
    store.note_pulled(&north(), pulled(1, later));
    store.close().await.unwrap();
    drop(store);
    assert_eq!(place.open().pulled(&north()), Some(pulled(1, later)));
}

#[tokio::test]
async fn s_15_a_cursor_that_is_not_readable_is_none() {
    let place = Place::new();
    let south = ClusterId::parse("south").unwrap();
    let store = place.open();
    store.note_pulled(&north(), pulled(1, 100));
    store.note_pulled(&south, pulled(2, 100));
    store.close().await.unwrap();
    drop(store);
    place.change(|writing| {
        let mut cursors = writing.open_table(PULLED).unwrap();
        cursors.insert("north", [1, 2].as_slice()).unwrap();
        cursors.insert("no name of any", [1].as_slice()).unwrap();
    });
    let store = place.open();
    assert_eq!(store.pulled(&north()), None);
    assert_eq!(store.pulled(&south), Some(pulled(2, 100)));
}

#[tokio::test]
async fn s_6_pending_records_are_told_of_once_they_are_taken_up_or_asked_for() {
    let place = Place::new();
    let store = place.open();
    for n in 1..=5 {
        store.insert_unless_ended(pending(n)).await.unwrap();
    }
    drop(store);
    let gate = Gate::shut();
    let store = place.open_with(Arc::clone(&gate) as Arc<dyn RecordSealer>);
    assert!(store.pending(9).is_empty());
    assert!(matches!(store.find(&id(4)), Found::Record(_)));
    let told = store.pending(9);
    assert_eq!(told.len(), 1);
    assert_eq!(*told[0], pending(4));
    assert!(store.table.is_loading());
    gate.open_up();
    assert_eq!((counted(&store), store.pending(9).len()), (5, 5));
}

#[tokio::test]
async fn s_15_a_provider_cut_off_concerns_records_that_are_not_taken_up_yet() {
    let place = Place::new();
    let store = place.open();
    for n in 1..=4 {
        let session = begun_with(Some(n % 2), session(n));
        store.insert_unless_ended(session).await.unwrap();
    }
    drop(store);
    let gate = Gate::shut();
    let store = place.open_with(Arc::clone(&gate) as Arc<dyn RecordSealer>);
    store.append(provider_cut_off(0)).await.unwrap();
    assert!(is_ended(&store, &id(4)));
    assert!(store.table.is_loading());
    gate.open_up();
    assert_eq!(counted(&store), 2);
    store.close().await.unwrap();
    drop(store);
    assert_eq!(place.all_rows()[0], 2);
    let store = place.open();
    assert!([2, 4].map(id).iter().all(|sso| is_ended(&store, sso)));
    let kept = store.since(Position(0), 9);
    assert_eq!(kept.len(), 3, "the cut-off and a tombstone each");
}

#[tokio::test]
async fn s_19_what_may_be_in_the_file_and_was_not_found_is_not_said_to_be_missing() {
    let place = Place::new();
    place.filled_with(1..=3).await;
    let store = place.open_at(at(200));
    assert_eq!(counted(&store), 3);
    assert_eq!(store.remembers_since(), at(100));
    drop(store);
    place.damage(2, |bytes| bytes[30] ^= 0xff);
    let gate = Gate::shut();
    let sealer = Arc::clone(&gate) as Arc<dyn RecordSealer>;
    let store = place.start(sealer, at(200)).unwrap();
    assert_eq!(store.remembers_since(), at(100));
    assert!(matches!(store.find(&id(2)), Found::Absent));
    assert_eq!(store.remembers_since(), at(200));
    gate.open_up();
    drop(store);
    let store = place.open_at(at(300));
    assert_eq!((counted(&store), store.remembers_since()), (2, at(300)));
    drop(store);
    place.damage(2, |bytes| bytes[30] ^= 0xff);
    let gate = Gate::shut();
    let sealer = Arc::clone(&gate) as Arc<dyn RecordSealer>;
    let store = place.start(sealer, at(400)).unwrap();
    assert_eq!(store.remembers_since(), at(100), "the key was back");
    store.backlog.stop();
    assert!(matches!(store.find(&id(3)), Found::Absent));
    assert_eq!(store.remembers_since(), at(400), "it was never looked for");
    gate.open_up();
}

#[tokio::test]
async fn who_asks_while_the_last_record_is_taken_up_leaves_no_gap_behind_s_19() {
    let place = Place::new();
    let store = place.open_at(at(100));
    store.insert_unless_ended(session(1)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = place.open_at(at(200));
    assert_eq!(counted(&store), 1);
    store.backlog.ensure_late(&id(1));
    assert_eq!(store.remembers_since(), at(100));
}

#[tokio::test]
async fn records_that_are_volatile_leave_nothing_in_the_file_and_ends_do() {
    let place = Place::new();
    let store = place.open_volatile(at(100));
    for n in 1..=4 {
        store.insert_unless_ended(session(n)).await.unwrap();
    }
    store.replace_if_version(session(1)).await.unwrap();
    store.touch(&id(2), at(100).after(INTERVAL * 3));
    store.remove(&id(3)).await.unwrap();
    store.append(tombstone(4)).await.unwrap();
    store.note_pulled(&north(), pulled(1, 100));
    let last_access = store.last_access(&id(2));
    assert_eq!(last_access, Some(at(100).after(INTERVAL * 3)));
    assert_eq!((counted(&store), store.pending(9).len()), (2, 0));
    store.close().await.unwrap();
    drop(store);
    assert_eq!(place.all_rows(), [0, 0, 0]);
    let store = place.open_volatile(at(200));
    assert!(matches!(store.find(&id(1)), Found::Absent));
    assert!(is_ended(&store, &id(4)));
    assert_eq!(store.pulled(&north()), Some(pulled(1, 100)));
    assert_eq!((store.began(), store.remembers_since()), (at(100), at(200)));
    assert_eq!(store.unreadable(), 0);
}

#[tokio::test]
async fn records_that_are_volatile_do_not_need_the_disk() {
    let place = Place::new();
    let store = place.open_volatile(at(100));
    place.full.store(true, Ordering::SeqCst);
    store.insert_unless_ended(session(1)).await.unwrap();
    store.replace_if_version(session(1)).await.unwrap();
    store.insert_unless_ended(session(2)).await.unwrap();
    store.remove(&id(2)).await.unwrap();
    assert!(failed(&store.append(tombstone(1)).await));
    assert!(is_ended(&store, &id(1)));
    place.full.store(false, Ordering::SeqCst);
    store.append(tombstone(3)).await.unwrap();
    drop(store);
    let store = place.open_volatile(at(100));
    assert!([1, 3].map(id).iter().all(|sso| is_ended(&store, sso)));
}

#[tokio::test]
async fn s_19_records_that_were_kept_before_are_dropped_where_they_are_volatile_and_stay_forgotten()
{
    let place = Place::new();
    place.filled_with(1..=3).await;
    let store = place.open();
    store.touch(&id(1), at(100).after(INTERVAL));
    store.append(tombstone(3)).await.unwrap();
    drop(store);
    assert_eq!(place.rows(), 2);
    let store = place.open_volatile(at(200));
    assert!(matches!(store.find(&id(1)), Found::Absent));
    assert!(is_ended(&store, &id(3)));
    assert_eq!((counted(&store), store.remembers_since()), (0, at(200)));
    drop(store);
    assert_eq!(place.all_rows(), [0, 0, 0]);
    let store = place.open_at(at(300));
    assert_eq!(counted(&store), 0);
    assert_eq!((store.began(), store.remembers_since()), (at(100), at(300)));
    store.insert_unless_ended(session(4)).await.unwrap();
    drop(store);
    let store = place.open_at(at(400));
    assert_eq!((counted(&store), store.remembers_since()), (1, at(300)));
}

#[tokio::test]
async fn a_file_of_the_first_format_is_taken_over_with_its_records_and_ends() {
    let place = Place::new();
    let store = place.open();
    store.insert_unless_ended(session(2)).await.unwrap();
    store.append(tombstone(3)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    place.make_first_format();
    let store = place.open_at(at(500));
    assert_eq!((counted(&store), store.unreadable()), (2, 0));
    let Found::Record(migrated) = store.find(&id(1)) else {
        panic!("it is gone")
    };
    let held = Holder {
        cluster: north(),
        session: SessionId::from_bytes([8; 16]),
    };
    assert_eq!(
        (&migrated.aliases[..], migrated.held_since),
        (&[held][..], at(100))
    );
    assert!(is_ended(&store, &id(3)));
    // What may have been forgotten before is not known.
    assert_eq!((store.began(), store.remembers_since()), (at(500), at(500)));
    let replaced = store.replace_if_version(Session::clone(&migrated)).await;
    assert!(matches!(replaced, Ok(Replaced::Replaced)));
    drop((store, migrated));
    let store = place.open_at(at(600));
    assert_eq!((store.began(), store.remembers_since()), (at(500), at(500)));
    assert_eq!(store.incarnation(), Incarnation([9; 16]));
    assert_eq!(counted(&store), 2);
}

/// A directory with a store on a disk that may be full.
struct Place {
    dir: TempDir,
    full: Arc<AtomicBool>,
    syncs: Arc<Syncs>,
    unreadable: Arc<Unreadable>,
    /// What the next start goes by where it needs chance.
    chance: Incarnation,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            full: Arc::default(),
            syncs: Arc::default(),
            unreadable: Arc::default(),
            chance: Incarnation([9; 16]),
        }
    }

    /// The disk as it is at this moment, in another place: what is left when the process is killed now.
    fn copied(&self) -> Self {
        let copy = Self::new();
        std::fs::copy(self.path(), copy.path()).unwrap();
        copy
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("sessions.redb")
    }

    fn open(&self) -> DiskStore {
        self.open_at(at(100))
    }

    fn open_at(&self, now: Timestamp) -> DiskStore {
        self.start(Arc::new(Checked), now).unwrap()
    }

    fn open_with(&self, sealer: Arc<dyn RecordSealer>) -> DiskStore {
        self.start(sealer, at(100)).unwrap()
    }

    fn try_open(&self) -> Result<DiskStore, OpenStoreError> {
        self.start(Arc::new(Checked), at(100))
    }

    fn open_volatile(&self, now: Timestamp) -> DiskStore {
        let store = self.start_with(Arc::new(Checked), now, Records::Volatile);
        store.unwrap()
    }

    fn start(
        &self,
        sealer: Arc<dyn RecordSealer>,
        now: Timestamp,
    ) -> Result<DiskStore, OpenStoreError> {
        self.start_with(sealer, now, Records::Kept)
    }

    fn start_with(
        &self,
        sealer: Arc<dyn RecordSealer>,
        now: Timestamp,
        records: Records,
    ) -> Result<DiskStore, OpenStoreError> {
        let path = self.path();
        file::prepare(self.dir.path())
            .map_err(|error| OpenStoreError::Unusable(path.clone(), error.into()))?;
        let (full, place) = (Arc::clone(&self.full), path.clone());
        let (syncs, unreadable) = (Arc::clone(&self.syncs), Arc::clone(&self.unreadable));
        let opener = Opener(Box::new(move || {
            let file = std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(&place)?;
            let disk = Disk {
                file: FileBackend::new(file)?,
                full: Arc::clone(&full),
                syncs: Arc::clone(&syncs),
                unreadable: Arc::clone(&unreadable),
            };
            // What is read comes from the disk each time.
            redb::Builder::new()
                .set_cache_size(0)
                .create_with_backend(disk)
        }));
        let fresh = Header {
            first_life: self.chance,
            incarnation: self.chance,
            began: now,
            records_since: None,
            closed: Closed::Cleanly,
            write_back_interval: INTERVAL,
            last_position: Position(0),
        };
        let options = DiskOptions {
            records,
            write_back_interval: INTERVAL,
            ..DiskOptions::default()
        };
        DiskStore::start(
            &path,
            opener,
            Setting {
                sealer,
                fresh,
                now,
                options,
            },
        )
    }

    async fn filled_with(&self, ids: std::ops::RangeInclusive<u8>) {
        let store = self.open();
        for n in ids {
            store.insert_unless_ended(session(n)).await.unwrap();
        }
        store.close().await.unwrap();
    }

    fn change(&self, change: impl FnOnce(&redb::WriteTransaction)) {
        let writing = Database::create(self.path())
            .unwrap()
            .begin_write()
            .unwrap();
        change(&writing);
        writing.commit().unwrap();
    }

    fn damage(&self, n: u8, damage: impl FnOnce(&mut Vec<u8>)) {
        self.change(|writing| {
            let mut sessions = writing.open_table(SESSIONS).unwrap();
            let mut bytes = sessions.get(&[n; 16]).unwrap().unwrap().value().to_vec();
            damage(&mut bytes);
            sessions.insert(&[n; 16], bytes.as_slice()).unwrap();
        });
    }

    fn rows(&self) -> u64 {
        let database = Database::create(self.path()).unwrap();
        let sessions = database.begin_read().unwrap().open_table(SESSIONS).unwrap();
        sessions.len().unwrap()
    }

    /// Rows about records: themselves, their last accesses, whose they are.
    fn all_rows(&self) -> [u64; 3] {
        let database = Database::create(self.path()).unwrap();
        let reading = database.begin_read().unwrap();
        let accesses = reading.open_table(ACCESSES).unwrap().len().unwrap();
        let users = reading.open_table(USERS).unwrap().len().unwrap();
        drop((reading, database));
        [self.rows(), accesses, users]
    }

    /// Makes the file one of the first format, with one record of that time.
    fn make_first_format(&self) {
        self.change(|writing| {
            let mut meta = writing.open_table(META).unwrap();
            meta.insert("format", 1_u64.to_be_bytes().as_slice())
                .unwrap();
            meta.remove("began").unwrap();
            meta.remove("records_since").unwrap();
            writing.delete_table(PULLED).unwrap();
            let record = version_1::example::live();
            let mut sessions = writing.open_table(SESSIONS).unwrap();
            sessions.insert(&[1; 16], record.as_slice()).unwrap();
        });
    }
}

/// A file on a disk that may be full.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    full: Arc<AtomicBool>,
    syncs: Arc<Syncs>,
    unreadable: Arc<Unreadable>,
}

/// Whether a disk can be read.
#[derive(Debug, Default)]
struct Unreadable {
    fails: AtomicBool,
    failed: Mutex<usize>,
    changed: Condvar,
}

impl Unreadable {
    fn fail(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }

    fn recover(&self) {
        self.fails.store(false, Ordering::SeqCst);
    }

    fn wait_until_it_has_failed(&self) {
        let mut failed = self.failed.lock();
        let waits = |failed: &mut usize| *failed == 0;
        let waited = self.changed.wait_while_for(&mut failed, waits, LONG);
        assert!(!waited.timed_out());
    }

    fn check(&self) -> io::Result<()> {
        if !self.fails.load(Ordering::SeqCst) {
            return Ok(());
        }
        *self.failed.lock() += 1;
        self.changed.notify_all();
        Err(io::Error::other("a broken disk"))
    }
}

/// What becomes of the syncs of a disk.
#[derive(Debug, Default)]
struct Syncs {
    state: Mutex<SyncState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SyncState {
    /// This one from now on works and is said to have failed, and then this happens to the disk.
    unsaid: Option<(usize, Then)>,
    is_held: bool,
    waits: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoesOn,
    IsFull,
}

impl Syncs {
    /// The `n`-th sync from now on works, and is said to have failed.
    fn lose(&self, n: usize, then: Then) {
        self.state.lock().unsaid = Some((n, then));
    }

    /// Holds up the writer at its next sync.
    fn hold(&self) {
        self.state.lock().is_held = true;
    }

    fn wait_for_writer(&self) {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| !state.waits);
    }

    fn release(&self) {
        self.state.lock().is_held = false;
        self.changed.notify_all();
    }

    /// What is said of a sync that worked.
    fn said(&self, full: &AtomicBool) -> io::Result<()> {
        let mut state = self.state.lock();
        state.waits = true;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |state| state.is_held);
        state.waits = false;
        match state.unsaid {
            Some((1, then)) => {
                state.unsaid = None;
                full.store(then == Then::IsFull, Ordering::SeqCst);
                Err(io::Error::other("the answer is lost"))
            }
            Some((n, then)) => {
                state.unsaid = Some((n - 1, then));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Disk {
    fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.unreadable.check()?;
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room().and_then(|()| self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.room()?;
        self.file.sync_data()?;
        self.syncs.said(&self.full)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room().and_then(|()| self.file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(from, to)
    }

    fn try_lock_shared_range(
        &self,
        from: Bound<u64>,
        to: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(from, to)
    }

    fn lock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(from, to)
    }

    fn lock_shared_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(from, to)
    }

    fn unlock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(from, to)
    }

    fn query_lock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(from, to)
    }
}

/// Notices a changed byte, as any sealer does, and hides nothing.
struct Checked;

impl RecordSealer for Checked {
    fn seal(&self, _sso: &SsoId, plain: &[u8]) -> Vec<u8> {
        let sum = plain.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        [&[sum], plain].concat()
    }

    fn open(&self, sso: &SsoId, sealed: &[u8]) -> Option<Vec<u8>> {
        let plain = sealed.get(1..)?.to_vec();
        (self.seal(sso, &plain) == sealed).then_some(plain)
    }
}

/// Holds up whoever opens the first record until it is told to let go.
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn shut() -> Arc<Self> {
        Arc::new(Self {
            is_open: Mutex::new(false),
            opened: Condvar::new(),
        })
    }

    fn open_up(&self) {
        *self.is_open.lock() = true;
        self.opened.notify_all();
    }
}

impl RecordSealer for Gate {
    fn seal(&self, sso: &SsoId, plain: &[u8]) -> Vec<u8> {
        Checked.seal(sso, plain)
    }

    fn open(&self, sso: &SsoId, sealed: &[u8]) -> Option<Vec<u8>> {
        if *sso == id(1) {
            self.opened
                .wait_while(&mut self.is_open.lock(), |is_open| !*is_open);
        }
        Checked.open(sso, sealed)
    }
}

/// How many records there are once all of an earlier process are taken up.
fn counted(store: &DiskStore) -> usize {
    assert!(store.backlog.is_loaded_within(LONG));
    store.count()
}

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(60);

/// More syncs than one commit has.
const SYNCS_MAX: usize = 4;

/// The record of a session, as the store answers it.
fn standing(store: &DiskStore, n: u8) -> Option<Session> {
    match store.find(&id(n)) {
        Found::Record(session) => Some(Session::clone(&session)),
        Found::Absent | Found::Ended => None,
    }
}

/// A stub in the place of a session.
fn moved(n: u8) -> Session {
    let to = SessionState::Moved {
        to: north(),
        generation: Generation(1),
        adoption: None,
    };
    Session {
        state: to,
        ..session(n)
    }
}

/// The same after it was replaced this many times.
fn moved_times(n: u8, version: u64) -> Session {
    Session {
        version,
        ..moved(n)
    }
}

fn failed<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Failed { .. }))
}

fn id(n: u8) -> SsoId {
    SsoId::from_bytes([n; 16])
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn staff() -> StoreName {
    StoreName::parse("staff").unwrap()
}

fn alice() -> UserName {
    UserName::parse("alice").unwrap()
}

fn tombstone(n: u8) -> End {
    End::Tombstone {
        sso: id(n),
        cause: EndCause::LoggedOut,
        expires: at(10_000),
    }
}

fn moved_to(n: u8, generation: u32) -> End {
    End::Moved {
        sso: id(n),
        holder: Rank {
            generation: Generation(generation),
            cluster: north(),
        },
        expires: at(10_000),
    }
}

fn provider_cut_off(n: u8) -> End {
    End::ProviderCutOff {
        session: ProviderSessionId::from_bytes([n; 32]),
        expires: at(10_000),
    }
}

fn pulled(position: u64, sent: u64) -> Pulled {
    Pulled {
        incarnation: Incarnation([7; 16]),
        position: Position(position),
        sent: at(sent),
    }
}

fn north() -> ClusterId {
    ClusterId::parse("north").unwrap()
}

fn is_ended(store: &DiskStore, sso: &SsoId) -> bool {
    matches!(store.find(sso), Found::Ended)
}

fn begun_with(provider: Option<u8>, session: Session) -> Session {
    Session {
        provider_session: provider.map(|n| ProviderSessionId::from_bytes([n; 32])),
        ..session
    }
}

fn pending(n: u8) -> Session {
    let release = Release {
        adoption: AdoptionId::from_bytes([n; 16]),
        from: north(),
        generation: Generation(2),
        version: 1,
    };
    Session {
        state: SessionState::Pending(release),
        ..session(n)
    }
}

fn session(n: u8) -> Session {
    session_of("alice", n)
}

fn session_of(subject: &str, n: u8) -> Session {
    let subject = UserName::parse(subject).unwrap();
    Session {
        id: SessionId::from_bytes([n; 16]),
        facts: SsoFacts {
            sso: id(n),
            subject: subject.clone(),
            store: staff(),
            first_authenticated: at(100),
            expires: at(10_000),
            generation: Generation(0),
            level: AuthLevel::MAX,
            level_reached: at(100),
        },
        state: SessionState::Live,
        identity: Identity {
            store: staff(),
            subject,
            name: None,
            email: None,
            groups: Vec::new(),
            attributes: Default::default(),
        },
        last_access: at(100),
        client_address: std::net::Ipv4Addr::LOCALHOST.into(),
        held_since: at(100),
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: Default::default(),
        aliases: Vec::new(),
        visited: Vec::new(),
        version: 0,
    }
}
