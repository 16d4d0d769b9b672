//! The file of the disk store: its tables, opening it, and one commit.
//!
//! Every commit is durable when it returns and leaves the file so that it opens at once after a crash
//! (redb's quick repair). What the bytes mean is in `record`.

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use redb::Builder;
use redb::Database;
use redb::DatabaseError;
use redb::ReadOnlyTable;
use redb::ReadableDatabase;
use redb::ReadableTable;
use redb::Table;
use redb::TableDefinition;
use redb::WriteTransaction;

use crate::model::end::End;
use crate::model::end::Position;
use crate::model::end::Pulled;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::time::Timestamp;
use crate::store::cursors::AllPulled;
use crate::store::disk::header;
use crate::store::disk::header::Closed;
use crate::store::disk::header::FoundHeader;
use crate::store::disk::header::Header;
use crate::store::disk::open::Records;
use crate::store::disk::pulled;
use crate::store::disk::queue::Write;
use crate::store::entry;
use crate::store::life::Life;

/// Why a store did not open. Each is a start-up error.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// An entry of the end log is not readable: the logout that it stands for would be undone.
    #[error("entry {} of the end log in {} is not readable", .1.0, .0.display())]
    End(PathBuf, Position),
    /// Its first fields are missing or odd.
    #[error("{} is not a session store", .0.display())]
    Foreign(PathBuf),
    /// Another process has it open.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// A later release wrote it.
    #[error("{} has format {found}; this release reads up to {}", .path.display(), header::FORMAT)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// The file could not be read or written.
    #[error("{} could not be opened", .0.display())]
    Unusable(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The open file.
#[derive(Debug)]
pub(super) struct StoreFile {
    opener: Opener,
    /// `None` while it could not be opened again after a failed commit.
    database: Option<Database>,
}

/// Opens the database; a test puts a faulty disk here.
pub(super) struct Opener(pub(super) Box<dyn Fn() -> Result<Database, DatabaseError> + Send>);

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

/// One commit.
#[derive(Debug, Default)]
pub(super) struct Commit<'a> {
    /// The changes, in order.
    pub(super) writes: Vec<&'a Write>,
    /// Last accesses.
    pub(super) accesses: Vec<(SsoId, Timestamp)>,
    /// How far the logs of peers were read, if it is to be written.
    pub(super) pulled: Option<&'a [(ClusterId, Pulled)]>,
    /// The last place of the end log, if the changes took one.
    pub(super) last_position: Option<Position>,
    /// The life that the end log begins, if it does.
    pub(super) life: Option<Life>,
    /// Whether the file is being let go.
    pub(super) closed: Option<Closed>,
}

impl Commit<'_> {
    fn is_empty(&self) -> bool {
        self.writes
            .iter()
            .all(|write| matches!(write, Write::Barrier | Write::Reopen))
            && self.accesses.is_empty()
            && self.pulled.is_none()
            && self.closed.is_none()
    }
}

/// The records as they stood when the file was opened.
pub(super) struct Snapshot {
    pub(super) sessions: ReadOnlyTable<&'static [u8; 16], &'static [u8]>,
    pub(super) accesses: ReadOnlyTable<&'static [u8; 16], u64>,
    pub(super) users: ReadOnlyTable<&'static [u8; 16], u64>,
}

/// The file in `dir`, made with mode 0600 if there is none.
///
/// # Errors
/// When it cannot be made or reached.
pub(super) fn prepare(dir: &Path) -> io::Result<PathBuf> {
    if !dir.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let path = dir.join("sessions.redb");
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options
        .open(&path)?
        .set_permissions(Permissions::from_mode(0o600))?;
    File::open(dir)?.sync_all()?;
    Ok(path)
}

/// Opens the database at `path`.
pub(super) fn opener(path: PathBuf) -> Opener {
    Opener(Box::new(move || {
        Builder::new().set_cache_size(CACHE_BYTES).create(&path)
    }))
}

impl StoreFile {
    /// Opens the file and reads what it says of itself; a new one says what `fresh` says. Where records
    /// are volatile, those of an earlier process are dropped.
    pub(super) fn open(
        path: &Path,
        opener: Opener,
        fresh: Header,
        records: Records,
    ) -> Result<(Self, Header), OpenStoreError> {
        let unusable = |error: redb::Error| OpenStoreError::Unusable(path.into(), error.into());
        let database = (opener.0)().map_err(|error| {
            use DatabaseError::DatabaseAlreadyOpen;
            use DatabaseError::LockProtocolMismatch;
            if matches!(error, DatabaseAlreadyOpen | LockProtocolMismatch) {
                return OpenStoreError::InUse(path.into());
            }
            unusable(error.into())
        })?;
        let found = header::read(&database, fresh.began).map_err(unusable)?;
        let header = match found {
            FoundHeader::Absent => fresh,
            FoundHeader::Foreign => return Err(OpenStoreError::Foreign(path.into())),
            FoundHeader::Newer(found) => {
                return Err(OpenStoreError::Newer {
                    path: path.into(),
                    found,
                });
            }
            FoundHeader::Read(header) => Header {
                last_position: header.position_to_go_on_from(fresh.incarnation),
                ..header
            },
        };
        let records_since = match records {
            // A file that does not say it may have been without its records for some time.
            Records::Kept => Some(header.records_since.unwrap_or(fresh.began)),
            Records::Volatile => None,
        };
        let header = Header {
            records_since,
            ..header
        };
        let begun = Header {
            closed: Closed::Uncleanly,
            write_back_interval: fresh.write_back_interval,
            ..header
        };
        begin(&database, &begun, records).map_err(unusable)?;
        Ok((
            Self {
                opener,
                database: Some(database),
            },
            header,
        ))
    }

    /// Every end in the file, oldest first.
    pub(super) fn ends(&self, path: &Path) -> Result<Vec<(Position, End)>, OpenStoreError> {
        let unusable = |error: redb::Error| OpenStoreError::Unusable(path.into(), error.into());
        let rows = self.read_ends().map_err(unusable)?;
        rows.into_iter()
            .map(|(position, end)| match end {
                Some(end) => Ok((position, end)),
                None => Err(OpenStoreError::End(path.into(), position)),
            })
            .collect()
    }

    /// How far the logs of peers were read.
    pub(super) fn pulled(&self) -> Result<AllPulled, redb::Error> {
        pulled::read(self.database()?)
    }

    pub(super) fn snapshot(&self) -> Result<Snapshot, redb::Error> {
        let reading = self.database()?.begin_read()?;
        Ok(Snapshot {
            sessions: reading.open_table(SESSIONS)?,
            accesses: reading.open_table(ACCESSES)?,
            users: reading.open_table(USERS)?,
        })
    }

    /// Whether the file has to be opened again before the next commit.
    pub(super) const fn is_lost(&self) -> bool {
        self.database.is_none()
    }

    /// Has the file opened again before the next commit.
    pub(super) fn lose(&mut self) {
        self.database = None;
    }

    /// Opens the file again after a commit failed: redb refuses everything from then on.
    pub(super) fn reopen(&mut self) -> Result<(), redb::Error> {
        self.database = Some((self.opener.0)()?);
        Ok(())
    }

    /// Makes changes durable, all or none.
    pub(super) fn commit(&mut self, commit: &Commit<'_>) -> Result<(), redb::Error> {
        if commit.is_empty() {
            return Ok(());
        }
        let written = self.try_commit(commit);
        if written.is_err() {
            self.database = None;
        }
        written
    }

    fn try_commit(&self, commit: &Commit<'_>) -> Result<(), redb::Error> {
        let writing = begin_write(self.database()?)?;
        {
            let mut tables = Tables {
                sessions: writing.open_table(SESSIONS)?,
                accesses: writing.open_table(ACCESSES)?,
                users: writing.open_table(USERS)?,
                ends: writing.open_table(ENDS)?,
            };
            commit
                .writes
                .iter()
                .try_for_each(|write| tables.apply(write))?;
            for (sso, access) in &commit.accesses {
                tables.accesses.insert(sso.as_bytes(), access.as_millis())?;
            }
        }
        if let Some(cursors) = commit.pulled {
            pulled::write(&writing, cursors)?;
        }
        if let Some(position) = commit.last_position {
            header::write_last_position(&writing, position)?;
        }
        if let Some(life) = &commit.life {
            header::write_life(&writing, life)?;
        }
        if let Some(closed) = commit.closed {
            header::write_closed(&writing, closed)?;
        }
        writing.commit()?;
        Ok(())
    }

    fn read_ends(&self) -> Result<Vec<(Position, Option<End>)>, redb::Error> {
        let ends = self.database()?.begin_read()?.open_table(ENDS)?;
        let mut rows = Vec::new();
        for row in ends.iter()? {
            let (position, bytes) = row?;
            rows.push((Position(position.value()), entry::read_end(bytes.value())));
        }
        Ok(rows)
    }

    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }
}

struct Tables<'t> {
    sessions: Table<'t, &'static [u8; 16], &'static [u8]>,
    accesses: Table<'t, &'static [u8; 16], u64>,
    users: Table<'t, &'static [u8; 16], u64>,
    ends: Table<'t, u64, &'static [u8]>,
}

impl Tables<'_> {
    fn apply(&mut self, write: &Write) -> Result<(), redb::Error> {
        match write {
            // The header says the rest.
            Write::Barrier | Write::NewLife(_) | Write::Reopen => {}
            Write::End {
                position,
                end,
                superseded,
            } => {
                self.ends
                    .insert(position.0, entry::write_end(end).as_slice())?;
                if let Some(superseded) = superseded {
                    self.ends.remove(superseded.0)?;
                }
                if let End::Tombstone { sso, .. } = end {
                    self.remove(sso)?;
                }
            }
            Write::Put { session, row, .. } => {
                let key = session.facts.sso.as_bytes();
                self.sessions.insert(key, row.bytes.as_slice())?;
                self.users.insert(key, row.user_tag)?;
            }
            Write::Remove(sso) => self.remove(sso)?,
            Write::Trim(positions) => {
                for position in positions {
                    self.ends.remove(position.0)?;
                }
            }
        }
        Ok(())
    }

    fn remove(&mut self, sso: &SsoId) -> Result<(), redb::Error> {
        self.sessions.remove(sso.as_bytes())?;
        self.accesses.remove(sso.as_bytes())?;
        self.users.remove(sso.as_bytes())?;
        Ok(())
    }
}

/// Marks the file as in use, and makes its tables if it is new.
fn begin(database: &Database, header: &Header, records: Records) -> Result<(), redb::Error> {
    let writing = begin_write(database)?;
    if records == Records::Volatile {
        writing.delete_table(SESSIONS)?;
        writing.delete_table(ACCESSES)?;
        writing.delete_table(USERS)?;
    }
    writing.open_table(SESSIONS)?;
    writing.open_table(ACCESSES)?;
    writing.open_table(USERS)?;
    writing.open_table(ENDS)?;
    pulled::make(&writing)?;
    header::write(&writing, header)?;
    writing.commit()?;
    Ok(())
}

fn begin_write(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut writing = database.begin_write()?;
    writing.set_quick_repair(true);
    Ok(writing)
}

const SESSIONS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("sessions");
const ACCESSES: TableDefinition<'_, &[u8; 16], u64> = TableDefinition::new("last_accesses");
/// Small beside the records, so that a user's sessions are found long before all are taken up.
const USERS: TableDefinition<'_, &[u8; 16], u64> = TableDefinition::new("users");
const ENDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("ends");
/// Every record is in memory already, so the file's own cache only has to hold its upper pages.
const CACHE_BYTES: usize = 64 << 20;
