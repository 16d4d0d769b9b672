//! Where the pass phrase comes from: a file, the environment, or the terminal without echo. Never the
//! command line, where every process could read it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use zeroize::Zeroize;

use crate::crypto::pki::passphrase::Passphrase;
use crate::model::secret::Secret;

/// Where the pass phrase comes from.
#[derive(Args, Debug)]
pub(super) struct PhraseArgs {
    /// Reads the pass phrase from the first line of a file. Without it, the environment is looked at
    /// (PORTWAY_PKI_PASSPHRASE_FILE, PORTWAY_PKI_PASSPHRASE), then the terminal is asked
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Why no pass phrase was got.
#[derive(Debug, thiserror::Error)]
pub(super) enum PhraseFault {
    /// Two variables say two things.
    #[error("{FILE_VARIABLE} and {VARIABLE} are both set; unset one")]
    Both,
    /// The second entry was another.
    #[error("the two pass phrases differ")]
    Differ,
    /// There is nobody to ask.
    #[error("there is no terminal to ask for the pass phrase; give --passphrase-file FILE")]
    NoTerminal,
}

impl PhraseArgs {
    /// Gets the pass phrase of a new CA; the terminal asks twice.
    pub(super) fn choose(&self) -> anyhow::Result<Passphrase> {
        if let Some(text) = self.found()? {
            return Ok(Passphrase::choose(text)?);
        }
        let typed = ask("New pass phrase of the CA: ")?;
        // Tell of a weak one before asking for it twice.
        let chosen = Passphrase::choose(typed.clone())?;
        if ask("Again: ")? != typed {
            return Err(PhraseFault::Differ.into());
        }
        Ok(chosen)
    }

    /// Gets the pass phrase of a CA that exists.
    pub(super) fn given(&self) -> anyhow::Result<Passphrase> {
        let text = match self.found()? {
            Some(text) => text,
            None => ask("Pass phrase of the CA: ")?,
        };
        Ok(Passphrase::given(text)?)
    }

    fn found(&self) -> anyhow::Result<Option<Secret>> {
        if let Some(file) = &self.passphrase_file {
            return first_line(file).map(Some);
        }
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        match (variable(FILE_VARIABLE), variable(VARIABLE)) {
            (Some(_), Some(_)) => Err(PhraseFault::Both.into()),
            (Some(file), None) => first_line(Path::new(&file)).map(Some),
            (None, value) => Ok(value.map(OsString::into_vec).map(Secret::new)),
        }
    }
}

/// The first line of a file without its end; a little more than the longest pass phrase is read at most.
fn first_line(file: &Path) -> anyhow::Result<Secret> {
    let cannot = || format!("the pass phrase file {} could not be read", file.display());
    let bound = Passphrase::BYTES_MAX + 2;
    // Room for all of it from the start: a growing buffer leaves copies behind.
    let mut bytes = Vec::with_capacity(bound);
    File::open(file)
        .and_then(|opened| {
            opened
                .take(u64::try_from(bound).unwrap_or(0))
                .read_to_end(&mut bytes)
        })
        .with_context(cannot)?;
    let mut line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    if let Some(before) = line.strip_suffix(b"\r") {
        line = before;
    }
    let line = Secret::new(line.to_vec());
    bytes.zeroize();
    Ok(line)
}

fn ask(prompt: &str) -> anyhow::Result<Secret> {
    if !io::stdin().is_terminal() {
        return Err(PhraseFault::NoTerminal.into());
    }
    let typed = rpassword::prompt_password(prompt).context("the terminal could not be read")?;
    Ok(Secret::new(typed.into_bytes()))
}

const VARIABLE: &str = "PORTWAY_PKI_PASSPHRASE";
const FILE_VARIABLE: &str = "PORTWAY_PKI_PASSPHRASE_FILE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_phrase_is_the_first_line_of_its_file_without_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("phrase");
        for (text, phrase) in [
            ("a b\n", "a b"),
            ("ab\r\nc\n", "ab"),
            ("ab", "ab"),
            ("", ""),
            (" x ", " x "),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(first_line(&file).unwrap().expose(), phrase.as_bytes());
        }
        std::fs::write(&file, vec![b'a'; 100_000]).unwrap();
        let long = Passphrase::given(first_line(&file).unwrap());
        assert!(long.is_err());
    }
}
