//! How large the cookies are (D-1): an application host has an authn, a GITO and a nonce cookie, the
//! collector an ID, a GITO, a nonce and a device cookie, and none of them carries attributes.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::num::NonZeroU8;

use http::HeaderMap;
use portway::crypto::bearer::Bearer;
use portway::crypto::bearer::BindTo;
use portway::crypto::bearer::Bound;
use portway::crypto::claims::AuthnCookie;
use portway::crypto::claims::Claims;
use portway::crypto::claims::DEVICE_CLUSTERS_MAX;
use portway::crypto::claims::DeviceCookie;
use portway::crypto::claims::Rounds;
use portway::crypto::key_ring::Purpose;
use portway::crypto::sealed::Binding;
use portway::crypto::tags::AddressTag;
use portway::crypto::tags::Clusters;
use portway::crypto::tags::UserTag;
use portway::decision::adoption::Anchor;
use portway::decision::cookies::CookieNames;
use portway::decision::cookies::chain::id_cookie;
use portway::decision::cookies::encode_nonce;
use portway::decision::cookies::gito;
use portway::decision::cookies::gito::Gito;
use portway::decision::cookies::settings::CookieSettings;
use portway::model::id::DeviceId;
use portway::model::id::Nonce;
use portway::model::id::SessionId;
use portway::model::id::SsoId;
use portway::model::identity::AuthLevel;
use portway::model::identity::Identity;
use portway::model::name::ClusterId;
use portway::model::name::DATA_CENTRES_MAX;
use portway::model::name::DeploymentId;
use portway::model::name::GroupName;
use portway::model::name::HostName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::network::PrefixLengths;
use portway::model::session::Attributes;
use portway::model::session::Generation;
use portway::model::session::Holder;
use portway::model::session::Session;
use portway::model::session::SessionState;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::proptest;

use super::cases;
use super::one_key;

const KIBIBYTE: usize = 1024;
/// The end of the year 2100, and a year before it.
const LATE: Timestamp = Timestamp::from_millis(4_133_980_799_999);
const BEGUN: Timestamp = Timestamp::from_millis(4_102_444_799_999);

/// What a deployment and a user are called.
#[derive(Clone, Debug)]
struct Names {
    deployment: String,
    domain: String,
    store: String,
    user: String,
    /// The last of them is this data centre.
    clusters: Vec<String>,
}

impl Names {
    /// Every name as long as it may be.
    fn longest(data_centres: usize) -> Self {
        let text = |length| "n".repeat(length);
        Self {
            deployment: text(DeploymentId::BYTES_MAX),
            domain: format!("{}.test", text(63)),
            store: text(StoreName::BYTES_MAX),
            user: text(UserName::BYTES_MAX),
            clusters: (0..data_centres)
                .map(|n| format!("{n:02}{}", text(ClusterId::BYTES_MAX - 2)))
                .collect(),
        }
    }

    fn cookies(&self) -> CookieNames {
        CookieNames::new(&DeploymentId::parse(&self.deployment).unwrap())
    }

    fn clusters(&self) -> Vec<ClusterId> {
        let parsed = self.clusters.iter().map(|name| ClusterId::parse(name));
        parsed.collect::<Result<_, _>>().unwrap()
    }

    fn settings(&self) -> CookieSettings {
        let clusters = self.clusters();
        let mut settings = CookieSettings::of_one(clusters.last().unwrap().clone());
        settings.clusters = Clusters::new(clusters).unwrap();
        settings.anchor = Anchor::Free;
        settings.gito = Some(Gito {
            domain: HostName::parse(&self.domain).unwrap(),
            granularity: std::time::Duration::ZERO,
        });
        settings
    }

    /// The record of a session that has been to every data centre.
    fn session(&self, groups: usize) -> Session {
        let store = StoreName::parse(&self.store).unwrap();
        let subject = UserName::parse(&self.user).unwrap();
        let group = |n| GroupName::parse(&format!("group-number-{n}")).unwrap();
        let mut earlier = self.clusters();
        earlier.pop();
        let aliases = earlier.into_iter().map(|cluster| Holder {
            cluster,
            session: SessionId::from_bytes([0xFE; 16]),
        });
        Session {
            id: SessionId::from_bytes([0xFF; 16]),
            facts: SsoFacts {
                sso: SsoId::from_bytes([0xFF; 16]),
                subject: subject.clone(),
                store: store.clone(),
                first_authenticated: BEGUN,
                expires: LATE,
                generation: Generation(u32::MAX),
                level: AuthLevel::MAX,
                level_reached: LATE,
            },
            state: SessionState::Live,
            identity: Identity {
                store,
                subject,
                name: Some(self.user.clone()),
                email: Some(self.user.clone()),
                groups: (0..groups).map(group).collect(),
                attributes: Default::default(),
            },
            last_access: LATE,
            client_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            held_since: LATE,
            reserved: None,
            provider_session: None,
            attributes: Attributes::Known,
            noted: Default::default(),
            aliases: aliases.collect(),
            visited: Vec::new(),
            version: 0,
        }
    }

    /// The `Cookie` header that a browser sends with one cookie beside the GITO and the nonce cookie.
    fn header<C: Claims>(&self, session: &Session, purpose: Purpose, claims: &C) -> usize {
        let (names, settings) = (self.cookies(), self.settings());
        let name = if purpose == Purpose::IdCookie {
            &names.id
        } else {
            &names.authn
        };
        let binding = Binding {
            purpose,
            name,
            scope: "app.example.test",
        };
        let value = one_key().seal_claims(&binding, [1; 12], claims);
        let domain = settings.gito.as_ref().unwrap();
        let gito = gito::of(session, &settings.cluster, LATE);
        let gito = one_key().seal_claims(&domain.binding(&names), [2; 12], &gito);
        let nonce = encode_nonce(&Nonce::from_bytes([0xFF; 16]));
        let pairs = [(name, value), (&names.gito, gito), (&names.nonce, nonce)];
        let pairs = pairs.map(|(name, value)| format!("{name}={value}"));
        pairs.join("; ").len()
    }

    fn collector_header(&self, groups: usize) -> usize {
        let session = self.session(groups);
        let mut cookie = id_cookie(&session, None, &self.settings(), LATE);
        cookie.bound = bound(&session);
        cookie.rounds = Some(Rounds {
            to: AddressTag::from_bytes([0xFF; AddressTag::BYTES]),
            count: NonZeroU8::new(31).unwrap(),
            since: LATE,
        });
        assert_eq!(cookie.earlier.len(), self.clusters.len() - 1);
        if self.clusters.len() > DEVICE_CLUSTERS_MAX {
            return self.header(&session, Purpose::IdCookie, &cookie);
        }
        let device = DeviceCookie {
            device: DeviceId::from_bytes([0xFF; 16]),
            account: UserTag::of(&session.facts.store, &session.facts.subject),
            issued: LATE,
        };
        let name = self.cookies().device;
        let binding = Binding {
            purpose: Purpose::Device,
            name: &name,
            scope: "app.example.test",
        };
        let device = one_key().seal_claims(&binding, [3; 12], &device);
        let others = self.header(&session, Purpose::IdCookie, &cookie);
        others + format!("; {name}={device}").len()
    }

    fn application_header(&self, groups: usize) -> usize {
        let session = self.session(groups);
        let cookie = AuthnCookie {
            facts: session.facts.clone(),
            cluster: self.settings().cluster,
            session: session.id,
            issued: LATE,
            last_access: Some(LATE),
            bound: bound(&session),
        };
        self.header(&session, Purpose::AuthnCookie, &cookie)
    }
}

fn names(data_centres: usize) -> impl Strategy<Value = Names> {
    let word = |most: usize| {
        let pattern = format!("[A-Za-z0-9._-]{{1,{most}}}");
        proptest::string::string_regex(&pattern).unwrap()
    };
    let user = "\\PC{1,128}".prop_filter_map("a user name", |mut name| {
        while name.len() > UserName::BYTES_MAX {
            name.pop();
        }
        UserName::parse(&name).ok().map(|_| name)
    });
    let clusters =
        proptest::collection::hash_set(word(ClusterId::BYTES_MAX), data_centres..=data_centres);
    let clusters = clusters.prop_map(|names| names.into_iter().collect::<Vec<_>>());
    let clusters = clusters.prop_filter("tags that differ", |names| {
        let parsed = names.iter().map(|name| ClusterId::parse(name).unwrap());
        Clusters::new(parsed).is_ok()
    });
    let others = (
        word(DeploymentId::BYTES_MAX),
        "[a-z]{1,63}\\.test",
        word(StoreName::BYTES_MAX),
    );
    (others, user, clusters).prop_map(|((deployment, domain, store), user, clusters)| Names {
        deployment,
        domain,
        store,
        user,
        clusters,
    })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn the_cookies_of_every_host_fit_with_five_data_centres_whatever_the_names_and_groups_d_1(
        names in names(5),
        groups in proptest::sample::select(vec![0, 1, 500]),
        longest_user in any::<bool>(),
    ) {
        let mut names = names;
        if longest_user {
            names.user = "u".repeat(UserName::BYTES_MAX);
        }
        let bytes = names.collector_header(groups);
        prop_assert!(bytes < KIBIBYTE, "{} bytes on the collector", bytes);
        let bytes = names.application_header(groups);
        prop_assert!(bytes < KIBIBYTE, "{} bytes on an application host", bytes);
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn bound_cookies_fit_with_as_many_data_centres_as_there_may_be_whatever_the_names_d_1_d_19(
        names in names(DATA_CENTRES_MAX),
        longest_user in any::<bool>(),
    ) {
        let mut names = names;
        if longest_user {
            names.user = "u".repeat(UserName::BYTES_MAX);
        }
        let bytes = names.collector_header(500).max(names.application_header(500));
        prop_assert!(bytes < KIBIBYTE, "{} bytes", bytes);
    }
}

#[test]
fn the_cookies_of_an_application_host_fit_whatever_the_names_d_1() {
    let bytes = Names::longest(1).application_header(500);
    assert!(bytes < KIBIBYTE, "{bytes} bytes");
}

#[test]
fn the_cookies_of_the_collector_fit_with_sixteen_data_centres_of_the_longest_names_d_1_x_22() {
    for data_centres in [DEVICE_CLUSTERS_MAX, DATA_CENTRES_MAX] {
        let bytes = Names::longest(data_centres).collector_header(500);
        assert!(
            bytes < KIBIBYTE,
            "{bytes} bytes with {data_centres} data centres"
        );
    }
}

#[test]
fn the_cookies_do_not_grow_with_the_groups_d_1() {
    let names = Names::longest(5);
    assert_eq!(names.collector_header(0), names.collector_header(500));
    assert_eq!(names.application_header(0), names.application_header(500));
}

/// All that a cookie can be bound to.
fn bound(session: &Session) -> Bound {
    let what = BindTo {
        address: Some(PrefixLengths::USUAL),
        user_agent: true,
    };
    let bearer = Bearer {
        address: session.client_address,
        headers: &HeaderMap::new(),
    };
    Bound::to(what, &session.facts.sso, &bearer)
}
