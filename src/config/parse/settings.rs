//! `collector`, `session`, `authentication`, `identity_headers` and `limits`: sections with defaults.
//!
//! The defaults are those of the specification; `gateway.yaml.example` shows each.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::Authentication;
use crate::config::Collector;
use crate::config::Limits;
use crate::config::Listener;
use crate::config::OpenIdProvider;
use crate::config::SessionSettings;
use crate::config::StoreKind;
use crate::config::mdc::CollectorPlace;
use crate::config::parse::engine::EnginePlace;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::config::problem::mdc::MdcProblem;
use crate::crypto::bearer::BindRules;
use crate::decision::kept_posts::KeptRules;
use crate::decision::password::PasswordRules;
use crate::model::claim::HostLimits;
use crate::model::end::End;
use crate::model::identity::AuthLevel;
use crate::model::name::HostName;
use crate::model::name::StoreName;

/// How users prove who they are.
#[derive(Debug, Default)]
pub(super) struct WaysIn {
    pub(super) passwords: Option<Authentication>,
    pub(super) providers: Vec<OpenIdProvider>,
    /// The highest level that somebody reaches; none where a fault is in the way of knowing.
    pub(super) level: Option<AuthLevel>,
}

impl Reading<'_> {
    pub(super) fn collector(
        &mut self,
        found: &Found<'_>,
        engine: EnginePlace,
    ) -> Option<Collector> {
        let section = self.section(found, COLLECTOR_KEYS)?;
        let place = self.collector_place(&section, engine);
        let public_port = section
            .get("public_port")
            .and_then(|found| self.port(found));
        // The listeners of this node say nothing about a collector elsewhere.
        let elsewhere = (place == CollectorPlace::Elsewhere).then_some(HTTPS);
        let public_port = public_port.or(elsewhere);
        let title = section.get("title").and_then(|found| self.title(found));
        let found = self.required(&section, "host")?;
        let host = self.name(found, "a host name", HostName::parse)?;
        if host.as_str() == "localhost" {
            self.fault(found, Problem::CollectorHost(host.as_str().to_owned()));
        }
        Some(Collector {
            host,
            place,
            public_port,
            title,
        })
    }

    /// Engine nodes serve the collector, and a gate without an engine only leads there.
    fn collector_place(&mut self, section: &Section<'_>, engine: EnginePlace) -> CollectorPlace {
        let place = self.or(section, "elsewhere", CollectorPlace::Here, |this, found| {
            this.either(found, CollectorPlace::Elsewhere, CollectorPlace::Here)
        });
        match (place, engine) {
            (_, EnginePlace::Unknown) | (CollectorPlace::Here, EnginePlace::Embedded) => {}
            (CollectorPlace::Here, EnginePlace::Remote) => {
                let problem = Problem::Mdc(MdcProblem::CollectorHere);
                self.fault_at_key(&section.found, problem);
            }
            (CollectorPlace::Elsewhere, EnginePlace::Embedded) => {
                if let Some(found) = section.get("elsewhere") {
                    self.mdc_fault(found, MdcProblem::CollectorElsewhere);
                }
            }
            (CollectorPlace::Elsewhere, EnginePlace::Remote) => {
                if let Some(found) = section.get("title") {
                    self.advise_inert(found, "title", "on a collector that is elsewhere");
                }
            }
        }
        place
    }

    pub(super) fn title(&mut self, found: &Found<'_>) -> Option<String> {
        self.shaped(found, ("a title", "Sign in"), |text| {
            let fits = (1..=TITLE_CHARACTERS_MAX).contains(&text.chars().count());
            (fits && !text.contains(char::is_control)).then(|| text.to_owned())
        })
    }

    pub(super) fn session(&mut self, found: Option<&Found<'_>>) -> SessionSettings {
        let section = found.and_then(|found| self.section(found, SESSION_KEYS));
        let mut settings = SessionSettings {
            idle_timeout: Duration::from_mins(30),
            lifetime: Duration::from_hours(24),
            per_user_max: 8,
            bind_to: BindRules::default(),
            store: StoreKind::Disk,
        };
        let Some(section) = section else {
            return settings;
        };
        self.set(
            &section,
            "idle_timeout",
            &mut settings.idle_timeout,
            Self::duration,
        );
        self.set(&section, "lifetime", &mut settings.lifetime, Self::duration);
        self.set(
            &section,
            "per_user_max",
            &mut settings.per_user_max,
            |this, found| this.count(found, 1..=10_000),
        );
        self.set(&section, "bind_to", &mut settings.bind_to, Self::bind_to);
        self.set(&section, "store", &mut settings.store, |this, found| {
            this.word(found, STORES)
        });
        if let Some(place) = section.get("lifetime")
            && settings.lifetime > End::KEPT_MAX
        {
            self.fault(place, Problem::Lifetime);
        }
        if settings.idle_timeout > settings.lifetime {
            let place = section
                .get("idle_timeout")
                .or_else(|| section.get("lifetime"));
            self.fault(place.unwrap_or(&section.found), Problem::IdleTimeout);
        }
        settings
    }

    /// What a virtual host asks of sessions. It may ask for more than what holds everywhere, not for less.
    pub(super) fn host_limits(
        &mut self,
        found: &Found<'_>,
        everywhere: Option<&SessionSettings>,
    ) -> Option<HostLimits> {
        let section = self.section(found, HOST_SESSION_KEYS)?;
        let [idle_timeout, lifetime] = HOST_SESSION_KEYS.map(|key| {
            let place = section.get(key)?;
            let span = self.duration(place)?;
            let most = everywhere.map(|settings| match key {
                IDLE_TIMEOUT => settings.idle_timeout,
                _ => settings.lifetime,
            });
            if let Some(most) = most.filter(|most| span > *most) {
                self.fault(place, Problem::LongerThanSession { key, most });
            }
            Some(span)
        });
        if let (Some(idle), Some(lifetime)) = (idle_timeout, lifetime)
            && idle > lifetime
            && let Some(place) = section.get(IDLE_TIMEOUT)
        {
            self.fault(place, Problem::IdleTimeout);
        }
        Some(HostLimits {
            idle_timeout,
            lifetime,
        })
    }

    /// How users prove who they are: by passwords, at providers, or both.
    pub(super) fn ways_in(&mut self, found: Option<&Found<'_>>) -> WaysIn {
        let section = found.and_then(|found| self.section(found, AUTHENTICATION_KEYS));
        let Some(section) = section else {
            return WaysIn::default();
        };
        let at = section.get(OPENID_CONNECT);
        // Where nothing is said of passwords, none are taken.
        let takes_passwords = at.is_none() || section.entries().count() > 1;
        let passwords = takes_passwords.then(|| self.passwords(&section)).flatten();
        let store = passwords.as_ref().map(|by| {
            let line = section.get("store").unwrap_or(&section.found).node.at.line;
            (&by.store, line)
        });
        let providers = at.map(|at| self.openid_connect(at, store));
        let is_whole = takes_passwords == passwords.is_some() && !matches!(providers, Some(None));
        let providers = providers.flatten().unwrap_or_default();
        let levels = providers.iter().map(OpenIdProvider::level_max);
        let highest = levels.chain(passwords.iter().map(|by| by.level)).max();
        WaysIn {
            level: highest.filter(|_| is_whole),
            passwords,
            providers,
        }
    }

    fn passwords(&mut self, section: &Section<'_>) -> Option<Authentication> {
        let store = match section.get("store") {
            Some(found) => self.name(found, "the name of an identity store", StoreName::parse),
            None => StoreName::parse(STORE_DEFAULT).ok(),
        };
        let level = match section.get("level") {
            Some(found) => self.level(found, 1),
            None => AuthLevel::new(LEVEL_DEFAULT),
        };
        let hashing_threads = self.or(section, "hashing_threads", 2, |this, found| {
            this.count(found, 1..=64)
        });
        let hashing_queue = self.or(section, "hashing_queue", 1024, |this, found| {
            this.count(found, 1..=100_000)
        });
        let least = PasswordRules::default().length_min;
        let password_length_min = self.or(section, "password_length_min", least, |this, found| {
            this.count(found, PASSWORD_LENGTH_MIN)
        });
        let users_file = self.required(section, "users_file").cloned();
        let users_file = users_file.and_then(|found| self.path(&found));
        Some(Authentication {
            store: store?,
            users_file: users_file?,
            level: level?,
            hashing_threads,
            hashing_queue,
            password: PasswordRules {
                length_min: password_length_min,
            },
            throttle: self.throttle(section.get("throttle")),
        })
    }

    /// `listeners` are where balancers may ask.
    pub(super) fn limits(&mut self, found: Option<&Found<'_>>, listeners: &[Listener]) -> Limits {
        let mut limits = default_limits();
        if listeners
            .iter()
            .any(|listener| listener.ready_path.is_some())
        {
            limits.drain_delay = BALANCERS_NOTICE;
        }
        let section = found.and_then(|found| self.section(found, LIMIT_KEYS));
        let Some(section) = section else {
            return limits;
        };
        for (key, place) in [
            ("body_idle_timeout", &mut limits.body_idle_timeout),
            ("drain_delay", &mut limits.drain_delay),
            ("drain_timeout", &mut limits.drain_timeout),
            ("handshake_timeout", &mut limits.handshake_timeout),
            ("header_timeout", &mut limits.header_timeout),
            ("keep_alive_timeout", &mut limits.keep_alive_timeout),
            ("send_timeout", &mut limits.send_timeout),
        ] {
            self.set(&section, key, place, Self::duration);
        }
        for (key, place) in [
            ("connections", &mut limits.connections_max),
            (
                "connections_per_address",
                &mut limits.connections_per_address_max,
            ),
        ] {
            self.set(&section, key, place, |this, found| {
                this.count(found, 1..=10_000_000)
            });
        }
        self.set(
            &section,
            "body_size",
            &mut limits.body_bytes_max,
            Self::size,
        );
        self.set(
            &section,
            "body_rate_min",
            &mut limits.body_rate_min,
            Self::size,
        );
        self.kept_posts(&section, &mut limits.kept);
        self.set(
            &section,
            "header_size",
            &mut limits.header_bytes_max,
            |this, found| {
                let shown = ("a header size from 1KiB to 1MiB", "32KiB");
                let bounds = HEADER_BYTES_MIN..=HEADER_BYTES_MAX;
                let bytes = this.size_within(found, bounds, shown)?;
                usize::try_from(bytes).ok()
            },
        );
        limits
    }

    fn kept_posts(&mut self, section: &Section<'_>, kept: &mut KeptRules) {
        self.set(
            section,
            "kept_post_size",
            &mut kept.bytes_max,
            |this, found| {
                let shown = ("a size of at most 16MiB", "256KiB");
                let bytes = this.size_within(found, 0..=KEPT_BYTES_MAX, shown)?;
                usize::try_from(bytes).ok()
            },
        );
        for (key, place, least) in [
            ("kept_posts", &mut kept.posts_max, 0),
            ("kept_posts_per_address", &mut kept.per_address_max, 1),
        ] {
            self.set(section, key, place, |this, found| {
                this.count(found, least..=100_000)
            });
        }
    }

    /// Sets a value that has a default when its key is there and right.
    pub(super) fn set<'n, T>(
        &mut self,
        section: &Section<'n>,
        key: &str,
        place: &mut T,
        read: impl FnOnce(&mut Self, &Found<'n>) -> Option<T>,
    ) {
        if let Some(value) = section.get(key).and_then(|found| read(self, found)) {
            *place = value;
        }
    }
}

fn default_limits() -> Limits {
    Limits {
        handshake_timeout: Duration::from_secs(10),
        header_timeout: Duration::from_secs(10),
        header_bytes_max: 32 << 10,
        body_bytes_max: 64 << 20,
        body_idle_timeout: Duration::from_secs(30),
        body_rate_min: 64,
        send_timeout: Duration::from_mins(1),
        keep_alive_timeout: Duration::from_secs(75),
        connections_max: 10_000,
        connections_per_address_max: 1_000,
        kept: KeptRules::default(),
        drain_delay: Duration::ZERO,
        drain_timeout: Duration::from_secs(30),
    }
}

/// By then a balancer that asks every few seconds has been told.
const BALANCERS_NOTICE: Duration = Duration::from_secs(5);
pub(super) const COLLECTOR_KEYS: &[&str] = &["elsewhere", "host", "public_port", "title"];
pub(super) const SESSION_KEYS: &[&str] = &[
    "bind_to",
    "idle_timeout",
    "lifetime",
    "per_user_max",
    "store",
];
pub(super) const HOST_SESSION_KEYS: &[&str; 2] = &[IDLE_TIMEOUT, "lifetime"];
const IDLE_TIMEOUT: &str = "idle_timeout";
const OPENID_CONNECT: &str = "openid_connect";
pub(super) const AUTHENTICATION_KEYS: &[&str] = &[
    "hashing_queue",
    "hashing_threads",
    "level",
    OPENID_CONNECT,
    "password_length_min",
    "store",
    "throttle",
    "users_file",
];
pub(super) const LIMIT_KEYS: &[&str] = &[
    "body_idle_timeout",
    "body_rate_min",
    "body_size",
    "connections",
    "connections_per_address",
    "drain_delay",
    "drain_timeout",
    "handshake_timeout",
    "header_size",
    "header_timeout",
    "keep_alive_timeout",
    "kept_post_size",
    "kept_posts",
    "kept_posts_per_address",
    "send_timeout",
];

const STORES: &[(&str, StoreKind)] = &[("disk", StoreKind::Disk), ("memory", StoreKind::Memory)];
/// What NIST SP 800-63B-4 §3.1.1.2 allows at the least with a second factor, and what it wants taken at the most.
const PASSWORD_LENGTH_MIN: RangeInclusive<u32> = 8..=64;
const STORE_DEFAULT: &str = "local";
const LEVEL_DEFAULT: u8 = 10;
/// Where a collector is when nobody says otherwise.
const HTTPS: u16 = 443;
const TITLE_CHARACTERS_MAX: usize = 120;
const KEPT_BYTES_MAX: u64 = 16 << 20;
const HEADER_BYTES_MIN: u64 = 1 << 10;
const HEADER_BYTES_MAX: u64 = 1 << 20;
