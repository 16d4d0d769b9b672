//! Changing one's own password at the collector: the page, and the posted form. It asks for the old password,
//! whoever is signed in, and needs nobody to be.
//!
//! What a new password has to be, and whether the old one is right, is the engine's to say.

use crate::decision::reply::PasswordNotice;
use crate::decision::reply::PasswordPage;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::engine::collector::Collector;
use crate::engine::collector::Provenance;
use crate::engine::collector::Visitor;
use crate::engine::collector::alike;
use crate::engine::collector::wanted::Wanted;
use crate::model::secret::Secret;
use crate::model::session::EndCause;
use crate::ports::identity_provider::ChangeError;
use crate::ports::identity_provider::VerifyError;
use crate::ports::session_engine::ChangePassword;
use crate::ports::session_engine::ChangePasswordError;
use crate::ports::session_engine::Others;
use crate::ports::session_engine::SignInError;

/// A posted form for a new password.
#[derive(Debug)]
pub struct NewPassword {
    /// The sealed sign-in request that is to go on afterwards.
    pub request: String,
    /// The sealed form.
    pub form: String,
    /// The user name as typed.
    pub user: String,
    /// The password so far.
    pub old: Secret,
    /// The one to be.
    pub new: Secret,
    /// And once more.
    pub again: Secret,
    /// What becomes of the user's other sessions.
    pub others: Others,
}

impl Collector {
    /// Answers a visit of the page on which a password is changed.
    pub async fn show_password(&self, visitor: &Visitor<'_>, request: Option<&str>) -> Reply {
        let wanted = self.wanted_now(request);
        let signed_in = self.signed_in(visitor, &wanted).await;
        let user = signed_in
            .as_ref()
            .map(|cookie| cookie.facts.subject.as_str().to_owned());
        let reply = self.password_page(visitor, &wanted, user, PasswordNotice::None);
        match signed_in {
            Some(signed_in) => self.remembering(reply, &signed_in),
            None => reply,
        }
    }

    /// Answers a posted form for a new password.
    pub async fn submit_password(&self, visitor: &Visitor<'_>, posted: NewPassword) -> Reply {
        let wanted = self.wanted_now(Some(&posted.request));
        let user = posted.user.clone();
        if visitor.provenance == Provenance::Elsewhere
            || !self.form_is_good(visitor, FORM_NAME, &posted.form)
        {
            return self.password_page(visitor, &wanted, None, PasswordNotice::Stale);
        }
        if posted.new != posted.again {
            return self.password_page(visitor, &wanted, Some(user), PasswordNotice::Differ);
        }
        let change = ChangePassword {
            user: posted.user,
            old: posted.old,
            new: posted.new,
            client_address: visitor.address,
            device: self.device(visitor),
            replaces: self.id_cookies(visitor).next().map(|cookie| cookie.facts),
            others: posted.others,
        };
        let session = match self.engine.change_password(change).await {
            Ok(session) => session,
            Err(error) => {
                self.tell(&error, visitor);
                let notice = notice_of(&error);
                return self.password_page(visitor, &wanted, Some(user), notice);
            }
        };
        for other in self.id_cookies(visitor).skip(1) {
            self.engine.end(&other.facts, EndCause::Replaced).await;
        }
        let signed_in = self.new_id_cookie(&session, visitor);
        let reply = match wanted {
            Wanted::Application(..) => self.signed_in_for(&signed_in, &wanted),
            Wanted::Nothing | Wanted::Stale(_) => {
                let user = session.facts.subject.as_str().to_owned();
                let reply = Reply::new(ReplyKind::PasswordChanged { user });
                self.remembering(reply, &signed_in)
            }
        };
        self.knowing_device(reply, &session, visitor)
    }

    pub(super) fn password_page(
        &self,
        visitor: &Visitor<'_>,
        wanted: &Wanted,
        user: Option<String>,
        notice: PasswordNotice,
    ) -> Reply {
        let (form, cookie) = self.form(visitor, FORM_NAME);
        let (request, application) = wanted.shown();
        let page = PasswordPage {
            request,
            form,
            user,
            application,
            length_min: self.password.length_min,
            notice,
        };
        let mut reply = Reply::new(ReplyKind::PasswordPage(page));
        reply.cookies.extend(cookie);
        reply
    }

    fn tell(&self, error: &ChangePasswordError, visitor: &Visitor<'_>) {
        let why = match error {
            ChangePasswordError::Change(why) => why.to_string(),
            ChangePasswordError::SignIn(why) => alike(why),
            ChangePasswordError::Unfinished(_) => {
                tracing::error!(
                    client = %visitor.address,
                    error = error as &dyn std::error::Error,
                    "password changed, and other sessions may go on"
                );
                return;
            }
            ChangePasswordError::Weak(why) => why.to_string(),
        };
        self.tell_refused("password not changed", visitor, &why, error);
    }
}

/// One wording for every reason that has to do with the old password, as at the sign-in.
const fn notice_of(error: &ChangePasswordError) -> PasswordNotice {
    match error {
        ChangePasswordError::Change(ChangeError::Changed) => PasswordNotice::Changed,
        ChangePasswordError::Change(ChangeError::Unsupported) => PasswordNotice::Elsewhere,
        ChangePasswordError::Change(ChangeError::Busy | ChangeError::Failed(_))
        | ChangePasswordError::SignIn(
            SignInError::Store(_)
            | SignInError::MustChange
            | SignInError::Unrecorded
            | SignInError::Verify(VerifyError::Busy | VerifyError::Unavailable(..)),
        ) => PasswordNotice::Busy,
        ChangePasswordError::SignIn(SignInError::CutOff) => PasswordNotice::CutOff,
        ChangePasswordError::SignIn(SignInError::Throttled { wait, .. }) => {
            PasswordNotice::Wait(*wait)
        }
        ChangePasswordError::SignIn(SignInError::Verify(VerifyError::Refused)) => {
            PasswordNotice::Refused
        }
        ChangePasswordError::Unfinished(_) => PasswordNotice::Unfinished,
        ChangePasswordError::Weak(why) => PasswordNotice::Weak(*why),
    }
}

const FORM_NAME: &str = "password-form";
