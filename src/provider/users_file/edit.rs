//! Changes to the users file: one user added, changed or removed, the rest left as it was written.
//!
//! A change is made in the text, so that comments and order stay. The outcome is read back; where the
//! text could not be changed so simply (anchors, flow style), the list is written anew from what it
//! says. Asking for passwords is in `cli`.

use std::io;
use std::path::Path;

use crate::model::name::GroupName;
use crate::model::name::UserName;
use crate::provider::users_file::attributes::RawAttributes;
use crate::provider::users_file::document;
use crate::provider::users_file::document::LoadUsersError;
use crate::provider::users_file::document::RawUser;
use crate::provider::users_file::replace::FileLock;

/// Why the users file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditUsersError {
    /// There is such a user already.
    #[error("there is a user {0} already")]
    Exists(String),
    /// The file is missing or wrong as it stands.
    #[error(transparent)]
    Load(#[from] LoadUsersError),
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
    /// The hash of the password, in PHC string format.
    pub hash: String,
}

/// Adds a user; makes the file where there is none.
///
/// # Errors
/// `Exists` when the name, whatever its case, is taken; see [`EditUsersError`].
pub fn add(path: &Path, user: &NewUser) -> Result<(), EditUsersError> {
    let lock = FileLock::acquire(path).map_err(EditUsersError::Write)?;
    let text = match document::read(path) {
        Err(LoadUsersError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            HEADER.to_owned()
        }
        read => read?,
    };
    let written = Written::parse(text, path)?;
    if written.position(user.name.as_str()).is_some() {
        return Err(EditUsersError::Exists(user.name.to_string()));
    }
    let entry = Entry::from(user);
    let candidate = written.with_added(&entry);
    let mut entries = written.entries();
    entries.push(entry);
    written.commit(&lock, candidate, &entries)
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
pub fn set_password(path: &Path, name: &str, hash: &str) -> Result<String, EditUsersError> {
    let lock = FileLock::acquire(path).map_err(EditUsersError::Write)?;
    let written = Written::parse(document::read(path)?, path)?;
    let index = written.index(name)?;
    let mut entries = written.entries();
    let Some(entry) = entries.get_mut(index) else {
        return Err(EditUsersError::Unknown(name.to_owned()));
    };
    hash.clone_into(&mut entry.password);
    let name = entry.name.clone();
    written.commit(&lock, written.with_password(index, hash), &entries)?;
    Ok(name)
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
}

impl<'a> Written<'a> {
    fn parse(text: String, path: &'a Path) -> Result<Self, LoadUsersError> {
        document::parse(&text, path)?;
        let users = document::parse_raw(&text, path)?;
        Ok(Self { path, text, users })
    }

    fn position(&self, name: &str) -> Option<usize> {
        let name = document::fold(name);
        self.users
            .iter()
            .position(|user| document::fold(&user.name.value) == name)
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
        let indent = match self.users.last() {
            Some(user) => self.line(first_line(user)?)?.find('-')?,
            None if self.text.lines().all(is_remark) => {
                return Some(self.anew(std::slice::from_ref(entry)));
            }
            None => return None,
        };
        let newline = if self.text.ends_with('\n') { "" } else { "\n" };
        Some(format!("{}{newline}{}", self.text, entry.print(indent)))
    }

    fn with_password(&self, index: usize, hash: &str) -> Option<String> {
        let span = self.users.get(index)?.password.referenced.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
        let (before, after) = (self.text.get(..start)?, self.text.get(end..)?);
        Some(format!("{before}{}{after}", quoted(hash)))
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
        document::parse_raw(text, self.path)
            .is_ok_and(|users| users.iter().map(Entry::from).eq(wanted.iter().cloned()))
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

/// What an entry says, apart from how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    display_name: Option<String>,
    email: Option<String>,
    groups: Vec<String>,
    attributes: RawAttributes,
    password: String,
    disabled: bool,
}

impl Entry {
    fn print(&self, indent: usize) -> String {
        let pad = " ".repeat(indent);
        let mut text = format!("{pad}- name: {}\n", quoted(&self.name));
        let mut line = |key: &str, value: &str| text.push_str(&format!("{pad}  {key}: {value}\n"));
        if let Some(name) = &self.display_name {
            line("display_name", &quoted(name));
        }
        if let Some(email) = &self.email {
            line("email", &quoted(email));
        }
        if !self.groups.is_empty() {
            let groups: Vec<_> = self.groups.iter().map(|group| quoted(group)).collect();
            line("groups", &format!("[{}]", groups.join(", ")));
        }
        if !self.attributes.is_empty() {
            line("attributes", &self.attributes.print(quoted));
        }
        line("password", &quoted(&self.password));
        if self.disabled {
            line("disabled", "true");
        }
        text
    }
}

impl From<&RawUser> for Entry {
    fn from(user: &RawUser) -> Self {
        Self {
            name: user.name.value.clone(),
            display_name: user.display_name.as_ref().map(|text| text.value.clone()),
            email: user.email.as_ref().map(|text| text.value.clone()),
            groups: user.groups.iter().map(|text| text.value.clone()).collect(),
            attributes: user
                .attributes
                .as_ref()
                .map_or_else(RawAttributes::default, |written| written.value.clone()),
            password: user.password.value.clone(),
            disabled: user.disabled,
        }
    }
}

impl From<&NewUser> for Entry {
    fn from(user: &NewUser) -> Self {
        Self {
            name: user.name.to_string(),
            display_name: user.display_name.clone(),
            email: user.email.clone(),
            groups: user.groups.iter().map(ToString::to_string).collect(),
            attributes: RawAttributes::default(),
            password: user.hash.clone(),
            disabled: false,
        }
    }
}

/// A YAML double-quoted scalar; a JSON string is one, and needs no knowledge of what YAML would take
/// for a number, a boolean or an anchor.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
