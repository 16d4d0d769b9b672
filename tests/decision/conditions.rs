//! Conditions on attributes, headers, parameters and times, as a table: what holds, what does not, and
//! what cannot be told and so refuses.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use jiff::civil::Weekday;
use portway::decision::authorization::Verdict;
use portway::decision::authorization::authorize;
use portway::decision::expression::Expression;
use portway::decision::facts::RequestFacts;
use portway::decision::facts::SessionFacts;
use portway::decision::facts::Subject;
use portway::decision::policy::AttributeOwner;
use portway::decision::policy::Condition;
use portway::decision::policy::Effect;
use portway::decision::policy::Policy;
use portway::decision::policy::Rule;
use portway::decision::text_test::TextPattern;
use portway::decision::text_test::TextTest;
use portway::decision::time_window::Days;
use portway::decision::time_window::TimeWindow;
use portway::decision::time_window::zone;
use portway::model::attribute::Attribute;
use portway::model::attribute::AttributeSet;
use portway::model::attribute::AttributeValue;
use portway::model::identity::AuthLevel;
use portway::model::name::AttributeName;
use portway::model::session::Attributes;
use portway::model::time::Timestamp;

use super::authorization::identity;
use super::authorization::request;

#[test]
fn a_condition_holds_does_not_hold_or_cannot_be_told() {
    let known = |condition: &Condition| holds(condition, Attributes::Known);
    for (condition, expected) in [
        (user("department", is("sales")), Some(true)),
        (user("department", is("ops")), Some(false)),
        (user("projects", is("y")), Some(true)),
        (user("projects", is("z")), Some(false)),
        (user("none", is("x")), Some(false)),
        (user("none", TextTest::Present), Some(false)),
        (user("projects", TextTest::Present), Some(true)),
        (user("department", matching("s.*")), Some(true)),
        (user("department", matching("s")), Some(false)),
        (session("desk", is("blue")), Some(true)),
        (session("department", is("sales")), Some(false)),
        (header("x-one", is("a")), Some(true)),
        (header("x-same", is("a")), Some(true)),
        (header("x-two", is("a")), None),
        (header("x-none", is("a")), Some(false)),
        (header("x-bytes", TextTest::Present), None),
        (query("tab", is("a b")), Some(true)),
        (query("ta%62", is("x")), Some(false)),
        (query("enc", is("ä")), Some(true)),
        (query("twice", is("1")), None),
        (query("same", is("1")), Some(true)),
        (query("bytes", TextTest::Present), None),
        (query("empty", is("")), Some(true)),
        (on(Weekday::Sunday), Some(true)),
        (on(Weekday::Monday), Some(false)),
        (when("user.id == 'alice'"), Some(true)),
        (when("user.attributes.none == 'x'"), None),
    ] {
        assert_eq!(known(&condition), expected, "{condition:?}");
        let negated = Condition::Not(Box::new(condition));
        assert_eq!(known(&negated), expected.map(|holds| !holds), "{negated:?}");
    }
}

#[test]
fn attributes_that_were_not_fetched_cannot_be_told_s_10() {
    for condition in [
        user("department", is("sales")),
        user("none", is("x")),
        session("desk", is("blue")),
        session("none", TextTest::Present),
    ] {
        assert_eq!(
            holds(&condition, Attributes::Unknown),
            None,
            "{condition:?}"
        );
    }
    // What the request says is known all the same.
    let condition = header("x-one", is("a"));
    assert_eq!(holds(&condition, Attributes::Unknown), Some(true));
}

#[test]
fn no_parameter_of_a_query_with_a_raw_semicolon_can_be_told() {
    for (asked, condition, expected) in [
        (
            "x=1;tab=secret&tab=public",
            query("tab", is("public")),
            None,
        ),
        ("x=1;admin=1", query("admin", TextTest::Present), None),
        ("x=1;admin=1", when("request.query.admin == '1'"), None),
        ("x=1;admin=1", when("has(request.query.admin)"), None),
        (
            "x=1%3Badmin=1",
            query("admin", TextTest::Present),
            Some(false),
        ),
        ("x=1%3Badmin=1", query("x", is("1;admin=1")), Some(true)),
        ("x=1;admin=1", header("x-one", is("a")), Some(true)),
    ] {
        let told = asking(Some(asked), &condition, Attributes::Known);
        assert_eq!(told, expected, "{asked}: {condition:?}");
    }
}

fn holds(condition: &Condition, attributes: Attributes) -> Option<bool> {
    let query = "tab=a+b&enc=%C3%A4&twice=1&twice=2&same=1&same=1&bytes=%ff&empty=";
    asking(Some(query), condition, attributes)
}

/// Rules that allow and deny by the condition tell all three apart.
fn asking(query: Option<&str>, condition: &Condition, attributes: Attributes) -> Option<bool> {
    let judge = |effect| {
        let rules = vec![Rule {
            effect,
            when: condition.clone(),
        }];
        let mut alice = identity("alice", &["staff"]);
        alice.attributes = set(&[("department", &["sales"]), ("projects", &["x", "y"])]);
        let noted = set(&[("desk", &["blue"])]);
        let headers = headers();
        let request = RequestFacts {
            headers: &headers,
            query,
            ..request(&Method::GET, "192.0.2.7".parse().unwrap())
        };
        let subject = Subject {
            identity: Some(&alice),
            attributes,
            level: AuthLevel::new(10).unwrap(),
            session: Some(SessionFacts {
                created: Timestamp::default(),
                expires: Timestamp::default(),
                noted: (attributes == Attributes::Known).then_some(&noted),
            }),
            request: &request,
            now: SUNDAY,
        };
        authorize(&Policy::new(rules), &subject)
    };
    match (judge(Effect::Allow), judge(Effect::Deny)) {
        (Verdict::Allow(0), Verdict::Deny(Some(0))) => Some(true),
        (Verdict::Deny(None), Verdict::Deny(None)) => Some(false),
        (Verdict::Deny(None), Verdict::Deny(Some(0))) => None,
        contradiction => panic!("{condition:?}: {contradiction:?}"),
    }
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-one", "a"),
        ("x-same", "a"),
        ("x-same", "a"),
        ("x-two", "a"),
        ("x-two", "b"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    headers.insert("x-bytes", HeaderValue::from_bytes(b"\xff").unwrap());
    headers
}

fn set(list: &[(&str, &[&str])]) -> AttributeSet {
    let one = |(name, texts): &(&str, &[&str])| Attribute {
        name: AttributeName::parse(name).unwrap(),
        value: match texts {
            [text] => AttributeValue::Text(Box::from(*text)),
            texts => AttributeValue::List(texts.iter().map(|text| Box::from(*text)).collect()),
        },
    };
    AttributeSet::new(list.iter().map(one).collect()).unwrap()
}

fn is(text: &str) -> TextTest {
    TextTest::In([Box::from(text)].into_iter().collect())
}

fn matching(text: &str) -> TextTest {
    TextTest::Matches(TextPattern::whole(text).unwrap())
}

fn user(name: &str, test: TextTest) -> Condition {
    Condition::Attribute(
        AttributeOwner::User,
        AttributeName::parse(name).unwrap(),
        test,
    )
}

fn session(name: &str, test: TextTest) -> Condition {
    Condition::Attribute(
        AttributeOwner::Session,
        AttributeName::parse(name).unwrap(),
        test,
    )
}

fn header(name: &'static str, test: TextTest) -> Condition {
    Condition::Header(http::HeaderName::from_static(name), test)
}

fn query(name: &str, test: TextTest) -> Condition {
    Condition::Query(Box::from(name), test)
}

fn on(day: Weekday) -> Condition {
    Condition::Time(TimeWindow {
        zone: zone("Europe/Berlin").unwrap(),
        days: Days::default().with(day),
        hours: None,
        dates: Vec::new(),
    })
}

fn when(text: &str) -> Condition {
    Condition::When(Expression::compile(text).unwrap())
}

/// 22 November 2026, half past one in the afternoon.
const SUNDAY: Timestamp = Timestamp::from_millis(1_795_354_200_000);
