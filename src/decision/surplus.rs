//! Which sessions of a user are too many (S-21, R8).
//!
//! Whoever ends one ends only what has as many newer sessions beside it as a user may have. So data centres
//! that know of different sessions never end between them one of the newest of all, nor all of them.

use crate::model::id::SsoId;
use crate::model::time::Timestamp;

/// A session as far as its turn goes: the earlier first, and of two of the same moment the lower id.
pub type Turn = (Timestamp, SsoId);

/// The sessions to end so that at most `most` of those that stand are left, the oldest first.
#[must_use]
pub fn surplus(standing: impl IntoIterator<Item = Turn>, most: usize) -> Vec<SsoId> {
    let mut standing: Vec<Turn> = standing.into_iter().collect();
    standing.sort_unstable();
    standing.dedup();
    let too_many = standing.len().saturating_sub(most);
    let oldest = standing.into_iter().take(too_many);
    oldest.map(|(_, sso)| sso).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::btree_map;
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::*;

    fn turn((id, at): (u8, u64)) -> Turn {
        (Timestamp::from_millis(at), SsoId::from_bytes([id; 16]))
    }

    fn newest(all: &BTreeSet<Turn>, most: usize) -> BTreeSet<Turn> {
        all.iter().rev().take(most).copied().collect()
    }

    /// What one data centre ends of what it knows.
    fn ended(known: &BTreeSet<Turn>, most: usize) -> BTreeSet<SsoId> {
        surplus(known.iter().copied(), most).into_iter().collect()
    }

    #[test]
    fn the_oldest_go_and_of_the_same_moment_the_lower_id_s_21() {
        let standing = [(7, 2), (9, 1), (3, 2)].map(turn);
        let ids = |ids: &[u8]| ids.iter().map(|id| SsoId::from_bytes([*id; 16])).collect();
        let expected: [Vec<SsoId>; 4] = [ids(&[9, 3, 7]), ids(&[9, 3]), ids(&[9]), ids(&[])];
        for (most, expected) in expected.into_iter().enumerate() {
            assert_eq!(surplus(standing, most), expected, "{most}");
        }
    }

    proptest! {
        #[test]
        fn data_centres_that_know_different_sessions_leave_the_newest_of_all_s_21_r8(
            all in btree_map(any::<u8>(), 0_u64..6, 0..24),
            known in vec(vec(any::<bool>(), 24), 1..5),
            most in 1_usize..9,
        ) {
            let all: BTreeSet<Turn> = all.into_iter().map(turn).collect();
            let kept = newest(&all, most);
            let views = known.iter().map(|known| {
                let view = all.iter().zip(known).filter(|(_, known)| **known);
                view.map(|(turn, _)| *turn).collect::<BTreeSet<Turn>>()
            });
            for view in views {
                let ended = ended(&view, most);
                assert_eq!(view.len() - ended.len(), view.len().min(most));
                assert!(kept.iter().all(|(_, sso)| !ended.contains(sso)));
            }
        }

        #[test]
        fn data_centres_that_know_the_same_sessions_end_the_same_in_whatever_order_s_21(
            all in btree_map(any::<u8>(), 0_u64..6, 0..24),
            most in 1_usize..9,
        ) {
            let all: BTreeSet<Turn> = all.into_iter().map(turn).collect();
            let forwards = surplus(all.iter().copied(), most);
            assert_eq!(forwards, surplus(all.iter().rev().copied(), most));
            // Hearing of what the other one ended leaves nothing to end.
            let left = all.iter().filter(|(_, sso)| !forwards.contains(sso));
            assert!(surplus(left.copied(), most).is_empty());
        }
    }
}
