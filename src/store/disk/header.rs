//! What the file of the disk store says of itself: its format, the life of its end log, since when it
//! remembers, how it was let go, and from which place its end log goes on.
//!
//! Its records and ends are in `file`.

use std::time::Duration;

use redb::Database;
use redb::ReadOnlyTable;
use redb::ReadableDatabase;
use redb::ReadableTable;
use redb::TableDefinition;
use redb::TableError;
use redb::WriteTransaction;

use crate::model::end::Incarnation;
use crate::model::end::Position;
use crate::model::time::Timestamp;
use crate::store::life::Life;

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The life of its end log when it was made.
    pub(super) first_life: Incarnation,
    /// The life of its end log.
    pub(super) incarnation: Incarnation,
    /// When that life began.
    pub(super) began: Timestamp,
    /// Since when every record was kept in it, if records are.
    pub(super) records_since: Option<Timestamp>,
    /// Whether it was closed.
    pub(super) closed: Closed,
    /// How late the last accesses in it may be.
    pub(super) write_back_interval: Duration,
    /// The last place of its end log that was ever taken.
    pub(super) last_position: Position,
}

impl Header {
    /// A place told to a peer never names another end. Whatever places a crashed process may have given out
    /// beyond its last commit are passed over, and each start goes on from somewhere else, by `chance`: the
    /// file may have been put back from a copy, and another process may have gone on from it before. Then
    /// either it went further, and a peer that has read it tells so, or all that is new lies behind what
    /// that peer has read (S-15).
    pub(super) fn position_to_go_on_from(&self, chance: Incarnation) -> Position {
        let [one, two, three, four, five, ..] = chance.0;
        let chance = u64::from_be_bytes([0, 0, 0, one & 0x03, two, three, four, five]);
        let last = self.last_position.0;
        Position(
            last.saturating_add(POSITIONS_LOST_MAX)
                .saturating_add(chance),
        )
    }
}

/// How the process before let the file go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// With everything in it.
    Cleanly,
    /// Without the last accesses.
    Uncleanly,
}

/// What was found where a header should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundHeader {
    /// The file is new.
    Absent,
    /// The file holds something else.
    Foreign,
    /// A later release wrote the file in this format.
    Newer(u64),
    /// The header.
    Read(Header),
}

/// Reads the header of a file. The first format, which no release wrote, did not say since when the file remembers: its end log
/// counts as begun at `now`, because what may have been forgotten before is not known (S-15).
pub(super) fn read(database: &Database, now: Timestamp) -> Result<FoundHeader, redb::Error> {
    let reading = database.begin_read()?;
    if reading.list_tables()?.next().is_none() {
        return Ok(FoundHeader::Absent);
    }
    let meta = match reading.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(_not_ours) => return Ok(FoundHeader::Foreign),
    };
    match number(&meta, FORMAT_KEY)? {
        Some(FORMAT_FIRST..=FORMAT) => {}
        Some(newer) if newer > FORMAT => return Ok(FoundHeader::Newer(newer)),
        Some(_) | None => return Ok(FoundHeader::Foreign),
    }
    let first_life = bytes(&meta, FIRST_LIFE)?.and_then(|bytes| bytes.try_into().ok());
    let later_life = bytes(&meta, LATER_LIFE)?.and_then(|bytes| bytes.try_into().ok());
    let write_back_interval = number(&meta, WRITE_BACK)?.map(Duration::from_millis);
    let last_position = number(&meta, LAST_POSITION)?.map(Position);
    let closed = match number(&meta, CLOSED)? {
        Some(CLEANLY) => Closed::Cleanly,
        Some(_) | None => Closed::Uncleanly,
    };
    let (Some(first_life), Some(write_back_interval), Some(last_position)) = (
        first_life.map(Incarnation),
        write_back_interval,
        last_position,
    ) else {
        return Ok(FoundHeader::Foreign);
    };
    let began = number(&meta, BEGAN)?.map(Timestamp::from_millis);
    let header = Header {
        first_life,
        incarnation: later_life.map_or(first_life, Incarnation),
        began: began.unwrap_or(now),
        records_since: number(&meta, RECORDS_SINCE)?.map(Timestamp::from_millis),
        closed,
        write_back_interval,
        last_position,
    };
    Ok(FoundHeader::Read(header))
}

/// Writes the header whole.
pub(super) fn write(writing: &WriteTransaction, header: &Header) -> Result<(), redb::Error> {
    let interval = u64::try_from(header.write_back_interval.as_millis()).unwrap_or(u64::MAX);
    let mut meta = writing.open_table(META)?;
    meta.insert(FORMAT_KEY, FORMAT.to_be_bytes().as_slice())?;
    meta.insert(FIRST_LIFE, header.first_life.0.as_slice())?;
    meta.insert(LATER_LIFE, header.incarnation.0.as_slice())?;
    meta.insert(WRITE_BACK, interval.to_be_bytes().as_slice())?;
    meta.insert(BEGAN, header.began.as_millis().to_be_bytes().as_slice())?;
    match header.records_since {
        Some(since) => meta.insert(RECORDS_SINCE, since.as_millis().to_be_bytes().as_slice())?,
        None => meta.remove(RECORDS_SINCE)?,
    };
    drop(meta);
    write_closed(writing, header.closed)?;
    write_last_position(writing, header.last_position)
}

/// Writes that the end log begins another life.
pub(super) fn write_life(writing: &WriteTransaction, life: &Life) -> Result<(), redb::Error> {
    let mut meta = writing.open_table(META)?;
    meta.insert(LATER_LIFE, life.incarnation.0.as_slice())?;
    meta.insert(BEGAN, life.began.as_millis().to_be_bytes().as_slice())?;
    if meta.get(RECORDS_SINCE)?.is_some() {
        let since = life.remembers_since.as_millis().to_be_bytes();
        meta.insert(RECORDS_SINCE, since.as_slice())?;
    }
    Ok(())
}

/// Writes how the file is let go.
pub(super) fn write_closed(writing: &WriteTransaction, closed: Closed) -> Result<(), redb::Error> {
    let flag = match closed {
        Closed::Cleanly => CLEANLY,
        Closed::Uncleanly => 0,
    };
    writing
        .open_table(META)?
        .insert(CLOSED, flag.to_be_bytes().as_slice())?;
    Ok(())
}

/// Writes the last place that the end log has given out.
pub(super) fn write_last_position(
    writing: &WriteTransaction,
    position: Position,
) -> Result<(), redb::Error> {
    writing
        .open_table(META)?
        .insert(LAST_POSITION, position.0.to_be_bytes().as_slice())?;
    Ok(())
}

type Meta = ReadOnlyTable<&'static str, &'static [u8]>;

fn bytes(meta: &Meta, key: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    Ok(meta.get(key)?.map(|value| value.value().to_vec()))
}

fn number(meta: &Meta, key: &str) -> Result<Option<u64>, redb::Error> {
    let bytes = bytes(meta, key)?.and_then(|bytes| bytes.try_into().ok());
    Ok(bytes.map(u64::from_be_bytes))
}

const CLEANLY: u64 = 1;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

const FORMAT_KEY: &str = "format";
const FIRST_LIFE: &str = "incarnation";
const LATER_LIFE: &str = "later_incarnation";
const BEGAN: &str = "began";
const RECORDS_SINCE: &str = "records_since";
const CLOSED: &str = "closed";
const WRITE_BACK: &str = "write_back_interval";
const LAST_POSITION: &str = "last_position";

/// More ends than any process appends between two commits.
const POSITIONS_LOST_MAX: u64 = 1 << 32;

/// The layout of the tables; a build reads its own and older ones.
pub(super) const FORMAT: u64 = 2;
const FORMAT_FIRST: u64 = 1;
