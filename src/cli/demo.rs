//! `portway demo`: starts the demonstration, or lets it walk through itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::demo;
use crate::demo::Folder;
use crate::demo::Mode;
use crate::telemetry;
use crate::telemetry::LogFormat;

/// What the demonstration is to do.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Walks the journey of a user by itself, prints what it sees, and fails when a step differs
    #[arg(long)]
    script: bool,
    /// The port for https of the first data centre, on 127.0.0.1, the second takes the next; free ones
    /// with --script
    #[arg(long)]
    port: Option<u16>,
    /// The port for http of the first data centre, on 127.0.0.1, the second takes the next; free ones
    /// with --script
    #[arg(long)]
    plain_port: Option<u16>,
    /// Where certificates, users and configuration go; a temporary folder otherwise
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Which lines the gateways write to their log files: level, or target=level, separated by commas
    #[arg(long, env = "PORTWAY_LOG", default_value = "info")]
    log: String,
}

/// Runs the demonstration.
pub(super) fn run(args: &DemoArgs) -> ExitCode {
    telemetry::begin(LogFormat::Text, "warn");
    let (mode, port, plain_port) = if args.script {
        (Mode::Script, 0, 0)
    } else {
        (Mode::Serve, demo::PORT, demo::PLAIN_PORT)
    };
    let folder = match &args.dir {
        Some(path) => Folder::Kept(path.clone()),
        None => Folder::Fresh {
            under: std::env::temp_dir(),
        },
    };
    let args = demo::DemoArgs {
        mode,
        port: args.port.unwrap_or(port),
        plain_port: args.plain_port.unwrap_or(plain_port),
        log: args.log.clone(),
        folder,
    };
    match demo::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            super::complain(&format!("portway demo: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}
