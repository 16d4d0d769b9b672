//! The functions that an expression may call.
//!
//! Whatever takes time to prepare (a pattern, a zone, a network) is a literal and prepared here.

use cel::IdedExpr;
use cel::common::ast::CallExpr;
use cel::common::ast::Expr;
use ipnet::IpNet;
use jiff::SignedDuration;

use crate::decision::expression::ExpressionFault;
use crate::decision::expression::ExpressionProblem;
use crate::decision::expression::compile::Compiler;
use crate::decision::expression::compile::Typed;
use crate::decision::expression::compile::text_literal;
use crate::decision::expression::tree::CalendarPart;
use crate::decision::expression::tree::Kind;
use crate::decision::expression::tree::Node;
use crate::decision::expression::tree::Quantifier;
use crate::decision::expression::tree::Relation;
use crate::decision::facts::Fact;
use crate::decision::facts::RequestFact;
use crate::decision::facts::UserFact;
use crate::decision::facts::Value;
use crate::decision::text_test::TextPattern;
use crate::decision::time_window;
use crate::model::time::Timestamp;

/// The names of all functions, for hints.
pub(super) const FUNCTIONS: &[&str] = &[
    "all",
    "contains",
    "duration",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "has",
    "inNetwork",
    "int",
    "lowerAscii",
    "matches",
    "size",
    "startsWith",
    "timestamp",
];

impl Compiler<'_> {
    pub(super) fn function(
        &mut self,
        expr: &IdedExpr,
        call: &CallExpr,
    ) -> Result<Typed, ExpressionFault> {
        // `size(x)` and `x.size()` are the same call.
        let given: Vec<&IdedExpr> = call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .collect();
        match (call.func_name.as_str(), given.as_slice()) {
            ("has", [of]) => self.has(of),
            ("size", [of]) => self.size(of),
            ("int", [of]) => {
                let text = self.of_kind(of, Kind::Text, "int")?;
                Ok((Node::ToNumber(Box::new(text)), Kind::Number))
            }
            ("lowerAscii", [of]) => {
                let text = self.of_kind(of, Kind::Text, "lowerAscii")?;
                Ok((Node::Lower(Box::new(text)), Kind::Text))
            }
            ("contains", [text, part]) => {
                self.related(Relation::Contains, "contains", [text, part])
            }
            ("endsWith", [text, end]) => self.related(Relation::EndsWith, "endsWith", [text, end]),
            ("startsWith", [text, start]) => {
                self.related(Relation::StartsWith, "startsWith", [text, start])
            }
            ("matches", [text, pattern]) => self.matches(text, pattern),
            ("inNetwork", [address, network]) => self.in_network(address, network),
            ("timestamp", [moment]) => self.moment(moment),
            ("duration", [span]) => self.span(span),
            ("filter", [texts, name, body]) => {
                let pair = self.over(texts, name, body)?;
                Ok((Node::Filter(pair), Kind::Texts))
            }
            (name, [texts, local, body]) if quantifier(name).is_some() => {
                let how = quantifier(name).unwrap_or(Quantifier::All);
                let pair = self.over(texts, local, body)?;
                Ok((Node::Quantified(how, pair), Kind::Flag))
            }
            (name, [moment, zone]) if calendar(name).is_some() => {
                let (name, part) = calendar(name).unwrap_or(("getHours", CalendarPart::Hour));
                self.calendar(name, part, [moment, zone])
            }
            (name, _) => Err(self.fault(expr, no_function(name))),
        }
    }

    /// Whether a fact is there that may be absent.
    fn has(&mut self, of: &IdedExpr) -> Result<Typed, ExpressionFault> {
        let is_path = matches!(&of.expr, Expr::Select(_) | Expr::Call(_));
        if !is_path {
            return Err(self.fault(of, ExpressionProblem::Has));
        }
        let fact = self.fact_of(of)?;
        let may_be_absent = match &fact {
            Fact::Request(fact) => matches!(
                fact,
                RequestFact::Header(_) | RequestFact::Parameter(_) | RequestFact::Query
            ),
            Fact::Session(_) => Kind::of(&fact) == Kind::Attribute,
            Fact::Now => false,
            Fact::Tls(_) => true,
            Fact::User(fact) => matches!(
                fact,
                UserFact::Attribute(_) | UserFact::Email | UserFact::Name
            ),
        };
        if may_be_absent {
            Ok((Node::Has(fact), Kind::Flag))
        } else {
            Err(self.fault(of, ExpressionProblem::Has))
        }
    }

    fn size(&mut self, of: &IdedExpr) -> Result<Typed, ExpressionFault> {
        let (node, kind) = self.node(of)?;
        if kind.fits(Kind::Texts) || kind == Kind::Text {
            return Ok((Node::Size(Box::new(node)), Kind::Number));
        }
        let problem = ExpressionProblem::Kind {
            place: "size".to_owned(),
            wanted: "a text or a list of texts",
            found: kind.words(),
        };
        Err(self.fault(of, problem))
    }

    fn related(
        &mut self,
        how: Relation,
        name: &str,
        [text, part]: [&IdedExpr; 2],
    ) -> Result<Typed, ExpressionFault> {
        let text = self.of_kind(text, Kind::Text, name)?;
        let part = self.of_kind(part, Kind::Text, name)?;
        Ok((Node::Related(how, Box::new([text, part])), Kind::Flag))
    }

    fn matches(&mut self, text: &IdedExpr, pattern: &IdedExpr) -> Result<Typed, ExpressionFault> {
        let text = self.of_kind(text, Kind::Text, "matches")?;
        let written = self.written(pattern, "matches")?;
        let compiled = TextPattern::anywhere(written).map_err(|error| {
            let reason = error.to_string();
            let last = reason.lines().last().unwrap_or_default();
            let problem = ExpressionProblem::Pattern {
                text: written.to_owned(),
                reason: last.strip_prefix("error: ").unwrap_or(last).to_owned(),
            };
            self.fault(pattern, problem)
        })?;
        Ok((Node::Matches(Box::new(text), compiled), Kind::Flag))
    }

    fn in_network(
        &mut self,
        address: &IdedExpr,
        network: &IdedExpr,
    ) -> Result<Typed, ExpressionFault> {
        let address = self.of_kind(address, Kind::Text, "inNetwork")?;
        let written = self.written(network, "inNetwork")?;
        let network: IpNet = written
            .parse()
            .map_err(|_| self.no_literal(network, written, "a network such as `10.0.0.0/8`"))?;
        Ok((Node::InNetwork(Box::new(address), network), Kind::Flag))
    }

    fn moment(&self, moment: &IdedExpr) -> Result<Typed, ExpressionFault> {
        let written = self.written(moment, "timestamp")?;
        let parsed = written.parse::<jiff::Timestamp>().ok();
        let millis = parsed.and_then(|at| u64::try_from(at.as_millisecond()).ok());
        let millis = millis.ok_or_else(|| {
            self.no_literal(
                moment,
                written,
                "a point in time such as `2026-01-31T08:00:00Z`",
            )
        })?;
        let value = Value::Moment(Timestamp::from_millis(millis));
        Ok((Node::Constant(value), Kind::Moment))
    }

    fn span(&self, span: &IdedExpr) -> Result<Typed, ExpressionFault> {
        let written = self.written(span, "duration")?;
        let parsed = written.parse::<SignedDuration>().ok();
        let millis = parsed.and_then(|span| i64::try_from(span.as_millis()).ok());
        let millis =
            millis.ok_or_else(|| self.no_literal(span, written, "a duration such as `1h30m`"))?;
        Ok((Node::Constant(Value::Span(millis)), Kind::Span))
    }

    fn calendar(
        &mut self,
        name: &'static str,
        part: CalendarPart,
        [moment, zone]: [&IdedExpr; 2],
    ) -> Result<Typed, ExpressionFault> {
        let moment = self.of_kind(moment, Kind::Moment, name)?;
        let written = self.written(zone, name)?;
        let found = time_window::zone(written)
            .ok_or_else(|| self.no_literal(zone, written, "a time zone such as `Europe/Berlin`"))?;
        let node = Node::Calendar(part, Box::new(moment), found);
        Ok((node, Kind::Number))
    }

    /// A list, and what is said of each of its texts under a name of its own.
    fn over(
        &mut self,
        texts: &IdedExpr,
        name: &IdedExpr,
        body: &IdedExpr,
    ) -> Result<Box<[Node; 2]>, ExpressionFault> {
        let texts = self.of_kind(texts, Kind::Texts, "exists, all and filter")?;
        let Expr::Ident(local) = &name.expr else {
            let problem = ExpressionProblem::Arguments("exists", "`list.exists(each, condition)`");
            return Err(self.fault(name, problem));
        };
        self.locals.push(local.clone());
        let body = self.of_kind(body, Kind::Flag, "exists, all and filter");
        self.locals.pop();
        Ok(Box::new([texts, body?]))
    }

    fn written<'e>(
        &self,
        expr: &'e IdedExpr,
        place: &'static str,
    ) -> Result<&'e str, ExpressionFault> {
        text_literal(expr).ok_or_else(|| self.fault(expr, ExpressionProblem::NotLiteral(place)))
    }

    fn no_literal(&self, expr: &IdedExpr, text: &str, what: &'static str) -> ExpressionFault {
        let text = text.to_owned();
        self.fault(expr, ExpressionProblem::Literal { text, what })
    }
}

/// A function that does not exist, or that takes other arguments.
fn no_function(name: &str) -> ExpressionProblem {
    match FUNCTIONS.iter().find(|known| **known == name) {
        None => ExpressionProblem::Function(name.to_owned()),
        Some(known) => ExpressionProblem::Arguments(known, usage(known)),
    }
}

fn usage(name: &str) -> &'static str {
    match name {
        "all" | "exists" | "exists_one" | "filter" => "`list.exists(each, condition)`",
        "contains" | "endsWith" | "startsWith" => "`text.startsWith(\"a\")`",
        "duration" => "`duration(\"1h30m\")`",
        "has" => "`has(user.email)`",
        "inNetwork" => "`request.address.inNetwork(\"10.0.0.0/8\")`",
        "int" => "`int(text)`",
        "lowerAscii" => "`text.lowerAscii()`",
        "matches" => "`text.matches(\"^a+$\")`",
        "size" => "`size(list)`",
        "timestamp" => "`timestamp(\"2026-01-31T08:00:00Z\")`",
        _ => "`time.now.getHours(\"Europe/Berlin\")`",
    }
}

fn quantifier(name: &str) -> Option<Quantifier> {
    match name {
        "all" => Some(Quantifier::All),
        "exists" => Some(Quantifier::Any),
        "exists_one" => Some(Quantifier::One),
        _ => None,
    }
}

fn calendar(name: &str) -> Option<(&'static str, CalendarPart)> {
    CALENDAR.iter().find(|(known, _)| *known == name).copied()
}

const CALENDAR: &[(&str, CalendarPart)] = &[
    ("getDate", CalendarPart::Date),
    ("getDayOfMonth", CalendarPart::DayOfMonth),
    ("getDayOfWeek", CalendarPart::DayOfWeek),
    ("getDayOfYear", CalendarPart::DayOfYear),
    ("getFullYear", CalendarPart::Year),
    ("getHours", CalendarPart::Hour),
    ("getMinutes", CalendarPart::Minute),
    ("getMonth", CalendarPart::Month),
    ("getSeconds", CalendarPart::Second),
];
