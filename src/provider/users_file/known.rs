//! The users who were found able to sign in when somebody last acted on it, kept in a file: whoever is
//! removed or disabled while the gateway is stopped is noticed when it starts (S-10).
//!
//! What is done about them is not decided here.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crate::model::name::UserName;
use crate::provider::users_file::UsersFileProvider;
use crate::provider::users_file::document::fold;
use crate::provider::users_file::replace::FileLock;

/// The users known so far.
#[derive(Debug)]
pub struct KnownUsers {
    path: PathBuf,
    /// By folded name.
    users: BTreeMap<String, UserName>,
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
        let user = |line: &str| {
            let user = UserName::parse(line).map_err(io::Error::other)?;
            Ok((fold(line), user))
        };
        let users = text.lines().map(user).collect::<io::Result<_>>()?;
        Ok(Self { path, users })
    }

    /// Those of them who may not sign in any more.
    #[must_use]
    pub fn lost(&self, provider: &UsersFileProvider) -> Vec<UserName> {
        let users = self.users.values();
        let lost = users.filter(|user| !provider.may_sign_in(user));
        lost.cloned().collect()
    }

    /// Knows the users of now, in place of those before. Called once the sessions of the lost are over.
    ///
    /// # Errors
    /// When the file could not be written; they are known until the gateway stops.
    pub fn replace(&mut self, provider: &UsersFileProvider) -> io::Result<()> {
        let names = provider.names().into_iter();
        self.users = names.map(|user| (fold(user.as_str()), user)).collect();
        let mut text = String::new();
        for user in self.users.values() {
            text.push_str(user.as_str());
            text.push('\n');
        }
        FileLock::acquire(&self.path)?.replace(&text)
    }
}
