//! One step after another through the gateways: a browser whose every cookie is known to be of a login, and
//! which writes down what came of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::history::Asked;
use crate::history::Came;
use crate::history::Cookies;
use crate::history::Desk;
use crate::history::Form;
use crate::history::Lasting;
use crate::history::LoginId;
use crate::history::Millis;
use crate::history::NodeId;
use crate::history::SignIn;
use crate::history::SignOut;
use crate::history::Span;
use crate::history::Told;
use crate::history::Verdict;
use crate::support::Answer;
use crate::support::Protocol;
use crate::support::Request;
use crate::support::Url;
use crate::support::client;
use crate::support::gateway::password;
use crate::support::jar::Jar;
use crate::support::page;
use crate::world::HOSTS;
use crate::world::LOGIN;
use crate::world::World;

/// The cookies of a browser, and of which login each is.
#[derive(Clone)]
pub(crate) struct Tab {
    jar: Jar,
    known: BTreeMap<String, LoginId>,
    cookies: Cookies,
    /// Where it was last.
    pub(crate) last: Option<NodeId>,
}

/// Where a journey ended.
pub(crate) enum Landing {
    /// Something was broken.
    Broken,
    /// At the login page.
    Form(Box<Answer>),
    /// At the application.
    In,
}

impl Landing {
    /// Whether the application was reached.
    pub(crate) fn is_in(&self) -> bool {
        matches!(self, Self::In)
    }
}

/// A user's hands.
pub(crate) struct Visitor {
    pub(crate) user: String,
    pub(crate) world: Arc<World>,
}

impl Tab {
    pub(crate) fn new() -> Self {
        Self {
            jar: Jar::default(),
            known: BTreeMap::new(),
            cookies: Cookies::Current,
            last: None,
        }
    }

    /// The same cookies, put by.
    pub(crate) fn copied(&self) -> Self {
        Self {
            cookies: Cookies::Copied,
            ..self.clone()
        }
    }

    /// The login of the cookie that goes to a desk.
    fn presented(&self, desk: Desk, host: &str) -> Option<LoginId> {
        let cookie = self.jar.find(host, cookie_of(desk))?;
        self.known.get(&cookie.value).copied()
    }

    /// Says of a new cookie which login it is of.
    fn attribute(&mut self, host: &str, login: Option<LoginId>) {
        let Some(login) = login else { return };
        for desk in [Desk::Application, Desk::Collector] {
            if let Some(cookie) = self.jar.find(host, cookie_of(desk)) {
                self.known.entry(cookie.value.clone()).or_insert(login);
            }
        }
    }
}

impl Visitor {
    /// Opens a page of the application and goes where it leads.
    pub(crate) async fn visit(&self, tab: &mut Tab, node: NodeId, host: &str) -> Landing {
        let request = navigation(&format!("https://{host}/page"));
        self.journey(tab, node, request, None).await
    }

    /// Signs in with no cookies, on the way to an application; `None` where there is no session to go on
    /// with.
    pub(crate) async fn begin(&self, node: NodeId, host: &str) -> Option<Tab> {
        let mut tab = Tab::new();
        let Landing::Form(page) = self.visit(&mut tab, node, host).await else {
            return None;
        };
        match self.sign_in(&mut tab, node, &page).await {
            Landing::In | Landing::Broken => Some(tab),
            Landing::Form(_) => None,
        }
    }

    /// Signs in by the form of a login page.
    pub(crate) async fn sign_in(&self, tab: &mut Tab, node: NodeId, page: &Answer) -> Landing {
        let Some(mut form) = page::form(&page.text()) else {
            return Landing::Broken;
        };
        let password = password(&self.user);
        for (name, value) in &mut form.fields {
            match name.as_str() {
                "username" => self.user.clone_into(value),
                "password" => password.clone_into(value),
                _ => {}
            }
        }
        let action = page.url.join(&form.action);
        let request = Request::post(&action.to_string())
            .header("accept", "text/html")
            .header("origin", &page.url.origin())
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .form(&form.fields);
        let chronicle = &self.world.chronicle;
        let replaces = tab.presented(Desk::Collector, LOGIN);
        chronicle.may_end(replaces);
        let from = chronicle.now();
        let answer = self.ask(tab, node, request).await;
        let to = chronicle.now();
        chronicle.form(Form {
            user: self.user.clone(),
            node,
            at: from,
            came: answer.as_ref().map_or(Came::Silence, |_| Came::Answer),
        });
        let Some(answer) = answer else {
            chronicle.counts.sign_ins_unanswered.add();
            return Landing::Broken;
        };
        if !leads_to_callback(&answer) {
            chronicle.counts.sign_ins_refused.add();
            return Landing::Broken;
        }
        let login = chronicle.next_login();
        tab.attribute(LOGIN, Some(login));
        chronicle.signed_in(SignIn {
            login,
            user: self.user.clone(),
            node,
            span: Span { from, to },
            replaces,
        });
        let request = navigation(&answer.location().to_string());
        self.journey(tab, node, request, Some(login)).await
    }

    /// Signs out at an application, and follows until the page at the end.
    pub(crate) async fn sign_out(&self, tab: &mut Tab, node: NodeId, host: &str) {
        let chronicle = &self.world.chronicle;
        let here = tab.presented(Desk::Application, host);
        let mut logins: Vec<_> = here.into_iter().collect();
        let mut sign_out = SignOut {
            node,
            span: Span {
                from: chronicle.now(),
                to: 0,
            },
            begun: None,
            told: None,
        };
        let mut request = navigation(&format!("https://{host}/.portway/logout"));
        for _ in 0..STEPS_MAX {
            if request.url.host() == LOGIN {
                logins.extend(tab.presented(Desk::Collector, LOGIN));
            }
            chronicle.may_end(logins.iter().copied());
            let Some(answer) = self.ask(tab, node, request).await else {
                break;
            };
            let now = chronicle.now();
            if answer.redirects() {
                let begun = here.map(|login| (now, login));
                sign_out.begun = sign_out.begun.or(begun);
                request = navigation(&answer.location().to_string());
                continue;
            }
            sign_out.told = told(&answer, now, node, std::mem::take(&mut logins));
            break;
        }
        sign_out.span.to = chronicle.now();
        chronicle.signed_out(sign_out);
    }

    /// Follows redirects. `honoured` is the login that a cookie set on the way is of, until the collector
    /// honours another.
    async fn journey(
        &self,
        tab: &mut Tab,
        node: NodeId,
        first: Request,
        mut honoured: Option<LoginId>,
    ) -> Landing {
        let chronicle = &self.world.chronicle;
        let mut request = first;
        for _ in 0..STEPS_MAX {
            let host = request.url.host().to_owned();
            let desk = desk_of(&request.url);
            let login = desk.and_then(|desk| tab.presented(desk, &host));
            let from = chronicle.now();
            let answer = self.ask(tab, node, request).await;
            let to = chronicle.now();
            let verdict = desk.map_or(Verdict::Failed, |desk| self.verdict(desk, answer.as_ref()));
            if let (Some(desk), Some(login)) = (desk, login) {
                chronicle.asked(Asked {
                    login,
                    cookies: tab.cookies,
                    node,
                    desk,
                    span: Span { from, to },
                    verdict,
                });
            }
            let Some(answer) = answer else {
                return Landing::Broken;
            };
            if desk == Some(Desk::Collector) && verdict == Verdict::Accepted {
                honoured = login;
            }
            tab.attribute(&host, honoured);
            if answer.redirects() {
                request = navigation(&answer.location().to_string());
                continue;
            }
            return match (desk, verdict) {
                (Some(Desk::Application), Verdict::Accepted) => Landing::In,
                (Some(Desk::Collector), Verdict::Refused) => Landing::Form(Box::new(answer)),
                _ => Landing::Broken,
            };
        }
        Landing::Broken
    }

    /// What an answer says of the cookie that was presented.
    fn verdict(&self, desk: Desk, answer: Option<&Answer>) -> Verdict {
        let Some(answer) = answer else {
            return Verdict::Failed;
        };
        match desk {
            Desk::Application if answer.redirects() => {
                let leads_to_login = answer.location().host() == LOGIN;
                if leads_to_login {
                    Verdict::Refused
                } else {
                    Verdict::Failed
                }
            }
            Desk::Application if answer.status == 200 => {
                let text = answer.text();
                let mut lines = text.lines();
                let user = lines.find_map(|line| line.strip_prefix("remote-user: "));
                match user {
                    Some(user) if user == self.user => Verdict::Accepted,
                    Some(_) => Verdict::Crossed,
                    None => Verdict::Failed,
                }
            }
            Desk::Collector if leads_to_callback(answer) => Verdict::Accepted,
            Desk::Collector if answer.status == 200 && page::form(&answer.text()).is_some() => {
                Verdict::Refused
            }
            Desk::Application | Desk::Collector => Verdict::Failed,
        }
    }

    /// Sends a request to a data centre, and keeps the cookies that come back.
    async fn ask(&self, tab: &mut Tab, node: NodeId, request: Request) -> Option<Answer> {
        let counts = &self.world.chronicle.counts;
        counts.requests.add();
        tab.last = Some(node);
        let url = &request.url;
        let cookies = tab.jar.header(url.host(), &url.scheme, url.path());
        let request = match cookies {
            Some(cookies) => request.header("cookie", &cookies),
            None => request,
        };
        let sent = async {
            let address = self.world.node(node).https()?;
            let sending = client::send(&request, address, Protocol::H1);
            tokio::time::timeout(PATIENCE, sending).await.ok()?.ok()
        };
        let Some(answer) = sent.await else {
            counts.unanswered.add();
            return None;
        };
        for cookie in answer.set_cookies() {
            tab.jar
                .take(request.url.host(), &request.url.scheme, cookie);
        }
        Some(answer)
    }
}

/// What a user does who types an address.
fn navigation(url: &str) -> Request {
    Request::get(url)
        .header("accept", "text/html")
        .header("sec-fetch-site", "none")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
}

/// Who judges the cookies of a request, if anybody does.
fn desk_of(url: &Url) -> Option<Desk> {
    if HOSTS.contains(&url.host()) && !url.path().starts_with("/.portway/") {
        return Some(Desk::Application);
    }
    (url.host() == LOGIN && url.path() == "/.portway/sign-in").then_some(Desk::Collector)
}

fn cookie_of(desk: Desk) -> &'static str {
    match desk {
        Desk::Application => "portway-authn-",
        Desk::Collector => "portway-id-",
    }
}

fn leads_to_callback(answer: &Answer) -> bool {
    answer.redirects() && answer.location().path() == "/.portway/callback"
}

/// What the page at the end of a sign-out says; `None` when it is another page.
fn told(answer: &Answer, at: Millis, node: NodeId, logins: Vec<LoginId>) -> Option<Told> {
    let text = answer.text();
    if answer.status != 200 || !text.contains("You are signed out") {
        return None;
    }
    let own = if text.contains("could not be written down") {
        Lasting::Memory
    } else {
        Lasting::Durable
    };
    let confirmed = (0..crate::world::NODES)
        .map(NodeId)
        .filter(|peer| *peer != node && text.contains(&format!("<li>{peer}: confirmed</li>")))
        .collect();
    Some(Told {
        at,
        logins,
        own,
        confirmed,
    })
}

/// Steps of a journey that leads nowhere.
const STEPS_MAX: usize = 14;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(6);
