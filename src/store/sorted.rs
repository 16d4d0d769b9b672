//! A sorted map that wastes next to nothing: short sorted arrays in a row, each nearly full.
//!
//! A B-tree of the standard library splits its nodes in the middle, so that keys which come in their order,
//! as positions and times do, leave each node half empty. There is no removal of ranges here, and no
//! iteration backwards.

use std::ops::Bound;

/// A map in the order of its keys; with nothing for values, a set.
#[derive(Debug)]
pub(super) struct Sorted<K, V = ()> {
    /// None is empty, and each ends before the next begins.
    runs: Vec<Vec<(K, V)>>,
}

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self { runs: Vec::new() }
    }
}

impl<K: Copy + Ord, V> Sorted<K, V> {
    /// Puts a value under a key; answers the one that stood there.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let at = self.run_of(&key);
        let Some(run) = self.runs.get_mut(at) else {
            self.runs.push(vec![(key, value)]);
            return None;
        };
        match place(run, &key) {
            Ok(place) => {
                let (_, standing) = run.get_mut(place)?;
                Some(std::mem::replace(standing, value))
            }
            Err(place) if run.len() < RUN_MAX => {
                make_room(run);
                run.insert(place, (key, value));
                None
            }
            Err(place) => {
                self.split(at, place);
                self.insert(key, value)
            }
        }
    }

    /// Takes out what stands under a key.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.run_of(key);
        let run = self.runs.get_mut(at)?;
        let place = place(run, key).ok()?;
        let (_, value) = run.remove(place);
        give_back_room(run);
        if run.len() <= RUN_MAX / 4 {
            self.join(at.saturating_sub(1));
            self.join(at);
        }
        self.runs
            .get(at)
            .is_some_and(Vec::is_empty)
            .then(|| self.runs.remove(at));
        Some(value)
    }

    /// What stands under a key.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let run = self.runs.get(self.run_of(key))?;
        let (_, value) = run.get(place(run, key).ok()?)?;
        Some(value)
    }

    /// All from a key on, in order.
    pub(super) fn range(&self, from: Bound<K>) -> impl Iterator<Item = &(K, V)> {
        let (first, is_before): (_, fn(&K, &K) -> bool) = match &from {
            Bound::Excluded(key) => (self.run_of(key), |own, key| own <= key),
            Bound::Included(key) => (self.run_of(key), |own, key| own < key),
            Bound::Unbounded => (0, |_, _| false),
        };
        let entries = self.runs.iter().skip(first).flatten();
        entries.skip_while(move |(own, _)| match &from {
            Bound::Excluded(key) | Bound::Included(key) => is_before(own, key),
            Bound::Unbounded => false,
        })
    }

    /// All before a key, or all there are, the last first.
    pub(super) fn before(&self, until: Option<K>) -> impl Iterator<Item = &(K, V)> {
        let runs = until
            .as_ref()
            .map_or(self.runs.len(), |key| self.run_of(key) + 1);
        let entries = self
            .runs
            .iter()
            .take(runs)
            .rev()
            .flat_map(|run| run.iter().rev());
        entries.skip_while(move |(own, _)| until.as_ref().is_some_and(|key| own >= key))
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.range(Bound::Unbounded)
    }

    /// The run that a key belongs to.
    fn run_of(&self, key: &K) -> usize {
        let begins_by = |run: &Vec<(K, V)>| run.first().is_some_and(|(first, _)| first <= key);
        self.runs.partition_point(begins_by).saturating_sub(1)
    }

    /// Makes two runs of a full one. Behind the last key a new one is begun, so that keys which come in
    /// their order fill every run.
    fn split(&mut self, at: usize, place: usize) {
        let is_last = at + 1 == self.runs.len();
        let Some(run) = self.runs.get_mut(at) else {
            return;
        };
        let kept = if is_last && place == run.len() {
            RUN_MAX - 1
        } else {
            RUN_MAX / 2
        };
        let behind = run.split_off(kept);
        if kept == RUN_MAX / 2 {
            // An allocator leaves what merely shrinks where it is.
            let mut exact = Vec::with_capacity(kept);
            exact.append(run);
            *run = exact;
        }
        self.runs.insert(at + 1, behind);
    }

    /// Makes one run of two small neighbours.
    fn join(&mut self, at: usize) {
        let (Some(one), Some(next)) = (self.runs.get(at), self.runs.get(at + 1)) else {
            return;
        };
        if one.len() + next.len() > RUN_MAX / 2 {
            return;
        }
        let mut next = self.runs.remove(at + 1);
        if let Some(one) = self.runs.get_mut(at) {
            one.reserve_exact(next.len());
            one.append(&mut next);
        }
    }
}

fn place<K: Ord, V>(run: &[(K, V)], key: &K) -> Result<usize, usize> {
    run.binary_search_by(|(own, _)| own.cmp(key))
}

fn make_room<T>(run: &mut Vec<T>) {
    if run.len() == run.capacity() {
        run.reserve_exact(ROOM.min(RUN_MAX.saturating_sub(run.len())).max(1));
    }
}

fn give_back_room<T>(run: &mut Vec<T>) {
    if run.capacity() - run.len() > 2 * ROOM {
        run.shrink_to(run.len() + ROOM);
    }
}

/// Moving half a run takes as long as finding it does.
const RUN_MAX: usize = 128;
/// How many more a run has room for when it grows.
const ROOM: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::Strategy;
    use proptest::prelude::any;
    use proptest::prop_oneof;
    use proptest::proptest;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Insert(u16, u8),
        Remove(u16),
        /// Many in a row, as positions come.
        Append(u16),
        /// The first ones, as what is due goes.
        Drop(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..2000_u16, any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
            6 => (0..2000_u16).prop_map(Step::Remove),
            1 => (1..400_u16).prop_map(Step::Append),
            1 => (1..400_u16).prop_map(Step::Drop),
        ]
    }

    proptest! {
        #[test]
        fn it_answers_as_a_tree_does(steps in vec(step(), 1..200), from in 0..2000_u16) {
            let (mut sorted, mut tree) = (Sorted::default(), BTreeMap::new());
            for step in steps {
                run(&mut sorted, &mut tree, step);
            }
            let all: Vec<_> = sorted.iter().copied().collect();
            assert_eq!(all, tree.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>());
            for key in 0..2000 {
                assert_eq!(sorted.get(&key), tree.get(&key));
            }
            for from in [Bound::Included(from), Bound::Excluded(from)] {
                let range: Vec<_> = sorted.range(from).copied().collect();
                let expected = tree.range((from, Bound::Unbounded));
                assert_eq!(range, expected.map(|(key, value)| (*key, *value)).collect::<Vec<_>>());
            }
            let before: Vec<_> = sorted.before(Some(from)).copied().collect();
            let expected = tree.range(..from).rev();
            assert_eq!(before, expected.map(|(key, value)| (*key, *value)).collect::<Vec<_>>());
            assert_eq!(sorted.before(None).count(), tree.len());
            assert!(sorted.runs.iter().all(|run| !run.is_empty() && run.len() <= RUN_MAX));
        }
    }

    fn run(sorted: &mut Sorted<u16, u8>, tree: &mut BTreeMap<u16, u8>, step: Step) {
        match step {
            Step::Insert(key, value) => {
                assert_eq!(sorted.insert(key, value), tree.insert(key, value));
            }
            Step::Remove(key) => assert_eq!(sorted.remove(&key), tree.remove(&key)),
            Step::Append(count) => {
                let first = tree.last_key_value().map_or(0, |(last, _)| last + 1);
                for key in first..(first + count).min(2000) {
                    assert_eq!(sorted.insert(key, 0), tree.insert(key, 0));
                }
            }
            Step::Drop(count) => {
                let first: Vec<u16> = tree.keys().copied().take(count.into()).collect();
                for key in first {
                    assert_eq!(sorted.remove(&key), tree.remove(&key));
                }
            }
        }
    }

    #[test]
    fn keys_in_their_order_leave_no_room_unused_and_others_little() {
        let mut in_order = Sorted::default();
        let mut mixed = Sorted::default();
        for key in 0..100_000_u32 {
            in_order.insert(key, ());
            mixed.insert(key.wrapping_mul(0x9e37_79b1), ());
        }
        let rooms = |sorted: &Sorted<u32>| sorted.runs.iter().map(Vec::capacity).sum::<usize>();
        assert!(rooms(&in_order) <= 101_000, "{}", rooms(&in_order));
        assert!(rooms(&mixed) <= 115_000, "{}", rooms(&mixed));
        for key in 0..99_000 {
            mixed.remove(&u32::wrapping_mul(key, 0x9e37_79b1));
        }
        assert!(rooms(&mixed) <= 4000, "{}", rooms(&mixed));
    }
}
