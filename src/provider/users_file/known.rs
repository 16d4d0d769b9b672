//! The users who were found able to sign in when somebody last acted on it, kept in a file: whoever is
//! removed or disabled while the gateway is stopped is noticed when it starts (S-10).
//!
//! What is done about them is not decided here.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use crate::model::name::UserName;
use crate::provider::users_file::replace::FileLock;

/// The users known so far.
#[derive(Debug)]
pub struct KnownUsers {
    path: PathBuf,
    /// As they are spelt: sessions are found by that.
    users: BTreeSet<UserName>,
}

impl KnownUsers {
    /// Reads whom an earlier run knew; nobody, where there was none.
    ///
    /// # Errors
    /// When there is a file that cannot be read, or is none of ours.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let user = |line: &str| UserName::parse(line).map_err(io::Error::other);
        let users = text.lines().map(user).collect::<io::Result<_>>()?;
        Ok(Self { path, users })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.users.len()
    }

    /// Those of them who are not among the users who may sign in. Whoever is spelt otherwise now is lost, too:
    /// nobody would end under the new name what began under the old one.
    #[must_use]
    pub fn lost(&self, users: &[UserName]) -> Vec<UserName> {
        let there: BTreeSet<&UserName> = users.iter().collect();
        let lost = self.users.iter().filter(|user| !there.contains(user));
        lost.cloned().collect()
    }

    /// Knows these users, in place of those before. Called once the sessions of those are over who are lost
    /// among the very same.
    ///
    /// # Errors
    /// When the file could not be written; they are known until the gateway stops.
    pub fn replace(&mut self, users: Vec<UserName>) -> io::Result<()> {
        self.users = users.into_iter().collect();
        let mut text = String::new();
        for user in &self.users {
            text.push_str(user.as_str());
            text.push('\n');
        }
        FileLock::acquire(&self.path)?.replace(&text)
    }
}
