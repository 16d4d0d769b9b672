//! A table of counts that does not grow: buckets of a few places, and whoever finds none free takes that of
//! the least tried.
//!
//! A count is displaced only by newcomers to its own bucket, which nobody can aim at without the seed of
//! the places, and never while a smaller count stands there: to push one out that was tried five times takes
//! five attempts on each of a large part of all places.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::model::time::Timestamp;

/// Where something is counted: by a hash of what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    bucket: u64,
    mark: u64,
}

impl Place {
    /// The place of what these parts say together, which nobody can aim at without the seed.
    #[must_use]
    pub fn of(seed: &[u8], parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new_with_prefix(seed);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let word = |chunk: &[u8; 8]| u64::from_be_bytes(*chunk);
        let (words, _) = hash.as_chunks::<8>();
        let mut words = words.iter().map(word);
        Self {
            bucket: words.next().unwrap_or_default(),
            mark: words.next().unwrap_or_default(),
        }
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// How many attempts.
    pub attempts: u16,
    /// When the last one was.
    pub last: Timestamp,
    /// Since when no attempt has been forgotten.
    since: Timestamp,
    mark: u64,
}

impl Entry {
    const NONE: Self = Self {
        attempts: 0,
        last: Timestamp::from_millis(0),
        since: Timestamp::from_millis(0),
        mark: 0,
    };

    /// Forgets what is to be forgotten by now. A count of the future becomes one of now: a clock that was
    /// ahead for a while keeps nobody waiting until it is right (S-22).
    fn age(&mut self, memory: Memory, now: Timestamp) {
        self.last = self.last.min(now);
        self.since = self.since.min(now);
        if now.since(self.last) >= memory.all {
            self.attempts = 0;
        }
        let each = memory.each.as_millis().max(1);
        let gone = now.since(self.since).as_millis() / each;
        let gone = u16::try_from(gone).unwrap_or(u16::MAX);
        self.attempts = self.attempts.saturating_sub(gone);
        self.since = self.since.after(memory.each.saturating_mul(gone.into()));
    }
}

/// How long attempts are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// After so long one more of them is forgotten, however many come.
    pub each: Duration,
    /// So long after the last one all are.
    pub all: Duration,
}

/// Counts, by place.
#[derive(Debug)]
pub struct Table {
    buckets: Vec<[Entry; WAYS]>,
    memory: Memory,
}

impl Table {
    /// A table of about `entries` places.
    #[must_use]
    pub fn new(entries: usize, memory: Memory) -> Self {
        let buckets = entries.div_ceil(WAYS).max(1);
        Self {
            buckets: vec![[Entry::NONE; WAYS]; buckets],
            memory,
        }
    }

    /// What was counted at a place, unless it is forgotten.
    pub fn find(&mut self, place: Place, now: Timestamp) -> Option<Entry> {
        let memory = self.memory;
        let mut found = self.bucket_mut(place)?.iter_mut();
        let entry = found.find(|entry| entry.mark == place.mark && entry.attempts > 0)?;
        entry.age(memory, now);
        (entry.attempts > 0).then_some(*entry)
    }

    /// Counts one more at a place.
    pub fn count(&mut self, place: Place, now: Timestamp) {
        let memory = self.memory;
        let Some(bucket) = self.bucket_mut(place) else {
            return;
        };
        for entry in bucket.iter_mut().filter(|entry| entry.attempts > 0) {
            entry.age(memory, now);
        }
        let is_own = |entry: &Entry| entry.mark == place.mark && entry.attempts > 0;
        let own = bucket.iter().position(is_own);
        let index = own.or_else(|| {
            let worth = |entry: &Entry| (entry.attempts, entry.last);
            let places = bucket.iter().enumerate();
            let least = places.min_by_key(|(_, entry)| worth(entry));
            least.map(|(index, _)| index)
        });
        let Some(entry) = index.and_then(|index| bucket.get_mut(index)) else {
            return;
        };
        if own.is_none() {
            *entry = Entry {
                since: now,
                mark: place.mark,
                ..Entry::NONE
            };
        }
        entry.attempts = entry.attempts.saturating_add(1);
        entry.last = now;
    }

    /// Counts one less at a place.
    pub fn take_back(&mut self, place: Place) {
        let Some(bucket) = self.bucket_mut(place) else {
            return;
        };
        // A place that has become free keeps its mark.
        let is_own = |entry: &&mut Entry| entry.mark == place.mark && entry.attempts > 0;
        if let Some(entry) = bucket.iter_mut().find(is_own) {
            entry.attempts = entry.attempts.saturating_sub(1);
        }
    }

    /// Forgets what was counted at a place.
    pub fn forget(&mut self, place: Place) {
        let Some(bucket) = self.bucket_mut(place) else {
            return;
        };
        // Places that have become free keep their mark: there may be several.
        for entry in bucket.iter_mut().filter(|entry| entry.mark == place.mark) {
            *entry = Entry::NONE;
        }
    }

    /// Remembers for another time.
    pub const fn remember(&mut self, memory: Memory) {
        self.memory = memory;
    }

    /// How many places there are.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.buckets.len() * WAYS
    }

    /// What is counted, each with its place.
    #[must_use]
    pub fn counts(&self) -> Vec<(usize, Entry)> {
        let places = self.buckets.as_flattened().iter().copied().enumerate();
        places.filter(|(_, entry)| entry.attempts > 0).collect()
    }

    /// Takes over what was counted in a table of the same size, with the same seed.
    pub fn take_over(&mut self, counts: &[(usize, Entry)]) {
        let places = self.buckets.as_flattened_mut();
        for (place, counted) in counts {
            if let Some(entry) = places.get_mut(*place) {
                *entry = *counted;
            }
        }
    }

    fn index(&self, place: Place) -> usize {
        let index = place.bucket % (self.buckets.len().max(1) as u64);
        usize::try_from(index).unwrap_or_default()
    }

    fn bucket_mut(&mut self, place: Place) -> Option<&mut [Entry; WAYS]> {
        let index = self.index(place);
        self.buckets.get_mut(index)
    }
}

/// Places of a bucket.
const WAYS: usize = 8;
