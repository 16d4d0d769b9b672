//! `portway pages`: every page as it will look, in files that a browser opens.
//!
//! Whether a page works is for `portway check` to say; here somebody looks at them.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::app::branding;
use crate::cli::ConfigArgs;
use crate::cli::check;
use crate::config::load::load;
use crate::proxy::pages::Pages;

/// Which pages, and where they go.
#[derive(Args, Debug)]
pub(super) struct PagesArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Writes the pages into this folder, which is made if it is not there; index.html leads to each
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Writes the pages: 0, 2 when the configuration or a page has a fault, 1 when a file could not be written.
pub(super) fn run(args: &PagesArgs) -> ExitCode {
    let config = match load(&args.config.config) {
        Ok(config) => config,
        Err(faults) => return check::refuse(&args.config.config, &faults),
    };
    let done = match branding::pages(&config) {
        Ok(pages) => write(&pages, &args.dir),
        Err(error) => {
            super::complain(&format!("portway pages: {error:#}\n"));
            return ExitCode::from(super::FAULTY);
        }
    };
    match done {
        Ok(index) => {
            super::say(&format!("{}\n", index.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            super::complain(&format!("portway pages: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Writes the pages, what they refer to, and a list of them; answers where that is.
fn write(pages: &Pages, dir: &Path) -> anyhow::Result<PathBuf> {
    let mut index = String::from(INDEX);
    for (name, content) in pages.files() {
        put(dir, &format!(".portway/{name}"), &content)?;
    }
    for sample in pages.samples() {
        let name = format!("{}.html", sample.name);
        // Opened as a file, a page has no host that addresses could begin at.
        let html = sample.html.replace("=\"/.portway/", "=\".portway/");
        put(dir, &name, html.as_bytes())?;
        writeln!(index, "<li><a href=\"{name}\">{}</a></li>", sample.name)?;
    }
    index.push_str("</ul>\n");
    put(dir, "index.html", index.as_bytes())
}

fn put(dir: &Path, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
    let path = dir.join(name);
    let folder = path.parent().unwrap_or(dir);
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

const INDEX: &str = "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Pages</title>\n<ul>\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_is_written_with_what_it_refers_to_and_stands_in_the_list() {
        let folder = tempfile::tempdir().unwrap();
        let logo = ("static/logo.svg".to_owned(), b"<svg/>".to_vec());
        let (pages, faults) = Pages::with(&[logo].into(), "en");
        assert_eq!(faults, []);
        let index = fs::read_to_string(write(&pages, folder.path()).unwrap()).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        for name in [
            "en-login-1",
            "de-password-1",
            "ar-signed_out-1",
            "fr-replay-3",
        ] {
            let page = format!("{name}.html");
            assert!(index.contains(&format!("<a href=\"{page}\">")), "{name}");
            assert!(
                read(&page).contains("href=\".portway/style.css\""),
                "{name}"
            );
        }
        assert!(read(".portway/style.css").contains("prefers-color-scheme"));
        assert_eq!(read(".portway/static/logo.svg"), "<svg/>");
    }
}
