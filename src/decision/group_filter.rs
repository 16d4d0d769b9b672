//! Which groups of a user an application is told of, by name or by how names begin.
//!
//! Policies decide on all groups of a user, whatever is told. What is told is never cut off to fit: an
//! application that denies a group would let in whom it does not know to be in it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::identity::Identity;
use crate::model::name::GroupName;

/// The groups that an application is told of; all of them unless it is said which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter(Option<Arc<[GroupPattern]>>);

/// Groups by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupPattern {
    /// Those whose names begin with this.
    Beginning(Box<str>),
    /// The one with this name.
    Name(GroupName),
}

impl GroupPattern {
    fn matches(&self, group: &GroupName) -> bool {
        match self {
            Self::Beginning(beginning) => group.as_str().starts_with(&**beginning),
            Self::Name(name) => name == group,
        }
    }
}

impl GroupFilter {
    /// Those that one of these patterns matches.
    #[must_use]
    pub fn only(patterns: Vec<GroupPattern>) -> Self {
        Self(Some(patterns.into()))
    }

    /// Those of these groups that are told, in their order.
    #[must_use]
    pub fn of<'g>(&self, groups: &'g [GroupName]) -> Cow<'g, [GroupName]> {
        let Some(patterns) = &self.0 else {
            return Cow::Borrowed(groups);
        };
        let is_told = |group: &&GroupName| patterns.iter().any(|pattern| pattern.matches(group));
        if groups.iter().all(|group| is_told(&group)) {
            return Cow::Borrowed(groups);
        }
        Cow::Owned(groups.iter().filter(is_told).cloned().collect())
    }

    /// An identity as an application is told of it.
    #[must_use]
    pub fn told<'i>(&self, identity: &'i Identity) -> Cow<'i, Identity> {
        match self.of(&identity.groups) {
            Cow::Borrowed(_) => Cow::Borrowed(identity),
            // Built anew rather than cloned, for the groups that are left out may be hundreds.
            Cow::Owned(groups) => Cow::Owned(Identity {
                store: identity.store.clone(),
                subject: identity.subject.clone(),
                name: identity.name.clone(),
                email: identity.email.clone(),
                groups,
                attributes: identity.attributes.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> GroupName {
        GroupName::parse(name).unwrap()
    }

    fn beginning(text: &str) -> GroupPattern {
        GroupPattern::Beginning(Box::from(text))
    }

    fn told(filter: &GroupFilter, groups: &[&str]) -> Vec<String> {
        let groups: Vec<GroupName> = groups.iter().map(|name| group(name)).collect();
        filter.of(&groups).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn groups_are_told_by_name_and_by_how_they_begin_in_their_order() {
        let groups = ["wiki-editors", "staff", "wiki-", "Staff", "staffers"];
        let staff = GroupPattern::Name(group("staff"));
        let some = GroupFilter::only(vec![staff, beginning("wiki-")]);
        assert_eq!(told(&some, &groups), ["wiki-editors", "staff", "wiki-"]);
        assert_eq!(told(&GroupFilter::default(), &groups), groups);
        let all = GroupFilter::only(vec![beginning("")]);
        assert_eq!(told(&all, &groups), groups);
        assert!(told(&GroupFilter::only(Vec::new()), &groups).is_empty());
    }

    #[test]
    fn of_an_identity_nothing_but_groups_is_kept_back() {
        let identity: Identity = serde_json::from_value(serde_json::json!({
            "store": "local",
            "subject": "alice",
            "name": "Alice",
            "email": null,
            "groups": ["staff", "admins"],
        }))
        .unwrap();
        let staff = GroupPattern::Name(group("staff"));
        let told = GroupFilter::only(vec![staff]).told(&identity).into_owned();
        assert_eq!(told.groups, [group("staff")]);
        let groups = identity.groups.clone();
        assert_eq!(Identity { groups, ..told }, identity);
        assert!(matches!(
            GroupFilter::default().told(&identity),
            Cow::Borrowed(_)
        ));
    }
}
