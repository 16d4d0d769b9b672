//! What operators have changed about the headers of requests and of their answers, besides what policies
//! give: headers that are set, added or removed.
//!
//! Which names are free to change is checked when the configuration is read; here nothing is looked at but
//! values. Reading and writing heads is done above.

use http::HeaderName;
use http::HeaderValue;

use crate::decision::facts::Subject;
use crate::decision::identity_headers::folds_alike;
use crate::decision::response::HEADER_BYTES_MAX;
use crate::decision::response::ResponseError;
use crate::decision::template::Form;
use crate::decision::template::Template;

/// The rules of a route or a virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// For the request on its way to the upstream.
    pub request: Vec<HeaderRule>,
    /// For the answer on its way to the client.
    pub response: Vec<HeaderRule>,
}

/// What is done about the headers of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// The name.
    pub name: HeaderName,
    /// What is done.
    pub action: HeaderAction,
}

/// What is done about the headers of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderAction {
    /// Another one is put beside those there are.
    Add(Template),
    /// There is none.
    Remove,
    /// There is this one and no other.
    Set(Template),
}

impl HeaderRule {
    /// The value that comes in, if one does.
    #[must_use]
    pub const fn template(&self) -> Option<&Template> {
        match &self.action {
            HeaderAction::Add(template) | HeaderAction::Set(template) => Some(template),
            HeaderAction::Remove => None,
        }
    }
}

/// What is to be changed about one request and its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderChanges {
    /// About the request.
    pub request: Vec<HeaderChange>,
    /// About the answer.
    pub response: Vec<HeaderChange>,
}

/// What is to be changed about the headers of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderChange {
    /// The name.
    pub name: HeaderName,
    /// What becomes of those there are.
    pub others: Others,
    /// The value of the one that comes in.
    pub value: Option<HeaderValue>,
}

/// What becomes of the headers of a name that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They stay.
    Kept,
    /// They go.
    Removed,
}

impl HeaderRules {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }

    /// These, and those of others about names that these say nothing about.
    #[must_use]
    pub fn or(mut self, others: &Self) -> Self {
        take_over(&mut self.request, &others.request);
        take_over(&mut self.response, &others.response);
        self
    }

    /// What is to be changed about a request and its answer. A value one of whose facts is absent is no
    /// value: what is set then is only removed, so that no client's copy takes its place.
    ///
    /// # Errors
    /// When a value is too long; nothing is ever cut off.
    pub fn changes(&self, subject: &Subject<'_>) -> Result<HeaderChanges, ResponseError> {
        Ok(HeaderChanges {
            request: changes(&self.request, subject)?,
            response: self.answer_changes(subject)?,
        })
    }

    /// What is to be changed about an answer alone.
    ///
    /// # Errors
    /// As of [`Self::changes`].
    pub fn answer_changes(
        &self,
        subject: &Subject<'_>,
    ) -> Result<Vec<HeaderChange>, ResponseError> {
        changes(&self.response, subject)
    }
}

fn take_over(rules: &mut Vec<HeaderRule>, others: &[HeaderRule]) {
    let own = rules.len();
    for other in others {
        let mut same = rules.iter().take(own);
        if !same.any(|rule| folds_alike(rule.name.as_str(), other.name.as_str())) {
            rules.push(other.clone());
        }
    }
}

fn changes(
    rules: &[HeaderRule],
    subject: &Subject<'_>,
) -> Result<Vec<HeaderChange>, ResponseError> {
    let mut changes = Vec::with_capacity(rules.len());
    for rule in rules {
        let name = rule.name.clone();
        let (others, value) = match &rule.action {
            HeaderAction::Add(template) => {
                let Some(value) = value(&name, template, subject)? else {
                    continue;
                };
                (Others::Kept, Some(value))
            }
            HeaderAction::Remove => (Others::Removed, None),
            HeaderAction::Set(template) => (Others::Removed, value(&name, template, subject)?),
        };
        changes.push(HeaderChange {
            name,
            others,
            value,
        });
    }
    Ok(changes)
}

fn value(
    header: &HeaderName,
    template: &Template,
    subject: &Subject<'_>,
) -> Result<Option<HeaderValue>, ResponseError> {
    let Some(text) = template.render(subject, Form::Header) else {
        return Ok(None);
    };
    let bytes = text.len();
    match HeaderValue::try_from(text) {
        Ok(value) if bytes <= HEADER_BYTES_MAX => Ok(Some(value)),
        _ => Err(ResponseError::Header {
            header: header.clone(),
            bytes,
        }),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::Method;

    use super::*;
    use crate::decision::facts::Fact;
    use crate::decision::facts::RequestFacts;
    use crate::decision::forwarded::Scheme;
    use crate::decision::template::Part;
    use crate::model::id::RequestId;
    use crate::model::time::Timestamp;

    fn fixed(text: &str) -> Template {
        Template::new(text, vec![Part::Text(text.into())])
    }

    fn rule(name: &'static str, action: HeaderAction) -> HeaderRule {
        HeaderRule {
            name: HeaderName::from_static(name),
            action,
        }
    }

    fn changed(rules: &HeaderRules, headers: &HeaderMap) -> Result<HeaderChanges, ResponseError> {
        let request = RequestFacts {
            id: RequestId::from_bytes([7; 16]),
            method: &Method::GET,
            scheme: Scheme::Https,
            host: "app.test",
            path: "/x",
            query: None,
            headers,
            address: [192, 0, 2, 1].into(),
            tls: None,
        };
        rules.changes(&Subject::of(None, &request, Timestamp::from_millis(0)))
    }

    #[test]
    fn what_has_no_value_is_removed_where_it_would_be_set_and_left_where_it_would_be_added() {
        let absent = Template::of(Fact::parse("request.header.x-tenant").unwrap());
        let rules = HeaderRules {
            request: vec![
                rule("x-a", HeaderAction::Set(absent.clone())),
                rule("x-b", HeaderAction::Add(absent)),
                rule("x-c", HeaderAction::Remove),
            ],
            response: vec![rule("x-d", HeaderAction::Set(fixed("d")))],
        };
        let changes = changed(&rules, &HeaderMap::new()).unwrap();
        let shown: Vec<_> = changes
            .request
            .iter()
            .map(|change| (change.name.as_str(), change.others, change.value.is_some()))
            .collect();
        let removed = |name| (name, Others::Removed, false);
        assert_eq!(shown, [removed("x-a"), removed("x-c")]);
        let answer = changes.response.first().unwrap();
        assert_eq!(answer.value.as_ref().unwrap(), "d");
    }

    #[test]
    fn a_value_that_is_too_long_is_an_error_and_never_cut_off() {
        let mut headers = HeaderMap::new();
        let long = "x".repeat(HEADER_BYTES_MAX + 1);
        headers.insert("x-tenant", HeaderValue::try_from(long).unwrap());
        let told = Template::of(Fact::parse("request.header.x-tenant").unwrap());
        let rules = HeaderRules {
            request: vec![rule("x-a", HeaderAction::Set(told))],
            response: Vec::new(),
        };
        let error = changed(&rules, &headers).unwrap_err();
        assert!(matches!(error, ResponseError::Header { .. }), "{error}");
    }

    #[test]
    fn a_route_counts_before_its_virtual_host_whatever_way_the_name_is_written() {
        let route = HeaderRules {
            request: vec![rule("x-env", HeaderAction::Set(fixed("route")))],
            response: Vec::new(),
        };
        let host = HeaderRules {
            request: vec![
                rule("xenv", HeaderAction::Remove),
                rule("x-other", HeaderAction::Remove),
            ],
            response: vec![rule("server", HeaderAction::Remove)],
        };
        let all = route.or(&host);
        let names: Vec<_> = all.request.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["x-env", "x-other"]);
        assert_eq!(all.response.len(), 1);
    }
}
