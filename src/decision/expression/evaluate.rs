//! Evaluates a compiled expression: three-valued, and within a number of steps.
//!
//! `None` is 'cannot be told'. `&&` and `||` may be decided although one side cannot be told, as in the
//! language itself and as policies combine conditions.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use crate::decision::expression::tree::Arithmetic;
use crate::decision::expression::tree::CalendarPart;
use crate::decision::expression::tree::Comparison;
use crate::decision::expression::tree::Node;
use crate::decision::expression::tree::Quantifier;
use crate::decision::expression::tree::Relation;
use crate::decision::facts::Fact;
use crate::decision::facts::Reading;
use crate::decision::facts::Subject;
use crate::decision::facts::Texts;
use crate::decision::facts::Value;
use crate::decision::three_valued::Combine;
use crate::decision::three_valued::combine;
use crate::decision::time_window::local;
use crate::model::time::Timestamp;

/// One evaluation.
pub(super) struct Run<'s, 'v> {
    subject: &'s Subject<'v>,
    locals: Vec<Cow<'v, str>>,
    steps_left: u32,
}

impl<'s, 'v> Run<'s, 'v> {
    pub(super) const fn new(subject: &'s Subject<'v>, steps: u32) -> Self {
        Self {
            subject,
            locals: Vec::new(),
            steps_left: steps,
        }
    }

    /// What a node gives.
    pub(super) fn value(&mut self, node: &'v Node) -> Option<Value<'v>> {
        self.spend(0)?;
        match node {
            Node::All(nodes) => self.combined(nodes, Combine::All).map(Value::Flag),
            Node::Any(nodes) => self.combined(nodes, Combine::Any).map(Value::Flag),
            Node::Calculate(how, pair) => self.calculate(*how, pair),
            Node::Calendar(part, moment, zone) => {
                let Value::Moment(moment) = self.value(moment)? else {
                    return None;
                };
                calendar(*part, local(zone, moment)?).map(Value::Number)
            }
            Node::Choose(parts) => {
                let [condition, then, otherwise] = &**parts;
                let chosen = if self.flag(condition)? {
                    then
                } else {
                    otherwise
                };
                self.value(chosen)
            }
            Node::Compare(how, pair) => self.compare(*how, pair).map(Value::Flag),
            Node::Constant(Value::Text(text)) => Some(Value::Text(Cow::Borrowed(text))),
            Node::Constant(value) => Some(value.clone()),
            Node::Fact(fact) => self.read(fact)?.value(),
            Node::Filter(pair) => self.filter(pair),
            Node::Has(fact) => match self.read(fact)? {
                Reading::Absent => Some(Value::Flag(false)),
                Reading::Known(_) => Some(Value::Flag(true)),
                Reading::Unknown => None,
            },
            Node::In(pair) => self.is_in(pair).map(Value::Flag),
            Node::InNetwork(address, network) => {
                let address: IpAddr = self.text(address)?.parse().ok()?;
                Some(Value::Flag(network.contains(&address)))
            }
            Node::List(nodes) => {
                let texts: Option<Vec<_>> = nodes.iter().map(|node| self.text(node)).collect();
                Some(Value::Texts(Texts::Own(texts?)))
            }
            Node::Local(at) => {
                let text = self.locals.get(*at).cloned()?;
                self.spend(text.len())?;
                Some(Value::Text(text))
            }
            Node::Lower(text) => {
                let text = self.text(text)?;
                self.spend(text.len())?;
                Some(Value::Text(text.to_ascii_lowercase().into()))
            }
            Node::Matches(text, pattern) => {
                let text = self.text(text)?;
                self.spend(text.len())?;
                Some(Value::Flag(pattern.is_match(&text)))
            }
            Node::Not(inner) => self.flag(inner).map(|holds| Value::Flag(!holds)),
            Node::Quantified(how, pair) => self.quantified(*how, pair).map(Value::Flag),
            Node::Related(how, pair) => self.related(*how, pair).map(Value::Flag),
            Node::Size(of) => self.size(of).map(Value::Number),
            Node::ToNumber(text) => {
                let text = self.text(text)?;
                self.spend(text.len())?;
                text.parse().ok().map(Value::Number)
            }
        }
    }

    /// What a fact is; looking through a long query again for each group is paid for each time.
    fn read(&mut self, fact: &Fact) -> Option<Reading<'v>> {
        self.spend(fact.bytes(self.subject))?;
        Some(fact.read(self.subject))
    }

    /// Counts a step, and one more for each cache line of a text that is looked through.
    fn spend(&mut self, bytes: usize) -> Option<()> {
        let cost = u32::try_from(bytes / 64).ok()?.saturating_add(1);
        self.steps_left = self.steps_left.checked_sub(cost)?;
        Some(())
    }

    fn flag(&mut self, node: &'v Node) -> Option<bool> {
        match self.value(node)? {
            Value::Flag(flag) => Some(flag),
            Value::Moment(_)
            | Value::Number(_)
            | Value::Span(_)
            | Value::Text(_)
            | Value::Texts(_) => None,
        }
    }

    /// A text; of an attribute with several there is none.
    fn text(&mut self, node: &'v Node) -> Option<Cow<'v, str>> {
        match self.value(node)? {
            Value::Text(text) => Some(text),
            Value::Texts(texts) if texts.len() == 1 => texts.get(0),
            Value::Flag(_)
            | Value::Moment(_)
            | Value::Number(_)
            | Value::Span(_)
            | Value::Texts(_) => None,
        }
    }

    /// Texts; an attribute with a single one is a list of it.
    fn texts(&mut self, node: &'v Node) -> Option<Texts<'v>> {
        match self.value(node)? {
            Value::Text(text) => Some(Texts::Own(vec![text])),
            Value::Texts(texts) => Some(texts),
            Value::Flag(_) | Value::Moment(_) | Value::Number(_) | Value::Span(_) => None,
        }
    }

    fn combined(&mut self, nodes: &'v [Node], how: Combine) -> Option<bool> {
        combine(nodes.iter().map(|node| self.flag(node)), how)
    }

    fn is_in(&mut self, [text, texts]: &'v [Node; 2]) -> Option<bool> {
        let text = self.text(text)?;
        let texts = self.texts(texts)?;
        for own in texts.iter() {
            self.spend(0)?;
            if own == text {
                return Some(true);
            }
        }
        Some(false)
    }

    fn related(&mut self, how: Relation, [text, part]: &'v [Node; 2]) -> Option<bool> {
        let text = self.text(text)?;
        let part = self.text(part)?;
        self.spend(text.len())?;
        Some(match how {
            Relation::Contains => text.contains(&*part),
            Relation::EndsWith => text.ends_with(&*part),
            Relation::StartsWith => text.starts_with(&*part),
        })
    }

    fn size(&mut self, of: &'v Node) -> Option<i64> {
        let size = match self.value(of)? {
            Value::Text(text) => {
                self.spend(text.len())?;
                text.chars().count()
            }
            Value::Texts(texts) => texts.len(),
            Value::Flag(_) | Value::Moment(_) | Value::Number(_) | Value::Span(_) => return None,
        };
        i64::try_from(size).ok()
    }

    /// What the body says of each text, in order.
    fn each(
        &mut self,
        texts: &Texts<'v>,
        body: &'v Node,
        mut note: impl FnMut(&Cow<'v, str>, Option<bool>),
    ) -> Option<()> {
        for at in 0..texts.len() {
            let text = texts.get(at)?;
            self.locals.push(text.clone());
            let said = self.flag(body);
            self.locals.pop();
            // Out of steps, nothing more can be told.
            self.spend(0)?;
            note(&text, said);
        }
        Some(())
    }

    fn quantified(&mut self, how: Quantifier, [texts, body]: &'v [Node; 2]) -> Option<bool> {
        let texts = self.texts(texts)?;
        let mut said = Vec::with_capacity(texts.len());
        self.each(&texts, body, |_, holds| said.push(holds))?;
        match how {
            Quantifier::All => combine(said.into_iter(), Combine::All),
            Quantifier::Any => combine(said.into_iter(), Combine::Any),
            Quantifier::One => {
                let holding: Option<Vec<bool>> = said.into_iter().collect();
                Some(holding?.into_iter().filter(|holds| *holds).count() == 1)
            }
        }
    }

    fn filter(&mut self, [texts, body]: &'v [Node; 2]) -> Option<Value<'v>> {
        let texts = self.texts(texts)?;
        let mut kept = Some(Vec::new());
        self.each(&texts, body, |text, holds| match holds {
            Some(true) => kept.iter_mut().for_each(|kept| kept.push(text.clone())),
            Some(false) => {}
            None => kept = None,
        })?;
        Some(Value::Texts(Texts::Own(kept?)))
    }

    fn compare(&mut self, how: Comparison, [left, right]: &'v [Node; 2]) -> Option<bool> {
        let (left, right) = (self.value(left)?, self.value(right)?);
        let (left, right) = alike(left, right)?;
        match (&left, &right) {
            (Value::Text(one), Value::Text(other)) => self.spend(one.len().min(other.len()))?,
            (Value::Texts(one), Value::Texts(other)) => {
                for _ in 0..one.len().min(other.len()) {
                    self.spend(0)?;
                }
            }
            _ => {}
        }
        Some(match how {
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
            Comparison::Greater => order(&left, &right)?.is_gt(),
            Comparison::GreaterOrEqual => order(&left, &right)?.is_ge(),
            Comparison::Less => order(&left, &right)?.is_lt(),
            Comparison::LessOrEqual => order(&left, &right)?.is_le(),
        })
    }

    fn calculate(&mut self, how: Arithmetic, [left, right]: &'v [Node; 2]) -> Option<Value<'v>> {
        let (left, right) = (self.value(left)?, self.value(right)?);
        match (left, right) {
            (Value::Number(one), Value::Number(other)) => {
                calculated(how, one, other).map(Value::Number)
            }
            (Value::Span(one), Value::Span(other)) => calculated(how, one, other).map(Value::Span),
            (Value::Moment(one), Value::Moment(other)) => {
                calculated(how, millis(one)?, millis(other)?).map(Value::Span)
            }
            (Value::Moment(moment), Value::Span(span)) => {
                let moved = calculated(how, millis(moment)?, span)?;
                let moved = u64::try_from(moved).ok()?;
                Some(Value::Moment(Timestamp::from_millis(moved)))
            }
            (Value::Text(one), Value::Text(other)) if how == Arithmetic::Add => {
                let bytes = one.len().saturating_add(other.len());
                self.spend(bytes)?;
                (bytes <= TEXT_BYTES_MAX).then(|| Value::Text(format!("{one}{other}").into()))
            }
            _ => None,
        }
    }
}

/// An attribute that is a list of one text, beside a text, is that text; one with several is no text, and
/// what comes of the comparison cannot be told.
fn alike<'v>(left: Value<'v>, right: Value<'v>) -> Option<(Value<'v>, Value<'v>)> {
    let single = |texts: &Texts<'v>| match texts.len() {
        1 => texts.get(0).map(Value::Text),
        _ => None,
    };
    Some(match (left, right) {
        (Value::Texts(texts), Value::Text(text)) => (single(&texts)?, Value::Text(text)),
        (Value::Text(text), Value::Texts(texts)) => (Value::Text(text), single(&texts)?),
        pair => pair,
    })
}

fn order(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Moment(one), Value::Moment(other)) => Some(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) | (Value::Span(one), Value::Span(other)) => {
            Some(one.cmp(other))
        }
        (Value::Text(one), Value::Text(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

fn calculated(how: Arithmetic, one: i64, other: i64) -> Option<i64> {
    match how {
        Arithmetic::Add => one.checked_add(other),
        Arithmetic::Divide => one.checked_div(other),
        Arithmetic::Multiply => one.checked_mul(other),
        Arithmetic::Remainder => one.checked_rem(other),
        Arithmetic::Subtract => one.checked_sub(other),
    }
}

fn millis(moment: Timestamp) -> Option<i64> {
    i64::try_from(moment.as_millis()).ok()
}

fn calendar(part: CalendarPart, here: jiff::civil::DateTime) -> Option<i64> {
    Some(match part {
        CalendarPart::Date => here.day().into(),
        CalendarPart::DayOfMonth => i64::from(here.day()).checked_sub(1)?,
        CalendarPart::DayOfWeek => here.weekday().to_sunday_zero_offset().into(),
        CalendarPart::DayOfYear => i64::from(here.day_of_year()).checked_sub(1)?,
        CalendarPart::Hour => here.hour().into(),
        CalendarPart::Minute => here.minute().into(),
        CalendarPart::Month => i64::from(here.month()).checked_sub(1)?,
        CalendarPart::Second => here.second().into(),
        CalendarPart::Year => here.year().into(),
    })
}

/// Longest text that is put together.
const TEXT_BYTES_MAX: usize = 8 * 1024;
