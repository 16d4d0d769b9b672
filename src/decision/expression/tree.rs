//! A compiled expression: every node knows what it gives before a request has come.

use ipnet::IpNet;
use jiff::tz::TimeZone;

use crate::decision::facts::Fact;
use crate::decision::facts::RequestFact;
use crate::decision::facts::SessionFact;
use crate::decision::facts::UserFact;
use crate::decision::facts::Value;
use crate::decision::text_test::TextPattern;

/// What a node gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text or several: an attribute is as the user's entry has it.
    Attribute,
    Flag,
    Moment,
    Number,
    Span,
    Text,
    Texts,
}

impl Kind {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Attribute => "an attribute",
            Self::Flag => "true or false",
            Self::Moment => "a point in time",
            Self::Number => "a number",
            Self::Span => "a duration",
            Self::Text => "a text",
            Self::Texts => "a list of texts",
        }
    }

    /// Whether a value of this kind may stand where the other is wanted.
    pub(super) fn fits(self, wanted: Self) -> bool {
        self == wanted || (self == Self::Attribute && matches!(wanted, Self::Text | Self::Texts))
    }

    pub(super) const fn of(fact: &Fact) -> Self {
        match fact {
            Fact::Now | Fact::Session(SessionFact::Created | SessionFact::Expires) => Self::Moment,
            Fact::Request(
                RequestFact::Address
                | RequestFact::Header(_)
                | RequestFact::Host
                | RequestFact::Id
                | RequestFact::Method
                | RequestFact::Parameter(_)
                | RequestFact::Path
                | RequestFact::Query
                | RequestFact::Scheme,
            )
            | Fact::Tls(_)
            | Fact::User(UserFact::Email | UserFact::Id | UserFact::Name | UserFact::Store) => {
                Self::Text
            }
            Fact::Session(SessionFact::Attribute(_)) | Fact::User(UserFact::Attribute(_)) => {
                Self::Attribute
            }
            Fact::Session(SessionFact::Level) => Self::Number,
            Fact::User(UserFact::Groups) => Self::Texts,
        }
    }
}

/// A node of a compiled expression.
#[derive(Debug)]
pub(super) enum Node {
    All(Box<[Self]>),
    Any(Box<[Self]>),
    Calculate(Arithmetic, Box<[Self; 2]>),
    Calendar(CalendarPart, Box<Self>, TimeZone),
    Choose(Box<[Self; 3]>),
    Compare(Comparison, Box<[Self; 2]>),
    Constant(Value<'static>),
    Fact(Fact),
    Filter(Box<[Self; 2]>),
    Has(Fact),
    In(Box<[Self; 2]>),
    InNetwork(Box<Self>, IpNet),
    List(Box<[Self]>),
    /// The text that a quantifier is at, counted from the outermost.
    Local(usize),
    Lower(Box<Self>),
    Matches(Box<Self>, TextPattern),
    Not(Box<Self>),
    Quantified(Quantifier, Box<[Self; 2]>),
    Related(Relation, Box<[Self; 2]>),
    Size(Box<Self>),
    ToNumber(Box<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Divide,
    Multiply,
    Remainder,
    Subtract,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CalendarPart {
    /// The first is 1.
    Date,
    /// The first is 0, as the language has it.
    DayOfMonth,
    /// Sunday is 0, as the language has it.
    DayOfWeek,
    /// The first is 0.
    DayOfYear,
    Hour,
    Minute,
    /// January is 0.
    Month,
    Second,
    Year,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    NotEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    All,
    Any,
    One,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Contains,
    EndsWith,
    StartsWith,
}
