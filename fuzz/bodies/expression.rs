//! Expressions of policies: any text compiles or has a fault at a place in it; what compiles is answered, twice
//! the same, whatever is known.

use http::HeaderMap;
use http::Method;
use portway::decision::expression::Expression;
use portway::decision::facts::RequestFacts;
use portway::decision::facts::SessionFacts;
use portway::decision::facts::Subject;
use portway::decision::forwarded::Scheme;
use portway::model::attribute::AttributeSet;
use portway::model::id::RequestId;
use portway::model::identity::AuthLevel;
use portway::model::identity::Identity;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Attributes;
use portway::model::time::Timestamp;

/// Compiles a text, and asks it.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let expression = match Expression::compile(text) {
        Ok(expression) => expression,
        Err(fault) => {
            assert!(fault.line >= 1 && fault.column >= 1);
            assert!(!fault.problem.to_string().is_empty());
            return;
        }
    };
    assert_eq!(expression.as_str(), text);
    let again = Expression::compile(text).expect("it compiled before");
    assert_eq!(again.facts(), expression.facts());
    asked(&expression);
}

fn asked(expression: &Expression) {
    let identity = Identity {
        store: StoreName::parse("local").expect("it is a name"),
        subject: UserName::parse("alice").expect("it is a name"),
        name: None,
        email: None,
        groups: Vec::new(),
        attributes: AttributeSet::new(Vec::new()).expect("it is empty"),
    };
    let headers = HeaderMap::new();
    let request = RequestFacts {
        id: RequestId::from_bytes([0; 16]),
        method: &Method::GET,
        scheme: Scheme::Https,
        host: "app.test",
        path: "/a",
        query: Some("a=b"),
        headers: &headers,
        address: std::net::IpAddr::from([192, 0, 2, 7]),
        tls: None,
    };
    for (identity, attributes) in [
        (Some(&identity), Attributes::Known),
        (Some(&identity), Attributes::Unknown),
        (None, Attributes::Known),
    ] {
        let subject = Subject {
            identity,
            attributes,
            level: AuthLevel::new(10).expect("it is a level"),
            session: identity.map(|_| SessionFacts {
                created: Timestamp::from_millis(0),
                expires: Timestamp::from_millis(1),
                noted: None,
            }),
            request: &request,
            now: Timestamp::from_millis(1_795_357_506_000),
        };
        assert_eq!(expression.evaluate(&subject), expression.evaluate(&subject));
    }
}

/// Expressions that use most of the language.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "user.groups.exists(g, g.startsWith('team-')) && session.level >= 10",
        "has(user.attributes.department) && user.attributes.department in ['a', \"b\"]",
        "time.now.getHours('Europe/Berlin') < 18 || request.address.inNetwork('10.0.0.0/8')",
        "!(request.path.matches('^/v[0-9]+/')) ? true : size(user.groups) == 2 + 3 * 4 - 1 % 2",
        "request.header['x-tenant'] == 'blue' && timestamp('2026-01-31T08:00:00Z') < time.now",
        "user.groups.filter(g, g.contains('x')).all(g, g.lowerAscii() != '')",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}
