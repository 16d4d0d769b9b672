//! The backlog: records of an earlier process that are not in the table yet.
//!
//! A thread takes them up one after the other while the gateway serves already; a record that is asked
//! for before its turn, by its id or by its user, is read from the file on the spot. The table decides
//! which copy counts.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;
use redb::ReadableTable;
use tokio::sync::Notify;

use crate::model::id::SsoId;
use crate::model::time::Timestamp;
use crate::store::RecordSealer;
use crate::store::disk::backlog::accesses::Accesses;
use crate::store::disk::file::Snapshot;
use crate::store::disk::file::StoreFile;
use crate::store::disk::queue::Queue;
use crate::store::disk::queue::Write;
use crate::store::record;
use crate::store::table::Access;
use crate::store::table::Loaded;
use crate::store::table::Table;

mod accesses;

/// The records that are still to be taken up.
pub(super) struct Backlog {
    table: Arc<Table>,
    queue: Arc<Queue>,
    sealer: Arc<dyn RecordSealer>,
    credit: Credit,
    /// Whether a record may be in the file that was not found when it was asked for.
    has_gaps: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    /// Told when it is known whose the records are, or that it will not be for now.
    learned: Notify,
}

/// How much later than written a last access counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    /// The most that it may have been later.
    pub(super) at_most: Duration,
    /// When the store was opened; no access was later.
    pub(super) opened: Timestamp,
}

impl Credit {
    fn access(self, written: Timestamp) -> Access {
        Access {
            written,
            counts: written.max(written.after(self.at_most).min(self.opened)),
        }
    }
}

impl std::fmt::Debug for Backlog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backlog")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

struct State {
    snapshot: Option<Arc<Snapshot>>,
    users: Users,
    /// Counts the snapshots: a failed commit closes the file under the one before.
    snapshots: u64,
    phase: Phase,
    unreadable: usize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

/// Which records may be whose.
enum Users {
    /// In order.
    Known(Vec<(u64, SsoId)>),
    /// Nobody has looked yet.
    Unknown,
    /// The disk does not say for now.
    Unreadable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Loaded,
    Loading,
    Stopped,
}

impl Backlog {
    /// Without a snapshot there is nothing to take up.
    pub(super) fn new(
        table: Arc<Table>,
        queue: Arc<Queue>,
        sealer: Arc<dyn RecordSealer>,
        credit: Credit,
        snapshot: Option<Snapshot>,
    ) -> Self {
        let phase = match snapshot {
            None => Phase::Loaded,
            Some(_) => Phase::Loading,
        };
        let state = State {
            snapshot: snapshot.map(Arc::new),
            users: Users::Unknown,
            snapshots: 1,
            phase,
            unreadable: 0,
        };
        let state = Mutex::new(state);
        Self {
            table,
            queue,
            sealer,
            credit,
            has_gaps: AtomicBool::new(false),
            state,
            changed: Condvar::new(),
            learned: Notify::new(),
        }
    }

    /// Takes up every record; returns when all are, or when it is stopped. What the disk does not give is
    /// asked for again until it does.
    pub(super) fn load(&self) {
        let mut after = None;
        let mut snapshots = 0;
        let mut pause = RETRY_FIRST;
        while let Some(snapshot) = self.snapshot_after(&mut snapshots) {
            match self
                .learn_users(&snapshot)
                .and_then(|()| self.load_from(&snapshot, &mut after))
            {
                Ok(Phase::Loaded) => return self.finish(),
                Ok(Phase::Loading | Phase::Stopped) => return,
                Err(error) => {
                    tracing::warn!(%error, "reading the sessions stopped; it goes on later");
                    self.release_users();
                    self.rest(pause);
                    pause = (pause * 2).min(RETRY_LAST);
                    // redb refuses every read after one that failed, until the file is opened again.
                    self.queue.push(Write::Reopen);
                }
            }
        }
    }

    /// Brings the record of `sso` into the table if it is still to be taken up.
    pub(super) fn ensure(&self, sso: &SsoId) {
        if !self.table.is_loading() || !self.table.is_absent(sso) {
            return;
        }
        let snapshot = self.state.lock().snapshot.clone();
        self.bring(sso, snapshot);
    }

    fn bring(&self, sso: &SsoId, snapshot: Option<Arc<Snapshot>>) {
        let Some(snapshot) = snapshot else {
            // Where every record has been taken up meanwhile, the table has this one, if anybody has.
            if self.table.is_loading() {
                self.note_gap();
            }
            return;
        };
        if let Err(error) = self.read_through(&snapshot, sso) {
            self.note_gap();
            // Without its record a session is not served, which is the safe side.
            tracing::warn!(session_hash = sso.short_hash(), %error, "a session could not be read");
        }
    }

    /// Brings the records of a user into the table; waits until it is known which those are, which
    /// takes a fraction of the time of taking all up.
    pub(super) async fn ensure_user(&self, user_tag: u64) {
        while self.table.is_loading() {
            // Listening begins before the look, so that nothing comes between the two.
            let learned = self.learned.notified();
            if let Some(sessions) = self.sessions_of(user_tag) {
                return sessions.iter().for_each(|sso| self.ensure(sso));
            }
            learned.await;
        }
    }

    /// Puts the file, opened again, in place of the one that a failed commit closed.
    pub(super) fn renew(&self, file: &StoreFile) -> Result<(), redb::Error> {
        let mut state = self.state.lock();
        if state.phase == Phase::Loading {
            state.snapshot = Some(Arc::new(file.snapshot()?));
            state.snapshots += 1;
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Ends the loading where it is.
    pub(super) fn stop(&self) {
        self.leave(Phase::Stopped);
    }

    /// Whether records are still to be taken up whose last access counts later than written: a file
    /// closed without them must not promise that what is written is all.
    pub(super) fn is_credit_open(&self) -> bool {
        self.table.is_loading() && !self.credit.at_most.is_zero()
    }

    /// Since when nothing can have been here that is not found, if that is since this process began
    /// only: a record that does not open was here all the same (S-19).
    pub(super) fn forgot_before(&self) -> Option<Timestamp> {
        let has_gaps = self.has_gaps.load(Ordering::Acquire);
        has_gaps.then_some(self.credit.opened)
    }

    /// How many stored records could not be read and were left out.
    pub(super) fn unreadable(&self) -> usize {
        self.state.lock().unreadable
    }

    fn finish(&self) {
        self.table.complete();
        self.leave(Phase::Loaded);
    }

    fn leave(&self, phase: Phase) {
        let mut state = self.state.lock();
        if state.phase == Phase::Loading {
            state.phase = phase;
            state.snapshot = None;
            state.users = Users::Unknown;
        }
        drop(state);
        self.changed.notify_all();
        self.learned.notify_waiters();
    }

    /// Waits for a snapshot after the `seen`-th; there is none when the store closes.
    fn snapshot_after(&self, seen: &mut u64) -> Option<Arc<Snapshot>> {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| {
            state.phase == Phase::Loading && state.snapshots == *seen
        });
        *seen = state.snapshots;
        state.snapshot.clone()
    }

    fn learn_users(&self, snapshot: &Snapshot) -> Result<(), redb::Error> {
        if matches!(self.state.lock().users, Users::Known(_)) {
            return Ok(());
        }
        let mut users = Vec::new();
        for row in snapshot.users.iter()? {
            let (key, user_tag) = row?;
            users.push((user_tag.value(), SsoId::from_bytes(*key.value())));
        }
        users.sort_unstable();
        self.state.lock().users = Users::Known(users);
        self.learned.notify_waiters();
        Ok(())
    }

    /// What may be a user's; none while nobody has looked.
    fn sessions_of(&self, user_tag: u64) -> Option<Vec<SsoId>> {
        let state = self.state.lock();
        let users = match &state.users {
            Users::Known(users) => users.as_slice(),
            Users::Unknown if state.phase == Phase::Loading => return None,
            Users::Unknown | Users::Unreadable => &[],
        };
        let first = users.partition_point(|(tag, _)| *tag < user_tag);
        let theirs = users
            .iter()
            .skip(first)
            .take_while(|(tag, _)| *tag == user_tag);
        Some(theirs.map(|(_, sso)| *sso).collect())
    }

    /// Lets whoever waits for a user's records go on with those taken up so far: a sign-in that waits for
    /// a broken disk would hold up everybody.
    fn release_users(&self) {
        let mut state = self.state.lock();
        if matches!(state.users, Users::Unknown) {
            state.users = Users::Unreadable;
        }
        drop(state);
        self.learned.notify_waiters();
    }

    /// Waits, unless the file was opened again or is being closed meanwhile.
    fn rest(&self, pause: Duration) {
        let mut state = self.state.lock();
        let seen = state.snapshots;
        let waits = |state: &mut State| state.phase == Phase::Loading && state.snapshots == seen;
        self.changed.wait_while_for(&mut state, waits, pause);
    }

    fn load_from(
        &self,
        snapshot: &Snapshot,
        after: &mut Option<[u8; 16]>,
    ) -> Result<Phase, redb::Error> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (from.as_ref(), Bound::Unbounded);
        let mut accesses = Accesses::new(snapshot.accesses.range::<&[u8; 16]>(range)?);
        for row in snapshot.sessions.range::<&[u8; 16]>(range)? {
            let (key, bytes) = row?;
            let sso = SsoId::from_bytes(*key.value());
            let access = accesses.of(&sso)?;
            if let Err(error) = self.take_up(&sso, bytes.value(), access) {
                self.skip(&sso, bytes.value(), error);
            }
            *after = Some(*sso.as_bytes());
            if !self.is_loading() {
                return Ok(Phase::Stopped);
            }
        }
        Ok(Phase::Loaded)
    }

    fn read_through(&self, snapshot: &Snapshot, sso: &SsoId) -> Result<(), redb::Error> {
        let Some(bytes) = snapshot.sessions.get(sso.as_bytes())? else {
            return Ok(());
        };
        let access = snapshot.accesses.get(sso.as_bytes())?;
        let access = access.map(|access| Timestamp::from_millis(access.value()));
        match self.take_up(sso, bytes.value(), access) {
            Ok(()) => {}
            Err(error) => {
                self.note_gap();
                tracing::debug!(%error, "it is counted in its turn");
            }
        }
        Ok(())
    }

    fn take_up(
        &self,
        sso: &SsoId,
        bytes: &[u8],
        access: Option<Timestamp>,
    ) -> Result<(), record::ReadRecordError> {
        let session = record::read_session(sso, bytes, self.sealer.as_ref())?;
        let written = session.last_access.max(access.unwrap_or_default());
        let entombed = |change| {
            if let Some(write) = Write::of_end(change) {
                self.queue.push(write);
            }
        };
        let access = self.credit.access(written);
        if self.table.load(&session, access, entombed) == Loaded::Ended {
            self.queue.push(Write::Remove(*sso));
        }
        Ok(())
    }

    /// Leaves a record out. It stays in the file, since its key may come back, until it has expired.
    fn skip(&self, sso: &SsoId, bytes: &[u8], error: record::ReadRecordError) {
        tracing::warn!(session_hash = sso.short_hash(), %error, "a stored session was left out");
        self.note_gap();
        self.state.lock().unreadable += 1;
        if record::outer_expiry(bytes).is_some_and(|expires| expires <= self.credit.opened) {
            self.queue.push(Write::Remove(*sso));
        }
    }

    fn note_gap(&self) {
        self.has_gaps.store(true, Ordering::Release);
    }

    /// Asks for a record whose snapshot was let go of after the table was asked.
    #[cfg(test)]
    pub(super) fn ensure_late(&self, sso: &SsoId) {
        self.bring(sso, None);
    }

    /// Waits until every record is taken up.
    #[cfg(test)]
    pub(super) fn is_loaded_within(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        let waits = |state: &mut State| state.phase == Phase::Loading;
        let waited = self.changed.wait_while_for(&mut state, waits, limit);
        !waited.timed_out()
    }

    fn is_loading(&self) -> bool {
        self.state.lock().phase == Phase::Loading
    }
}

/// How long the disk is left alone after a read that failed, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LAST: Duration = Duration::from_secs(60);
