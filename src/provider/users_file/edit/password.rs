//! A new password in the text of a users file: the values of one entry, and the lines that come or go with them.
//!
//! Whoever asks reads the outcome back; what is not found here is none.

use serde_saphyr::Spanned;

use crate::ports::identity_provider::PasswordAge;
use crate::provider::users_file::document::RawUser;
use crate::provider::users_file::edit::NewPassword;
use crate::provider::users_file::edit::Written;
use crate::provider::users_file::edit::entry::quoted;
use crate::provider::users_file::edit::first_line;

impl Written<'_> {
    /// The text with another password, and with or without what goes with it.
    pub(super) fn with_password(&self, index: usize, new: &NewPassword<'_>) -> Option<String> {
        let user = self.users.get(index)?;
        let first = self.line(first_line(user)?)?;
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
        let text = self.with_values(values)?;
        let mut lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
        insert(&mut lines, user, (indent, &more))?;
        if new.age == PasswordAge::Lasting && user.must_change {
            let start = first_line(user)?;
            let entry = lines.iter().skip(start);
            let own = entry
                .map(|line| line.trim())
                .position(|line| line == MUST_CHANGE)?;
            lines.remove(start + own);
        }
        Some(lines.concat())
    }

    /// The text with other values in some places, which stay on their lines.
    fn with_values(&self, mut values: Vec<(&Spanned<String>, String)>) -> Option<String> {
        let place = |value: &Spanned<String>| {
            let span = value.referenced.span();
            let start = usize::try_from(span.byte_offset()?).ok()?;
            Some((start, usize::try_from(span.byte_len()?).ok()?))
        };
        // From the last one on, so that the places before stay right.
        values.sort_by_key(|(value, _)| std::cmp::Reverse(place(value)));
        let mut text = self.text.clone();
        for (value, new) in values {
            let (start, length) = place(value)?;
            let end = start.checked_add(length)?;
            text = format!("{}{new}{}", text.get(..start)?, text.get(end..)?);
        }
        Some(text)
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
