//! The users file as a document: YAML (or the form of `htpasswd`) in, checked users out, every fault at once with its place.
//!
//! No message quotes the file: a password hash must not reach a log. Unknown keys are refused, because
//! a misspelt `disabled` would leave an account open. Writing is in `edit`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::Location;
use serde_saphyr::Spanned;

use crate::model::attribute::AttributeError;
use crate::model::attribute::AttributeSet;
use crate::model::name::GroupName;
use crate::model::name::NameError;
use crate::model::name::UserName;
use crate::model::time::Timestamp;
pub use crate::ports::identity_provider::PasswordAge;
use crate::provider::users_file::attributes;
use crate::provider::users_file::attributes::RawAttributes;
pub use crate::provider::users_file::faults::Fault;
use crate::provider::users_file::faults::Listed;
use crate::provider::users_file::hash::ParseHashError;
use crate::provider::users_file::hash::PasswordHash;
use crate::provider::users_file::htpasswd;

/// Largest users file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most YAML nodes in it: some 200 000 users with a few groups each.
const NODES_MAX: usize = 4_000_000;
/// Longest display name or e-mail address, in bytes: both travel in a header of every request.
const LABEL_BYTES_MAX: usize = 256;

/// A user of the file, checked.
#[derive(Clone, Debug)]
pub struct User {
    /// The name, as the file spells it.
    pub name: UserName,
    /// The name to show.
    pub display_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The groups, in the file's order.
    pub groups: Vec<GroupName>,
    /// What else the file has about the user.
    pub attributes: AttributeSet,
    /// The hash of the password.
    pub password: Arc<PasswordHash>,
    /// How long the password lasts.
    pub age: PasswordAge,
    /// Whether the account is open.
    pub status: Status,
    /// Sessions that began before this are over.
    pub signed_out_before: Option<Timestamp>,
}

impl User {
    /// Whether the right password lets this user in.
    #[must_use]
    pub fn may_sign_in(&self) -> bool {
        self.status == Status::Active
    }
}

/// Whether an account is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The user may sign in.
    Active,
    /// The user may not; the entry is kept.
    Disabled,
}

/// Why a users file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadUsersError {
    /// Something in it is not right.
    #[error("{}", Listed(path, faults))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong, in the order of the file; never empty.
        faults: Vec<Fault>,
    },
    /// It could not be read.
    #[error("the users file {path} could not be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not YAML of the expected shape.
    #[error("the users file {path} is not right", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
}

/// What can be wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The name of an attribute is none.
    #[error("`{name}` is not the name of an attribute: {source}")]
    Attribute {
        /// What was written.
        name: String,
        /// Why it is none.
        #[source]
        source: NameError,
    },
    /// The attributes are too many or too long.
    #[error("{0}")]
    Attributes(#[source] AttributeError),
    /// The identity headers separate groups by commas: such a group would read as two.
    #[error("a group name must not hold a comma")]
    GroupWithComma,
    /// The group name is none.
    #[error("this is not a group name: {0}")]
    Group(#[source] NameError),
    /// The password hash is not usable.
    #[error("the password of {name} is not usable: {source}")]
    Hash {
        /// Whose it is.
        name: String,
        /// Why.
        #[source]
        source: ParseHashError,
    },
    /// A display name or e-mail address cannot travel in a header.
    #[error("the {0} holds a control character or is longer than {LABEL_BYTES_MAX} bytes")]
    Label(&'static str),
    /// A line of an `htpasswd` file without a colon.
    #[error("this line is not `name:hash`")]
    NotAPair,
    /// The user name is none.
    #[error("this is not a user name: {0}")]
    Name(#[source] NameError),
    /// The text is no moment.
    #[error("`{0}` is not a moment such as 2026-11-22T14:05:06Z")]
    Moment(String),
    /// There is no list of users: the file is empty, or was cut off at its beginning.
    #[error("there is no list `users`; a file without users says `users: []`")]
    NoList,
    /// Blanks around a name cannot be seen and are never typed.
    #[error("the name begins or ends with a blank")]
    SurroundingBlanks,
    /// Two names differ in case only, or not at all.
    #[error(
        "{name} is the same user as the one in line {first}; upper and lower case do not matter"
    )]
    Twice {
        /// The later name.
        name: String,
        /// Where the earlier one stands.
        first: u64,
    },
}

/// The form in which names are compared: without surrounding blanks, ASCII letters in lower case.
#[must_use]
pub fn fold(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

/// Reads and checks a users file.
///
/// # Errors
/// See [`LoadUsersError`].
pub fn load(path: &Path) -> Result<Vec<User>, LoadUsersError> {
    parse(&read(path)?, path)
}

/// Reads the text of a users file.
///
/// # Errors
/// `Read`, also when it is too large or not UTF-8.
pub fn read(path: &Path) -> Result<String, LoadUsersError> {
    let text = || -> io::Result<String> {
        if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it is larger than 64 MiB",
            ));
        }
        std::fs::read_to_string(path)
    };
    text().map_err(|source| LoadUsersError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Checks the text of a users file; `path` is for messages.
///
/// # Errors
/// `Invalid` or `Syntax`.
pub fn parse(text: &str, path: &Path) -> Result<Vec<User>, LoadUsersError> {
    if htpasswd::is_one(text) {
        return htpasswd::parse(text, path);
    }
    let Some(raw) = parse_raw(text, path)? else {
        // Nobody is to be signed out because a disk was full while somebody wrote.
        let start = Fault {
            line: 1,
            column: 1,
            problem: Problem::NoList,
        };
        return Err(LoadUsersError::Invalid {
            path: path.to_owned(),
            faults: vec![start],
        });
    };
    let mut faults = Vec::new();
    let mut lines = BTreeMap::new();
    let mut users = Vec::with_capacity(raw.len());
    for entry in raw {
        let line = entry.name.referenced.line();
        if let Some(first) = lines.insert(fold(&entry.name.value), line) {
            let name = entry.name.value.clone();
            faults.push(fault(
                &entry.name.referenced,
                Problem::Twice { name, first },
            ));
        }
        users.extend(check(entry, &mut faults));
    }
    if faults.is_empty() {
        return Ok(users);
    }
    Err(LoadUsersError::Invalid {
        path: path.to_owned(),
        faults,
    })
}

/// Checks a user name as it may stand in the file.
///
/// # Errors
/// `Name` or `SurroundingBlanks`.
pub fn user_name(text: &str) -> Result<UserName, Problem> {
    let name = UserName::parse(text).map_err(Problem::Name)?;
    if text.trim() == text {
        Ok(name)
    } else {
        Err(Problem::SurroundingBlanks)
    }
}

/// Checks a group name as it may stand in the file.
///
/// # Errors
/// `Group`, `GroupWithComma` or `SurroundingBlanks`.
pub fn group_name(text: &str) -> Result<GroupName, Problem> {
    let group = GroupName::parse(text).map_err(Problem::Group)?;
    if text.contains(',') {
        return Err(Problem::GroupWithComma);
    }
    if text.trim() == text {
        Ok(group)
    } else {
        Err(Problem::SurroundingBlanks)
    }
}

/// Checks a display name or an e-mail address; `what` names it in the message.
///
/// # Errors
/// `Label`.
pub fn label(text: &str, what: &'static str) -> Result<(), Problem> {
    if text.len() <= LABEL_BYTES_MAX && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Problem::Label(what))
}

/// A user as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUser {
    pub(super) name: Spanned<String>,
    pub(super) display_name: Option<Spanned<String>>,
    pub(super) email: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) groups: Vec<Spanned<String>>,
    pub(super) attributes: Option<Spanned<RawAttributes>>,
    pub(super) password: Spanned<String>,
    #[serde(default)]
    pub(super) must_change: bool,
    #[serde(default)]
    pub(super) disabled: bool,
    pub(super) signed_out_before: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDocument {
    users: Option<Vec<RawUser>>,
}

/// Reads the shape of the document without judging its values; none where it has no list.
pub(super) fn parse_raw(text: &str, path: &Path) -> Result<Option<Vec<RawUser>>, LoadUsersError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: NODES_MAX,
            max_events: NODES_MAX * 2,
        },
        strict_booleans: true,
        with_snippet: false,
    };
    let document: Option<RawDocument> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|source| LoadUsersError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
    Ok(document.and_then(|document| document.users))
}

fn check(raw: RawUser, faults: &mut Vec<Fault>) -> Option<User> {
    let mut note = |place: &Location, problem| faults.push(fault(place, problem));
    let name = user_name(&raw.name.value).map_err(|problem| note(&raw.name.referenced, problem));
    let mut groups = Vec::with_capacity(raw.groups.len());
    for group in &raw.groups {
        match group_name(&group.value) {
            Ok(group) => groups.push(group),
            Err(problem) => note(&group.referenced, problem),
        }
    }
    for (text, what) in [
        (&raw.display_name, "display name"),
        (&raw.email, "e-mail address"),
    ] {
        if let Some(text) = text
            && let Err(problem) = label(&text.value, what)
        {
            note(&text.referenced, problem);
        }
    }
    let attributes = raw.attributes.as_ref().map(|written| {
        attributes::checked(&written.value).map_err(|problem| note(&written.referenced, problem))
    });
    let password = PasswordHash::parse(&raw.password.value).map_err(|source| {
        let name = raw.name.value.clone();
        note(&raw.password.referenced, Problem::Hash { name, source });
    });
    let signed_out_before = raw.signed_out_before.as_ref().map(|written| {
        moment(&written.value).ok_or_else(|| {
            let problem = Problem::Moment(written.value.clone());
            note(&written.referenced, problem);
        })
    });
    Some(User {
        name: name.ok()?,
        signed_out_before: signed_out_before.transpose().ok()?,
        display_name: raw.display_name.map(|text| text.value),
        email: raw.email.map(|text| text.value),
        groups,
        attributes: attributes
            .unwrap_or_else(|| Ok(AttributeSet::default()))
            .ok()?,
        password: Arc::new(password.ok()?),
        age: if raw.must_change {
            PasswordAge::MustChange
        } else {
            PasswordAge::Lasting
        },
        status: if raw.disabled {
            Status::Disabled
        } else {
            Status::Active
        },
    })
}

fn moment(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    let millis = u64::try_from(at.as_millisecond()).ok()?;
    Some(Timestamp::from_millis(millis))
}

fn fault(place: &Location, problem: Problem) -> Fault {
    Fault {
        line: place.line(),
        column: place.column(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::users_file::tests::HASH;

    #[test]
    fn a_whole_entry_is_read() {
        let users = read_text(&format!(
            "users:\n  - name: Alice\n    display_name: Alice Ng\n    email: alice@example.test\n    \
             groups: [staff, ops]\n    password: {HASH}\n  - {{name: bob, password: '{HASH}', disabled: true}}\n"
        ))
        .unwrap();
        let [alice, bob] = users.as_slice() else {
            panic!("{users:?}")
        };
        assert_eq!(alice.name.as_str(), "Alice");
        assert_eq!(alice.display_name.as_deref(), Some("Alice Ng"));
        assert_eq!(alice.email.as_deref(), Some("alice@example.test"));
        assert_eq!(alice.groups.len(), 2);
        assert!(alice.may_sign_in());
        assert!(!bob.may_sign_in());
    }

    #[test]
    fn attributes_are_texts_or_lists_of_texts_within_bounds() {
        let file = |attributes: &str| {
            read_text(&format!(
                "users:\n  - name: a\n    attributes: {attributes}\n    password: {HASH}\n"
            ))
        };
        let users = file("{ department: sales, projects: [x, \"7\"], none: [] }").unwrap();
        let attributes = &users[0].attributes;
        let texts = |name: &str| attributes.get(name).map(|value| value.texts().join(","));
        assert_eq!(texts("department").as_deref(), Some("sales"));
        assert_eq!(texts("projects").as_deref(), Some("x,7"));
        assert_eq!(texts("none").as_deref(), Some(""));
        for (attributes, told) in [
            ("{ clearance: 7 }", "in quotes if it looks like a number"),
            ("{ intern: true }", "in quotes if it looks like a number"),
            ("{ a: [[x]] }", "a list inside a list"),
            (
                "{ a b: x }",
                "users.yaml:3:17: `a b` is not the name of an attribute",
            ),
            (
                "{ a: \"x\\ty\" }",
                "users.yaml:3:17: an attribute holds a control character",
            ),
        ] {
            let error = anyhow::Error::from(file(attributes).unwrap_err());
            let message = format!("{error:#}");
            assert!(message.contains(told), "{attributes}: {message}");
        }
    }

    #[test]
    fn a_file_without_users_says_so_and_an_empty_one_is_a_fault() {
        for text in ["users: []\n", "# nobody yet\nusers: []"] {
            assert!(read_text(text).unwrap().is_empty(), "{text:?}");
        }
        for text in ["", "\n", "# nobody yet\n", "users:\n", "---\n", "{}\n"] {
            let message = read_text(text).unwrap_err().to_string();
            assert_eq!(
                message,
                "users.yaml:1:1: there is no list `users`; a file without users says `users: []`",
                "{text:?}"
            );
        }
    }

    #[test]
    fn names_that_differ_in_case_only_collide() {
        let text = format!(
            "users:\n  - {{name: alice, password: '{HASH}'}}\n  - {{name: ALICE, password: '{HASH}'}}\n"
        );
        let message = read_text(&text).unwrap_err().to_string();
        assert_eq!(
            message,
            "users.yaml:3:12: ALICE is the same user as the one in line 2; upper and lower case do \
             not matter"
        );
    }

    #[test]
    fn every_fault_is_told_with_its_place_and_without_the_hash() {
        let text = format!(
            "users:\n  - name: \"a\\tb\"\n    password: plain-secret\n  - name: bob\n    \
             groups: [\"x,y\", \"\", ok]\n    display_name: \"a\\nb\"\n    password: {HASH}\n  - \
             {{name: \" eve\", password: '{HASH}'}}\n"
        );
        let message = read_text(&text).unwrap_err().to_string();
        let lines: Vec<_> = message.lines().collect();
        assert_eq!(lines.len(), 6, "{message}");
        assert!(
            lines[0].starts_with("users.yaml:2:11: this is not a user name"),
            "{message}"
        );
        assert!(
            lines[1].starts_with("users.yaml:3:15: the password of"),
            "{message}"
        );
        assert!(
            lines[2].starts_with("users.yaml:5:14: a group name must not hold"),
            "{message}"
        );
        assert!(
            lines[5].starts_with("users.yaml:8:12: the name begins or ends"),
            "{message}"
        );
        assert!(!message.contains("plain-secret"), "{message}");
    }

    #[test]
    fn unknown_and_missing_keys_are_refused_with_line_and_column() {
        for (text, expected) in [
            (
                format!("users:\n  - name: a\n    password: {HASH}\n    disbled: true\n"),
                "disbled",
            ),
            ("users:\n  - name: a\n".to_owned(), "password"),
            ("people: []\n".to_owned(), "people"),
            (
                format!("users:\n  - {{name: a, password: '{HASH}', disabled: yes}}\n"),
                "bool",
            ),
        ] {
            let message = format!("{:#}", anyhow::Error::from(read_text(&text).unwrap_err()));
            assert!(
                message.contains(expected) && message.contains("line"),
                "{message}"
            );
            assert!(!message.contains("argon2id$v"), "{message}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("/nonexistent/users.yaml")).unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/users.yaml"),
            "{error}"
        );
    }

    fn read_text(text: &str) -> Result<Vec<User>, LoadUsersError> {
        parse(text, Path::new("users.yaml"))
    }
}
