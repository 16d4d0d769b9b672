//! `virtual_hosts`: names, where they are served, and what holds for them as a whole.
//!
//! Their routes are `route`.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;

use crate::config::Collector;
use crate::config::PlainHttp;
use crate::config::Route;
use crate::config::SessionSettings;
use crate::config::VirtualHost;
use crate::config::client_certificates::ClientMode;
use crate::config::parse::common_rules::UpstreamsTold;
use crate::config::parse::engine::EnginePlace;
use crate::config::parse::listener::Listeners;
use crate::config::parse::outcome::Redirects;
use crate::config::parse::policy::Policies;
use crate::config::parse::pool::Pools;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::route::Needed;
use crate::config::problem::Problem;
use crate::config::problem::advice::Advice;
use crate::decision::compression::Compression;
use crate::decision::error_pages::ErrorPages;
use crate::decision::policy::Access;
use crate::decision::routing::HostPattern;
use crate::decision::template::Template;
use crate::model::identity::AuthLevel;
use crate::model::name::ListenerName;

/// What the rest of the file declares and virtual hosts refer to.
#[derive(Clone, Copy)]
pub(super) struct Declared<'c> {
    pub(super) listeners: &'c Listeners,
    pub(super) policies: &'c Policies,
    pub(super) pools: &'c Pools,
    pub(super) body_bytes_max: u64,
    pub(super) upstreams: &'c UpstreamsTold,
    /// How a virtual host compresses answers where a route does not say it; none outside of one.
    pub(super) compression: Option<&'c Arc<Compression>>,
    /// What a virtual host answers in place of errors where a route does not say it; none outside of one.
    pub(super) error_pages: Option<&'c Arc<ErrorPages>>,
    /// The outer `None` is an absent section, the inner one a faulty section.
    pub(super) level: Option<Option<AuthLevel>>,
    /// Likewise.
    pub(super) collector: Option<Option<&'c Collector>>,
    pub(super) engine: EnginePlace,
    /// What holds for sessions everywhere; none where that is not said here.
    pub(super) session: Option<&'c SessionSettings>,
    pub(super) preset_headers: &'c [(HeaderName, Template)],
}

impl<'c> Declared<'c> {
    /// What routes of a virtual host refer to.
    const fn within(
        &self,
        compression: Option<&'c Arc<Compression>>,
        error_pages: &'c Arc<ErrorPages>,
    ) -> Self {
        Self {
            compression,
            error_pages: Some(error_pages),
            ..*self
        }
    }
}

impl Reading<'_> {
    pub(super) fn virtual_hosts(
        &mut self,
        found: &Found<'_>,
        declared: &Declared<'_>,
        mut redirects: Redirects,
    ) -> Vec<VirtualHost> {
        let mut seen = BTreeMap::new();
        let mut needed = Needed::default();
        let mut hosts = Vec::new();
        for item in self.some_list(found).unwrap_or_default() {
            hosts.extend(self.virtual_host(&item, declared, &mut seen, &mut needed));
        }
        self.check_needed(&needed, declared);
        redirects.append(&mut needed.redirects);
        self.check_redirects(redirects, &hosts);
        self.check_circles(&needed.routes, &hosts);
        self.check_given(&hosts);
        hosts
    }

    fn virtual_host<'n>(
        &mut self,
        found: &Found<'n>,
        declared: &Declared<'_>,
        seen: &mut BTreeMap<String, usize>,
        needed: &mut Needed<'n>,
    ) -> Option<VirtualHost> {
        let section = self.section(found, KEYS)?;
        let hosts = self.hosts(&section, declared, seen);
        let listeners = section
            .get("listeners")
            .map(|found| self.listener_names(found, declared));
        let listeners = listeners.unwrap_or_else(|| Some(Vec::new()));
        let public_port = section
            .get("public_port")
            .and_then(|found| self.port(found));
        let plain_http = match section.get("plain_http") {
            Some(found) => self.word(found, PLAIN_HTTP),
            None => Some(PlainHttp::Redirect),
        };
        let certificates = section.get("client_certificates");
        let client_certificates = match certificates {
            Some(found) => self.client_certificates(found),
            None => Some(None),
        };
        let maintenance = self.or(&section, "maintenance", None, Self::maintenance);
        let session = section.get("session");
        let limits = session.and_then(|found| self.host_limits(found, declared.session));
        let allowance = self.allowance(&section, None);
        let rules = self.header_rules(&section);
        let compression = self.compression(&section, None);
        let error_pages = self.error_pages(&section, None);
        let within = declared.within(compression.as_ref(), &error_pages);
        let routes = self.required(&section, "routes").cloned();
        let routes = routes.and_then(|found| self.routes(&found, &within, needed));
        let mut routes = routes?;
        for route in &mut routes {
            route.headers = std::mem::take(&mut route.headers).or(&rules);
        }
        let host = VirtualHost {
            hosts: hosts?,
            listeners: listeners?,
            plain_http: plain_http?,
            public_port,
            client_certificates: client_certificates?,
            maintenance,
            error_pages: Arc::clone(&error_pages),
            session: limits.unwrap_or_default(),
            headers: rules,
            allowance,
            routes,
        };
        let knows_users = |route: &Route| route.access != Access::Excluded;
        if let Some(found) = session
            && !host.routes.iter().any(knows_users)
        {
            let place = "a virtual host whose routes are all excluded";
            let problem = Problem::NoEffect {
                key: "session",
                place,
            };
            self.fault_at_key(found, problem);
        }
        if let Some(found) = certificates
            && host.client_certificates.is_some()
            && !declared.listeners.serves_tls(&host.listeners)
        {
            let problem = Problem::NoEffect {
                key: "client_certificates",
                place: "a virtual host that no listener with `tls` serves",
            };
            self.fault_at_key(found, problem);
        }
        self.check_plain_http((found, &section), &host, declared);
        Some(host)
    }

    /// Looks for plain http that is led nowhere, or served only to be refused.
    fn check_plain_http(
        &mut self,
        (found, section): (&Found<'_>, &Section<'_>),
        host: &VirtualHost,
        declared: &Declared<'_>,
    ) {
        if redirects_nowhere(host, declared.listeners) {
            let place = section.first_of(&["plain_http", "listeners"]);
            let place = place.map_or(found, |(_, found)| found);
            self.fault(place, Problem::PlainRedirect);
        }
        let certificates = host.client_certificates.as_ref();
        let is_required = certificates.is_some_and(|asked| asked.mode == ClientMode::Required);
        if let (Some(found), PlainHttp::Serve, true) =
            (section.get("plain_http"), host.plain_http, is_required)
        {
            self.advise(found, Advice::PlainWithoutCertificate);
        }
        if let Some(found) = section.get("routes") {
            self.check_schemes(found, host);
        }
    }

    fn hosts(
        &mut self,
        section: &Section<'_>,
        declared: &Declared<'_>,
        seen: &mut BTreeMap<String, usize>,
    ) -> Option<Vec<HostPattern>> {
        self.exclusive(section, "host", "hosts");
        let items = match (section.get("hosts"), section.get("host")) {
            (Some(found), _) => self.some_list(found)?,
            (None, Some(found)) => vec![found.clone()],
            (None, None) => {
                self.fault(&section.found, Problem::MissingOneOf(HOST_KEYS));
                return None;
            }
        };
        self.each(&items, |this, item| this.host(item, declared, seen))
    }

    fn host(
        &mut self,
        found: &Found<'_>,
        declared: &Declared<'_>,
        seen: &mut BTreeMap<String, usize>,
    ) -> Option<HostPattern> {
        let host = self.name(found, "a host name", HostPattern::parse)?;
        let shown = host.to_string();
        let collector = declared.collector.flatten();
        if collector.is_some_and(|collector| collector.host.as_str() == shown) {
            self.fault(found, Problem::CollectorIsVirtualHost(shown.clone()));
        }
        if let Some(first) = seen.get(&shown) {
            let problem = Problem::Duplicate {
                what: "host",
                text: shown.clone(),
                first: *first,
            };
            self.fault(found, problem);
        } else {
            seen.insert(shown, found.node.at.line);
        }
        Some(host)
    }

    fn listener_names(
        &mut self,
        found: &Found<'_>,
        declared: &Declared<'_>,
    ) -> Option<Vec<ListenerName>> {
        let items = self.some_list(found)?;
        self.each(&items, |this, item| {
            let name = this.name(item, "the name of a listener", ListenerName::parse)?;
            let known = &declared.listeners.names;
            if !known.iter().any(|other| other == name.as_str()) {
                this.unknown_name(
                    item,
                    "listener",
                    name.as_str(),
                    known.iter().map(String::as_str),
                );
            }
            Some(name)
        })
    }

    /// Whether routes that know users have what it takes to know them. Each lack is one fault, at the
    /// first route that needs it.
    fn check_needed(&mut self, needed: &Needed<'_>, declared: &Declared<'_>) {
        let Some((found, access)) = &needed.identity else {
            return;
        };
        if declared.collector.is_none() {
            self.fault(
                found,
                Problem::Needs {
                    access,
                    section: "collector",
                },
            );
        }
        // A gate without an engine signs nobody in.
        if declared.level.is_none() && declared.engine == EnginePlace::Embedded {
            self.fault(
                found,
                Problem::Needs {
                    access,
                    section: "authentication",
                },
            );
        }
        // With a collector this is reported at the collector.
        if declared.collector.is_none() && !declared.listeners.offers_tls() {
            self.fault(found, Problem::NeedsTlsListener);
        }
    }
}

/// Whether plain listeners would redirect to an https that nobody serves. That nothing serves https
/// although a route is protected is reported once for all.
fn redirects_nowhere(host: &VirtualHost, listeners: &Listeners) -> bool {
    let is_protected = |route: &Route| route.access == Access::Protected;
    let redirects = match host.plain_http {
        PlainHttp::Redirect => true,
        PlainHttp::Refuse => false,
        PlainHttp::Serve => listeners.offers_tls() && host.routes.iter().any(is_protected),
    };
    redirects
        && host.public_port.is_none()
        && listeners.serves_plain(&host.listeners)
        && !listeners.serves_tls(&host.listeners)
}

pub(super) const KEYS: &[&str] = &[
    "client_certificates",
    "compression",
    "error_pages",
    "headers",
    "host",
    "hosts",
    "limits",
    "listeners",
    "maintenance",
    "plain_http",
    "public_port",
    "routes",
    "session",
];
const HOST_KEYS: &[&str] = &["host", "hosts"];
const PLAIN_HTTP: &[(&str, PlainHttp)] = &[
    ("redirect", PlainHttp::Redirect),
    ("refuse", PlainHttp::Refuse),
    ("serve", PlainHttp::Serve),
];
