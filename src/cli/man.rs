//! `portway man`: manual pages, made from the same words as `--help`.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::Command;
use clap_mangen::Man;

/// Where the pages go.
#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// Writes a page for each verb into this folder, which is made if it is not there; prints that of the
    /// whole program otherwise
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints or writes pages: 0, or 1 when a page could not be written.
pub(super) fn run(args: &ManArgs) -> ExitCode {
    let done = match &args.dir {
        Some(dir) => write(dir),
        None => print(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            super::complain(&format!("portway man: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

fn print() -> anyhow::Result<()> {
    if let Some(page) = pages().first() {
        super::say(&String::from_utf8_lossy(&page.text()?));
    }
    Ok(())
}

fn write(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    for page in pages() {
        let path = dir.join(page.file());
        fs::write(&path, page.text()?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        super::say(&format!("{}\n", path.display()));
    }
    Ok(())
}

/// A page of section 1.
struct Page {
    /// `portway`, or that and the words of a verb, with `-` between them.
    name: String,
    command: Command,
}

impl Page {
    fn file(&self) -> String {
        format!("{}.1", self.name)
    }

    /// What `--help` has no place for.
    fn sections(&self) -> &'static [&'static str] {
        match self.name.as_str() {
            "portway" | "portway-run" => &[SIGNALS, FILES, ENVIRONMENT, EXIT_STATUS],
            _ => &[ENVIRONMENT, EXIT_STATUS],
        }
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        let command = self.command.clone().display_name(self.name.clone());
        let page = Man::new(command).title(self.name.to_uppercase());
        let version = concat!("portway ", env!("CARGO_PKG_VERSION"));
        // The date would make each build another one.
        let page = page.date("").manual("Portway").source(version);
        let mut text = Vec::new();
        page.render(&mut text)?;
        for section in self.sections() {
            text.extend_from_slice(section.as_bytes());
        }
        Ok(text)
    }
}

/// The page of the program, and one for each verb behind it.
fn pages() -> Vec<Page> {
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    let mut open = vec![("portway".to_owned(), command)];
    while let Some((name, command)) = open.pop() {
        let verbs = command.get_subcommands();
        open.extend(verbs.map(|verb| (format!("{name}-{}", verb.get_name()), verb.clone())));
        pages.push(Page { name, command });
    }
    pages
}

const SIGNALS: &str = r"
.SH SIGNALS
What a running gateway does on a signal.
.TP
SIGHUP
Reads the configuration again, as \fBportway reload\fR does.
.TP
SIGUSR1
Opens the access log anew, after it was moved away.
.TP
SIGTERM, SIGINT
Is not ready any more, accepts connections for \fBlimits.drain_delay\fR yet, lets running requests finish
within \fBlimits.drain_timeout\fR, and ends.
";
const FILES: &str = r"
.SH FILES
.TP
\fIgateway.yaml\fR
The configuration, unless \fB\-\-config\fR names another one; relative paths in it start from its folder.
.TP
\fIstate/\fR
The state directory (\fBstate_dir\fR), for the gateway's user alone.
.TP
\fIstate/key\-ring.json\fR
The keys of cookies and records (\fBkey_ring_file\fR), mode 600.
.TP
\fIstate/audit.jsonl\fR, \fIstate/audit.jsonl.head\fR
The audit trail (\fBlogs.audit.file\fR), and the note of where it ends.
.TP
\fIstate/control.sock\fR
Where \fBportway status\fR, \fBreload\fR, \fBsessions\fR and \fBkeys\fR reach the gateway.
";
const ENVIRONMENT: &str = r"
.SH ENVIRONMENT
.TP
PORTWAY_CONFIG
The configuration file, where \fB\-\-config\fR does not name one.
.TP
PORTWAY_LOG
Which log lines \fBportway run\fR writes, where \fB\-\-log\fR does not say so.
.TP
NO_COLOR
Any value but an empty one: messages have no colours.
.PP
The configuration may name further variables.
";
const EXIT_STATUS: &str = r"
.SH EXIT STATUS
.TP
0
Done.
.TP
1
Failed; what a verb answers with 1 beside that, its own text says.
.TP
2
The command line or the configuration has a fault.
.TP
3
Done, but something was lost on the way.
.TP
4
The gateway that was to be asked was not reached.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_each_verb_have_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("man1")).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
        assert!(read("portway.1").contains("reverse proxy and single sign"));
        let run = read("portway-run.1");
        assert!(run.contains("log\\-format"));
        for section in ["SIGNALS", "FILES", "ENVIRONMENT", "EXIT STATUS"] {
            assert!(run.contains(&format!("\n.SH {section}\n")), "{section}");
        }
        let title = concat!("\"portway ", env!("CARGO_PKG_VERSION"), "\"");
        let first = run.lines().find(|line| line.starts_with(".TH"));
        assert!(first.unwrap().contains(title), "{first:?}");
        assert!(read("portway-users-add.1").contains("e\\-mail address"));
        assert_eq!(
            pages().first().map(Page::file).as_deref(),
            Some("portway.1")
        );
    }
}
