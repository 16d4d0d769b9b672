//! Blocks inside one another, and what holds in the innermost: nginx's inheritance.

use crate::convert::nginx::tree::Directive;

/// What stands in the blocks around a place, the outermost first.
#[derive(Clone, Debug)]
pub(super) struct Scope<'t> {
    levels: Vec<&'t [Directive]>,
    /// Whether what is asked for as `proxy_…` is `grpc_…` here.
    is_grpc: bool,
}

impl<'t> Scope<'t> {
    pub(super) fn new(outermost: &'t [Directive]) -> Self {
        Self {
            levels: vec![outermost],
            is_grpc: false,
        }
    }

    /// The same for a location: where it has `grpc_pass`, the directives about it are those about `proxy_pass` by
    /// another name.
    pub(super) fn by_what_passes(self) -> Self {
        let is_grpc = !self.own("grpc_pass").is_empty();
        Self { is_grpc, ..self }
    }

    pub(super) const fn is_grpc(&self) -> bool {
        self.is_grpc
    }

    /// The scope of a block in this one.
    pub(super) fn inside(&self, block: &'t [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(block);
        Self {
            levels,
            is_grpc: self.is_grpc,
        }
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
                .filter(|own| names.iter().any(|name| self.is_named(own, name)));
            let own: Vec<&Directive> = own.collect();
            (!own.is_empty()).then_some(own)
        });
        found.unwrap_or_default()
    }

    /// All of this name in the innermost block itself: what is not inherited.
    pub(super) fn own(&self, name: &str) -> Vec<&'t Directive> {
        let level = self.levels.last().copied().unwrap_or_default();
        let own = level.iter().filter(|own| self.is_named(own, name));
        own.collect()
    }

    /// What stands in the innermost block.
    pub(super) fn innermost(&self) -> Option<&'t [Directive]> {
        self.levels.last().copied()
    }

    fn is_named(&self, directive: &Directive, name: &str) -> bool {
        let proxied = name.strip_prefix("proxy_").filter(|_| self.is_grpc);
        match proxied {
            Some(rest) => directive.name.strip_prefix("grpc_") == Some(rest),
            None => directive.name == name,
        }
    }
}
