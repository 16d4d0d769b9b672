//! `portway run`: serves until SIGTERM.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::ValueEnum;

use crate::app;
use crate::app::Invocation;
use crate::app::succession::Heir;
use crate::cli::ConfigArgs;
use crate::config::diagnostic::Colour;
use crate::config::load;
use crate::telemetry;
use crate::telemetry::LogFormat;

/// How to run.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = Format::Text)]
    log_format: Format,
    /// Which log lines are written: level, or target=level, separated by commas
    #[arg(long, env = "PORTWAY_LOG", default_value = telemetry::DEFAULT_FILTER)]
    log: String,
    /// Take over from the gateway that starts this one; `portway upgrade` has it do so
    #[arg(long, hide = true)]
    take_over: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Text,
}

/// Loads the configuration and serves.
pub(super) fn run(args: &RunArgs) -> ExitCode {
    let format = match args.log_format {
        Format::Json => LogFormat::Json,
        Format::Text => LogFormat::Text,
    };
    telemetry::begin(format, &args.log);
    let heir = match args.take_over.then(Heir::at_stdin).transpose() {
        Ok(heir) => heir,
        Err(error) => {
            super::complain(&format!("error: {error:#}\n"));
            return ExitCode::from(super::FAULTY);
        }
    };
    let path = &args.config.config;
    let loading = load::load_noting(path);
    let config = match loading.outcome {
        Ok(config) => config,
        Err(faults) => {
            if let Some(heir) = heir {
                heir.refuse(&faults.render(Colour::Plain));
            }
            return super::check::refuse(path, &faults);
        }
    };
    for warning in config.warnings.lines() {
        tracing::warn!("{warning}");
    }
    for doubt in app::doubts::of_files(&config) {
        tracing::warn!("{doubt}");
    }
    let passed = if heir.is_none() {
        app::activation::passed()
    } else {
        Ok(Vec::new())
    };
    let sockets = match passed {
        Ok(sockets) => sockets,
        Err(error) => {
            tracing::error!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    let origin = app::Origin {
        path: path.clone(),
        config: Arc::new(config),
        sources: loading.sources,
        invocation: invocation(),
        sockets,
    };
    let running = match heir {
        None => app::start(origin),
        Some(heir) => app::take_over(origin, heir),
    };
    let running = running.inspect(|_| app::notify::serving());
    match running.and_then(|running| running.wait()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How this process was started. The program is looked up now: another one may have its place by the time that it is
/// needed.
fn invocation() -> Option<Invocation> {
    Some(Invocation {
        binary: std::env::current_exe().ok()?,
        arguments: std::env::args_os().skip(1).collect(),
    })
}
