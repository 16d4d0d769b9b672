//! Says in each answer which data centre it comes from, for balancers in front of several that keep a user
//! to one (M-006).
//!
//! A filter of pingora's, because that is the one place by which all answers go: those of upstreams and
//! the gateway's own. Where there is one data centre nothing is said. Nobody here reads the cookie for more
//! than whether it has to be set: it decides nothing.

use std::any::Any;

use async_trait::async_trait;
use cookie::Cookie;
use cookie::SameSite;
use http::HeaderName;
use http::HeaderValue;
use http::header;
use pingora::http::RequestHeader;
use pingora::http::ResponseHeader;
use pingora::modules::http::HttpModule;
use pingora::modules::http::HttpModuleBuilder;
use pingora::modules::http::Module;
use pingora::proxy::Session;

use crate::config::Config;
use crate::decision::cookies::CookieNames;
use crate::decision::forwarded::Origin;
use crate::decision::forwarded::Scheme;

/// What the answers of a data centre say about it.
#[derive(Clone, Debug)]
pub(super) struct Whereabouts {
    header: Option<(HeaderName, HeaderValue)>,
    cookie: Option<Mark>,
}

/// The cookie.
#[derive(Clone, Debug)]
struct Mark {
    name: String,
    value: String,
    set: HeaderValue,
}

/// What is said in the answer to one request.
#[derive(Clone, Debug)]
pub(super) struct Saying {
    whereabouts: Whereabouts,
    cookie: Wanted,
}

/// Whether the answer sets the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// The browser has it.
    Held,
    /// The browser lacks it, and would be given it in plain.
    InPlain,
    /// The browser lacks it.
    Missing,
}

impl Whereabouts {
    /// What is configured to be said; nothing where there is one data centre.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let marks = &config.mdc.as_ref()?.marks;
        let value = HeaderValue::from_str(config.cluster.as_str()).ok()?;
        let said = Self {
            header: marks.header.clone().map(|name| (name, value)),
            cookie: marks
                .cookie
                .as_deref()
                .and_then(|name| Mark::new(name, config.cluster.as_str())),
        };
        (said.header.is_some() || said.cookie.is_some()).then_some(said)
    }

    /// Notes that a request came by https, so that its answer may set a cookie.
    pub(super) fn note_origin(session: &mut Session, origin: &Origin) {
        let said = session.downstream_modules_ctx.get_mut::<Saying>();
        if let Some(saying) = said
            && origin.scheme == Scheme::Https
            && saying.cookie == Wanted::InPlain
        {
            saying.cookie = Wanted::Missing;
        }
    }
}

impl Mark {
    fn new(name: &str, cluster: &str) -> Option<Self> {
        let cookie = Cookie::build((name, cluster))
            .path("/")
            .secure(true)
            .http_only(true)
            .same_site(SameSite::Lax);
        let set = HeaderValue::try_from(cookie.build().to_string()).ok()?;
        Some(Self {
            name: name.to_owned(),
            value: cluster.to_owned(),
            set,
        })
    }

    fn is_in(&self, head: &RequestHeader) -> bool {
        let lines = head.headers.get_all(header::COOKIE).iter();
        let lines = lines.map(HeaderValue::as_bytes);
        CookieNames::find(lines, &self.name).eq([self.value.as_str()])
    }
}

impl HttpModuleBuilder for Whereabouts {
    fn init(&self) -> Module {
        Box::new(Saying {
            whereabouts: self.clone(),
            cookie: Wanted::Held,
        })
    }
}

/// Where the modules of a request are put together anew, with what is known by then.
impl HttpModuleBuilder for Saying {
    fn init(&self) -> Module {
        Box::new(self.clone())
    }
}

#[async_trait]
impl HttpModule for Saying {
    async fn request_header_filter(&mut self, head: &mut RequestHeader) -> pingora::Result<()> {
        if let Some(mark) = &self.whereabouts.cookie
            && !mark.is_in(head)
        {
            self.cookie = Wanted::InPlain;
        }
        Ok(())
    }

    async fn response_header_filter(
        &mut self,
        head: &mut ResponseHeader,
        _: bool,
    ) -> pingora::Result<()> {
        if let Some((name, value)) = &self.whereabouts.header {
            head.insert_header(name, value)?;
        }
        if let Some(mark) = &self.whereabouts.cookie
            && self.cookie == Wanted::Missing
        {
            head.append_header(header::SET_COOKIE, mark.set.clone())?;
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
