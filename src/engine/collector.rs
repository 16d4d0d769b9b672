//! The collector: the host that signs users in once for all applications, and out of all of them.
//!
//! Requests arrive as parsed values and answers leave as `Reply`s; HTTP and HTML are the proxy's.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;

use crate::crypto::bearer::Bearer;
use crate::crypto::bearer::BindRules;
use crate::crypto::claims::Claims;
use crate::crypto::claims::IdCookie;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::cookies::CookieNames;
use crate::decision::cookies::chain;
use crate::decision::cookies::gito::GitoReader;
use crate::decision::cookies::settings::CookieSettings;
use crate::decision::origins::Origins;
use crate::decision::password::PasswordRules;
use crate::logbook::event::not_opened;
use crate::model::claim::Claim;
use crate::model::claim::HostLimits;
use crate::model::claim::Place;
use crate::model::claim::Presented;
use crate::model::identity::AuthLevel;
use crate::model::name::HostName;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::ports::audit_trail::AuditTrail;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::entropy::seal_nonce;
use crate::ports::relying_party::RelyingParty;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_engine::SignInError;
use crate::telemetry::complaints::Complaints;

mod device;
pub mod elsewhere;
mod hand_over;
pub mod password;
mod sign_in;
mod sign_out;
mod wanted;

/// The host that signs users in.
pub struct Collector {
    /// The engine behind it.
    pub engine: Arc<dyn SessionEngine>,
    /// The keys of the deployment.
    pub keys: Arc<KeyRing>,
    /// The names of its cookies.
    pub names: CookieNames,
    /// What the operator chose about them.
    pub settings: Arc<CookieSettings>,
    /// The hosts served.
    pub origins: Arc<Origins>,
    /// The collector's own host.
    pub host: HostName,
    /// What a new password has to be.
    pub password: PasswordRules,
    /// What the cookies of a new session are bound to.
    pub bind_to: BindRules,
    /// The level that a password gives; none where none is taken.
    pub password_level: Option<AuthLevel>,
    /// Where else users sign in, in the order in which they are offered.
    pub parties: Vec<Arc<dyn RelyingParty>>,
    /// Keeps in mind what happened.
    pub audit: Arc<dyn AuditTrail>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Which refusals the log was told of lately.
    pub complaints: Complaints,
}

/// What a browser sends to the collector, whatever it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// Its `Cookie` headers.
    pub cookies: &'a [&'a [u8]],
    /// Where it is.
    pub address: IpAddr,
    /// Its headers; a cookie may be bound to what it says of its program.
    pub headers: &'a HeaderMap,
    /// Whether the request comes from a page of the collector itself, or from nowhere at all.
    pub provenance: Provenance,
}

impl Visitor<'_> {
    /// Who it is, as far as cookies can be bound to it.
    const fn bearer(&self) -> Bearer<'_> {
        Bearer {
            address: self.address,
            headers: self.headers,
        }
    }
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

impl Collector {
    /// The ID cookies that open, in the order in which the browser sent them.
    fn id_cookies<'v>(&'v self, visitor: &'v Visitor<'v>) -> impl Iterator<Item = IdCookie> + 'v {
        CookieNames::find(visitor.cookies.iter().copied(), &self.names.id).filter_map(|sealed| {
            let binding = self.binding(Purpose::IdCookie, &self.names.id);
            let opened = self.keys.open_cookie(&binding, sealed);
            if opened.is_none() {
                let told = not_opened("id", &self.host, visitor.address);
                self.audit.note(told);
            }
            opened
        })
    }

    /// What an ID cookie claims, with what a GITO cookie beside it adds: the newest last access of the two
    /// says where to ask first (F4.5, S-7, S-13). `limits` are those of the host that it is to open.
    fn claim(
        &self,
        cookie: &IdCookie,
        visitor: &Visitor<'_>,
        limits: HostLimits,
        now: Timestamp,
    ) -> Claim {
        let gito = GitoReader {
            keys: &self.keys,
            names: &self.names,
            settings: &self.settings,
        };
        let hints = gito.newest(visitor.cookies, &cookie.facts, now);
        let hints = chain::hints(cookie, hints, &self.settings.clusters);
        let newest = hints.iter().map(|hint| hint.last_access).max();
        Claim {
            facts: cookie.facts.clone(),
            cluster: cookie.latest.cluster.clone(),
            session: cookie.latest.session,
            hints,
            last_access: newest.map(|newest| newest.min(now)),
            presented: Presented {
                at: Place::Collector,
                client_address: visitor.address,
                limits,
            },
        }
    }

    /// Tells the log of a refusal. Anybody can have many, so that those of one network that are refused alike are not
    /// told one by one.
    fn tell_refused(
        &self,
        what: &str,
        visitor: &Visitor<'_>,
        alike: &str,
        error: &(dyn std::error::Error + 'static),
    ) {
        let (client, now) = (visitor.address, self.clock.now());
        let why = format!("{what}: {alike}");
        if let Some(kept_back) = self.complaints.note(client, &why, now) {
            tracing::info!(%client, kept_back, error, "{what}");
        }
    }

    /// The highest level that a sign-in here gives.
    fn level_max(&self) -> AuthLevel {
        let elsewhere = self.parties.iter().map(|party| party.level());
        let highest = elsewhere.chain(self.password_level).max();
        highest.unwrap_or(AuthLevel::NONE)
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

    fn seal<C: Claims>(&self, to: &Binding<'_>, claims: &C) -> String {
        self.keys
            .seal_claims(to, seal_nonce(self.entropy.as_ref()), claims)
    }
}

/// Which refusals of sign-ins are alike: how long somebody has to wait makes no difference.
fn alike(error: &SignInError) -> String {
    match error {
        SignInError::Throttled { by, .. } => format!("too many attempts, by {by}"),
        SignInError::Verify(why) => why.to_string(),
        SignInError::CutOff
        | SignInError::MustChange
        | SignInError::Store(_)
        | SignInError::Unrecorded => error.to_string(),
    }
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
