//! `portway run`: serves until SIGTERM.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::ValueEnum;

use crate::app;
use crate::cli::ConfigArgs;
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
    let path = &args.config.config;
    let loading = load::load_noting(path);
    let config = match loading.outcome {
        Ok(config) => config,
        Err(faults) => return super::check::refuse(path, &faults),
    };
    for warning in config.warnings.lines() {
        tracing::warn!("{warning}");
    }
    for doubt in app::doubts::of_files(&config) {
        tracing::warn!("{doubt}");
    }
    let origin = app::Origin {
        path: path.clone(),
        config: Arc::new(config),
        sources: loading.sources,
    };
    match app::start(origin).and_then(|running| running.wait()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
