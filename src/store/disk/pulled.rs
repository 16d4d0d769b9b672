//! The table of the file that says how far the logs of peers were read.
//!
//! A cursor that is not readable is none: the peer's log is read from its beginning then.

use redb::Database;
use redb::ReadableDatabase;
use redb::ReadableTable;
use redb::TableDefinition;
use redb::WriteTransaction;

use crate::model::end::Pulled;
use crate::model::name::ClusterId;
use crate::store::cursors::AllPulled;
use crate::store::entry;

/// Makes the table if there is none.
pub(super) fn make(writing: &WriteTransaction) -> Result<(), redb::Error> {
    writing.open_table(PULLED)?;
    Ok(())
}

/// Reads every cursor.
pub(super) fn read(database: &Database) -> Result<AllPulled, redb::Error> {
    let table = database.begin_read()?.open_table(PULLED)?;
    let mut cursors = Vec::new();
    for row in table.iter()? {
        let (peer, bytes) = row?;
        let pulled = entry::read_pulled(bytes.value());
        if let (Ok(peer), Some(pulled)) = (ClusterId::parse(peer.value()), pulled) {
            cursors.push((peer, pulled));
        }
    }
    Ok(cursors)
}

/// Puts these cursors in the place of all that stood there.
pub(super) fn write(
    writing: &WriteTransaction,
    cursors: &[(ClusterId, Pulled)],
) -> Result<(), redb::Error> {
    let mut table = writing.open_table(PULLED)?;
    table.retain(|_, _| false)?;
    for (peer, pulled) in cursors {
        table.insert(peer.as_str(), entry::write_pulled(pulled).as_slice())?;
    }
    Ok(())
}

const PULLED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("pulled");
