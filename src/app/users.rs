//! Follows the users file: takes over its changes, and ends the sessions of users who are gone or disabled,
//! also of those who went while the gateway was stopped (S-10).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::engine::EmbeddedEngine;
use crate::model::name::UserName;
use crate::ports::identity_provider::IdentityProvider;
use crate::ports::session_engine::SessionEngine;
use crate::provider::users_file::FileVersion;
use crate::provider::users_file::UsersFileProvider;
use crate::provider::users_file::current::CurrentUsers;
use crate::provider::users_file::known::KnownUsers;

/// The users file, followed.
#[derive(Debug)]
pub(super) struct UsersWatch {
    users: Arc<CurrentUsers>,
    /// The one that was looked at last.
    looked_at: Arc<UsersFileProvider>,
    engine: Arc<EmbeddedEngine>,
    known: KnownUsers,
    /// The version of the file that was looked at last.
    seen: Option<FileVersion>,
    standing: Standing,
    /// Users whose end is durable, while that of others is not yet.
    cut_off: BTreeSet<UserName>,
}

/// Whether whatever the users read last lead to has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Settled,
    Unsettled,
}

impl UsersWatch {
    /// Begins where an earlier run left off.
    pub(super) fn open(
        users: Arc<CurrentUsers>,
        engine: Arc<EmbeddedEngine>,
        state_dir: &Path,
    ) -> anyhow::Result<Self> {
        let path = state_dir.join(KNOWN_USERS);
        let known = KnownUsers::open(path.clone());
        let known = known.with_context(|| {
            let path = path.display();
            format!(
                "{path} cannot be read, so nobody can tell which users are gone since the last run"
            )
        })?;
        let looked_at = users.now();
        Ok(Self {
            seen: looked_at.version_read(),
            looked_at,
            users,
            engine,
            known,
            standing: Standing::Unsettled,
            cut_off: BTreeSet::new(),
        })
    }

    /// Goes on until the process ends.
    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            self.look();
            self.settle().await;
        }
    }

    /// Takes over a change of the file. One with a fault in it changes nothing.
    fn look(&mut self) {
        let users = self.users.now();
        if !Arc::ptr_eq(&users, &self.looked_at) {
            // A reload has put it there, read and found right.
            self.seen = users.version_read();
            self.looked_at = users;
            self.unsettle();
        }
        let version = self.looked_at.version();
        // While a file is being replaced there may be none for a moment.
        if version == self.seen || version.is_none() {
            return;
        }
        self.seen = version;
        match self.looked_at.reload() {
            Ok(users) => {
                tracing::info!(users, "users file read again");
                self.unsettle();
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the users file has a fault; the users are as before"
            ),
        }
    }

    fn unsettle(&mut self) {
        self.cut_off.clear();
        self.standing = Standing::Unsettled;
    }

    /// Ends the sessions of users who may not sign in any more. What fails is tried again.
    pub(super) async fn settle(&mut self) {
        if self.standing == Standing::Settled {
            return;
        }
        let lost = self.known.lost(&self.looked_at);
        let mut durable = true;
        for user in &lost {
            if self.cut_off.contains(user) {
                continue;
            }
            match self.engine.end_all(self.users.store(), user).await {
                Ok(_) => {
                    self.cut_off.insert(user.clone());
                }
                Err(error) => {
                    durable = false;
                    tracing::error!(
                        user = user.as_str(),
                        error = &error as &dyn std::error::Error,
                        "the end of a user's sessions is not durable; it is tried again"
                    );
                }
            }
        }
        if !durable {
            return;
        }
        self.cut_off.clear();
        match self.known.replace(&self.looked_at) {
            Ok(()) => self.standing = Standing::Settled,
            Err(error) => tracing::error!(
                %error,
                "it could not be noted which users there are; it is tried again"
            ),
        }
    }
}

/// Beside the session store, whose sessions it speaks of.
const KNOWN_USERS: &str = "users.known";
/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(1);
