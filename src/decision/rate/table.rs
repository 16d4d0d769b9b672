//! A table of what is due, by whom, that does not grow: buckets of a few places, and whoever finds none free
//! takes that of the one who owes least.
//!
//! A place is free as soon as nothing is due any more, which is the same as never having been there. Nobody can
//! aim at the places of somebody else without the seed that they are made with.

/// Where something is kept: a hash of who owes it, and by which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Chooses the bucket.
    pub bucket: u64,
    /// Tells apart those of one bucket.
    pub mark: u64,
}

/// What is due, by place.
#[derive(Debug)]
pub struct Dues {
    buckets: Vec<[Entry; WAYS]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    due: u64,
    mark: u64,
}

impl Dues {
    /// A table of about `entries` places.
    #[must_use]
    pub fn new(entries: usize) -> Self {
        let buckets = entries.div_ceil(WAYS).max(1);
        Self {
            buckets: vec![[Entry { due: 0, mark: 0 }; WAYS]; buckets],
        }
    }

    /// What is due at a place, to be read and changed; 0 where nothing is.
    pub fn at(&mut self, place: Place) -> Option<&mut u64> {
        let index = place.bucket % (self.buckets.len().max(1) as u64);
        let bucket = self.buckets.get_mut(usize::try_from(index).ok()?)?;
        let own = bucket.iter().position(|entry| entry.mark == place.mark);
        let index = own.or_else(|| {
            // The one that owes least, which is the one who owes nothing if there is such a one.
            let places = bucket.iter().enumerate();
            let least = places.min_by_key(|(_, entry)| entry.due);
            least.map(|(index, _)| index)
        });
        let entry = bucket.get_mut(index?)?;
        if own.is_none() {
            *entry = Entry {
                due: 0,
                mark: place.mark,
            };
        }
        Some(&mut entry.due)
    }
}

/// Places of a bucket.
const WAYS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(mark: u64) -> Place {
        Place { bucket: 7, mark }
    }

    #[test]
    fn what_is_due_stays_while_fewer_are_there_than_places() {
        let mut dues = Dues::new(WAYS);
        for mark in 1..=WAYS as u64 {
            *dues.at(place(mark)).unwrap() = 100 + mark;
        }
        for mark in 1..=WAYS as u64 {
            assert_eq!(dues.at(place(mark)), Some(&mut (100 + mark)));
        }
    }

    #[test]
    fn a_newcomer_displaces_whoever_owes_least_and_begins_anew() {
        let mut dues = Dues::new(WAYS);
        for mark in 1..=WAYS as u64 {
            *dues.at(place(mark)).unwrap() = 100 - mark;
        }
        assert_eq!(dues.at(place(99)), Some(&mut 0));
        *dues.at(place(99)).unwrap() = 200;
        assert_eq!(dues.at(place(1)), Some(&mut 99), "the others are there");
        assert_eq!(dues.at(place(WAYS as u64)), Some(&mut 0), "it is gone");
    }
}
