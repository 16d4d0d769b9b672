//! What routes and rules cost a request: nanoseconds for a decision, over tables from ten to ten thousand.

use std::hint::black_box;

use http::HeaderMap;
use http::Method;
use portway::decision::authorization::authorize;
use portway::decision::expression::Expression;
use portway::decision::facts::RequestFacts;
use portway::decision::facts::Subject;
use portway::decision::forwarded::Scheme;
use portway::decision::path::Tolerance;
use portway::decision::path::normalise;
use portway::decision::policy::Condition;
use portway::decision::policy::Effect;
use portway::decision::policy::Policy;
use portway::decision::policy::Rule;
use portway::decision::routing::PathPattern;
use portway::decision::routing::RouteEntry;
use portway::decision::routing::RouteTable;
use portway::model::id::RequestId;
use portway::model::identity::AuthLevel;
use portway::model::identity::Identity;
use portway::model::name::GroupName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Attributes;
use portway::model::time::Timestamp;
use tokio::time::Instant;

use crate::table::Figure;
use crate::table::Scale;

/// Measures routes, then rules.
pub(crate) fn measure(scale: Scale) -> Vec<Figure> {
    let mut figures = Vec::new();
    for count in COUNTS {
        for (kind, pattern) in KINDS {
            figures.push(route(scale, *count, kind, *pattern));
        }
    }
    let expression = "user.groups.exists(g, g.startsWith('team-')) && request.method == 'GET'";
    for (name, condition) in [
        ("a rule with 10 users", users(10)),
        ("a rule with 10,000 users", users(10_000)),
        (
            "an expression over 10 groups",
            Condition::When(Expression::compile(expression).unwrap()),
        ),
    ] {
        figures.push(rule(scale, name, condition));
    }
    for count in COUNTS {
        figures.push(rules(scale, *count));
    }
    figures
}

/// A policy of as many rules as there are users, the last of which decides.
fn rules(scale: Scale, count: usize) -> Figure {
    let rule = |n: usize| Rule {
        effect: Effect::Allow,
        when: Condition::User(
            [UserName::parse(&format!("somebody-{n}")).unwrap()]
                .into_iter()
                .collect(),
        ),
    };
    let last = Rule {
        effect: Effect::Allow,
        when: users(10),
    };
    let policy = Policy::new((1..count).map(rule).chain([last]).collect());
    decision(scale, &format!("{count} rules about users"), &policy)
}

type MakePattern = fn(usize) -> PathPattern;

const COUNTS: &[usize] = &[10, 100, 1_000, 10_000];
const KINDS: &[(&str, MakePattern)] = &[
    ("prefixes", |n| {
        PathPattern::prefix(&format!("/team-{}/app-{n}", n % 50)).unwrap()
    }),
    ("globs at one place", |n| {
        PathPattern::glob(&format!("/apps/*/part-{n}/**")).unwrap()
    }),
    ("expressions at one place", |n| {
        PathPattern::regex(&format!("/v[0-9]+/app-{n}/")).unwrap()
    }),
];

fn route(scale: Scale, count: usize, kind: &str, pattern: MakePattern) -> Figure {
    let entries = (0..count).map(|n| RouteEntry {
        pattern: pattern(n),
        methods: Vec::new(),
        narrowing: None,
        tolerance: Tolerance::none(),
        value: n,
    });
    let table = RouteTable::new(entries.collect());
    // One in the middle of the table, and one that is not in it.
    let middle = count / 2;
    let texts = [
        format!("/team-{}/app-{middle}/page", middle % 50),
        format!("/apps/x/part-{middle}/page"),
        format!("/v2/app-{middle}/page"),
        "/none/of/these".to_owned(),
    ];
    let nanoseconds = each(scale.of(20_000), || {
        for text in &texts {
            let path = normalise(text).unwrap();
            black_box(table.find(&path, &Method::GET));
        }
    });
    let per_path = nanoseconds / 4.0;
    Figure::new(
        &format!("finding a route, {count} {kind}"),
        per_path,
        "ns",
        "mean of four paths, normalising them included",
    )
}

fn users(count: usize) -> Condition {
    let names = (0..count).map(|n| UserName::parse(&format!("user-{n}")).unwrap());
    Condition::User(names.collect())
}

fn rule(scale: Scale, name: &str, when: Condition) -> Figure {
    let effect = Effect::Allow;
    decision(scale, name, &Policy::new(vec![Rule { effect, when }]))
}

fn decision(scale: Scale, name: &str, policy: &Policy) -> Figure {
    let identity = Identity {
        store: StoreName::parse("local").unwrap(),
        subject: UserName::parse("user-9").unwrap(),
        name: None,
        email: None,
        groups: (0..10)
            .map(|n| GroupName::parse(&format!("group-{n}")).unwrap())
            .collect(),
        attributes: Default::default(),
    };
    let headers = HeaderMap::new();
    let request = RequestFacts {
        id: RequestId::from_bytes([0; 16]),
        method: &Method::GET,
        scheme: Scheme::Https,
        host: "app.test",
        path: "/",
        query: None,
        headers: &headers,
        address: "192.0.2.7".parse().unwrap(),
        tls: None,
    };
    let subject = Subject {
        identity: Some(&identity),
        attributes: Attributes::Known,
        level: AuthLevel::MAX,
        session: None,
        request: &request,
        now: Timestamp::from_millis(0),
    };
    let nanoseconds = each(scale.of(200_000), || {
        black_box(authorize(policy, black_box(&subject)));
    });
    Figure::new(&format!("deciding by {name}"), nanoseconds, "ns", "mean")
}

/// Nanoseconds of one call, over many.
fn each(times: usize, mut call: impl FnMut()) -> f64 {
    for _ in 0..times / 10 {
        call();
    }
    let began = Instant::now();
    for _ in 0..times {
        call();
    }
    let taken = began.elapsed().as_secs_f64();
    taken * 1e9 / f64::from(u32::try_from(times).unwrap())
}
