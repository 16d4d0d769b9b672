//! The store of one data centre: what its process has in memory, and what its disk has of it.
//!
//! A change stands in memory at once and on disk a little later, in the same order; whoever made it is
//! answered when it is on disk. A crash leaves what is on disk: the end log always, the records in runs
//! where they are durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use portway::model::end::End;
use portway::model::end::Incarnation;
use portway::model::end::Position;
use portway::model::end::Pulled;
use portway::model::id::SsoId;
use portway::model::name::ClusterId;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Rank;
use portway::model::session::Session;
use portway::model::session::SessionState;
use portway::model::time::Timestamp;
use portway::ports::end_log::EndLog;
use portway::ports::session_store::Found;
use portway::ports::session_store::Inserted;
use portway::ports::session_store::Replaced;
use portway::ports::session_store::SessionStore;
use portway::ports::session_store::StoreError;
use portway::ports::session_store::WalkPlace;
use portway::ports::session_store::Walked;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::contents::Change;
use crate::contents::Contents;
use crate::contents::Disk;
use crate::contents::WRITTEN_BACK_EVERY;
use crate::contents::expires_of;
use crate::event::Dc;
use crate::event::Event;
use crate::executor::Handle;
use crate::executor::Owner;
use crate::plan::Records;
use crate::random::Random;
use crate::witness::Witness;

/// What a process has of it.
pub(crate) struct SimStore {
    dc: Dc,
    memory: Mutex<Contents>,
    touched: Mutex<BTreeMap<SsoId, Timestamp>>,
    disk: Arc<Disk>,
    remembers_since: Timestamp,
    writer: mpsc::UnboundedSender<Written>,
    witness: Arc<Witness>,
}

/// Changes on their way to the disk, and who waits for them.
struct Written {
    changes: Vec<Change>,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl SimStore {
    /// Opens the store of a process that begins `now`, by its own clock.
    pub(crate) fn open(
        (dc, owner): (Dc, Owner),
        disk: &Arc<Disk>,
        now: Timestamp,
        handle: &Handle,
        witness: &Arc<Witness>,
    ) -> Arc<Self> {
        let (writer, queue) = mpsc::unbounded_channel();
        let contents = {
            let mut contents = disk.contents.lock();
            contents.skip_lost_positions();
            contents.clone()
        };
        let remembers_since = match disk.records {
            Records::Durable => disk.began,
            Records::Lost => now,
        };
        let dice = Random::stream(handle.now() ^ u64::from(owner.0), "disk");
        let writing = write(
            queue,
            Arc::clone(disk),
            handle.clone(),
            dice,
            (dc, Arc::clone(witness)),
        );
        handle.spawn(owner, writing);
        Arc::new(Self {
            dc,
            touched: Mutex::new(contents.accesses_after_crash(now)),
            memory: Mutex::new(contents),
            disk: Arc::clone(disk),
            remembers_since,
            writer,
            witness: Arc::clone(witness),
        })
    }

    /// Makes changes in memory, and answers when they are on disk, where they belong there. No change at
    /// all waits for those before it.
    fn commit(&self, memory: &mut Contents, changes: Vec<Change>) -> Commit {
        let is_awaited =
            changes.is_empty() || changes.iter().any(|change| self.disk.is_kept(change));
        for change in &changes {
            if let Change::Put(session) = change {
                let before = memory.records.get(&session.facts.sso).cloned();
                self.witness
                    .note(&Event::Stored(self.dc, before.as_deref(), session));
            }
            if let Change::Remove(sso) = change
                && let Some(session) = memory.records.get(sso)
            {
                self.witness.note(&Event::Removed(self.dc, session));
            }
            memory.apply(change.clone());
        }
        let (done, result) = oneshot::channel();
        if is_awaited {
            self.writer.send(Written { changes, done }).ok();
        } else {
            done.send(Ok(())).ok();
        }
        Commit(result)
    }

    /// Inserts a record whatever stands there: what a store without the atomic check would do.
    pub(crate) async fn insert_unchecked(&self, session: Session) -> Result<Inserted, StoreError> {
        let commit = {
            let mut memory = self.memory.lock();
            if memory.tombstone(&session.facts.sso).is_some() {
                memory.revived.insert(session.facts.sso);
            }
            self.commit(&mut memory, vec![Change::Put(Arc::new(session))])
        };
        commit.durable().await.map(|()| Inserted::Inserted)
    }

    /// Takes an insert that failed back: it is not visible either.
    fn undo_insert(&self, sso: &SsoId) {
        let mut memory = self.memory.lock();
        if let Some(session) = memory.records.remove(sso) {
            self.witness
                .note(&Event::TakenBack(self.dc, None, &session));
        }
    }

    /// Takes a replacement that failed back, unless it has been replaced itself.
    fn undo_replace(&self, before: Arc<Session>) {
        let mut memory = self.memory.lock();
        let standing = memory.records.get(&before.facts.sso).cloned();
        if let Some(undone) = standing.filter(|standing| standing.version == before.version + 1) {
            let noted = Event::TakenBack(self.dc, Some(&before), &undone);
            self.witness.note(&noted);
            memory.apply(Change::Put(before));
        }
    }
}

/// A change on its way to the disk.
struct Commit(oneshot::Receiver<Result<(), StoreError>>);

impl Commit {
    async fn durable(self) -> Result<(), StoreError> {
        self.0.await.unwrap_or(Err(StoreError::Closed))
    }
}

/// Writes what is queued, many changes at a time. Ends that find the disk full are tried again.
async fn write(
    mut queue: mpsc::UnboundedReceiver<Written>,
    disk: Arc<Disk>,
    handle: Handle,
    mut dice: Random,
    (dc, witness): (Dc, Arc<Witness>),
) {
    let mut again: Vec<Change> = Vec::new();
    while let Some(first) = queue.recv().await {
        let mut batch = vec![first];
        while let Ok(more) = queue.try_recv() {
            batch.push(more);
        }
        handle.pause(dice.between(0, WRITE_MAX)).await;
        if disk.is_full.load(Ordering::Relaxed) {
            for written in batch {
                let is_log = |change: &Change| !matches!(change, Change::Put(_));
                again.extend(written.changes.into_iter().filter(is_log));
                written.done.send(Err(full())).ok();
            }
            continue;
        }
        let changes = batch
            .iter_mut()
            .flat_map(|written| std::mem::take(&mut written.changes));
        for change in again.drain(..).chain(changes) {
            if let Change::Log(_, end) = &change {
                witness.note(&Event::LogDurable(dc, end));
            }
            disk.write(change);
        }
        for written in batch {
            written.done.send(Ok(())).ok();
        }
    }
}

fn full() -> StoreError {
    StoreError::Failed {
        operation: "write",
        source: "the disk is full".into(),
    }
}

#[async_trait]
impl SessionStore for SimStore {
    fn find(&self, sso: &SsoId) -> Found {
        let memory = self.memory.lock();
        if memory.tombstone(sso).is_some() {
            return Found::Ended;
        }
        memory
            .records
            .get(sso)
            .map_or(Found::Absent, |session| Found::Record(Arc::clone(session)))
    }

    async fn insert_unless_ended(&self, session: Session) -> Result<Inserted, StoreError> {
        let sso = session.facts.sso;
        let commit = {
            let mut memory = self.memory.lock();
            if memory.has_ended(&session.facts) {
                return Ok(Inserted::Ended);
            }
            if memory.records.contains_key(&sso) {
                return Ok(Inserted::Exists);
            }
            self.commit(&mut memory, vec![Change::Put(Arc::new(session))])
        };
        let written = commit.durable().await;
        if written.is_err() {
            self.undo_insert(&sso);
        }
        written.map(|()| Inserted::Inserted)
    }

    async fn replace_if_version(&self, mut session: Session) -> Result<Replaced, StoreError> {
        let (commit, before) = {
            let mut memory = self.memory.lock();
            if memory.has_ended(&session.facts) {
                return Ok(Replaced::Ended);
            }
            let Some(standing) = memory.records.get(&session.facts.sso).cloned() else {
                return Ok(Replaced::Missing);
            };
            if standing.version != session.version {
                return Ok(Replaced::Stale(standing));
            }
            session.version += 1;
            let changes = vec![Change::Put(Arc::new(session))];
            (self.commit(&mut memory, changes), standing)
        };
        let written = commit.durable().await;
        if written.is_err() {
            self.undo_replace(before);
        }
        written.map(|()| Replaced::Replaced)
    }

    async fn remove(&self, sso: &SsoId) -> Result<(), StoreError> {
        let commit = self.commit(&mut self.memory.lock(), vec![Change::Remove(*sso)]);
        self.touched.lock().remove(sso);
        commit.durable().await
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        let mut memory = self.memory.lock();
        let Some(record) = memory.records.get(sso) else {
            return;
        };
        let written = memory.accesses.get(sso).copied();
        let written = written.unwrap_or(record.last_access);
        if now.since(written) >= WRITTEN_BACK_EVERY {
            drop(self.commit(&mut memory, vec![Change::Accessed(*sso, now)]));
        }
        let mut touched = self.touched.lock();
        let last = touched.entry(*sso).or_insert(now);
        *last = now.max(*last);
    }

    fn last_access(&self, sso: &SsoId) -> Option<Timestamp> {
        let recorded = self.memory.lock().records.get(sso)?.last_access;
        let touched = self.touched.lock().get(sso).copied();
        Some(touched.map_or(recorded, |touched| touched.max(recorded)))
    }

    fn due(&self, now: Timestamp, idle_timeout: Duration, limit: usize) -> Vec<SsoId> {
        let records: Vec<_> = self.memory.lock().records.values().cloned().collect();
        let is_due = |session: &Arc<Session>| {
            let last = self
                .last_access(&session.facts.sso)
                .unwrap_or(session.last_access);
            now >= session.facts.expires || now.since(last) >= idle_timeout
        };
        let due = records.into_iter().filter(is_due).take(limit);
        due.map(|session| session.facts.sso).collect()
    }

    fn pending(&self, limit: usize) -> Vec<Arc<Session>> {
        let memory = self.memory.lock();
        let pending = memory
            .records
            .values()
            .filter(|session| matches!(session.state, SessionState::Pending(_)));
        pending.take(limit).cloned().collect()
    }

    fn remembers_since(&self) -> Timestamp {
        self.remembers_since
    }

    async fn list_by_user(&self, store: &StoreName, subject: &UserName) -> Vec<Arc<Session>> {
        let memory = self.memory.lock();
        let of_user = memory
            .records
            .values()
            .filter(|session| session.facts.store == *store && session.facts.subject == *subject);
        of_user.cloned().collect()
    }

    /// All at once: no simulated data centre has more than a few.
    fn walk(&self, _: Option<WalkPlace>, _: usize) -> Walked {
        let memory = self.memory.lock();
        let seen = |session: &Arc<Session>| (Arc::clone(session), session.last_access);
        Walked {
            records: memory.records.values().map(seen).collect(),
            next: None,
        }
    }

    fn count(&self) -> usize {
        self.memory.lock().records.len()
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl EndLog for SimStore {
    fn incarnation(&self) -> Incarnation {
        self.disk.incarnation
    }

    fn began(&self) -> Timestamp {
        self.disk.began
    }

    fn pulled(&self, peer: &ClusterId) -> Option<Pulled> {
        self.memory.lock().pulled.get(peer).copied()
    }

    fn note_pulled(&self, peer: &ClusterId, pulled: Pulled) {
        let change = Change::Pulled(peer.clone(), pulled);
        drop(self.commit(&mut self.memory.lock(), vec![change]));
    }

    async fn append(&self, end: End) -> Result<Position, StoreError> {
        let (position, commit) = {
            let mut memory = self.memory.lock();
            self.witness.note(&Event::Logged(self.dc, &end));
            let (position, changes) = memory.appending(&end);
            // Without changes it is only waited until what stands is on disk.
            (position, self.commit(&mut memory, changes))
        };
        commit.durable().await.map(|()| position)
    }

    fn cut_off(&self, store: &StoreName, subject: &UserName) -> Option<Timestamp> {
        self.memory
            .lock()
            .cut_off(store, subject)
            .map(|(_, before)| before)
    }

    fn holder(&self, sso: &SsoId) -> Option<Rank> {
        match self.memory.lock().moved(sso)? {
            (_, End::Moved { holder, .. }) => Some(holder.clone()),
            _ => None,
        }
    }

    fn since(&self, position: Position, limit: usize) -> Vec<(Position, End)> {
        let memory = self.memory.lock();
        let after = memory.log.iter().filter(|(at, _)| **at > position);
        after
            .take(limit)
            .map(|(at, end)| (*at, end.clone()))
            .collect()
    }

    async fn trim(&self, before: Timestamp) -> Result<usize, StoreError> {
        let (count, commit) = {
            let mut memory = self.memory.lock();
            let expired = memory
                .log
                .iter()
                .filter(|(_, end)| expires_of(end) < before);
            let changes: Vec<_> = expired
                .map(|(position, _)| Change::Forget(*position))
                .collect();
            (changes.len(), self.commit(&mut memory, changes))
        };
        commit.durable().await.map(|()| count)
    }
}

/// The longest that a write takes, in milliseconds.
pub(crate) const WRITE_MAX: u64 = 12;
