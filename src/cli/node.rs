//! How a verb reaches the node that runs: by the control socket in its state directory.
//!
//! Every verb that acts on a running node takes [`NodeArgs`], asks by [`ask`], and ends with the exit code of
//! [`refused`] when there is no answer: 4 where nobody was reached, 1 where the node says no.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde::de::DeserializeOwned;

use crate::admin::client;
use crate::admin::client::AskError;
use crate::config::load;
use crate::config::load::StateDirError;
use crate::logbook::causes::with_causes;

/// Which node.
#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// The configuration file that the node was started with
    #[arg(short, long, env = "PORTWAY_CONFIG", default_value = "gateway.yaml")]
    config: PathBuf,
    /// The node's state directory; by default what the configuration says
    #[arg(long)]
    state_dir: Option<PathBuf>,
}

/// How an answer is shown.
#[derive(Debug, Args)]
pub(super) struct Shown {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Why a verb came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum NodeError {
    /// It is not known which node is meant.
    #[error("{0}; name the node by --state-dir")]
    Which(StateDirError),
    /// The node gave no answer, or said no.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Asks a node to tell something.
pub(super) fn get<T: DeserializeOwned>(node: &NodeArgs, path: &str) -> Result<T, NodeError> {
    ask(node, (Method::GET, path), Vec::new())
}

/// Asks a node to do something; `body` says with what, as JSON, or is empty.
pub(super) fn post<T: DeserializeOwned>(
    node: &NodeArgs,
    path: &str,
    body: Vec<u8>,
) -> Result<T, NodeError> {
    ask(node, (Method::POST, path), body)
}

fn ask<T: DeserializeOwned>(
    node: &NodeArgs,
    what: (Method, &str),
    body: Vec<u8>,
) -> Result<T, NodeError> {
    let state_dir = match &node.state_dir {
        Some(named) => named.clone(),
        None => load::state_dir_of(&node.config).map_err(NodeError::Which)?,
    };
    let sudo = std::env::var_os("SUDO_USER").unwrap_or_default();
    let sudo = sudo.to_string_lossy();
    Ok(client::ask(&state_dir, what, (&sudo, body))?)
}

/// Says why a verb came to nothing, and gives its exit code.
pub(super) fn refused(error: &NodeError) -> ExitCode {
    super::complain(&format!("error: {}\n", with_causes(error)));
    ExitCode::from(match error {
        NodeError::Which(_) => MISUSED,
        NodeError::Ask(AskError::Refused(_)) => FAILED,
        NodeError::Ask(
            AskError::Broken(_)
            | AskError::Late(_)
            | AskError::NotPermitted(_)
            | AskError::NotRunning(_),
        ) => UNREACHABLE,
    })
}

const FAILED: u8 = 1;
const MISUSED: u8 = 2;
const UNREACHABLE: u8 = 4;
