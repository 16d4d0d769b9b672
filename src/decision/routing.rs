//! Which virtual host and which route a request belongs to.
//!
//! Tables are built once per configuration and only read afterwards. What a route allows is not
//! known here: `authorization` decides that.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

use crate::decision::path::NormalPath;
use crate::decision::path::PathRefusal;
use crate::decision::path::Tolerance;
use crate::decision::path::folded;
use crate::model::name::HostName;
use crate::model::name::NameError;

pub use self::descent::Taken;
pub use self::descent::may_begin_within;
pub use self::descent::taken_behind;
pub use self::narrowing::Narrowing;
pub use self::narrowing::Traits;
pub use self::pattern::PathPattern;
pub use self::pattern::PatternError;
pub use self::reach::Reach;
pub use self::reach::reach;

use tree::LetterCaseMatters;
use tree::Tree;

mod descent;
mod narrowing;
mod pattern;
mod reach;
mod tree;

/// The name of a virtual host, or all names under one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name only.
    Exact(HostName),
    /// Every name that has one or more labels before this one, written `*.example.com`.
    Wildcard(HostName),
}

impl HostPattern {
    /// Reads a name or `*.` and a name.
    ///
    /// # Errors
    /// When the name is not a host name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.strip_prefix("*.") {
            Some(parent) if parent.starts_with('[') => Err(NameError::NotAHost),
            Some(parent) => HostName::parse(parent).map(Self::Wildcard),
            None => HostName::parse(text).map(Self::Exact),
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// Finds what belongs to a host name: the exact name first, then the longest wildcard.
#[derive(Clone, Debug)]
pub struct HostTable<T> {
    exact: HashMap<Box<str>, T>,
    wildcard: HashMap<Box<str>, T>,
}

/// Of several values with the same pattern the first stays.
impl<T> FromIterator<(HostPattern, T)> for HostTable<T> {
    fn from_iter<I: IntoIterator<Item = (HostPattern, T)>>(entries: I) -> Self {
        let mut table = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
        };
        for (pattern, value) in entries {
            match pattern {
                HostPattern::Exact(host) => {
                    table.exact.entry(Box::from(host.as_str())).or_insert(value)
                }
                HostPattern::Wildcard(parent) => table
                    .wildcard
                    .entry(Box::from(parent.as_str()))
                    .or_insert(value),
            };
        }
        table
    }
}

impl<T> HostTable<T> {
    /// Finds the value for a host name in canonical form: lower case, no trailing dot, no port.
    ///
    /// The cost grows with the labels of the name and not with the size of the table.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&T> {
        self.exact.get(host).or_else(|| {
            let mut parents = host.match_indices('.').filter(|(dot, _)| *dot > 0);
            parents.find_map(|(dot, _)| self.wildcard.get(host.get(dot + 1..)?))
        })
    }
}

/// A route as a table takes it.
#[derive(Clone, Debug)]
pub struct RouteEntry<T> {
    /// Which paths.
    pub pattern: PathPattern,
    /// Which methods; empty means all. GET includes HEAD.
    pub methods: Vec<Method>,
    /// Which requests beside that; all where there is none.
    pub narrowing: Option<Arc<Narrowing>>,
    /// Which odd spellings of a path are let through.
    pub tolerance: Tolerance,
    /// What belongs to the route.
    pub value: T,
}

/// What a request leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum RouteFound<'t, T> {
    /// This route.
    Found(&'t T),
    /// Routes for the path, though not for the method: 405, and which methods they have.
    MethodNotAllowed(Vec<Method>),
    /// No route for the path, or none of its routes is for such a request: 404.
    NotFound,
    /// A path that cannot be decided on, or is odder than the route allows: 400.
    Refused(PathRefusal),
    /// Routes for the path, and it cannot be told which of them the request is for: 400.
    Unclear,
}

/// The routes of a virtual host, in the order in which they are asked.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    entries: Vec<RouteEntry<T>>,
    tree: Tree,
    /// For each entry, the next one with the same pattern.
    next_alike: Vec<Option<usize>>,
}

impl<T> RouteTable<T> {
    /// Makes a table.
    #[must_use]
    pub fn new(entries: Vec<RouteEntry<T>>) -> Self {
        let tree = Tree::new(entries.iter().map(|entry| &entry.pattern).enumerate());
        let mut later = HashMap::new();
        let mut next_alike = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate().rev() {
            next_alike.push(later.insert(entry.pattern.key(), at));
        }
        next_alike.reverse();
        Self {
            entries,
            tree,
            next_alike,
        }
    }

    /// Finds the route of a request of which nothing but path and method is known.
    #[must_use]
    pub fn find(&self, path: &NormalPath<'_>, method: &Method) -> RouteFound<'_, T> {
        self.choose(path, method, |_| None)
    }

    /// Finds the route of a request.
    ///
    /// The path alone chooses: the first route whose pattern matches. A request that is not this route's,
    /// by its method or otherwise, is passed on only to later routes with the same pattern, because a path
    /// that one route protects must not reach another by an unusual method, header or parameter. Where it
    /// cannot be told whether it is a route's it is passed on to none.
    ///
    /// A path is served only if every reading of it, with and without its letter case folded, leads
    /// to the same route; otherwise no server behind the gateway can be trusted to mean the path that
    /// was decided on, and it is refused.
    #[must_use]
    pub fn find_for(&self, path: &NormalPath<'_>, request: &Traits<'_>) -> RouteFound<'_, T> {
        self.choose(path, request.method, |narrowing| narrowing.holds(request))
    }

    fn choose(
        &self,
        path: &NormalPath<'_>,
        method: &Method,
        holds: impl Fn(&Narrowing) -> Option<bool>,
    ) -> RouteFound<'_, T> {
        let mut readings = path.readings().map(|reading| self.first_match(reading));
        let first = readings.next().unwrap_or(Ok(None));
        if first.is_err() || readings.any(|other| other != first) {
            return RouteFound::Refused(PathRefusal::Ambiguous);
        }
        let Ok(Some(at)) = first else {
            return let_through(path, Tolerance::none(), RouteFound::NotFound);
        };
        let holds = |entry: &RouteEntry<T>| match &entry.narrowing {
            None => Some(true),
            Some(narrowing) => holds(narrowing),
        };
        let asked = self.alike(at);
        let mut asked = asked
            .filter(|entry| has_method(&entry.methods, method))
            .map(|entry| (entry, holds(entry)));
        match asked.find(|(_, own)| *own != Some(false)) {
            Some((entry, Some(true))) => {
                let_through(path, entry.tolerance, RouteFound::Found(&entry.value))
            }
            Some((_, Some(false) | None)) => RouteFound::Unclear,
            None => {
                let others = self.alike(at);
                let methods = methods_of(others.filter(|entry| holds(entry) != Some(false)));
                if methods.is_empty() {
                    let_through(path, Tolerance::none(), RouteFound::NotFound)
                } else {
                    RouteFound::MethodNotAllowed(methods)
                }
            }
        }
    }

    fn first_match(&self, reading: &str) -> Result<Option<usize>, LetterCaseMatters> {
        self.tree.first_match(reading, &folded(reading))
    }

    /// The entry at `at`, and those after it that have its pattern.
    fn alike(&self, at: usize) -> impl Iterator<Item = &RouteEntry<T>> {
        let next = |at: &usize| self.next_alike.get(*at).copied().flatten();
        std::iter::successors(Some(at), next).filter_map(|at| self.entries.get(at))
    }
}

/// What a path leads to, unless it is odder than that lets through.
fn let_through<'t, T>(
    path: &NormalPath<'_>,
    tolerance: Tolerance,
    found: RouteFound<'t, T>,
) -> RouteFound<'t, T> {
    match tolerance.first_missing(path.oddities()) {
        Some(oddity) => RouteFound::Refused(PathRefusal::Odd(oddity)),
        None => found,
    }
}

/// The methods that entries have, each once.
fn methods_of<'t, T: 't>(entries: impl Iterator<Item = &'t RouteEntry<T>>) -> Vec<Method> {
    let named = entries.flat_map(|entry| &entry.methods);
    let mut methods: Vec<Method> = Vec::new();
    for method in named.flat_map(with_implied) {
        if !methods.contains(method) {
            methods.push(method.clone());
        }
    }
    methods
}

/// A method and what it includes.
fn with_implied(method: &Method) -> impl Iterator<Item = &Method> {
    let implied = (*method == Method::GET).then_some(&Method::HEAD);
    std::iter::once(method).chain(implied)
}

/// Whether a list of methods has one; an empty list has all, and GET includes HEAD.
#[must_use]
pub fn has_method(methods: &[Method], method: &Method) -> bool {
    methods.is_empty()
        || methods.contains(method)
        || (*method == Method::HEAD && methods.contains(&Method::GET))
}
