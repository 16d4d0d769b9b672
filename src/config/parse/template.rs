//! Templates: `${…}` with a dot in it is a fact of the request, without one a variable of the
//! environment, as everywhere in the file. `$$` is a dollar sign.
//!
//! What a variable holds is text and is never read as a template.

use crate::config::parse::expand::ExpandError;
use crate::config::parse::expand::expand;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::problem::Problem;
use crate::config::problem::policy::PolicyProblem;
use crate::config::raw::Content;
use crate::decision::facts::Fact;
use crate::decision::response::HEADER_BYTES_MAX;
use crate::decision::template::Form;
use crate::decision::template::Part;
use crate::decision::template::Template;

impl Reading<'_> {
    /// A template whose texts fit where it goes; `None` for an attribute, which takes any text.
    pub(super) fn template(&mut self, found: &Found<'_>, form: Option<Form>) -> Option<Template> {
        let Content::Text(written) = &found.node.content else {
            self.wrong_type(found, "a single value");
            return None;
        };
        let template = match parse(written, self.surroundings.variable) {
            Ok(parts) => Template::new(written, parts),
            Err(problem) => {
                self.fault(found, problem);
                return None;
            }
        };
        let misfit = match form {
            Some(form) => template.misfit(form),
            None => written.chars().find(|c| c.is_control()),
        };
        if let Some(c) = misfit {
            self.fault(found, Problem::Policy(PolicyProblem::Character(c)));
        }
        if form == Some(Form::Header) {
            self.check_length(
                found,
                template.bytes_min(&[], Form::Header),
                HEADER_BYTES_MAX,
            );
        }
        self.check_claims(found, template.facts());
        Some(template)
    }

    /// Refuses what is too long whatever its facts come to.
    pub(super) fn check_length(&mut self, found: &Found<'_>, bytes: usize, most: usize) {
        if bytes > most {
            let problem = PolicyProblem::TooLong { bytes, most };
            self.fault(found, Problem::Policy(problem));
        }
    }
}

fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Part>, Problem> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        plain.push_str(before);
        rest = if let Some(behind) = behind.strip_prefix('$') {
            plain.push('$');
            behind
        } else if let Some(behind) = behind.strip_prefix('{') {
            let closed = behind.split_once('}').ok_or(ExpandError::Unclosed);
            let (inner, behind) = closed.map_err(Problem::Expand)?;
            match put_in(inner, variable)? {
                Part::Text(text) => plain.push_str(&text),
                fact @ Part::Fact(_) => {
                    parts.push(Part::Text(std::mem::take(&mut plain).into()));
                    parts.push(fact);
                }
            }
            behind
        } else {
            plain.push('$');
            behind
        };
    }
    plain.push_str(rest);
    parts.push(Part::Text(plain.into()));
    parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
    Ok(parts)
}

/// What `${…}` stands for: a fact, or the text of a variable.
fn put_in(inner: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Part, Problem> {
    if is_fact(inner) {
        return Fact::parse(inner)
            .map(Part::Fact)
            .map_err(|error| Problem::Policy(PolicyProblem::Fact(error)));
    }
    expand(&format!("${{{inner}}}"), variable)
        .map(|text| Part::Text(text.into()))
        .map_err(Problem::Expand)
}

/// Whether `${…}` means a fact: names of variables have no dots.
pub(super) fn is_fact(inner: &str) -> bool {
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    end.is_some_and(|at| inner.get(at..).is_some_and(|rest| rest.starts_with('.')))
}
