//! Routing: a path that is served at an open route can be taken for a closed page by nobody, and patterns of any
//! text are a pattern or a fault.

use http::Method;
use portway::decision::path::Tolerance;
use portway::decision::path::normalise;
use portway::decision::routing::HostPattern;
use portway::decision::routing::PathPattern;
use portway::decision::routing::RouteEntry;
use portway::decision::routing::RouteFound;
use portway::decision::routing::RouteTable;

/// Takes a text for a path, for a pattern and for a host.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    patterns(text);
    let _any = HostPattern::parse(text);
    let Ok(path) = normalise(text) else {
        return;
    };
    let table = table();
    let RouteFound::Found(open) = table.find(&path, &Method::GET) else {
        return;
    };
    let is_closed = |reading: &str| {
        let folded = reading.to_ascii_lowercase();
        folded == "/adm" || folded.starts_with("/adm/")
    };
    let closed = path.readings().filter(|reading| is_closed(reading)).count();
    let all = path.readings().count();
    match open {
        Place::Closed => assert_eq!(closed, all, "{text:?} is open to some server"),
        Place::Open => assert_eq!(closed, 0, "{text:?} is closed to some server"),
    }
}

/// A pattern matches the path that it is made of.
fn patterns(text: &str) {
    let _any = (PathPattern::glob(text), PathPattern::regex(text));
    let (Ok(exact), Ok(path)) = (PathPattern::exact(text), normalise(text)) else {
        return;
    };
    if path.as_str() != text || path.readings().count() != 1 {
        return;
    }
    let table = RouteTable::new(vec![entry(exact, Place::Open)]);
    let found = table.find(&path, &Method::GET);
    assert!(!matches!(found, RouteFound::NotFound), "{text:?}");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Closed,
    Open,
}

fn table() -> RouteTable<Place> {
    let prefix = |text| PathPattern::prefix(text).expect("it is a pattern");
    RouteTable::new(vec![
        entry(prefix("/adm"), Place::Closed),
        entry(prefix("/pub"), Place::Open),
        entry(prefix("/"), Place::Open),
    ])
}

fn entry(pattern: PathPattern, value: Place) -> RouteEntry<Place> {
    RouteEntry {
        pattern,
        methods: Vec::new(),
        narrowing: None,
        tolerance: Tolerance::none(),
        value,
    }
}

/// Paths and patterns.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = super::path::seeds();
    for text in [
        "/a/*/b/**",
        "^/v[0-9]+/(x|y)",
        "*.example.test",
        "/adm/secret",
        "/ADM",
        "/pub/x",
    ] {
        seeds.push(text.as_bytes().to_vec());
    }
    seeds
}
