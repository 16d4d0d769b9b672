//! `portway reload`: has the node read its configuration again, and says what came of it.

use std::process::ExitCode;

use clap::Args;

use crate::cli::node;
use crate::cli::node::NodeArgs;
use crate::cli::node::Shown;
use crate::ports::control::ReloadReport;
use crate::ports::control::ReloadResult;

/// Which node, and how its answer is shown.
#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    shown: Shown,
}

/// Waits for the reload: 0 when it is in effect, 2 with all faults when there are any.
pub(super) fn run(args: &ReloadArgs) -> ExitCode {
    let report: ReloadReport = match node::post(&args.node, "/v1/reload", Vec::new()) {
        Ok(report) => report,
        Err(error) => return node::refused(&error),
    };
    if args.shown.json {
        super::say_json(&report);
    } else {
        let Words { data, words } = words(&report.result);
        super::complain(&words);
        super::say(&data);
    }
    match report.result {
        ReloadResult::Applied { .. } => ExitCode::SUCCESS,
        ReloadResult::Refused { .. } => ExitCode::from(super::FAULTY),
    }
}

/// What is said on standard output, and what on standard error.
struct Words {
    data: String,
    words: String,
}

fn words(result: &ReloadResult) -> Words {
    match result {
        ReloadResult::Applied {
            generation,
            needs_restart,
            warnings,
        } => {
            let warnings = warnings
                .iter()
                .map(|warning| format!("warning: {warning}\n"));
            let restart = needs_restart
                .iter()
                .map(|key| format!("needs a restart: {key}\n"));
            Words {
                data: format!("configuration {generation} is in effect\n"),
                words: warnings.chain(restart).collect(),
            }
        }
        ReloadResult::Refused { faults, text } => {
            let plural = if faults.len() == 1 { "" } else { "s" };
            let count = faults.len();
            Words {
                data: String::new(),
                words: format!("{text}\n{count} fault{plural}; the configuration before goes on\n"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::control::FaultReport;

    #[test]
    fn what_needs_a_restart_is_named_and_is_no_failure() {
        let said = words(&ReloadResult::Applied {
            generation: 3,
            needs_restart: vec!["state_dir".to_owned(), "threads".to_owned()],
            warnings: Vec::new(),
        });
        assert_eq!(said.data, "configuration 3 is in effect\n");
        let expected = "needs a restart: state_dir\nneeds a restart: threads\n";
        assert_eq!(said.words, expected);
    }

    #[test]
    fn faults_are_shown_as_check_shows_them() {
        let said = words(&ReloadResult::Refused {
            faults: vec![FaultReport::default()],
            text: "error: no\n".to_owned(),
        });
        assert_eq!(said.data, "");
        let expected = "error: no\n\n1 fault; the configuration before goes on\n";
        assert_eq!(said.words, expected);
    }
}
