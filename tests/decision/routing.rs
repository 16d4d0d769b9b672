//! Hosts and routes: which one is found, and that no spelling of a path reaches another one.

use std::sync::LazyLock;

use http::Method;
use portway::decision::path::NormalPath;
use portway::decision::path::Oddity;
use portway::decision::path::PathRefusal;
use portway::decision::path::Tolerance;
use portway::decision::path::normalise;
use portway::decision::routing::HostPattern;
use portway::decision::routing::HostTable;
use portway::decision::routing::PathPattern;
use portway::decision::routing::PatternError;
use portway::decision::routing::RouteEntry;
use portway::decision::routing::RouteFound;
use portway::decision::routing::RouteTable;
use portway::decision::routing::reach;
use portway::decision::upstream::stable_hash;
use proptest::prelude::*;

use super::path::probe;
use super::servers::server;

type Table = RouteTable<&'static str>;

fn everything() -> Tolerance {
    Oddity::ALL
        .into_iter()
        .fold(Tolerance::none(), Tolerance::with)
}

fn entry<T>(pattern: PathPattern, value: T) -> RouteEntry<T> {
    RouteEntry {
        pattern,
        methods: Vec::new(),
        narrowing: None,
        tolerance: Tolerance::none(),
        value,
    }
}

fn prefixes(routes: &[(&str, &'static str)]) -> Table {
    RouteTable::new(
        routes
            .iter()
            .map(|(text, value)| entry(PathPattern::prefix(text).unwrap(), *value))
            .collect(),
    )
}

/// A protected area in a public site that tolerates everything.
fn guarded() -> Table {
    let mut routes = vec![
        entry(PathPattern::prefix("/adm").unwrap(), "adm"),
        entry(PathPattern::glob("/pub/**").unwrap(), "pub"),
        entry(PathPattern::prefix("/").unwrap(), "site"),
    ];
    for route in &mut routes {
        route.tolerance = everything();
    }
    RouteTable::new(routes)
}

fn get<'t>(table: &'t Table, raw: &str) -> RouteFound<'t, &'static str> {
    match normalise(raw) {
        Ok(path) => table.find(&path, &Method::GET),
        Err(refusal) => RouteFound::Refused(refusal),
    }
}

fn found<'t>(table: &'t Table, raw: &str) -> &'t str {
    match get(table, raw) {
        RouteFound::Found(value) => value,
        RouteFound::MethodNotAllowed(_)
        | RouteFound::NotFound
        | RouteFound::Refused(_)
        | RouteFound::Unclear => panic!("{raw} is not served"),
    }
}

fn is_refused(table: &Table, raw: &str) -> bool {
    matches!(get(table, raw), RouteFound::Refused(_))
}

/// Spellings from the catalogue of confusions, all of `/adm/s` under some reading.
const SPELLINGS: &[&str] = &[
    "/adm/s",
    "//adm/s",
    "/adm//s",
    "/./adm/s",
    "/x/../adm/s",
    "/pub/../adm/s",
    "/pub/%2e%2e/adm/s",
    "/pub/%2E%2E/adm/s",
    "/pub/.%2e/adm/s",
    "/pub/%2e./adm/s",
    "/pub/x/../../adm/s",
    "/pub/..//adm/s",
    "/pub/..%2fadm/s",
    "/pub/..%2Fadm/s",
    "/pub/..%5cadm/s",
    "/pub/..%5Cadm/s",
    "/pub/..\\adm/s",
    "/pub\\..\\adm\\s",
    "/pub%2f..%2fadm%2fs",
    "/pub/%2e%2e%2fadm/s",
    "/pub/%252e%252e/adm/s",
    "/pub/%252e%252e%252fadm/s",
    "/pub/..%252fadm/s",
    "/pub/..%255cadm/s",
    "/pub/%25252e%25252e/adm/s",
    "/pub/..;/adm/s",
    "/pub/..;x=1/adm/s",
    "/pub/.;/../adm/s",
    "/pub/..%3b/adm/s",
    "/pub/..%3Bx/adm/s",
    "/adm;x=1/s",
    "/adm;/s",
    "/adm%3bx/s",
    "/adm%3Bx=1/s",
    "/adm%253bx/s",
    "/;x/adm/s",
    "/adm/s;.wadl",
    "/adm/s;.css",
    "/adm%2fs",
    "/adm%2Fs",
    "/adm%5cs",
    "/adm%252fs",
    "/adm%255Cs",
    "/%2fadm/s",
    "/%5cadm/s",
    "/%61dm/s",
    "/%61%64%6d/s",
    "/%2561dm/s",
    "/%25%36%31dm/s",
    "/ADM/s",
    "/Adm/S",
    "/aDm;x/s",
    "/%41dm/s",
    "/adm%00/s",
    "/adm/s%00.css",
    "/adm#pub",
    "/adm%23pub",
    "/adm%2523pub",
    "/pub/#/../../adm/s",
    "/adm%3fpub",
    "/adm%3F/./pub",
    "/adm%253fpub",
    "/adm%/s",
    "/adm/%zz",
    "/pub/%c0%ae%c0%ae/adm/s",
    "/pub/..%c0%afadm/s",
    "/pub/%e0%80%ae%e0%80%ae/adm/s",
    "/pub/..%c1%9cadm/s",
    "/%EF%BD%81dm/s",
    "/pub/..%EF%BC%8Fadm/s",
    "/pub/%EF%BC%8E%EF%BC%8E/adm/s",
    "/adm%EF%BC%8Fs",
    "/pub/%u002e%u002e/adm/s",
    "/pub/%25u002e%25u002e/adm/s",
    "/adm/*",
    "/adm/",
    "/adm/s/",
    "/adm/s/.",
    "/adm/x/../s",
    "/index.fcgi/../adm/s",
];

#[test]
fn the_catalogued_spellings_of_a_protected_path_reach_no_other_route() {
    let table = guarded();
    for raw in SPELLINGS {
        let answer = get(&table, raw);
        let is_safe = matches!(answer, RouteFound::Found(&"adm") | RouteFound::Refused(_));
        assert!(is_safe, "{raw}: {answer:?}");
    }
}

#[test]
fn ambiguous_paths_are_refused_even_by_a_route_that_tolerates_everything() {
    let table = guarded();
    for raw in [
        "/ADM/s",
        "/adm;x=1/s",
        "/adm%2fs",
        "/adm%5cs",
        "/adm%252fs",
        "/adm%23pub",
        "/adm%3fpub",
        "/;x/adm",
        "/%2561dm",
        "/adm%EF%BC%8Fs",
        "/%EF%BD%81dm",
        "/pub%2f%2fx/%2fadm/..%2f",
    ] {
        assert!(is_refused(&table, raw), "{raw}");
    }
}

#[test]
fn a_path_that_reads_alike_everywhere_is_served() {
    let table = guarded();
    for (raw, route) in [
        ("/adm/s;.wadl", "adm"),
        ("/adm/S%2fT", "adm"),
        ("/adm/%C3%89", "adm"),
        ("/pub/a%2fb", "pub"),
        ("/pub/Read%20me.TXT", "pub"),
        ("/other;v=2/x", "site"),
        ("/administrator", "site"),
        ("/", "site"),
    ] {
        assert_eq!(found(&table, raw), route, "{raw}");
    }
}

#[test]
fn odd_spellings_pass_only_where_the_route_tolerates_them() {
    let mut tolerant = entry(PathPattern::prefix("/repo").unwrap(), "repo");
    tolerant.tolerance = Tolerance::none().with(Oddity::EncodedSlash);
    let table = RouteTable::new(vec![
        tolerant,
        entry(PathPattern::prefix("/app").unwrap(), "app"),
    ]);
    assert_eq!(found(&table, "/repo/a%2fb"), "repo");
    let odd = |oddity| RouteFound::Refused(PathRefusal::Odd(oddity));
    assert_eq!(get(&table, "/repo/a%5cb"), odd(Oddity::EncodedBackslash));
    assert_eq!(get(&table, "/repo/a%252fb"), odd(Oddity::DoubleEncoding));
    assert_eq!(get(&table, "/app/a%2fb"), odd(Oddity::EncodedSlash));
    assert_eq!(get(&table, "/nowhere/a%23b"), odd(Oddity::EncodedHash));
}

#[test]
fn letter_case_never_leads_around_a_route() {
    let table = prefixes(&[("/Admin", "admin"), ("/", "site")]);
    assert_eq!(found(&table, "/Admin/x"), "admin");
    assert!(is_refused(&table, "/admin/x"));
    assert!(is_refused(&table, "/ADMIN"));
    assert_eq!(found(&table, "/Other"), "site");
    let regex = RouteTable::new(vec![
        entry(PathPattern::regex("/[A-F]dmin").unwrap(), "admin"),
        entry(PathPattern::glob("/[0-_]x/*").unwrap(), "glob"),
        entry(PathPattern::prefix("/").unwrap(), "site"),
    ]);
    assert_eq!(found(&regex, "/Admin"), "admin");
    assert!(is_refused(&regex, "/admin"));
    assert!(is_refused(&regex, "/ax/y"));
}

#[test]
fn escaped_and_plain_spellings_of_one_character_are_one_path() {
    let table = RouteTable::new(vec![
        entry(PathPattern::exact("/a%20b").unwrap(), "space"),
        entry(PathPattern::exact("/u/bob@x").unwrap(), "at"),
        entry(PathPattern::exact("/caf%c3%a9").unwrap(), "accent"),
        entry(PathPattern::exact("/u/eve%40x").unwrap(), "escaped"),
    ]);
    for (raw, route) in [
        ("/a%20b", "space"),
        ("/u/bob@x", "at"),
        ("/u/bob%40x", "at"),
        ("/u/eve@x", "escaped"),
        ("/caf%C3%A9", "accent"),
        ("/%63af%c3%a9", "accent"),
    ] {
        assert_eq!(found(&table, raw), route, "{raw}");
    }
    assert!(is_refused(&table, "/caf%C3%89"));
}

#[test]
fn the_first_route_that_matches_wins() {
    let table = prefixes(&[
        ("/a/b", "deep"),
        ("/a", "shallow"),
        ("/a/b/c", "hidden"),
        ("/", "site"),
    ]);
    assert_eq!(found(&table, "/a/b/c"), "deep");
    assert_eq!(found(&table, "/a/x"), "shallow");
    assert_eq!(found(&table, "/b"), "site");
}

#[test]
fn a_prefix_matches_whole_segments() {
    let table = prefixes(&[("/adm", "adm"), ("/pub/", "pub")]);
    for path in ["/adm", "/adm/", "/adm/x"] {
        assert_eq!(found(&table, path), "adm");
    }
    for path in ["/pub", "/pub/", "/pub/x"] {
        assert_eq!(found(&table, path), "pub");
    }
    assert_eq!(get(&table, "/admin"), RouteFound::NotFound);
    assert_eq!(get(&table, "/"), RouteFound::NotFound);
}

#[test]
fn exact_glob_and_regex_match_what_they_say() {
    let table = RouteTable::new(vec![
        entry(PathPattern::exact("/one").unwrap(), "exact"),
        entry(PathPattern::glob("/g/*.css").unwrap(), "glob"),
        entry(PathPattern::glob("/deep/**").unwrap(), "deep"),
        entry(PathPattern::glob("/{x,y}/z").unwrap(), "braces"),
        entry(PathPattern::regex("/r/[0-9]+$").unwrap(), "regex"),
        entry(PathPattern::regex("/open").unwrap(), "open"),
        entry(PathPattern::regex("/a|/b").unwrap(), "either"),
    ]);
    for (path, route) in [
        ("/one", "exact"),
        ("/g/a.css", "glob"),
        ("/deep/a/b", "deep"),
        ("/deep/", "deep"),
        ("/x/z", "braces"),
        ("/y/z", "braces"),
        ("/r/42", "regex"),
        ("/opening", "open"),
        ("/b", "either"),
    ] {
        assert_eq!(found(&table, path), route, "{path}");
    }
    for path in [
        "/one/",
        "/one/x",
        "/g/x/a.css",
        "/g/a.css/x",
        "/deep",
        "/r/42x",
        "/x/r/42",
        "/x/open",
    ] {
        assert_eq!(get(&table, path), RouteFound::NotFound, "{path}");
    }
}

#[test]
fn an_asterisk_in_a_path_is_only_a_character() {
    let table = prefixes(&[("/adm", "adm"), ("/pub", "pub")]);
    assert_eq!(found(&table, "/adm/*"), "adm");
    assert_eq!(get(&table, "/*"), RouteFound::NotFound);
}

#[test]
fn a_method_never_leads_around_a_route() {
    let with = |pattern: &str, methods: &[Method], value| RouteEntry {
        methods: methods.to_vec(),
        ..entry(PathPattern::prefix(pattern).unwrap(), value)
    };
    let table: Table = RouteTable::new(vec![
        with("/adm", &[Method::GET], "read"),
        with("/adm", &[Method::POST], "write"),
        with("/", &[], "site"),
    ]);
    let find = |method: &str| {
        table.find(
            &normalise("/adm").unwrap(),
            &Method::from_bytes(method.as_bytes()).unwrap(),
        )
    };
    assert_eq!(find("GET"), RouteFound::Found(&"read"));
    assert_eq!(find("HEAD"), RouteFound::Found(&"read"));
    assert_eq!(find("POST"), RouteFound::Found(&"write"));
    for method in ["PUT", "OPTIONS", "BREW", "get"] {
        let allowed = vec![Method::GET, Method::HEAD, Method::POST];
        assert_eq!(
            find(method),
            RouteFound::MethodNotAllowed(allowed),
            "{method}"
        );
    }
}

#[test]
fn patterns_that_no_request_could_match_are_faults() {
    for (text, fault) in [
        ("adm", PatternError::NotAbsolute),
        ("/a b", PatternError::Path(PathRefusal::Character(' '))),
        ("/é", PatternError::Path(PathRefusal::Character('é'))),
        ("/a/../..", PatternError::Path(PathRefusal::AboveRoot)),
        ("/a?b", PatternError::Path(PathRefusal::Character('?'))),
        ("/a%2fb", PatternError::Ambiguous),
        ("/a;b", PatternError::Ambiguous),
    ] {
        assert_eq!(PathPattern::exact(text), Err(fault.clone()), "{text}");
        assert_eq!(PathPattern::prefix(text), Err(fault), "{text}");
    }
    assert_eq!(PathPattern::glob("x/*"), Err(PatternError::NotAbsolute));
    assert_eq!(PathPattern::glob("/é"), Err(PatternError::NotInPaths('é')));
    assert_eq!(
        PathPattern::regex("/a b"),
        Err(PatternError::NotInPaths(' '))
    );
    let escape = |written: &str, spelled: &str| {
        Err(PatternError::Escape {
            written: written.to_owned(),
            spelled: spelled.to_owned(),
        })
    };
    assert_eq!(PathPattern::glob("/%c3%A9/*"), escape("%c3", "%C3"));
    assert_eq!(PathPattern::regex("/u%40x"), escape("%40", "@"));
    assert!(matches!(
        PathPattern::glob("/[a"),
        Err(PatternError::Glob(_))
    ));
    for broken in ["/(", "/a)(", "/a)|(/b", "/[z-a]", "/a**{"] {
        assert!(
            matches!(PathPattern::regex(broken), Err(PatternError::Regex(_))),
            "{broken}"
        );
    }
    assert!(matches!(
        PathPattern::regex("/(a{1000}){1000}"),
        Err(PatternError::Regex(_))
    ));
}

#[test]
fn patterns_print_as_written_and_are_equal_by_kind_and_text() {
    let pattern = PathPattern::prefix("/adm/").unwrap();
    assert_eq!(pattern.to_string(), "/adm/");
    assert_eq!(format!("{pattern:?}"), "Prefix(\"/adm/\")");
    assert_eq!(pattern, PathPattern::prefix("/adm").unwrap());
    assert_ne!(pattern, PathPattern::exact("/adm/").unwrap());
    assert_ne!(
        PathPattern::glob("/a*").unwrap(),
        PathPattern::regex("/a*").unwrap()
    );
}

#[test]
fn hosts_are_found_exactly_then_by_the_longest_wildcard_among_hundreds() {
    let numbered = (0..500).map(|n| (format!("app{n}.test"), n));
    let wild = (0..500).map(|n| (format!("*.zone{n}.test"), 1000 + n));
    let named = [
        ("*.test", 1),
        ("*.a.test", 2),
        ("x.a.test", 3),
        ("APP.Example.COM.", 4),
    ];
    let all = numbered
        .chain(wild)
        .chain(named.map(|(host, n)| (host.to_owned(), n)));
    let table: HostTable<u32> = all
        .map(|(host, n)| (HostPattern::parse(&host).unwrap(), n))
        .collect();
    for (host, expected) in [
        ("app499.test", Some(499)),
        ("x.zone7.test", Some(1007)),
        ("x.y.zone7.test", Some(1007)),
        ("zone7.test", Some(1)),
        ("x.a.test", Some(3)),
        ("y.a.test", Some(2)),
        ("z.x.a.test", Some(2)),
        ("a.test", Some(1)),
        ("app.example.com", Some(4)),
        ("test", None),
        (".test", None),
        ("", None),
        ("example.com", None),
        ("xapp.example.com", None),
    ] {
        assert_eq!(table.find(host).copied(), expected, "{host}");
    }
}

#[test]
fn host_patterns_are_names_or_wildcards_of_whole_labels() {
    for text in ["app.test", "*.app.test"] {
        assert_eq!(HostPattern::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "",
        "*",
        "*.",
        "a.*.test",
        "*a.test",
        "*.*.test",
        "*.[::1]",
        "app.test:80",
    ] {
        assert!(HostPattern::parse(text).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(super::cases(8192))]

    #[test]
    fn no_server_reads_a_path_of_another_route_as_a_protected_one(raw in probe(), server in server()) {
        if let Ok(path) = normalise(&raw)
            && let RouteFound::Found(route) = GUARDED.find(&path, &Method::GET)
            && *route != "adm"
        {
            let meant = server.read(path.as_str());
            prop_assert!(!is_below_adm(&meant), "{} is forwarded as {} and read as {}", raw, path.as_str(), meant);
        }
    }
}

proptest! {
    #![proptest_config(super::cases(1024))]

    #[test]
    fn with_many_routes_the_same_one_is_found_as_with_a_walk_over_all(raw in probe(), seed in any::<u64>()) {
        let patterns: Vec<&PathPattern> = (0..40)
            .map(|n| {
                let drawn = stable_hash(&[seed.to_be_bytes(), u64::to_be_bytes(n)].concat());
                &PATTERNS[usize::try_from(drawn % 44).unwrap()]
            })
            .collect();
        let entries = || {
            let numbered = patterns.iter().enumerate();
            numbered.map(|(n, pattern)| RouteEntry { tolerance: everything(), ..entry((*pattern).clone(), n) })
        };
        let whole = RouteTable::new(entries().collect());
        let one_by_one: Vec<_> = entries().map(|entry| RouteTable::new(vec![entry])).collect();
        if let Ok(path) = normalise(&raw) {
            let walked = walk(&one_by_one, &path);
            let found = plainly(whole.find(&path, &Method::GET));
            prop_assert_eq!(found, walked);
        }
    }
}

proptest! {
    #![proptest_config(super::cases(8192))]

    #[test]
    fn what_is_said_to_be_never_reached_is_chosen_for_no_path_and_no_method(
        drawn in proptest::collection::vec((0..WIDE.len(), 0..3_usize), 1..12),
        segments in proptest::collection::vec("a|b|c|x[.]css|[!-.0-~]{0,3}", 0..5),
        raw in probe(),
        method in 0..2_usize,
    ) {
        let methods = [vec![], vec![Method::GET], vec![Method::POST]];
        let patterns: Vec<&PathPattern> = drawn.iter().map(|(at, _)| &WIDE[*at]).collect();
        let reached = reach(patterns.iter().copied());
        let entries = drawn.iter().enumerate().map(|(n, (at, named))| RouteEntry {
            methods: methods[*named].clone(),
            tolerance: everything(),
            ..entry(WIDE[*at].clone(), n)
        });
        let table = RouteTable::new(entries.collect());
        let method = [Method::GET, Method::POST][method].clone();
        for raw in [format!("/{}", segments.join("/")), raw] {
            let Ok(path) = normalise(&raw) else { continue };
            if let RouteFound::Found(n) = table.find(&path, &method) {
                prop_assert_eq!(reached[*n].behind, None, "{}: {:?}", raw, patterns);
            }
        }
        // Of single paths it is known exactly.
        for (n, pattern) in patterns.iter().enumerate().filter(|(n, _)| reached[*n].alike == *n) {
            if let Some(text) = pattern.literal().filter(|_| is_exact(pattern)) {
                let path = normalise(text).unwrap();
                let alone = patterns[..n].iter().all(|other| !takes(other, &path));
                prop_assert_eq!(reached[n].behind.is_none(), alone, "{}: {:?}", text, patterns);
            }
        }
    }
}

/// Whoever checks a configuration waits for it, also where most routes are paths and hundreds of expressions
/// begin with anything.
#[test]
fn ten_thousand_routes_are_looked_through() {
    let wide = (0..100).flat_map(|n| {
        let glob = PathPattern::glob(&format!("/team{n}/open/**"));
        [glob, PathPattern::regex(&format!("/[a-z0-9]+/{n}/"))]
    });
    let paths = (0..9800).map(|n| match n % 2 {
        0 => PathPattern::exact(&format!("/team{}/open/page{n}", n % 200)),
        _ => PathPattern::prefix(&format!("/team{n}/{}/area", n % 200)),
    });
    let patterns: Vec<PathPattern> = wide.chain(paths).map(Result::unwrap).collect();
    let reached = reach(&patterns);
    let behind = reached.iter().filter(|reach| reach.behind.is_some());
    assert_eq!((reached.len(), behind.count()), (10_000, 4900));
}

fn is_exact(pattern: &PathPattern) -> bool {
    format!("{pattern:?}").starts_with("Exact")
}

/// Whether a pattern alone takes a path.
fn takes(pattern: &PathPattern, path: &NormalPath<'_>) -> bool {
    let table = RouteTable::new(vec![RouteEntry {
        tolerance: everything(),
        ..entry(pattern.clone(), ())
    }]);
    table.find(path, &Method::GET) == RouteFound::Found(&())
}

/// Globs and expressions that take some of what is below a path or all of it, and paths to be taken.
static WIDE: LazyLock<Vec<PathPattern>> = LazyLock::new(|| {
    let paths = ["/", "/a", "/a/b", "/a/b/c", "/b", "/a/x.css", "/c"];
    let globs = [
        "/**",
        "/*",
        "/a/**",
        "/a/*",
        "/*/**",
        "/{a,b}/**",
        "/[ab]/**",
        "/a**",
        "/**/b",
        "/**/b/**",
        r"/a\/**",
        "/a/*.css",
        "/?/b/**",
    ];
    let expressions = [
        "",
        "/",
        "/a",
        "/a/",
        "/a$",
        "^/a(/.*)?$",
        "/a/[^/]*",
        "/a/[^/]*$",
        "/(a|b)/",
        "/a/.+",
        r"/.*\.css$",
        "/.*b",
        "^/a/(b/)*",
        r"/a\b",
        r"/a(?-u:\b)",
        "/a/.{2,}$",
        "(?i)/A/B",
        "/a|/b",
        "/a/[a-z/]*$",
        "/[!-~]*$",
        "/a/([^/]+/?)*$",
    ];
    let literal = paths
        .iter()
        .flat_map(|text| [PathPattern::exact(text), PathPattern::prefix(text)]);
    let globs = globs.iter().map(|text| PathPattern::glob(text));
    let expressions = expressions.iter().map(|text| PathPattern::regex(text));
    let all = literal.chain(globs).chain(expressions);
    all.map(Result::unwrap).collect()
});

static GUARDED: LazyLock<Table> = LazyLock::new(guarded);

/// Each kind of pattern over each of some texts; regular expressions are slow to compile.
static PATTERNS: LazyLock<Vec<PathPattern>> = LazyLock::new(|| {
    let texts = [
        "/adm", "/Adm/s", "/pub", "/pub/x", "/s", "/x", "/ADM", "/", "/pub/s", "/~", "/@",
    ];
    let kinds = [
        PathPattern::prefix,
        PathPattern::exact,
        PathPattern::glob,
        PathPattern::regex,
    ];
    kinds
        .iter()
        .flat_map(|kind| texts.map(|text| kind(text).unwrap()))
        .collect()
});

/// What a table would find that has no index: the first route that does not say 'not found'.
fn walk<'t>(tables: &'t [RouteTable<usize>], path: &NormalPath<'_>) -> RouteFound<'t, usize> {
    let mut answers = tables
        .iter()
        .map(|table| plainly(table.find(path, &Method::GET)));
    answers
        .find(|answer| *answer != RouteFound::NotFound)
        .unwrap_or(RouteFound::NotFound)
}

/// Routes here tolerate everything: what is found odd belongs to none.
fn plainly(found: RouteFound<'_, usize>) -> RouteFound<'_, usize> {
    let is_odd = matches!(found, RouteFound::Refused(PathRefusal::Odd(_)));
    if is_odd { RouteFound::NotFound } else { found }
}

fn is_below_adm(path: &str) -> bool {
    path == "/adm" || path.starts_with("/adm/")
}
