//! Routes that are told apart by headers, parameters and the scheme: whatever a client sends, it comes to no route with
//! another pattern, and to none where it cannot be told what it has sent.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use portway::decision::forwarded::Scheme;
use portway::decision::path::Oddity;
use portway::decision::path::PathRefusal;
use portway::decision::path::Tolerance;
use portway::decision::path::normalise;
use portway::decision::routing::Narrowing;
use portway::decision::routing::PathPattern;
use portway::decision::routing::RouteEntry;
use portway::decision::routing::RouteFound;
use portway::decision::routing::RouteTable;
use portway::decision::routing::Traits;
use portway::decision::text_test::TextTest;
use proptest::prelude::*;

/// A request to `/adm`.
#[derive(Clone, Copy)]
struct Asked<'a> {
    method: &'a str,
    scheme: Scheme,
    query: Option<&'a str>,
    headers: &'a [(&'a str, &'a str)],
}

const PLAIN_GET: Asked<'_> = Asked {
    method: "GET",
    scheme: Scheme::Https,
    query: None,
    headers: &[],
};

#[test]
fn the_first_route_with_the_pattern_that_is_for_a_request_has_it() {
    let asked = [
        ("delete", query(Some("action=delete"))),
        ("delete", query(Some("x=1&action=del%65te"))),
        ("beta", headers(&[("x-beta", "")])),
        (
            "delete",
            Asked {
                query: Some("action=delete"),
                ..headers(&[("x-beta", "1")])
            },
        ),
        (
            "plain",
            Asked {
                scheme: Scheme::Http,
                ..PLAIN_GET
            },
        ),
        (
            "rest",
            Asked {
                method: "POST",
                ..PLAIN_GET
            },
        ),
        (
            "rest",
            Asked {
                method: "POST",
                query: Some("action=other"),
                ..PLAIN_GET
            },
        ),
    ];
    for (expected, asked) in asked {
        let found = format!("{:?}", ask(&table(), asked));
        assert_eq!(found, format!("Found({expected:?})"));
    }
}

#[test]
fn whom_no_route_with_the_pattern_is_for_finds_none_and_no_other_pattern() {
    let table = table();
    let allowed = vec![Method::POST];
    let found = ask(&table, PLAIN_GET);
    assert_eq!(found, RouteFound::MethodNotAllowed(allowed));
    let narrow = RouteTable::new(vec![
        entry(
            "/adm",
            &[],
            Some(by_parameter("action", "delete")),
            "delete",
        ),
        entry("/", &[], None, "site"),
    ]);
    assert_eq!(ask(&narrow, PLAIN_GET), RouteFound::NotFound);
    assert_eq!(ask(&narrow, query(Some("action="))), RouteFound::NotFound);
}

#[test]
fn what_can_be_read_in_two_ways_chooses_no_route() {
    let table = table();
    for odd in [
        "action=delete&action=view",
        "action=view&action=delete",
        "a=1;action=delete",
        "action=delete;a=1",
        "action=%ff",
    ] {
        for method in ["GET", "POST"] {
            let asked = Asked {
                method,
                ..query(Some(odd))
            };
            assert_eq!(ask(&table, asked), RouteFound::Unclear, "{odd}");
        }
    }
    let twice = headers(&[("x-api", "1"), ("x-api", "2")]);
    let by_header = RouteTable::new(vec![
        entry("/adm", &[], Some(by_header("x-api", "1")), "one"),
        entry("/adm", &[], None, "rest"),
    ]);
    assert_eq!(ask(&by_header, twice), RouteFound::Unclear);
    // The same said twice is said.
    let same = headers(&[("x-api", "1"), ("x-api", "1")]);
    assert_eq!(ask(&by_header, same), RouteFound::Found(&"one"));
    // Another test that fails settles it.
    let both = Narrowing {
        scheme: Some(Scheme::Http),
        ..by_parameter("action", "delete")
    };
    let settled = RouteTable::new(vec![
        entry("/adm", &[], Some(both), "plain"),
        entry("/adm", &[], None, "rest"),
    ]);
    let asked = query(Some("action=delete;x"));
    assert_eq!(ask(&settled, asked), RouteFound::Found(&"rest"));
}

#[test]
fn where_nothing_but_the_method_is_known_a_narrowed_route_is_not_chosen() {
    let path = normalise("/adm").unwrap();
    assert_eq!(table().find(&path, &Method::GET), RouteFound::Unclear);
    let path = normalise("/other").unwrap();
    assert_eq!(
        table().find(&path, &Method::GET),
        RouteFound::Found(&"site")
    );
}

#[test]
fn a_route_that_is_chosen_by_a_parameter_tolerates_no_more_than_it_says() {
    let mut tolerant = entry("/adm", &[], Some(by_parameter("a", "1")), "one");
    tolerant.tolerance = Tolerance::none().with(Oddity::EncodedSlash);
    let table = RouteTable::new(vec![tolerant, entry("/adm", &[], None, "rest")]);
    let find = |query| {
        let path = normalise("/adm/a%2fb").unwrap();
        let headers = HeaderMap::new();
        let request = Traits {
            method: &Method::GET,
            scheme: Scheme::Https,
            query,
            headers: &headers,
        };
        format!("{:?}", table.find_for(&path, &request))
    };
    assert_eq!(find(Some("a=1")), "Found(\"one\")");
    let odd: RouteFound<'_, &str> = RouteFound::Refused(PathRefusal::Odd(Oddity::EncodedSlash));
    assert_eq!(find(None), format!("{odd:?}"));
}

proptest! {
    #![proptest_config(super::cases(1024))]

    #[test]
    fn no_query_header_or_scheme_leads_to_another_pattern(
        text in "[a-z=&;%0-9+]{0,24}",
        value in "[ -~]{0,8}",
        plain in any::<bool>(),
        posts in any::<bool>(),
    ) {
        let asked = Asked {
            method: if posts { "POST" } else { "GET" },
            scheme: if plain { Scheme::Http } else { Scheme::Https },
            query: Some(&text),
            headers: &[("x-beta", value.as_str())],
        };
        let table = table();
        prop_assert_ne!(ask(&table, asked), RouteFound::Found(&"site"));
    }
}

fn query(query: Option<&str>) -> Asked<'_> {
    Asked { query, ..PLAIN_GET }
}

fn headers<'a>(headers: &'a [(&'a str, &'a str)]) -> Asked<'a> {
    Asked {
        headers,
        ..PLAIN_GET
    }
}

fn ask<'t>(table: &'t RouteTable<&'static str>, asked: Asked<'_>) -> RouteFound<'t, &'static str> {
    let mut headers = HeaderMap::new();
    for (name, value) in asked.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let method = Method::from_bytes(asked.method.as_bytes()).unwrap();
    let request = Traits {
        method: &method,
        scheme: asked.scheme,
        query: asked.query,
        headers: &headers,
    };
    table.find_for(&normalise("/adm").unwrap(), &request)
}

/// An area whose routes are told apart, in a site.
fn table() -> RouteTable<&'static str> {
    let beta = Narrowing {
        headers: vec![(HeaderName::from_static("x-beta"), TextTest::Present)],
        ..Narrowing::default()
    };
    let plain = Narrowing {
        scheme: Some(Scheme::Http),
        ..Narrowing::default()
    };
    RouteTable::new(vec![
        entry(
            "/adm",
            &[],
            Some(by_parameter("action", "delete")),
            "delete",
        ),
        entry("/adm", &[], Some(beta), "beta"),
        entry("/adm", &[], Some(plain), "plain"),
        entry("/adm", &[Method::POST], None, "rest"),
        entry("/", &[], None, "site"),
    ])
}

fn entry(
    path: &str,
    methods: &[Method],
    narrowing: Option<Narrowing>,
    value: &'static str,
) -> RouteEntry<&'static str> {
    RouteEntry {
        pattern: PathPattern::prefix(path).unwrap(),
        methods: methods.to_vec(),
        narrowing: narrowing.map(Arc::new),
        tolerance: Tolerance::none(),
        value,
    }
}

fn by_parameter(name: &str, value: &str) -> Narrowing {
    Narrowing {
        query: vec![(Box::from(name), is(value))],
        ..Narrowing::default()
    }
}

fn by_header(name: &'static str, value: &str) -> Narrowing {
    Narrowing {
        headers: vec![(HeaderName::from_static(name), is(value))],
        ..Narrowing::default()
    }
}

fn is(text: &str) -> TextTest {
    TextTest::In([Box::from(text)].into_iter().collect())
}
