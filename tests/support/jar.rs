//! Cookies as a browser keeps them: host-only or by domain, with the prefixes' demands, paths, `Secure`
//! and expiry by `Max-Age`.
//!
//! Dates are not read: nothing here outlives a test.

/// The cookies of one browser.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar {
    cookies: Vec<Kept>,
}

/// A cookie in the jar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) value: String,
    /// The host that set it.
    pub(crate) host: String,
    /// The domain it goes to; `None` for a host-only cookie.
    pub(crate) domain: Option<String>,
    pub(crate) path: String,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: Option<String>,
}

impl Jar {
    /// Takes in a `Set-Cookie` value as a browser does; refused ones are dropped without a word.
    pub(crate) fn take(&mut self, host: &str, scheme: &str, set_cookie: &str) {
        let Some((cookie, lives)) = parse(host, set_cookie) else {
            return;
        };
        let is_secure = scheme == "https";
        let prefix = cookie.name.to_ascii_lowercase();
        let fits_host_prefix = cookie.secure && cookie.domain.is_none() && cookie.path == "/";
        let breaks_prefix = (prefix.starts_with("__host-") && !fits_host_prefix)
            || (prefix.starts_with("__secure-") && !cookie.secure);
        let foreign = cookie
            .domain
            .as_ref()
            .is_some_and(|domain| !is_below(host, domain));
        if breaks_prefix || foreign || (cookie.secure && !is_secure) {
            return;
        }
        self.cookies.retain(|kept| {
            (&kept.name, &kept.path, kept.scope()) != (&cookie.name, &cookie.path, cookie.scope())
        });
        if lives {
            self.cookies.push(cookie);
        }
    }

    /// The `Cookie` header for a request; `None` when there is nothing to send.
    pub(crate) fn header(&self, host: &str, scheme: &str, path: &str) -> Option<String> {
        let sent: Vec<String> = self
            .cookies
            .iter()
            .filter(|cookie| cookie.goes_to(host, scheme, path))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!sent.is_empty()).then(|| sent.join("; "))
    }

    /// The cookies of a host.
    pub(crate) fn of(&self, host: &str) -> Vec<&Kept> {
        self.cookies
            .iter()
            .filter(|kept| kept.host == host)
            .collect()
    }

    /// A cookie of a host whose name contains `part`.
    pub(crate) fn find(&self, host: &str, part: &str) -> Option<&Kept> {
        self.cookies
            .iter()
            .find(|kept| kept.host == host && kept.name.contains(part))
    }

    /// Puts in a host-only cookie, as if the host had set it.
    pub(crate) fn put(&mut self, host: &str, name: &str, value: &str) {
        self.take(host, "https", &format!("{name}={value}; Path=/; Secure"));
    }

    /// Forgets the cookies of a host whose name contains `part`.
    pub(crate) fn forget(&mut self, host: &str, part: &str) {
        self.cookies
            .retain(|kept| kept.host != host || !kept.name.contains(part));
    }

    /// How many cookies there are, the one left out that is to survive a sign-out.
    pub(crate) fn len(&self) -> usize {
        let cookies = self.cookies.iter();
        let others = cookies.filter(|cookie| !cookie.name.contains("-device-"));
        others.count()
    }
}

impl Kept {
    fn scope(&self) -> &str {
        self.domain.as_deref().unwrap_or(&self.host)
    }

    fn goes_to(&self, host: &str, scheme: &str, path: &str) -> bool {
        let host_fits = match &self.domain {
            Some(domain) => is_below(host, domain),
            None => self.host == host,
        };
        let below = path.strip_prefix(self.path.as_str());
        let path_fits = below.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        });
        host_fits && path_fits && (scheme == "https" || !self.secure)
    }
}

/// Reads a `Set-Cookie` value: the cookie, and whether it lives.
fn parse(host: &str, set_cookie: &str) -> Option<(Kept, bool)> {
    let mut parts = set_cookie.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let mut cookie = Kept {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        host: host.to_owned(),
        domain: None,
        path: "/".to_owned(),
        secure: false,
        http_only: false,
        same_site: None,
    };
    let mut lives = true;
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.to_ascii_lowercase().as_str() {
            "domain" => cookie.domain = Some(value.trim_start_matches('.').to_owned()),
            "path" if value.starts_with('/') => cookie.path = value.to_owned(),
            "secure" => cookie.secure = true,
            "httponly" => cookie.http_only = true,
            "samesite" => cookie.same_site = Some(value.to_owned()),
            "max-age" => lives = value.parse::<i64>().is_ok_and(|seconds| seconds > 0),
            _ => {}
        }
    }
    Some((cookie, lives))
}

fn is_below(host: &str, domain: &str) -> bool {
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'))
}
