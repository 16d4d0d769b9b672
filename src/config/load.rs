//! The one place where configuration meets the disk and the environment.
//!
//! Everything it decides is how much to read; what it means is `parse`.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::thread::available_parallelism;

use crate::config::Config;
use crate::config::diagnostic::Fault;
use crate::config::diagnostic::Faults;
use crate::config::parse;
use crate::config::parse::FILE_BYTES_MAX;
use crate::config::parse::ReadFile;
use crate::config::parse::Surroundings;
use crate::config::parse::expand::ExpandError;
use crate::config::parse::expand::expand;
use crate::config::parse::parse;
use crate::config::problem::Problem;
use crate::config::problem::ReadFileError;
use crate::config::raw::Position;
use crate::config::raw::read_tree;
use crate::config::sources::Sources;
use crate::decision::expression::STACK_BYTES;

/// Reads a configuration file with the files it refers to and the variables it names.
///
/// # Errors
/// Every fault of the file, in its order.
pub fn load(path: &Path) -> Result<Config, Faults> {
    load_noting(path).outcome
}

/// What reading a configuration came to.
#[derive(Debug)]
pub struct Loading {
    /// The configuration, or every fault of it.
    pub outcome: Result<Config, Faults>,
    /// The files that were looked at, those that were not there included.
    pub sources: Sources,
}

/// Reads a configuration as [`load`] does, and notes every file that has a part in it.
#[must_use]
pub fn load_noting(path: &Path) -> Loading {
    with_room(|| load_here(path)).unwrap_or_else(|error| Loading {
        outcome: Err(unread(path, ReadFileError::Io(error))),
        sources: Sources::default(),
    })
}

/// Reads something on a stack that is large enough for every expression: on one that ended before an
/// expression does, the process would end with it.
fn with_room<T: Send>(read: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let room = thread::Builder::new().stack_size(STACK_BYTES);
        let reading = room.spawn_scoped(scope, read)?;
        reading
            .join()
            .map_err(|_| io::Error::other("reading it came to no end"))
    })
}

fn load_here(path: &Path) -> Loading {
    let sources = RefCell::new(Sources::default());
    let read = |path: &Path, bytes_max| {
        sources.borrow_mut().note(path);
        read_bounded(path, bytes_max)
    };
    let list = |folder: &Path| {
        sources.borrow_mut().note(folder);
        names_in(folder)
    };
    let outcome = load_by(path, (&read, &list), parse);
    Loading {
        outcome,
        sources: sources.into_inner(),
    }
}

/// Reads a configuration as [`load`] does, and writes it as it counts: with all its files, variables and
/// defaults, and without secrets.
///
/// # Errors
/// Every fault of the file, in its order.
pub fn effective(path: &Path) -> Result<String, Faults> {
    with_room(|| load_by(path, (&read_bounded, &names_in), parse::effective))
        .unwrap_or_else(|error| Err(unread(path, ReadFileError::Io(error))))
}

/// Why it cannot be told where the state directory of a configuration is.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadFileError,
    },
    /// It is not YAML, or no text.
    #[error("`{}` is no configuration", .0.display())]
    Tree(PathBuf),
    /// A variable in the value is not there.
    #[error("`state_dir` cannot be read: {0}")]
    Variable(#[source] ExpandError),
}

/// Where a configuration has its state directory, whatever else is wrong with it: somebody who looks for a
/// fault must reach the node all the same.
///
/// # Errors
/// See [`StateDirError`].
pub fn state_dir_of(path: &Path) -> Result<PathBuf, StateDirError> {
    let bytes = read_bounded(path, FILE_BYTES_MAX).map_err(|source| StateDirError::File {
        path: path.to_owned(),
        source,
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let root = read_tree(&text).map_err(|_| StateDirError::Tree(path.to_owned()))?;
    let written = parse::state_dir_written(&root);
    let expanded = written.map(|text| expand(text, &variable)).transpose();
    let expanded = expanded.map_err(StateDirError::Variable)?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    Ok(folder.join(expanded.as_deref().unwrap_or(parse::STATE_DIR_DEFAULT)))
}

type ListFolder<'r> = dyn Fn(&Path) -> Result<Vec<String>, ReadFileError> + 'r;

fn load_by<T>(
    path: &Path,
    (read, list): (&ReadFile<'_>, &ListFolder<'_>),
    then: fn(&str, &str, &Surroundings<'_>) -> Result<T, Faults>,
) -> Result<T, Faults> {
    let name = path.display().to_string();
    let bytes = read(path, FILE_BYTES_MAX).map_err(|error| unread(path, error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid_up_to = error.utf8_error().valid_up_to();
        let at = Some(position_after(
            error.as_bytes().get(..valid_up_to).unwrap_or_default(),
        ));
        Faults::one(
            &name,
            "",
            Fault {
                at,
                path: String::new(),
                problem: Problem::Utf8,
            },
        )
    })?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let surroundings = Surroundings {
        folder,
        variable: &variable,
        read,
        list,
        threads: available_parallelism().map_or(1, usize::from),
    };
    then(&text, &name, &surroundings)
}

/// The one fault of a file that cannot be read.
fn unread(path: &Path, error: ReadFileError) -> Faults {
    let problem = Problem::File {
        path: path.to_owned(),
        error,
    };
    let fault = Fault {
        at: None,
        path: String::new(),
        problem,
    };
    Faults::one(&path.display().to_string(), "", fault)
}

fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadFileError> {
    let file = File::open(path).map_err(of_io)?;
    if !file.metadata().map_err(of_io)?.is_file() {
        return Err(ReadFileError::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(of_io)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max) {
        Ok(bytes)
    } else {
        Err(ReadFileError::TooLarge(bytes_max))
    }
}

/// The names of what is in a folder; one that is no text is no name of a configuration.
fn names_in(folder: &Path) -> Result<Vec<String>, ReadFileError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(of_io)? {
        let name = entry.map_err(of_io)?.file_name();
        names.extend(name.into_string().ok());
    }
    Ok(names)
}

fn of_io(error: io::Error) -> ReadFileError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the kinds of I/O errors are not ours and grow"
    )]
    match error.kind() {
        ErrorKind::NotFound => ReadFileError::NotFound,
        ErrorKind::PermissionDenied => ReadFileError::NotPermitted,
        _ => ReadFileError::Io(error),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads variables for the configuration"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn position_after(bytes: &[u8]) -> Position {
    let text = String::from_utf8_lossy(bytes);
    let line = text.matches('\n').count().saturating_add(1);
    let column = text
        .rsplit('\n')
        .next()
        .map_or(0, |line| line.chars().count())
        .saturating_add(1);
    Position {
        line,
        column,
        width: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_and_a_folder_are_faults() {
        let folder = tempfile::tempdir().unwrap();
        let missing = load(&folder.path().join("gateway.yaml"))
            .unwrap_err()
            .to_string();
        assert!(missing.contains("it does not exist"), "{missing}");
        let wrong = load(folder.path()).unwrap_err().to_string();
        assert!(wrong.contains("it is not a file"), "{wrong}");
    }

    #[test]
    fn an_expression_as_deep_as_it_can_be_is_a_fault_and_not_the_end_of_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        for deep in ["(".repeat(4000), format!("1{}", "+1".repeat(2000))] {
            let text = format!("policies: {{ a: [{{ allow: {{ when: \"{deep}\" }} }}] }}\n");
            std::fs::write(&path, text).unwrap();
            for faults in [load(&path).unwrap_err(), effective(&path).unwrap_err()] {
                let faults = faults.to_string();
                assert!(faults.contains("of the expression: "), "{faults}");
            }
        }
    }

    #[test]
    fn files_are_looked_for_beside_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        std::fs::create_dir(folder.path().join("keys")).unwrap();
        for (name, label) in [("a.crt", "CERTIFICATE"), ("a.key", "PRIVATE KEY")] {
            let pem = format!("-----BEGIN {label}-----\n{name}\n-----END {label}-----\n");
            std::fs::write(folder.path().join("keys").join(name), pem).unwrap();
        }
        let text = "listeners:
  - name: https
    bind: 127.0.0.1:0
    tls: { certificates: [{ certificate_file: keys/a.crt, key_file: keys/a.key }] }
authentication: { users_file: users.yaml }
pools: { app: { primary: ['127.0.0.1:1'] } }
virtual_hosts: [{ host: a.test, routes: [{ path: /, access: excluded, pool: app }] }]
";
        std::fs::write(&path, text).unwrap();
        let config = load(&path).unwrap();
        assert_eq!(config.state_dir, folder.path().join("state"));
        assert_eq!(
            config.authentication.unwrap().users_file,
            folder.path().join("users.yaml")
        );
        let tls = config.listeners[0].tls.clone().unwrap();
        assert_eq!(tls.certificates[0].origin, "keys/a.crt");
    }

    #[test]
    fn bytes_that_are_no_text_are_one_fault_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        std::fs::write(&path, b"a: b\nc: \xff\n").unwrap();
        let faults = load(&path).unwrap_err().to_string();
        assert!(faults.contains("the file is not UTF-8"), "{faults}");
        assert!(faults.contains("gateway.yaml:2:4"), "{faults}");
    }

    #[test]
    fn a_file_beyond_the_bound_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
        let faults = load(&path).unwrap_err().to_string();
        assert!(
            faults.contains("it is larger than 1048576 bytes"),
            "{faults}"
        );
    }
}
