//! What the audit trail is told of a change of the users file: who came, who went, and what else is other.

use std::collections::BTreeSet;

use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::name::UserName;
use crate::provider::users_file::UsersRead;
use crate::provider::users_file::changes::UserChange;

/// A change of the file. Who may not sign in counts as gone.
pub(super) fn changed(before: &UsersRead, now: &UsersRead, changes: &[UserChange]) -> Event {
    let (before, now) = (before.names(), now.names());
    let told: Vec<String> = changes
        .iter()
        .take(NAMES_MAX)
        .map(ToString::to_string)
        .collect();
    Event::new(EventKind::UsersChanged)
        .with("may_sign_in", now.len().to_string())
        .with("added", missing(&now, &before))
        .with("removed", missing(&before, &now))
        .with("changed", told.join(", "))
        .with("changes", changes.len().to_string())
}

/// Those of one list who are not on another.
fn missing(from: &[UserName], of: &[UserName]) -> String {
    let of: BTreeSet<&UserName> = of.iter().collect();
    let missing = from.iter().filter(|user| !of.contains(user));
    let names: Vec<&str> = missing.map(UserName::as_str).take(NAMES_MAX).collect();
    names.join(",")
}

/// Names told of one change, of either kind.
const NAMES_MAX: usize = 50;
