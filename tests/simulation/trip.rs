//! The way of a browser: from a host to wherever it is sent, at whichever data centre the balancer picks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use futures_util::future::select;
use parking_lot::Mutex;
use portway::decision::endpoints;
use portway::decision::reply::Notice;
use portway::model::id::SsoId;
use portway::model::name::HostName;
use tokio::sync::oneshot;

use crate::browser::Browser;
use crate::browser::header;
use crate::centre::address;
use crate::event::Dc;
use crate::jar::Jar;
use crate::plan::Balancer;
use crate::plan::millis;
use crate::serve::Request;
use crate::serve::RequestKind;
use crate::serve::Response;
use crate::serve::ResponseKind;
use crate::serve::Url;
use crate::world::World;

/// Where somebody goes, and how.
#[derive(Clone)]
pub(crate) struct Trip {
    pub(crate) host: HostName,
    pub(crate) zeal: Zeal,
    pub(crate) target: Target,
    pub(crate) cookies: Cookies,
}

/// Whose cookies a request carries.
#[derive(Clone)]
pub(crate) enum Cookies {
    /// The browser's own.
    Own,
    /// Those of a copy, which changes nothing in the browser.
    Copied(Arc<Mutex<Jar>>),
}

/// What a user does at a login page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zeal {
    SignIn,
    WalkAway,
}

/// Where requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Wherever the balancer sends them.
    Balanced,
    /// Here and nowhere else.
    Only(Dc),
}

/// What came of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// The application was shown, and a login page before it or not.
    Served(SsoId, Seen),
    /// A login page was the end of it.
    AskedToSignIn,
    /// There were too many rounds within a minute (D-10).
    Circling,
    /// Refused, or lost, or there were too many redirects.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    LoginPage,
    NoLoginPage,
}

impl Trip {
    /// Where a user goes with the browser's own cookies.
    pub(crate) fn to(host: &HostName, zeal: Zeal) -> Self {
        Self {
            host: host.clone(),
            zeal,
            target: Target::Balanced,
            cookies: Cookies::Own,
        }
    }
}

impl Browser {
    /// Goes to a host, and wherever it is sent from there.
    pub(crate) async fn visit(&self, world: &Arc<World>, trip: &Trip) -> Visit {
        let mut url = Url::new(&trip.host, "/");
        let mut kind = RequestKind::Get;
        let mut seen = Seen::NoLoginPage;
        for _ in 0..STEPS_MAX {
            let sent = (url.clone(), kind);
            let Some(response) = self.send(world, sent, trip).await else {
                return Visit::Nothing;
            };
            let is_again = seen == Seen::LoginPage;
            (url, kind) = match response.kind {
                ResponseKind::Served(sso) => return Visit::Served(sso, seen),
                ResponseKind::Redirect(to) => (Url::parse(&url.host, &to), RequestKind::Get),
                ResponseKind::Login(_) if trip.zeal == Zeal::WalkAway => {
                    return Visit::AskedToSignIn;
                }
                // A page that comes back means that the sign-in was refused.
                ResponseKind::Login(page) if is_again && page.notice == Notice::Refused => {
                    return Visit::AskedToSignIn;
                }
                ResponseKind::Login(page) => {
                    seen = Seen::LoginPage;
                    let user = self.state.lock().user.clone();
                    let url = Url::new(&url.host, endpoints::SIGN_IN);
                    (url, RequestKind::SignIn { page, user })
                }
                ResponseKind::Circling => return Visit::Circling,
                ResponseKind::ConfirmSignOut | ResponseKind::Page | ResponseKind::Refused => {
                    return Visit::Nothing;
                }
            };
        }
        Visit::Nothing
    }

    /// Sends a request and takes its cookies; where nobody answers, another data centre is tried.
    pub(crate) async fn send(
        &self,
        world: &Arc<World>,
        (url, kind): (Url, RequestKind),
        trip: &Trip,
    ) -> Option<Response> {
        for _ in 0..TRIES_MAX {
            let dc = match trip.target {
                Target::Balanced => self.balance(world),
                Target::Only(dc) => dc,
            };
            let request = Request {
                url: url.clone(),
                cookies: self.with_jar(&trip.cookies, |jar| header(jar, &url.host)),
                address: address(self.number),
                kind: kind.clone(),
            };
            let Some(response) = self.exchange(world, dc, request).await else {
                continue;
            };
            self.with_jar(&trip.cookies, |jar| take(jar, &url.host, &response));
            let is_served = matches!(response.kind, ResponseKind::Served(_));
            if is_served && matches!(trip.cookies, Cookies::Own) {
                self.copy_jar();
            }
            return Some(response);
        }
        None
    }

    /// One request to one data centre; the answer may get lost on the way.
    pub(crate) async fn exchange(
        &self,
        world: &Arc<World>,
        dc: Dc,
        request: Request,
    ) -> Option<Response> {
        let handle = &world.shared.handle;
        let (delay, patience, is_lost) = self.draw(|dice| {
            let is_impatient = dice.chance(30);
            let patience = if is_impatient {
                dice.between(5, 400)
            } else {
                PATIENCE
            };
            (dice.between(1, 15), patience, dice.chance(15))
        });
        let is_settling = handle.now() >= millis(world.shared.plan.active);
        handle.pause(delay).await;
        let process = world.centres[dc.0].process()?;
        world.shared.witness.tell(|| {
            let user = &self.state.lock().user;
            let Url { host, path, .. } = &request.url;
            format!(
                "browser {} ({user}) asks {dc} for {host}{path}",
                self.number
            )
        });
        let (mut answer, answered) = oneshot::channel();
        let owner = process.owner;
        handle.spawn(owner, async move {
            // A client that hangs up takes the request along.
            let response = {
                let serving = std::pin::pin!(process.serve(request));
                let gone = std::pin::pin!(answer.closed());
                match select(serving, gone).await {
                    Either::Left((response, _)) => response,
                    Either::Right(_) => return,
                }
            };
            answer.send(response).ok();
        });
        let patience = if is_settling { PATIENCE } else { patience };
        let response = handle
            .within(Duration::from_millis(patience), answered)
            .await?
            .ok()?;
        (is_settling || !is_lost).then_some(response)
    }

    pub(crate) fn balance(&self, world: &World) -> Dc {
        let plan = &world.shared.plan;
        let mut state = self.state.lock();
        let state = &mut *state;
        let is_up = world.centres[state.last.0].process().is_some();
        let other = (state.last.0 + 1 + state.dice.below(plan.centres - 1)) % plan.centres;
        state.last = match plan.balancer {
            Balancer::Adversarial => Dc(other),
            Balancer::Random => Dc(state.dice.below(plan.centres)),
            Balancer::Sticky if is_up && !state.dice.chance(60) => state.last,
            Balancer::Sticky => Dc(other),
        };
        state.last
    }

    fn with_jar<T>(&self, cookies: &Cookies, act: impl FnOnce(&mut Jar) -> T) -> T {
        match cookies {
            Cookies::Own => act(&mut self.state.lock().jar),
            Cookies::Copied(jar) => act(&mut jar.lock()),
        }
    }

    fn copy_jar(&self) {
        let mut state = self.state.lock();
        let copy = state.jar.clone();
        if state.copies.len() >= COPIES_MAX {
            let drop = state.dice.below(COPIES_MAX);
            state.copies.swap_remove(drop);
        }
        state.copies.push(copy);
    }
}

fn take(jar: &mut Jar, host: &HostName, response: &Response) {
    for cookie in &response.set_cookies {
        jar.take(host.as_str(), "https", cookie);
    }
}

/// Redirects and pages in a row.
pub(crate) const STEPS_MAX: usize = 14;
/// Data centres tried for one request.
const TRIES_MAX: usize = 3;
/// How long a browser waits, in milliseconds.
const PATIENCE: u64 = 20_000;
const COPIES_MAX: usize = 6;
