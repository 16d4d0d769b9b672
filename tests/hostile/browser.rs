//! A browser as far as attacks need one: cookies by host, and the way through a sign-in.

use std::collections::BTreeMap;

use crate::rig::Gateway;
use crate::support::gateway::password;
use crate::wire::Answer;

/// Cookies by host, as a browser keeps host-only ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    pub(crate) jar: BTreeMap<String, BTreeMap<String, String>>,
}

/// The authn cookie's name.
pub(crate) const AUTHN: &str = "__Host-portway-authn-main";
/// The ID cookie's name.
pub(crate) const ID: &str = "__Host-portway-id-main";
/// The nonce cookie's name.
pub(crate) const NONCE: &str = "__Host-portway-nonce-main";

impl Browser {
    /// A browser that is signed in at `app.test`.
    pub(crate) fn signed_in(gateway: &Gateway, user: &str) -> Self {
        let mut browser = Self::default();
        let answer = browser.sign_in(gateway, user, "https://app.test/");
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }

    /// Opens a page, signs in on the way, and answers with the page.
    pub(crate) fn sign_in(&mut self, gateway: &Gateway, user: &str, url: &str) -> Answer {
        let to_login = self.get(gateway, url);
        assert_eq!(to_login.status, 303, "{to_login:?}");
        let page = self.get(gateway, to_login.header("location").unwrap());
        assert_eq!(page.status, 200, "{page:?}");
        let form = form_of(&page);
        let back = self.submit(gateway, user, &password(user), &form);
        assert_eq!(back.status, 303, "{back:?}");
        let home = self.get(gateway, back.header("location").unwrap());
        assert_eq!(home.status, 303, "{home:?}");
        let host = host_and_target(url).0;
        let location = home.header("location").unwrap().to_owned();
        self.get(gateway, &format!("https://{host}{location}"))
    }

    /// Posts the login form.
    pub(crate) fn submit(
        &mut self,
        gateway: &Gateway,
        user: &str,
        password: &str,
        form: &Form,
    ) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("r", &form.request)
            .append_pair("form", &form.form)
            .append_pair("username", user)
            .append_pair("password", password)
            .finish();
        self.post(gateway, "https://login.test/.portway/sign-in", &body)
    }

    pub(crate) fn post(&mut self, gateway: &Gateway, url: &str, body: &str) -> Answer {
        let more = format!(
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
             Sec-Fetch-Site: same-origin\r\n",
            body.len()
        );
        self.send(gateway, ("POST", url), &more, body)
    }

    pub(crate) fn get(&mut self, gateway: &Gateway, url: &str) -> Answer {
        self.send(gateway, ("GET", url), "", "")
    }

    /// Sends a navigation with more header lines.
    pub(crate) fn send(
        &mut self,
        gateway: &Gateway,
        (method, url): (&str, &str),
        more: &str,
        body: &str,
    ) -> Answer {
        let (host, target) = host_and_target(url);
        let cookies = self.cookies(host);
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n{cookies}{more}\r\n{body}"
        );
        let answer = gateway.tls(host).ask(request);
        self.take(host, &answer);
        answer
    }

    /// The `Cookie` line for a host, or nothing.
    pub(crate) fn cookies(&self, host: &str) -> String {
        let Some(kept) = self.jar.get(host).filter(|kept| !kept.is_empty()) else {
            return String::new();
        };
        let pairs: Vec<String> = kept.iter().map(|(n, v)| format!("{n}={v}")).collect();
        format!("Cookie: {}\r\n", pairs.join("; "))
    }

    pub(crate) fn cookie(&self, host: &str, name: &str) -> String {
        self.jar[host][name].clone()
    }

    pub(crate) fn set(&mut self, host: &str, name: &str, value: &str) {
        let kept = self.jar.entry(host.to_owned()).or_default();
        kept.insert(name.to_owned(), value.to_owned());
    }

    fn take(&mut self, host: &str, answer: &Answer) {
        for line in answer.all("set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let kept = self.jar.entry(host.to_owned()).or_default();
            if attributes.contains("Max-Age=0") {
                kept.remove(name);
            } else {
                kept.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// What a login page carries hidden.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) request: String,
    pub(crate) form: String,
}

pub(crate) fn form_of(page: &Answer) -> Form {
    let text = page.text();
    let field = |name: &str| {
        let begin = format!("name=\"{name}\" value=\"");
        let rest = text.split_once(&begin).map_or("", |(_, rest)| rest);
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    Form {
        request: field("r"),
        form: field("form"),
    }
}

/// The host of an https address, and the rest.
pub(crate) fn host_and_target(url: &str) -> (&str, &str) {
    let rest = url
        .strip_prefix("https://")
        .unwrap_or_else(|| panic!("{url}"));
    let slash = rest.find('/').unwrap_or(rest.len());
    let (host, target) = rest.split_at(slash);
    (host, if target.is_empty() { "/" } else { target })
}
