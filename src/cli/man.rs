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

    fn text(&self) -> io::Result<Vec<u8>> {
        let command = self.command.clone().display_name(self.name.clone());
        let page = Man::new(command).title(self.name.to_uppercase());
        // The date would make each build another one.
        let page = page.date("").manual("Portway");
        let mut text = Vec::new();
        page.render(&mut text)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_each_verb_have_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("man1")).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
        assert!(read("portway.1").contains("reverse proxy and single sign"));
        assert!(read("portway-run.1").contains("log\\-format"));
        assert!(read("portway-users-add.1").contains("e\\-mail address"));
        assert_eq!(
            pages().first().map(Page::file).as_deref(),
            Some("portway.1")
        );
    }
}
