//! `portway upgrade`: has the node start its successor, which takes over its sockets and sessions, and says what
//! came of it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::node;
use crate::cli::node::NodeArgs;
use crate::cli::node::Shown;
use crate::ports::control::UpgradeQuestion;
use crate::ports::control::UpgradeReport;

/// Which node, what it is followed by, and how its answer is shown.
#[derive(Debug, Args)]
pub(super) struct UpgradeArgs {
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    shown: Shown,
    /// The program to go on with; by default the file that the node was started from, as it is now
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// Waits for the successor: 0 when it serves, 1 when the node goes on as before, 2 when the successor does not take
/// the configuration.
pub(super) fn run(args: &UpgradeArgs) -> ExitCode {
    let binary = args.binary.as_ref().map(std::path::absolute).transpose();
    let binary = match binary {
        Ok(binary) => binary,
        Err(error) => {
            super::complain(&format!("error: the program cannot be named: {error}\n"));
            return ExitCode::from(super::FAULTY);
        }
    };
    let question = UpgradeQuestion { binary };
    let body = serde_json::to_vec(&question).unwrap_or_default();
    let report: UpgradeReport = match node::post(&args.node, "/v1/upgrade", body) {
        Ok(report) => report,
        Err(error) => return node::refused(&error),
    };
    if args.shown.json {
        super::say_json(&report);
    }
    match report {
        UpgradeReport::Done {
            process_id,
            version,
        } => {
            if !args.shown.json {
                super::say(&format!("process {process_id} serves, version {version}\n"));
            }
            ExitCode::SUCCESS
        }
        UpgradeReport::Failed { why } => {
            super::complain(&format!("error: {why}; the gateway goes on as before\n"));
            ExitCode::FAILURE
        }
        UpgradeReport::Refused { text } => {
            super::complain(&format!("{text}\nthe gateway goes on as before\n"));
            ExitCode::from(super::FAULTY)
        }
    }
}
