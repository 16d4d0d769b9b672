//! `portway config`: shows a configuration as it counts, and the schema and the reference of all there are.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::ConfigArgs;
use crate::config::load;
use crate::config::parse::schema;

/// What about configurations.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigVerbArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Prints every key with its form, default and meaning, as Markdown
    Reference,
    /// Prints the JSON schema of the configuration file, for editors and programs
    Schema,
    /// Prints the configuration with all its files, variables and defaults, and without secrets
    Show(ConfigArgs),
}

/// Prints what is asked for.
pub(super) fn run(args: &ConfigVerbArgs) -> ExitCode {
    match &args.verb {
        ConfigVerb::Reference => {
            super::say(&schema::reference());
            ExitCode::SUCCESS
        }
        ConfigVerb::Schema => {
            super::say_json(&schema::schema());
            ExitCode::SUCCESS
        }
        ConfigVerb::Show(args) => show(&args.config),
    }
}

fn show(path: &Path) -> ExitCode {
    match load::effective(path) {
        Ok(text) => {
            super::say(&text);
            ExitCode::SUCCESS
        }
        Err(faults) => super::check::refuse(path, &faults),
    }
}
