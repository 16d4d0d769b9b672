//! `portway demo`: placeholder while the demo room is built.

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {}

pub(super) fn run(_: &DemoArgs) -> ExitCode {
    ExitCode::FAILURE
}
