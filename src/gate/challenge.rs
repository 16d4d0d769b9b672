//! Asks for a sign-in: browsers are sent to the collector, programs get a refusal they can read (D-8).

use crate::crypto::bearer::Bearer;
use crate::crypto::claims::AuthnCookie;
use crate::crypto::claims::Freshness;
use crate::crypto::claims::Seen;
use crate::crypto::claims::SignInRequest;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::admission::Standing;
use crate::decision::cookies;
use crate::decision::cookies::CookieNames;
use crate::decision::endpoints;
use crate::decision::hand_over;
use crate::decision::origins::is_within_host;
use crate::decision::origins::nearest;
use crate::decision::origins::way_back;
use crate::decision::percent::escape;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::gate::Caller;
use crate::gate::Gate;
use crate::gate::replay::Post;
use crate::model::claim::Activity;
use crate::model::claim::HostLimits;
use crate::model::claim::NotLive;
use crate::model::id::Nonce;
use crate::model::identity::AuthLevel;
use crate::model::name::HostName;
use crate::ports::entropy::id_bytes;

/// Who would see the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A browser that is going to a page; a redirect takes it there.
    Navigation,
    /// A script or another program; a redirect would only confuse it.
    Program,
}

/// A request that needs a sign-in.
#[derive(Clone, Copy, Debug)]
pub struct Challenged<'a> {
    /// The host it came to.
    pub host: &'a HostName,
    /// Path and query to come back to. Where a program asks, those of the page that it belongs to.
    pub target: &'a str,
    /// Who asks.
    pub asker: Asker,
    /// The level that is needed.
    pub level: AuthLevel,
    /// The request's `Cookie` headers.
    pub cookies: &'a [&'a [u8]],
    /// Who made it.
    pub bearer: Bearer<'a>,
    /// How recent the authentication has to be.
    pub freshness: Freshness,
    /// What the host asks of sessions, which the collector goes by as well: it would hand over again what
    /// is not taken.
    pub limits: HostLimits,
    /// Whether the request would have been activity; if not, neither is it to be sent to the collector and
    /// back.
    pub activity: Activity,
    /// Why the session of a good cookie was not honoured, where there was one.
    pub refused: Option<NotLive>,
    /// What is to be sent again after the sign-in, if anything is.
    pub post: Option<&'a Post>,
}

impl Gate {
    /// Answers a request that needs a sign-in. One nonce cookie serves any number of tabs (D-9).
    #[must_use]
    pub fn challenge(&self, challenged: &Challenged<'_>) -> Reply {
        let (Some(collector), Some(host)) =
            (self.origins.collector(), self.origins.collector_host())
        else {
            // Configuration refuses protected routes without a collector; without one nobody gets in.
            return Reply::new(ReplyKind::SignInRequired {
                sign_in: String::new(),
            });
        };
        if challenged.asker == Asker::Program {
            let own = self.origins.of(challenged.host);
            return Reply::new(ReplyKind::SignInRequired {
                sign_in: own.map_or_else(
                    || format!("{collector}/"),
                    |own| hint(&own, challenged.target, challenged.level),
                ),
            });
        }
        let held = self.names.nonces(challenged.cookies).next();
        let nonce = held.unwrap_or_else(|| Nonce::from_bytes(id_bytes(self.entropy.as_ref())));
        let target = match way_back(challenged.target) {
            Some(target) => self.target_after(challenged, &target, &nonce),
            // A post is sent to where it was meant for, or nowhere: this is a GET.
            None => nearest(challenged.target).to_owned(),
        };
        let request = SignInRequest {
            host: challenged.host.clone(),
            target,
            nonce,
            level: challenged.level,
            issued: self.clock.now(),
            freshness: challenged.freshness,
            seen: self.seen(challenged, held.as_ref()),
            limits: challenged.limits,
            activity: challenged.activity,
        };
        let name = endpoints::REQUEST;
        let binding = Binding {
            purpose: Purpose::SignInRequest,
            name,
            scope: host.as_str(),
        };
        let sealed = self.seal(&binding, &request);
        let location = format!("{collector}{}?{name}={sealed}", endpoints::SIGN_IN);
        let reply = Reply::new(ReplyKind::Redirect(location));
        match held {
            Some(_) => reply,
            None => reply.with_cookie(cookies::set(
                &self.names.nonce,
                &cookies::encode_nonce(&nonce),
            )),
        }
    }

    /// Answers a browser that follows the hint which a program of one of its pages was given: it is asked to sign in
    /// as the program's request was, and comes back to the page. Nothing in an address of this kind is a secret or
    /// believed: whoever makes one up leads to a sign-in, and to a page of this host.
    pub async fn sign_in_for_a_page(
        &self,
        caller: &Caller<'_>,
        (target, level): (Option<&str>, Option<&str>),
        asker: Asker,
    ) -> Reply {
        let target = target.filter(|target| is_page(target)).unwrap_or("/");
        let level = level.and_then(|level| AuthLevel::new(level.parse().ok()?));
        let level = level.unwrap_or(AuthLevel::NONE);
        let known = self.standing_of(caller).await;
        if matches!(&known.standing, Standing::SignedIn(_, held) if *held >= level) {
            return Reply::new(ReplyKind::Redirect(target.to_owned()));
        }
        self.challenge(&Challenged {
            host: caller.host,
            target,
            asker,
            level,
            cookies: caller.cookies,
            bearer: caller.bearer(),
            freshness: hand_over::demanded(known.refused),
            limits: caller.limits,
            activity: Activity::Counts,
            refused: known.refused,
            post: None,
        })
    }

    /// What came with the browser, for the diagnosis (D-10).
    fn seen(&self, challenged: &Challenged<'_>, nonce: Option<&Nonce>) -> Seen {
        if let Some(why) = challenged.refused {
            return hand_over::seen(why);
        }
        let lines = challenged.cookies.iter().copied();
        let Some(sealed) = CookieNames::find(lines, &self.names.authn).next() else {
            return nonce.map_or(Seen::Nothing, |_| Seen::NonceOnly);
        };
        let binding = self.authn_binding(challenged.host);
        let Some(cookie) = self.keys.open_claims::<AuthnCookie>(&binding, sealed) else {
            return Seen::Unreadable;
        };
        let (terms, now) = (self.terms.current(), self.clock.now());
        match terms.as_ref() {
            None => Seen::Unconfirmed,
            Some(settings) if !settings.believes(cookie.issued, now) => Seen::ClocksDiffer,
            Some(_) => {
                let checked = cookie.bound.check(&cookie.facts.sso, &challenged.bearer);
                checked.map_or(Seen::Strayed, |()| Seen::Good)
            }
        }
    }
}

/// The path and query of the page of a host that a program belongs to, by the `Referer` of its request; the host's
/// first page where that names none.
#[must_use]
pub fn page_behind<'r>(referer: Option<&'r str>, origin: &str) -> &'r str {
    let own = referer.and_then(|referer| referer.strip_prefix(origin));
    let own = own.and_then(|own| own.split('#').next());
    own.filter(|target| is_page(target)).unwrap_or("/")
}

/// Where a program's user signs in for what it asked for (D-8).
fn hint(origin: &str, target: &str, level: AuthLevel) -> String {
    let mut hint = format!("{origin}{}", endpoints::SIGN_IN).into_bytes();
    hint.extend_from_slice(b"?");
    hint.extend_from_slice(endpoints::RETURN.as_bytes());
    hint.push(b'=');
    let target = if is_page(target) { target } else { "/" };
    let is_plain = |_, byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    escape(&mut hint, target, is_plain);
    if level > AuthLevel::NONE {
        hint.extend_from_slice(format!("&{}={}", endpoints::LEVEL, level.get()).as_bytes());
    }
    String::from_utf8(hint).unwrap_or_default()
}

/// Whether a target is one of the application's, and not one of Portway's own.
fn is_page(target: &str) -> bool {
    is_within_host(target) && !target.starts_with(endpoints::PREFIX)
}
