//! What the claims of a provider say of a user.

use serde_json::Value;

use crate::decision::openid::claims::Claims;
use crate::model::attribute::Attribute;
use crate::model::attribute::AttributeSet;
use crate::model::attribute::AttributeValue;
use crate::model::name::AttributeName;

/// Where something stands among claims: the name of one, or names with dots between where it is nested. A claim
/// whose own name has dots, as a URL has, is found first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<str>);

impl ClaimPath {
    /// Takes a path that is not empty and has no control characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_one = !text.is_empty() && text.len() <= 256 && !text.contains(char::is_control);
        is_one.then(|| Self(Box::from(text)))
    }

    fn find<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        if let Some(value) = claims.get(&*self.0) {
            return Some(value);
        }
        let mut steps = self.0.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_object()?.get(step))
    }

    /// Its texts: a text or number alone, or those of a list. What no header could carry is left out.
    fn texts(&self, claims: &Claims) -> Option<Vec<String>> {
        let texts = match self.find(claims)? {
            Value::Array(list) => list.iter().filter_map(scalar).collect(),
            Value::Bool(_)
            | Value::Null
            | Value::Number(_)
            | Value::Object(_)
            | Value::String(_) => vec![self.text(claims)?],
        };
        Some(texts)
    }

    fn text(&self, claims: &Claims) -> Option<String> {
        scalar(self.find(claims)?)
    }
}

/// Which claims say what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMap {
    /// Who it is, as applications are told. The provider may never give it to somebody else.
    pub user: ClaimPath,
    /// The name to show.
    pub name: ClaimPath,
    /// The e-mail address.
    pub email: ClaimPath,
    /// The groups: a list, or one text.
    pub groups: ClaimPath,
    /// What else is kept of the user.
    pub attributes: Vec<(AttributeName, ClaimPath)>,
}

/// What claims say of a user, as texts that a header can carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who it is; none where they do not say it.
    pub user: Option<String>,
    /// The name to show.
    pub name: Option<String>,
    /// The e-mail address; none where the provider has not verified it.
    pub email: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// What else is kept of the user.
    pub attributes: AttributeSet,
}

impl ClaimMap {
    /// Whether something is mapped that the claims do not have.
    #[must_use]
    pub fn misses(&self, claims: &Claims) -> bool {
        let mapped = [&self.user, &self.name, &self.email, &self.groups];
        let attributes = self.attributes.iter().map(|(_, path)| path);
        let mut all = mapped.into_iter().chain(attributes);
        all.any(|path| path.find(claims).is_none())
    }

    /// Whether users are who `sub` says.
    #[must_use]
    pub fn is_by_subject(&self) -> bool {
        &*self.user.0 == "sub"
    }

    /// What the claims say. What has no place in a header or a log is left out.
    #[must_use]
    pub fn told(&self, claims: &Claims) -> Told {
        let is_verified = claims.get("email_verified") != Some(&Value::Bool(false));
        Told {
            user: self.user.text(claims),
            name: self.name.text(claims),
            email: self.email.text(claims).filter(|_| is_verified),
            groups: self.groups.texts(claims).unwrap_or_default(),
            attributes: self.attributes(claims),
        }
    }

    /// The attributes, in the order of the map, as far as they have room.
    fn attributes(&self, claims: &Claims) -> AttributeSet {
        let mut set = AttributeSet::default();
        for (name, path) in &self.attributes {
            let value = match path.find(claims) {
                Some(Value::Array(_)) => path.texts(claims).map(|texts| {
                    let texts = texts.into_iter().take(AttributeSet::TEXTS_MAX);
                    AttributeValue::List(texts.map(String::into_boxed_str).collect())
                }),
                _ => path
                    .text(claims)
                    .map(|text| AttributeValue::Text(text.into())),
            };
            let attribute = value.map(|value| Attribute {
                name: name.clone(),
                value,
            });
            let with = attribute.and_then(|attribute| set.with(&[attribute]).ok());
            set = with.unwrap_or(set);
        }
        set
    }
}

/// A text that a header can carry.
fn scalar(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let fits = !text.is_empty()
        && text.len() <= AttributeSet::TEXT_BYTES_MAX
        && !text.contains(char::is_control);
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> ClaimPath {
        ClaimPath::parse(text).unwrap()
    }

    fn map(groups: &str) -> ClaimMap {
        ClaimMap {
            user: path("sub"),
            name: path("name"),
            email: path("email"),
            groups: path(groups),
            attributes: vec![(AttributeName::parse("dept").unwrap(), path("org.dept"))],
        }
    }

    fn told(groups: &str, claims: &Value) -> Told {
        map(groups).told(claims.as_object().unwrap())
    }

    #[test]
    fn groups_are_a_text_a_list_or_nested() {
        let claims = json!({
            "one": "staff",
            "list": ["staff", 7, null, ["x"], "a\nb", ""],
            "realm": { "roles": ["admins"] },
            "https://example.com/groups": ["url"],
        });
        let groups = |at| told(at, &claims).groups;
        assert_eq!(groups("one"), ["staff"]);
        assert_eq!(groups("list"), ["staff", "7"]);
        assert_eq!(groups("realm.roles"), ["admins"]);
        assert_eq!(groups("https://example.com/groups"), ["url"]);
        assert!(groups("realm").is_empty());
        assert!(groups("realm.roles.more").is_empty());
    }

    #[test]
    fn an_address_that_is_not_verified_is_none_and_odd_names_are_none() {
        let read = |claims| told("groups", &claims);
        let claims = json!({ "sub": "7", "email": "a@b.test", "org": { "dept": ["x", "y"] } });
        let known = read(claims);
        assert_eq!(known.user.as_deref(), Some("7"));
        assert_eq!(known.email.as_deref(), Some("a@b.test"));
        assert_eq!(known.attributes.get("dept").unwrap().texts().len(), 2);
        let claims = json!({ "sub": "7", "email": "a@b.test", "email_verified": false });
        assert_eq!(read(claims).email, None);
        for sub in [json!(null), json!(""), json!("a\nb"), json!(["7"])] {
            assert_eq!(read(json!({ "sub": sub })).user, None, "{sub}");
        }
    }
}
