//! Ends as they reach the records: tombstones in the place of records, cut-offs, moves (S-14, S-15, S-17).
//!
//! A move touches no record here: what becomes of it is the engine's to say.

use crate::model::end::End;
use crate::model::end::Position;
use crate::model::id::ProviderSessionId;
use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::EndCause;
use crate::model::session::Rank;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::store::ends::Cover;
use crate::store::ends::Placed;
use crate::store::index::Slot;
use crate::store::index::UserKey;
use crate::store::table::Change;
use crate::store::table::Shard;
use crate::store::table::Table;

impl Table {
    /// Appends an end and drops the records that it concerns.
    pub(in crate::store) fn append(&self, end: End, journal: impl FnMut(Change)) -> Position {
        match &end {
            End::Tombstone { sso, .. } => {
                let sso = *sso;
                let mut shard = self.shard(&sso).write();
                self.entomb(&mut shard, &sso, end, journal)
            }
            End::Moved { sso, holder, .. } => {
                let (sso, holder) = (*sso, holder.clone());
                self.note_move(&sso, &holder, end, journal)
            }
            End::UserCutOff { store, subject, .. } => {
                let (store, subject) = (store.clone(), subject.clone());
                self.cut_off_user(&store, &subject, end, journal)
            }
            End::ProviderCutOff { session, .. } => {
                let session = *session;
                self.cut_off_provider(session, end, journal)
            }
        }
    }

    pub(in crate::store) fn cut_off(
        &self,
        store: &StoreName,
        subject: &UserName,
    ) -> Option<Timestamp> {
        self.ends.cut_off(&UserKey::new(store, subject))
    }

    pub(in crate::store) fn holder(&self, sso: &SsoId) -> Option<Rank> {
        self.ends.holder(sso)
    }

    /// The last place of the end log that was given out.
    pub(in crate::store) fn head(&self) -> Position {
        self.ends.head()
    }

    pub(in crate::store) fn since(&self, position: Position, limit: usize) -> Vec<(Position, End)> {
        self.ends.since(position, limit)
    }

    /// Leaves the tombstone of a session that a cut-off keeps out. No cookie names the session at the
    /// identity provider, so without a tombstone the facts in a cookie could make the session anew. A
    /// user's cut-off needs none: every cookie says whose it is and since when.
    pub(super) fn refuse(
        &self,
        shard: &mut Shard,
        cover: Cover,
        session: &Session,
        journal: impl FnOnce(Change),
    ) {
        match cover {
            Cover::Provider => {
                self.entomb(shard, &session.facts.sso, signed_out(session), journal);
            }
            Cover::User => {}
        }
    }

    /// Puts a tombstone in the place of whatever stands in the shard, and answers the place of the one
    /// that stands then.
    fn entomb(
        &self,
        shard: &mut Shard,
        sso: &SsoId,
        end: End,
        journal: impl FnOnce(Change),
    ) -> Position {
        if let Some(position) = shard.tombstones.get(sso) {
            return *position;
        }
        let (position, superseded) = self.ends.entomb(sso, end.clone());
        shard.tombstones.insert(*sso, position);
        self.displace(shard, sso);
        journal(Change::Ended {
            position,
            end,
            superseded,
        });
        position
    }

    /// What is said of a session that is over is of no use to anyone: its tombstone answers.
    fn note_move(
        &self,
        sso: &SsoId,
        holder: &Rank,
        end: End,
        journal: impl FnOnce(Change),
    ) -> Position {
        let shard = self.shard(sso).write();
        if let Some(position) = shard.tombstones.get(sso) {
            return *position;
        }
        match self.ends.note_move(sso, holder, end.clone()) {
            Placed::Standing(position) => position,
            Placed::New {
                position,
                superseded,
            } => {
                journal(Change::Ended {
                    position,
                    end,
                    superseded,
                });
                position
            }
        }
    }

    fn cut_off_user(
        &self,
        store: &StoreName,
        subject: &UserName,
        end: End,
        mut journal: impl FnMut(Change),
    ) -> Position {
        let user = UserKey::new(store, subject);
        let position = self.ends.cut_off_user(user, end, &mut journal);
        // An insert either saw the cut-off or is in the index by now.
        let slots = self.index.lock().of_user(store, subject);
        self.drop_covered(&slots, journal);
        position
    }

    fn cut_off_provider(
        &self,
        provider_session: ProviderSessionId,
        end: End,
        mut journal: impl FnMut(Change),
    ) -> Position {
        let position = self
            .ends
            .cut_off_provider(provider_session, end, &mut journal);
        let slots = self.index.lock().of_provider(provider_session);
        self.drop_covered(&slots, journal);
        position
    }

    fn drop_covered(&self, slots: &[Slot], mut journal: impl FnMut(Change)) {
        self.ids(slots)
            .iter()
            .for_each(|sso| self.drop_if_covered(sso, &mut journal));
    }

    fn drop_if_covered(&self, sso: &SsoId, journal: &mut impl FnMut(Change)) {
        let Some(session) = self.peek(sso) else {
            return;
        };
        let cover = self.ends.hold().cover(&session);
        match cover {
            None => {}
            Some(Cover::Provider) => {
                let mut shard = self.shard(sso).write();
                self.entomb(&mut shard, sso, signed_out(&session), journal);
            }
            Some(Cover::User) => self.remove(sso, journal),
        }
    }
}

/// The end of a session whose user signed out at the identity provider.
const fn signed_out(session: &Session) -> End {
    End::Tombstone {
        sso: session.facts.sso,
        cause: EndCause::LoggedOut,
        expires: session.facts.expires,
    }
}
