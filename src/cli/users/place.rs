//! Which users file `portway users` works on, and where a change of it is noted.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::cli::audit;
use crate::cli::users::Refusal;
use crate::config::Config;
use crate::config::load;
use crate::decision::password::PasswordRules;
use crate::logbook::event::Actor;
use crate::logbook::event::Event;

/// Where the users file is.
#[derive(Args, Debug)]
pub(super) struct PlaceArgs {
    /// The users file
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// The gateway's configuration, which names the users file
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "PORTWAY_CONFIG",
        default_value = DEFAULT_CONFIG
    )]
    config: PathBuf,
}

/// The users file, and the configuration that names it unless it was named itself.
pub(super) struct Place {
    pub(super) file: PathBuf,
    config: Option<Config>,
}

impl PlaceArgs {
    /// Finds the users file, and reads the configuration where that names it.
    pub(super) fn find(&self) -> anyhow::Result<Place> {
        if let Some(file) = &self.file {
            let file = file.clone();
            return Ok(Place { file, config: None });
        }
        let config = load::load(&self.config).with_context(|| {
            format!(
                "no users file given with --file, and {} does not help",
                self.config.display()
            )
        })?;
        let authentication = config.authentication.as_ref();
        let file = authentication.map(|authentication| authentication.users_file.clone());
        Ok(Place {
            file: file.ok_or_else(|| Refusal::NoUsersFile(self.config.clone()))?,
            config: Some(config),
        })
    }
}

impl Place {
    /// What the passwords have to be that users choose: as the configuration says, where there is one.
    pub(super) fn password_rules(&self) -> PasswordRules {
        let config = self.config.as_ref();
        let authentication = config.and_then(|config| config.authentication.as_ref());
        authentication.map_or_else(PasswordRules::default, |known| known.password)
    }

    /// Notes a change in the audit trail of the configuration that names the users file. A change that was made
    /// is not taken back because it could not be noted; the gateway notes that the file has changed by itself.
    pub(super) fn record(&self, event: Event) {
        let Some(config) = &self.config else {
            return;
        };
        let sudo = std::env::var_os("SUDO_USER").unwrap_or_default();
        let event = event.by(&Actor {
            uid: rustix::process::getuid().as_raw(),
            sudo_user: sudo.to_string_lossy().into_owned(),
        });
        let noted = audit::trail(config)
            .and_then(|trail| trail.map_or(Ok(()), |trail| Ok(trail.note(event)?)));
        if let Err(error) = noted {
            let told = "the change was made, but not noted in the audit trail";
            crate::cli::complain(&format!("portway users: {told}: {error:#}\n"));
        }
    }
}

const DEFAULT_CONFIG: &str = "gateway.yaml";
