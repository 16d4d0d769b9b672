//! `portway convert`: the configuration of another gateway in, `gateway.yaml` and a loss report out.
//!
//! Files are read and written here; what they mean is `convert`.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::Subcommand;

use crate::config::diagnostic::Colour;
use crate::convert::nginx;
use crate::convert::nginx::Conversion;
use crate::convert::nginx::ConvertError;
use crate::convert::nginx::Surroundings;
use crate::convert::report::Report;
use crate::convert::report::Verdict;

/// What to convert.
#[derive(Args, Debug)]
pub(super) struct ConvertArgs {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Converts nginx's configuration, and says of each directive whether it was kept, changed or dropped
    #[command(
        after_help = "Exit codes: 0 nothing was dropped, 1 a file could not be written, 2 the file could \
                            not be converted, 3 something was dropped."
    )]
    Nginx(NginxArgs),
}

#[derive(Args, Debug)]
struct NginxArgs {
    /// The main file, such as /etc/nginx/nginx.conf, or one that it includes
    file: PathBuf,
    /// Where the configuration goes; by default to standard output
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Where the report goes; by default to standard error
    #[arg(long)]
    report: Option<PathBuf>,
    /// Writes the report as JSON
    #[arg(long)]
    json: bool,
}

/// Converts: 0 when nothing was dropped, 3 when something was, 2 when there is no configuration, 1 when a file
/// could not be written.
pub(super) fn run(args: &ConvertArgs) -> ExitCode {
    let Kind::Nginx(args) = &args.kind;
    match converted(args) {
        Ok(conversion) => match write(args, &conversion) {
            Ok(()) if conversion.report.count(Verdict::Dropped) > 0 => ExitCode::from(LOSSY),
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                super::complain(&format!("error: {error:#}\n"));
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            refuse(args, &error);
            ExitCode::from(super::FAULTY)
        }
    }
}

fn converted(args: &NginxArgs) -> Result<Conversion, ConvertError> {
    let surroundings = Surroundings {
        read: &|path| fs::read(path),
        list: &list,
    };
    nginx::convert(&args.file, &folder(args), surroundings)
}

fn list(folder: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

/// Where relative paths of the file start from, as seen from the configuration: nowhere else where both are in
/// one folder.
fn folder(args: &NginxArgs) -> PathBuf {
    let folder_of = |path: &Path| {
        let path = std::path::absolute(path).ok();
        path.and_then(|path| path.parent().map(Path::to_owned))
    };
    let own = folder_of(&args.file).unwrap_or_default();
    match args.output.as_deref().and_then(folder_of) {
        Some(output) if output == own => PathBuf::new(),
        Some(_) | None => own,
    }
}

fn write(args: &NginxArgs, conversion: &Conversion) -> anyhow::Result<()> {
    match &args.output {
        Some(path) => save(path, &conversion.yaml)?,
        None => super::say(&conversion.yaml),
    }
    tell(args, &conversion.report)?;
    for demand in &conversion.demands {
        super::complain(&format!("set {}: {}\n", demand.variable, demand.message));
    }
    Ok(())
}

fn tell(args: &NginxArgs, report: &Report) -> anyhow::Result<()> {
    let text = if args.json {
        format!("{}\n", serde_json::to_string_pretty(report)?)
    } else {
        report.text()
    };
    match &args.report {
        Some(path) => save(path, &text),
        None => {
            super::complain(&text);
            Ok(())
        }
    }
}

fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

/// Says why there is no configuration, with the report where there is one.
fn refuse(args: &NginxArgs, error: &ConvertError) {
    let report = match error {
        ConvertError::Read(_) => None,
        ConvertError::Nothing(report) | ConvertError::Faulty { report, .. } => Some(report),
    };
    if let Some(Err(error)) = report.map(|report| tell(args, report)) {
        super::complain(&format!("error: {error:#}\n"));
    }
    if let ConvertError::Faulty { faults, .. } = error {
        super::complain(&faults.render(Colour::Plain));
    }
    super::complain(&format!("error: {error}\n"));
}

/// The exit code where something was dropped.
const LOSSY: u8 = 3;
