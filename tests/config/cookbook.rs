//! Every recipe of the policy cookbook is read, and decides what it says it does.

use std::collections::BTreeMap;
use std::fs;

use http::HeaderMap;
use http::Method;
use portway::config::Route;
use portway::decision::authorization::Verdict;
use portway::decision::authorization::authorize;
use portway::decision::facts::RequestFacts;
use portway::decision::facts::SessionFacts;
use portway::decision::facts::Subject;
use portway::decision::forwarded::Scheme;
use portway::decision::response::Given;
use portway::model::attribute::Attribute;
use portway::model::attribute::AttributeSet;
use portway::model::attribute::AttributeValue;
use portway::model::id::RequestId;
use portway::model::identity::AuthLevel;
use portway::model::identity::Identity;
use portway::model::name::AttributeName;
use portway::model::name::GroupName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Attributes;
use portway::model::time::Timestamp;

use crate::parsed;
use crate::root;

#[test]
fn every_recipe_decides_what_it_says() {
    let text = fs::read_to_string(root().join("docs/policy-cookbook.md")).unwrap();
    let mut recipes = 0;
    let mut decisions = 0;
    for recipe in text.split("```policy\n").skip(1) {
        let (policy, rest) = recipe.split_once("```").unwrap();
        let route = route_with(policy);
        let table = rest.split("```decisions\n").nth(1).unwrap();
        let mut given: Option<Given> = None;
        for line in table.split("```").next().unwrap().lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            match word {
                "allow" => match judged(&route, rest) {
                    Outcome::Given(responses) => given = Some(responses),
                    Outcome::Denied => panic!("{line}\n{policy}"),
                },
                "deny" => assert!(
                    matches!(judged(&route, rest), Outcome::Denied),
                    "{line}\n{policy}"
                ),
                "gives" => {
                    let (name, value) = rest.split_once(": ").unwrap();
                    assert_eq!(
                        header(given.as_ref(), name),
                        Some(value.to_owned()),
                        "{line}"
                    );
                }
                "lacks" => assert_eq!(header(given.as_ref(), rest), None, "{line}"),
                odd => panic!("{odd}"),
            }
            decisions += 1;
        }
        recipes += 1;
    }
    assert!(recipes >= 12 && decisions >= 40, "{recipes} {decisions}");
}

/// What becomes of a request.
enum Outcome {
    Denied,
    Given(Given),
}

fn header(given: Option<&Given>, name: &str) -> Option<String> {
    let headers = &given?.headers;
    let found = headers
        .iter()
        .find(|(own, _)| own.as_str().eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.to_str().unwrap().to_owned())
}

fn route_with(policy: &str) -> Route {
    let policy: String = policy.lines().map(|line| format!("    {line}\n")).collect();
    let config = parsed(&format!(
        "listeners:
  - {{ name: s, bind: 0.0.0.0:443, tls: {{ certificates: [{{ certificate_file: a.crt, key_file: a.key }}] }} }}
collector: {{ host: login.test }}
authentication: {{ users_file: users.yaml, level: 30 }}
pools: {{ app: {{ primary: [10.0.0.1:80] }} }}
policies:
  recipe:
{policy}virtual_hosts:
  - host: app.test
    routes: [{{ path: /, access: protected, policy: recipe, pool: app }}]
"
    ));
    let host = config.virtual_hosts.first().unwrap();
    host.routes.first().unwrap().clone()
}

/// What becomes of a request, and what it is given if the route lets it in.
fn judged(route: &Route, words: &str) -> Outcome {
    let mut facts: BTreeMap<&str, &str> = BTreeMap::new();
    let mut groups = Vec::new();
    let mut of_user = Vec::new();
    let mut of_session = Vec::new();
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        if key == "group" {
            groups.push(GroupName::parse(value).unwrap());
        } else if let Some(name) = key.strip_prefix("attr.") {
            of_user.push(attribute(name, value));
        } else if let Some(name) = key.strip_prefix("session.") {
            of_session.push(attribute(name, value));
        } else {
            facts.insert(key, value);
        }
    }
    let of = |key: &str, otherwise: &'static str| facts.get(key).copied().unwrap_or(otherwise);
    // Without anybody signed in a protected route never comes to its policy.
    let Some(user) = facts.get("user") else {
        return Outcome::Denied;
    };
    let identity = Identity {
        store: StoreName::parse("local").unwrap(),
        subject: UserName::parse(user).unwrap(),
        name: None,
        email: None,
        groups,
        attributes: AttributeSet::new(of_user).unwrap(),
    };
    let noted = AttributeSet::new(of_session).unwrap();
    let attributes = if facts.contains_key("unknown") {
        Attributes::Unknown
    } else {
        Attributes::Known
    };
    let method: Method = of("method", "GET").parse().unwrap();
    let headers = HeaderMap::new();
    let request = RequestFacts {
        id: RequestId::from_bytes([0; 16]),
        method: &method,
        scheme: Scheme::Https,
        host: "app.test",
        path: of("path", "/"),
        query: None,
        headers: &headers,
        address: of("address", "192.0.2.7").parse().unwrap(),
        tls: None,
    };
    let subject = Subject {
        identity: Some(&identity),
        attributes,
        level: AuthLevel::new(of("level", "10").parse().unwrap()).unwrap(),
        session: Some(SessionFacts {
            created: at(of("signed_in_at", "2026-11-23T09:00:00Z")),
            expires: at("2027-11-23T09:00:00Z"),
            noted: (attributes == Attributes::Known).then_some(&noted),
        }),
        request: &request,
        now: at(of("time", "2026-11-23T10:00:00Z")),
    };
    match authorize(&route.policy, &subject) {
        Verdict::Allow(_) => Outcome::Given(route.responses.give(&subject).unwrap()),
        Verdict::Deny(_) => Outcome::Denied,
    }
}

fn attribute(name: &str, text: &str) -> Attribute {
    Attribute {
        name: AttributeName::parse(name).unwrap(),
        value: AttributeValue::Text(Box::from(text)),
    }
}

fn at(text: &str) -> Timestamp {
    let moment: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_millis(moment.as_millisecond().try_into().unwrap())
}
