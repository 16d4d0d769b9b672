//! What sessions take in memory, counted by the allocator: no clock, no look at the process.
//!
//! `make bench PARTS=memory` shows the same for a million, and how long a look-up takes.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod sample;

use std::alloc::System;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::FutureExt;
use portway::model::end::End;
use portway::model::end::Incarnation;
use portway::model::id::SsoId;
use portway::model::session::EndCause;
use portway::model::time::Timestamp;
use portway::ports::end_log::EndLog;
use portway::ports::session_store::Found;
use portway::ports::session_store::Inserted;
use portway::ports::session_store::SessionStore;
use portway::store::memory::MemoryStore;
use stats_alloc::INSTRUMENTED_SYSTEM;
use stats_alloc::StatsAlloc;

use crate::sample::own_bytes;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_session_takes_at_most_150_bytes_beyond_its_own_data() {
    let _alone = alone();
    let before = held();
    let store = filled();
    let session = held_since(before) / SESSIONS;
    let own = (0..SESSIONS as u64).map(|number| own_bytes(&sample::session(number)));
    let own = own.sum::<usize>() / SESSIONS;
    let overhead = session - own;
    assert!(
        overhead <= 150,
        "{session} bytes, of which {own} are its own"
    );
    assert_eq!(store.count(), SESSIONS);
}

#[test]
fn what_is_kept_ready_for_requests_is_bounded_however_many_sessions_are_in_use() {
    let _alone = alone();
    let store = filled();
    let before = held();
    for round in 0..3 {
        // What is asked for once is not kept.
        let twice = (0..SESSIONS as u64).flat_map(|number| [number; 2]);
        twice.for_each(|number| assert_found(&store, number));
        let ready = held_since(before);
        assert!(ready <= READY_MAX, "{ready} bytes after round {round}");
    }
}

#[test]
fn a_request_of_a_session_in_use_allocates_nothing() {
    let _alone = alone();
    let store = filled();
    let sso = sample::sso(7);
    let request = || {
        assert!(matches!(store.find(&sso), Found::Record(_)));
        store.touch(&sso, Timestamp::from_millis(u64::MAX));
        assert!(store.last_access(&sso).is_some());
    };
    (0..3).for_each(|_| request());
    // The threads of the other tests begin and wait meanwhile.
    let allocations = || {
        let before = ALLOCATOR.stats().allocations;
        (0..100).for_each(|_| request());
        ALLOCATOR.stats().allocations - before
    };
    assert_eq!((0..10).map(|_| allocations()).min(), Some(0));
}

#[test]
fn what_sessions_took_is_given_back_or_used_for_the_next() {
    let _alone = alone();
    let before = held();
    let store = filled();
    let full = held_since(before);
    for round in 0..2 {
        for number in 0..SESSIONS as u64 {
            store
                .remove(&sample::sso(number))
                .now_or_never()
                .unwrap()
                .unwrap();
        }
        let empty = held_since(before);
        assert!(
            empty <= full / 2,
            "{empty} of {full} bytes are left after round {round}"
        );
        fill(&store);
        let again = held_since(before);
        assert!(again <= full + full / 20, "{again} bytes, {full} at first");
    }
}

#[test]
fn a_tombstone_takes_at_most_150_bytes() {
    let _alone = alone();
    let store = store();
    let before = held();
    for number in 0..SESSIONS as u64 {
        let end = End::Tombstone {
            sso: sample::sso(number),
            cause: EndCause::LoggedOut,
            expires: Timestamp::from_millis(number).after(Duration::from_hours(24)),
        };
        store.append(end).now_or_never().unwrap().unwrap();
    }
    let tombstone = held_since(before) / SESSIONS;
    assert!(tombstone <= 150, "{tombstone} bytes");
}

fn filled() -> MemoryStore {
    let store = store();
    fill(&store);
    store
}

fn fill(store: &MemoryStore) {
    for number in 0..SESSIONS as u64 {
        let inserted = store.insert_unless_ended(sample::session(number));
        let inserted = inserted.now_or_never().unwrap().unwrap();
        assert_eq!(inserted, Inserted::Inserted);
    }
}

fn store() -> MemoryStore {
    MemoryStore::new(Incarnation([7; 16]), Timestamp::from_millis(0))
}

fn assert_found(store: &MemoryStore, number: u64) {
    let sso: SsoId = sample::sso(number);
    assert!(matches!(store.find(&sso), Found::Record(_)), "{number}");
}

/// The bytes that are allocated.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn held_since(before: usize) -> usize {
    held().saturating_sub(before)
}

/// One test at a time: all share the allocator.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const SESSIONS: usize = 20_000;
/// A thousand bytes for each of 16,384 sessions.
const READY_MAX: usize = 16 << 20;
