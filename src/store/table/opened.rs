//! Sessions of one shard as requests read them: unpacked, a bounded number, those in use.
//!
//! What is found here is what stands in the record: whoever changes one forgets its copy under the same
//! lock. Forgetting any other costs a later request the time to unpack it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

use crate::model::id::SsoId;
use crate::model::session::Session;

/// The unpacked sessions of one shard.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Empty until the first is put here.
    sets: Vec<Set>,
}

/// The places that a session may have. A look-up that finds nothing touches one line of the cache.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([Place; WAYS]);

#[derive(Debug, Default)]
struct Place {
    session: Option<Arc<Session>>,
    /// A part of the id: only a session that has it is looked at.
    tag: u32,
    /// A part of the id of one that was asked for and is not here.
    missed: AtomicU16,
    /// Whether the one here was asked for since it came, or since it was last spared.
    is_used: AtomicBool,
}

impl Place {
    fn holds(&self, sso: &SsoId) -> bool {
        self.tag == tag_of(sso)
            && self
                .session
                .as_ref()
                .is_some_and(|session| session.facts.sso == *sso)
    }
}

impl Opened {
    /// The copy of a session, if there is one.
    pub(super) fn get(&self, sso: &SsoId) -> Option<Arc<Session>> {
        let Set(places) = self.sets.get(set_of(sso))?;
        let place = places.iter().find(|place| place.holds(sso))?;
        // Most find it set: a store on every request would take the line from the other processors.
        if !place.is_used.load(Ordering::Relaxed) {
            place.is_used.store(true, Ordering::Relaxed);
        }
        place.session.clone()
    }

    /// Notes that a session was asked for that is not here; answers whether it was before, and so is worth a
    /// place. Those that are asked for once, however many, displace none that is in use.
    pub(super) fn was_missed_before(&self, sso: &SsoId) -> bool {
        let Some(Set(places)) = self.sets.get(set_of(sso)) else {
            return true;
        };
        let [.., way, high, low] = sso.as_bytes();
        let mark = u16::from_be_bytes([*high, *low]);
        let place = places.get(usize::from(*way) % WAYS);
        place.is_some_and(|place| place.missed.swap(mark, Ordering::Relaxed) == mark)
    }

    /// Keeps a copy of a session that is not here, in the place of one that was not asked for of late;
    /// answers what it displaced, to be dropped where nobody waits.
    pub(super) fn put(&mut self, session: Arc<Session>) -> Option<Arc<Session>> {
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Set::default);
        }
        let sso = session.facts.sso;
        let Set(places) = self.sets.get_mut(set_of(&sso))?;
        let is_free = |place: &Place| place.session.is_none();
        let is_unused = |place: &Place| !place.is_used.swap(false, Ordering::Relaxed);
        let free = places.iter().position(is_free);
        let at = free
            .or_else(|| places.iter().position(is_unused))
            .unwrap_or_default();
        let place = places.get_mut(at)?;
        place.tag = tag_of(&sso);
        let displaced = place.session.replace(session);
        // The next search begins behind this one.
        places.rotate_left(at + 1);
        displaced
    }

    pub(super) fn forget(&mut self, sso: &SsoId) {
        let Some(Set(places)) = self.sets.get_mut(set_of(sso)) else {
            return;
        };
        places
            .iter_mut()
            .filter(|place| place.holds(sso))
            .for_each(|place| *place = Place::default());
    }
}

/// The first byte of an id says its shard, the next its set.
fn set_of(sso: &SsoId) -> usize {
    let [_, set, ..] = sso.as_bytes();
    usize::from(*set) % SETS
}

fn tag_of(sso: &SsoId) -> u32 {
    let [_, _, a, b, c, d, ..] = sso.as_bytes();
    u32::from_be_bytes([*a, *b, *c, *d])
}

const WAYS: usize = 4;
/// With 64 shards this is 16,384 sessions: more than a node serves within seconds, and some 12 MiB.
const SETS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::table::tests::session;

    #[test]
    fn one_in_use_stays_while_others_displace_each_other() {
        let mut opened = Opened::default();
        let of_one_set = |n: u8| {
            let mut session = session(1, 0, 0);
            let mut id = *session.facts.sso.as_bytes();
            id[15] = n;
            session.facts.sso = SsoId::from_bytes(id);
            Arc::new(session)
        };
        let used = of_one_set(0);
        assert!(opened.put(Arc::clone(&used)).is_none());
        let mut displaced = 0;
        for n in 1..100 {
            displaced += usize::from(opened.put(of_one_set(n)).is_some());
            assert!(opened.get(&used.facts.sso).is_some(), "after {n}");
        }
        assert_eq!(displaced, 100 - WAYS);
    }

    #[test]
    fn a_copy_is_found_until_it_is_forgotten() {
        let mut opened = Opened::default();
        let session = session(1, 0, 0);
        let sso = session.facts.sso;
        assert!(opened.put(Arc::new(session.clone())).is_none());
        assert_eq!(opened.get(&sso).as_deref(), Some(&session));
        opened.forget(&sso);
        assert!(opened.get(&sso).is_none());
    }

    #[test]
    fn only_what_is_asked_for_again_is_worth_a_place() {
        let mut opened = Opened::default();
        let is_worth_it =
            |opened: &Opened, n| opened.was_missed_before(&SsoId::from_bytes([n; 16]));
        assert!(is_worth_it(&opened, 1), "there is room for all");
        opened.put(Arc::new(session(1, 0, 0)));
        assert!(!is_worth_it(&opened, 2));
        assert!(is_worth_it(&opened, 2));
        assert!(!is_worth_it(&opened, 3));
    }
}
