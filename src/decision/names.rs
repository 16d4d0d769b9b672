//! A set of names that keeps their order: few are compared one by one, many are hashed.
//!
//! Built once from the configuration, so that a rule with thousands of users costs a request no more
//! than one with a handful.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;

/// Names in the order in which they were written.
#[derive(Clone)]
pub struct Names<T> {
    written: Vec<T>,
    /// Only where there are many.
    hashed: Option<HashSet<T>>,
}

impl<T> Names<T> {
    /// The names in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.written.iter()
    }
}

impl<T: Eq + Hash> Names<T> {
    /// Whether a name is among them.
    #[must_use]
    pub fn contains<Q>(&self, name: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match &self.hashed {
            None => self.written.iter().any(|own| own.borrow() == name),
            Some(hashed) => hashed.contains(name),
        }
    }
}

impl<T: Clone + Eq + Hash> From<Vec<T>> for Names<T> {
    fn from(written: Vec<T>) -> Self {
        let is_many = written.len() > COMPARED_MAX;
        let hashed = is_many.then(|| written.iter().cloned().collect());
        Self { written, hashed }
    }
}

impl<T: Clone + Eq + Hash> FromIterator<T> for Names<T> {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self::from(names.into_iter().collect::<Vec<T>>())
    }
}

impl<'n, T> IntoIterator for &'n Names<T> {
    type Item = &'n T;
    type IntoIter = std::slice::Iter<'n, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: PartialEq> PartialEq for Names<T> {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl<T: Eq> Eq for Names<T> {}

impl<T: fmt::Debug> fmt::Debug for Names<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

/// Up to here comparing is as fast as hashing.
const COMPARED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_found_like_few_and_keep_their_order() {
        for count in [0, 1, COMPARED_MAX, COMPARED_MAX + 1, 1000] {
            let names: Names<String> = (0..count).rev().map(|n| format!("n{n}")).collect();
            assert_eq!(names.iter().count(), count);
            assert!(
                names
                    .iter()
                    .rev()
                    .eq(&(0..count).map(|n| format!("n{n}")).collect::<Vec<_>>())
            );
            for n in 0..count {
                assert!(names.contains(format!("n{n}").as_str()), "{n} of {count}");
            }
            assert!(!names.contains("n1000"), "{count}");
        }
    }
}
