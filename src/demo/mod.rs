//! `portway demo`: two data centres with sample applications behind them, for a first look on one machine.
//!
//! Everything listens on 127.0.0.1 only and lives in one folder. The gateways are real ones, processes
//! started from configuration files like any other; nothing in the product knows that it is a
//! demonstration.

use std::path::PathBuf;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::demo::folder::WorkFolder;
use crate::demo::room::Room;
use crate::demo::script::Script;

mod apps;
mod centre;
mod certificate;
mod client;
mod console;
mod folder;
mod form;
mod jar;
mod link;
mod plan;
mod ports;
mod room;
mod script;
mod site;

/// What the demonstration is to do, and where.
#[derive(Clone, Debug)]
pub struct DemoArgs {
    /// Serve, or walk through by itself.
    pub mode: Mode,
    /// The port for https of the first data centre, the second takes the next; 0 takes any free ones.
    pub port: u16,
    /// The port for http of the first data centre, the second takes the next; 0 takes any free ones.
    pub plain_port: u16,
    /// Which lines the gateways write to their log files.
    pub log: String,
    /// Where the files go.
    pub folder: Folder,
}

/// What the demonstration does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Walks the journey of a user by itself, says what it sees, and ends.
    Script,
    /// Serves until it is told to stop.
    Serve,
}

/// Where the files of the demonstration go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Into a new folder, removed at the end.
    Fresh {
        /// The folder it is made in.
        under: PathBuf,
    },
    /// Into this folder, which stays; certificates and users found there are kept.
    Kept(PathBuf),
}

/// The port for https unless another is asked for.
pub const PORT: u16 = 8443;
/// The port for http unless another is asked for.
pub const PLAIN_PORT: u16 = 8080;

/// Runs the demonstration: until a signal when serving, to the end of its journey as a script.
///
/// # Errors
/// When it cannot be started, or, as a script, when a step shows something else than it should.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let folder = WorkFolder::make(&args.folder)?;
    let runtime = Runtime::new().context("the demonstration's threads could not be started")?;
    runtime.block_on(async {
        let room = Room::open(args, &folder).await?;
        let done = match args.mode {
            Mode::Script => Script::walk(&room).await,
            Mode::Serve => console::serve(&room).await,
        };
        // What the journey found matters more than how the gateways stopped.
        let stopped = room.close();
        done.and(stopped)
    })
}
