//! Everything that can be wrong with a configuration, with the sentence and the hint for it.
//!
//! One variant per cause; `hint` has the ways out. What is wrong about several data centres is `mdc`; what
//! only looks wrong is `advice`. Where it is wrong is `diagnostic`, how it is found is `parse`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::parse::expand::ExpandError;
use crate::config::parse::quantity::QuantityError;
use crate::config::problem::forward::ForwardProblem;
use crate::config::problem::include::IncludeProblem;
use crate::config::problem::listener::ListenerProblem;
use crate::config::problem::mdc::MdcProblem;
use crate::config::problem::policy::PolicyProblem;
use crate::config::problem::upstream::UpstreamProblem;
use crate::config::raw::ReadTreeError;
use crate::decision::routing::PatternError;
use crate::logbook::line_format::LineFormatError;
use crate::model::end::End;
use crate::model::name::NameError;

pub mod advice;
pub mod forward;
mod hint;
pub mod include;
pub mod listener;
pub mod mdc;
pub mod policy;
pub mod upstream;

/// What is wrong in one place.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A text that is no address of the wanted kind.
    #[error("`{text}` is not {what}")]
    Address {
        /// What was written.
        text: String,
        /// What was wanted, with its article.
        what: &'static str,
        /// How it is written.
        example: &'static str,
    },
    /// Not `true` or `false`.
    #[error("`{0}` is neither `true` nor `false`")]
    Boolean(String),
    /// A host that cannot sign anybody in.
    #[error("the collector cannot be plain `{0}`")]
    CollectorHost(String),
    /// A name with two owners.
    #[error("the collector's host `{0}` is a virtual host too")]
    CollectorIsVirtualHost(String),
    /// A map that must have one entry.
    #[error("a condition is exactly one of {}", words(CONDITIONS))]
    Condition,
    /// The same thing twice.
    #[error("the {what} `{text}` is given twice")]
    Duplicate {
        /// What kind of thing.
        what: &'static str,
        /// Which.
        text: String,
        /// The line of the first.
        first: usize,
    },
    /// The same key twice in one map.
    #[error("the key `{key}` is given twice")]
    DuplicateKey {
        /// The key.
        key: String,
        /// The line of the first.
        first: usize,
    },
    /// A list without items.
    #[error("the list is empty")]
    EmptyList,
    /// Two keys that say the same thing.
    #[error("`{first}` and `{second}` exclude each other")]
    Exclusive {
        /// The first key.
        first: &'static str,
        /// The second.
        second: &'static str,
    },
    /// A variable that cannot be put in.
    #[error("{0}")]
    Expand(#[source] ExpandError),
    /// More primaries wanted than there are.
    #[error("the threshold {threshold} is larger than the number of primaries, {primaries}")]
    FailoverThreshold {
        /// The threshold.
        threshold: usize,
        /// How many primaries there are.
        primaries: usize,
    },
    /// A file that cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: ReadFileError,
    },
    /// What is wrong with how a route forwards requests.
    #[error("{0}")]
    Forward(#[source] ForwardProblem),
    /// A health check that overtakes itself.
    #[error("the health check's timeout is not shorter than its interval")]
    HealthCheckTimeout,
    /// A session that would end before it can idle.
    #[error("idle_timeout is longer than lifetime")]
    IdleTimeout,
    /// Something about included files.
    #[error("{0}")]
    Include(#[source] IncludeProblem),
    /// Nothing was wrong and yet nothing came out; it has no cause an operator could know.
    #[error("the configuration could not be completed")]
    Incomplete,
    /// A level no sign-in reaches.
    #[error("the level {level} is never reached: signing in gives {reached}")]
    LevelUnreachable {
        /// The level of the route.
        level: u8,
        /// The level a sign-in gives.
        reached: u8,
    },
    /// Something about a listener.
    #[error("{0}")]
    Listener(#[source] ListenerProblem),
    /// A session that would outlive the memory of its end.
    #[error("lifetime is longer than {}d", End::KEPT_MAX.as_secs() / 86_400)]
    Lifetime,
    /// A template of access lines that is none.
    #[error("this is not a format of access lines: {error}")]
    LineFormat {
        /// Why it is none.
        #[source]
        error: LineFormatError,
        /// The most similar field.
        nearest: Option<String>,
    },
    /// A virtual host that would keep a session for longer than it lasts.
    #[error("{key} is longer than session.{key}, {}", mdc::show(*most))]
    LongerThanSession {
        /// The key.
        key: &'static str,
        /// What holds everywhere.
        most: Duration,
    },
    /// What does not fit together about several data centres.
    #[error("{0}")]
    Mdc(#[source] MdcProblem),
    /// A method that is never forwarded.
    #[error("`{0}` is not a method that is forwarded")]
    Method(String),
    /// A key that must be there.
    #[error("the key `{0}` is missing")]
    Missing(&'static str),
    /// None of several keys, or more than one.
    #[error("exactly one of {} is needed", words(.0))]
    MissingOneOf(&'static [&'static str]),
    /// A text that is no name of the wanted kind.
    #[error("`{text}` is not {what}{}", reason(error))]
    Name {
        /// What was written.
        text: String,
        /// What was wanted, with its article.
        what: &'static str,
        /// Why it is not.
        #[source]
        error: NameError,
    },
    /// A route that signs users in without the means.
    #[error("a route that is `{access}` needs `{section}`")]
    Needs {
        /// The access of the route.
        access: &'static str,
        /// The section that is missing.
        section: &'static str,
    },
    /// Signing in without a TLS listener.
    #[error("signing in needs a listener with `tls`")]
    NeedsTlsListener,
    /// Without effect where it stands.
    #[error("`{key}` has no effect on {place}")]
    NoEffect {
        /// The key.
        key: &'static str,
        /// Where it stands.
        place: &'static str,
    },
    /// A key without a value.
    #[error("there is no value")]
    NoValue,
    /// A number that is none, or out of bounds.
    #[error("`{text}` is not a whole number from {min} to {max}")]
    Number {
        /// What was written.
        text: String,
        /// The lowest allowed.
        min: u64,
        /// The highest allowed.
        max: u64,
    },
    /// A path pattern that is none.
    #[error("`{text}` is not a pattern of paths: {}", last_line(error))]
    Pattern {
        /// What was written.
        text: String,
        /// Why it is none.
        #[source]
        error: PatternError,
    },
    /// A PEM text without the wanted block; its text is never shown.
    #[error("there is no {0} in PEM form")]
    Pem(&'static str),
    /// An encrypted private key.
    #[error("the private key is encrypted")]
    PemEncrypted,
    /// A redirect that leads nowhere.
    #[error("plain http redirects to https, which no listener of this virtual host serves")]
    PlainRedirect,
    /// What is wrong in a policy beyond its form.
    #[error("{0}")]
    Policy(#[source] PolicyProblem),
    /// Two pools of one route that disagree.
    #[error("the two pools differ in `timeouts.{0}`, and the route does not say which counts")]
    PoolTimeouts(&'static str),
    /// A duration or size that is none.
    #[error("`{text}` is not a {what}: {error}")]
    Quantity {
        /// What was written.
        text: String,
        /// What was wanted.
        what: &'static str,
        /// Why it is not.
        #[source]
        error: QuantityError,
    },
    /// A time that must be at least as long as another.
    #[error("`{key}` is shorter than `{than}`")]
    Shorter {
        /// The shorter one.
        key: &'static str,
        /// The longer one.
        than: &'static str,
    },
    /// A range of statuses that is none.
    #[error("`{0}` is not a range of statuses")]
    StatusRange(String),
    /// The file is no tree.
    #[error("{0}")]
    Tree(#[source] ReadTreeError),
    /// The wrong kind of node.
    #[error("expected {want}, found {found}")]
    Type {
        /// What was wanted.
        want: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// A key nobody knows.
    #[error("unknown key `{key}`")]
    UnknownKey {
        /// The key.
        key: String,
        /// The known keys.
        known: &'static [&'static str],
        /// The most similar one.
        nearest: Option<String>,
    },
    /// A name nothing carries.
    #[error("there is no {what} `{name}`")]
    UnknownName {
        /// What kind of thing.
        what: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
        /// The most similar one.
        nearest: Option<String>,
    },
    /// What is wrong about where an upstream is.
    #[error("{0}")]
    Upstream(#[source] UpstreamProblem),
    /// A file that is not text.
    #[error("the file is not UTF-8")]
    Utf8,
    /// A word out of a closed list, but none of them.
    #[error("`{text}` is not one of {}", words(allowed))]
    Word {
        /// What was written.
        text: String,
        /// The words.
        allowed: Vec<&'static str>,
        /// The most similar one.
        nearest: Option<String>,
    },
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFileError {
    /// The system says no.
    #[error("{0}")]
    Io(#[source] std::io::Error),
    /// It is a directory or a device.
    #[error("it is not a file")]
    NotAFile,
    /// It does not exist.
    #[error("it does not exist")]
    NotFound,
    /// Its permissions forbid it.
    #[error("permission denied")]
    NotPermitted,
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotText,
    /// It is too large.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
}

/// The reason behind a colon, unless it would only repeat that the text is none.
fn reason(error: &NameError) -> String {
    match error {
        NameError::NotAHost => String::new(),
        NameError::Character(_) | NameError::Empty | NameError::TooLong(_) => format!(": {error}"),
    }
}

/// Regular expressions report their faults as a picture of several lines with the reason in the last.
fn last_line(error: &PatternError) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

fn words<T: AsRef<str>>(words: &[T]) -> String {
    let quoted: Vec<String> = words
        .iter()
        .map(|word| format!("`{}`", word.as_ref()))
        .collect();
    quoted.join(", ")
}

/// The words that begin a condition of a policy.
pub const CONDITIONS: &[&str] = &[
    "address",
    "all",
    "any",
    "attribute",
    "group",
    "header",
    "level",
    "method",
    "not",
    "query",
    "signed_in",
    "time",
    "user",
    "when",
];
