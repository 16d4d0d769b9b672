//! Signing in: a verified credential begins a new SSO session (S-11), within the user's maximum (S-21).
//!
//! What the user sees of it is `collector`'s matter.

use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::EmbeddedEngine;
use crate::model::attribute::AttributeSet;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::identity::Credential;
use crate::model::identity::Vouched;
use crate::model::session::Attributes;
use crate::model::session::EndCause;
use crate::model::session::Generation;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::entropy::id_bytes;
use crate::ports::identity_provider::PasswordAge;
use crate::ports::identity_provider::VerifyError;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;
use crate::ports::session_store::Inserted;
use crate::ports::session_store::StoreError;

impl EmbeddedEngine {
    /// Verifies a credential and begins an SSO session. The replaced one ends first: if that is not
    /// durable there is no new session, so that two users in one browser never both have one.
    ///
    /// The session counts from before the credential is checked, so that a cut-off that arrives during
    /// the check covers it (S-17): the credential may be what was changed.
    pub(super) async fn begin(&self, request: SignIn) -> Result<Arc<Session>, SignInError> {
        let begun = self.parts.clock.now();
        let (address, device) = (request.client_address, request.device.as_ref());
        let vouched = match request.credential {
            Credential::Vouched(vouched) => self.vouched(*vouched)?,
            password @ Credential::Password { .. } => {
                let verified = self.check(password, address, device).await?;
                if verified.age == PasswordAge::MustChange {
                    return Err(SignInError::MustChange);
                }
                verified.into()
            }
        };
        let session = self.new_session(vouched, request.client_address, begun);
        self.establish(session, request.replaces.as_ref()).await
    }

    /// Puts a new session in the place of the one that it replaces.
    pub(super) async fn establish(
        &self,
        session: Session,
        replaces: Option<&SsoFacts>,
    ) -> Result<Arc<Session>, SignInError> {
        if let Some(replaced) = replaces {
            self.end_session(replaced, EndCause::Replaced)
                .await
                .durable?;
        }
        let room = self.terms().per_user_max.saturating_sub(1);
        let SsoFacts { store, subject, .. } = &session.facts;
        self.keep_newest(store, subject, room).await?;
        match self
            .parts
            .store
            .insert_unless_ended(session.clone())
            .await?
        {
            Inserted::Inserted => self.settle(session).await,
            Inserted::Ended => Err(SignInError::CutOff),
            // 128 random bits came twice.
            Inserted::Exists => Err(SignInError::Store(StoreError::Failed {
                operation: "keep a new session",
                source: "one of that id stands".into(),
            })),
        }
    }

    /// Evicts what is too many once more: sign-ins at the same moment may each have seen room, and
    /// whichever looks last sees all of them (S-21).
    async fn settle(&self, session: Session) -> Result<Arc<Session>, SignInError> {
        let SsoFacts { store, subject, .. } = &session.facts;
        let most = self.terms().per_user_max;
        let kept = self.keep_newest(store, subject, most).await;
        if let Err(error) = kept {
            self.end_session(&session.facts, EndCause::Evicted).await;
            return Err(error.into());
        }
        tracing::info!(
            user = session.facts.subject.as_str(),
            session = session.facts.sso.short_hash(),
            client = %session.client_address,
            "signed in"
        );
        Ok(Arc::new(session))
    }

    /// Takes the word of a provider at which users sign in elsewhere; of one that is not configured any more,
    /// none.
    fn vouched(&self, vouched: Vouched) -> Result<Vouched, SignInError> {
        if !self.stores.load().contains(&vouched.identity.store) {
            return Err(SignInError::Verify(VerifyError::Refused));
        }
        self.attempts.note("accepted");
        Ok(vouched)
    }

    pub(super) fn new_session(
        &self,
        vouched: Vouched,
        client_address: IpAddr,
        begun: Timestamp,
    ) -> Session {
        let entropy = self.parts.entropy.as_ref();
        let facts = SsoFacts {
            sso: SsoId::from_bytes(id_bytes(entropy)),
            subject: vouched.identity.subject.clone(),
            store: vouched.identity.store.clone(),
            first_authenticated: begun,
            expires: begun.after(self.terms().lifetime),
            generation: Generation::default(),
            level: vouched.level,
            level_reached: begun,
        };
        Session {
            id: SessionId::from_bytes(id_bytes(entropy)),
            facts,
            state: SessionState::Live,
            identity: vouched.identity,
            last_access: self.parts.clock.now(),
            client_address,
            held_since: begun,
            reserved: None,
            provider_session: vouched.session,
            attributes: Attributes::Known,
            noted: Some(AttributeSet::default()),
            aliases: Vec::new(),
            visited: Vec::new(),
            version: 0,
        }
    }
}
