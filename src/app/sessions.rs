//! The sessions of the node as those who run it see them: walked a piece at a time, so that a million of them
//! hold up nobody, and ended as a sign-out ends them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;

use crate::app::engine::Engine;
use crate::app::engine::OwnEngine;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::logbook::moment::rfc3339_seconds;
use crate::model::end::Confirmed;
use crate::model::name::ClusterId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::EndCause;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::identity_provider::IdentityProvider;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_store::WalkPlace;
use crate::ports::sessions::Chosen;
use crate::ports::sessions::Doomed;
use crate::ports::sessions::EndedSessions;
use crate::ports::sessions::SessionDetail;
use crate::ports::sessions::SessionFilter;
use crate::ports::sessions::SessionLine;
use crate::ports::sessions::SessionList;
use crate::ports::sessions::Sessions;
use crate::ports::sessions::SessionsError;
use crate::ports::sessions::ShortHash;
use crate::ports::sessions::Subject;

/// The sessions of a node, to those who run it.
pub(super) struct NodeSessions {
    pub(super) engine: Engine,
    pub(super) cluster: ClusterId,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Sessions for NodeSessions {
    async fn list(&self, filter: &SessionFilter) -> Result<SessionList, SessionsError> {
        let own = self.own()?;
        let now = self.clock.now();
        let mut list = SessionList {
            sessions: Vec::new(),
            more: false,
            loading: !own.store.is_complete(),
        };
        let mut take = |session: &Session, last_access: Timestamp| {
            if !lets_through(filter, session, now.since(last_access)) {
                return Going::On;
            }
            if list.sessions.len() >= filter.limit {
                list.more = true;
                return Going::NoFurther;
            }
            list.sessions.push(self.line(session, last_access, now));
            Going::On
        };
        match &filter.subject {
            None => walk(own, &mut take).await,
            Some(subject) => {
                for (session, last_access) in of_user(own, subject).await? {
                    if take(&session, last_access) == Going::NoFurther {
                        break;
                    }
                }
            }
        }
        Ok(list)
    }

    async fn show(&self, which: &Chosen) -> Result<Vec<SessionDetail>, SessionsError> {
        let own = self.own()?;
        let now = self.clock.now();
        let found = match which {
            Chosen::Session(hash) => vec![find(own, hash).await?],
            Chosen::Subject(subject) => of_user(own, subject).await?,
        };
        let details = found.iter().map(|(session, last_access)| {
            let line = self.line(session, *last_access, now);
            detail(line, session)
        });
        Ok(details.collect())
    }

    async fn end(&self, which: &Doomed) -> Result<EndedSessions, SessionsError> {
        let own = self.own()?;
        let _stays = own.door.stay().ok_or(SessionsError::HandingOver)?;
        match which {
            Doomed::All if !own.store.is_complete() => Err(SessionsError::Loading),
            Doomed::All => {
                // Whoever asked may hang up; it is done to its end all the same, and told in the trail.
                let own = own.clone();
                let ending = async move {
                    let stays = own.door.stay().ok_or(SessionsError::HandingOver)?;
                    let ended = end_all(&own).await;
                    drop(stays);
                    Ok::<_, SessionsError>(ended)
                };
                let ended = tokio::spawn(ending).await;
                ended.unwrap_or_else(|error| {
                    tracing::error!(%error, "ending all sessions broke off");
                    Err(SessionsError::BrokeOff)
                })
            }
            Doomed::Session(hash) => {
                let (session, _) = find(own, hash).await?;
                Ok(end_one(own, &session.facts).await)
            }
            Doomed::Subject(subject) => end_subject(own, subject).await,
        }
    }
}

impl NodeSessions {
    fn own(&self) -> Result<&OwnEngine, SessionsError> {
        match &self.engine {
            Engine::Own(own) => Ok(own),
            Engine::Remote(_) => Err(SessionsError::NoEngine),
        }
    }

    fn line(&self, session: &Session, last_access: Timestamp, now: Timestamp) -> SessionLine {
        let facts = &session.facts;
        let (state, held_by) = match &session.state {
            SessionState::Ended => ("ended", &self.cluster),
            SessionState::Live => ("live", &self.cluster),
            SessionState::Moved { to, .. } => ("moved", to),
            SessionState::Pending(release) => ("pending", &release.from),
        };
        SessionLine {
            session: facts.sso.short_hash(),
            user: facts.subject.to_string(),
            store: facts.store.to_string(),
            level: facts.level.get(),
            since: rfc3339_seconds(facts.first_authenticated),
            last_access: rfc3339_seconds(last_access),
            idle_seconds: now.since(last_access).as_secs(),
            expires: rfc3339_seconds(facts.expires),
            address: session.client_address.to_string(),
            state: state.to_owned(),
            held_by: held_by.to_string(),
        }
    }
}

fn detail(line: SessionLine, session: &Session) -> SessionDetail {
    let others = session.aliases.iter().map(|held| held.cluster.to_string());
    let groups = session.identity.groups.iter();
    SessionDetail {
        line,
        held_since: rfc3339_seconds(session.held_since),
        level_since: rfc3339_seconds(session.facts.level_reached),
        generation: session.facts.generation.0,
        data_centres: others.collect(),
        hosts: session.visited.iter().map(ToString::to_string).collect(),
        groups: groups.map(ToString::to_string).collect(),
    }
}

fn lets_through(filter: &SessionFilter, session: &Session, idle: Duration) -> bool {
    let address = session.client_address.to_canonical();
    let is_within = |network: &IpNet| network.contains(&address);
    filter.network.as_ref().is_none_or(is_within)
        && filter.idle_longer_than.is_none_or(|least| idle > least)
}

/// Whether a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    NoFurther,
    On,
}

/// Walks over all sessions until told not to; whatever else this thread has to do comes between two pieces.
async fn walk(own: &OwnEngine, take: &mut (impl FnMut(&Session, Timestamp) -> Going + Send)) {
    let mut from: Option<WalkPlace> = None;
    loop {
        let piece = own.store.walk(from, PIECE);
        for (session, last_access) in &piece.records {
            if take(session, *last_access) == Going::NoFurther {
                return;
            }
        }
        from = piece.next;
        if from.is_none() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

type Seen = (Arc<Session>, Timestamp);

async fn find(own: &OwnEngine, hash: &ShortHash) -> Result<Seen, SessionsError> {
    let is_loading = !own.store.is_complete();
    let mut from = None;
    loop {
        let piece = own.store.walk(from, PIECE);
        let mut records = piece.records.into_iter();
        let found = records.find(|(session, _)| session.facts.sso.short_hash() == hash.as_str());
        if let Some(found) = found {
            return Ok(found);
        }
        from = piece.next;
        match from {
            Some(_) => tokio::task::yield_now().await,
            None if is_loading => return Err(SessionsError::Loading),
            None => return Err(SessionsError::Unknown(hash.clone())),
        }
    }
}

/// The store and the name by which a user's sessions are known.
fn known_as(own: &OwnEngine, subject: &Subject) -> Result<(StoreName, UserName), SessionsError> {
    let users = own.users.as_ref();
    let store = subject.store.as_ref();
    let store = store.or_else(|| users.map(|users| users.store()));
    let store = store.ok_or(SessionsError::NoStore)?;
    let users = users.filter(|users| users.store() == store);
    let account = users.and_then(|users| users.account_of(subject.user.as_str()));
    let user = account.map_or_else(|| subject.user.clone(), |account| account.user);
    Ok((store.clone(), user))
}

async fn of_user(own: &OwnEngine, subject: &Subject) -> Result<Vec<Seen>, SessionsError> {
    let (store, user) = known_as(own, subject)?;
    let mut sessions = own.store.list_by_user(&store, &user).await;
    sessions.sort_by_key(|session| std::cmp::Reverse(session.facts.expires));
    let seen = sessions.into_iter().map(|session| {
        let noted = own.store.last_access(&session.facts.sso);
        let last_access = noted.unwrap_or(session.last_access);
        (session, last_access)
    });
    Ok(seen.collect())
}

async fn end_one(own: &OwnEngine, facts: &SsoFacts) -> EndedSessions {
    let ended = own.engine.end(facts, EndCause::Killed).await;
    let unconfirmed = ended.peers.iter();
    let unconfirmed = unconfirmed.filter(|(_, said)| *said == Confirmed::Outstanding);
    EndedSessions {
        ended: 1,
        durable: ended.durable.is_ok(),
        unconfirmed: unconfirmed.map(|(peer, _)| peer.to_string()).collect(),
        is_unknown: None,
    }
}

/// What the user has elsewhere ends too, also where this data centre has not heard of it.
async fn end_subject(own: &OwnEngine, subject: &Subject) -> Result<EndedSessions, SessionsError> {
    let (store, user) = known_as(own, subject)?;
    let standing = own.store.list_by_user(&store, &user).await.len();
    let ended = own.engine.end_all(&store, &user).await;
    tracing::info!(user = user.as_str(), "sessions of a user ended by command");
    Ok(EndedSessions {
        ended: *ended.as_ref().unwrap_or(&standing),
        durable: ended.is_ok(),
        unconfirmed: Vec::new(),
        is_unknown: own
            .users
            .as_ref()
            .filter(|users| *users.store() == store)
            .map(|users| users.account_of(user.as_str()).is_none()),
    })
}

async fn end_all(own: &OwnEngine) -> EndedSessions {
    let mut ended = EndedSessions {
        ended: 0,
        durable: true,
        unconfirmed: Vec::new(),
        is_unknown: None,
    };
    let mut from = None;
    loop {
        let piece = own.store.walk(from, PIECE);
        let facts = piece.records.iter().map(|(session, _)| &session.facts);
        let facts: Vec<SsoFacts> = facts.cloned().collect();
        let not_durable = own.engine.end_several(&facts).await;
        ended.ended = ended.ended.saturating_add(facts.len());
        ended.durable &= not_durable == 0;
        from = piece.next;
        if from.is_none() {
            break;
        }
        // The audit trail has a line for each.
        tokio::time::sleep(PAUSE).await;
    }
    let all = Event::new(EventKind::SessionEnded)
        .with("cause", "killed")
        .with("all_of_data_centre", ended.ended.to_string());
    own.engine.note(all);
    tracing::warn!(sessions = ended.ended, "all sessions ended by command");
    ended
}

/// Records that are looked at in one go: some tens of microseconds.
const PIECE: usize = 256;
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::app::door::Door;
    use crate::app::engine::Kept;
    use crate::app::rig;
    use crate::model::id::SessionId;
    use crate::model::id::SsoId;
    use crate::ports::session_store::SessionStore;
    use crate::provider::nobody::Nobody;
    use crate::store::memory::MemoryStore;
    use crate::system::SystemClock;

    #[tokio::test]
    async fn whoever_hangs_up_while_all_sessions_are_ended_stops_nothing() {
        let store = rig::store();
        for n in 0..3 * PIECE {
            store.insert_unless_ended(session(n as u64)).await.unwrap();
        }
        let engine = rig::engine(&store, Arc::new(Nobody::new(staff())));
        let sessions = NodeSessions {
            engine: Engine::Own(OwnEngine {
                door: Arc::new(Door::new(Arc::clone(&engine))),
                engine,
                kept: Kept::InMemory(Arc::<MemoryStore>::clone(&store)),
                store: Arc::<MemoryStore>::clone(&store),
                users: None,
                federation: None,
            }),
            cluster: ClusterId::parse("here").unwrap(),
            clock: Arc::new(SystemClock),
        };
        let mut asked = sessions.end(&Doomed::All);
        assert!(asked.as_mut().now_or_never().is_none());
        drop(asked);
        let within = Duration::from_secs(20);
        let done = tokio::time::timeout(within, emptied(&store)).await;
        done.unwrap();
    }

    async fn emptied(store: &MemoryStore) {
        while store.count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    fn staff() -> StoreName {
        StoreName::parse("staff").unwrap()
    }

    fn session(n: u64) -> Session {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_le_bytes());
        let ids = (SsoId::from_bytes(id), SessionId::from_bytes(id));
        rig::session(ids, SystemClock.now())
    }
}
