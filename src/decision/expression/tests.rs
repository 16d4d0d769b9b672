//! Tables of expressions: what they decide over one request, what cannot be told, and every fault with
//! its place.

use std::sync::LazyLock;

use http::HeaderMap;
use http::Method;
use proptest::prelude::*;

use super::*;
use crate::decision::facts::RequestFacts;
use crate::decision::facts::SessionFacts;
use crate::decision::facts::TlsFacts;
use crate::decision::forwarded::Scheme;
use crate::model::attribute::Attribute;
use crate::model::attribute::AttributeSet;
use crate::model::attribute::AttributeValue;
use crate::model::id::RequestId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::AttributeName;
use crate::model::name::GroupName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Attributes;
use crate::model::time::Timestamp;

#[test]
fn facts_are_compared_tested_and_combined() {
    for (text, expected) in DECIDED {
        assert_eq!(judge(text), Some(*expected), "{text}");
    }
}

const DECIDED: &[(&str, bool)] = &[
    ("user.id == 'alice'", true),
    ("user.id != 'alice' || user.store == \"staff\"", true),
    ("'ops' in user.groups && !('admins' in user.groups)", true),
    ("user.groups.exists(g, g.startsWith('team-'))", true),
    ("user.groups.all(g, g.size() > 2)", true),
    ("user.groups.exists_one(g, g.endsWith('s'))", true),
    ("size(user.groups.filter(g, g.contains('-'))) == 1", true),
    ("user.attributes.department == 'sales'", true),
    ("'x' in user.attributes.projects", true),
    ("'sales' in user.attributes.department", true),
    ("user.attributes['cost-center'].matches('^[0-9]+$')", true),
    ("int(user.attributes['cost-center']) >= 4000", true),
    (
        "user.attributes.single == 'one' && 'one' == user.attributes.single",
        true,
    ),
    ("session.attributes.desk == 'blue'", true),
    ("session.level >= 10 && session.level < 20", true),
    ("time.now - session.created > duration('1h')", true),
    ("session.expires > time.now + duration('22h')", true),
    ("time.now > timestamp('2026-11-22T13:00:00Z')", true),
    ("time.now.getHours('Europe/Berlin') == 14", true),
    (
        "time.now.getDayOfWeek('UTC') == 0 && time.now.getMonth('UTC') == 10",
        true,
    ),
    (
        "time.now.getDate('UTC') == 22 && time.now.getFullYear('UTC') == 2026",
        true,
    ),
    (
        "time.now.getDayOfMonth('UTC') == 21 && time.now.getDayOfYear('UTC') == 325",
        true,
    ),
    ("request.method == 'GET' && request.scheme == 'https'", true),
    (
        "request.host.endsWith('.test') && request.path == '/a/b'",
        true,
    ),
    ("request.header['x-tenant'].lowerAscii() == 'blue'", true),
    ("request.query.tab == 'a b' && has(request.query.tab)", true),
    (
        "has(request.query.none) || has(request.header['x-none'])",
        false,
    ),
    ("request.address.inNetwork('192.0.2.0/24')", true),
    ("tls.version == 'TLSv1.3' ? true : false", true),
    ("user.id + '@' + user.store == 'alice@staff'", true),
    ("7 / 2 == 3 && 7 % 2 == 1 && -7 + 2 * 3 == -1", true),
    ("has(user.email) && !has(user.name)", true),
    ("user.id in ['bob', 'alice']", true),
    ("['a'] == ['a']", true),
    ("'é'.size() == 1", true),
];

#[test]
fn what_cannot_be_told_is_unknown_unless_the_other_side_decides_s_10() {
    for (text, expected) in NOT_TOLD {
        assert_eq!(judge(text), *expected, "{text}");
    }
    // Of a session that was made from a cookie's facts only the user is known.
    let bare = |text: &str| {
        let subject = Subject {
            attributes: Attributes::Unknown,
            session: Some(SessionFacts {
                noted: None,
                ..session()
            }),
            ..subject()
        };
        Expression::compile(text).unwrap().evaluate(&subject)
    };
    assert_eq!(
        bare("user.id == 'alice' && user.store == 'staff'"),
        Some(true)
    );
    for text in [
        "'ops' in user.groups",
        "has(user.email)",
        "user.attributes.department == 'sales'",
        "has(user.attributes.department)",
        "session.attributes.desk == 'blue'",
        "has(session.attributes.desk)",
    ] {
        assert_eq!(bare(text), None, "{text}");
        assert_eq!(bare(&format!("!({text})")), None, "{text}");
    }
}

const NOT_TOLD: &[(&str, Option<bool>)] = &[
    ("user.attributes.none == 'x'", None),
    ("user.attributes.none != 'x'", None),
    ("!(user.attributes.none == 'x')", None),
    (
        "has(user.attributes.none) && user.attributes.none == 'x'",
        Some(false),
    ),
    (
        "user.attributes.none == 'x' || user.id == 'alice'",
        Some(true),
    ),
    (
        "user.id == 'alice' || user.attributes.none == 'x'",
        Some(true),
    ),
    (
        "user.attributes.none == 'x' && user.id == 'bob'",
        Some(false),
    ),
    ("user.attributes.none == 'x' && user.id == 'alice'", None),
    ("user.attributes.projects == 'x'", None),
    ("'x' != user.attributes.projects", None),
    ("user.attributes.projects.startsWith('x')", None),
    ("request.header['x-two'] == 'a'", None),
    ("has(request.header['x-two'])", None),
    ("request.query.twice == '1'", None),
    ("request.query.bytes == 'x'", None),
    ("request.header['x-bytes'] == 'x'", None),
    ("int(user.id) == 1", None),
    ("9223372036854775807 + 1 > 0", None),
    ("1 / 0 == 1", None),
    ("request.host.inNetwork('10.0.0.0/8')", None),
    ("user.groups.exists(g, g == user.attributes.none)", None),
    (
        "user.groups.exists(g, g == 'ops' || g == user.attributes.none)",
        Some(true),
    ),
    (
        "user.groups.all(g, g == 'ops' && g == user.attributes.none)",
        Some(false),
    ),
    ("user.groups.exists_one(g, g == user.attributes.none)", None),
    ("user.attributes.none == 'x' ? true : true", None),
];

#[test]
fn an_evaluation_ends_within_its_steps() {
    let walk =
        "user.groups.all(a, user.groups.all(b, user.groups.all(c, user.groups.all(d, true))))";
    assert_eq!(judge(walk), Some(true));
    let groups: Vec<GroupName> = (0..200)
        .map(|n| GroupName::parse(&format!("g{n}")).unwrap())
        .collect();
    let identity = Identity {
        groups,
        ..IDENTITY.clone()
    };
    let subject = Subject {
        identity: Some(&identity),
        ..subject()
    };
    assert_eq!(Expression::compile(walk).unwrap().evaluate(&subject), None);
    let either = format!("{walk} || true");
    assert_eq!(
        Expression::compile(&either).unwrap().evaluate(&subject),
        None
    );
}

#[test]
fn a_long_query_is_not_looked_through_without_end() {
    let groups: Vec<GroupName> = (0..10_000)
        .map(|n| GroupName::parse(&format!("g{n}")).unwrap())
        .collect();
    let identity = Identity {
        groups,
        ..IDENTITY.clone()
    };
    let long = format!("tab=x&{}", "a=b&".repeat(2_000));
    let judge = |text: &str, query: &str| {
        let request = RequestFacts {
            query: Some(query),
            ..*REQUEST
        };
        let subject = Subject {
            identity: Some(&identity),
            request: &request,
            ..subject()
        };
        Expression::compile(text).unwrap().evaluate(&subject)
    };
    let walk = "user.groups.exists(g, g == request.query.tab)";
    assert_eq!(judge(walk, "tab=x"), Some(false));
    assert_eq!(judge(walk, &long), None);
    assert_eq!(judge("request.query.tab == 'x'", &long), Some(true));
    let walk = "user.groups.exists(g, has(request.query.none))";
    assert_eq!(judge(walk, &long), None);
}

#[test]
fn no_depth_that_fits_the_length_exhausts_the_stack() {
    let nested = |open: &str, inner: &str, close: &str| {
        let depth = (BYTES_MAX - inner.len()) / (open.len() + close.len());
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    for (open, inner, close) in [
        ("(", "true", ")"),
        ("-", "1", ""),
        ("[", "'a'", "]"),
        ("{'a':", "1", "}"),
        ("{", "", ""),
        ("size(", "'a'", ")"),
        ("f(", "", ""),
        ("true?", "true", ":true"),
        ("true?true:", "true", ""),
        ("", "user", ".a"),
        ("", "user", "[0]"),
        ("", "user.id", ".lowerAscii()"),
        ("1+", "1", ""),
        ("", "1", "<1"),
        ("", "'a'", " in b"),
        ("true&&", "true", ""),
        ("true||", "true", ""),
        ("user.groups.all(g,", "true", ")"),
        ("true&&(true||(", "true", "))"),
        ("(", "", ""),
        ("[", "", ""),
        ("!", "", ""),
        ("!(", "", ""),
        ("a.", "", ""),
        ("a{b:", "", ""),
    ] {
        let text = nested(open, inner, close);
        let room = std::thread::Builder::new().stack_size(STACK_BYTES);
        let compiled = room.spawn(move || Expression::compile(&text)).unwrap();
        assert!(compiled.join().unwrap().is_err(), "{open}{inner}{close}");
    }
}

#[test]
fn the_deepest_expression_is_evaluated_on_the_stack_of_a_worker() {
    let of_depth = |depth: usize| format!("'a'{} == 'b'", " + user.id".repeat(depth));
    let fault = Expression::compile(&of_depth(DEPTH_MAX)).unwrap_err();
    assert_eq!(fault.problem, ExpressionProblem::TooLarge);
    let deepest = Expression::compile(&of_depth(DEPTH_MAX - 2)).unwrap();
    let worker = std::thread::Builder::new().stack_size(256 << 10);
    let seen = worker.spawn(move || deepest.evaluate(&subject())).unwrap();
    assert_eq!(seen.join().unwrap(), Some(false));
}

#[test]
fn every_fault_is_told_with_its_place() {
    for (text, place, problem) in FAULTS {
        let fault = Expression::compile(text).unwrap_err();
        let told = fault.problem.to_string();
        assert!(told.starts_with(problem), "{text}: {told}");
        assert_eq!((fault.line, fault.column), *place, "{text}: {told}");
    }
    let long = "a".repeat(BYTES_MAX + 1);
    let many = format!("true{}", " && true".repeat(NODES_MAX));
    for text in [long, many] {
        let fault = Expression::compile(&text).unwrap_err();
        assert_eq!(fault.problem, ExpressionProblem::TooLarge);
    }
}

const FAULTS: &[(&str, (usize, usize), &str)] = &[
    ("user.id == ", (1, 12), "mismatched input '<EOF>'"),
    (
        "user.id = 'x'",
        (1, 9),
        "`=` compares nothing; it is written `==`",
    ),
    ("user.id == 'x", (1, 12), "a text has no quote at its end"),
    (
        "request.headers['x'] == 'y'",
        (1, 16),
        "there is no `request.headers`",
    ),
    (
        "user.id",
        (1, 1),
        "the expression is a text; it has to be true or false",
    ),
    (
        "true &&\n  user.id",
        (2, 7),
        "`&&` takes true or false, and this is a text",
    ),
    (
        "'ä' == 'ä' && user.idd == 'x'",
        (1, 19),
        "there is no `user.idd`",
    ),
    ("users.id == 'x'", (1, 6), "there is no `users.id`"),
    ("user", (1, 1), "there is no `user`"),
    (
        "user.id == 1",
        (1, 9),
        "`==` cannot be applied to a text and a number",
    ),
    (
        "user.groups < 'x'",
        (1, 13),
        "`<` cannot be applied to a list of texts and a text",
    ),
    (
        "user.id - 'x' == 'y'",
        (1, 9),
        "`-` cannot be applied to a text and a text",
    ),
    (
        "user.id.startWith('x')",
        (1, 18),
        "there is no function `startWith`",
    ),
    (
        "user.id.startsWith()",
        (1, 19),
        "`startsWith` is written `text.startsWith(\"a\")`",
    ),
    (
        "user.id.matches(user.store)",
        (1, 21),
        "`matches` takes a text in quotes here",
    ),
    (
        "user.id.matches('(')",
        (1, 17),
        "`(` is not a regular expression: unclosed group",
    ),
    (
        "time.now.getHours('Berlin') == 1",
        (1, 19),
        "`Berlin` is not a time zone such as `Europe/Berlin`",
    ),
    (
        "time.now > timestamp('noon')",
        (1, 22),
        "`noon` is not a point in time such as `2026-01-31T08:00:00Z`",
    ),
    (
        "request.address.inNetwork('10')",
        (1, 27),
        "`10` is not a network such as `10.0.0.0/8`",
    ),
    (
        "has(user.id)",
        (1, 9),
        "`has` asks for a fact that may be absent, such as `has(user.email)`",
    ),
    (
        "has(true)",
        (1, 5),
        "`has` asks for a fact that may be absent, such as `has(user.email)`",
    ),
    (
        "request.header.cookie == ''",
        (1, 15),
        "the header `cookie` cannot be read",
    ),
    ("{'a': 1} == {'a': 1}", (1, 1), "a map cannot be used here"),
    (
        "1.5 > 1.0",
        (1, 1),
        "a number with a point cannot be used here",
    ),
    (
        "user.groups.exists(1, true)",
        (1, 20),
        "`exists` is written `list.exists(each, condition)`",
    ),
    (
        "user.groups.exists(g, g)",
        (1, 23),
        "`exists, all and filter` takes true or false, and this is a text",
    ),
    (
        "user.id in 'alice'",
        (1, 12),
        "`in` takes a list of texts, and this is a text",
    ),
    (
        "[1] == [1]",
        (1, 2),
        "`[…]` takes a text, and this is a number",
    ),
];

proptest! {
    #[test]
    fn no_text_stops_the_compiler_and_no_expression_the_evaluation(text in "\\PC{0,60}") {
        if let Ok(expression) = Expression::compile(&text) {
            let _ = expression.evaluate(&subject());
        }
    }

    /// `!` exchanges true and false and leaves the unknown alone; `&&` and `||` follow the tables of
    /// three values whatever the order.
    #[test]
    fn operators_follow_the_tables_of_three_values(left in 0..3_usize, right in 0..3_usize) {
        let texts = ["(user.id == 'bob')", "(user.id == 'alice')", "(user.attributes.none == 'x')"];
        let values = [Some(false), Some(true), None];
        let (a, b) = (values[left], values[right]);
        let (one, other) = (texts[left], texts[right]);
        let and = match (a, b) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        };
        let or = match (a, b) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
        prop_assert_eq!(judge(&format!("{one} && {other}")), and);
        prop_assert_eq!(judge(&format!("{one} || {other}")), or);
        prop_assert_eq!(judge(&format!("!{one}")), a.map(|holds| !holds));
    }
}

fn judge(text: &str) -> Option<bool> {
    let expression = Expression::compile(text);
    let expression = expression.unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    expression.evaluate(&subject())
}

fn subject() -> Subject<'static> {
    Subject {
        identity: Some(&IDENTITY),
        attributes: Attributes::Known,
        level: AuthLevel::new(10).unwrap(),
        session: Some(session()),
        request: &REQUEST,
        now: at("2026-11-22T13:30:00Z"),
    }
}

fn session() -> SessionFacts<'static> {
    SessionFacts {
        created: at("2026-11-22T12:00:00Z"),
        expires: at("2026-11-23T12:00:00Z"),
        noted: Some(&NOTED),
    }
}

fn at(text: &str) -> Timestamp {
    let moment: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_millis(moment.as_millisecond().try_into().unwrap())
}

fn attributes(list: &[(&str, &[&str])]) -> AttributeSet {
    let one = |(name, texts): &(&str, &[&str])| Attribute {
        name: AttributeName::parse(name).unwrap(),
        value: match texts {
            [text] if *name != "single" => AttributeValue::Text(Box::from(*text)),
            texts => AttributeValue::List(texts.iter().map(|text| Box::from(*text)).collect()),
        },
    };
    AttributeSet::new(list.iter().map(one).collect()).unwrap()
}

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity {
    store: StoreName::parse("staff").unwrap(),
    subject: UserName::parse("alice").unwrap(),
    name: None,
    email: Some("alice@example.test".to_owned()),
    groups: ["ops", "team-x"]
        .map(|name| GroupName::parse(name).unwrap())
        .into(),
    attributes: attributes(&[
        ("department", &["sales"]),
        ("cost-center", &["4711"]),
        ("projects", &["x", "y"]),
        ("single", &["one"]),
    ]),
});

static NOTED: LazyLock<AttributeSet> = LazyLock::new(|| attributes(&[("desk", &["blue"])]));

static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HeaderMap::new();
    headers.insert("x-tenant", "Blue".parse().unwrap());
    headers.append("x-two", "a".parse().unwrap());
    headers.append("x-two", "b".parse().unwrap());
    headers.insert("x-bytes", http::HeaderValue::from_bytes(b"\xff").unwrap());
    headers
});

static TLS: LazyLock<TlsFacts> = LazyLock::new(|| TlsFacts {
    version: "TLSv1.3".into(),
    cipher: "TLS_AES_128_GCM_SHA256".into(),
    client: None,
});

static REQUEST: LazyLock<RequestFacts<'static>> = LazyLock::new(|| RequestFacts {
    id: RequestId::from_bytes([1; 16]),
    method: &Method::GET,
    scheme: Scheme::Https,
    host: "app.test",
    path: "/a/b",
    query: Some("tab=a+b&twice=1&twice=2&bytes=%ff"),
    headers: &HEADERS,
    address: "192.0.2.7".parse().unwrap(),
    tls: Some(&TLS),
});
