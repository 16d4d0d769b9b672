//! Signing in at the collector: the login page, the posted form, and the way back to the application.
//!
//! Whether a credential is right is the engine's to say; how the page looks is the proxy's.

use std::time::Duration;

use crate::crypto::bearer::Bound;
use crate::crypto::claims::Form;
use crate::crypto::claims::Freshness;
use crate::crypto::claims::IdCookie;
use crate::crypto::claims::SignInRequest;
use crate::crypto::key_ring::Purpose;
use crate::decision::cookies;
use crate::decision::cookies::chain;
use crate::decision::endpoints;
use crate::decision::reply::LoginPage;
use crate::decision::reply::Notice;
use crate::decision::reply::PasswordNotice;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::logbook::event;
use crate::model::claim::Activity;
use crate::model::id::Nonce;
use crate::model::identity::Credential;
use crate::model::session::EndCause;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::ports::audit_trail::note_refusal;
use crate::ports::entropy::id_bytes;
use crate::ports::identity_provider::VerifyError;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;

use crate::engine::collector::Collector;
use crate::engine::collector::Provenance;
use crate::engine::collector::Submission;
use crate::engine::collector::Visitor;
use crate::engine::collector::alike;
use crate::engine::collector::wanted::Wanted;

impl Collector {
    /// Answers a visit of the login page: straight back to the application where the user is signed in
    /// already, otherwise the page.
    pub async fn show(&self, visitor: &Visitor<'_>, request: Option<&str>) -> Reply {
        let wanted = self.wanted_now(request);
        let Some(mut signed_in) = self.signed_in(visitor, &wanted).await else {
            return self.ask(visitor, wanted, Notice::None).await;
        };
        let reply = match wanted {
            Wanted::Application(ref request, _) if signed_in.facts.level >= request.level => {
                if is_recent_enough(&signed_in, request) {
                    self.hand_over_again(&mut signed_in, request)
                } else {
                    self.ask(visitor, wanted, Notice::Again).await
                }
            }
            Wanted::Application(ref request, _) if self.level_max() < request.level => {
                Reply::new(ReplyKind::LevelUnreachable)
            }
            Wanted::Nothing => {
                let user = signed_in.facts.subject.as_str().to_owned();
                Reply::new(ReplyKind::Welcome { user })
            }
            Wanted::Application(..) | Wanted::Stale(_) => {
                self.ask(visitor, wanted, Notice::None).await
            }
        };
        self.remembering(reply, &signed_in)
    }

    /// Answers a posted login form.
    pub async fn submit(&self, visitor: &Visitor<'_>, submission: Submission) -> Reply {
        let wanted = self.wanted(Some(&submission.request));
        if let Wanted::Stale(SignInRequest { host, target, .. }) = &wanted {
            let origin = self.origins.of(host).unwrap_or_default();
            return Reply::new(ReplyKind::Redirect(format!("{origin}{target}")));
        }
        if visitor.provenance == Provenance::Elsewhere
            || !self.form_is_good(visitor, FORM_NAME, &submission.form)
        {
            return self.login_page(visitor, &wanted, Notice::Stale);
        }
        let sign_in = SignIn {
            credential: Credential::Password {
                user: submission.user.clone(),
                password: submission.password,
            },
            client_address: visitor.address,
            device: self.device(visitor),
            replaces: self.id_cookies(visitor).next().map(|cookie| cookie.facts),
        };
        match self.engine.sign_in(sign_in).await {
            Ok(session) => {
                let reply = self.begun(visitor, &session, &wanted).await;
                self.knowing_device(reply, &session, visitor)
            }
            Err(SignInError::MustChange) => {
                let user = Some(submission.user);
                self.password_page(visitor, &wanted, user, PasswordNotice::MustChange)
            }
            Err(error) => {
                let notice = notice_of(&error);
                self.tell_refused("sign-in refused", visitor, &alike(&error), &error);
                self.login_page(visitor, &wanted, notice)
            }
        }
    }

    /// Answers whoever has just signed in, in whatever way.
    pub(super) async fn begun(
        &self,
        visitor: &Visitor<'_>,
        session: &Session,
        wanted: &Wanted,
    ) -> Reply {
        // A browser may hold several ID cookies of one name; none of them outlives this (S-11).
        for other in self.id_cookies(visitor).skip(1) {
            self.engine.end(&other.facts, EndCause::Replaced).await;
        }
        // The chain of the cookies presented is that of another SSO session (S-11).
        let signed_in = self.new_id_cookie(session, visitor);
        self.signed_in_for(&signed_in, wanted)
    }

    fn wanted(&self, request: Option<&str>) -> Wanted {
        let Some(sealed) = request.filter(|request| !request.is_empty()) else {
            return Wanted::Nothing;
        };
        let binding = self.binding(Purpose::SignInRequest, endpoints::REQUEST);
        let Some(request) = self.keys.open_claims::<SignInRequest>(&binding, sealed) else {
            return Wanted::Nothing;
        };
        if self.origins.of(&request.host).is_none() {
            return Wanted::Nothing;
        }
        if self.clock.now().since(request.issued) > REQUEST_LIFETIME {
            return Wanted::Stale(request);
        }
        Wanted::Application(request, sealed.to_owned())
    }

    /// What a request came to; one that is too old is as good as made now.
    pub(super) fn wanted_now(&self, request: Option<&str>) -> Wanted {
        match self.wanted(request) {
            Wanted::Stale(request) => self.renewed(request),
            wanted @ (Wanted::Nothing | Wanted::Application(..)) => wanted,
        }
    }

    /// What is wanted by a request that is too old, as if it were made now (D-9). To have the application
    /// make a new one would go round and round where its clock is behind by that much (S-22, D-10).
    pub(super) fn renewed(&self, mut request: SignInRequest) -> Wanted {
        request.issued = self.clock.now();
        let binding = self.binding(Purpose::SignInRequest, endpoints::REQUEST);
        let sealed = self.seal(&binding, &request);
        Wanted::Application(request, sealed)
    }

    /// The first ID cookie whose session serves decides who is signed in, and comes rewritten; one from the
    /// future is as good as absent (MDC-COOKIE-6), and so is one that has strayed, or whose session the wanted
    /// host does not take (D-19). What is refused is no access (S-20).
    pub(super) async fn signed_in(
        &self,
        visitor: &Visitor<'_>,
        wanted: &Wanted,
    ) -> Option<IdCookie> {
        let now = self.clock.now();
        let cookies = self.id_cookies(visitor);
        for cookie in cookies.filter(|cookie| self.is_good(cookie, visitor, now)) {
            let claim = self.claim(&cookie, visitor, wanted.limits(), now);
            match self.engine.judge(&claim, now).await {
                Lookup::Live(session) => {
                    let known = claim.last_access.max(Some(session.last_access));
                    let rewritten = self.id_cookie(&session, &cookie);
                    return Some(self.accessed(rewritten, wanted.activity(), known));
                }
                Lookup::NotLive(why) => {
                    note_refusal(self.audit.as_ref(), why, &claim, &self.host);
                    tracing::debug!(
                        session = claim.facts.sso.short_hash(),
                        reason = ?why,
                        "an ID cookie was not honoured"
                    );
                }
                Lookup::Unknown => {}
            }
        }
        None
    }

    /// Whether a cookie is from no future, and brought by whom it was given to.
    fn is_good(&self, cookie: &IdCookie, visitor: &Visitor<'_>, now: Timestamp) -> bool {
        if !self.settings.believes(cookie.last_access, now) {
            self.keys.reject(Purpose::IdCookie);
            return false;
        }
        let checked = cookie.bound.check(&cookie.facts.sso, &visitor.bearer());
        if let Err(strayed) = checked {
            let told = event::strayed(&cookie.facts, strayed, &self.host, visitor.address);
            self.audit.note(told);
        }
        checked.is_ok()
    }

    /// Notes the access, if it is one; if not, neither does the rewritten cookie vouch for it (D-19).
    fn accessed(
        &self,
        rewritten: IdCookie,
        activity: Activity,
        known: Option<Timestamp>,
    ) -> IdCookie {
        let now = self.clock.now();
        if activity == Activity::Counts {
            self.engine.touch(&rewritten.facts.sso, now);
            return rewritten;
        }
        IdCookie {
            last_access: known.map_or(now, |known| known.min(now)),
            ..rewritten
        }
    }

    /// The ID cookie that a browser is to have whose session serves here (MDC-COOKIE-2).
    fn id_cookie(&self, session: &Session, presented: &IdCookie) -> IdCookie {
        chain::id_cookie(session, Some(presented), &self.settings, self.clock.now())
    }

    /// That of a session which has just begun, bound to whom it is given (D-19).
    pub(super) fn new_id_cookie(&self, session: &Session, visitor: &Visitor<'_>) -> IdCookie {
        IdCookie {
            bound: Bound::to(
                self.bind_to.of(visitor.address),
                &session.facts.sso,
                &visitor.bearer(),
            ),
            ..chain::id_cookie(session, None, &self.settings, self.clock.now())
        }
    }

    pub(super) fn form_is_good(&self, visitor: &Visitor<'_>, name: &str, sealed: &str) -> bool {
        let binding = self.binding(Purpose::Form, name);
        let Some(form) = self.keys.open_claims::<Form>(&binding, sealed) else {
            return false;
        };
        self.clock.now().since(form.issued) <= REQUEST_LIFETIME
            && self.is_from(visitor, &form.nonce)
    }

    /// Whether a browser is the one that was given this nonce.
    pub(super) fn is_from(&self, visitor: &Visitor<'_>, nonce: &Nonce) -> bool {
        let mut held = self.names.nonces(visitor.cookies);
        held.any(|held| held.matches(nonce))
    }

    /// The nonce of a browser, and the `Set-Cookie` that gives one to a browser without.
    pub(super) fn nonce(&self, visitor: &Visitor<'_>) -> (Nonce, Option<String>) {
        if let Some(held) = self.names.nonces(visitor.cookies).next() {
            return (held, None);
        }
        let nonce = Nonce::from_bytes(id_bytes(self.entropy.as_ref()));
        let cookie = cookies::set(&self.names.nonce, &cookies::encode_nonce(&nonce));
        (nonce, Some(cookie))
    }

    /// A sealed form for a browser, and the `Set-Cookie` that ties it to one without a nonce.
    pub(super) fn form(&self, visitor: &Visitor<'_>, name: &str) -> (String, Option<String>) {
        let (nonce, cookie) = self.nonce(visitor);
        let form = Form {
            nonce,
            issued: self.clock.now(),
        };
        let sealed = self.seal(&self.binding(Purpose::Form, name), &form);
        (sealed, cookie)
    }

    pub(super) fn login_page(
        &self,
        visitor: &Visitor<'_>,
        wanted: &Wanted,
        notice: Notice,
    ) -> Reply {
        let (form, cookie) = self.form(visitor, FORM_NAME);
        let (request, application) = wanted.shown();
        let providers = self.provider_links(&request);
        let page = LoginPage {
            request,
            form,
            application,
            notice,
            passwords: self.passwords(),
            providers,
        };
        let mut reply = Reply::new(ReplyKind::LoginPage(page));
        reply.cookies.extend(cookie);
        reply
    }
}

/// Whether an authentication is as recent as a request wants it: a user who has signed in since the request
/// was made, in another tab perhaps, is not asked twice (MDC-ADOPT-4). By how much the clocks of gate and
/// collector differ, by so much it is judged wrong (S-22); whoever signs in for the request is not judged.
fn is_recent_enough(signed_in: &IdCookie, request: &SignInRequest) -> bool {
    match request.freshness {
        Freshness::Earlier => true,
        Freshness::Now => signed_in.facts.level_reached > request.issued,
    }
}

/// One wording for every reason that has to do with the credential; nothing tells them apart.
pub(super) const fn notice_of(error: &SignInError) -> Notice {
    match error {
        SignInError::CutOff => Notice::CutOff,
        SignInError::MustChange | SignInError::Verify(VerifyError::Refused) => Notice::Refused,
        SignInError::Throttled { wait, .. } => Notice::Wait(*wait),
        SignInError::Verify(VerifyError::Busy | VerifyError::Unavailable(..))
        | SignInError::Store(_)
        | SignInError::Unrecorded => Notice::Busy,
    }
}

/// How long a login page may stay open before it begins again.
pub(super) const REQUEST_LIFETIME: Duration = Duration::from_secs(60 * 60);
const FORM_NAME: &str = "form";
