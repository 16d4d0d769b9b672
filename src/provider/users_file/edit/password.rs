//! New passwords in the text of a users file: the values of entries, and the lines that come or go with them.
//!
//! Whoever asks reads the outcome back; what is not found here is none.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use crate::ports::identity_provider::PasswordAge;
use crate::provider::users_file::document::RawUser;
use crate::provider::users_file::edit::NewPassword;
use crate::provider::users_file::edit::Written;
use crate::provider::users_file::edit::entry::quoted;
use crate::provider::users_file::edit::first_line;

impl Written<'_> {
    /// The text with other passwords of these users, and with or without what goes with them.
    pub(super) fn with_passwords(&self, news: &BTreeMap<usize, NewPassword<'_>>) -> Option<String> {
        let before: Vec<&str> = self.text.lines().collect();
        let (mut values, mut changes) = (Vec::new(), Vec::new());
        for (index, new) in news {
            let user = self.users.get(*index)?;
            let mut change = Change::of(user, new, &before)?;
            values.append(&mut change.values);
            changes.push(change);
        }
        let text = self.with_values(values)?;
        let mut lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
        // From the last one on, so that the lines before stay where they are.
        for change in changes.iter().rev() {
            change.put(&mut lines)?;
        }
        Some(lines.concat())
    }

    /// The text with other values in some places, which stay on their lines.
    fn with_values(&self, values: Vec<(&Spanned<String>, String)>) -> Option<String> {
        let place = |value: &Spanned<String>| {
            let span = value.referenced.span();
            let start = usize::try_from(span.byte_offset()?).ok()?;
            Some((start, usize::try_from(span.byte_len()?).ok()?))
        };
        let placed = values
            .into_iter()
            .map(|(value, new)| Some((place(value)?, new)));
        let mut placed: Vec<_> = placed.collect::<Option<_>>()?;
        placed.sort();
        let (mut text, mut done) = (String::with_capacity(self.text.len()), 0);
        for ((start, length), new) in placed {
            text.push_str(self.text.get(done..start)?);
            text.push_str(&new);
            done = start.checked_add(length)?;
        }
        text.push_str(self.text.get(done..)?);
        Some(text)
    }
}

/// What one new password changes in the text.
struct Change<'a> {
    user: &'a RawUser,
    age: PasswordAge,
    /// Other values in their places.
    values: Vec<(&'a Spanned<String>, String)>,
    /// What comes in lines of its own, behind so many blanks.
    more: Vec<String>,
    indent: usize,
}

impl<'a> Change<'a> {
    /// Works it out from the lines as they stand.
    fn of(user: &'a RawUser, new: &NewPassword<'_>, lines: &[&str]) -> Option<Self> {
        let first = lines.get(first_line(user)?)?;
        let indent = first.find('-')? + 2;
        let mut more = Vec::new();
        if new.age == PasswordAge::MustChange && !user.must_change {
            more.push(MUST_CHANGE.to_owned());
        }
        let mut values = vec![(&user.password, quoted(new.hash))];
        match (&user.signed_out_before, &new.signed_out_before) {
            (Some(was), Some(is)) => values.push((was, quoted(is))),
            (None, Some(is)) => more.push(format!("signed_out_before: {}", quoted(is))),
            (_, None) => {}
        }
        // In an entry on one line, they come right behind the password.
        let is_one_line = first.get(indent - 1..)?.trim_start().starts_with('{');
        if is_one_line && let Some((_, hash)) = values.first_mut() {
            for key in std::mem::take(&mut more) {
                hash.push_str(&format!(", {key}"));
            }
        }
        Some(Self {
            user,
            age: new.age,
            values,
            more,
            indent,
        })
    }

    /// Has lines come and go.
    fn put(&self, lines: &mut Vec<String>) -> Option<()> {
        insert(lines, self.user, (self.indent, &self.more))?;
        if self.age == PasswordAge::Lasting && self.user.must_change {
            let start = first_line(self.user)?;
            let entry = lines.iter().skip(start);
            let own = entry
                .map(|line| line.trim())
                .position(|line| line == MUST_CHANGE)?;
            lines.remove(start + own);
        }
        Some(())
    }
}

/// Puts lines below that of the password.
fn insert(
    lines: &mut Vec<String>,
    user: &RawUser,
    (indent, more): (usize, &[String]),
) -> Option<()> {
    if more.is_empty() {
        return Some(());
    }
    let password = usize::try_from(user.password.referenced.line()).ok()?;
    let last = lines.get_mut(password.checked_sub(1)?)?;
    if !last.ends_with('\n') {
        last.push('\n');
    }
    for key in more.iter().rev() {
        lines.insert(password, format!("{}{key}\n", " ".repeat(indent)));
    }
    Some(())
}

const MUST_CHANGE: &str = "must_change: true";
