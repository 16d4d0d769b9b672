//! Conditions with more to say than a list: attributes, headers, parameters, times, expressions.
//!
//! What is compiled here is not compiled again: a request only asks.

use std::collections::BTreeSet;

use http::HeaderName;
use jiff::civil::Date;
use jiff::civil::Time;
use jiff::civil::Weekday;
use jiff::tz::TimeZoneDatabase;

use crate::config::VirtualHost;
use crate::config::diagnostic::Fault;
use crate::config::parse::nearest::nearest;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::scalar::short;
use crate::config::problem::Problem;
use crate::config::problem::policy::PolicyProblem;
use crate::decision::expression::Expression;
use crate::decision::facts::Fact;
use crate::decision::facts::RequestFact;
use crate::decision::identity_headers::folded;
use crate::decision::names::Names;
use crate::decision::policy::AttributeOwner;
use crate::decision::policy::Condition;
use crate::decision::text_test::TextPattern;
use crate::decision::text_test::TextTest;
use crate::decision::time_window;
use crate::decision::time_window::Days;
use crate::decision::time_window::Hours;
use crate::decision::time_window::TimeWindow;
use crate::model::name::AttributeName;

impl Reading<'_> {
    pub(super) fn attribute_condition(&mut self, found: &Found<'_>) -> Option<Condition> {
        let section = self.section(found, ATTRIBUTE_KEYS)?;
        let owner = self.or(&section, "of", AttributeOwner::User, |this, found| {
            this.word(found, OWNERS)
        });
        let test = self.text_test(&section);
        let name = self.required(&section, "name").cloned();
        let name = name
            .and_then(|found| self.name(&found, "the name of an attribute", AttributeName::parse));
        Some(Condition::Attribute(owner, name?, test?))
    }

    pub(super) fn header_condition(&mut self, found: &Found<'_>) -> Option<Condition> {
        let (name, test) = self.header_test(found)?;
        Some(Condition::Header(name, test))
    }

    /// What a header has to be like: one that clients cannot claim.
    pub(super) fn header_test(&mut self, found: &Found<'_>) -> Option<(HeaderName, TextTest)> {
        let section = self.section(found, TEST_KEYS)?;
        let test = self.text_test(&section);
        let found = self.required(&section, "name").cloned()?;
        let name = self.header_name(&found)?;
        let fact = Fact::parse(&format!("request.header.{name}"));
        match fact {
            Ok(fact) => self.check_claims(&found, [&fact].into_iter()),
            Err(error) => self.fault(&found, Problem::Policy(PolicyProblem::Fact(error))),
        }
        Some((name, test?))
    }

    pub(super) fn query_condition(&mut self, found: &Found<'_>) -> Option<Condition> {
        let (name, test) = self.parameter_test(found)?;
        Some(Condition::Query(name, test))
    }

    /// What a parameter of the query has to be like.
    pub(super) fn parameter_test(&mut self, found: &Found<'_>) -> Option<(Box<str>, TextTest)> {
        let section = self.section(found, TEST_KEYS)?;
        let test = self.text_test(&section);
        let name = self.required(&section, "name").cloned();
        let name = name.and_then(|found| {
            self.shaped(&found, ("the name of a parameter", "tab"), |text| {
                (!text.is_empty()).then(|| Box::from(text))
            })
        });
        Some((name?, test?))
    }

    pub(super) fn expression(&mut self, found: &Found<'_>) -> Option<Expression> {
        let text = self.text(found)?;
        match Expression::compile(&text) {
            Ok(expression) => {
                self.check_claims(found, expression.facts().iter());
                Some(expression)
            }
            Err(fault) => {
                self.fault(found, Problem::Policy(PolicyProblem::Expression(fault)));
                None
            }
        }
    }

    /// Refuses facts that a client could claim: a policy that goes by them protects nothing.
    pub(super) fn check_claims<'f>(
        &mut self,
        found: &Found<'_>,
        facts: impl Iterator<Item = &'f Fact>,
    ) {
        for fact in facts {
            let Fact::Request(RequestFact::Header(name)) = fact else {
                continue;
            };
            if self.claims.matches(name) {
                let problem = PolicyProblem::Claim(name.as_str().to_owned());
                self.fault(found, Problem::Policy(problem));
            } else {
                let place = (found.node.at, found.path.clone(), name.clone());
                self.asked.push(place);
            }
        }
    }

    /// Refuses the same of headers that routes give, once all routes are known.
    pub(super) fn check_given(&mut self, hosts: &[VirtualHost]) {
        let routes = hosts.iter().flat_map(|host| &host.routes);
        let given = routes.flat_map(|route| &route.responses.headers);
        let given: BTreeSet<String> = given.map(|(name, _)| folded(name.as_str())).collect();
        for (at, path, name) in std::mem::take(&mut self.asked) {
            if given.contains(&folded(name.as_str())) {
                let problem = PolicyProblem::Claim(name.as_str().to_owned());
                self.faults.push(Fault {
                    at: Some(at),
                    path,
                    problem: Problem::Policy(problem),
                });
            }
        }
    }

    fn text_test(&mut self, section: &Section<'_>) -> Option<TextTest> {
        let mut given = TESTS
            .iter()
            .filter_map(|kind| Some((*kind, section.get(kind)?)));
        let (Some((kind, found)), None) = (given.next(), given.next()) else {
            self.fault(&section.found, Problem::MissingOneOf(TESTS));
            return None;
        };
        match kind {
            "contains" => self.boxed(found).map(TextTest::Contains),
            "ends_with" => self.boxed(found).map(TextTest::EndsWith),
            "in" => {
                let texts = self.some(found, Self::boxed)?;
                Some(TextTest::In(texts.into()))
            }
            "is" => {
                let text = self.boxed(found)?;
                Some(TextTest::In(Names::from(vec![text])))
            }
            "matches" => self.text_pattern(found).map(TextTest::Matches),
            "present" => {
                self.only_true(found);
                Some(TextTest::Present)
            }
            _ => self.boxed(found).map(TextTest::StartsWith),
        }
    }

    fn boxed(&mut self, found: &Found<'_>) -> Option<Box<str>> {
        self.text(found).map(String::into_boxed_str)
    }

    fn text_pattern(&mut self, found: &Found<'_>) -> Option<TextPattern> {
        self.pattern(found, TextPattern::whole)
    }

    /// A pattern that some part of a body has to match.
    pub(super) fn body_pattern(&mut self, found: &Found<'_>) -> Option<TextPattern> {
        self.pattern(found, TextPattern::anywhere)
    }

    fn pattern(
        &mut self,
        found: &Found<'_>,
        compile: fn(&str) -> Result<TextPattern, regex::Error>,
    ) -> Option<TextPattern> {
        let text = self.text(found)?;
        compile(&text)
            .map_err(|error| {
                let reason = error.to_string();
                let last = reason.lines().last().unwrap_or_default();
                let problem = PolicyProblem::Pattern {
                    text: short(&text),
                    reason: last.strip_prefix("error: ").unwrap_or(last).to_owned(),
                };
                self.fault(found, Problem::Policy(problem));
            })
            .ok()
    }

    pub(super) fn time_window(&mut self, found: &Found<'_>) -> Option<TimeWindow> {
        let section = self.section(found, TIME_KEYS)?;
        let zone = self.required(&section, "zone").cloned();
        let zone = zone.and_then(|found| self.zone(&found));
        let days = self.or(&section, "days", Days::default(), Self::days);
        let dates = self.or(&section, "dates", Vec::new(), |this, found| {
            this.some(found, Self::dates)
        });
        let from = section.get("from").map(|found| self.time(found));
        let to = section.get("to").map(|found| self.time(found));
        let is_limited = TIME_LIMITS.iter().any(|key| section.get(key).is_some());
        if !is_limited {
            self.fault(found, Problem::Policy(PolicyProblem::TimeAlways));
        }
        let hours = match (from, to) {
            (None, None) => None,
            (from, to) => {
                let from = from.unwrap_or(Some(Clock::At(Time::midnight())))?;
                let to = to.unwrap_or(Some(Clock::EndOfDay))?;
                Some(self.hours(&section, from, to)?)
            }
        };
        Some(TimeWindow {
            zone: zone?,
            days,
            hours,
            dates,
        })
    }

    fn hours(&mut self, section: &Section<'_>, from: Clock, to: Clock) -> Option<Hours> {
        let hours = match (from, to) {
            (Clock::At(from), Clock::At(to)) if from != to => Some(Hours {
                from,
                // Midnight as an end is that of the day itself.
                to: (to != Time::midnight()).then_some(to),
            }),
            (Clock::At(from), Clock::EndOfDay) => Some(Hours { from, to: None }),
            (Clock::At(_) | Clock::EndOfDay, _) => None,
        };
        if hours.is_none() {
            let place = section.get("to").unwrap_or(&section.found).clone();
            self.fault(&place, Problem::Policy(PolicyProblem::TimeEmpty));
        }
        hours
    }

    fn zone(&mut self, found: &Found<'_>) -> Option<jiff::tz::TimeZone> {
        let text = self.text(found)?;
        let zone = time_window::zone(&text);
        if zone.is_none() {
            let known: Vec<String> = TimeZoneDatabase::bundled()
                .available()
                .map(|name| name.to_string())
                .collect();
            let nearest = nearest(&text, known.iter().map(String::as_str)).map(str::to_owned);
            let text = short(&text);
            self.fault(
                found,
                Problem::Policy(PolicyProblem::Zone { text, nearest }),
            );
        }
        zone
    }

    fn time(&mut self, found: &Found<'_>) -> Option<Clock> {
        self.shaped(found, ("a time of the day", "08:30"), |text| {
            if matches!(text, "24:00" | "24:00:00") {
                return Some(Clock::EndOfDay);
            }
            let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b':');
            let fits = is_plain && text.get(2..3) == Some(":");
            fits.then(|| text.parse().ok()).flatten().map(Clock::At)
        })
    }

    /// Days of the week: single ones, or from one to another.
    fn days(&mut self, found: &Found<'_>) -> Option<Days> {
        let spans = self.some(found, |this, found| {
            this.shaped(found, ("a day of the week", "mon` or `mon-fri"), day_span)
        })?;
        let mut days = Days::default();
        for day in spans.into_iter().flatten() {
            days = days.with(day);
        }
        Some(days)
    }

    fn dates(&mut self, found: &Found<'_>) -> Option<(Date, Date)> {
        let example = ("a date", "2026-12-24` or `2026-12-24..2026-12-26");
        self.shaped(found, example, |text| {
            let (first, last) = text.split_once("..").unwrap_or((text, text));
            let range = (civil_date(first)?, civil_date(last)?);
            (range.0 <= range.1).then_some(range)
        })
    }
}

/// A time on the clock, as the beginning or the end of hours.
#[derive(Clone, Copy)]
enum Clock {
    At(Time),
    EndOfDay,
}

fn civil_date(text: &str) -> Option<Date> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    (is_plain && text.len() == DATE_BYTES)
        .then(|| text.parse().ok())
        .flatten()
}

fn day_span(text: &str) -> Option<Vec<Weekday>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (weekday(first)?, weekday(last)?);
    let mut span = vec![first];
    let mut day = first;
    while day != last {
        day = day.next();
        span.push(day);
    }
    Some(span)
}

fn weekday(text: &str) -> Option<Weekday> {
    DAYS.iter()
        .find(|(name, _)| *name == text)
        .map(|(_, day)| *day)
}

const TESTS: &[&str] = &[
    "contains",
    "ends_with",
    "in",
    "is",
    "matches",
    "present",
    "starts_with",
];
pub(super) const TEST_KEYS: &[&str] = &[
    "contains",
    "ends_with",
    "in",
    "is",
    "matches",
    "name",
    "present",
    "starts_with",
];
pub(super) const ATTRIBUTE_KEYS: &[&str] = &[
    "contains",
    "ends_with",
    "in",
    "is",
    "matches",
    "name",
    "of",
    "present",
    "starts_with",
];
const OWNERS: &[(&str, AttributeOwner)] = &[
    ("user", AttributeOwner::User),
    ("session", AttributeOwner::Session),
];
pub(super) const TIME_KEYS: &[&str] = &["dates", "days", "from", "to", "zone"];
const TIME_LIMITS: &[&str] = &["dates", "days", "from", "to"];
const DAYS: &[(&str, Weekday)] = &[
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
/// `2026-12-24`.
const DATE_BYTES: usize = 10;
