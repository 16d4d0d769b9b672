//! Changes to the users file: users added, changed or removed, the rest left as it was written.
//!
//! A change is made in the text, so that comments and order stay. The outcome is read back; where the
//! text could not be changed so simply (anchors, flow style), the list is written anew from what it
//! says. Asking for passwords is in `cli`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::model::name::GroupName;
use crate::model::name::UserName;
use crate::provider::users_file::document;
use crate::provider::users_file::document::LoadUsersError;
use crate::provider::users_file::document::PasswordAge;
use crate::provider::users_file::document::RawUser;
use crate::provider::users_file::edit::entry::Entry;
use crate::provider::users_file::hash::PasswordHash;
use crate::provider::users_file::htpasswd;
use crate::provider::users_file::replace::FileLock;

mod entry;
mod password;

/// Why the users file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditUsersError {
    /// There is such a user already.
    #[error("there is a user {0} already")]
    Exists(String),
    /// The file is missing or wrong as it stands.
    #[error(transparent)]
    Load(#[from] LoadUsersError),
    /// The file is kept by another tool.
    #[error(
        "the file is kept by `htpasswd`: change it with that, or take its users over with \
         `portway users import`"
    )]
    Foreign,
    /// There is no such user.
    #[error("there is no user {0}")]
    Unknown(String),
    /// The new file could not be put in place; the old one stands.
    #[error("the users file could not be written")]
    Write(#[source] io::Error),
}

/// A user to be added.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name.
    pub name: UserName,
    /// The name to show.
    pub display_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The groups.
    pub groups: Vec<GroupName>,
    /// The hash of the password.
    pub hash: String,
    /// How long the password lasts.
    pub age: PasswordAge,
}

/// A new password of a user.
#[derive(Clone, Debug)]
pub struct NewPassword<'a> {
    /// Its hash.
    pub hash: &'a str,
    /// How long it lasts.
    pub age: PasswordAge,
    /// Sessions that began before this moment, as RFC 3339 has it, are over; none leaves them as they are.
    pub signed_out_before: Option<String>,
}

/// A new password in the place of a known one, wanted by whoever knows that one.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// Whose password it is.
    pub user: UserName,
    /// The hash that the file had when the old password was checked.
    pub known: Arc<PasswordHash>,
    /// The hash of the new one.
    pub hash: String,
}

/// What became of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Nothing: the known password is not in the file any more, or its user is not.
    Outdated,
    /// It is in the file.
    Written,
}

/// What becomes of users that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Nothing: they are left as they are.
    Keep,
    /// They are a reason to add nobody.
    Refuse,
}

/// Adds a user; makes the file where there is none.
///
/// # Errors
/// `Exists` when the name, whatever its case, is taken; see [`EditUsersError`].
pub fn add(path: &Path, user: &NewUser) -> Result<(), EditUsersError> {
    let lock = FileLock::acquire(path).map_err(EditUsersError::Write)?;
    let written = Written::parse(read_or_begin(path)?, path)?;
    if written.position(user.name.as_str()).is_some() {
        return Err(EditUsersError::Exists(user.name.to_string()));
    }
    let entry = Entry::from(user);
    let candidate = written.with_added(&entry);
    let mut entries = written.entries();
    entries.push(entry);
    written.commit(&lock, candidate, &entries)
}

/// Adds several users at once, or none; answers how many were added.
///
/// # Errors
/// `Exists` with the first that is there, unless those are kept; see [`EditUsersError`].
pub fn add_all(
    path: &Path,
    users: &[NewUser],
    existing: Existing,
) -> Result<usize, EditUsersError> {
    let lock = FileLock::acquire(path).map_err(EditUsersError::Write)?;
    let written = Written::parse(read_or_begin(path)?, path)?;
    let mut entries = written.entries();
    let before = entries.len();
    for user in users {
        match (written.position(user.name.as_str()), existing) {
            (None, _) => entries.push(Entry::from(user)),
            (Some(_), Existing::Keep) => {}
            (Some(_), Existing::Refuse) => {
                return Err(EditUsersError::Exists(user.name.to_string()));
            }
        }
    }
    let added = entries.get(before..).unwrap_or_default();
    if !added.is_empty() {
        written.commit(&lock, written.with_all_added(added), &entries)?;
    }
    Ok(added.len())
}

fn read_or_begin(path: &Path) -> Result<String, LoadUsersError> {
    match document::read(path) {
        Err(LoadUsersError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(HEADER.to_owned())
        }
        read => read,
    }
}

/// Finds a user; answers the name as the file spells it.
///
/// # Errors
/// `Unknown` when there is no such user; see [`EditUsersError`].
pub fn spelling(path: &Path, name: &str) -> Result<String, EditUsersError> {
    let written = Written::parse(document::read(path)?, path)?;
    let index = written.index(name)?;
    let user = written.users.get(index).map(|user| user.name.value.clone());
    user.ok_or_else(|| EditUsersError::Unknown(name.to_owned()))
}

/// Gives a user another password hash; answers the name as the file spells it.
///
/// # Errors
/// `Unknown` when there is no such user; see [`EditUsersError`].
pub fn set_password(
    path: &Path,
    name: &str,
    new: &NewPassword<'_>,
) -> Result<String, EditUsersError> {
    let lock = FileLock::acquire(path).map_err(EditUsersError::Write)?;
    let written = Written::parse(document::read(path)?, path)?;
    let index = written.index(name)?;
    let mut entries = written.entries();
    let Some(entry) = entries.get_mut(index) else {
        return Err(EditUsersError::Unknown(name.to_owned()));
    };
    entry.take(new);
    let name = entry.name.clone();
    let news = BTreeMap::from([(index, new.clone())]);
    written.commit(&lock, written.with_passwords(&news), &entries)?;
    Ok(name)
}

/// Gives several users other passwords, in one write; answers what became of each change. Of two changes of
/// one password the later is outdated.
///
/// # Errors
/// See [`EditUsersError`]; then none of them is written.
pub fn change_passwords(
    path: &Path,
    changes: &[PasswordChange],
) -> Result<Vec<Changed>, EditUsersError> {
    let lock = FileLock::acquire(path).map_err(EditUsersError::Write)?;
    let written = Written::parse(document::read(path)?, path)?;
    let mut entries = written.entries();
    let mut news = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(changes.len());
    for change in changes {
        let index = written.position(change.user.as_str());
        let place = index.and_then(|index| Some((index, entries.get_mut(index)?)));
        let Some((index, entry)) = place.filter(|(_, entry)| entry.has(&change.known)) else {
            outcomes.push(Changed::Outdated);
            continue;
        };
        let new = NewPassword {
            hash: &change.hash,
            age: PasswordAge::Lasting,
            // Who changes the own password says by themselves what is to become of other sessions.
            signed_out_before: None,
        };
        entry.take(&new);
        news.insert(index, new);
        outcomes.push(Changed::Written);
    }
    if !news.is_empty() {
        written.commit(&lock, written.with_passwords(&news), &entries)?;
    }
    Ok(outcomes)
}

/// Removes a user; answers the name as the file spelt it.
///
/// # Errors
/// `Unknown` when there is no such user; see [`EditUsersError`].
pub fn remove(path: &Path, name: &str) -> Result<String, EditUsersError> {
    let lock = FileLock::acquire(path).map_err(EditUsersError::Write)?;
    let written = Written::parse(document::read(path)?, path)?;
    let index = written.index(name)?;
    let mut entries = written.entries();
    let removed = entries.remove(index);
    written.commit(&lock, written.without(index), &entries)?;
    Ok(removed.name)
}

const HEADER: &str =
    "# Users of Portway. `portway users` changes this file; by hand is fine too.\n";

/// The file as it stands, known to be right.
struct Written<'a> {
    path: &'a Path,
    text: String,
    users: Vec<RawUser>,
    /// Where each stands among them, by folded name.
    positions: BTreeMap<String, usize>,
}

impl<'a> Written<'a> {
    fn parse(text: String, path: &'a Path) -> Result<Self, EditUsersError> {
        if htpasswd::is_one(&text) {
            return Err(EditUsersError::Foreign);
        }
        // Adding somebody to an empty file mends it.
        let users = document::parse_raw(&text, path)?;
        if users.is_some() {
            document::parse(&text, path)?;
        }
        let users = users.unwrap_or_default();
        let names = users.iter().map(|user| document::fold(&user.name.value));
        let positions = names.zip(0..).collect();
        Ok(Self {
            path,
            text,
            users,
            positions,
        })
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(&document::fold(name)).copied()
    }

    fn index(&self, name: &str) -> Result<usize, EditUsersError> {
        self.position(name)
            .ok_or_else(|| EditUsersError::Unknown(name.trim().to_owned()))
    }

    fn entries(&self) -> Vec<Entry> {
        self.users.iter().map(Entry::from).collect()
    }

    /// The text with an entry after the last one; the list is the last thing in the file because no
    /// other key is allowed.
    fn with_added(&self, entry: &Entry) -> Option<String> {
        self.with_all_added(std::slice::from_ref(entry))
    }

    fn with_all_added(&self, added: &[Entry]) -> Option<String> {
        let indent = match self.users.last() {
            Some(user) => self.line(first_line(user)?)?.find('-')?,
            None if self.text.lines().all(is_remark) => {
                return Some(self.anew(added));
            }
            None => return None,
        };
        let newline = if self.text.ends_with('\n') { "" } else { "\n" };
        let added: String = added.iter().map(|entry| entry.print(indent)).collect();
        Some(format!("{}{newline}{added}", self.text))
    }

    /// The text without the lines of one entry. Blank lines and comments after them stay: they speak of
    /// the next entry.
    fn without(&self, index: usize) -> Option<String> {
        let start = first_line(self.users.get(index)?)?;
        let next = match self.users.get(index + 1) {
            Some(user) => first_line(user)?,
            None => self.text.lines().count(),
        };
        let lines: Vec<_> = self.text.split_inclusive('\n').collect();
        let taken = lines.get(start..next)?;
        let remarks = taken
            .iter()
            .rev()
            .take_while(|line| is_remark(line))
            .count();
        let kept = lines
            .get(..start)?
            .iter()
            .chain(lines.get(next.checked_sub(remarks)?..)?);
        Some(kept.copied().collect())
    }

    /// The whole document from its entries, under the remarks it begins with.
    fn anew(&self, entries: &[Entry]) -> String {
        let head: String = self
            .text
            .split_inclusive('\n')
            .take_while(|line| is_remark(line))
            .collect();
        let newline = if head.is_empty() || head.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        let list: String = entries.iter().map(|entry| entry.print(2)).collect();
        let key = if entries.is_empty() {
            "users: []\n"
        } else {
            "users:\n"
        };
        format!("{head}{newline}{key}{list}")
    }

    /// Puts the new text in place: the candidate if it says exactly what is wanted, else the list
    /// written anew.
    fn commit(
        &self,
        lock: &FileLock,
        candidate: Option<String>,
        wanted: &[Entry],
    ) -> Result<(), EditUsersError> {
        let text = candidate
            .filter(|text| self.says(text, wanted))
            .unwrap_or_else(|| self.anew(wanted));
        document::parse(&text, self.path)?;
        lock.replace(&text).map_err(EditUsersError::Write)
    }

    fn says(&self, text: &str, wanted: &[Entry]) -> bool {
        let users = document::parse_raw(text, self.path);
        users.is_ok_and(|users| {
            users.is_some_and(|users| users.iter().map(Entry::from).eq(wanted.iter().cloned()))
        })
    }

    fn line(&self, index: usize) -> Option<&str> {
        self.text.lines().nth(index)
    }
}

/// The line, counted from 0, on which an entry most likely begins: the one of its first key.
fn first_line(user: &RawUser) -> Option<usize> {
    let optional = [&user.display_name, &user.email].into_iter().flatten();
    let line = [&user.name, &user.password]
        .into_iter()
        .chain(optional)
        .chain(user.groups.first())
        .map(|text| text.referenced.line())
        .min()?;
    usize::try_from(line).ok()?.checked_sub(1)
}

fn is_remark(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "---"
}

#[cfg(test)]
mod tests;
