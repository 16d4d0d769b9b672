//! Names that many records share, each kept once: a record has numbers in their place.
//!
//! What only one session has, such as the name of its user, is no business of this.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

use crate::model::name::AttributeName;
use crate::model::name::ClusterId;
use crate::model::name::GroupName;
use crate::model::name::HostName;
use crate::model::name::StoreName;

/// The names that the records of one table share.
#[derive(Debug, Default)]
pub(super) struct Names {
    attributes: Pool<AttributeName>,
    clusters: Pool<ClusterId>,
    groups: Pool<GroupName>,
    hosts: Pool<HostName>,
    stores: Pool<StoreName>,
}

/// A kind of name that records share.
pub(super) trait Shared: Clone + Eq + Hash {
    /// Where names of this kind are.
    fn pool(names: &Names) -> &Pool<Self>;

    /// The same, to be changed.
    fn pool_mut(names: &mut Names) -> &mut Pool<Self>;
}

macro_rules! shared {
    ($($name:ty, $pool:ident;)*) => {
        $(impl Shared for $name {
            fn pool(names: &Names) -> &Pool<Self> {
                &names.$pool
            }

            fn pool_mut(names: &mut Names) -> &mut Pool<Self> {
                &mut names.$pool
            }
        })*
    };
}

shared! {
    AttributeName, attributes;
    ClusterId, clusters;
    GroupName, groups;
    HostName, hosts;
    StoreName, stores;
}

impl Names {
    /// The number of a name, for one more user of it.
    pub(super) fn hold<N: Shared>(&mut self, name: &N) -> u32 {
        N::pool_mut(self).hold(name)
    }

    /// The name behind a number.
    pub(super) fn get<N: Shared>(&self, number: u32) -> Option<N> {
        let entry = N::pool(self).entries.get(usize::try_from(number).ok()?)?;
        entry.as_ref().map(|entry| entry.name.clone())
    }

    /// The name behind a number that has one user less from then on.
    pub(super) fn let_go<N: Shared>(&mut self, number: u32) -> Option<N> {
        N::pool_mut(self).let_go(number)
    }

    /// How many names there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.attributes.numbers.len()
            + self.clusters.numbers.len()
            + self.groups.numbers.len()
            + self.hosts.numbers.len()
            + self.stores.numbers.len()
    }
}

/// Names of one kind by number. The number of a name that nobody uses is given to another.
#[derive(Debug)]
pub(super) struct Pool<N> {
    entries: Vec<Option<Entry<N>>>,
    numbers: HashMap<N, u32, RandomState>,
    unused: Vec<u32>,
}

#[derive(Debug)]
struct Entry<N> {
    name: N,
    users: u64,
}

impl<N> Default for Pool<N> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            numbers: HashMap::default(),
            unused: Vec::new(),
        }
    }
}

impl<N: Clone + Eq + Hash> Pool<N> {
    fn hold(&mut self, name: &N) -> u32 {
        if let Some(number) = self.numbers.get(name)
            && let Some(entry) = entry_of(&mut self.entries, *number)
        {
            entry.users += 1;
            return *number;
        }
        let name = name.clone();
        let entry = Entry {
            name: name.clone(),
            users: 1,
        };
        let number = match self.unused.pop() {
            Some(number) => number,
            None => {
                self.entries.push(None);
                // More names than numbers would not fit into any memory.
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(place) = place_of(&mut self.entries, number) {
            *place = Some(entry);
        }
        self.numbers.insert(name, number);
        number
    }

    fn let_go(&mut self, number: u32) -> Option<N> {
        let entry = entry_of(&mut self.entries, number)?;
        entry.users -= 1;
        if entry.users > 0 {
            return Some(entry.name.clone());
        }
        let Entry { name, .. } = place_of(&mut self.entries, number)?.take()?;
        self.numbers.remove(&name);
        self.unused.push(number);
        Some(name)
    }
}

fn place_of<N>(entries: &mut [Option<Entry<N>>], number: u32) -> Option<&mut Option<Entry<N>>> {
    entries.get_mut(usize::try_from(number).ok()?)
}

fn entry_of<N>(entries: &mut [Option<Entry<N>>], number: u32) -> Option<&mut Entry<N>> {
    place_of(entries, number)?.as_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_as_long_as_somebody_uses_it() {
        let mut names = Names::default();
        let (staff, admins) = (group("staff"), group("admins"));
        let number = names.hold(&staff);
        assert_eq!(names.hold(&staff), number);
        assert_ne!(names.hold(&admins), number);
        assert_eq!(names.get(number), Some(staff.clone()));
        assert_eq!(names.let_go(number), Some(staff.clone()));
        assert_eq!(names.get(number), Some(staff.clone()));
        assert_eq!(names.let_go(number), Some(staff));
        assert_eq!(names.get::<GroupName>(number), None);
        assert_eq!(names.let_go::<GroupName>(number), None);
        assert_eq!(names.len(), 1);
        let other = group("other");
        assert_eq!(names.hold(&other), number, "the number is given out again");
    }

    fn group(name: &str) -> GroupName {
        GroupName::parse(name).unwrap()
    }
}
