//! `error_pages` of virtual hosts and routes: what is answered in place of errors.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;

use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::config::problem::forward::ForwardProblem;
use crate::decision::error_pages::ErrorPage;
use crate::decision::error_pages::ErrorPages;
use crate::decision::error_pages::PageStatus;
use crate::decision::error_pages::UpstreamErrors;
use crate::decision::facts::Fact;
use crate::decision::fixed_answer::Address;
use crate::decision::fixed_answer::FixedAnswer;
use crate::decision::fixed_answer::Query;
use crate::decision::fixed_answer::Redirect;

impl Reading<'_> {
    /// The pages that a virtual host or a route has for errors; where it does not say so, those around it.
    pub(super) fn error_pages(
        &mut self,
        section: &Section<'_>,
        around: Option<&Arc<ErrorPages>>,
    ) -> Arc<ErrorPages> {
        let around = around.cloned().unwrap_or_default();
        self.or(section, "error_pages", around, |this, found| {
            let items = this.list(found)?;
            let mut seen = BTreeMap::new();
            let pages = this.each(&items, |this, item| this.error_page(item, &mut seen))?;
            Some(Arc::new(ErrorPages::new(pages)))
        })
    }

    fn error_page(
        &mut self,
        found: &Found<'_>,
        seen: &mut BTreeMap<u16, usize>,
    ) -> Option<ErrorPage> {
        let section = self.section(found, KEYS)?;
        let statuses = self.required(&section, "statuses").cloned();
        let statuses = statuses.and_then(|found| {
            let items = self.some_list(&found)?;
            self.each(&items, |this, item| this.error_status(item, seen))
        });
        let upstream_errors = self.or(
            &section,
            "upstream_errors",
            UpstreamErrors::Pass,
            |this, found| this.word(found, UPSTREAM_ERRORS),
        );
        self.exclusive(&section, "respond", "redirect");
        let answer = match section.first_of(ANSWER_KEYS) {
            Some(("respond", found)) => self.page(found),
            Some((_, found)) => self.elsewhere(found),
            None => {
                self.fault(&section.found, Problem::MissingOneOf(ANSWER_KEYS));
                None
            }
        };
        let (status, answer) = answer?;
        Some(ErrorPage {
            statuses: statuses?,
            upstream_errors,
            status,
            answer,
        })
    }

    /// An error; each has one page.
    fn error_status(
        &mut self,
        found: &Found<'_>,
        seen: &mut BTreeMap<u16, usize>,
    ) -> Option<StatusCode> {
        let status = self.number(found, 400_u16..=599)?;
        if let Some(first) = seen.get(&status) {
            let problem = Problem::Duplicate {
                what: "status",
                text: status.to_string(),
                first: *first,
            };
            self.fault(found, problem);
        } else {
            seen.insert(status, found.node.at.line);
        }
        StatusCode::from_u16(status).ok()
    }

    fn page(&mut self, found: &Found<'_>) -> Option<(PageStatus, FixedAnswer)> {
        let (status, answer) = self.content(found)?;
        let status = match status {
            Some(_) => PageStatus::Own,
            None => PageStatus::Kept,
        };
        Some((status, answer))
    }

    /// The query stays behind: it was for what has failed, and may hold secrets.
    fn elsewhere(&mut self, found: &Found<'_>) -> Option<(PageStatus, FixedAnswer)> {
        let section = self.section(found, ELSEWHERE_KEYS)?;
        let status = self.redirect_status(&section);
        let found = self.required(&section, "to").cloned()?;
        let to = self.location(&found)?;
        if !to.facts().all(|fact| matches!(fact, Fact::Request(_))) {
            let problem = ForwardProblem::ErrorAddress;
            self.fault(&found, Problem::Forward(problem));
        }
        let redirect = Redirect {
            status,
            to: Address::Template(to),
            query: Query::Drop,
        };
        Some((PageStatus::Own, FixedAnswer::Redirect(redirect)))
    }
}

pub(super) const KEYS: &[&str] = &["redirect", "respond", "statuses", "upstream_errors"];
pub(super) const ELSEWHERE_KEYS: &[&str] = &["status", "to"];
const ANSWER_KEYS: &[&str] = &["respond", "redirect"];
const UPSTREAM_ERRORS: &[(&str, UpstreamErrors)] = &[
    ("pass", UpstreamErrors::Pass),
    ("replace", UpstreamErrors::Replace),
];
