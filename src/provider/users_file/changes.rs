//! What is other about users from one reading of the users file to the next, for their sessions and for the
//! audit trail.
//!
//! A password is told by its having changed; nothing of it is kept here. Who is gone is in `known`.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::name::GroupName;
use crate::model::name::UserName;
use crate::provider::users_file::document::Status;
use crate::provider::users_file::document::User;

/// What is other about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserChange {
    /// The user, as spelt now.
    pub user: UserName,
    /// The groups that the user is in since.
    groups_added: Vec<GroupName>,
    /// The groups that the user is in no more.
    groups_removed: Vec<GroupName>,
    /// What else, in words.
    others: Vec<&'static str>,
    reaches: Reaches,
    signs_out: SignsOut,
}

/// Whether what the user has signed in before is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignsOut {
    Nothing,
    All,
}

/// What a change concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaches {
    /// Sign-ins that are still to come.
    SignIns,
    /// What the records of sessions say as well.
    Sessions,
}

impl UserChange {
    /// Whether the records of the user's sessions say something else now.
    #[must_use]
    pub fn reaches_sessions(&self) -> bool {
        self.reaches == Reaches::Sessions
    }

    /// Whether the file ends what the user has signed in before.
    #[must_use]
    pub fn signs_out(&self) -> bool {
        self.signs_out == SignsOut::All
    }

    fn of(before: Option<&User>, now: &User) -> Option<Self> {
        let none = Vec::new();
        let groups_before = before.map_or(&none, |user| &user.groups);
        let missing = |from: &[GroupName], of: &[GroupName]| -> Vec<GroupName> {
            let missing = from.iter().filter(|group| !of.contains(group));
            missing.cloned().collect()
        };
        let change = Self {
            user: now.name.clone(),
            groups_added: missing(&now.groups, groups_before),
            groups_removed: missing(groups_before, &now.groups),
            others: before.map_or_else(Vec::new, |before| others(before, now)),
            reaches: match before {
                Some(before) if !says_the_same(before, now) => Reaches::Sessions,
                Some(_) | None => Reaches::SignIns,
            },
            signs_out: match before {
                Some(before) if now.signed_out_before > before.signed_out_before => SignsOut::All,
                Some(_) | None => SignsOut::Nothing,
            },
        };
        let is_none = change.groups_added.is_empty()
            && change.groups_removed.is_empty()
            && change.others.is_empty()
            && change.reaches == Reaches::SignIns;
        (!is_none).then_some(change)
    }
}

/// As in `alice groups+admins groups-staff password`; the groups beyond a bound are counted.
impl fmt::Display for UserChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.user.as_str())?;
        for (sign, groups) in [("+", &self.groups_added), ("-", &self.groups_removed)] {
            for group in groups.iter().take(GROUPS_MAX) {
                write!(f, " groups{sign}{group}")?;
            }
            if let Some(more) = groups.len().checked_sub(GROUPS_MAX + 1) {
                write!(f, " groups{sign}({} more)", more + 1)?;
            }
        }
        self.others
            .iter()
            .try_for_each(|other| write!(f, " {other}"))
    }
}

/// The changes from users to users, those who came included where they are in groups.
pub(super) fn between(
    before: &BTreeMap<String, User>,
    now: &BTreeMap<String, User>,
) -> Vec<UserChange> {
    let changes = now.iter();
    let changes = changes.filter_map(|(folded, user)| UserChange::of(before.get(folded), user));
    changes.collect()
}

fn says_the_same(before: &User, now: &User) -> bool {
    before.groups == now.groups
        && before.attributes == now.attributes
        && before.display_name == now.display_name
        && before.email == now.email
}

fn others(before: &User, now: &User) -> Vec<&'static str> {
    let status = match now.status {
        Status::Active => "enabled",
        Status::Disabled => "disabled",
    };
    let all = [
        ("attributes", before.attributes != now.attributes),
        ("display_name", before.display_name != now.display_name),
        ("email", before.email != now.email),
        ("password", before.password != now.password),
        ("must_change", before.age != now.age),
        (status, before.status != now.status),
        (
            "signed_out_before",
            before.signed_out_before != now.signed_out_before,
        ),
    ];
    let changed = all.into_iter().filter(|(_, is_other)| *is_other);
    changed.map(|(what, _)| what).collect()
}

/// Groups told of one user, of either kind.
const GROUPS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::provider::users_file::document;
    use crate::provider::users_file::tests::HASH;

    fn users(text: &str) -> BTreeMap<String, User> {
        let text = format!("users:\n{}", text.replace("HASH", HASH));
        let users = document::parse(&text, Path::new("users.yaml")).unwrap();
        let folded = |user: User| (document::fold(user.name.as_str()), user);
        users.into_iter().map(folded).collect()
    }

    #[test]
    fn what_changes_about_a_user_is_told_and_what_sessions_say_is_told_apart() {
        let before = users(
            "  - {name: al, groups: [a, b], password: 'HASH'}\n  - {name: bo, password: 'HASH'}\n  \
             - {name: cy, password: 'HASH'}\n  - {name: di, email: d@x.test, password: 'HASH'}\n",
        );
        let now = users(
            "  - {name: al, groups: [b, admins], password: 'HASH'}\n  \
             - {name: bo, disabled: true, must_change: true, password: 'HASH'}\n  \
             - {name: cy, password: 'HASH'}\n  \
             - {name: di, attributes: {floor: '2'}, password: 'HASH'}\n  \
             - {name: eve, groups: [admins], password: 'HASH'}\n",
        );
        let changes = between(&before, &now);
        let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let expected = [
            "al groups+admins groups-a",
            "bo must_change disabled",
            "di attributes email",
            "eve groups+admins",
        ];
        assert_eq!(told, expected);
        let reach = changes.iter().map(UserChange::reaches_sessions);
        assert_eq!(reach.collect::<Vec<_>>(), [true, false, true, false]);
        assert!(between(&now, &now).is_empty());
    }

    #[test]
    fn however_many_groups_somebody_gets_the_line_is_bounded() {
        let groups: Vec<String> = (0..23).map(|n| format!("g{n}")).collect();
        let now = users(&format!(
            "  - {{name: al, groups: [{}], password: 'HASH'}}\n",
            groups.join(", ")
        ));
        let told = between(&BTreeMap::new(), &now)[0].to_string();
        assert!(told.ends_with(" groups+g19 groups+(3 more)"), "{told}");
    }
}
