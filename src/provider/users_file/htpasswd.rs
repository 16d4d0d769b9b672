//! The form of `htpasswd`: one `name:hash` a line. Read only; whoever keeps such a file keeps it with the tool
//! that made it.
//!
//! Names are those of Portway all the same: upper and lower case do not matter, and two that differ in it
//! only are a fault.

use std::path::Path;
use std::sync::Arc;

use crate::model::attribute::AttributeSet;
use crate::provider::users_file::document;
use crate::provider::users_file::document::Fault;
use crate::provider::users_file::document::LoadUsersError;
use crate::provider::users_file::document::PasswordAge;
use crate::provider::users_file::document::Problem;
use crate::provider::users_file::document::Status;
use crate::provider::users_file::document::User;
use crate::provider::users_file::hash::PasswordHash;

/// Whether a text is to be read so: its first line is `name:` and something, which is no key of YAML.
#[must_use]
pub fn is_one(text: &str) -> bool {
    let mut lines = lines(text);
    let first = lines.next().and_then(|(_, line)| line.split_once(':'));
    first.is_some_and(|(_, rest)| !rest.is_empty() && !rest.starts_with(char::is_whitespace))
}

/// Reads users; `path` is for messages.
///
/// # Errors
/// `Invalid`, with every line that is wrong.
pub fn parse(text: &str, path: &Path) -> Result<Vec<User>, LoadUsersError> {
    let mut faults = Vec::new();
    let mut users = Vec::new();
    let mut seen = std::collections::BTreeMap::new();
    for (number, line) in lines(text) {
        match user(line) {
            Ok(user) => {
                let name = user.name.to_string();
                if let Some(first) = seen.insert(document::fold(&name), number) {
                    faults.push(fault(number, Problem::Twice { name, first }));
                }
                users.push(user);
            }
            Err(problem) => faults.push(fault(number, problem)),
        }
    }
    if faults.is_empty() {
        return Ok(users);
    }
    Err(LoadUsersError::Invalid {
        path: path.to_owned(),
        faults,
    })
}

/// The hashes of the lines of a right file, as they are written.
pub fn hashes(text: &str) -> impl Iterator<Item = &str> {
    lines(text).filter_map(|(_, line)| {
        let (_, rest) = line.split_once(':')?;
        rest.split(':').next()
    })
}

fn user(line: &str) -> Result<User, Problem> {
    let (name, rest) = line.split_once(':').ok_or(Problem::NotAPair)?;
    let name = document::user_name(name)?;
    // Apache ignores what follows a second colon.
    let hash = rest.split(':').next().unwrap_or_default();
    let password = PasswordHash::parse(hash).map_err(|source| Problem::Hash {
        name: name.to_string(),
        source,
    })?;
    Ok(User {
        name,
        display_name: None,
        email: None,
        groups: Vec::new(),
        attributes: AttributeSet::default(),
        password: Arc::new(password),
        age: PasswordAge::Lasting,
        status: Status::Active,
        signed_out_before: None,
    })
}

/// The lines that say something, each with its number.
fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    let numbered = (1..).zip(text.lines().map(|line| line.trim_end_matches('\r')));
    numbered.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

const fn fault(line: u64, problem: Problem) -> Fault {
    Fault {
        line,
        column: 1,
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::users_file::hash::Outcome;

    fn read(text: &str) -> Result<Vec<User>, LoadUsersError> {
        document::parse(text, Path::new("htpasswd"))
    }

    #[test]
    fn a_file_of_htpasswd_is_known_by_its_first_line() {
        for text in ["a:$2y$x", "# head\n\nalice:x\n", "a:b:c"] {
            assert!(is_one(text), "{text:?}");
        }
        for text in [
            "",
            "users:\n  - name: a\n",
            "users: []",
            "users:\n- {name: \"a:b\"}",
            "# nobody: yet\n",
            "---\nusers:\n",
        ] {
            assert!(!is_one(text), "{text:?}");
        }
    }

    #[test]
    fn users_are_read_with_their_hashes() {
        let hash = bcrypt::hash_with_salt("sesame", 4, [7; 16]).unwrap();
        let hash = hash.format_for_version(bcrypt::Version::TwoY);
        let users = read(&format!("# head\n\nAlice:{hash}\r\nbob:{hash}:a remark\n")).unwrap();
        assert_eq!(users.len(), 2);
        assert_eq!(users[0].name.as_str(), "Alice");
        for user in &users {
            assert_eq!(user.password.verify(b"sesame").unwrap(), Outcome::Match);
            assert!(user.may_sign_in());
        }
    }

    #[test]
    fn every_line_of_another_scheme_is_told_with_its_remedy_and_without_its_hash() {
        let hash = bcrypt::hash_with_salt("sesame", 4, [7; 16])
            .unwrap()
            .to_string();
        let text = format!(
            "alice:{hash}\nbob:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00\ncarol:rqXexS6ZhobKA\n\
             dora:{{SHA}}nU4eI71bcnBGqeO0t9tXvY1u5oQ=\ned:plain-secret\nnobody\nALICE:{hash}\n"
        );
        let message = read(&text).unwrap_err().to_string();
        let lines: Vec<_> = message.lines().collect();
        for (line, (number, words)) in lines.iter().zip([
            (
                2,
                "the password of bob is not usable: the scheme MD5 is not supported",
            ),
            (
                3,
                "the password of carol is not usable: the scheme crypt is not supported",
            ),
            (
                4,
                "the password of dora is not usable: the scheme SHA-1 is not supported",
            ),
            (
                5,
                "the password of ed is not usable: it is not a password hash",
            ),
            (6, "this line is not `name:hash`"),
            (7, "ALICE is the same user as the one in line 1"),
        ]) {
            assert!(
                line.starts_with(&format!("htpasswd:{number}:1: {words}")),
                "{message}"
            );
        }
        assert_eq!(lines.len(), 6, "{message}");
        for line in &lines[..3] {
            assert!(line.contains("htpasswd -B"), "{message}");
        }
        assert!(
            !message.contains("plain-secret") && !message.contains("lZL6V"),
            "{message}"
        );
    }
}
