//! The provider of a gateway that signs nobody in: every credential is refused.

use async_trait::async_trait;

use crate::model::identity::Credential;
use crate::model::identity::Refreshed;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::ports::identity_provider::IdentityProvider;
use crate::ports::identity_provider::Verified;
use crate::ports::identity_provider::VerifyError;

/// Knows nobody.
#[derive(Clone, Debug)]
pub struct Nobody(StoreName);

impl Nobody {
    /// Makes the provider; its store is never asked.
    #[must_use]
    pub const fn new(store: StoreName) -> Self {
        Self(store)
    }
}

#[async_trait]
impl IdentityProvider for Nobody {
    fn store(&self) -> &StoreName {
        &self.0
    }

    fn account(&self, typed: &str) -> String {
        typed.to_owned()
    }

    async fn verify(&self, _: Credential) -> Result<Verified, VerifyError> {
        Err(VerifyError::Refused)
    }

    async fn refresh(&self, _: &UserName) -> Result<Refreshed, VerifyError> {
        Ok(Refreshed::Gone)
    }
}
