//! The JSON schema of a configuration (draft 2020-12), for editors and for whoever writes configurations by
//! program.
//!
//! It says what can be written, not what fits together: `portway check` does.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::config::parse::schema::Key;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Presence;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::example::Example;
use crate::config::parse::schema::shapes::ROOT;

/// The schema of a configuration file.
#[must_use]
pub fn schema() -> Value {
    let mut writing = Writing {
        example: Example::read(),
        defined: Map::new(),
    };
    for (name, forms) in [
        ("variable", json!({ "type": "string", "pattern": VARIABLE })),
        ("duration", json!({ "type": "string", "pattern": DURATION })),
        ("size", json!({ "type": "string", "pattern": SIZE })),
    ] {
        writing.defined.insert(name.to_owned(), forms);
    }
    let mut root = writing.section(&ROOT, "");
    if let Value::Object(root) = &mut root {
        root.insert("$schema".to_owned(), json!(DRAFT));
        root.insert("title".to_owned(), json!("Portway's configuration"));
        root.insert("$defs".to_owned(), Value::Object(writing.defined));
    }
    root
}

struct Writing {
    example: Example,
    defined: Map<String, Value>,
}

impl Writing {
    fn section(&mut self, shape: &'static Shape, path: &str) -> Value {
        let mut properties = Map::new();
        for key in shape.keys {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}", key.name);
            properties.insert(key.name.to_owned(), self.key(key, &path));
        }
        let required = shape.keys.iter();
        let required = required.filter(|key| key.presence == Presence::Required);
        let required: Vec<&str> = required.map(|key| key.name).collect();
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    fn key(&mut self, key: &'static Key, path: &str) -> Value {
        let mut value = self.kind(&key.kind, path);
        if let Value::Object(value) = &mut value {
            let about = key.about.map(str::to_owned);
            let about = about.or_else(|| self.example.about(path));
            value.extend(about.map(|about| ("description".to_owned(), json!(about))));
            let default = key.default.map(typed);
            value.extend(default.map(|default| ("default".to_owned(), default)));
        }
        value
    }

    fn kind(&mut self, kind: &'static Kind, path: &str) -> Value {
        match kind {
            Kind::AnyOf(kinds) => {
                let kinds = kinds.iter().map(|kind| self.kind(kind, path));
                json!({ "anyOf": kinds.collect::<Vec<_>>() })
            }
            Kind::Duration => json!({ "anyOf": [defined("duration"), defined("variable")] }),
            Kind::List(item) => json!({ "type": "array", "items": self.kind(item, path) }),
            Kind::Named(value) => {
                let value = self.kind(value, &format!("{path}.*"));
                json!({ "type": "object", "additionalProperties": value })
            }
            Kind::Nothing => json!({ "type": "null" }),
            Kind::Number(least, most) => json!({ "anyOf": [
                { "type": "integer", "minimum": least, "maximum": most },
                { "type": "string", "pattern": "^[0-9]+$" },
                defined("variable"),
            ] }),
            Kind::Some(item) => {
                let item = self.kind(item, path);
                json!({ "anyOf": [item, { "type": "array", "items": item, "minItems": 1 }] })
            }
            Kind::Secret | Kind::Text => json!({ "type": ["string", "number", "boolean"] }),
            Kind::Section(shape) if shape.name.is_empty() => self.section(shape, path),
            Kind::Section(shape) => self.shared(shape, path),
            Kind::Size => json!({ "anyOf": [defined("size"), defined("variable")] }),
            Kind::Switch => json!({ "anyOf": [
                { "type": "boolean" },
                { "enum": ["true", "false"] },
                defined("variable"),
            ] }),
            Kind::Words(words) => {
                // Readers of YAML that know types take `true` and `302` for no text.
                let mut values: Vec<Value> = words.iter().map(|word| json!(word)).collect();
                values.extend(
                    words
                        .iter()
                        .map(|word| typed(word))
                        .filter(|value| !value.is_string()),
                );
                json!({ "anyOf": [{ "enum": values }, defined("variable")] })
            }
        }
    }

    /// A section that others refer to, itself perhaps.
    fn shared(&mut self, shape: &'static Shape, path: &str) -> Value {
        if !self.defined.contains_key(shape.name) {
            // In its place before it is written: it may refer to itself.
            self.defined.insert(shape.name.to_owned(), Value::Null);
            let section = self.section(shape, path);
            self.defined.insert(shape.name.to_owned(), section);
        }
        defined(shape.name)
    }
}

fn defined(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// A default as JSON has it.
fn typed(default: &str) -> Value {
    match default {
        "[]" => json!([]),
        "true" => json!(true),
        "false" => json!(false),
        number => number
            .parse::<u64>()
            .map_or_else(|_| json!(default), |number| json!(number)),
    }
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
const VARIABLE: &str = r"\$\{[A-Za-z_]";
const DURATION: &str = "^([0-9]+(ms|s|m|h|d))+$";
const SIZE: &str = "^[0-9]+(B|KiB|MiB|GiB|TiB)$";
