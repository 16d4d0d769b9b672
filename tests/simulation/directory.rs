//! The users, as every data centre's identity provider knows them: one directory, asked from several
//! places, some of which may not reach it for a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use parking_lot::Mutex;
use portway::model::identity::AuthLevel;
use portway::model::identity::Credential;
use portway::model::identity::Identity;
use portway::model::identity::Refreshed;
use portway::model::name::GroupName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::ports::identity_provider::IdentityProvider;
use portway::ports::identity_provider::PasswordAge;
use portway::ports::identity_provider::Verified;
use portway::ports::identity_provider::VerifyError;

use crate::executor::Handle;
use crate::plan::Rereading;

/// All users; everybody's password is the same.
pub(crate) struct Directory {
    store: StoreName,
    rereading: Rereading,
    disabled: Mutex<BTreeSet<String>>,
}

/// The directory as one data centre reaches it.
pub(crate) struct Provider {
    pub(crate) directory: Arc<Directory>,
    pub(crate) is_deaf: Arc<AtomicBool>,
    pub(crate) handle: Handle,
}

pub(crate) const PASSWORD: &str = "correct horse";

impl Directory {
    pub(crate) fn new(rereading: Rereading) -> Self {
        Self {
            store: StoreName::parse("staff").unwrap(),
            rereading,
            disabled: Mutex::default(),
        }
    }

    pub(crate) fn store(&self) -> &StoreName {
        &self.store
    }

    pub(crate) fn disable(&self, user: &UserName) {
        self.disabled.lock().insert(user.as_str().to_owned());
    }

    pub(crate) fn is_disabled(&self, user: &str) -> bool {
        self.disabled.lock().contains(user)
    }

    fn identity(&self, user: &UserName) -> Identity {
        Identity {
            store: self.store.clone(),
            subject: user.clone(),
            name: None,
            email: None,
            groups: vec![GroupName::parse("everybody").unwrap()],
            attributes: Default::default(),
        }
    }
}

impl Provider {
    async fn answer(&self) -> Result<(), VerifyError> {
        self.handle.pause(LATENCY).await;
        if self.is_deaf.load(Ordering::Relaxed) {
            let why = "the directory is out of reach".into();
            return Err(VerifyError::Unavailable(self.directory.store.clone(), why));
        }
        Ok(())
    }
}

#[async_trait]
impl IdentityProvider for Provider {
    fn store(&self) -> &StoreName {
        &self.directory.store
    }

    fn account(&self, typed: &str) -> String {
        typed.to_owned()
    }

    async fn verify(&self, credential: Credential) -> Result<Verified, VerifyError> {
        self.answer().await?;
        let Credential::Password { user, password } = credential else {
            return Err(VerifyError::Refused);
        };
        let user = UserName::parse(&user).map_err(|_| VerifyError::Refused)?;
        let is_right = password.expose() == PASSWORD.as_bytes();
        if !is_right || self.directory.is_disabled(user.as_str()) {
            return Err(VerifyError::Refused);
        }
        Ok(Verified {
            identity: self.directory.identity(&user),
            level: LEVEL,
            age: PasswordAge::Lasting,
        })
    }

    async fn refresh(&self, subject: &UserName) -> Result<Refreshed, VerifyError> {
        self.answer().await?;
        Ok(match self.directory.rereading {
            Rereading::Unsupported => Refreshed::Unsupported,
            Rereading::Supported if self.directory.is_disabled(subject.as_str()) => Refreshed::Gone,
            Rereading::Supported => Refreshed::Known(self.directory.identity(subject)),
        })
    }
}

/// Of every sign-in.
pub(crate) const LEVEL: AuthLevel = AuthLevel::new(20).unwrap();
/// How long the directory takes, in milliseconds.
const LATENCY: u64 = 7;
