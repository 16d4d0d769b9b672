//! What a process answers to a browser: the way that the proxy takes through gate and collector, without
//! HTTP around it.

use std::net::IpAddr;

use http::HeaderMap;
use http::Method;
use portway::crypto::bearer::Bearer;
use portway::decision::admission::Asked;
use portway::decision::admission::Decision;
use portway::decision::cookies::CookieNames;
use portway::decision::endpoints;
use portway::decision::facts::RequestFacts;
use portway::decision::forwarded::Scheme;
use portway::decision::hand_over::demanded;
use portway::decision::policy::Access;
use portway::decision::policy::Condition;
use portway::decision::policy::Effect;
use portway::decision::policy::Policy;
use portway::decision::policy::Rule;
use portway::decision::reply::LoginPage;
use portway::decision::reply::Reply;
use portway::decision::reply::ReplyKind;
use portway::engine::collector::Provenance;
use portway::engine::collector::Submission;
use portway::engine::collector::Visitor;
use portway::gate::Caller;
use portway::gate::challenge::Asker;
use portway::gate::challenge::Challenged;
use portway::model::claim::Activity;
use portway::model::claim::HostLimits;
use portway::model::id::RequestId;
use portway::model::id::SsoId;
use portway::model::name::HostName;
use portway::model::secret::Secret;

use crate::centre::COLLECTOR;
use crate::centre::Process;
use crate::directory::LEVEL;
use crate::directory::PASSWORD;
use crate::event::CookieHash;
use crate::event::Event;
use crate::mutant;

/// What a browser asks for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) url: Url,
    /// Its `Cookie` header.
    pub(crate) cookies: String,
    pub(crate) address: IpAddr,
    pub(crate) kind: RequestKind,
}

#[derive(Clone, Debug)]
pub(crate) enum RequestKind {
    /// Going to a page.
    Get,
    /// The button on a page of the same host.
    Post,
    /// The login form.
    SignIn { page: LoginPage, user: String },
}

/// An address, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) host: HostName,
    pub(crate) path: String,
    /// The one parameter.
    pub(crate) parameter: Option<(String, String)>,
}

/// What a browser gets.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) kind: ResponseKind,
    pub(crate) set_cookies: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum ResponseKind {
    /// A page of Portway's that leads nowhere.
    Page,
    /// That the browser has been sent to and fro too often (D-10).
    Circling,
    /// The question whether to sign out.
    ConfirmSignOut,
    Login(LoginPage),
    Redirect(String),
    Refused,
    /// The application's page, for this session.
    Served(SsoId),
}

impl Url {
    pub(crate) fn new(host: &HostName, path: &str) -> Self {
        Self {
            host: host.clone(),
            path: path.to_owned(),
            parameter: None,
        }
    }

    /// Reads an address; one without a host is on `here`.
    pub(crate) fn parse(here: &HostName, text: &str) -> Self {
        let (host, rest) = match text.strip_prefix("https://") {
            None => (here.clone(), text),
            Some(rest) => {
                let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let host = host.split(':').next().unwrap_or_default();
                (HostName::parse(host).unwrap(), path)
            }
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parameter = query.split_once('=');
        Self {
            host,
            path: path.to_owned(),
            parameter: parameter.map(|(name, value)| (name.to_owned(), value.to_owned())),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let (found, value) = self.parameter.as_ref()?;
        (found == name).then_some(value.as_str())
    }
}

impl Process {
    /// Answers a request.
    pub(crate) async fn serve(&self, request: Request) -> Response {
        let cookies = mutant::cookies(self, request.cookies.clone());
        let lines = [cookies.as_bytes()];
        if request.url.host.as_str() == COLLECTOR {
            let reply = self.at_the_collector(&request, &lines).await;
            return self.shown(reply);
        }
        let caller = Caller {
            cookies: &lines,
            host: &request.url.host,
            address: request.address,
            headers: &HeaderMap::new(),
            limits: HostLimits::NONE,
            opened: None,
        };
        let url = &request.url;
        let reply = match url.path.as_str() {
            endpoints::CALLBACK => {
                let token = url.get(endpoints::TOKEN);
                self.gate.callback(&caller, token, Asker::Navigation).await
            }
            endpoints::CLEAR => self.gate.clear(&caller, url.get(endpoints::SIGN_OUT)),
            endpoints::LOGOUT => self.gate.sign_out(&caller, None).await,
            _ => return self.to_application(&request, &caller).await,
        };
        self.shown(reply)
    }

    /// Tells of pages that lead nowhere.
    fn shown(&self, reply: Reply) -> Response {
        let page = format!("{:?}", reply.kind);
        let response = Response::from(reply);
        if matches!(response.kind, ResponseKind::Page | ResponseKind::Refused) {
            let told = || format!("{} shows {page}", self.dc);
            self.shared.witness.tell(told);
        }
        response
    }

    async fn at_the_collector(&self, request: &Request, lines: &[&[u8]]) -> Reply {
        let provenance = match request.kind {
            RequestKind::Get => Provenance::Elsewhere,
            RequestKind::Post | RequestKind::SignIn { .. } => Provenance::Own,
        };
        let visitor = Visitor {
            cookies: lines,
            address: request.address,
            headers: &HeaderMap::new(),
            provenance,
        };
        let url = &request.url;
        if let RequestKind::SignIn { page, user } = &request.kind {
            let submission = Submission {
                request: page.request.clone(),
                form: page.form.clone(),
                user: user.clone(),
                password: Secret::new(PASSWORD.as_bytes().to_vec()),
            };
            return self.collector.submit(&visitor, submission).await;
        }
        match url.path.as_str() {
            endpoints::LOGOUT => {
                let state = url.get(endpoints::SIGN_OUT);
                self.collector.sign_out(&visitor, state, None).await
            }
            endpoints::SIGNED_OUT => self.collector.signed_out(url.get(endpoints::SIGN_OUT)),
            _ => {
                self.collector
                    .show(&visitor, url.get(endpoints::REQUEST))
                    .await
            }
        }
    }

    /// As the proxy does it: admission, registration, and a second look (S-17).
    async fn to_application(&self, request: &Request, caller: &Caller<'_>) -> Response {
        let policy = everyone();
        let asked = Asked {
            access: Access::Protected,
            policy: &policy,
            level: LEVEL,
            activity: Activity::Counts,
            request: RequestFacts {
                id: RequestId::from_bytes([0; 16]),
                method: &Method::GET,
                scheme: Scheme::Https,
                host: caller.host.as_str(),
                path: &request.url.path,
                query: None,
                headers: &HeaderMap::new(),
                address: request.address,
                tls: None,
            },
        };
        let cookie = self.hash(caller.cookies);
        let admission = self.gate.admit(&asked, caller).await;
        if let Decision::Allow(permit) = &admission.decision
            && let Some(session) = permit.session()
            && self.gate.still_serves(&session.facts.sso)
        {
            self.shared
                .witness
                .note(&Event::Permitted(self.dc, cookie, session));
            let gito = admission.gito.map(|gito| gito.set_cookie);
            return Response {
                kind: ResponseKind::Served(session.facts.sso),
                set_cookies: gito.into_iter().collect(),
            };
        }
        if let Decision::Deny(_) = &admission.decision {
            let kind = ResponseKind::Refused;
            return Response {
                kind,
                set_cookies: Vec::new(),
            };
        }
        self.shared
            .witness
            .note(&Event::Challenged(self.dc, cookie));
        let challenged = Challenged {
            host: caller.host,
            target: &request.url.path,
            asker: Asker::Navigation,
            level: LEVEL,
            cookies: caller.cookies,
            bearer: Bearer {
                address: caller.address,
                headers: caller.headers,
            },
            freshness: demanded(admission.refused),
            limits: HostLimits::NONE,
            activity: Activity::Counts,
            refused: admission.refused,
            post: None,
        };
        self.gate.challenge(&challenged).into()
    }

    fn hash(&self, lines: &[&[u8]]) -> CookieHash {
        let mut found = CookieNames::find(lines.iter().copied(), &self.gate.names.authn);
        CookieHash::of(found.next().unwrap_or_default())
    }
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        let kind = match reply.kind {
            ReplyKind::ConfirmSignOut => ResponseKind::ConfirmSignOut,
            ReplyKind::LoginPage(page) => ResponseKind::Login(page),
            ReplyKind::Onward(address) | ReplyKind::Redirect(address) => {
                ResponseKind::Redirect(address)
            }
            ReplyKind::ClocksDiffer { .. }
            | ReplyKind::Denied(_)
            | ReplyKind::Heard(_)
            | ReplyKind::LevelUnreachable
            | ReplyKind::NotAccepted { .. }
            | ReplyKind::SignInRequired { .. }
            | ReplyKind::Unconfirmed { .. } => ResponseKind::Refused,
            ReplyKind::Circling(_) => ResponseKind::Circling,
            ReplyKind::PasswordChanged { .. }
            | ReplyKind::PasswordPage(_)
            | ReplyKind::Replay(_)
            | ReplyKind::SignOutUnheard(_)
            | ReplyKind::SignedOut(..)
            | ReplyKind::Welcome { .. } => ResponseKind::Page,
        };
        Self {
            kind,
            set_cookies: reply.cookies,
        }
    }
}

fn everyone() -> Policy {
    Policy::new(vec![Rule {
        effect: Effect::Allow,
        when: Condition::SignedIn,
    }])
}
