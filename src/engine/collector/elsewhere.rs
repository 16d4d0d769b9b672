//! Signing in elsewhere: the way to a provider, and back with what it vouches for.
//!
//! What travels with the browser is sealed, tied to it by its nonce cookie, and good once; which claims of a
//! provider are good is the provider's room to say.

use std::error::Error;

use crate::crypto::claims::Freshness;
use crate::crypto::claims::provider_visit::ProviderVisit;
use crate::crypto::key_ring::Purpose;
use crate::decision::endpoints;
use crate::decision::reply::Heard;
use crate::decision::reply::Notice;
use crate::decision::reply::Passwords;
use crate::decision::reply::ProviderLink;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::engine::collector::Collector;
use crate::engine::collector::Visitor;
use crate::engine::collector::alike;
use crate::engine::collector::sign_in::REQUEST_LIFETIME;
use crate::engine::collector::sign_in::notice_of;
use crate::engine::collector::wanted::Wanted;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::end::ProviderEnd;
use crate::model::identity::AuthLevel;
use crate::model::identity::Credential;
use crate::model::secret::Secret;
use crate::ports::relying_party::Arrival;
use crate::ports::relying_party::Departure;
use crate::ports::relying_party::RelyingError;
use crate::ports::relying_party::RelyingParty;
use crate::ports::session_engine::SignIn;

/// What a browser comes back from a provider with (OpenID Connect Core 1.0 §3.1.2.5, RFC 9207).
#[derive(Debug, Default)]
pub struct ComeBack {
    /// What it was sent with.
    pub state: String,
    /// For a token; none where the provider says no.
    pub code: Option<Secret>,
    /// Who sent it back.
    pub issuer: Option<String>,
    /// Why the provider says no.
    pub error: Option<String>,
}

impl Collector {
    /// Asks a visitor to sign in: with a page, or, where one provider is all there is, there at once.
    pub(super) async fn ask(&self, visitor: &Visitor<'_>, wanted: Wanted, notice: Notice) -> Reply {
        match self.parties.as_slice() {
            [only] if self.password_level.is_none() => {
                self.send(visitor, wanted, only.as_ref()).await
            }
            _ => self.login_page(visitor, &wanted, notice),
        }
    }

    /// Answers a visitor who wants to sign in at a provider.
    pub async fn leave(
        &self,
        visitor: &Visitor<'_>,
        provider: &str,
        request: Option<&str>,
    ) -> Option<Reply> {
        let party = self.party(provider)?;
        let wanted = self.wanted_now(request);
        Some(self.send(visitor, wanted, party).await)
    }

    /// Answers a visitor who comes back from a provider.
    pub async fn arrive(
        &self,
        visitor: &Visitor<'_>,
        provider: &str,
        back: ComeBack,
    ) -> Option<Reply> {
        let party = self.party(provider)?;
        let Some(visit) = self.visit(visitor, party, &back.state).await else {
            return Some(self.login_page(visitor, &Wanted::Nothing, Notice::Stale));
        };
        let arrival = arrival(&visit, back, self.way_back(party));
        let wanted = match visit.request {
            Some(request) => self.renewed(request),
            None => Wanted::Nothing,
        };
        let redeemed = match arrival {
            Ok(arrival) => party.redeem(arrival).await,
            Err(error) => Err(error),
        };
        let vouched = match redeemed {
            Ok(vouched) => vouched,
            Err(error) => {
                self.audit
                    .note(refused(party, &error).client(visitor.address));
                return Some(self.declined(visitor, &wanted, &error));
            }
        };
        let sign_in = SignIn {
            credential: Credential::Vouched(Box::new(vouched)),
            client_address: visitor.address,
            device: None,
            replaces: self.id_cookies(visitor).next().map(|cookie| cookie.facts),
        };
        Some(match self.engine.sign_in(sign_in).await {
            Ok(session) => self.begun(visitor, &session, &wanted).await,
            Err(error) => {
                self.tell_refused("sign-in refused", visitor, &alike(&error), &error);
                self.login_page(visitor, &wanted, notice_of(&error))
            }
        })
    }

    /// Answers a provider that says what is over there (OpenID Connect Back-Channel Logout 1.0 §2.8).
    pub async fn over(
        &self,
        visitor: &Visitor<'_>,
        provider: &str,
        token: &Secret,
    ) -> Option<Reply> {
        let party = self.party(provider)?;
        let notice = match party.logged_out(token).await {
            Ok(notice) => notice,
            Err(error) => {
                let alike = error
                    .source()
                    .map_or_else(|| error.to_string(), ToString::to_string);
                self.tell_refused("logout token refused", visitor, &alike, &error);
                return Some(Reply::new(ReplyKind::Heard(Heard::Refused)));
            }
        };
        if !self.engine.spend_once(notice.id, notice.expires).await {
            let again: RelyingError = RelyingError::Refused("it was heard before (jti)".into());
            self.tell_refused("logout token refused", visitor, "again", &again);
            return Some(Reply::new(ReplyKind::Heard(Heard::Refused)));
        }
        Some(self.end_there(notice.over).await)
    }

    /// Answers a browser that says on behalf of a provider what is over there (Front-Channel Logout 1.0 §2). The
    /// name of the session is known to those alone whom the provider told it; a browser brings no cookie here.
    pub async fn over_in_front(
        &self,
        provider: &str,
        issuer: &str,
        session: &str,
    ) -> Option<Reply> {
        let party = self.party(provider)?;
        Some(match party.logged_out_in_front(issuer, session) {
            Some(over) => self.end_there(over).await,
            None => Reply::new(ReplyKind::Heard(Heard::Refused)),
        })
    }

    async fn end_there(&self, over: ProviderEnd) -> Reply {
        let heard = match self.engine.end_at_provider(over).await {
            Ok(()) => Heard::Done,
            Err(error) => {
                let error = &error as &dyn Error;
                tracing::error!(error, "an end is not durable; it holds in memory");
                Heard::Unwritten
            }
        };
        Reply::new(ReplyKind::Heard(heard))
    }

    /// Whether names and passwords are taken here.
    pub(super) const fn passwords(&self) -> Passwords {
        match self.password_level {
            Some(_) => Passwords::Taken,
            None => Passwords::Elsewhere,
        }
    }

    /// The ways to providers, for a sealed sign-in request.
    pub(super) fn provider_links(&self, request: &str) -> Vec<ProviderLink> {
        let links = self.parties.iter().map(|party| {
            let way = way(party.as_ref(), endpoints::LEAVE);
            let address = match request {
                "" => way,
                request => format!("{way}?{}={request}", endpoints::REQUEST),
            };
            ProviderLink {
                title: party.title().to_owned(),
                address,
            }
        });
        links.collect()
    }

    pub(super) fn party(&self, provider: &str) -> Option<&dyn RelyingParty> {
        let mut parties = self.parties.iter();
        let found = parties.find(|party| party.store().as_str() == provider);
        found.map(AsRef::as_ref)
    }

    async fn send(&self, visitor: &Visitor<'_>, wanted: Wanted, party: &dyn RelyingParty) -> Reply {
        let (nonce, cookie) = self.nonce(visitor);
        let mut secret = [0; 32];
        self.entropy.fill(&mut secret);
        let request = match &wanted {
            Wanted::Application(request, _) | Wanted::Stale(request) => Some(request.clone()),
            Wanted::Nothing => None,
        };
        let visit = ProviderVisit {
            provider: party.store().clone(),
            nonce,
            secret,
            issued: self.clock.now(),
            again: request
                .as_ref()
                .is_some_and(|request| request.freshness == Freshness::Now),
            request,
        };
        let departure = Departure {
            state: self.seal(
                &self.binding(Purpose::ProviderVisit, party.store().as_str()),
                &visit,
            ),
            nonce: visit.token_nonce(),
            challenge: visit.challenge(),
            redirect_uri: self.way_back(party),
            again: visit.again,
            level: visit
                .request
                .as_ref()
                .map_or(AuthLevel::NONE, |request| request.level),
        };
        let mut reply = match party.depart(departure).await {
            Ok(address) => Reply::new(ReplyKind::Redirect(address)),
            Err(error) => return self.declined(visitor, &wanted, &error),
        };
        reply.cookies.extend(cookie);
        reply
    }

    /// What a browser was sent to a provider with: by this collector, not too long ago, in this browser, and
    /// not come back from before.
    async fn visit(
        &self,
        visitor: &Visitor<'_>,
        party: &dyn RelyingParty,
        state: &str,
    ) -> Option<ProviderVisit> {
        let binding = self.binding(Purpose::ProviderVisit, party.store().as_str());
        let visit = self.keys.open_claims::<ProviderVisit>(&binding, state)?;
        let now = self.clock.now();
        let lapses = visit.issued.after(REQUEST_LIFETIME);
        let is_good = self.is_from(visitor, &visit.nonce)
            && visit.provider == *party.store()
            && now.since(visit.issued) <= REQUEST_LIFETIME
            && self.engine.spend_once(visit.id(), lapses).await;
        is_good.then_some(visit)
    }

    fn declined(&self, visitor: &Visitor<'_>, wanted: &Wanted, error: &RelyingError) -> Reply {
        let (alike, notice) = match error {
            RelyingError::Refused(why) => (why.to_string(), Notice::Declined),
            RelyingError::Unavailable(..) => (error.to_string(), Notice::Busy),
        };
        self.tell_refused("sign-in refused", visitor, &alike, error);
        self.login_page(visitor, wanted, notice)
    }

    fn way_back(&self, party: &dyn RelyingParty) -> String {
        format!("{}{}", self.own_origin(), way(party, endpoints::ARRIVE))
    }
}

/// That nobody was signed in; who it would have been is not known.
fn refused(party: &dyn RelyingParty, error: &RelyingError) -> Event {
    let cause = match error {
        RelyingError::Refused(_) => "declined",
        RelyingError::Unavailable(..) => "unavailable",
    };
    Event::new(EventKind::SignInRefused)
        .with("store", party.store().as_str())
        .with("cause", cause)
}

fn way(party: &dyn RelyingParty, step: &str) -> String {
    endpoints::of_provider(party.store(), step)
}

fn arrival(
    visit: &ProviderVisit,
    back: ComeBack,
    redirect_uri: String,
) -> Result<Arrival, RelyingError> {
    let Some(code) = back.code.filter(|_| back.error.is_none()) else {
        return Err(RelyingError::Refused(match back.error {
            Some(error) => format!("the provider says {error:?}").into(),
            None => "the provider gave no code".into(),
        }));
    };
    Ok(Arrival {
        code,
        verifier: Secret::new(visit.verifier().into_bytes()),
        nonce: Secret::new(visit.token_nonce().into_bytes()),
        issuer: back.issuer,
        redirect_uri,
        since: visit.again.then_some(visit.issued),
    })
}
