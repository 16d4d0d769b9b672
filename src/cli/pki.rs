//! `portway pki`: the private CA of the simple mode (MDC-SEC-2, M-036).
//!
//! A CA is made once; its bundle is copied to wherever nodes are enrolled, and the pass phrase is what
//! makes it worth anything. What the files hold is known in `crypto::pki`.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::Subcommand;

use crate::cli::pki::files::Files;
use crate::cli::pki::files::Occupied;
use crate::cli::pki::files::Replace;
use crate::cli::pki::phrase::PhraseArgs;
use crate::cli::pki::phrase::PhraseFault;
use crate::crypto::certificates;
use crate::crypto::certificates::CertificateError;
use crate::crypto::pki::authority;
use crate::crypto::pki::authority::Days;
use crate::crypto::pki::authority::IssueError;
use crate::crypto::pki::authority::IssuedNode;
use crate::crypto::pki::bundle::Bundle;
use crate::crypto::pki::bundle::Chance;
use crate::crypto::pki::bundle::ReadBundleError;
use crate::crypto::pki::bundle::UnlockError;
use crate::crypto::pki::node_name::NodeName;
use crate::crypto::pki::passphrase::PassphraseError;
use crate::crypto::pki::summary::CertificateSummary;
use crate::crypto::pki::summary::Kind;
use crate::logbook::moment::rfc3339_seconds;
use crate::model::name::ClusterId;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::entropy::seal_nonce;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

mod files;
mod phrase;

/// Makes a private CA for the back-channel and enrols nodes with it.
#[derive(Args, Debug)]
pub(super) struct PkiArgs {
    /// What to do.
    #[command(subcommand)]
    command: PkiCommand,
}

#[derive(Subcommand, Debug)]
enum PkiCommand {
    /// Makes a CA; its key is kept under a pass phrase
    Init {
        /// The folder to make it in
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        #[command(flatten)]
        phrase: PhraseArgs,
    },
    /// Signs a certificate for a node and writes it with its key into a folder
    Issue {
        #[command(flatten)]
        node: NodeArgs,
        /// Where node.pem, node.key and ca.pem go
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        phrase: PhraseArgs,
    },
    /// Enrols this node: like issue, into the folder `pki` of its state directory
    Enrol {
        #[command(flatten)]
        node: NodeArgs,
        /// The node's state directory (`state_dir` of its configuration)
        #[arg(long, value_name = "DIR")]
        state_dir: PathBuf,
        #[command(flatten)]
        phrase: PhraseArgs,
    },
    /// Says what the certificates of a PEM file or a CA bundle are
    Show {
        /// The file
        file: PathBuf,
    },
}

/// Which CA signs, and for whom.
#[derive(Args, Debug)]
struct NodeArgs {
    /// The folder of the CA, or its ca.bundle
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    name: NameArgs,
    /// How many days the certificate is good for
    #[arg(long, value_name = "DAYS", default_value_t = Days::NODE.count())]
    days: u32,
    /// Replaces the files of an earlier enrolment
    #[arg(long)]
    replace: bool,
}

/// A certificate names one thing only.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct NameArgs {
    /// The data centre of a node that holds sessions (`cluster_id` of its configuration)
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,
    /// The name of a gate without an engine
    #[arg(long, value_name = "NAME")]
    gate: Option<String>,
}

/// Runs `portway pki`: 0 when it was done, 2 when a file, a name or the pass phrase is not right, 1 when
/// anything else failed.
pub(super) fn run(args: &PkiArgs) -> ExitCode {
    let Err(error) = execute(&args.command, &mut io::stdout()) else {
        return ExitCode::SUCCESS;
    };
    say(&format!("{error:#}"));
    if is_refusal(&error) {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// What is wrong with what was asked for, as opposed to what failed on the way.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("a certificate is good for 1 to {} days", Days::MAX.count())]
    Days,
    #[error("{} is longer than a certificate or a bundle", .0.display())]
    Long(PathBuf),
    #[error("{0}: {1}")]
    Name(String, crate::model::name::NameError),
    #[error(
        "there is no folder {dir}, and one made by root could not be entered by the gateway; make it for the \
         gateway's user first, such as: install -d -m 0700 -o portway {dir}",
        dir = .0.display()
    )]
    StateDir(PathBuf),
}

fn execute(command: &PkiCommand, out: &mut dyn Write) -> anyhow::Result<()> {
    match command {
        PkiCommand::Init { dir, phrase } => init(dir, phrase, out),
        PkiCommand::Issue {
            node,
            out: folder,
            phrase,
        } => issue(node, folder, phrase, out),
        PkiCommand::Enrol {
            node,
            state_dir,
            phrase,
        } => {
            if !state_dir.exists() && files::is_root() {
                return Err(Refusal::StateDir(state_dir.clone()).into());
            }
            issue(node, &state_dir.join(ENROLLED), phrase, out)
        }
        PkiCommand::Show { file } => show(file, out),
    }
}

/// A CA that is replaced by a slip cannot be brought back, so nothing here replaces one.
fn init(dir: &Path, phrase: &PhraseArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let (bundle_file, ca_file) = (dir.join(BUNDLE), dir.join(CA));
    let places = [bundle_file.as_path(), ca_file.as_path()];
    files::check_free(&places, Replace::Never)?;
    let phrase = phrase.choose()?;
    let entropy = SystemEntropy::new();
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    let chance = Chance {
        salt,
        nonce: seal_nonce(&entropy),
    };
    let bundle = authority::make(&phrase, SystemClock.now(), chance)?;
    let mut files = Files::into(dir, Replace::Never)?;
    files.add(BUNDLE, &bundle.to_json()?, files::PRIVATE)?;
    files.add(CA, bundle.certificate_pem().as_bytes(), files::PUBLIC)?;
    files.publish()?;
    writeln!(out, "{}", bundle_file.display())?;
    writeln!(out, "{}", ca_file.display())?;
    say(&format!(
        "made {}, good until {}. Keep a copy of {BUNDLE}, and the pass phrase elsewhere.",
        bundle.summary().common_name,
        rfc3339_seconds(bundle.summary().not_after)
    ));
    Ok(())
}

fn issue(
    node: &NodeArgs,
    folder: &Path,
    phrase: &PhraseArgs,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let name = node_name(&node.name)?;
    let days = Days::new(node.days).ok_or(Refusal::Days)?;
    let replace = if node.replace {
        Replace::Asked
    } else {
        Replace::Never
    };
    let places = [NODE_KEY, NODE, CA].map(|file| folder.join(file));
    files::check_free(&places.each_ref().map(PathBuf::as_path), replace)?;
    let bundle = read_bundle(&node.dir)?;
    let authority = bundle.unlock(&phrase.given()?)?;
    let issued = authority.issue(&name, days, SystemClock.now())?;
    write_node(&issued, folder, replace)?;
    for place in &places {
        writeln!(out, "{}", place.display())?;
    }
    say(&format!(
        "{name} is enrolled with {} until {}",
        bundle.summary().common_name,
        rfc3339_seconds(issued.not_after)
    ));
    Ok(())
}

fn write_node(issued: &IssuedNode, folder: &Path, replace: Replace) -> anyhow::Result<()> {
    let mut files = Files::into(folder, replace)?;
    files.add(NODE_KEY, issued.key_pem.expose(), files::PRIVATE)?;
    files.add(NODE, issued.certificate_pem.as_bytes(), files::PUBLIC)?;
    files.add(CA, issued.ca_pem.as_bytes(), files::PUBLIC)?;
    files.publish()
}

fn node_name(args: &NameArgs) -> Result<NodeName, Refusal> {
    let parse = |text: &str| {
        ClusterId::parse(text)
            .map_err(|error| Refusal::Name(text.escape_default().to_string(), error))
    };
    match (&args.gate, &args.cluster) {
        (Some(gate), _) => Ok(NodeName::Gate(parse(gate)?)),
        (None, cluster) => Ok(NodeName::Engine(parse(
            cluster.as_deref().unwrap_or_default(),
        )?)),
    }
}

fn read_bundle(dir: &Path) -> anyhow::Result<Bundle> {
    let file = if dir.is_dir() {
        dir.join(BUNDLE)
    } else {
        dir.to_owned()
    };
    let text = read(&file)?;
    Bundle::parse(&text).with_context(|| format!("{} cannot be used", file.display()))
}

fn show(file: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let text = read(file)?;
    let pem = match Bundle::parse(&text) {
        Ok(bundle) => bundle.certificate_pem().as_bytes().to_vec(),
        Err(ReadBundleError::Json(_)) => text,
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be used", file.display()));
        }
    };
    let chain = certificates::chain(&pem).with_context(|| file.display().to_string())?;
    for (certificate, number) in chain.iter().zip(1..) {
        if number > 1 {
            writeln!(out)?;
        }
        print(&CertificateSummary::of(certificate)?, out)?;
    }
    Ok(())
}

fn print(summary: &CertificateSummary, out: &mut dyn Write) -> io::Result<()> {
    let now = SystemClock.now();
    let standing = if now < summary.not_before {
        "not yet valid"
    } else if now >= summary.not_after {
        "expired"
    } else {
        "valid"
    };
    let kind = match summary.kind {
        Kind::Authority => "CA",
        Kind::Node => "node",
    };
    writeln!(out, "subject:     {}", summary.subject)?;
    writeln!(out, "kind:        {kind}")?;
    for name in &summary.names {
        writeln!(out, "name:        {name}")?;
    }
    writeln!(out, "issuer:      {}", summary.issuer)?;
    writeln!(out, "serial:      {}", summary.serial)?;
    writeln!(out, "not before:  {}", rfc3339_seconds(summary.not_before))?;
    writeln!(
        out,
        "not after:   {} ({standing})",
        rfc3339_seconds(summary.not_after)
    )?;
    writeln!(out, "fingerprint: SHA256 {}", summary.fingerprint)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("{} could not be read", file.display());
    let bound = u64::try_from(Bundle::BYTES_MAX)?;
    let mut text = Vec::new();
    let opened = File::open(file).with_context(cannot)?;
    opened
        .take(bound.saturating_add(1))
        .read_to_end(&mut text)
        .with_context(cannot)?;
    if text.len() > Bundle::BYTES_MAX {
        return Err(Refusal::Long(file.to_owned()).into());
    }
    Ok(text)
}

fn say(words: &str) {
    super::complain(&format!("portway pki: {words}\n"));
}

fn is_refusal(error: &anyhow::Error) -> bool {
    error.is::<Refusal>()
        || error.is::<PhraseFault>()
        || error.is::<PassphraseError>()
        || error.is::<Occupied>()
        || error.is::<CertificateError>()
        || error.is::<ReadBundleError>()
        || matches!(error.downcast_ref(), Some(UnlockError::Refused))
        || matches!(error.downcast_ref(), Some(IssueError::NotValid))
}

/// The CA with its key, under the pass phrase.
const BUNDLE: &str = "ca.bundle";
/// The CA's certificate alone.
const CA: &str = "ca.pem";
/// A node's certificate.
const NODE: &str = "node.pem";
/// A node's private key.
const NODE_KEY: &str = "node.key";
/// Where an enrolled node keeps its files, below its state directory.
const ENROLLED: &str = "pki";

#[cfg(test)]
mod tests;
