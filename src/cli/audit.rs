//! `portway audit`: verifies the audit trail, and finds what was written down of one request.

use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;
use clap::Args;
use clap::Subcommand;

use crate::audit::AuditParts;
use crate::audit::Trail;
use crate::audit::find;
use crate::audit::verify;
use crate::audit::verify::End;
use crate::audit::verify::Judge;
use crate::audit::verify::Report;
use crate::audit::verify::VerifyError;
use crate::cli::ConfigArgs;
use crate::config::Config;
use crate::config::load;
use crate::config::logs::LinesTo;
use crate::crypto::audit_seal::SealState;
use crate::ports::clock::Clock;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

/// Verifies the audit trail, and finds what was written down of one request.
#[derive(Args, Debug)]
pub(super) struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand, Debug)]
enum AuditCommand {
    /// Shows what the audit trail and the access log say of a request, by the reference on its refusal page
    Find {
        /// The reference
        reference: String,
        /// Further files, such as those moved away by logrotate
        files: Vec<PathBuf>,
        #[command(flatten)]
        place: ConfigArgs,
    },
    /// Says the first line of the trail that was changed, removed, added or moved
    Verify {
        /// The files of the trail, in any order; by default the one that is being written
        files: Vec<PathBuf>,
        #[command(flatten)]
        place: ConfigArgs,
    },
}

/// Runs `portway audit`: 0 when all is well or something was found, 1 when not, 2 when the configuration is not
/// right.
pub(super) fn run(args: &AuditArgs) -> ExitCode {
    let (AuditCommand::Find { place, .. } | AuditCommand::Verify { place, .. }) = &args.command;
    let config = match load::load(&place.config) {
        Ok(config) => config,
        Err(faults) => return super::check::refuse(&place.config, &faults),
    };
    let mut out = io::stdout();
    let done = match &args.command {
        AuditCommand::Find {
            reference, files, ..
        } => find(&config, reference, files, &mut out),
        AuditCommand::Verify { files, .. } => verify(&config, files, &mut out),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            super::complain(&format!("portway audit: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

fn verify(config: &Config, files: &[PathBuf], out: &mut dyn Write) -> anyhow::Result<()> {
    let keys = super::key_ring(config)?;
    let current = config.logs.audit.as_ref().map(|audit| audit.file.clone());
    let files = match (files, &current) {
        ([], None) => return Err(anyhow!("there is no trail: `logs.audit` is off")),
        ([], Some(current)) => vec![current.clone()],
        (files, _) => files.to_vec(),
    };
    let judge = Judge {
        keys: Some(&keys),
        current: current.as_deref(),
    };
    match verify::verify(&files, &judge) {
        Ok(report) => {
            write!(out, "{}", told(&report))?;
            is_vouched(&report)
        }
        // The first thing that a gateway does with its keys is to write a line.
        Err(VerifyError::Nothing) => Err(anyhow!(
            "there is no line, nor a note of where the trail ends, though there is a key ring: they were removed, \
             or no gateway has run here yet"
        )),
        Err(error) => Err(error.into()),
    }
}

/// What is said of a trail without a fault.
fn told(report: &Report) -> String {
    let Report {
        lines, first, last, ..
    } = report;
    let mut text =
        format!("{lines} lines, {first} to {last}: none was changed, removed or moved\n");
    if *first > 1 {
        text.push_str(&format!(
            "lines 1 to {} are not in these files; name those that were moved away, too\n",
            first.saturating_sub(1)
        ));
    }
    if report.vouched == Some(SealState::Good) {
        text.push_str("sealed with a key of the ring\n");
    }
    text.push_str(match report.end {
        End::Noted => "the end is where it was noted\n",
        End::Unknown => {
            "whether lines are missing at the end is not known: the note of the end, `.head`, is not beside the \
             file with the last line\n"
        }
    });
    text
}

/// Anybody can write a chain that names a key which does not exist.
fn is_vouched(report: &Report) -> anyhow::Result<()> {
    match report.vouched {
        Some(SealState::KeyGone(key)) => Err(anyhow!(
            "nobody vouches for these lines: the key {:08x} that sealed the last one is not in the ring; name \
             later files, too",
            key.0
        )),
        Some(SealState::Good | SealState::Wrong) | None => Ok(()),
    }
}

fn find(
    config: &Config,
    reference: &str,
    files: &[PathBuf],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if reference.len() < REFERENCE_MIN {
        return Err(anyhow!("a reference is longer"));
    }
    let mut places = files.to_vec();
    places.extend(config.logs.audit.as_ref().map(|audit| audit.file.clone()));
    let access = config.logs.access.as_ref();
    places.extend(access.and_then(|access| match &access.to {
        LinesTo::File(path) => Some(path.clone()),
        LinesTo::Stderr | LinesTo::Stdout => None,
    }));
    let mut count = 0;
    for place in &places {
        let lines = find::lines_with(place, reference);
        let lines = lines.with_context(|| format!("{} cannot be read", place.display()))?;
        for line in &lines {
            writeln!(
                out,
                "{}",
                find::readable(line).unwrap_or_else(|| line.clone())
            )?;
        }
        count += lines.len();
    }
    if count == 0 {
        return Err(anyhow!("nothing was written down of {reference}"));
    }
    Ok(())
}

/// The trail that a configuration names, to note in it what an operator does; none where there is none, or no
/// gateway has ever run.
pub(super) fn trail(config: &Config) -> anyhow::Result<Option<Trail>> {
    let Some(audit) = &config.logs.audit else {
        return Ok(None);
    };
    if !config.key_ring_file.exists() {
        return Ok(None);
    }
    let keys = super::key_ring(config)?;
    // As the gateway does: an old key may be gone before the line that it sealed last.
    keys.choose(None, SystemClock.now());
    let parts = AuditParts {
        keys: Arc::new(keys),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
    };
    let data_centre = config.cluster.to_string();
    Ok(Some(Trail::new(audit.file.clone(), data_centre, &parts)))
}

/// A shorter one would be found in many lines.
const REFERENCE_MIN: usize = 8;
