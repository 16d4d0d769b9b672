//! What travels sealed: the ID cookie, the authn cookie, the GITO cookie, sign-in requests, one-step
//! tokens, forms and sign-outs. How each is written is `encoding`'s matter.
//!
//! A claim that does not parse is no claim. Nothing here judges whether a claim is still good.

use std::num::NonZeroU8;
use std::time::Duration;

use crate::crypto::bearer::Bound;
use crate::crypto::codec::Malformed;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::sealed::Binding;
use crate::crypto::sealed::SealNonce;
use crate::crypto::tags::AddressTag;
use crate::crypto::tags::ClusterTag;
use crate::crypto::tags::UserTag;
use crate::model::claim::Activity;
use crate::model::claim::HostLimits;
use crate::model::end::Confirmed;
use crate::model::id::DeviceId;
use crate::model::id::Nonce;
use crate::model::id::PostId;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::identity::AuthLevel;
use crate::model::name::ClusterId;
use crate::model::name::DATA_CENTRES_MAX;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

mod device;
mod encoding;
mod on_the_way;
pub mod provider_visit;

/// Something that travels sealed.
pub trait Claims: Sized {
    /// Writes it.
    fn encode(&self) -> Vec<u8>;

    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are not exactly one of these.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed>;
}

/// The authn cookie of an application host (MDC-COOKIE-3, M-015).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthnCookie {
    /// The facts of the SSO session (S-1).
    pub facts: SsoFacts,
    /// The data centre that issued it.
    pub cluster: ClusterId,
    /// That data centre's record.
    pub session: SessionId,
    /// When it was issued.
    pub issued: Timestamp,
    /// When the session was last used, where that was not when it was issued: a request that is no activity
    /// had it issued.
    pub last_access: Option<Timestamp>,
    /// What it is bound to.
    pub bound: Bound,
}

/// The ID cookie of the collector (MDC-COOKIE-1, M-010…M-012). Its data-centre chain is what was visited
/// earlier and then the latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdCookie {
    /// The facts of the SSO session (S-1).
    pub facts: SsoFacts,
    /// The data centres visited before the latest, in order; at most [`Self::EARLIER_MAX`].
    pub earlier: Vec<Visited>,
    /// The data centre visited last, which wrote the cookie, and its record. It stands here by its name:
    /// one that is not configured is told from one that is (S-7).
    pub latest: Holder,
    /// The last access when the cookie was written.
    pub last_access: Timestamp,
    /// Where the browser was sent back to last without a question (D-10).
    pub rounds: Option<Rounds>,
    /// What it is bound to.
    pub bound: Bound,
}

impl IdCookie {
    /// Most data centres beside the latest.
    pub const EARLIER_MAX: usize = DATA_CENTRES_MAX - 1;
}

/// A data centre that was visited, and its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visited {
    /// The data centre.
    pub cluster: ClusterTag,
    /// Its record.
    pub session: SessionId,
}

/// How often in a row a browser was sent back to one address without a question (D-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    /// The address.
    pub to: AddressTag,
    /// How often; at most 31 times are told.
    pub count: NonZeroU8,
    /// When the first time was.
    pub since: Timestamp,
}

/// The GITO cookie of a domain (MDC-COOKIE-4, M-020…M-023): where an SSO session was last used, and when.
/// It proves nothing (S-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GitoCookie {
    /// The SSO session.
    pub sso: SsoId,
    /// The data centre that served it last.
    pub cluster: ClusterTag,
    /// That data centre's record.
    pub session: SessionId,
    /// Whose it is.
    pub user: UserTag,
    /// The generation that was served.
    pub generation: Generation,
    /// When the SSO session ends whatever happens.
    pub expires: Timestamp,
    /// When it was last used.
    pub last_access: Timestamp,
    /// When this was written.
    pub created: Timestamp,
}

/// The device cookie of the collector: its account has been signed in to with this device before. It opens
/// nothing; attempts that come with it are counted on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceCookie {
    /// The device.
    pub device: DeviceId,
    /// The account.
    pub account: UserTag,
    /// When it was issued.
    pub issued: Timestamp,
}

/// With more data centres the cookies of the collector have no room for a device cookie (D-1).
pub const DEVICE_CLUSTERS_MAX: usize = 10;

/// How long a device is known after a sign-in with it.
pub const DEVICE_LIFETIME: Duration = Duration::from_hours(180 * 24);

/// A request for a sign-in, from an application host to the collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInRequest {
    /// The application host.
    pub host: HostName,
    /// Path and query to come back to.
    pub target: String,
    /// The application host's nonce cookie.
    pub nonce: Nonce,
    /// The level that the route asks for.
    pub level: AuthLevel,
    /// When it was made.
    pub issued: Timestamp,
    /// How recent the authentication has to be.
    pub freshness: Freshness,
    /// What came with the browser, which tells why it is sent.
    pub seen: Seen,
    /// What the application host asks of sessions beyond what holds everywhere.
    pub limits: HostLimits,
    /// Whether it is activity in the session that it is met by.
    pub activity: Activity,
}

/// The way to a post that is kept while its user signs in (D-22).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRequest {
    /// The post.
    pub post: PostId,
    /// Path and query that it was made to.
    pub target: String,
}

/// How recent an authentication is, or has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It was made at some earlier time, or may have been.
    Earlier,
    /// The user has signed in for this very request, or has to (MDC-ADOPT-4).
    Now,
}

/// What came with a browser that a gate sends to sign in: where it comes again and again, that is the
/// likely cause (D-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An authn cookie that says to be from the future (MDC-COOKIE-6), or of a session that is not taken
    /// over because clocks differ too much (S-22).
    ClocksDiffer,
    /// A good authn cookie that has lapsed, or whose level is too low.
    Good,
    /// A nonce cookie and no authn cookie.
    NonceOnly,
    /// No cookie of Portway's.
    Nothing,
    /// An authn cookie of a session that is over.
    Over,
    /// An authn cookie that came from elsewhere than it is bound to (D-19).
    Strayed,
    /// An authn cookie of a session about which the other data centres gave no answer, or refused one.
    Unconfirmed,
    /// An authn cookie that does not open.
    Unreadable,
}

/// How long a one-step token is good (S-24).
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// The one-step token that the collector sends back (S-24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Spent once.
    pub id: TokenId,
    /// What the authn cookie will say.
    pub cookie: AuthnCookie,
    /// The application host's nonce cookie.
    pub nonce: Nonce,
    /// Path and query to go to.
    pub target: String,
    /// When it stops being good.
    pub expires: Timestamp,
    /// How recent the authentication is.
    pub freshness: Freshness,
}

/// The hidden field that ties a posted form to the browser it was shown in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The collector's nonce cookie.
    pub nonce: Nonce,
    /// When the form was made.
    pub issued: Timestamp,
}

/// The state of a sign-out that goes from host to host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOut {
    /// What has been ended; an authn cookie of any of these is cleared.
    pub ended: Vec<SsoId>,
    /// The application hosts still to visit.
    pub hosts: Vec<HostName>,
    /// The provider at which the browser is to sign out before the end.
    pub provider: Option<StoreName>,
    /// Where to go at the end; the collector's own page when there is nowhere.
    pub return_to: Option<String>,
    /// Whether every end is durable where the user signed out.
    pub confirmed: Confirmed,
    /// Whether every end is durable in the other data centres, each once (MDC-LOGOUT-3).
    pub data_centres: Vec<(ClusterId, Confirmed)>,
    /// When this stops being good.
    pub expires: Timestamp,
}

impl KeyRing {
    /// Seals claims for a cookie or URL.
    #[must_use]
    pub fn seal_claims<C: Claims>(&self, to: &Binding<'_>, nonce: SealNonce, claims: &C) -> String {
        self.seal(to, nonce, &claims.encode())
    }

    /// Opens claims; whatever does not open or parse is none (MDC-COOKIE-6).
    #[must_use]
    pub fn open_claims<C: Claims>(&self, from: &Binding<'_>, text: &str) -> Option<C> {
        let read = self.open_with(from, text, C::decode);
        read.ok()?.ok()
    }

    /// Opens the claims of a cookie; one that does not open is counted (MDC-COOKIE-6).
    #[must_use]
    pub fn open_cookie<C: Claims>(&self, from: &Binding<'_>, text: &str) -> Option<C> {
        let opened = self.open_claims(from, text);
        if opened.is_none() {
            self.reject(from.purpose);
        }
        opened
    }
}
