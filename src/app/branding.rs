//! The operator's pages: reads the folder that the configuration names, and says what is wrong with it.
//!
//! How a page is made of its files is `proxy::pages`' matter.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;

use crate::config::Branding;
use crate::config::Config;
use crate::proxy::pages::Files;
use crate::proxy::pages::Gravity;
use crate::proxy::pages::Pages;

/// What is wrong with the operator's pages, each in a line.
#[derive(Debug, Default)]
pub struct Findings {
    /// What keeps the gateway from starting.
    pub faults: Vec<String>,
    /// What somebody may wonder about.
    pub warnings: Vec<String>,
}

/// Makes the pages; warnings go to the log.
///
/// # Errors
/// Everything that keeps them from being shown.
pub fn pages(config: &Config) -> anyhow::Result<Arc<Pages>> {
    let (pages, findings) = read(&config.branding);
    for warning in &findings.warnings {
        tracing::warn!("{warning}");
    }
    if !findings.faults.is_empty() {
        bail!(
            "the pages cannot be shown so:\n{}",
            findings.faults.join("\n")
        );
    }
    Ok(Arc::new(pages))
}

/// Tries the pages, as `portway check` does.
#[must_use]
pub fn check(config: &Config) -> Findings {
    read(&config.branding).1
}

fn read(branding: &Branding) -> (Pages, Findings) {
    let mut findings = Findings::default();
    let mut files = Files::new();
    let shown = branding
        .templates_dir
        .as_deref()
        .unwrap_or_else(|| Path::new(""))
        .display();
    if let Some(folder) = &branding.templates_dir
        && let Err(error) = collect(folder, "", &mut files)
    {
        findings.faults.push(format!("{shown}: {error:#}"));
    }
    let (pages, faults) = Pages::with(&files, &branding.language);
    for fault in faults {
        let line = format!("{shown}/{fault}");
        match fault.gravity {
            Gravity::Fault => findings.faults.push(line),
            Gravity::Warning => findings.warnings.push(line),
        }
    }
    if !pages.speaks(&branding.language) {
        let language = &branding.language;
        findings.faults.push(format!(
            "branding.language: `{language}` is not spoken; messages/{language}.txt would do that"
        ));
    }
    (pages, findings)
}

/// Reads a folder and the folders in it; `prefix` is the way to it.
fn collect(folder: &Path, prefix: &str, files: &mut Files) -> anyhow::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else {
            bail!("the name of a file is not UTF-8");
        };
        // Editors and version control leave such files behind.
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let path = format!("{prefix}{name}");
        let what = std::fs::metadata(entry.path())?;
        if what.is_dir() {
            if prefix.matches('/').count() >= DEPTH_MAX {
                bail!("{path}: folders are nested too deeply");
            }
            collect(&entry.path(), &format!("{path}/"), files)?;
            continue;
        }
        if what.len() > FILE_BYTES_MAX || files.len() >= FILES_MAX {
            bail!("{path}: there may be {FILES_MAX} files of at most {FILE_BYTES_MAX} bytes");
        }
        files.insert(path, std::fs::read(entry.path())?);
    }
    Ok(())
}

const FILE_BYTES_MAX: u64 = 4 << 20;
const FILES_MAX: usize = 200;
/// Folders within the folder.
const DEPTH_MAX: usize = 3;
