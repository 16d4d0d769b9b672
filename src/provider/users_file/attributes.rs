//! The attributes of a user in the users file: a map of texts and lists of texts.
//!
//! Numbers and switches are refused unquoted: YAML would make another text of `007` or `no` than was
//! written, and a policy compares texts.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::model::attribute::Attribute;
use crate::model::attribute::AttributeSet;
use crate::model::attribute::AttributeValue;
use crate::model::name::AttributeName;
use crate::provider::users_file::document::Problem;

/// Attributes as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct RawAttributes(BTreeMap<String, RawValue>);

/// What one of them holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RawValue {
    List(Vec<String>),
    Text(String),
}

impl RawAttributes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes on one line.
    pub(super) fn print(&self, quoted: impl Fn(&str) -> String) -> String {
        let entry = |(name, value): (&String, &RawValue)| {
            let value = match value {
                RawValue::List(texts) => {
                    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
                    format!("[{}]", texts.join(", "))
                }
                RawValue::Text(text) => quoted(text),
            };
            format!("{}: {value}", quoted(name))
        };
        let entries: Vec<_> = self.0.iter().map(entry).collect();
        format!("{{ {} }}", entries.join(", "))
    }
}

/// Makes a set of attributes as written.
pub(super) fn checked(raw: &RawAttributes) -> Result<AttributeSet, Problem> {
    let attributes: Result<Vec<_>, Problem> = raw.0.iter().map(attribute).collect();
    AttributeSet::new(attributes?).map_err(Problem::Attributes)
}

fn attribute((name, value): (&String, &RawValue)) -> Result<Attribute, Problem> {
    let value = match value {
        RawValue::List(texts) => {
            AttributeValue::List(texts.iter().map(|text| Box::from(text.as_str())).collect())
        }
        RawValue::Text(text) => AttributeValue::Text(Box::from(text.as_str())),
    };
    let name = AttributeName::parse(name).map_err(|source| Problem::Attribute {
        name: name.clone(),
        source,
    })?;
    Ok(Attribute { name, value })
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Texts)
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, in quotes if it looks like a number or a switch, or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RawValue, E> {
        Ok(RawValue::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawValue, A::Error> {
        let mut texts = Vec::new();
        while let Some(value) = items.next_element::<RawValue>()? {
            match value {
                RawValue::Text(text) => texts.push(text),
                RawValue::List(_) => return Err(A::Error::custom("a list inside a list")),
            }
        }
        Ok(RawValue::List(texts))
    }
}
