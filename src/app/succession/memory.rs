//! What an engine and a store in memory know, as pieces: taken out here, and taken up there.

use std::sync::Arc;

use crate::app::engine::Kept;
use crate::app::engine::OwnEngine;
use crate::app::succession::letters::Piece;
use crate::model::end::Position;
use crate::model::session::Session;
use crate::ports::end_log::EndLog;
use crate::ports::session_store::StoreError;

/// Gives every piece to `send`, until that fails. Nothing may change meanwhile.
pub(super) fn take_out<E>(
    own: &OwnEngine,
    mut send: impl FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    for piece in own.engine.remembered() {
        send(Piece::Engine(piece))?;
    }
    match &own.kept {
        Kept::OnDisk(_) => return Ok(()),
        Kept::EndsOnDisk(_) => {}
        Kept::InMemory(ends) => take_out_ends(ends.as_ref(), &mut send)?,
    }
    take_out_sessions(own, send)
}

fn take_out_ends<E>(
    ends: &dyn EndLog,
    mut send: impl FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    let mut read = Position::default();
    loop {
        let ended = ends.since(read, PIECE);
        let Some((last, _)) = ended.last() else {
            return Ok(());
        };
        read = *last;
        send(Piece::Ends(ended.into_iter().map(|(_, end)| end).collect()))?;
    }
}

/// Gives the sessions to `send`, until that fails. Nothing may change meanwhile; the store may be closed.
pub(super) fn take_out_sessions<E>(
    own: &OwnEngine,
    mut send: impl FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    let mut from = None;
    loop {
        let walked = own.store.walk(from, PIECE);
        let sessions = walked.records.into_iter();
        let sessions = sessions.map(|(session, last_access)| Session {
            last_access,
            ..Arc::unwrap_or_clone(session)
        });
        send(Piece::Sessions(sessions.collect()))?;
        from = walked.next;
        if from.is_none() {
            return Ok(());
        }
    }
}

/// Takes pieces up, in their order.
pub(super) async fn take_up_all(own: &OwnEngine, pieces: Vec<Piece>) -> Result<(), StoreError> {
    for piece in pieces {
        take_up(own, piece).await?;
    }
    Ok(())
}

/// Takes a piece up: what has ended comes before the records, as it was given.
pub(super) async fn take_up(own: &OwnEngine, piece: Piece) -> Result<(), StoreError> {
    match piece {
        Piece::Ends(ends) => {
            let Kept::InMemory(log) = &own.kept else {
                return Ok(());
            };
            for end in ends {
                log.append(end).await?;
            }
        }
        Piece::Engine(remembered) => own.engine.remember(remembered),
        Piece::Sessions(sessions) => {
            for session in sessions {
                own.store.insert_unless_ended(session).await?;
            }
        }
    }
    Ok(())
}

/// Entries of one piece.
const PIECE: usize = 256;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::app::door::Door;
    use crate::app::rig;
    use crate::decision::form::FormType;
    use crate::decision::kept_posts::KeptPost;
    use crate::model::end::End;
    use crate::model::id::Nonce;
    use crate::model::id::PostId;
    use crate::model::id::SessionId;
    use crate::model::id::SsoId;
    use crate::model::id::TokenId;
    use crate::model::name::HostName;
    use crate::model::name::StoreName;
    use crate::model::secret::Secret;
    use crate::model::session::EndCause;
    use crate::ports::clock::Clock;
    use crate::ports::session_engine::SessionEngine;
    use crate::ports::session_store::Found;
    use crate::ports::session_store::Inserted;
    use crate::provider::nobody::Nobody;
    use crate::store::memory::MemoryStore;
    use crate::system::SystemClock;

    fn own() -> OwnEngine {
        let store = rig::store();
        let nobody = Nobody::new(StoreName::parse("staff").unwrap());
        let engine = rig::engine(&store, Arc::new(nobody));
        OwnEngine {
            door: Arc::new(Door::new(Arc::clone(&engine))),
            engine,
            kept: Kept::InMemory(Arc::<MemoryStore>::clone(&store)),
            store,
            users: None,
            federation: None,
        }
    }

    fn sso(number: u8) -> SsoId {
        SsoId::from_bytes([number; 16])
    }

    fn ids(number: u8) -> (SsoId, SessionId) {
        (sso(number), SessionId::from_bytes([number; 16]))
    }

    /// As it goes from one process to the other.
    fn sent(from: &OwnEngine) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let send = |piece: Piece| {
            let bytes = serde_json::to_vec(&piece).unwrap();
            pieces.push(serde_json::from_slice(&bytes).unwrap());
            Ok::<(), Infallible>(())
        };
        take_out(from, send).unwrap();
        pieces
    }

    #[tokio::test]
    async fn what_has_ended_was_used_or_is_kept_is_so_in_the_next_process_s_17_s_24_d_22() {
        let (before, after) = (own(), own());
        let now = SystemClock.now();
        let later = now.after(std::time::Duration::from_secs(60));
        for number in 0..=255 {
            let session = rig::session(ids(number), now);
            before.store.insert_unless_ended(session).await.unwrap();
        }
        let Kept::InMemory(ends) = &before.kept else {
            panic!("it is in memory");
        };
        let end = End::Tombstone {
            sso: sso(7),
            cause: EndCause::LoggedOut,
            expires: later,
        };
        ends.append(end).await.unwrap();
        let (token, post) = (TokenId::from_bytes([1; 16]), PostId::from_bytes([2; 16]));
        assert!(before.engine.spend(token, later));
        let nonce = Nonce::from_bytes([3; 16]);
        let host = HostName::parse("app.test").unwrap();
        let kept = KeptPost {
            host: host.clone(),
            nonce,
            form: FormType::parse("text/plain").unwrap(),
            body: Secret::new(b"a=b".to_vec()),
        };
        let client = std::net::Ipv4Addr::LOCALHOST.into();
        before.engine.keep_post(post, kept, client);
        take_up_all(&after, sent(&before)).await.unwrap();
        assert_eq!(after.store.count(), 255);
        assert!(matches!(after.store.find(&sso(7)), Found::Ended));
        let again = rig::session(ids(7), now);
        let inserted = after.store.insert_unless_ended(again).await.unwrap();
        assert_eq!(inserted, Inserted::Ended);
        let Found::Record(there) = after.store.find(&sso(9)) else {
            panic!("it is not there");
        };
        let Found::Record(here) = before.store.find(&sso(9)) else {
            panic!("it was not there");
        };
        assert_eq!(*there, *here);
        assert!(!after.engine.spend(token, later), "it was used before");
        let taken = after.engine.take_post(post, &[nonce], &host).unwrap();
        assert_eq!(taken.body.expose(), b"a=b");
        assert!(after.engine.take_post(post, &[nonce], &host).is_none());
    }
}
