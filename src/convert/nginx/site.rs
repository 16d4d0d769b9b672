//! What all parts of a conversion share: the ledger, the pools made so far, and what holds for the whole file.

use std::cell::RefCell;
use std::path::Path;

use crate::convert::nginx::ledger::Ledger;
use crate::convert::nginx::pools::Pools;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::tree::Directive;

/// A conversion.
pub(super) struct Site<'t> {
    pub(super) ledger: Ledger,
    pub(super) pools: RefCell<Pools<'t>>,
    /// What stands in `http`.
    pub(super) http: Scope<'t>,
    /// Where relative paths of the file start from; empty where they stay relative.
    pub(super) folder: &'t Path,
}

impl Site<'_> {
    /// A path of a file, such as it is from where the configuration will be.
    pub(super) fn path(&self, written: &str) -> String {
        self.folder.join(written).display().to_string()
    }
}

/// The comments that belong to a block: its own, and those in it about what becomes a part of it.
pub(super) fn comments_of(block: &Directive, apart: &[&str]) -> Vec<String> {
    let inside = block.inside().iter();
    let inside = inside.filter(|inner| !apart.contains(&inner.name.as_str()));
    let inside = inside.flat_map(|inner| {
        let deeper = inner
            .inside()
            .iter()
            .flat_map(|deep| comments_of(deep, &[]));
        inner.comments.iter().cloned().chain(deeper)
    });
    block.comments.iter().cloned().chain(inside).collect()
}
