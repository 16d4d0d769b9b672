//! How large the cookies are (D-1): an application host has an authn and a nonce cookie, the collector
//! an ID and a nonce cookie, and none of them carries attributes.

use portway::crypto::claims::AuthnCookie;
use portway::crypto::claims::IdCookie;
use portway::crypto::key_ring::Purpose;
use portway::crypto::sealed::Binding;
use portway::decision::cookies::CookieNames;
use portway::decision::cookies::encode_nonce;
use portway::model::id::Nonce;
use portway::model::id::SessionId;
use portway::model::id::SsoId;
use portway::model::identity::AuthLevel;
use portway::model::name::ClusterId;
use portway::model::name::DeploymentId;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Generation;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;

use super::one_key;

const KIBIBYTE: usize = 1024;
const DATA_CENTRES_MAX: usize = 16;

/// How long the names are that a deployment and its data centres have.
#[derive(Clone, Copy)]
struct Lengths {
    deployment: usize,
    store: usize,
    cluster: usize,
}

const LONGEST: Lengths = Lengths {
    deployment: DeploymentId::BYTES_MAX,
    store: StoreName::BYTES_MAX,
    cluster: ClusterId::BYTES_MAX,
};

fn text(length: usize) -> String {
    "n".repeat(length)
}

/// The facts of a user with the longest name.
fn facts(lengths: Lengths) -> SsoFacts {
    let latest = Timestamp::from_millis(u64::MAX);
    SsoFacts {
        sso: SsoId::from_bytes([0xFF; 16]),
        subject: UserName::parse(&text(UserName::BYTES_MAX)).unwrap(),
        store: StoreName::parse(&text(lengths.store)).unwrap(),
        first_authenticated: latest,
        expires: latest,
        generation: Generation(u32::MAX),
        level: AuthLevel::MAX,
        level_reached: latest,
    }
}

fn cluster(lengths: Lengths) -> ClusterId {
    ClusterId::parse(&text(lengths.cluster)).unwrap()
}

fn names(lengths: Lengths) -> CookieNames {
    CookieNames::new(&DeploymentId::parse(&text(lengths.deployment)).unwrap())
}

/// The length of the `Cookie` header with one cookie and the nonce.
fn header(names: &CookieNames, name: &str, value: &str) -> usize {
    let nonce = encode_nonce(&Nonce::from_bytes([0xFF; 16]));
    format!("{name}={value}; {}={nonce}", names.nonce).len()
}

fn application_header(lengths: Lengths) -> usize {
    let names = names(lengths);
    let cookie = AuthnCookie {
        facts: facts(lengths),
        cluster: cluster(lengths),
        session: SessionId::from_bytes([0xFF; 16]),
        issued: Timestamp::from_millis(u64::MAX),
    };
    let binding = Binding {
        purpose: Purpose::AuthnCookie,
        name: &names.authn,
        scope: "app.example.test",
    };
    let value = one_key().seal_claims(&binding, [1; 12], &cookie);
    header(&names, &names.authn, &value)
}

fn collector_header(lengths: Lengths, data_centres: usize) -> usize {
    let names = names(lengths);
    let step = (cluster(lengths), SessionId::from_bytes([0xFF; 16]));
    let cookie = IdCookie {
        facts: facts(lengths),
        chain: vec![step; data_centres],
        last_access: Timestamp::from_millis(u64::MAX),
    };
    let binding = Binding {
        purpose: Purpose::IdCookie,
        name: &names.id,
        scope: "login.example.test",
    };
    let value = one_key().seal_claims(&binding, [1; 12], &cookie);
    header(&names, &names.id, &value)
}

#[test]
fn the_cookies_of_an_application_host_fit_whatever_the_names_d_1() {
    let bytes = application_header(LONGEST);
    assert!(bytes < KIBIBYTE, "{bytes} bytes");
}

#[test]
fn the_cookies_of_the_collector_fit_in_one_data_centre_whatever_the_names_d_1() {
    let bytes = collector_header(LONGEST, 1);
    assert!(bytes < KIBIBYTE, "{bytes} bytes");
}

#[test]
fn the_cookies_of_the_collector_fit_with_sixteen_data_centres_of_usual_names_d_1() {
    let usual = Lengths {
        deployment: 8,
        store: 16,
        cluster: 9,
    };
    let bytes = collector_header(usual, DATA_CENTRES_MAX);
    assert!(bytes < KIBIBYTE, "{bytes} bytes");
}

/// Where every name has its greatest length, twelve data centres fit.
#[test]
fn the_cookies_of_the_collector_fit_with_twelve_data_centres_of_the_longest_names_d_1() {
    let bytes = collector_header(LONGEST, 12);
    assert!(bytes < KIBIBYTE, "{bytes} bytes");
}
