//! Attributes in a packed record: their names are shared, what they hold is the session's own.

use crate::model::attribute::Attribute;
use crate::model::attribute::AttributeSet;
use crate::model::attribute::AttributeValue;
use crate::store::packed::NameSource;
use crate::store::packed::read::Reader;
use crate::store::packed::write::Writer;

pub(super) fn write_attributes(to: &mut Writer<'_>, attributes: &AttributeSet) {
    to.list(attributes.as_slice(), |to, Attribute { name, value }| {
        to.name(name);
        match value {
            AttributeValue::List(texts) => {
                to.byte(LIST);
                to.list(texts, |to, text| to.text(text));
            }
            AttributeValue::Text(text) => {
                to.byte(TEXT);
                to.text(text);
            }
        }
    });
}

pub(super) fn read_attributes<S: NameSource>(from: &mut Reader<'_, S>) -> Option<AttributeSet> {
    let attributes = from.list(|from| {
        let name = from.name()?;
        let value = match from.byte()? {
            LIST => {
                let texts = from.list(|from| from.text().map(Box::from))?;
                AttributeValue::List(texts.into_boxed_slice())
            }
            _ => AttributeValue::Text(from.text()?.into()),
        };
        Some(Attribute { name, value })
    })?;
    // What was a set is one again.
    AttributeSet::new(attributes).ok()
}

const LIST: u8 = 0;
const TEXT: u8 = 1;
