//! The command line: one file per verb.
//!
//! Words go to standard error, data to standard output; exit codes are 0 (done), 1 (failed), 2 (bad usage or
//! configuration), 3 (done, but something was lost) and 4 (the node that was to be asked was not reached). Verbs
//! that act on a running node reach it by `node`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Command;
use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::crypto::key_ring::KeyRing;
use crate::telemetry;

mod audit;
mod check;
mod completions;
mod config;
mod convert;
mod cookie;
mod demo;
mod explain;
mod keys;
mod man;
mod node;
mod pages;
mod pki;
mod pool;
mod reload;
mod run;
mod sessions;
mod status;
mod table;
mod upgrade;
mod users;

/// An access gateway: reverse proxy and single sign-on in one binary.
#[derive(Debug, Parser)]
#[command(name = "portway", version, arg_required_else_help = true)]
#[command(after_help = "Examples:
  portway check --config gateway.yaml
  portway config show --config gateway.yaml
  portway convert nginx /etc/nginx/nginx.conf -o gateway.yaml
  portway explain GET https://app.example.com/reports --user bob
  portway users add alice --file users.yaml --group staff
  portway run --config gateway.yaml
  portway reload --config gateway.yaml
  portway status --config gateway.yaml
  portway sessions list --user alice
  portway pool drain app 10.0.0.1:8080 --wait
  portway upgrade
  portway demo")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Verifies the audit trail, and finds what was written down of one request
    Audit(audit::AuditArgs),
    /// Checks a configuration and reports every fault in it
    Check(check::CheckArgs),
    /// Prints what a shell needs to complete this program's command lines
    Completions(completions::CompletionsArgs),
    /// Shows a configuration as it counts, or the schema or reference of all there are
    Config(config::ConfigVerbArgs),
    /// Makes a configuration of that of another gateway
    Convert(convert::ConvertArgs),
    /// Says what a cookie is, for whoever helps a user
    Cookie(cookie::CookieArgs),
    /// Starts a gateway with sample applications, or walks through it
    Demo(demo::DemoArgs),
    /// Says what would become of a request, and why
    Explain(explain::ExplainArgs),
    /// Lists the keys of a running gateway, makes another one, and lets old ones go
    Keys(keys::KeysArgs),
    /// Prints the manual page, or writes those of all verbs into a folder
    Man(man::ManArgs),
    /// Writes every page of Portway's own as it will look, to be looked at in a browser
    Pages(pages::PagesArgs),
    /// Makes a private CA for the back-channel and enrols nodes with it
    Pki(pki::PkiArgs),
    /// Shows the pools of a running gateway, takes an upstream out and lets it in again
    Pool(pool::PoolArgs),
    /// Has a running gateway read its configuration again, and says what came of it
    Reload(reload::ReloadArgs),
    /// Runs the gateway until SIGTERM
    Run(run::RunArgs),
    /// Lists, shows and ends the sessions of a running gateway
    Sessions(sessions::SessionsArgs),
    /// Shows how a running gateway is
    Status(status::StatusArgs),
    /// Has a running gateway go on as another process, of another version, without losing anything
    Upgrade(upgrade::UpgradeArgs),
    /// Adds, changes, lists and removes users of a users file
    Users(users::UsersArgs),
}

/// Where the configuration is.
#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// The configuration file
    #[arg(short, long, env = "PORTWAY_CONFIG", default_value = "gateway.yaml")]
    config: PathBuf,
}

/// Runs the verb that the arguments name.
#[must_use]
pub fn run() -> ExitCode {
    let _settled = telemetry::SettleAtEnd;
    match Cli::parse().verb {
        Verb::Audit(args) => audit::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Config(args) => config::run(&args),
        Verb::Convert(args) => convert::run(&args),
        Verb::Cookie(args) => cookie::run(&args),
        Verb::Demo(args) => demo::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Keys(args) => keys::run(&args),
        Verb::Man(args) => man::run(&args),
        Verb::Pages(args) => pages::run(&args),
        Verb::Pki(args) => pki::run(&args),
        Verb::Pool(args) => pool::run(&args),
        Verb::Reload(args) => reload::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Sessions(args) => sessions::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Upgrade(args) => upgrade::run(&args),
        Verb::Users(args) => users::run(&args),
    }
}

/// The command line as a whole: its verbs, arguments and help.
#[must_use]
pub fn command() -> Command {
    Cli::command()
}

/// The key ring that a configuration names.
fn key_ring(config: &Config) -> anyhow::Result<KeyRing> {
    let path = &config.key_ring_file;
    let text = std::fs::read(path).map(Zeroizing::new);
    let text = text.with_context(|| format!("the key ring {} cannot be read", path.display()))?;
    KeyRing::parse(&text).with_context(|| format!("the key ring {} cannot be used", path.display()))
}

/// Writes data to standard output. A closed pipe takes the text but not the exit code.
fn say(text: &str) {
    let _closed = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes data as JSON to standard output.
fn say_json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => say(&format!("{text}\n")),
        Err(error) => complain(&format!("error: {error}\n")),
    }
}

/// Writes words to standard error, after the log lines so far. A closed one leaves nobody to tell.
fn complain(text: &str) {
    telemetry::settle();
    let _closed = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The exit code for a configuration, or a question, with faults.
const FAULTY: u8 = 2;
