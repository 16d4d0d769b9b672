//! What the engine has to tell the audit trail: sign-ins, and the ends and moves of sessions.

use std::sync::Arc;

use crate::engine::EmbeddedEngine;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::id::SsoId;
use crate::model::identity::Credential;
use crate::model::name::UserName;
use crate::model::session::EndCause;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::ports::audit_trail::TrailStanding;
use crate::ports::identity_provider::AccountState;
use crate::ports::identity_provider::VerifyError;
use crate::ports::session_engine::ChangePassword;
use crate::ports::session_engine::ChangePasswordError;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;

impl EmbeddedEngine {
    /// Begins a session, and notes what came of it, unless the trail cannot be written and the operator wants
    /// nobody signed in then.
    pub(super) async fn begin_noting(&self, request: SignIn) -> Result<Arc<Session>, SignInError> {
        if self.audit.standing() == TrailStanding::SignNobodyIn {
            return Err(SignInError::Unrecorded);
        }
        let client = request.client_address;
        let who = match &request.credential {
            Credential::Password { user, .. } => Who::Typed(user.clone()),
            Credential::Vouched(vouched) => Who::Known(vouched.identity.subject.clone()),
        };
        let begun = self.begin(request).await;
        let event = match (&begun, who) {
            (Ok(session), _) => signed_in(session),
            (Err(error), Who::Typed(typed)) => self.refused(error, &typed),
            (Err(error), Who::Known(user)) => Event::new(EventKind::SignInRefused)
                .user(&user)
                .with("cause", cause(error, None)),
        };
        self.audit.note(event.client(client));
        begun
    }

    /// Changes a password, and notes what came of it, on the same terms.
    pub(super) async fn change_noting(
        &self,
        request: ChangePassword,
    ) -> Result<Arc<Session>, ChangePasswordError> {
        if self.audit.standing() == TrailStanding::SignNobodyIn {
            return Err(SignInError::Unrecorded.into());
        }
        let (typed, client) = (request.user.clone(), request.client_address);
        let changed = self.change(request).await;
        let event = match &changed {
            Ok(session) => signed_in(session),
            Err(ChangePasswordError::SignIn(error) | ChangePasswordError::Unfinished(error)) => {
                self.refused(error, &typed)
            }
            // Nobody was let in or kept out.
            Err(ChangePasswordError::Change(_) | ChangePasswordError::Weak(_)) => return changed,
        };
        self.audit.note(event.client(client));
        changed
    }

    /// Notes what those who drive the engine have to tell.
    pub fn note(&self, event: Event) {
        self.audit.note(event);
    }

    /// A name that nobody has is not told: it may be a password in the wrong field.
    fn refused(&self, error: &SignInError, typed: &str) -> Event {
        let account = self.parts.provider.account_of(typed);
        let event = Event::new(EventKind::SignInRefused);
        let event = match &account {
            Some(account) => event.user(&account.user),
            None => event,
        };
        let state = account.map(|account| account.state);
        event.with("cause", cause(error, state))
    }
}

/// Who wants to sign in.
enum Who {
    /// Somebody whom a provider vouches for.
    Known(UserName),
    /// Whoever it is, by this name.
    Typed(String),
}

const fn cause(error: &SignInError, account: Option<AccountState>) -> &'static str {
    match (error, account) {
        (SignInError::Verify(VerifyError::Refused), None) => "unknown_user",
        (SignInError::Verify(VerifyError::Refused), Some(AccountState::Disabled)) => "disabled",
        (SignInError::Verify(VerifyError::Refused), Some(AccountState::Enabled)) => {
            "wrong_password"
        }
        (SignInError::Verify(VerifyError::Busy), _) => "busy",
        (SignInError::Verify(VerifyError::Unavailable(..)), _) => "unavailable",
        (SignInError::CutOff, _) => "cut_off",
        (SignInError::MustChange, _) => "must_change",
        (SignInError::Store(_), _) => "not_stored",
        (SignInError::Throttled { .. }, _) => "throttled",
        (SignInError::Unrecorded, _) => "unrecorded",
    }
}

fn signed_in(session: &Session) -> Event {
    about(EventKind::SignedIn, &session.facts)
        .with("store", session.facts.store.as_str())
        .with("level", session.facts.level.get().to_string())
}

/// The end of a session.
pub(super) fn ended(facts: &SsoFacts, cause: EndCause) -> Event {
    let cause = match cause {
        EndCause::LoggedOut => return about(EventKind::SignedOut, facts),
        EndCause::Disabled => "disabled",
        EndCause::Evicted => "evicted",
        EndCause::Killed => "killed",
        EndCause::Replaced => "replaced",
    };
    about(EventKind::SessionEnded, facts).with("cause", cause)
}

/// A session that another data centre has taken over.
pub(super) fn moved(facts: &SsoFacts) -> Event {
    about(EventKind::SessionEnded, facts).with("cause", "moved")
}

/// A session that was taken over from another data centre.
pub(super) fn adopted(facts: &SsoFacts) -> Event {
    about(EventKind::SessionAdopted, facts)
}

/// The end of a session whose provider says so.
pub(super) fn ended_at_provider(sso: &SsoId) -> Event {
    Event::new(EventKind::SessionEnded)
        .session(sso)
        .with("cause", "provider")
}

/// The end of everything that a user had.
pub(super) fn cut_off(subject: &UserName, sessions: usize) -> Event {
    Event::new(EventKind::UserCutOff)
        .user(subject)
        .with("sessions", sessions.to_string())
}

fn about(kind: EventKind, facts: &SsoFacts) -> Event {
    Event::new(kind).user(&facts.subject).session(&facts.sso)
}
