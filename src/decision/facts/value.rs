//! Values of facts, and what reading one can come to.

use std::borrow::Cow;

use crate::model::attribute::AttributeSet;
use crate::model::attribute::AttributeValue;
use crate::model::name::AttributeName;
use crate::model::name::GroupName;
use crate::model::time::Timestamp;

/// What came of reading a fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading<'a> {
    /// It is known that there is none.
    Absent,
    /// This.
    Known(Value<'a>),
    /// It cannot be told whether there is one (S-10).
    Unknown,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Yes or no.
    Flag(bool),
    /// A point in time.
    Moment(Timestamp),
    /// A whole number.
    Number(i64),
    /// A distance in time, in milliseconds.
    Span(i64),
    /// A text.
    Text(Cow<'a, str>),
    /// Several texts.
    Texts(Texts<'a>),
}

/// Several texts, wherever they are kept.
#[derive(Clone, Debug)]
pub enum Texts<'a> {
    /// Those of an attribute.
    Attribute(&'a [Box<str>]),
    /// The names of groups.
    Groups(&'a [GroupName]),
    /// Those of an expression.
    Own(Vec<Cow<'a, str>>),
}

impl<'a> Reading<'a> {
    /// A known text.
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Known(Value::Text(text.into()))
    }

    pub(super) fn of_text(text: Option<&'a str>) -> Self {
        text.filter(|text| !text.is_empty())
            .map_or(Self::Absent, Self::text)
    }

    /// An attribute; a list of one text is that text.
    pub(super) fn of_attribute(set: &'a AttributeSet, name: &AttributeName) -> Self {
        match set.get(name.as_str()) {
            None => Self::Absent,
            Some(AttributeValue::Text(text)) => Self::text(&**text),
            Some(AttributeValue::List(texts)) => Self::Known(Value::Texts(Texts::Attribute(texts))),
        }
    }

    /// The value, if it is known and there is one.
    #[must_use]
    pub fn value(self) -> Option<Value<'a>> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown => None,
        }
    }
}

impl<'a> Texts<'a> {
    /// The text at a place, counted from 0.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<Cow<'a, str>> {
        match self {
            Self::Attribute(texts) => texts.get(at).map(|text| Cow::Borrowed(&**text)),
            Self::Groups(names) => names.get(at).map(|name| Cow::Borrowed(name.as_str())),
            Self::Own(texts) => texts.get(at).cloned(),
        }
    }

    /// The texts, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let (attribute, groups, own): (&[Box<str>], &[GroupName], &[Cow<'_, str>]) = match self {
            Self::Attribute(texts) => (texts, &[], &[]),
            Self::Groups(names) => (&[], names, &[]),
            Self::Own(texts) => (&[], &[], texts),
        };
        let attribute = attribute.iter().map(|text| &**text);
        let groups = groups.iter().map(GroupName::as_str);
        attribute
            .chain(groups)
            .chain(own.iter().map(|text| &**text))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Attribute(texts) => texts.len(),
            Self::Groups(names) => names.len(),
            Self::Own(texts) => texts.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The same texts in the same order, wherever they are kept.
impl PartialEq for Texts<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}
