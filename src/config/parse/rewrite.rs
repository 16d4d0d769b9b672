//! `rewrite`: the paths that upstreams are asked for in the place of those that the public knows.

use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::config::problem::forward::ForwardProblem;
use crate::decision::path::normalise;
use crate::decision::rewrite::Rewrite;
use crate::decision::routing::PathPattern;

impl Reading<'_> {
    /// The rewrite of a route for these paths, if there is one.
    pub(super) fn rewrite(
        &mut self,
        section: &Section<'_>,
        route: Option<&PathPattern>,
    ) -> Option<Rewrite> {
        let found = section.get("rewrite")?;
        let section = self.section(found, KEYS)?;
        match (section.get("regex"), section.get("with")) {
            (None, None) => self.prefix_rewrite(&section, route),
            (Some(pattern), Some(with)) => {
                for key in PREFIX_KEYS {
                    self.exclusive(&section, "regex", key);
                }
                self.pattern_rewrite(pattern, with)
            }
            (Some(_), None) => {
                self.fault(found, Problem::Missing("with"));
                None
            }
            (None, Some(_)) => {
                self.fault(found, Problem::Missing("regex"));
                None
            }
        }
    }

    fn prefix_rewrite(
        &mut self,
        section: &Section<'_>,
        route: Option<&PathPattern>,
    ) -> Option<Rewrite> {
        let strip = section.get("strip_prefix");
        let add = section.get("add_prefix");
        if strip.is_none() && add.is_none() {
            self.fault(&section.found, Problem::MissingOneOf(FIRST_KEYS));
            return None;
        }
        let prefix = |this: &mut Self, found: Option<&Found<'_>>| match found {
            Some(found) => this.path_prefix(found),
            None => Some("/".to_owned()),
        };
        let stripped = prefix(self, strip);
        let added = prefix(self, add);
        let (stripped, added) = (stripped?, added?);
        let literal = route.and_then(PathPattern::literal);
        if let (Some(found), Some(literal)) = (strip, literal)
            && !is_within(literal, &stripped)
        {
            let problem = ForwardProblem::StripPrefix(literal.to_owned());
            self.fault(found, Problem::Forward(problem));
        }
        Some(Rewrite::prefix(&stripped, &added))
    }

    fn path_prefix(&mut self, found: &Found<'_>) -> Option<String> {
        self.shaped(found, ("a path in canonical form", "/app"), |text| {
            let is_canonical = normalise(text).is_ok_and(|path| path.as_str() == text);
            is_canonical.then(|| text.to_owned())
        })
    }

    /// A text in the place of whole paths, with what groups of the expression match.
    pub(super) fn pattern_rewrite(
        &mut self,
        pattern: &Found<'_>,
        with: &Found<'_>,
    ) -> Option<Rewrite> {
        let text = self.text(pattern)?;
        let replacement = self.text(with)?;
        let made = Rewrite::pattern(&text, &replacement);
        made.map_err(|error| {
            let place = if error.is_about_pattern() {
                pattern
            } else {
                with
            };
            self.fault(place, Problem::Forward(ForwardProblem::Rewrite(error)));
        })
        .ok()
    }
}

/// Whether a path is another one or below it.
fn is_within(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) const KEYS: &[&str] = &["add_prefix", "regex", "strip_prefix", "with"];
const PREFIX_KEYS: [&str; 2] = ["strip_prefix", "add_prefix"];
const FIRST_KEYS: &[&str] = &["add_prefix", "regex", "strip_prefix"];
