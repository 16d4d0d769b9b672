//! `portway explain`: what the gateway would say to a request, and why: virtual host, route, each rule, decision.
//!
//! The configuration is compiled as for serving, and the code that decides requests decides. Nothing is
//! started or asked: who is signed in is what the command line says.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;
use clap::Args;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Uri;

use crate::cli::ConfigArgs;
use crate::config::Config;
use crate::config::PlainHttp;
use crate::config::Route;
use crate::config::VirtualHost;
use crate::config::load;
use crate::decision::admission::Asked;
use crate::decision::admission::Decision;
use crate::decision::admission::LoginCause;
use crate::decision::admission::Standing;
use crate::decision::admission::decide;
use crate::decision::authorization::Verdict;
use crate::decision::authorization::authorize;
use crate::decision::endpoints::PREFIX;
use crate::decision::explanation::Judged;
use crate::decision::explanation::explain;
use crate::decision::facts::RequestFacts;
use crate::decision::facts::Subject;
use crate::decision::forwarded::Scheme;
use crate::decision::path::NormalPath;
use crate::decision::path::normalise;
use crate::decision::policy::Access;
use crate::decision::policy::Effect;
use crate::decision::routing::HostTable;
use crate::decision::routing::RouteFound;
use crate::decision::routing::RouteTable;
use crate::model::id::RequestId;
use crate::model::identity::AuthLevel;
use crate::model::name::AttributeName;
use crate::model::name::GroupName;
use crate::model::name::HostName;
use crate::model::name::UserName;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::id_bytes;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

mod who;

/// A request, and who makes it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the request is let in, 1 it is not, 2 the question or the configuration has a fault.

Examples:
  portway explain GET https://app.example.com/reports --user bob
  portway explain POST \"https://app.example.com/orders?tab=new\" --user bob --group sales \\
    --header \"X-Tenant: blue\" --address 10.1.2.3 --at 2026-12-24T18:30:00Z"
)]
pub(super) struct ExplainArgs {
    /// The method, such as GET
    method: Method,
    /// The address, such as https://app.example.com/reports
    url: Uri,
    /// Who is signed in; nobody without it. Groups and attributes are those of the users file, unless some
    /// are given here
    #[arg(long, value_parser = UserName::parse)]
    user: Option<UserName>,
    /// A group of the user; may be given several times
    #[arg(long, requires = "user", value_parser = GroupName::parse)]
    group: Vec<GroupName>,
    /// An attribute of the user; given again with the same name, it is a list
    #[arg(long, requires = "user", value_name = "NAME=VALUE", value_parser = who::attribute)]
    attribute: Vec<(AttributeName, String)>,
    /// An attribute that a policy gave the session
    #[arg(long, requires = "user", value_name = "NAME=VALUE", value_parser = who::attribute)]
    session_attribute: Vec<(AttributeName, String)>,
    /// How surely the user is signed in; by default as a password makes it
    #[arg(long, requires = "user", value_parser = who::level)]
    level: Option<AuthLevel>,
    /// A header of the request; may be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = who::header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// The client's address
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// The time, such as 2026-12-24T18:30:00Z; by default now
    #[arg(long, value_name = "TIME", value_parser = who::moment)]
    at: Option<Timestamp>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Says it: 0 when the request is let in, 1 when it is not, 2 when the question or the configuration has a
/// fault.
pub(super) fn run(args: &ExplainArgs) -> ExitCode {
    let path = &args.config.config;
    let config = match load::load(path) {
        Ok(config) => config,
        Err(faults) => return super::check::refuse(path, &faults),
    };
    match told(args, &config) {
        Ok(told) => {
            super::say(&told.lines.join("\n"));
            super::say("\n");
            told.outcome.code()
        }
        Err(error) => {
            super::complain(&format!("error: {error:#}\n"));
            ExitCode::from(super::FAULTY)
        }
    }
}

/// What there is to tell.
struct Told {
    lines: Vec<String>,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    LetIn,
    NotLetIn,
}

impl Outcome {
    fn code(self) -> ExitCode {
        match self {
            Self::LetIn => ExitCode::SUCCESS,
            Self::NotLetIn => ExitCode::FAILURE,
        }
    }
}

impl Told {
    fn line(&mut self, heading: &str, text: &str) {
        self.lines.push(format!("{heading:<14} {text}"));
    }

    /// The end of it.
    fn end(mut self, outcome: Outcome, text: &str) -> Self {
        self.line("decision", text);
        self.outcome = outcome;
        self
    }
}

fn told(args: &ExplainArgs, config: &Config) -> anyhow::Result<Told> {
    let mut told = Told {
        lines: Vec::new(),
        outcome: Outcome::NotLetIn,
    };
    let now = args.at.unwrap_or_else(|| SystemClock.now());
    let session = who::session(args, config, now)?;
    told.line("request", &format!("{} {}", args.method, args.url));
    told.line("user", &shown(session.as_ref()));
    let scheme = match args.url.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => bail!("the address has to begin with https:// or http://"),
    };
    let host = args.url.host().context("the address names no host")?;
    let host = HostName::parse(host).with_context(|| format!("`{host}` is no host name"))?;
    let path = match normalise(args.url.path()) {
        Ok(path) => path,
        Err(refusal) => return Ok(told.end(Outcome::NotLetIn, &format!("refused: {refusal}"))),
    };
    let place = (scheme, &host, &path);
    let route = match way(args, config, place, &mut told) {
        Ok(route) => route,
        Err((outcome, text)) => return Ok(told.end(outcome, &text)),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &args.header {
        headers.append(name, value.clone());
    }
    let request = RequestFacts {
        id: RequestId::from_bytes(id_bytes(&SystemEntropy::new())),
        method: &args.method,
        scheme,
        host: host.as_str(),
        path: path.as_str(),
        query: args.url.query(),
        headers: &headers,
        address: args.address,
        tls: None,
    };
    Ok(decided(told, route, (session, request), now))
}

/// The route that a request comes to, or the answer that it gets before.
fn way<'c>(
    args: &ExplainArgs,
    config: &'c Config,
    (scheme, host, path): (Scheme, &HostName, &NormalPath<'_>),
    told: &mut Told,
) -> Result<&'c Route, (Outcome, String)> {
    let ours = || (Outcome::LetIn, "Portway itself answers".to_owned());
    let not = |text: &str| (Outcome::NotLetIn, text.to_owned());
    let collector = config.collector.as_ref();
    if collector.is_some_and(|collector| collector.host == *host) {
        told.line("virtual host", "the collector's");
        return Err(ours());
    }
    let hosts = config.virtual_hosts.iter();
    let hosts = hosts.flat_map(|at| at.hosts.iter().map(move |name| (name.clone(), at)));
    let hosts: HostTable<&VirtualHost> = hosts.collect();
    let found = hosts.find(host.as_str());
    let found = *found.ok_or_else(|| not("refused: no virtual host has this name"))?;
    let names: Vec<String> = found.hosts.iter().map(ToString::to_string).collect();
    told.line("virtual host", &names.join(", "));
    if let Some(text) = on_plain_http(scheme, found) {
        return Err(not(text));
    }
    if path.as_str().starts_with(PREFIX) {
        return Err(ours());
    }
    let maintenance = found.maintenance.as_ref();
    if maintenance.is_some_and(|maintenance| maintenance.keeps_out(args.address)) {
        return Err(not("the virtual host is in maintenance"));
    }
    let entries = found.routes.iter().map(|route| route.entry(route));
    let table = RouteTable::new(entries.collect());
    let route = match table.find(path, &args.method) {
        RouteFound::Found(route) => *route,
        RouteFound::MethodNotAllowed(methods) => {
            let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
            let methods = methods.join(", ");
            return Err(not(&format!(
                "refused: the route of this path has {methods}"
            )));
        }
        RouteFound::NotFound => return Err(not("no route has this path")),
        RouteFound::Refused(refusal) => return Err(not(&format!("refused: {refusal}"))),
    };
    told.line("route", &shown_route(route));
    if !route.addresses.let_in(args.address) {
        return Err(not("denied: the route does not let this address in"));
    }
    if scheme == Scheme::Http && route.access == Access::Protected {
        return Err(not(TO_HTTPS));
    }
    Ok(route)
}

/// What the code that decides requests says, and what each rule has to do with it.
fn decided(
    mut told: Told,
    route: &Route,
    (session, request): (Option<Session>, RequestFacts<'_>),
    now: Timestamp,
) -> Told {
    let asked = Asked {
        access: route.access,
        policy: &route.policy,
        level: route.level,
        activity: route.activity,
        request,
    };
    let standing = match session.clone() {
        None => Standing::Anonymous,
        Some(session) => {
            let level = session.facts.level;
            Standing::SignedIn(Arc::new(session), level)
        }
    };
    let known = session
        .as_ref()
        .map(|session| (session, session.facts.level));
    let subject = Subject::of(known, &request, now);
    let decision = decide(&asked, standing, now);
    let by_rules = route.access == Access::Protected && !matches!(decision, Decision::LogIn(_));
    let verdict = by_rules.then(|| authorize(&route.policy, &subject));
    let decisive = match verdict {
        Some(Verdict::Allow(rule) | Verdict::Deny(Some(rule))) => Some(rule),
        Some(Verdict::Deny(None)) | None => None,
    };
    if verdict.is_some() {
        let rules = explain(&route.policy, &subject);
        for (at, rule) in rules.iter().enumerate() {
            let heading = format!("rule {}", at.saturating_add(1));
            told.line(&heading, &shown_rule(rule, (at, decisive)));
        }
    }
    let rule = decisive.map_or(0, |rule| rule.saturating_add(1));
    match decision {
        Decision::Allow(_) => {
            let text = match (route.access, decisive) {
                (Access::Protected, Some(_)) => format!("let in, by rule {rule}"),
                (Access::Protected, None) => "let in".to_owned(),
                (Access::Unprotected, _) => "let in, as everybody; who it is goes along".to_owned(),
                (Access::Excluded, _) => {
                    "let in, as everybody; who it is does not go along".to_owned()
                }
            };
            told.end(Outcome::LetIn, &text)
        }
        Decision::Deny(_) if decisive.is_some() => {
            told.end(Outcome::NotLetIn, &format!("denied, by rule {rule}"))
        }
        Decision::Deny(_) => told.end(Outcome::NotLetIn, "denied: no rule allows it"),
        Decision::LogIn(LoginCause::NotSignedIn) => told.end(
            Outcome::NotLetIn,
            "asked to sign in; the rules are asked after that",
        ),
        Decision::LogIn(LoginCause::LevelTooLow) => {
            let level = route.level.get();
            let text = format!("asked to sign in more surely: the route asks for level {level}");
            told.end(Outcome::NotLetIn, &text)
        }
    }
}

/// The answer that a host gives by plain http, whatever it is asked for.
fn on_plain_http(scheme: Scheme, host: &VirtualHost) -> Option<&'static str> {
    match (scheme, host.plain_http) {
        (Scheme::Https, _) | (Scheme::Http, PlainHttp::Serve) => None,
        (Scheme::Http, PlainHttp::Redirect) => Some(TO_HTTPS),
        (Scheme::Http, PlainHttp::Refuse) => {
            Some("refused: this host answers nothing by plain http")
        }
    }
}

fn shown(session: Option<&Session>) -> String {
    let Some(session) = session else {
        return "nobody is signed in".to_owned();
    };
    let identity = &session.identity;
    let groups: Vec<&str> = identity.groups.iter().map(GroupName::as_str).collect();
    let groups = match groups.as_slice() {
        [] => "no groups".to_owned(),
        some => some.join(", "),
    };
    let level = session.facts.level.get();
    format!("{} ({groups}), level {level}", identity.subject.as_str())
}

fn shown_route(route: &Route) -> String {
    let access = match route.access {
        Access::Excluded => "excluded".to_owned(),
        Access::Unprotected => "unprotected".to_owned(),
        Access::Protected if route.policy_name.is_empty() => {
            "protected, by rules of its own".to_owned()
        }
        Access::Protected => format!("protected, policy {}", route.policy_name),
    };
    format!("{} ({access})", route.name)
}

fn shown_rule(rule: &Judged, (at, decisive): (usize, Option<usize>)) -> String {
    let effect = match rule.effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    let holds = match (rule.holds, rule.effect) {
        (Some(true), _) => "true",
        (Some(false), _) => "false",
        (None, Effect::Allow) => "unknown, counts as false",
        (None, Effect::Deny) => "unknown, counts as true",
    };
    let place = match decisive {
        Some(decisive) if at == decisive => ", decides",
        Some(decisive) if at > decisive => ", not asked",
        _ => "",
    };
    let because: Vec<String> = rule.because.iter().map(ToString::to_string).collect();
    let colon = if because.is_empty() { "" } else { ": " };
    format!("{effect}: {holds}{place}{colon}{}", because.join("; "))
}

const TO_HTTPS: &str = "sent to https; ask about that address";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ExplainArgs,
    }

    fn ask(words: &[&str]) -> (Vec<String>, Outcome) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        for (name, label) in [("a.crt", "CERTIFICATE"), ("a.key", "PRIVATE KEY")] {
            let pem = format!("-----BEGIN {label}-----\n{name}\n-----END {label}-----\n");
            std::fs::write(folder.path().join(name), pem).unwrap();
        }
        std::fs::write(&path, CONFIG).unwrap();
        let words = [&["explain"], words].concat();
        let line = Line::try_parse_from(words).unwrap();
        let told = told(&line.args, &load::load(&path).unwrap()).unwrap();
        (told.lines, told.outcome)
    }

    #[test]
    fn every_rule_is_told_and_the_one_that_decides() {
        let bob = ["GET", "https://app.test/shop?t=a&t=b", "--user", "bob"];
        let (lines, outcome) = ask(&[&bob[..], &["--group", "sales"]].concat());
        assert_eq!(
            lines,
            [
                "request        GET https://app.test/shop?t=a&t=b",
                "user           bob (sales), level 10",
                "virtual host   app.test",
                "route          /shop (protected, policy shop)",
                "rule 1         allow: false",
                "rule 2         allow: unknown, counts as false: request.query.t is there more than once and \
                 differs, or is no text",
                "rule 3         allow: unknown, counts as false: user.attributes.desk is absent",
                "rule 4         allow: true, decides",
                "rule 5         deny: false, not asked",
                "decision       let in, by rule 4",
            ]
        );
        assert_eq!(outcome, Outcome::LetIn);
        let desk = ["--attribute", "desk=north"];
        let (lines, _) = ask(&[&bob[..], &desk].concat());
        assert_eq!(lines[9], "decision       let in, by rule 3");
    }

    #[test]
    fn what_is_not_let_in_says_where_it_ends() {
        let ends = |words: &[&str]| {
            let (lines, outcome) = ask(words);
            assert_eq!(outcome, Outcome::NotLetIn, "{lines:?}");
            lines.last().unwrap().get(15..).unwrap().to_owned()
        };
        let shop = "https://app.test/shop";
        assert_eq!(
            ends(&["GET", shop]),
            "asked to sign in; the rules are asked after that"
        );
        let bob = ["--user", "bob", "--group", "staff"];
        assert_eq!(
            ends(&[&["GET", shop][..], &bob].concat()),
            "denied: no rule allows it"
        );
        let high = ["GET", "https://app.test/high"];
        let unsure = [&high[..], &bob, &["--level", "5"]].concat();
        assert!(ends(&unsure).ends_with("the route asks for level 10"));
        assert_eq!(
            ends(&["POST", "https://app.test/read"]),
            "refused: the route of this path has GET, HEAD"
        );
        // Which routes there are is of no interest before.
        for by_http in ["/shop", "/none", "/.portway/logout"] {
            let address = format!("http://app.test{by_http}");
            assert_eq!(
                ends(&["GET", &address]),
                "sent to https; ask about that address"
            );
        }
        assert_eq!(
            ends(&["GET", "https://other.test/"]),
            "refused: no virtual host has this name"
        );
        assert_eq!(
            ends(&["GET", "https://app.test/none"]),
            "no route has this path"
        );
        let night = [
            "GET",
            "https://app.test/hours",
            "--at",
            "2026-11-23T23:00:00Z",
        ];
        assert_eq!(
            ends(&[&night[..], &bob].concat()),
            "denied: no rule allows it"
        );
        let (_, outcome) = ask(&[&night[..3], &["2026-11-23T12:00:00Z"], &bob].concat());
        assert_eq!(outcome, Outcome::LetIn);
    }

    const CONFIG: &str = r#"listeners:
  - name: https
    bind: 127.0.0.1:0
    tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] }
collector: { host: login.test }
authentication: { users_file: users.yaml }
pools: { app: { primary: ['127.0.0.1:1'] } }
policies:
  shop:
    - allow: { address: 10.0.0.0/8 }
    - allow: { query: { name: t, is: a } }
    - allow: { when: "user.attributes.desk == 'north'" }
    - allow: { group: sales }
    - deny: { user: mallory }
virtual_hosts:
  - host: app.test
    routes:
      - { path: /shop, access: protected, policy: shop, pool: app }
      - { path: /high, access: protected, policy: shop, level: 10, pool: app }
      - { path: /read, methods: [GET], access: excluded, pool: app }
      - path: /hours
        access: protected
        policy: [{ allow: { time: { zone: UTC, from: "08:00", to: "18:00" } } }]
        pool: app
"#;
}
