//! The parameters of a question: known ones, each once.

use std::collections::HashMap;

use http::StatusCode;

use crate::admin::reply::Reply;

/// The parameters of a query, each once.
pub(super) struct Parameters(HashMap<String, String>);

impl Parameters {
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Reply> {
        let mut all = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                return Err(misread(&format!("there is no parameter `{name}`")));
            }
            if all.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(misread(&format!("`{name}` is there twice")));
            }
        }
        Ok(Self(all))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn number<N: std::str::FromStr<Err = std::num::ParseIntError>>(
        &self,
        name: &str,
    ) -> Result<Option<N>, Reply> {
        self.parsed(name, str::parse)
    }

    pub(super) fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Reply> {
        let value = self.0.get(name).map(|text| parse(text));
        value
            .transpose()
            .map_err(|error| misread(&format!("`{name}`: {error}")))
    }
}

/// A question that cannot be understood.
pub(super) fn misread(why: &(impl ToString + ?Sized)) -> Reply {
    Reply::refused(StatusCode::BAD_REQUEST, why)
}
