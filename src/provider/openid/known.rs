//! What a provider has said: of itself, and which keys it signs with. It is asked when that is first needed,
//! then again now and then; while it gives no answer, what it said before goes on.

use std::sync::Arc;
use std::time::Duration;

use crate::crypto::jose::keys::KeySet;
use crate::decision::openid::discovery::Description;
use crate::model::time::Timestamp;
use crate::ports::relying_party::RelyingError;
use crate::provider::openid::OpenId;
use crate::provider::openid::errors::AskError;
use crate::provider::openid::good;

/// What a provider has said.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) description: Description,
    pub(super) keys: KeySet,
    at: Timestamp,
}

impl OpenId {
    /// What is known of the provider, which is asked where that is nothing, or old.
    pub(super) async fn known(&self) -> Result<Arc<Known>, RelyingError> {
        let known = self.known.load_full();
        let now = self.clock.now();
        match known {
            Some(known) if now.since(known.at) < KNOWN_FOR => Ok(known),
            known => self.ask(known).await,
        }
    }

    /// Asks the provider, unless somebody else has just done that; `before` is what whoever wants to know
    /// knows already. While it gives no answer, what it said before goes on.
    pub(super) async fn ask(&self, before: Option<Arc<Known>>) -> Result<Arc<Known>, RelyingError> {
        let mut asked = self.asking.lock().await;
        let now = self.clock.now();
        let latest = self.known.load_full();
        let is_other = latest.as_ref().map(|known| known.at) != before.map(|known| known.at);
        let is_early = |span| asked.is_some_and(|asked| now.since(asked) < span);
        match latest {
            Some(latest) if is_other || is_early(ASK_AGAIN) => return Ok(latest),
            None if is_early(AFTER_SILENCE) => return Err(self.unavailable(AskError::Lately)),
            _ => {}
        }
        let fetched = self.fetch(now).await;
        *asked = Some(self.clock.now());
        match fetched {
            Ok(known) => {
                let known = Arc::new(known);
                self.known.store(Some(Arc::clone(&known)));
                Ok(known)
            }
            Err(error) => match self.known.load_full() {
                Some(known) => {
                    tracing::warn!(
                        provider = self.settings.store.as_str(),
                        error = &error as &dyn std::error::Error,
                        "an identity provider could not be asked again; what it said before goes on"
                    );
                    Ok(known)
                }
                None => Err(self.unavailable(error)),
            },
        }
    }

    async fn fetch(&self, now: Timestamp) -> Result<Known, AskError> {
        let issuer = &self.settings.issuer;
        let answer = self.web.get(&issuer.description()).await?;
        let answer = good(answer, "its description")?;
        let description = Description::read(issuer, answer.body())?;
        let answer = self.web.get(&description.keys).await?;
        let keys = KeySet::read(good(answer, "its keys")?.body())?;
        if keys.is_empty() {
            return Err(AskError::NoKeys);
        }
        Ok(Known {
            description,
            keys,
            at: now,
        })
    }
}

/// After this time a provider is asked anew what it says of itself, and for its keys.
const KNOWN_FOR: Duration = Duration::from_hours(1);

/// It is not asked more often than this, whoever comes with a key that is not known.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// So long those are turned away at once who come when nothing is known of it and it has just given no answer: they
/// would wait for each other.
const AFTER_SILENCE: Duration = Duration::from_secs(2);
