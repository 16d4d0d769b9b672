//! Everything of a reload that can fail: reading, checking, building. Nothing changes here.

use std::path::Path;
use std::sync::Arc;

use crate::app::doubts;
use crate::app::lasting::Lasting;
use crate::app::reload::refused_for;
use crate::app::sockets::Planned;
use crate::app::verify;
use crate::config::Config;
use crate::config::diagnostic::Colour;
use crate::config::diagnostic::Faults;
use crate::config::load::Loading;
use crate::config::load::load_noting;
use crate::config::restart;
use crate::config::sources::Sources;
use crate::ports::control::FaultReport;
use crate::ports::control::ReloadResult;
use crate::provider::users_file::FreshUsers;
use crate::provider::users_file::UsersFileProvider;
use crate::provider::users_file::document;
use crate::proxy::serving::Serving;

/// A configuration that is ready to be served.
pub(super) struct Prepared {
    pub(super) config: Config,
    pub(super) serving: Serving,
    pub(super) sockets: Vec<Planned>,
    pub(super) users: UsersChange,
    pub(super) needs_restart: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// What is to become of the users file.
pub(super) enum UsersChange {
    /// Nothing.
    None,
    /// Another one, or the same with other settings.
    Other(Arc<UsersFileProvider>),
    /// The same, with other contents.
    SameFile(FreshUsers),
}

/// Reads a configuration and builds what it serves, fitted to what runs; or says why not. With it come the
/// files that were looked at; the users file, which is followed on its own, only where it was in the way.
pub(super) fn prepare(
    path: &Path,
    running: &Config,
    before: &Serving,
    lasting: &Lasting,
) -> (Result<Box<Prepared>, ReloadResult>, Sources) {
    let Loading { outcome, sources } = load_noting(path);
    let config = match outcome {
        Ok(config) => config,
        Err(faults) => return (Err(refused(&faults)), sources),
    };
    let users = config.authentication.as_ref();
    let users = users.map(|by| by.users_file.clone());
    let mut noted = Sources::default();
    users.iter().for_each(|file| noted.note(file));
    let outcome = build(config, running, before, lasting);
    let is_broken = |file: &Path| document::load(file).is_err() || noted.again() != noted;
    if outcome.is_err() && users.as_deref().is_some_and(is_broken) {
        return (outcome, sources.and(noted));
    }
    (outcome, sources)
}

fn build(
    config: Config,
    running: &Config,
    before: &Serving,
    lasting: &Lasting,
) -> Result<Box<Prepared>, ReloadResult> {
    let unusable = verify::unusable(&config, lasting.ports.clock.now());
    if !unusable.is_empty() {
        return Err(refused_unusable(&unusable));
    }
    let fitted = restart::fit(running, config);
    let config = fitted.config;
    let doubts = doubts::of_files(&config);
    let users = users(&config, running, lasting).map_err(|error| broken(&error))?;
    let sockets = lasting.sockets.lock().plan(&config.listeners);
    let sockets = sockets.map_err(|error| broken(&error))?;
    let serving = lasting.serving(&config, &sockets, Some(before));
    let serving = serving.map_err(|error| broken(&error))?;
    let unused = lasting.sockets.lock().unused(&config.listeners);
    let warnings = config.warnings.lines().chain(doubts).chain(unused);
    Ok(Box::new(Prepared {
        warnings: warnings.collect(),
        config,
        serving,
        sockets,
        users,
        needs_restart: fitted.needs_restart,
    }))
}

fn users(config: &Config, running: &Config, lasting: &Lasting) -> anyhow::Result<UsersChange> {
    use anyhow::Context;

    let (Some(settings), Some(current)) = (&config.authentication, lasting.engine.users()) else {
        return Ok(UsersChange::None);
    };
    let cannot = || {
        let file = settings.users_file.display();
        format!("the users file {file} cannot be used")
    };
    if running.authentication.as_ref() != Some(settings) {
        let users = UsersFileProvider::open(settings).with_context(cannot)?;
        return Ok(UsersChange::Other(Arc::new(users)));
    }
    let users = current.now();
    if users.version() == users.users().version() {
        return Ok(UsersChange::None);
    }
    let fresh = users.read_again().with_context(cannot)?;
    Ok(UsersChange::SameFile(fresh))
}

fn refused(faults: &Faults) -> ReloadResult {
    let reports = faults.reports().map(|fault| FaultReport {
        file: Some(fault.file.to_owned()),
        line: fault.at.map(|at| at.line),
        column: fault.at.map(|at| at.column),
        key: (!fault.path.is_empty()).then(|| fault.path.to_owned()),
        message: fault.message,
        hint: fault.hint,
    });
    ReloadResult::Refused {
        faults: reports.collect(),
        text: faults.render(Colour::Plain),
    }
}

fn refused_unusable(unusable: &[String]) -> ReloadResult {
    let report = |text: &String| FaultReport {
        message: text.trim_end().to_owned(),
        ..FaultReport::default()
    };
    ReloadResult::Refused {
        faults: unusable.iter().map(report).collect(),
        text: unusable.join("\n"),
    }
}

fn broken(error: &anyhow::Error) -> ReloadResult {
    refused_for(format!("{error:#}"))
}
