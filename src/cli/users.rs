//! `portway users`: adds, changes, lists and removes the users of a users file.
//!
//! A password comes from the terminal, without echo, or from standard input; never from the command
//! line, where every process could read it. What the file looks like is known in `provider`.

use std::io;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::Subcommand;

use crate::cli::users::place::Place;
use crate::cli::users::place::PlaceArgs;
use crate::decision::identity_headers::VALUE_BYTES_MAX;
use crate::decision::identity_headers::groups_fit;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::logbook::moment::rfc3339;
use crate::model::name::GroupName;
use crate::model::secret::Secret;
use crate::ports::clock::Clock;
use crate::provider::users_file::document;
use crate::provider::users_file::document::LoadUsersError;
use crate::provider::users_file::document::PasswordAge;
use crate::provider::users_file::document::Status;
use crate::provider::users_file::document::User;
use crate::provider::users_file::edit;
use crate::provider::users_file::edit::EditUsersError;
use crate::provider::users_file::edit::Existing;
use crate::provider::users_file::edit::NewPassword;
use crate::provider::users_file::edit::NewUser;
use crate::provider::users_file::hash;
use crate::provider::users_file::hash::HashPasswordError;
use crate::provider::users_file::htpasswd;
use crate::system::SystemClock;

mod place;

/// Adds, changes, lists and removes users of the users file.
#[derive(Args, Debug)]
pub(super) struct UsersArgs {
    /// What to do.
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Subcommand, Debug)]
enum UsersCommand {
    /// Adds a user; asks for the password, or reads it from standard input
    Add {
        /// The name to sign in with
        name: String,
        /// The name to show
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
        /// The e-mail address
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// A group of the user; may be given several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// The user is to choose another password at the first sign-in
        #[arg(long)]
        must_change: bool,
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Takes users over from a file of `htpasswd`, with their bcrypt hashes
    Import {
        /// The file of `htpasswd`
        from: PathBuf,
        /// A group of every user taken over; may be given several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Leaves users as they are that are there already
        #[arg(long)]
        skip_existing: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Lists the users: name, groups, e-mail address, and `disabled`, `must change` or `weak hash`
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Gives a user a new password
    Passwd {
        /// The user's name
        name: String,
        /// The user is to choose another one at the next sign-in
        #[arg(long)]
        must_change: bool,
        /// Leaves sessions as they are that began with the old one
        #[arg(long)]
        keep_sessions: bool,
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Removes a user
    Remove {
        /// The user's name
        name: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Where the password comes from.
#[derive(Args, Debug)]
struct PasswordArgs {
    /// Reads the password from the first line of standard input, even from a terminal
    #[arg(long)]
    password_stdin: bool,
}

/// Runs `portway users`: 0 when it was done, 2 when the file, the name or the password is not right,
/// 1 when anything else failed.
pub(super) fn run(args: &UsersArgs) -> ExitCode {
    let Err(error) = execute(&args.command, &mut io::stdout()) else {
        return ExitCode::SUCCESS;
    };
    super::complain(&format!("portway users: {error:#}\n"));
    if is_refusal(&error) {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// What is wrong with what was asked for, as opposed to what failed on the way.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the two passwords differ")]
    Differ,
    #[error("{0}: {1}")]
    Argument(String, document::Problem),
    #[error("{0} names no users file (authentication.users_file)")]
    NoUsersFile(PathBuf),
    #[error("the password is not UTF-8 text")]
    NotText,
}

fn execute(command: &UsersCommand, out: &mut dyn Write) -> anyhow::Result<()> {
    match command {
        UsersCommand::Add {
            name,
            display_name,
            email,
            groups,
            must_change,
            password,
            place,
        } => {
            let place = place.find()?;
            let user = NewUser {
                name: document::user_name(name).map_err(|problem| argument(name, problem))?,
                display_name: checked(display_name.as_deref(), "display name")?,
                email: checked(email.as_deref(), "e-mail address")?,
                groups: group_names(groups)?,
                hash: new_hash(&place, password)?,
                age: age(*must_change),
            };
            edit::add(&place.file, &user)?;
            let event = changed("added", user.name.as_str());
            place.record(event.with("groups", groups.join(",")));
            writeln!(out, "added {}", shown(user.name.as_str()))?;
        }
        UsersCommand::Import {
            from,
            groups,
            skip_existing,
            place,
        } => {
            let users = imported(from, &group_names(groups)?)?;
            let existing = if *skip_existing {
                Existing::Keep
            } else {
                Existing::Refuse
            };
            let place = place.find()?;
            let added = edit::add_all(&place.file, &users, existing)?;
            place.record(changed("imported", &added.to_string()));
            writeln!(out, "added {added} of {}", users.len())?;
        }
        UsersCommand::List { place } => list(&document::load(&place.find()?.file)?, out)?,
        UsersCommand::Passwd {
            name,
            must_change,
            keep_sessions,
            password,
            place,
        } => {
            let place = place.find()?;
            edit::spelling(&place.file, name)?;
            let new = NewPassword {
                hash: &new_hash(&place, password)?,
                age: age(*must_change),
                signed_out_before: (!keep_sessions).then(|| rfc3339(SystemClock.now())),
            };
            writeln!(out, "{}", set_password(&place, name, &new)?)?;
        }
        UsersCommand::Remove { name, place } => {
            let place = place.find()?;
            let name = edit::remove(&place.file, name)?;
            place.record(changed("removed", &name));
            writeln!(out, "removed {}", shown(&name))?;
        }
    }
    Ok(())
}

/// Gives a user a new password, and says so.
fn set_password(place: &Place, name: &str, new: &NewPassword<'_>) -> anyhow::Result<String> {
    let name = edit::set_password(&place.file, name, new)?;
    let (sessions, told) = match new.signed_out_before {
        Some(_) => ("ended", "sessions that began before end"),
        None => ("kept", "sessions that began before go on"),
    };
    let event = Event::new(EventKind::PasswordChanged).with("user", &*name);
    place.record(event.with("sessions", sessions));
    Ok(format!("changed the password of {}; {told}", shown(&name)))
}

/// The hash of a password that is asked for. One that its user could not choose is taken: it may be for once.
fn new_hash(place: &Place, args: &PasswordArgs) -> anyhow::Result<String> {
    let password = read_password(args)?;
    let hash = hash::hash_password(password.expose())?;
    let least = place.password_rules().length_min;
    let characters = String::from_utf8_lossy(password.expose()).chars().count();
    if characters < least {
        super::complain(&format!(
            "warning: the password has fewer than {least} characters, the least that users may choose \
             (authentication.password_length_min)\n"
        ));
    }
    Ok(hash)
}

const fn age(must_change: bool) -> PasswordAge {
    if must_change {
        PasswordAge::MustChange
    } else {
        PasswordAge::Lasting
    }
}

fn group_names(groups: &[String]) -> Result<Vec<GroupName>, Refusal> {
    let checked = |group: &String| document::group_name(group).map_err(|why| argument(group, why));
    let names: Vec<GroupName> = groups.iter().map(checked).collect::<Result<_, _>>()?;
    if !groups_fit(&names) {
        super::complain(&format!(
            "warning: so many groups do not fit into the {VALUE_BYTES_MAX} bytes of a header; requests of such a \
             user are refused where all of them are sent to applications (identity_headers.only_groups)\n"
        ));
    }
    Ok(names)
}

/// The users of a file of `htpasswd`. The hashes are checked, and taken over as they are written.
fn imported(from: &Path, groups: &[GroupName]) -> anyhow::Result<Vec<NewUser>> {
    let text = document::read(from)?;
    let written: Vec<_> = htpasswd::hashes(&text).map(str::to_owned).collect();
    let users = htpasswd::parse(&text, from)?;
    let users = users.into_iter().zip(written).map(|(user, hash)| NewUser {
        name: user.name,
        display_name: None,
        email: None,
        groups: groups.to_vec(),
        hash,
        age: PasswordAge::Lasting,
    });
    Ok(users.collect())
}

fn changed(what: &'static str, user: &str) -> Event {
    Event::new(EventKind::UsersChanged).with(what, user)
}

fn list(users: &[User], out: &mut dyn Write) -> io::Result<()> {
    for user in users {
        let groups: Vec<_> = user
            .groups
            .iter()
            .map(|group| shown(group.as_str()))
            .collect();
        let status = match (user.status, user.age) {
            (Status::Disabled, _) => "disabled",
            (Status::Active, PasswordAge::MustChange) => "must change",
            (Status::Active, PasswordAge::Lasting) if user.password.is_weak() => "weak hash",
            (Status::Active, PasswordAge::Lasting) => "",
        };
        let line = [
            shown(user.name.as_str()),
            groups.join(","),
            shown(user.email.as_deref().unwrap_or_default()),
            status.to_owned(),
        ]
        .join("\t");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A value as it may be printed on a terminal: none of it is a control sequence. Such a value is
/// refused where it is read, so this only matters for characters that terminals treat specially.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn checked(text: Option<&str>, what: &'static str) -> Result<Option<String>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    document::label(text, what).map_err(|problem| argument(text, problem))?;
    Ok(Some(text.to_owned()))
}

fn argument(text: &str, problem: document::Problem) -> Refusal {
    Refusal::Argument(shown(text), problem)
}

fn read_password(args: &PasswordArgs) -> anyhow::Result<Secret> {
    let stdin = io::stdin();
    if args.password_stdin || !stdin.is_terminal() {
        return first_line(stdin.lock()).context("standard input could not be read");
    }
    let password = ask("New password: ")?;
    // Tell of a useless password before asking for it twice.
    hash::check_length(password.expose()).map_err(HashPasswordError::Password)?;
    if ask("Again: ")? != password {
        return Err(Refusal::Differ.into());
    }
    Ok(password)
}

fn ask(prompt: &str) -> anyhow::Result<Secret> {
    let typed = rpassword::prompt_password(prompt).context("the terminal could not be read")?;
    Ok(Secret::new(typed.into_bytes()))
}

/// The first line without its end; a little more than the longest password is read at most.
fn first_line(input: impl BufRead) -> anyhow::Result<Secret> {
    let mut line = Vec::new();
    let bound = u64::try_from(hash::PASSWORD_BYTES_MAX + 2)?;
    input.take(bound).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    let line = Secret::new(line);
    if std::str::from_utf8(line.expose()).is_err() {
        return Err(Refusal::NotText.into());
    }
    Ok(line)
}

fn is_refusal(error: &anyhow::Error) -> bool {
    error.is::<Refusal>()
        || error.is::<LoadUsersError>()
        || matches!(error.downcast_ref(), Some(HashPasswordError::Password(_)))
        || matches!(
            error.downcast_ref(),
            Some(
                EditUsersError::Exists(_)
                    | EditUsersError::Foreign
                    | EditUsersError::Load(_)
                    | EditUsersError::Unknown(_)
            )
        )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        users: UsersArgs,
    }

    #[test]
    fn the_arguments_are_consistent() {
        <Line as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn no_option_takes_a_password_on_the_command_line() {
        for line in [
            ["users", "add", "bob", "--password=x"],
            ["users", "passwd", "bob", "secret"],
        ] {
            assert!(Line::try_parse_from(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_password_is_the_first_line_of_the_input_without_its_end() {
        for (input, password) in [
            ("a b\n", "a b"),
            ("ab\r\nc\n", "ab"),
            ("ab", "ab"),
            ("", ""),
            (" x ", " x "),
        ] {
            assert_eq!(
                first_line(input.as_bytes()).unwrap().expose(),
                password.as_bytes()
            );
        }
        let long = vec![b'a'; 100_000];
        assert!(first_line(&*long).unwrap().expose().len() > hash::PASSWORD_BYTES_MAX);
        assert!(is_refusal(&first_line(&b"\xff\n"[..]).unwrap_err()));
    }

    #[test]
    fn users_are_listed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.yaml");
        let hash = hash::hash_password(b"x").unwrap();
        std::fs::write(
            &path,
            format!(
                "users:\n  - {{name: Al, groups: [a, b], email: al@x.test, password: '{hash}'}}\n  \
                 - {{name: bo, password: '{hash}', disabled: true}}\n"
            ),
        )
        .unwrap();
        assert_eq!(
            printed("list", None, &path).unwrap(),
            "Al\ta,b\tal@x.test\nbo\t\t\tdisabled\n"
        );
        assert_eq!(
            printed("remove", Some("AL"), &path).unwrap(),
            "removed Al\n"
        );
        let error = printed("remove", Some("Al"), &path).unwrap_err();
        assert!(is_refusal(&error), "{error:#}");
        assert_eq!(error.to_string(), "there is no user Al");
    }

    #[test]
    fn users_of_htpasswd_are_taken_over_as_they_are_or_refused_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let (from, path) = (
            folder.path().join("htpasswd"),
            folder.path().join("users.yaml"),
        );
        let bcrypt = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";
        std::fs::write(&from, format!("# head\nAlice:{bcrypt}\nbob:{bcrypt}:x\n")).unwrap();
        let from = from.to_str().unwrap();
        let import = |more: &[&str]| {
            let place = path.to_str().unwrap();
            let line = ["users", "import", from, "--file", place];
            let args = Line::try_parse_from(line.iter().chain(more)).unwrap();
            let mut out = Vec::new();
            execute(&args.users.command, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(import(&["--group", "staff"]).unwrap(), "added 2 of 2\n");
        assert_eq!(
            printed("list", None, &path).unwrap(),
            "Alice\tstaff\t\tweak hash\nbob\tstaff\t\tweak hash\n"
        );
        assert_eq!(
            std::fs::read_to_string(&path)
                .unwrap()
                .matches(bcrypt)
                .count(),
            2
        );
        assert!(is_refusal(&import(&[]).unwrap_err()));
        assert_eq!(import(&["--skip-existing"]).unwrap(), "added 0 of 2\n");
        std::fs::write(from, "carol:$apr1$salt$hash\n").unwrap();
        let error = import(&[]).unwrap_err();
        assert!(is_refusal(&error), "{error:#}");
        assert!(
            error
                .to_string()
                .contains("htpasswd:1:1: the password of carol"),
            "{error:#}"
        );
    }

    #[test]
    fn a_name_with_control_characters_is_refused_before_any_password_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.yaml");
        let error = printed("add", Some("a\x1b[2Jb"), &path).unwrap_err();
        assert!(is_refusal(&error), "{error:#}");
        assert!(!format!("{error:#}").contains('\x1b'), "{error:#}");
        assert!(!path.exists());
    }

    fn printed(verb: &str, name: Option<&str>, path: &Path) -> anyhow::Result<String> {
        let path = path.to_str().unwrap();
        let line = ["users", verb]
            .into_iter()
            .chain(name)
            .chain(["--file", path]);
        let args = Line::try_parse_from(line)?;
        let mut out = Vec::new();
        execute(&args.users.command, &mut out)?;
        Ok(String::from_utf8(out)?)
    }
}
