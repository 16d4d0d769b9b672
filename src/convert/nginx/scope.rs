//! Blocks inside one another, and what holds in the innermost: nginx's inheritance.

use crate::convert::nginx::tree::Directive;

/// What stands in the blocks around a place, the outermost first.
#[derive(Clone, Debug)]
pub(super) struct Scope<'t> {
    levels: Vec<&'t [Directive]>,
}

impl<'t> Scope<'t> {
    pub(super) fn new(outermost: &'t [Directive]) -> Self {
        Self {
            levels: vec![outermost],
        }
    }

    /// The scope of a block in this one.
    pub(super) fn inside(&self, block: &'t [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(block);
        Self { levels }
    }

    /// The directive of this name that holds: that of the innermost block that has one.
    pub(super) fn one(&self, name: &str) -> Option<&'t Directive> {
        self.all(name).pop()
    }

    /// All of this name in the innermost block that has one: they take the place of those further out.
    pub(super) fn all(&self, name: &str) -> Vec<&'t Directive> {
        self.any(&[name])
    }

    /// Likewise, for several names that are inherited together.
    pub(super) fn any(&self, names: &[&str]) -> Vec<&'t Directive> {
        let mut levels = self.levels.iter().rev();
        let found = levels.find_map(|level| {
            let own = level
                .iter()
                .filter(|own| names.contains(&own.name.as_str()));
            let own: Vec<&Directive> = own.collect();
            (!own.is_empty()).then_some(own)
        });
        found.unwrap_or_default()
    }

    /// All of this name in the innermost block itself: what is not inherited.
    pub(super) fn own(&self, name: &str) -> Vec<&'t Directive> {
        let level = self.levels.last().copied().unwrap_or_default();
        level.iter().filter(|own| own.name == name).collect()
    }
}
