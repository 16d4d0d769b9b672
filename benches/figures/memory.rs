//! What a million sessions take in memory, as the gateway's allocator keeps them, and how long looking one up
//! takes. How much of it is handed out, the test `memory` counts.

use std::hint::black_box;
use std::time::Duration;

use futures_util::FutureExt;
use portway::model::end::Incarnation;
use portway::model::id::SsoId;
use portway::model::time::Timestamp;
use portway::ports::session_store::Found;
use portway::ports::session_store::Inserted;
use portway::ports::session_store::SessionStore;
use portway::store::memory::MemoryStore;

use crate::process;
use crate::sample;
use crate::table::Figure;
use crate::table::Scale;

/// Measures both.
pub(crate) fn measure(scale: Scale) -> Vec<Figure> {
    let sessions = scale.of(SESSIONS) as u64;
    let before = process::own_resident_kib();
    let store = MemoryStore::new(Incarnation([7; 16]), Timestamp::from_millis(0));
    let mut own = 0;
    for number in 0..sessions {
        let session = sample::session(number);
        own += sample::own_bytes(&session);
        let inserted = store.insert_unless_ended(session).now_or_never();
        assert_eq!(inserted.unwrap().unwrap(), Inserted::Inserted);
    }
    let at_rest = process::own_resident_kib();
    let all_twice = (0..sessions).flat_map(|number| [sample::sso(number); 2]);
    all_twice.for_each(|sso| assert_found(&store, &sso));
    let in_use = process::own_resident_kib();
    let each = (at_rest - before) as f64 * 1024.0 / sessions as f64;
    let own = own as f64 / sessions as f64;
    let mut figures = vec![
        Figure::new(
            "a session: memory",
            each,
            "B",
            &format!("resident, of {sessions} of other users; 3 groups, 2 applications"),
        ),
        Figure::new(
            "a session: memory beyond its own data",
            each - own,
            "B",
            "less its ids, user, name, e-mail address, times and address",
        ),
        Figure::new(
            "sessions in use: memory besides",
            (in_use - at_rest) as f64 / 1024.0,
            "MiB",
            "resident, once all have been asked for",
        ),
    ];
    let cases = [
        ("look-up: one session", 1, scale.of(40_000_000)),
        ("look-up: 1,000 sessions in use", 1000, scale.of(20_000_000)),
        ("look-up: any session", sessions, scale.of(2_000_000)),
    ];
    let look_up = |(name, among, rounds)| {
        let time = look_up(&store, among, rounds).as_secs_f64() * 1e9 / rounds as f64;
        Figure::new(name, time, "ns", "processor time, in no order")
    };
    figures.extend(cases.map(look_up));
    figures
}

/// The processor time of looking up so many sessions, among these.
fn look_up(store: &MemoryStore, among: u64, rounds: usize) -> Duration {
    // A prime step goes through all of them in no order that a cache could follow.
    let order = (0..among).map(|place| sample::sso(place * STEP % among));
    let order: Vec<SsoId> = order.collect();
    let again_and_again = || order.iter().cycle();
    let warm = again_and_again().take(WARM_UP);
    warm.for_each(|sso| assert_found(store, sso));
    let before = process::own_processor_time();
    let measured = again_and_again().take(rounds);
    measured.for_each(|sso| assert_found(store, sso));
    process::own_processor_time() - before
}

fn assert_found(store: &MemoryStore, sso: &SsoId) {
    assert!(matches!(black_box(store.find(sso)), Found::Record(_)));
}

const SESSIONS: usize = 1_000_000;
/// Enough to have every session of the smaller cases in use.
const WARM_UP: usize = 10_000;
const STEP: u64 = 7_368_787;
