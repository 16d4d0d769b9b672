//! `portway explain`: what the gateway would say to a request, and why: virtual host, route, each rule, decision.
//!
//! The configuration is compiled as for serving, and the code that decides requests and looks at certificates
//! decides. Nothing is started or asked: who is signed in is what the command line says.

use std::collections::HashSet;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::path::PathBuf;
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
use http::uri::Authority;

use crate::cli::ConfigArgs;
use crate::cli::explain::answer::Answer;
use crate::cli::explain::answer::Outcome;
use crate::cli::node::Shown;
use crate::config::Config;
use crate::config::Route;
use crate::config::VirtualHost;
use crate::config::load;
use crate::decision::admission::Asked;
use crate::decision::admission::Decision;
use crate::decision::admission::Standing;
use crate::decision::admission::decide;
use crate::decision::authorization::Verdict;
use crate::decision::authorization::authorize;
use crate::decision::endpoints::PREFIX;
use crate::decision::explanation::explain;
use crate::decision::facts::RequestFacts;
use crate::decision::facts::Subject;
use crate::decision::forwarded::Scheme;
use crate::decision::path::NormalPath;
use crate::decision::path::PathRefusal;
use crate::decision::path::normalise;
use crate::decision::policy::Access;
use crate::decision::routing::RouteFound;
use crate::decision::routing::RouteTable;
use crate::decision::routing::Traits;
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
use crate::proxy::inbound;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

mod answer;
mod client;
mod entrance;
mod host;
mod upstream;
mod who;
mod words;

/// A request, and who makes it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the request is let in, 1 it is not, 2 the question or the configuration has a fault.

Examples:
  portway explain GET https://app.example.com/reports --user bob
  portway explain POST \"https://app.example.com/orders?tab=new\" --user bob --group sales \\
    --header \"X-Tenant: blue\" --address 10.1.2.3 --at 2026-12-24T18:30:00Z
  portway explain GET https://devices.example.com/ --client-certificate device.pem --json"
)]
pub(super) struct ExplainArgs {
    /// The method, such as GET
    method: Method,
    /// The address, such as https://app.example.com/reports
    #[arg(value_parser = who::address)]
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
    /// The certificate that the client shows, with what it sends along, as PEM; none without it
    #[arg(long, value_name = "FILE")]
    client_certificate: Option<PathBuf>,
    #[command(flatten)]
    shown: Shown,
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
    match answer(args, &config) {
        Ok(answer) => {
            if args.shown.json {
                super::say_json(&answer);
            } else {
                super::say(&answer.lines().join("\n"));
                super::say("\n");
            }
            answer.decision.outcome.code()
        }
        Err(error) => {
            super::complain(&format!("error: {error:#}\n"));
            ExitCode::from(super::FAULTY)
        }
    }
}

/// Why a request goes no further.
enum Halt {
    /// It comes to this.
    At(Outcome, String),
    /// It cannot be told.
    Fault(anyhow::Error),
}

impl Halt {
    fn at(outcome: Outcome, text: impl Into<String>) -> Self {
        Self::At(outcome, text.into())
    }
}

impl From<anyhow::Error> for Halt {
    fn from(error: anyhow::Error) -> Self {
        Self::Fault(error)
    }
}

/// What is asked, beside what is on the command line.
struct Question<'a> {
    args: &'a ExplainArgs,
    config: &'a Config,
    scheme: Scheme,
    host: HostName,
    now: Timestamp,
}

fn answer(args: &ExplainArgs, config: &Config) -> anyhow::Result<Answer> {
    let now = args.at.unwrap_or_else(|| SystemClock.now());
    let session = who::session(args, config, now)?;
    let request = answer::Request {
        method: args.method.to_string(),
        url: args.url.to_string(),
    };
    let mut answer = Answer::to(request, session.as_ref().map(words::user));
    let scheme = match args.url.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => bail!("the address has to begin with https:// or http://"),
    };
    let host = args.url.host().context("the address names no host")?;
    let host = HostName::parse(host).with_context(|| format!("`{host}` is no host name"))?;
    let question = Question {
        args,
        config,
        scheme,
        host,
        now,
    };
    match question.walk(session, &mut answer) {
        Ok((outcome, text)) | Err(Halt::At(outcome, text)) => Ok(answer.end(outcome, text)),
        Err(Halt::Fault(error)) => Err(error),
    }
}

impl<'a> Question<'a> {
    /// The journey of the request, noted on the way.
    fn walk(
        &self,
        session: Option<Session>,
        answer: &mut Answer,
    ) -> Result<(Outcome, String), Halt> {
        let args = self.args;
        self.check_form()?;
        let entrances = self.entrances()?;
        let path = normalise(args.url.path());
        let path = path.map_err(|refusal| refused(&refusal))?;
        let host = self.virtual_host(&entrances, answer)?;
        let file = args.client_certificate.as_deref();
        answer.client_certificate = client::asked_for(host, file);
        let asks = host.client_certificates.as_ref();
        let tls = client::judged(asks, file, self.scheme, self.now)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &args.header {
            headers.append(name, value.clone());
        }
        let request = RequestFacts {
            id: RequestId::from_bytes(id_bytes(&SystemEntropy::new())),
            method: &args.method,
            scheme: self.scheme,
            host: self.host.as_str(),
            path: path.as_str(),
            query: args.url.query(),
            headers: &headers,
            address: args.address,
            tls: tls.as_ref(),
        };
        if let Some(told) = &mut answer.client_certificate {
            told.facts = client::facts(&Subject::of(None, &request, self.now)).collect();
        }
        let route = self.route(host, &path, &request)?;
        answer.route = Some(words::route(route));
        if !route.addresses.let_in(args.address) {
            return Err(Halt::at(
                Outcome::Denied,
                "denied: the route does not let this address in",
            ));
        }
        if self.scheme == Scheme::Http && route.access == Access::Protected {
            return Err(Halt::at(Outcome::ToHttps, TO_HTTPS));
        }
        self.decided(route, (session, request), answer)
    }

    /// What the gateway refuses before it looks where a request goes.
    fn check_form(&self) -> Result<(), Halt> {
        let routes = self.config.virtual_hosts.iter().flat_map(|at| &at.routes);
        let named = routes.flat_map(|route| route.methods.iter().cloned());
        let named: HashSet<Method> = named.collect();
        let authority = self.args.url.authority().map_or("", Authority::as_str);
        let checked = inbound::check_method(&self.args.method, &named)
            .and_then(|()| inbound::host_and_port(authority));
        match checked {
            Ok(_) => Ok(()),
            Err(error) => Err(Halt::at(Outcome::Refused, format!("refused: {error}"))),
        }
    }

    /// The route that a request comes to, or the answer that it gets before.
    fn route(
        &self,
        host: &'a VirtualHost,
        path: &NormalPath<'_>,
        request: &RequestFacts<'_>,
    ) -> Result<&'a Route, Halt> {
        let args = self.args;
        if path.as_str().starts_with(PREFIX) {
            return Err(self.ours());
        }
        let maintenance = host.maintenance.as_ref();
        if maintenance.is_some_and(|maintenance| maintenance.keeps_out(args.address)) {
            return Err(Halt::at(
                Outcome::Maintenance,
                "the virtual host is in maintenance",
            ));
        }
        let entries = host.routes.iter().map(|route| route.entry(route));
        let table = RouteTable::new(entries.collect());
        match table.find_for(path, &Traits::of(request)) {
            RouteFound::Found(route) => Ok(*route),
            RouteFound::MethodNotAllowed(methods) => {
                let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
                Err(Halt::at(
                    Outcome::MethodNotAllowed,
                    format!("refused: the route of this path has {}", methods.join(", ")),
                ))
            }
            RouteFound::NotFound => {
                let has_path = !matches!(table.find(path, &args.method), RouteFound::NotFound);
                let text = if has_path {
                    "no route of this path is for such a request"
                } else {
                    "no route has this path"
                };
                Err(Halt::at(Outcome::NotFound, text))
            }
            RouteFound::Refused(refusal) => Err(refused(&refusal)),
            RouteFound::Unclear => Err(Halt::at(Outcome::Refused, UNCLEAR)),
        }
    }

    /// What the code that decides requests says, and what each rule has to do with it.
    fn decided(
        &self,
        route: &Route,
        (session, request): (Option<Session>, RequestFacts<'_>),
        answer: &mut Answer,
    ) -> Result<(Outcome, String), Halt> {
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
        let subject = Subject::of(known, &request, self.now);
        let decision = decide(&asked, standing, self.now);
        let by_rules = route.access == Access::Protected && !matches!(decision, Decision::LogIn(_));
        let verdict = by_rules.then(|| authorize(&route.policy, &subject));
        let decisive = match verdict {
            Some(Verdict::Allow(rule) | Verdict::Deny(Some(rule))) => Some(rule),
            Some(Verdict::Deny(None)) | None => None,
        };
        if verdict.is_some() {
            let rules = explain(&route.policy, &subject).into_iter().enumerate();
            answer.rules = rules.map(|rule| words::rule(rule, decisive)).collect();
        }
        answer.decision.rule = decisive.map(|rule| rule.saturating_add(1));
        if let Decision::Allow(permit) = &decision
            && route.destination.pools().is_some()
        {
            let names = &self.config.identity_headers;
            let told = upstream::headers(route, names, (permit, &request), self.now);
            // The gateway answers with 431 then.
            let told =
                told.map_err(|error| Halt::at(Outcome::Refused, format!("refused: {error:#}")))?;
            answer.upstream_headers = Some(told);
        }
        Ok(words::outcome(&decision, route, answer.decision.rule))
    }
}

fn refused(refusal: &PathRefusal) -> Halt {
    Halt::at(Outcome::Refused, format!("refused: {refusal}"))
}

const OURS: &str = "Portway itself answers";
const UNCLEAR: &str =
    "refused: by what tells the routes of this path apart, the request can be read in two ways";
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
        let (answer, outcome) = asked(words);
        (answer.lines(), outcome)
    }

    fn asked(words: &[&str]) -> (Answer, Outcome) {
        asked_of(CONFIG, words)
    }

    fn asked_of(config: &str, words: &[&str]) -> (Answer, Outcome) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        for (name, label) in [("a.crt", "CERTIFICATE"), ("a.key", "PRIVATE KEY")] {
            let pem = format!("-----BEGIN {label}-----\n{name}\n-----END {label}-----\n");
            std::fs::write(folder.path().join(name), pem).unwrap();
        }
        std::fs::write(&path, config).unwrap();
        let words = [&["explain"], words].concat();
        let line = Line::try_parse_from(words).unwrap();
        let answer = answer(&line.args, &load::load(&path).unwrap()).unwrap();
        let outcome = answer.decision.outcome;
        (answer, outcome)
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
                "to upstream    remote-user: bob",
                "               remote-groups: sales",
                "decision       let in, by rule 4",
            ]
        );
        assert_eq!(outcome, Outcome::Allowed);
        let desk = ["--attribute", "desk=north"];
        let (lines, _) = ask(&[&bob[..], &desk].concat());
        assert_eq!(lines.last().unwrap(), "decision       let in, by rule 3");
    }

    /// The gateway answers with 431; it is no fault of the question.
    #[test]
    fn what_no_header_can_say_of_a_user_is_a_refusal() {
        let names: Vec<String> = (0..40).map(|n| format!("{n:0>250}")).collect();
        let groups = names.iter().flat_map(|name| ["--group", name.as_str()]);
        let bob = [
            "GET",
            "https://app.test/shop",
            "--user",
            "bob",
            "--group",
            "sales",
        ];
        let words: Vec<&str> = bob.into_iter().chain(groups).collect();
        let (lines, outcome) = ask(&words);
        assert_eq!(outcome, Outcome::Refused);
        let last = lines.last().unwrap();
        assert!(last.starts_with("decision       refused: "), "{last}");
    }

    #[test]
    fn programs_read_the_same_by_names_that_stay() {
        let (answer, _) = asked(&[
            "GET",
            "https://app.test/shop",
            "--user",
            "bob",
            "--group",
            "sales",
        ]);
        let absent = "user.attributes.desk is absent";
        let rule = |effect: &str, holds: Option<bool>, place: (bool, bool), because: &[&str]| {
            let (decides, asked) = place;
            serde_json::json!({ "effect": effect, "holds": holds, "decides": decides, "asked": asked, "because": because })
        };
        assert_eq!(
            serde_json::to_value(&answer).unwrap(),
            serde_json::json!({
                "request": { "method": "GET", "url": "https://app.test/shop" },
                "user": { "name": "bob", "groups": ["sales"], "level": 10 },
                "virtual_host": ["app.test"],
                "client_certificate": null,
                "route": { "name": "/shop", "access": "protected", "policy": "shop" },
                "rules": [
                    rule("allow", Some(false), (false, true), &[]),
                    rule("allow", Some(false), (false, true), &[]),
                    rule("allow", None, (false, true), &[absent]),
                    rule("allow", Some(true), (true, true), &[]),
                    rule("deny", Some(false), (false, false), &[]),
                ],
                "upstream_headers": [
                    { "name": "remote-user", "value": "bob" },
                    { "name": "remote-groups", "value": "sales" },
                ],
                "decision": { "let_in": true, "outcome": "allowed", "rule": 4, "text": "let in, by rule 4" },
            })
        );
        let (answer, _) = asked(&["GET", "https://app.test/none"]);
        let told = serde_json::to_value(&answer).unwrap();
        assert_eq!(told["decision"]["outcome"], "not_found");
        assert_eq!(told["upstream_headers"], serde_json::Value::Null);
    }

    #[test]
    fn what_the_gateway_refuses_unread_is_refused() {
        let odd = "decision       refused: the request is malformed: the ";
        for (method, address, said) in [
            ("TRACE", "https://app.test/read", "method is not forwarded"),
            (
                "CONNECT",
                "https://app.test/read",
                "method is not forwarded",
            ),
            ("get", "https://app.test/read", "method is not forwarded"),
            ("GET", "https://bob@app.test/read", "host is malformed"),
            ("GET", "https://app.test:99999/read", "host is malformed"),
        ] {
            let (lines, outcome) = ask(&[method, address]);
            assert_eq!(outcome, Outcome::Refused, "{lines:?}");
            assert_eq!(lines.last().unwrap(), &format!("{odd}{said}"));
        }
        let (lines, outcome) = ask(&["PURGE", "https://app.test:443/purged"]);
        assert_eq!(outcome, Outcome::Allowed, "{lines:?}");
        let fragment = ["explain", "GET", "https://app.test/read#top"];
        let refused = Line::try_parse_from(fragment).err().unwrap();
        assert!(refused.to_string().contains("never sent"), "{refused}");
    }

    #[test]
    fn what_is_not_let_in_says_where_it_ends() {
        let ends = |words: &[&str]| {
            let (lines, outcome) = ask(words);
            assert!(!outcome.lets_in(), "{lines:?}");
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
        assert_eq!(outcome, Outcome::Allowed);
    }

    #[test]
    fn what_a_client_gets_is_told_by_the_listeners_that_there_are() {
        let https = "sent to https; ask about that address";
        let nobody = "refused: no virtual host has this name";
        let elsewhere = "refused: the listener there does not serve this host";
        let with_tls =
            "refused: the listener https at port 8443 has TLS, and answers plain http with 400";
        let plain = "not connected: the listener http at port 8080 has no TLS";
        let at_443 =
            "not connected: no listener is at port 9999; users reach this host at port 443";
        let at_8443 =
            "not connected: no listener is at port 443; users reach this host at port 8443";
        let no_http = "not connected: no listener without TLS is at port 80";
        for (url, said, outcome) in [
            ("https://app.test/open", "let in", Outcome::Allowed),
            ("https://app.test:8443/open", "let in", Outcome::Allowed),
            ("http://app.test/open", https, Outcome::ToHttps),
            ("http://app.test:8080/open", https, Outcome::ToHttps),
            ("https://app.test:9999/open", at_443, Outcome::Unreachable),
            ("http://app.test:8443/open", with_tls, Outcome::Refused),
            ("https://app.test:8080/open", plain, Outcome::Unreachable),
            ("https://own.test/open", at_8443, Outcome::Unreachable),
            ("http://own.test/open", no_http, Outcome::Unreachable),
            ("http://own.test:8080/open", "let in", Outcome::Allowed),
            (
                "http://own.test:8080/.portway/logout",
                https,
                Outcome::ToHttps,
            ),
            (
                "https://own.test:9443/open",
                elsewhere,
                Outcome::Misdirected,
            ),
            ("http://login.test:8080/", https, Outcome::ToHttps),
            ("https://none.test:8443/", nobody, Outcome::Misdirected),
        ] {
            let (answer, came_to) = asked_of(ENTRANCES, &["GET", url]);
            assert_eq!(came_to, outcome, "{url}: {}", answer.decision.text);
            assert!(
                answer.decision.text.starts_with(said),
                "{url}: {}",
                answer.decision.text
            );
        }
    }

    #[test]
    fn whoever_is_trusted_may_end_tls_in_front() {
        let plain = "listeners: [{ name: http, bind: 127.0.0.1:8080 }]\n";
        let hosts = "pools: { app: { primary: ['127.0.0.1:1'] } }\n\
            virtual_hosts:\n  - { host: app.test, plain_http: serve, routes: [{ path: /, access: excluded, pool: app }] }\n";
        let url = "https://app.test/";
        let (answer, outcome) = asked_of(&format!("{plain}{hosts}"), &["GET", url]);
        assert_eq!(outcome, Outcome::Unreachable, "{}", answer.decision.text);
        let trusted = format!("trusted_proxies: [10.0.0.1]\n{plain}{hosts}");
        let (answer, outcome) = asked_of(&trusted, &["GET", url]);
        assert_eq!(outcome, Outcome::Allowed, "{}", answer.decision.text);
        let (answer, outcome) = asked_of(&trusted, &["GET", "https://app.test:8443/"]);
        assert_eq!(outcome, Outcome::Unreachable, "{}", answer.decision.text);
    }

    const ENTRANCES: &str = r#"listeners:
  - name: https
    bind: 127.0.0.1:8443
    tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] }
  - { name: http, bind: 127.0.0.1:8080 }
  - name: inside
    bind: 127.0.0.1:9443
    tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] }
collector: { host: login.test }
authentication: { users_file: users.yaml }
pools: { app: { primary: ['127.0.0.1:1'] } }
virtual_hosts:
  - host: app.test
    public_port: 443
    routes: [{ path: /open, access: excluded, pool: app }]
  - host: own.test
    listeners: [https, http]
    plain_http: serve
    routes: [{ path: /open, access: excluded, pool: app }]
"#;

    #[test]
    fn what_a_request_sends_chooses_among_the_routes_of_its_path() {
        let (_, outcome) = ask(&["GET", "https://app.test/narrow?a=b"]);
        assert_eq!(outcome, Outcome::Allowed);
        let (lines, outcome) = ask(&["GET", "https://app.test/narrow?a=c"]);
        assert_eq!(outcome, Outcome::NotFound);
        let said = "decision       no route of this path is for such a request";
        assert_eq!(lines.last().unwrap(), said);
        let (lines, outcome) = ask(&["GET", "https://app.test/narrow?a=b&a=c"]);
        assert_eq!(outcome, Outcome::Refused);
        assert_eq!(lines.last().unwrap(), &format!("decision       {UNCLEAR}"));
    }

    const CONFIG: &str = r#"listeners:
  - name: https
    bind: 127.0.0.1:0
    tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] }
  - { name: http, bind: 127.0.0.1:0 }
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
      - { path: /purged, methods: [PURGE], access: excluded, pool: app }
      - { path: /narrow, match: { query: { name: a, is: b } }, access: excluded, pool: app }
      - path: /hours
        access: protected
        policy: [{ allow: { time: { zone: UTC, from: "08:00", to: "18:00" } } }]
        pool: app
"#;
}
