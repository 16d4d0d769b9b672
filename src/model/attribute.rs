//! Attributes: named facts about a user or a session beyond those that every identity has.
//!
//! A set that exists keeps the bounds, whoever made it; what an attribute means is for policies to say.

use serde::Deserialize;
use serde::Serialize;

use crate::model::name::AttributeName;

/// What an attribute holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Several texts, in order.
    List(Box<[Box<str>]>),
    /// One text.
    Text(Box<str>),
}

impl AttributeValue {
    /// Its texts: one, or those of the list.
    #[must_use]
    pub fn texts(&self) -> &[Box<str>] {
        match self {
            Self::List(texts) => texts,
            Self::Text(text) => std::slice::from_ref(text),
        }
    }
}

/// An attribute and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// What it is called.
    pub name: AttributeName,
    /// What it holds.
    pub value: AttributeValue,
}

/// Why attributes are not a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// A control character, which no header and no log could carry.
    #[error("an attribute holds a control character")]
    Control,
    /// One name twice.
    #[error("an attribute is given twice")]
    Duplicate,
    /// All of them together are too large.
    #[error("the attributes hold more than {} bytes", AttributeSet::BYTES_MAX)]
    TooLarge,
    /// One text is too long.
    #[error(
        "an attribute holds a text of more than {} bytes",
        AttributeSet::TEXT_BYTES_MAX
    )]
    TooLong,
    /// There are too many, or one holds too many texts.
    #[error(
        "there are more than {} attributes, or more than {} texts in one",
        AttributeSet::COUNT_MAX,
        AttributeSet::TEXTS_MAX
    )]
    TooMany,
}

/// Attributes by name, within bounds: they travel with a session, and a session is held in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Attribute>", into = "Vec<Attribute>")]
pub struct AttributeSet(Box<[Attribute]>);

impl AttributeSet {
    /// Most attributes of one user or session.
    pub const COUNT_MAX: usize = 64;
    /// Most texts of one attribute.
    pub const TEXTS_MAX: usize = 256;
    /// Longest text, in bytes.
    pub const TEXT_BYTES_MAX: usize = 1024;
    /// All names and texts together, in bytes.
    pub const BYTES_MAX: usize = 8 * 1024;

    /// Checks attributes and makes them a set.
    ///
    /// # Errors
    /// The first bound that they break.
    pub fn new(mut attributes: Vec<Attribute>) -> Result<Self, AttributeError> {
        attributes.sort_by(|one, other| one.name.cmp(&other.name));
        let names = attributes.iter().map(|attribute| &attribute.name);
        if names
            .clone()
            .zip(names.skip(1))
            .any(|(one, next)| one == next)
        {
            return Err(AttributeError::Duplicate);
        }
        let too_many = |attribute: &Attribute| attribute.value.texts().len() > Self::TEXTS_MAX;
        if attributes.len() > Self::COUNT_MAX || attributes.iter().any(too_many) {
            return Err(AttributeError::TooMany);
        }
        let texts = || {
            attributes
                .iter()
                .flat_map(|attribute| attribute.value.texts())
        };
        if texts().any(|text| text.len() > Self::TEXT_BYTES_MAX) {
            return Err(AttributeError::TooLong);
        }
        if texts().any(|text| text.chars().any(char::is_control)) {
            return Err(AttributeError::Control);
        }
        let names = attributes
            .iter()
            .map(|attribute| attribute.name.as_str().len());
        if names.chain(texts().map(|text| text.len())).sum::<usize>() > Self::BYTES_MAX {
            return Err(AttributeError::TooLarge);
        }
        Ok(Self(attributes.into_boxed_slice()))
    }

    /// This set with some attributes added or changed.
    ///
    /// # Errors
    /// The first bound that all of them together break.
    pub fn with(&self, new: &[Attribute]) -> Result<Self, AttributeError> {
        let is_new = |own: &&Attribute| new.iter().all(|other| other.name != own.name);
        let kept = self.0.iter().filter(is_new);
        Self::new(kept.chain(new).cloned().collect())
    }

    /// The attribute of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        let at = self
            .0
            .binary_search_by(|own| own.name.as_str().cmp(name))
            .ok()?;
        self.0.get(at).map(|attribute| &attribute.value)
    }

    /// All of them, by name.
    #[must_use]
    pub fn as_slice(&self) -> &[Attribute] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<Attribute>> for AttributeSet {
    type Error = AttributeError;

    fn try_from(attributes: Vec<Attribute>) -> Result<Self, AttributeError> {
        Self::new(attributes)
    }
}

impl From<AttributeSet> for Vec<Attribute> {
    fn from(set: AttributeSet) -> Self {
        set.0.into_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_by_name() {
        let set = AttributeSet::new(vec![text("b", "2"), text("a", "1")]).unwrap();
        assert_eq!(set.get("a").unwrap().texts(), [Box::from("1")]);
        assert_eq!(set.get("b").unwrap().texts(), [Box::from("2")]);
        assert_eq!(set.get("c"), None);
    }

    #[test]
    fn what_is_beyond_the_bounds_is_no_set() {
        let refused = |attributes| AttributeSet::new(attributes).unwrap_err();
        let many = (0..=AttributeSet::COUNT_MAX).map(|n| text(&format!("a{n}"), ""));
        assert_eq!(refused(many.collect()), AttributeError::TooMany);
        let texts: Vec<Box<str>> = vec![Box::from(""); AttributeSet::TEXTS_MAX + 1];
        let list = Attribute {
            value: AttributeValue::List(texts.into()),
            ..text("a", "")
        };
        assert_eq!(refused(vec![list]), AttributeError::TooMany);
        let long = "x".repeat(AttributeSet::TEXT_BYTES_MAX);
        assert_eq!(
            refused(vec![text("a", &format!("{long}x"))]),
            AttributeError::TooLong
        );
        let large = (0..8).map(|n| text(&format!("a{n}"), &long));
        assert_eq!(refused(large.collect()), AttributeError::TooLarge);
        assert_eq!(refused(vec![text("a", "x\ny")]), AttributeError::Control);
        let twice = vec![text("a", "1"), text("b", ""), text("a", "2")];
        assert_eq!(refused(twice), AttributeError::Duplicate);
    }

    #[test]
    fn a_set_is_read_as_it_was_written_and_only_within_its_bounds() {
        let list = AttributeValue::List(Box::from([Box::from("x"), Box::from("y")]));
        let list = Attribute {
            value: list,
            ..text("l", "")
        };
        let set = AttributeSet::new(vec![text("a", "1"), list]).unwrap();
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<AttributeSet>(&json).unwrap(), set);
        let twice = r#"[{"name":"a","value":"1"},{"name":"a","value":"2"}]"#;
        assert!(serde_json::from_str::<AttributeSet>(twice).is_err());
    }

    fn text(name: &str, text: &str) -> Attribute {
        Attribute {
            name: AttributeName::parse(name).unwrap(),
            value: AttributeValue::Text(Box::from(text)),
        }
    }
}
