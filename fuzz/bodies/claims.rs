//! What is inside a seal: bytes that read as claims are written and read again to the same claims, and travel
//! sealed without a change.

use std::fmt::Debug;

use portway::crypto::bearer::Bound;
use portway::crypto::claims::AuthnCookie;
use portway::crypto::claims::Claims;
use portway::crypto::claims::DeviceCookie;
use portway::crypto::claims::Form;
use portway::crypto::claims::Freshness;
use portway::crypto::claims::GitoCookie;
use portway::crypto::claims::IdCookie;
use portway::crypto::claims::ReplayRequest;
use portway::crypto::claims::Seen;
use portway::crypto::claims::SignInRequest;
use portway::crypto::claims::SignOut;
use portway::crypto::claims::Token;
use portway::crypto::claims::provider_visit::ProviderVisit;
use portway::crypto::key_ring::Purpose;
use portway::crypto::sealed::Binding;
use portway::model::claim::Activity;
use portway::model::claim::HostLimits;
use portway::model::end::Confirmed;
use portway::model::id::Nonce;
use portway::model::id::SessionId;
use portway::model::id::SsoId;
use portway::model::id::TokenId;
use portway::model::identity::AuthLevel;
use portway::model::name::ClusterId;
use portway::model::name::HostName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Generation;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;

/// Reads bytes as each kind of claims.
pub fn run(data: &[u8]) {
    again::<AuthnCookie>(data);
    again::<DeviceCookie>(data);
    again::<Form>(data);
    again::<GitoCookie>(data);
    again::<IdCookie>(data);
    again::<ProviderVisit>(data);
    again::<ReplayRequest>(data);
    again::<SignInRequest>(data);
    again::<SignOut>(data);
    again::<Token>(data);
}

fn again<C: Claims + Debug + PartialEq>(data: &[u8]) {
    let Ok(claims) = C::decode(data) else {
        return;
    };
    let read = C::decode(&claims.encode());
    assert_eq!(read.as_ref(), Ok(&claims));
    let binding = Binding {
        purpose: Purpose::Token,
        name: "claims",
        scope: "app.example.test",
    };
    let ring = super::sealed::ring();
    let sealed = ring.seal_claims(&binding, [3; 12], &claims);
    assert_eq!(ring.open_claims::<C>(&binding, &sealed), Some(claims));
}

/// Claims of several kinds, written.
pub fn seeds() -> Vec<Vec<u8>> {
    let cookie = authn_cookie();
    let request = SignInRequest {
        host: host(),
        target: "/deep?link=1".to_owned(),
        nonce: Nonce::from_bytes([4; 16]),
        level: AuthLevel::new(10).expect("it is a level"),
        issued: Timestamp::from_millis(5),
        freshness: Freshness::Now,
        seen: Seen::Nothing,
        limits: HostLimits::NONE,
        activity: Activity::Counts,
    };
    let token = Token {
        id: TokenId::from_bytes([6; 16]),
        cookie: cookie.clone(),
        nonce: Nonce::from_bytes([4; 16]),
        target: "/deep?link=1".to_owned(),
        expires: Timestamp::from_millis(60_000),
        freshness: Freshness::Earlier,
    };
    let sign_out = SignOut {
        ended: vec![SsoId::from_bytes([1; 16])],
        hosts: vec![host()],
        provider: None,
        return_to: Some("https://app.example.test/".to_owned()),
        confirmed: Confirmed::Durable,
        data_centres: vec![(cluster(), Confirmed::Outstanding)],
        expires: Timestamp::from_millis(60_000),
    };
    let form = Form {
        nonce: Nonce::from_bytes([4; 16]),
        issued: Timestamp::from_millis(5),
    };
    let visit = ProviderVisit {
        provider: StoreName::parse("corp").expect("it is a name"),
        nonce: Nonce::from_bytes([4; 16]),
        secret: [7; 32],
        issued: Timestamp::from_millis(5),
        again: true,
        request: Some(request.clone()),
    };
    vec![
        visit.encode(),
        cookie.encode(),
        request.encode(),
        token.encode(),
        sign_out.encode(),
        form.encode(),
    ]
}

fn authn_cookie() -> AuthnCookie {
    AuthnCookie {
        facts: facts(),
        cluster: cluster(),
        session: SessionId::from_bytes([2; 16]),
        issued: Timestamp::from_millis(1_795_357_506_000),
        last_access: None,
        bound: Bound::default(),
    }
}

/// The facts of a session.
pub fn facts() -> SsoFacts {
    SsoFacts {
        sso: SsoId::from_bytes([1; 16]),
        subject: UserName::parse("alice").expect("it is a name"),
        store: StoreName::parse("local").expect("it is a name"),
        first_authenticated: Timestamp::from_millis(1_795_357_500_000),
        expires: Timestamp::from_millis(1_795_443_900_000),
        generation: Generation(1),
        level: AuthLevel::new(10).expect("it is a level"),
        level_reached: Timestamp::from_millis(1_795_357_500_000),
    }
}

fn cluster() -> ClusterId {
    ClusterId::parse("nydc").expect("it is a name")
}

fn host() -> HostName {
    HostName::parse("app.example.test").expect("it is a host")
}
