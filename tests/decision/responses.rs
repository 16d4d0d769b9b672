//! What policies give to requests: no value leaves the place it was put in, what is missing is left out,
//! and nothing is cut off.

use http::HeaderMap;
use http::Method;
use http::header;
use portway::decision::facts::Fact;
use portway::decision::facts::RequestFacts;
use portway::decision::facts::SessionFacts;
use portway::decision::facts::Subject;
use portway::decision::response::CookieTemplate;
use portway::decision::response::ResponseError;
use portway::decision::response::Responses;
use portway::decision::response::Scripts;
use portway::decision::template::Form;
use portway::decision::template::Part;
use portway::decision::template::Template;
use portway::model::attribute::Attribute;
use portway::model::attribute::AttributeSet;
use portway::model::attribute::AttributeValue;
use portway::model::identity::AuthLevel;
use portway::model::identity::Identity;
use portway::model::name::AttributeName;
use portway::model::session::Attributes;
use portway::model::time::Timestamp;
use proptest::prelude::*;

use super::authorization::identity;
use super::authorization::request;

#[test]
fn a_template_is_its_texts_and_its_facts_and_nothing_if_one_is_missing() {
    let alice = alice();
    for (parts, header) in [
        (
            vec![text("x-"), fact("user.id"), text("@"), fact("user.store")],
            Some("x-alice@local"),
        ),
        (vec![fact("user.groups")], Some("a%2Cb,ops")),
        (vec![fact("user.email")], Some("%C3%A4@x.test")),
        (vec![text("x-"), fact("user.name")], None),
        (vec![text("x-"), fact("user.attributes.none")], None),
        (vec![fact("session.level")], Some("10")),
        (vec![fact("session.created")], Some("1970-01-01T00:00:07Z")),
        (vec![fact("request.query.q")], Some("a%0D%0Ab%25")),
        (vec![fact("request.query.none")], None),
        (
            vec![fact("request.method"), text(" "), fact("request.path")],
            Some("GET /"),
        ),
    ] {
        let template = Template::new("", parts);
        let seen = with_subject(&alice, Attributes::Known, |subject| {
            template.render(subject, Form::Header)
        });
        let seen = seen.map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(seen.as_deref(), header, "{:?}", template.parts());
    }
    // Of a session without its attributes only the user can be told (S-10).
    let known = |name: &str| {
        let template = Template::of(Fact::parse(name).unwrap());
        with_subject(&alice, Attributes::Unknown, |subject| {
            template.render(subject, Form::Header)
        })
    };
    assert_eq!(known("user.id").as_deref(), Some(b"alice".as_slice()));
    assert_eq!(known("user.groups"), None);
    assert_eq!(known("user.email"), None);
}

#[test]
fn what_is_too_long_is_not_cut_off() {
    let mut alice = alice();
    alice.email = Some("x".repeat(9000));
    let template = Template::of(Fact::parse("user.email").unwrap());
    let header = Responses {
        headers: vec![(header::FROM, template.clone())],
        ..Responses::default()
    };
    let given = with_subject(&alice, Attributes::Known, |subject| header.give(subject));
    assert!(
        matches!(given, Err(ResponseError::Header { bytes: 9000, .. })),
        "{given:?}"
    );
    let cookie = Responses {
        cookies: vec![cookie("c", template)],
        ..Responses::default()
    };
    let given = with_subject(&alice, Attributes::Known, |subject| cookie.give(subject));
    assert!(
        matches!(given, Err(ResponseError::Cookie { bytes: 9001, .. })),
        "{given:?}"
    );
}

#[test]
fn only_attributes_that_differ_are_news_and_none_where_the_others_are_not_known() {
    let new = |name: &str, fact: &str| {
        let template = Template::of(Fact::parse(fact).unwrap());
        (AttributeName::parse(name).unwrap(), template)
    };
    let responses = Responses {
        attributes: vec![
            new("who", "user.id"),
            new("groups", "user.groups"),
            new("none", "user.name"),
        ],
        ..Responses::default()
    };
    let alice = alice();
    let given = with_subject(&alice, Attributes::Known, |subject| responses.give(subject));
    let names: Vec<_> = given
        .unwrap()
        .attributes
        .into_iter()
        .map(|new| new.name)
        .collect();
    // The session of the test has `who` already.
    assert_eq!(names, [AttributeName::parse("groups").unwrap()]);
    let given = with_subject(&alice, Attributes::Unknown, |subject| {
        responses.give(subject)
    });
    assert_eq!(given.unwrap().attributes, []);
}

#[test]
fn an_application_that_is_told_of_fewer_groups_changes_nothing_about_the_session() {
    let groups = Template::of(Fact::parse("user.groups").unwrap());
    let responses = Responses {
        headers: vec![(header::FROM, groups.clone())],
        cookies: vec![cookie("c", groups.clone())],
        attributes: vec![(AttributeName::parse("groups").unwrap(), groups)],
    };
    let alice = alice();
    let fewer = identity("alice", &["ops"]);
    let given = with_subject(&alice, Attributes::Known, |subject| {
        let told = Subject {
            identity: Some(&fewer),
            ..*subject
        };
        responses.give_as_told(subject, &told)
    });
    let given = given.unwrap();
    let header = given.headers.iter().map(|(_, value)| value.as_bytes());
    assert_eq!(header.collect::<Vec<_>>(), [b"ops"]);
    assert_eq!(given.cookies, [(Box::<str>::from("c"), "ops".to_owned())]);
    let both = AttributeValue::List([Box::<str>::from("a,b"), Box::<str>::from("ops")].into());
    assert_eq!(given.attributes[0].value, both);
}

#[test]
fn a_route_gives_its_own_and_the_rest_of_its_policy() {
    let of = |name: &'static str, from: &str| {
        (
            http::HeaderName::from_static(name),
            Template::of(Fact::parse(from).unwrap()),
        )
    };
    let own = Responses {
        headers: vec![of("x-a", "user.id")],
        ..Responses::default()
    };
    let policy = Responses {
        headers: vec![of("x-a", "user.store"), of("x-b", "user.store")],
        ..Responses::default()
    };
    let both = own.or(&policy);
    assert_eq!(
        both.headers,
        [of("x-a", "user.id"), of("x-b", "user.store")]
    );
}

proptest! {
    #![proptest_config(super::cases(400))]

    #[test]
    fn no_value_leaves_the_place_it_was_put_in(
        email in ".{0,40}",
        query in "[a-z&=%+0-9A-F]{0,60}",
        line in proptest::collection::vec(32_u8..=255, 0..30),
    ) {
        let mut alice = alice();
        alice.email = Some(email);
        let mut headers = HeaderMap::new();
        headers.extend(http::HeaderValue::from_bytes(&line).ok().map(|line| (header::FROM, line)));
        let query = format!("q={query}");
        let method = Method::GET;
        let request = RequestFacts {
            query: Some(&query),
            headers: &headers,
            ..request(&method, "192.0.2.7".parse().unwrap())
        };
        let subject = Subject { request: &request, ..subject(&alice, &request) };
        for name in ["user.email", "user.groups", "request.query.q", "request.header.from", "request.query_string"] {
            let template = Template::of(Fact::parse(name).unwrap());
            for byte in template.render(&subject, Form::Header).unwrap_or_default() {
                prop_assert!(byte == b' ' || byte.is_ascii_graphic(), "{}: {}", name, byte);
            }
            for byte in template.render(&subject, Form::Cookie).unwrap_or_default() {
                prop_assert!(byte.is_ascii_graphic() && !b"\",;\\".contains(&byte), "{}: {}", name, byte);
            }
            for byte in template.render(&subject, Form::Address).unwrap_or_default() {
                prop_assert!(byte.is_ascii_alphanumeric() || b"-._~%,".contains(&byte), "{}: {}", name, byte);
            }
        }
        let cookies = Responses {
            cookies: vec![cookie("c", Template::of(Fact::parse("user.email").unwrap()))],
            ..Responses::default()
        };
        for set in cookies.give(&subject).unwrap().set_cookies {
            prop_assert_eq!(set.matches(';').count(), 4, "{}", set);
        }
    }
}

fn text(text: &str) -> Part {
    Part::Text(Box::from(text))
}

fn fact(name: &str) -> Part {
    Part::Fact(Fact::parse(name).unwrap())
}

fn cookie(name: &str, value: Template) -> CookieTemplate {
    CookieTemplate {
        name: Box::from(name),
        value,
        path: Box::from("/"),
        seconds_max: None,
        scripts: Scripts::Refused,
        same_site: ::cookie::SameSite::Lax,
    }
}

fn alice() -> Identity {
    Identity {
        email: Some("ä@x.test".to_owned()),
        ..identity("alice", &["a,b", "ops"])
    }
}

fn subject<'a>(identity: &'a Identity, request: &'a RequestFacts<'a>) -> Subject<'a> {
    Subject {
        identity: Some(identity),
        attributes: Attributes::Known,
        level: AuthLevel::new(10).unwrap(),
        session: None,
        request,
        now: Timestamp::from_millis(9_000),
    }
}

fn with_subject<T>(
    identity: &Identity,
    attributes: Attributes,
    run: impl FnOnce(&Subject<'_>) -> T,
) -> T {
    let noted = AttributeSet::new(vec![Attribute {
        name: AttributeName::parse("who").unwrap(),
        value: AttributeValue::Text(Box::from("alice")),
    }]);
    let noted = noted.unwrap();
    let method = Method::GET;
    let request = RequestFacts {
        query: Some("q=a%0D%0Ab%25"),
        ..request(&method, "192.0.2.7".parse().unwrap())
    };
    run(&Subject {
        attributes,
        session: Some(SessionFacts {
            created: Timestamp::from_millis(7_000),
            expires: Timestamp::from_millis(90_000),
            noted: (attributes == Attributes::Known).then_some(&noted),
        }),
        ..subject(identity, &request)
    })
}
