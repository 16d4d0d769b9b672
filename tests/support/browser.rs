//! A browser as far as the gateway can tell: cookies, `Sec-Fetch-*`, forms, redirects one at a time.

use std::net::SocketAddr;

use super::client;
use super::client::Live;
use super::client::Protocol;
use super::gateway::Addresses;
use super::gateway::Gateway;
use super::gateway::password;
use super::jar::Jar;
use super::message::Answer;
use super::message::Request;
use super::message::Url;

/// A browser. It reaches every host at the gateway's listener for the scheme, whatever the port.
#[derive(Clone)]
pub(crate) struct Browser {
    addresses: Addresses,
    /// Its cookies.
    pub(crate) jar: Jar,
    protocol: Protocol,
    /// What it sends along with every request to a host, or to any.
    headers: Vec<(Option<&'static str>, &'static str, String)>,
}

impl Browser {
    /// A fresh one that speaks HTTP/1.1.
    pub(crate) fn new(gateway: &Gateway) -> Self {
        Self {
            addresses: gateway.addresses(),
            jar: Jar::default(),
            protocol: Protocol::H1,
            headers: Vec::new(),
        }
    }

    /// One with which a user has signed in to `app.test`.
    pub(crate) async fn signed_in(gateway: &Gateway, user: &str) -> Self {
        let mut browser = Self::new(gateway);
        browser.sign_in("https://app.test/", user).await.expect(200);
        browser
    }

    /// Goes to another gateway from now on, as if a balancer sent it there.
    pub(crate) fn go_to(&mut self, gateway: &Gateway) {
        self.addresses = gateway.addresses();
    }

    /// The same with a header in every request, in place of its own.
    pub(crate) fn sending(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(_, other, _)| *other != name);
        self.headers.push((None, name, value.to_owned()));
        self
    }

    /// The same with a header in every request to one host.
    pub(crate) fn sending_to(
        mut self,
        host: &'static str,
        name: &'static str,
        value: &str,
    ) -> Self {
        self.headers.push((Some(host), name, value.to_owned()));
        self
    }

    /// The same with another protocol (on https).
    pub(crate) fn over(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Opens an address that the user typed.
    pub(crate) async fn get(&mut self, url: &str) -> Answer {
        self.navigate(Request::get(url), "none").await
    }

    /// Opens an address that a page of another site links to.
    pub(crate) async fn get_from_elsewhere(&mut self, url: &str) -> Answer {
        self.navigate(Request::get(url), "cross-site").await
    }

    /// Follows a redirect, one step.
    pub(crate) async fn follow(&mut self, answer: &Answer) -> Answer {
        let next = answer.location();
        let crosses = answer.url.host() != next.host() && answer.site != "none";
        let site = if crosses { "cross-site" } else { &answer.site };
        let (method, body) = match answer.status {
            307 | 308 => panic!("a redirect that repeats the body: {answer:?}"),
            _ => (http::Method::GET, bytes::Bytes::new()),
        };
        let request = Request {
            method,
            body,
            ..Request::get(&next.to_string())
        };
        self.navigate(request, site).await
    }

    /// Follows redirects to their end.
    pub(crate) async fn follow_all(&mut self, answer: Answer) -> Answer {
        let mut answer = answer;
        for _ in 0..REDIRECTS_MAX {
            if !answer.redirects() {
                return answer;
            }
            answer = self.follow(&answer).await;
        }
        panic!("more than {REDIRECTS_MAX} redirects, at {}", answer.url);
    }

    /// Fills in the login page that an answer shows, and posts it.
    pub(crate) async fn log_in(&mut self, page: &Answer, user: &str, password: &str) -> Answer {
        let form = page
            .form()
            .with("username", user)
            .with("password", password);
        self.submit(page, &form).await
    }

    /// Posts a form of a page.
    pub(crate) async fn submit(&mut self, page: &Answer, form: &super::page::Form) -> Answer {
        let action = page.url.join(&form.action);
        let request = Request::post(&action.to_string())
            .header("origin", &page.url.origin())
            .form(&form.fields);
        self.navigate(request, "same-origin").await
    }

    /// Signs in on the way to an address and answers the page there.
    pub(crate) async fn sign_in(&mut self, url: &str, user: &str) -> Answer {
        let page = self.get(url).await;
        let page = self.follow_all(page).await.expect(200);
        assert!(
            page.url.path() == "/.portway/sign-in",
            "no login page: {}",
            page.url
        );
        let answer = self.log_in(&page, user, &password(user)).await.expect(303);
        self.follow_all(answer).await
    }

    /// Goes to an application where nothing is asked of a user who has signed in elsewhere.
    pub(crate) async fn sign_in_silently(&mut self, url: &str) {
        let page = self.get(url).await;
        let page = self.follow_all(page).await.expect(200);
        assert_eq!(page.url.host(), Url::parse(url).host());
    }

    /// Sends a request as it is, with the cookies and nothing else of a browser, and keeps what it sets.
    pub(crate) async fn send(&mut self, request: Request) -> Answer {
        let request = self.with_cookies(request);
        let mut answer =
            match client::send(&request, self.address(&request.url), self.protocol).await {
                Ok(answer) => answer,
                Err(error) => panic!("{}: {error}", request.url),
            };
        answer.site = "same-origin".to_owned();
        self.keep(&answer);
        answer
    }

    /// Like [`Self::send`], for requests that may come to nothing.
    pub(crate) async fn try_send(&self, request: Request) -> Result<Answer, String> {
        let request = self.with_cookies(request);
        client::send(&request, self.address(&request.url), self.protocol).await
    }

    /// Sends a request with the cookies and answers as soon as the head is there.
    pub(crate) async fn open(&self, request: Request) -> Live {
        let request = self.with_cookies(request);
        client::open(&request, self.address(&request.url), self.protocol)
            .await
            .unwrap()
    }

    /// The `Cookie` header that goes to an address; empty when there is none.
    pub(crate) fn cookies_for(&self, url: &str) -> String {
        let url = Url::parse(url);
        self.jar
            .header(url.host(), &url.scheme, url.path())
            .unwrap_or_default()
    }

    /// Where an address is reached.
    ///
    /// A host that is an address is there itself, not at the gateway.
    pub(crate) fn address(&self, url: &Url) -> SocketAddr {
        if let Ok(elsewhere) = url.authority.parse() {
            return elsewhere;
        }
        self.addresses.lock().unwrap()[&url.scheme]
    }

    /// Keeps the cookies of an answer.
    pub(crate) fn keep(&mut self, answer: &Answer) {
        for cookie in answer.set_cookies() {
            self.jar.take(answer.url.host(), &answer.url.scheme, cookie);
        }
    }

    fn with_cookies(&self, request: Request) -> Request {
        let host = request.url.host().to_owned();
        let own = self.headers.iter();
        let own = own.filter(|(at, _, _)| at.is_none_or(|at| at == host));
        let request = own.fold(request, |request, (_, name, value)| {
            request.header(name, value)
        });
        match self
            .jar
            .header(request.url.host(), &request.url.scheme, request.url.path())
        {
            Some(cookies) if !request.has("cookie") => request.header("cookie", &cookies),
            Some(_) | None => request,
        }
    }

    /// Goes to a page; `site` is what the browser says of where the request comes from.
    async fn navigate(&mut self, request: Request, site: &str) -> Answer {
        let mut request = request.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        if !self
            .headers
            .iter()
            .any(|(_, name, _)| *name == "user-agent")
        {
            request = request.header("user-agent", USER_AGENT);
        }
        // Browsers send these to trustworthy origins only.
        if request.url.scheme == "https" {
            request = request
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-dest", "document")
                .header("sec-fetch-site", site);
        }
        let mut answer = self.send(request).await;
        site.clone_into(&mut answer.site);
        answer
    }
}

/// What a script of a page sends along with a request.
pub(crate) fn fetch(url: &str) -> Request {
    Request::get(url)
        .header("accept", "*/*")
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-dest", "empty")
        .header("sec-fetch-site", "same-origin")
}

/// The program that a browser says to be.
pub(crate) const USER_AGENT: &str = "Mozilla/5.0 (a test)";
const REDIRECTS_MAX: usize = 30;
