//! `portway sessions`: lists, shows and ends the sessions of a running node.

use std::fmt::Write;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgGroup;
use clap::Args;
use clap::Subcommand;
use form_urlencoded::Serializer;
use ipnet::IpNet;

use crate::cli::node;
use crate::cli::node::NodeArgs;
use crate::cli::node::NodeError;
use crate::cli::node::Shown;
use crate::cli::table;
use crate::config::parse::quantity;
use crate::model::name::NameError;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::ports::sessions::Doomed;
use crate::ports::sessions::EndedSessions;
use crate::ports::sessions::SESSIONS_MAX;
use crate::ports::sessions::SessionDetail;
use crate::ports::sessions::SessionLine;
use crate::ports::sessions::SessionList;
use crate::ports::sessions::ShortHash;
use crate::ports::sessions::Subject;

/// What about sessions.
#[derive(Debug, Args)]
pub(super) struct SessionsArgs {
    #[command(subcommand)]
    verb: SessionsVerb,
}

#[derive(Debug, Subcommand)]
enum SessionsVerb {
    /// Ends sessions, wherever they are used, as a sign-out would
    #[command(group = ArgGroup::new("which").required(true).args(["session", "user", "all"]))]
    End {
        /// The short hash of a session, as `list` and log lines show it
        #[arg(value_parser = ShortHash::parse)]
        session: Option<ShortHash>,
        #[command(flatten)]
        of: UserArgs,
        /// Everything that this data centre knows of: everybody has to sign in again
        #[arg(long)]
        all: bool,
        /// Confirms --all
        #[arg(long, requires = "all")]
        yes: bool,
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        shown: Shown,
    },
    /// Lists sessions, those that expire last first
    List {
        #[command(flatten)]
        of: UserArgs,
        /// Only those that began from this address or network
        #[arg(long, value_name = "ADDRESS", value_parser = network)]
        address: Option<IpNet>,
        /// Only those not used for longer than this, such as 15m or 2h
        #[arg(long, value_name = "SPAN", value_parser = span)]
        idle_longer_than: Option<Duration>,
        /// How many at most
        #[arg(long, default_value_t = LIST_DEFAULT, value_parser = limit)]
        limit: usize,
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        shown: Shown,
    },
    /// Shows all there is to tell about one session, or about those of a user
    #[command(group = ArgGroup::new("which").required(true).args(["session", "user"]))]
    Show {
        /// The short hash of the session, as `list` and log lines show it
        #[arg(value_parser = ShortHash::parse)]
        session: Option<ShortHash>,
        #[command(flatten)]
        of: UserArgs,
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        shown: Shown,
    },
}

/// Whose sessions.
#[derive(Debug, Args)]
struct UserArgs {
    /// Those of a user
    #[arg(long, value_name = "NAME", value_parser = user)]
    user: Option<UserName>,
    /// The identity store of the user; by default the one that users of the node sign in with
    #[arg(long, value_name = "NAME", requires = "user", value_parser = store)]
    store: Option<StoreName>,
}

/// Runs `portway sessions`: 0 when it was done, 1 when the node says no.
pub(super) fn run(args: &SessionsArgs) -> ExitCode {
    let done = match &args.verb {
        SessionsVerb::End {
            session,
            of,
            yes,
            node,
            shown,
            ..
        } => match doomed(session.as_ref(), of) {
            Some(doomed) => end(node, shown, &doomed),
            None if *yes => end(node, shown, &Doomed::All),
            None => {
                super::complain(UNCONFIRMED);
                return ExitCode::from(MISUSED);
            }
        },
        SessionsVerb::List {
            of,
            address,
            idle_longer_than,
            limit,
            node,
            shown,
        } => {
            let mut query = of.query();
            if let Some(address) = address {
                query.append_pair("address", &address.to_string());
            }
            if let Some(span) = idle_longer_than {
                query.append_pair("idle_longer_than", &span.as_secs().to_string());
            }
            query.append_pair("limit", &limit.to_string());
            list(node, shown, &query.finish())
        }
        SessionsVerb::Show {
            session,
            of,
            node,
            shown,
        } => {
            let mut query = of.query();
            if let Some(session) = session {
                query.append_pair("session", session.as_str());
            }
            show(node, shown, &query.finish())
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => node::refused(&error),
    }
}

impl UserArgs {
    fn query(&self) -> Serializer<'static, String> {
        let mut query = Serializer::new(String::new());
        if let Some(user) = &self.user {
            query.append_pair("user", user.as_str());
        }
        if let Some(store) = &self.store {
            query.append_pair("store", store.as_str());
        }
        query
    }
}

/// What is to be ended; none where it is everything.
fn doomed(session: Option<&ShortHash>, of: &UserArgs) -> Option<Doomed> {
    let subject = of.user.as_ref().map(|user| {
        Doomed::Subject(Subject {
            user: user.clone(),
            store: of.store.clone(),
        })
    });
    session.cloned().map(Doomed::Session).or(subject)
}

fn list(node: &NodeArgs, shown: &Shown, query: &str) -> Result<ExitCode, NodeError> {
    let list: SessionList = node::get(node, &format!("/v1/sessions?{query}"))?;
    if shown.json {
        super::say_json(&list);
        return Ok(ExitCode::SUCCESS);
    }
    super::say(&listed(&list.sessions));
    if list.more {
        super::complain("there are more; see --limit\n");
    }
    if list.loading {
        super::complain("sessions of before the start are still being read; some are missing\n");
    }
    Ok(ExitCode::SUCCESS)
}

fn show(node: &NodeArgs, shown: &Shown, query: &str) -> Result<ExitCode, NodeError> {
    let details: Vec<SessionDetail> = node::get(node, &format!("/v1/sessions/show?{query}"))?;
    if shown.json {
        super::say_json(&details);
    } else {
        let texts: Vec<String> = details.iter().map(screen).collect();
        super::say(&texts.join("\n"));
        if texts.is_empty() {
            super::complain("the user has no session here\n");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn end(node: &NodeArgs, shown: &Shown, doomed: &Doomed) -> Result<ExitCode, NodeError> {
    // What is named by types of our own is always JSON.
    let body = serde_json::to_vec(doomed).unwrap_or_default();
    let ended: EndedSessions = node::post(node, "/v1/sessions/end", body)?;
    if shown.json {
        super::say_json(&ended);
        return Ok(ExitCode::SUCCESS);
    }
    let plural = if ended.ended == 1 { "" } else { "s" };
    super::say(&format!("{} session{plural} ended\n", ended.ended));
    if ended.is_unknown == Some(true) {
        super::complain(
            "the users file has no such user; what was signed in by that name is over all the same\n",
        );
    }
    if !ended.durable {
        super::complain("the disk has not taken it yet: a crash now would undo it here\n");
    }
    for peer in &ended.unconfirmed {
        super::complain(&format!(
            "{peer} has not confirmed yet; it will be told again\n"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn listed(sessions: &[SessionLine]) -> String {
    let row = |line: &SessionLine| {
        [
            line.session.clone(),
            line.user.clone(),
            line.store.clone(),
            line.level.to_string(),
            line.since.clone(),
            line.last_access.clone(),
            line.address.clone(),
            place(line),
        ]
    };
    table::written(&HEADINGS, sessions.iter().map(row))
}

/// Where a session is, and what this data centre has of it.
fn place(line: &SessionLine) -> String {
    match line.state.as_str() {
        "live" => line.held_by.clone(),
        state => format!("{} ({state})", line.held_by),
    }
}

fn screen(detail: &SessionDetail) -> String {
    let line = &detail.line;
    let rows = [
        ("session", line.session.clone()),
        ("user", format!("{} of {}", line.user, line.store)),
        ("groups", detail.groups.join(", ")),
        (
            "level",
            format!("{}, since {}", line.level, detail.level_since),
        ),
        ("since", line.since.clone()),
        (
            "last access",
            format!("{} ({} s ago)", line.last_access, line.idle_seconds),
        ),
        ("expires", line.expires.clone()),
        ("address", line.address.clone()),
        (
            "held by",
            format!("{}, since {}", place(line), detail.held_since),
        ),
        ("taken over", format!("{} times", detail.generation)),
        ("was in", detail.data_centres.join(", ")),
        ("hosts", detail.hosts.join(", ")),
    ];
    let mut text = String::new();
    for (heading, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        // Writing to a string does not fail.
        writeln!(text, "{heading:<12} {value}").unwrap_or_default();
    }
    text
}

fn user(text: &str) -> Result<UserName, NameError> {
    UserName::parse(text)
}

fn store(text: &str) -> Result<StoreName, NameError> {
    StoreName::parse(text)
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let alone = text.parse::<IpAddr>().ok().map(IpNet::from);
    alone
        .or_else(|| text.parse().ok())
        .ok_or("it is neither an address nor a network such as 10.0.0.0/8")
}

fn span(text: &str) -> Result<Duration, String> {
    quantity::duration(text).map_err(|error| match error.hint(text) {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    })
}

fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok();
    let limit = limit.filter(|limit| (1..=SESSIONS_MAX).contains(limit));
    limit.ok_or_else(|| format!("it is not a whole number from 1 to {SESSIONS_MAX}"))
}

const HEADINGS: [&str; 8] = [
    "SESSION",
    "USER",
    "STORE",
    "LEVEL",
    "SINCE",
    "LAST ACCESS",
    "ADDRESS",
    "DATA CENTRE",
];
const UNCONFIRMED: &str =
    "error: --all signs everybody out who has a session here; add --yes to mean it\n";
const LIST_DEFAULT: usize = 100;
const MISUSED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(session: &str, user: &str, state: &str) -> SessionLine {
        SessionLine {
            session: session.to_owned(),
            user: user.to_owned(),
            store: "local".to_owned(),
            level: 10,
            since: "2026-11-22T10:00:00Z".to_owned(),
            last_access: "2026-11-22T10:30:00Z".to_owned(),
            idle_seconds: 60,
            expires: "2026-11-23T10:00:00Z".to_owned(),
            address: "192.0.2.7".to_owned(),
            state: state.to_owned(),
            held_by: "ny".to_owned(),
        }
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let sessions = [
            line("5f0c9a61b2d3", "bo", "live"),
            line("000000000000", "alice", "moved"),
        ];
        let expected = "\
SESSION       USER   STORE  LEVEL  SINCE                 LAST ACCESS           ADDRESS    DATA CENTRE
5f0c9a61b2d3  bo     local  10     2026-11-22T10:00:00Z  2026-11-22T10:30:00Z  192.0.2.7  ny
000000000000  alice  local  10     2026-11-22T10:00:00Z  2026-11-22T10:30:00Z  192.0.2.7  ny (moved)
";
        assert_eq!(listed(&sessions), expected);
    }

    #[test]
    fn what_is_not_known_of_a_session_has_no_line() {
        let text = screen(&SessionDetail {
            line: line("5f0c9a61b2d3", "bo", "live"),
            held_since: "2026-11-22T10:00:00Z".to_owned(),
            level_since: "2026-11-22T10:00:00Z".to_owned(),
            generation: 0,
            data_centres: Vec::new(),
            hosts: vec!["a.test".to_owned(), "b.test".to_owned()],
            groups: Vec::new(),
        });
        assert!(text.contains("\nhosts        a.test, b.test\n"), "{text}");
        assert!(
            !text.contains("groups") && !text.contains("was in"),
            "{text}"
        );
    }
}
