//! `headers` of virtual hosts and routes: what is set, added and removed on the way to the upstream and back.
//!
//! Names that frame a message, belong to a single connection, carry Portway's own cookies or say who is
//! signed in are refused here, so that no rule can undo what the gateway vouches for.

use std::collections::BTreeMap;

use http::HeaderName;

use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::response::is_reserved_header;
use crate::config::problem::Problem;
use crate::config::problem::policy::PolicyProblem;
use crate::decision::header_rules::HeaderAction;
use crate::decision::header_rules::HeaderRule;
use crate::decision::header_rules::HeaderRules;
use crate::decision::template::Form;
use crate::decision::template::Template;

/// Which way a message goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Back,
    There,
}

/// The rules of one direction, as far as they have been read.
struct Written {
    way: Way,
    rules: Vec<HeaderRule>,
    /// The line of each name, folded.
    seen: BTreeMap<String, usize>,
}

impl Reading<'_> {
    /// The rules of a section that may have some; those of a host hold for all its routes.
    pub(super) fn header_rules(&mut self, section: &Section<'_>) -> HeaderRules {
        self.or(
            section,
            "headers",
            HeaderRules::default(),
            Self::both_directions,
        )
    }

    fn both_directions(&mut self, found: &Found<'_>) -> Option<HeaderRules> {
        let section = self.section(found, KEYS)?;
        Some(HeaderRules {
            request: self.or(&section, "request", Vec::new(), |this, found| {
                this.one_direction(found, Way::There)
            }),
            response: self.or(&section, "response", Vec::new(), |this, found| {
                this.one_direction(found, Way::Back)
            }),
        })
    }

    fn one_direction(&mut self, found: &Found<'_>, way: Way) -> Option<Vec<HeaderRule>> {
        let section = self.section(found, ACTION_KEYS)?;
        let mut written = Written {
            way,
            rules: Vec::new(),
            seen: BTreeMap::new(),
        };
        if let Some(found) = section.get("remove") {
            for item in self.list(found).unwrap_or_default() {
                let name = self.header_name(&item);
                self.header_rule(&item, name, &mut written, Some(HeaderAction::Remove));
            }
        }
        if let Some(found) = section.get("set") {
            self.valued(found, &mut written, HeaderAction::Set);
        }
        if let Some(found) = section.get("add") {
            self.valued(found, &mut written, HeaderAction::Add);
        }
        Some(written.rules)
    }

    /// A map from names to values.
    fn valued(
        &mut self,
        found: &Found<'_>,
        written: &mut Written,
        action: fn(Template) -> HeaderAction,
    ) {
        let Some(section) = self.map(found) else {
            return;
        };
        for (name, value) in section.entries() {
            let template = self.template(value, Some(Form::Header));
            let parsed = self.header_key(name, value);
            self.header_rule(value, parsed, written, template.map(action));
        }
    }

    fn header_rule(
        &mut self,
        found: &Found<'_>,
        name: Option<HeaderName>,
        written: &mut Written,
        action: Option<HeaderAction>,
    ) {
        let Some(name) = name else {
            return;
        };
        let is_told = written.way == Way::There && self.is_told(&name);
        if is_told || is_reserved_header(name.as_str()) {
            let name = name.as_str().to_owned();
            self.fault_at_key(found, Problem::Policy(PolicyProblem::RuleHeader(name)));
        }
        self.note_header(found, &name, &mut written.seen);
        written
            .rules
            .extend(action.map(|action| HeaderRule { name, action }));
    }
}

pub(super) const KEYS: &[&str] = &["request", "response"];
pub(super) const ACTION_KEYS: &[&str] = &["add", "remove", "set"];
