//! Changing one's own password: the old one is an attempt like any other, the new one begins a new SSO session
//! (S-11), and the user's other sessions end if that is wanted.
//!
//! What a new password has to be is `decision::password`'s to say, where it is kept the provider's.

use std::sync::Arc;

use crate::decision::password;
use crate::decision::password::Weakness;
use crate::engine::EmbeddedEngine;
use crate::engine::logout::MOMENT;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::identity::Credential;
use crate::model::session::Session;
use crate::ports::session_engine::ChangePassword;
use crate::ports::session_engine::ChangePasswordError;
use crate::ports::session_engine::Others;
use crate::ports::session_engine::SignInError;

impl EmbeddedEngine {
    pub(super) async fn change(
        &self,
        request: ChangePassword,
    ) -> Result<Arc<Session>, ChangePasswordError> {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Weakness::Uniform);
        let (new, old) = (text(request.new.expose())?, request.old.expose());
        let old = String::from_utf8_lossy(old);
        password::judge(new, &old, &request.user, self.terms().password)?;
        let begun = self.parts.clock.now();
        let credential = Credential::Password {
            user: request.user,
            password: request.old.clone(),
        };
        let (address, device) = (request.client_address, request.device.as_ref());
        let verified = self.check(credential, address, device).await?;
        let identity = &verified.identity;
        let (store, subject) = (identity.store.clone(), identity.subject.clone());
        // The name as the store has it may be in the new password where the name as typed was not.
        password::judge(new, &old, subject.as_str(), self.terms().password)?;
        self.parts
            .provider
            .change_password(&subject, request.old, request.new.clone())
            .await?;
        let event = Event::new(EventKind::PasswordChanged).user(&subject);
        self.audit.note(event.client(address));
        tracing::info!(user = subject.as_str(), client = %address, "password changed");
        let begun = match request.others {
            Others::Keep => begun,
            Others::End => {
                // Exactly what comes after this is the session that is begun here.
                let before = self.parts.clock.now().max(begun).after(MOMENT);
                self.cut_off_before(&store, &subject, before)
                    .await
                    .map_err(SignInError::Store)
                    .map_err(ChangePasswordError::Unfinished)?;
                before
            }
        };
        let session = self.new_session(verified.into(), address, begun);
        self.establish(session, request.replaces.as_ref())
            .await
            .map_err(ChangePasswordError::Unfinished)
    }
}
