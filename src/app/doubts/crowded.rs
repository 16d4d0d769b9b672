//! Users who have so many groups that what applications are told of them is too long to be sent: headers and cookies
//! in which groups stand, with the text beside them.
//!
//! What is too long whatever the groups is a fault of the configuration.

use std::collections::BTreeSet;
use std::path::Path;

use crate::app::doubts::shown;
use crate::config::Config;
use crate::config::Route;
use crate::decision::facts::Fact;
use crate::decision::facts::UserFact;
use crate::decision::group_filter::GroupFilter;
use crate::decision::identity_headers::groups_fit;
use crate::decision::policy::Access;
use crate::decision::response::COOKIE_BYTES_MAX;
use crate::decision::response::CookieTemplate;
use crate::decision::response::HEADER_BYTES_MAX;
use crate::decision::template::Form;
use crate::decision::template::Template;
use crate::model::name::GroupName;
use crate::provider::users_file::document;
use crate::provider::users_file::document::User;

/// Where an application is told of groups.
#[derive(Clone, Copy, PartialEq)]
enum Place<'c> {
    /// A cookie of a policy or a route.
    Cookie(&'c CookieTemplate),
    /// A header of theirs.
    Header(&'c Template),
    /// The identity header.
    Identity,
}

/// A place, and which groups are told there.
type Told<'c> = (Place<'c>, &'c GroupFilter);

/// Users whose groups some application cannot be told, a line for headers and one for each cookie.
pub(super) fn users(config: &Config) -> Vec<String> {
    let Some(by) = &config.authentication else {
        return Vec::new();
    };
    let file = &by.users_file;
    let Ok(known) = document::load(file) else {
        return Vec::new();
    };
    let (cookies, headers): (Vec<_>, Vec<_>) = places(config)
        .into_iter()
        .partition(|(place, _)| matches!(place, Place::Cookie(_)));
    let what = format!("the {HEADER_BYTES_MAX} bytes of a header");
    let mut all: Vec<String> = line(file, &known, &headers, &what).into_iter().collect();
    for one in &cookies {
        let Place::Cookie(cookie) = one.0 else {
            continue;
        };
        let what = format!("the {COOKIE_BYTES_MAX} bytes of the cookie {}", cookie.name);
        all.extend(line(file, &known, std::slice::from_ref(one), &what));
    }
    all
}

fn line(file: &Path, known: &[User], told: &[Told<'_>], what: &str) -> Option<String> {
    let crowded = known.iter().filter(|user| {
        let mut told = told.iter();
        told.any(|(place, only)| !place.holds(&only.of(&user.groups)))
    });
    let names: BTreeSet<&str> = crowded.map(|user| user.name.as_str()).collect();
    let shown = shown(&names)?;
    Some(format!(
        "groups of users in {} do not fit into {what}, and their requests are refused where all of them are sent; see \
         only_groups: {shown}",
        file.display()
    ))
}

impl Place<'_> {
    /// Whether these groups fit, with the text beside them.
    fn holds(&self, groups: &[GroupName]) -> bool {
        match self {
            Self::Cookie(cookie) => cookie.bytes_min(groups) <= COOKIE_BYTES_MAX,
            Self::Header(template) => template.bytes_min(groups, Form::Header) <= HEADER_BYTES_MAX,
            Self::Identity => groups_fit(groups),
        }
    }
}

/// Where applications are told of groups, each place once.
fn places(config: &Config) -> Vec<Told<'_>> {
    let by_name = config.identity_headers.groups.is_some();
    let mut all = Vec::new();
    let routes = config.virtual_hosts.iter().flat_map(|host| &host.routes);
    for route in routes.filter(|route| route.access != Access::Excluded) {
        let is_forwarded = route.destination.pools().is_some();
        let identity = (by_name && is_forwarded).then_some(Place::Identity);
        for place in identity.into_iter().chain(given(route)) {
            let told = (place, &route.only_groups);
            if !all.contains(&told) {
                all.push(told);
            }
        }
    }
    all
}

/// What a route gives and its rules set in which groups stand.
fn given(route: &Route) -> impl Iterator<Item = Place<'_>> {
    let given = &route.responses;
    let headers = given.headers.iter().map(|(_, template)| template);
    let rules = route.headers.request.iter().chain(&route.headers.response);
    let headers = headers.chain(rules.filter_map(|rule| rule.template()));
    let headers = headers.filter(|template| tells_groups(template));
    let cookies = given.cookies.iter();
    let cookies = cookies.filter(|cookie| tells_groups(&cookie.value));
    headers.map(Place::Header).chain(cookies.map(Place::Cookie))
}

fn tells_groups(template: &Template) -> bool {
    let mut facts = template.facts();
    facts.any(|fact| matches!(fact, Fact::User(UserFact::Groups)))
}
