//! The collector: the host that signs users in once for all applications, and out of all of them.
//!
//! Requests arrive as parsed values and answers leave as [`Reply`]s; HTTP and HTML are the proxy's.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::crypto::claims::AuthnCookie;
use crate::crypto::claims::Confirmed;
use crate::crypto::claims::Form;
use crate::crypto::claims::IdCookie;
use crate::crypto::claims::SignInRequest;
use crate::crypto::claims::SignOut;
use crate::crypto::claims::Token;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::cookies;
use crate::decision::cookies::CookieNames;
use crate::decision::endpoints;
use crate::decision::endpoints::Stop;
use crate::decision::origins::Origins;
use crate::decision::reply::LoginPage;
use crate::decision::reply::Notice;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::model::id::Nonce;
use crate::model::id::TokenId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Credential;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::secret::Secret;
use crate::model::session::EndCause;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::entropy::id_bytes;
use crate::ports::entropy::seal_nonce;
use crate::ports::identity_provider::VerifyError;
use crate::ports::session_engine::Claim;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;

/// The host that signs users in.
pub struct Collector {
    /// The engine behind it.
    pub engine: Arc<dyn SessionEngine>,
    /// The keys of the deployment.
    pub keys: Arc<KeyRing>,
    /// The names of its cookies.
    pub names: CookieNames,
    /// The hosts served.
    pub origins: Arc<Origins>,
    /// The collector's own host.
    pub host: HostName,
    /// This data centre.
    pub cluster: ClusterId,
    /// The highest level that a sign-in here gives.
    pub level: AuthLevel,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// What a browser sends to the collector, whatever it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// Its `Cookie` headers.
    pub cookies: &'a [&'a [u8]],
    /// Where it is.
    pub address: IpAddr,
    /// Whether the request comes from a page of the collector itself, or from nowhere at all.
    pub provenance: Provenance,
}

/// Where a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// On a page of another site, or where cannot be told.
    Elsewhere,
    /// On a page of the same host, or typed by the user.
    Own,
}

/// A posted login form.
#[derive(Debug)]
pub struct Submission {
    /// The sealed sign-in request.
    pub request: String,
    /// The sealed form.
    pub form: String,
    /// The user name as typed.
    pub user: String,
    /// The password as typed.
    pub password: Secret,
}

/// What a sealed sign-in request came to.
enum Wanted {
    /// Nothing in particular.
    Nothing,
    /// An application, by this request.
    Application(SignInRequest, String),
    /// An application by a request that is too old; it begins again there.
    Stale(String),
}

impl Collector {
    /// Answers a visit of the login page: straight back to the application where the user is signed in
    /// already, otherwise the page.
    pub async fn show(&self, visitor: &Visitor<'_>, request: Option<&str>) -> Reply {
        let wanted = self.wanted(request);
        if let Wanted::Stale(restart) = wanted {
            return Reply::new(ReplyKind::Redirect(restart));
        }
        match (self.signed_in(visitor).await, &wanted) {
            (Some(session), Wanted::Application(request, _))
                if session.facts.level >= request.level =>
            {
                self.hand_over(&session, request)
            }
            (Some(_), Wanted::Application(request, _)) if self.level < request.level => {
                Reply::new(ReplyKind::LevelUnreachable)
            }
            (Some(session), Wanted::Nothing) => {
                let user = session.facts.subject.as_str().to_owned();
                Reply::new(ReplyKind::Welcome { user })
            }
            (_, _) => self.login_page(visitor, &wanted, Notice::None),
        }
    }

    /// Answers a posted login form.
    pub async fn submit(&self, visitor: &Visitor<'_>, submission: Submission) -> Reply {
        let wanted = self.wanted(Some(&submission.request));
        if let Wanted::Stale(restart) = wanted {
            return Reply::new(ReplyKind::Redirect(restart));
        }
        if visitor.provenance == Provenance::Elsewhere
            || !self.form_is_good(visitor, &submission.form)
        {
            return self.login_page(visitor, &wanted, Notice::Stale);
        }
        let sign_in = SignIn {
            credential: Credential::Password {
                user: submission.user,
                password: submission.password,
            },
            client_address: visitor.address,
            replaces: self.id_cookies(visitor).next().map(|cookie| cookie.facts),
        };
        match self.engine.sign_in(sign_in).await {
            Ok(session) => self.signed_in_for(&session, &wanted),
            Err(error) => {
                let notice = notice_of(&error);
                tracing::info!(
                    client = %visitor.address,
                    error = &error as &dyn std::error::Error,
                    "sign-in refused"
                );
                self.login_page(visitor, &wanted, notice)
            }
        }
    }

    /// Answers a request to sign out: ends every SSO session that the browser's ID cookies name (S-18),
    /// clears the collector's cookies and sends the browser to the hosts visited.
    pub async fn sign_out(
        &self,
        visitor: &Visitor<'_>,
        state: Option<&str>,
        return_to: Option<&str>,
    ) -> Reply {
        let now = self.clock.now();
        let state = state.and_then(|state| self.open_sign_out(state, now));
        if state.is_none() && visitor.provenance == Provenance::Elsewhere {
            return Reply::new(ReplyKind::ConfirmSignOut);
        }
        let mut state = state.unwrap_or_else(|| SignOut {
            ended: Vec::new(),
            hosts: Vec::new(),
            return_to: return_to.and_then(|address| self.origins.return_address(address)),
            confirmed: Confirmed::Durable,
            expires: now.after(endpoints::SIGN_OUT_LIFETIME),
        });
        for cookie in self.id_cookies(visitor) {
            let ended = self.engine.end(&cookie.facts, EndCause::LoggedOut).await;
            if ended.durable.is_err() {
                state.confirmed = Confirmed::Pending;
            }
            state.ended.push(cookie.facts.sso);
            let new = ended
                .visited
                .into_iter()
                .filter(|host| !state.hosts.contains(host));
            let new: Vec<_> = new.collect();
            state.hosts.extend(new);
        }
        self.go_on(state)
            .with_cookie(cookies::clear(&self.names.id))
            .with_cookie(cookies::clear(&self.names.nonce))
    }

    /// Answers the end of a sign-out.
    #[must_use]
    pub fn signed_out(&self, state: Option<&str>) -> Reply {
        let state = state.and_then(|state| self.open_sign_out(state, self.clock.now()));
        let confirmed = state.map_or(Confirmed::Durable, |state| state.confirmed);
        Reply::new(ReplyKind::SignedOut(confirmed))
    }

    fn wanted(&self, request: Option<&str>) -> Wanted {
        let Some(sealed) = request.filter(|request| !request.is_empty()) else {
            return Wanted::Nothing;
        };
        let binding = self.binding(Purpose::SignInRequest, endpoints::REQUEST);
        let Some(request) = self.keys.open_claims::<SignInRequest>(&binding, sealed) else {
            return Wanted::Nothing;
        };
        let Some(origin) = self.origins.of(&request.host) else {
            return Wanted::Nothing;
        };
        if self.clock.now().since(request.issued) > REQUEST_LIFETIME {
            return Wanted::Stale(format!("{origin}{}", request.target));
        }
        Wanted::Application(request, sealed.to_owned())
    }

    /// The ID cookies that open, in the order in which the browser sent them.
    fn id_cookies<'v>(&'v self, visitor: &'v Visitor<'v>) -> impl Iterator<Item = IdCookie> + 'v {
        CookieNames::find(visitor.cookies.iter().copied(), &self.names.id).filter_map(|sealed| {
            self.keys
                .open_claims(&self.binding(Purpose::IdCookie, &self.names.id), sealed)
        })
    }

    async fn signed_in(&self, visitor: &Visitor<'_>) -> Option<Arc<Session>> {
        for cookie in self.id_cookies(visitor) {
            let Some((cluster, session)) = cookie.chain.last().cloned() else {
                continue;
            };
            let claim = Claim {
                facts: cookie.facts,
                cluster,
                session,
            };
            let now = self.clock.now();
            if let Lookup::Live(session) = self.engine.judge(&claim, now).await {
                self.engine.touch(&session.facts.sso, now);
                return Some(session);
            }
        }
        None
    }

    fn form_is_good(&self, visitor: &Visitor<'_>, sealed: &str) -> bool {
        let binding = self.binding(Purpose::Form, FORM_NAME);
        let Some(form) = self.keys.open_claims::<Form>(&binding, sealed) else {
            return false;
        };
        self.clock.now().since(form.issued) <= REQUEST_LIFETIME
            && self
                .names
                .nonces(visitor.cookies)
                .any(|nonce| nonce.matches(&form.nonce))
    }

    fn login_page(&self, visitor: &Visitor<'_>, wanted: &Wanted, notice: Notice) -> Reply {
        let held = self.names.nonces(visitor.cookies).next();
        let nonce = held.unwrap_or_else(|| Nonce::from_bytes(id_bytes(self.entropy.as_ref())));
        let form = Form {
            nonce,
            issued: self.clock.now(),
        };
        let (request, application) = match wanted {
            Wanted::Application(request, sealed) => (sealed.clone(), Some(&request.host)),
            Wanted::Nothing | Wanted::Stale(_) => (String::new(), None),
        };
        let page = LoginPage {
            request,
            form: self.seal(&self.binding(Purpose::Form, FORM_NAME), &form),
            application: application.map(|host| host.as_str().to_owned()),
            leads_to: application.and_then(|host| self.origins.of(host)),
            notice,
        };
        let reply = Reply::new(ReplyKind::LoginPage(page));
        match held {
            Some(_) => reply,
            None => reply.with_cookie(cookies::set(
                &self.names.nonce,
                &cookies::encode_nonce(&nonce),
            )),
        }
    }

    fn signed_in_for(&self, session: &Session, wanted: &Wanted) -> Reply {
        match wanted {
            Wanted::Application(request, _) if session.facts.level >= request.level => {
                self.hand_over(session, request)
            }
            Wanted::Application(..) => self.remembering(session, ReplyKind::LevelUnreachable),
            Wanted::Nothing | Wanted::Stale(_) => {
                let page = format!("{}{}", self.own_origin(), endpoints::SIGN_IN);
                self.remembering(session, ReplyKind::Redirect(page))
            }
        }
    }

    /// Sends a signed-in browser back to its application with a one-step token (S-24).
    fn hand_over(&self, session: &Session, request: &SignInRequest) -> Reply {
        let now = self.clock.now();
        let token = Token {
            id: TokenId::from_bytes(id_bytes(self.entropy.as_ref())),
            cookie: AuthnCookie {
                facts: session.facts.clone(),
                cluster: self.cluster.clone(),
                session: session.id,
                issued: now,
            },
            nonce: request.nonce,
            target: request.target.clone(),
            expires: now.after(TOKEN_LIFETIME),
        };
        let scope = request.host.as_str();
        let binding = Binding {
            purpose: Purpose::Token,
            name: endpoints::TOKEN,
            scope,
        };
        let sealed = self.seal(&binding, &token);
        let origin = self
            .origins
            .of(&request.host)
            .unwrap_or_else(|| self.own_origin());
        let back = format!(
            "{origin}{}?{}={sealed}",
            endpoints::CALLBACK,
            endpoints::TOKEN
        );
        self.remembering(session, ReplyKind::Redirect(back))
    }

    /// Rewrites the ID cookie (MDC-COOKIE-2): this data centre is the latest of its chain.
    fn remembering(&self, session: &Session, kind: ReplyKind) -> Reply {
        let mut chain = session.aliases.clone();
        chain.push((self.cluster.clone(), session.id));
        let facts = session.facts.clone();
        let cookie = IdCookie {
            facts,
            chain,
            last_access: self.clock.now(),
        };
        let sealed = self.seal(&self.binding(Purpose::IdCookie, &self.names.id), &cookie);
        Reply::new(kind).with_cookie(cookies::set(&self.names.id, &sealed))
    }

    fn open_sign_out(&self, sealed: &str, now: Timestamp) -> Option<SignOut> {
        let binding = self.binding(Purpose::SignOut, endpoints::SIGN_OUT);
        self.keys
            .open_claims::<SignOut>(&binding, sealed)
            .filter(|state| state.expires > now)
    }

    fn go_on(&self, mut state: SignOut) -> Reply {
        let location = match endpoints::next_stop(&mut state, &self.origins) {
            Some(Stop::Host(host, origin)) => {
                let name = endpoints::SIGN_OUT;
                let scope = host.as_str();
                let binding = Binding {
                    purpose: Purpose::SignOut,
                    name,
                    scope,
                };
                let sealed = self.seal(&binding, &state);
                format!("{origin}{}?{name}={sealed}", endpoints::CLEAR)
            }
            Some(Stop::Return(address)) => address,
            Some(Stop::SignedOut(_)) | None => {
                return Reply::new(ReplyKind::SignedOut(state.confirmed));
            }
        };
        Reply::new(ReplyKind::Redirect(location))
    }

    fn own_origin(&self) -> String {
        self.origins.collector().unwrap_or_default()
    }

    fn binding<'b>(&'b self, purpose: Purpose, name: &'b str) -> Binding<'b> {
        Binding {
            purpose,
            name,
            scope: self.host.as_str(),
        }
    }

    fn seal<C: crate::crypto::claims::Claims>(&self, to: &Binding<'_>, claims: &C) -> String {
        self.keys
            .seal_claims(to, seal_nonce(self.entropy.as_ref()), claims)
    }
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// One wording for every reason that has to do with the credential; nothing tells them apart.
const fn notice_of(error: &SignInError) -> Notice {
    match error {
        SignInError::Verify(VerifyError::Refused) => Notice::Refused,
        SignInError::Verify(VerifyError::Busy | VerifyError::Unavailable(..))
        | SignInError::Store(_) => Notice::Busy,
    }
}

/// How long a login page may stay open before it begins again.
pub const REQUEST_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// How long a one-step token is good (S-24).
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(60);
const FORM_NAME: &str = "form";
