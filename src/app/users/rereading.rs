//! Has sessions say what the users file says of their users (S-10).

use tokio::task::yield_now;

use crate::app::users::Earlier;
use crate::app::users::UsersWatch;
use crate::ports::session_store::StoreError;

impl UsersWatch {
    /// Has the sessions of users say what the file says. What fails is tried again.
    pub(super) async fn reread(&mut self) {
        if self.earlier == Earlier::Unread && self.engine.has_all_records() {
            self.reread_earlier().await;
        }
        let mut sessions: usize = 0;
        for user in std::mem::take(&mut self.stale) {
            match self.engine.reread_user(&user).await {
                Ok(changed) => sessions = sessions.saturating_add(changed),
                Err(error) => {
                    not_reread(&error);
                    self.stale.insert(user);
                }
            }
        }
        if sessions > 0 {
            tracing::info!(sessions, "sessions say what the users file says now");
        }
    }

    /// What changed in the file while the gateway was stopped is not known: all sessions are looked at once.
    async fn reread_earlier(&mut self) {
        let (mut from, mut sessions) = (None, 0_usize);
        loop {
            match self.engine.reread_piece(from, PIECE).await {
                Ok(piece) => {
                    sessions = sessions.saturating_add(piece.changed);
                    from = piece.next;
                }
                Err(error) => return not_reread(&error),
            }
            if from.is_none() {
                break;
            }
            yield_now().await;
        }
        self.earlier = Earlier::Reread;
        if sessions > 0 {
            tracing::info!(sessions, "sessions say what the users file says now");
        }
    }
}

fn not_reread(error: &StoreError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "sessions could not be given what the users file says now; it is tried again"
    );
}

/// Records that are looked at in one go.
const PIECE: usize = 256;
