//! Configurations of nginx, converted: each fixture gives its configuration and its report, and each directive of
//! it has a line there.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use portway::convert::nginx;
use portway::convert::nginx::Conversion;
use portway::convert::nginx::ConvertError;
use portway::convert::nginx::Surroundings;
use portway::convert::report::Verdict;

use crate::root;

#[test]
fn each_file_of_nginx_gives_its_configuration_and_its_report_w_38() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut names: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    names.retain(|path| path.extension().is_some_and(|ending| ending == "conf"));
    names.sort();
    assert!(names.len() >= 4, "{names:?}");
    for path in names {
        let name = path.file_name().unwrap();
        let made = nginx::convert(Path::new(name), Path::new("/etc/nginx"), surroundings());
        let made = made.unwrap_or_else(|error| panic!("{name:?}: {error} {error:?}"));
        for (ending, text) in [("yaml", &made.yaml), ("report", &made.report.text())] {
            let expected = path.with_extension(ending);
            if update {
                fs::write(&expected, text).unwrap();
            }
            let kept = fs::read_to_string(&expected).unwrap_or_default();
            assert!(kept == *text, "{}: {text}", expected.display());
        }
    }
}

/// Nothing is lost without a word: each directive that is read has a line with its place.
#[test]
fn each_directive_has_a_line_in_the_report_w_38() {
    for name in ["wso2-emm.conf", "front.conf", "fragments.conf"] {
        let made = nginx::convert(Path::new(name), Path::new(""), surroundings()).unwrap();
        let text = fs::read_to_string(folder().join(name)).unwrap();
        let lines = text.lines().enumerate().filter(|(_, line)| {
            let line = line.trim();
            line.ends_with([';', '{']) && !line.starts_with(['#', '\''])
        });
        for (place, line) in lines {
            let place = u32::try_from(place + 1).unwrap();
            let mut entries = made.report.directives.iter();
            let is_there = entries.any(|entry| entry.file == name && entry.line == place);
            assert!(is_there, "{name}:{place}: {line}");
        }
    }
}

#[test]
fn placeholders_become_variables_with_a_message_that_names_the_line_w_38() {
    let made = nginx::convert(Path::new("wso2-emm.conf"), Path::new(""), surroundings()).unwrap();
    assert_eq!(made.demands.len(), 12);
    assert_eq!(
        made.report.count(Verdict::Dropped),
        0,
        "{}",
        made.report.text()
    );
    let first = &made.demands[0];
    assert_eq!(first.variable, "NODE_WORK_EMM_WSO2_COM_1");
    assert_eq!(
        first.message,
        "wso2-emm.conf:3 has xxx.xxx.xxx.xxx:9763: set it to the address and port of that node"
    );
}

#[test]
fn what_cannot_be_read_is_told_with_file_and_line() {
    let error = converted("http {\n  server {\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "a.conf: line 2: the block that begins here is not closed"
    );
    let error = converted("include a.conf;").unwrap_err();
    assert!(matches!(error, ConvertError::Read(_)), "{error}");
    assert!(error.to_string().contains("includes itself"), "{error}");
    let error = converted("events {}").unwrap_err();
    assert!(matches!(error, ConvertError::Nothing(_)), "{error}");
}

/// A trace of a stranger's is nobody's to pass on; that of a proxy in front is passed on where the file says so.
#[test]
fn traces_are_told_where_the_file_tells_them() {
    let told = |rules: &str| {
        let text = format!(
            "server {{ server_name a.test; location / {{ {rules} proxy_pass http://10.0.0.1; }} }}"
        );
        converted(&text).unwrap()
    };
    let made = told(
        "proxy_set_header traceparent $http_traceparent; proxy_set_header tracestate $http_tracestate;",
    );
    let words = "forwarded_headers: [traceparent]";
    assert!(made.yaml.contains(words), "{}", made.yaml);
    assert_eq!(
        made.report.count(Verdict::Dropped),
        0,
        "{}",
        made.report.text()
    );
    assert_eq!(
        made.report.count(Verdict::Changed),
        2,
        "{}",
        made.report.text()
    );
    assert!(told("").yaml.contains("forwarded_headers: []"));
}

/// Whom nginx asked for a password, an address or a certificate is let in nowhere (fail closed).
#[test]
fn what_nginx_kept_closed_is_not_opened() {
    for rule in [
        "auth_basic x; auth_basic_user_file y;",
        "auth_request /auth;",
        "limit_except GET { deny all; }",
        "if ($http_x_key != a) { return 403; }",
    ] {
        let text = format!(
            "server {{ server_name a.test; location / {{ {rule} proxy_pass http://10.0.0.1; }} }}"
        );
        let made = converted(&text).unwrap();
        assert!(made.yaml.contains("status: 403"), "{rule}: {}", made.yaml);
        assert!(!made.yaml.contains("pool: "), "{rule}: {}", made.yaml);
        assert!(made.report.count(Verdict::Dropped) > 0, "{rule}");
    }
    for rule in [
        "auth_basic off;",
        "allow all;",
        "if ($a) { add_header X y; }",
    ] {
        let text = format!(
            "server {{ server_name a.test; location / {{ {rule} proxy_pass http://10.0.0.1; }} }}"
        );
        assert!(converted(&text).unwrap().yaml.contains("pool: "), "{rule}");
    }
    let text = "server { server_name a.test; listen 443 ssl; ssl_certificate a; ssl_certificate_key b;
        ssl_verify_client on; ssl_client_certificate c; location / { proxy_pass http://10.0.0.1; } }";
    let made = converted(text).unwrap();
    assert!(made.yaml.contains("mode: required"), "{}", made.yaml);
    let bare = text.replace("ssl_client_certificate c;", "");
    assert!(!converted(&bare).unwrap().yaml.contains("pool: "));
}

/// A location is no more than what is left of it.
#[test]
fn a_location_whose_upstream_is_lost_is_not_called_kept() {
    for (inside, said) in [
        (
            "proxy_pass http://$where;",
            "changed location /: a route that answers 502",
        ),
        (
            "fastcgi_pass 10.0.0.1:9000;",
            "changed location /: a route that answers 502",
        ),
        (
            "root /srv/www;",
            "changed location /: a route that answers 404",
        ),
        (
            "proxy_pass http://10.0.0.1;",
            "kept    location /: a route\n",
        ),
        ("return 502;", "kept    location /: a route\n"),
    ] {
        let text = format!("server {{ server_name a.test; location / {{ {inside} }} }}");
        let report = converted(&text).unwrap().report.text();
        assert!(report.contains(said), "{inside}: {report}");
    }
}

/// The `map` of every guide to WebSockets needs no counterpart, and another use of its variable does.
#[test]
fn a_map_is_kept_only_where_it_does_no_more_than_upgrades() {
    let usual = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $made;";
    for (uses, word) in [
        (usual, "kept"),
        ("proxy_set_header Connection ${MADE};", "kept"),
        ("proxy_set_header X-Other $made_by_others;", "kept"),
        ("", "kept"),
        ("limit_rate $made;", "dropped"),
        ("proxy_set_header X-Kind $made;", "dropped"),
        ("if ($made = close) { return 403; }", "dropped"),
        ("add_header X-Kind a${made}b;", "dropped"),
    ] {
        let text = format!(
            "map $http_upgrade $made {{ default upgrade; '' close; }}
            server {{ server_name a.test; location / {{ {uses} proxy_pass http://10.0.0.1; }} }}"
        );
        let report = converted(&text).unwrap().report;
        let mut lines = report.directives.iter();
        let map = lines
            .find(|line| line.directive.starts_with("map "))
            .unwrap();
        assert_eq!(map.verdict.word(), word, "{uses}: {}", report.text());
    }
}

/// Under one name `$host` is known, so each name has a virtual host with a pool of its own.
#[test]
fn a_map_by_host_gives_each_name_its_pool() {
    let with = |names: &str, map: &str, pass: &str| {
        let text = format!(
            "upstream one {{ server 10.0.0.1:80; }} upstream two {{ server 10.0.0.2:80; }}
            map $host $pool {{ {map} }}
            server {{ server_name {names}; location / {{ proxy_pass {pass}; }} }}"
        );
        converted(&text).unwrap()
    };
    let map = "default two; A.test one; b.test one;";
    for pass in ["http://$pool", "http://${pool}$request_uri"] {
        let made = with("a.test b.test c.test", map, pass);
        let report = made.report.text();
        assert_eq!(made.report.count(Verdict::Dropped), 0, "{report}");
        let (one, two) = made.yaml.split_once("hosts: [c.test]").unwrap();
        assert!(one.contains("hosts: [a.test, b.test]"), "{}", made.yaml);
        let leads = |text: &str| {
            let to = |pool: &str| text.contains(&format!("        pool: {pool}\n"));
            (to("one"), to("two"))
        };
        assert_eq!((leads(one), leads(two)), ((true, false), (false, true)));
    }
    for (names, map, pass) in [
        ("*.a.test", map, "http://$pool"),
        ("a.test", "default two; ~^a one;", "http://$pool"),
        (
            "a.test",
            "hostnames; default two; *.test one;",
            "http://$pool",
        ),
        ("a.test", "b.test one;", "http://$pool"),
        ("a.test", "a.test $arg_to;", "http://$pool"),
        ("a.test", map, "http://$pool/under"),
        ("a.test", map, "http://$pool$uri"),
        ("a.test", map, "http://$host"),
    ] {
        let made = with(names, map, pass);
        let report = made.report.text();
        assert!(
            made.report.count(Verdict::Dropped) > 0,
            "{names} {map} {pass}: {report}"
        );
        let route = "location /: a route that answers 502";
        assert!(report.contains(route), "{names} {map} {pass}: {report}");
    }
}

/// What a map comes to in any case, or by what is known, is a text like any other.
#[test]
fn a_map_that_comes_to_one_text_is_that_text() {
    let header = |map: &str| {
        let text = format!(
            "{map} server {{ server_name a.test; location / {{ proxy_set_header X-Kind \"is $kind\";
            proxy_pass http://10.0.0.1; }} }}"
        );
        let made = converted(&text).unwrap();
        let dropped = made.report.count(Verdict::Dropped);
        (flat(&made.yaml), dropped)
    };
    for (map, value) in [
        ("map $remote_addr $kind { default plain; }", "is plain"),
        (
            "map $host $kind { volatile; a.test ours; default theirs; }",
            "is ours",
        ),
        ("map $scheme $kind { http open; https safe; }", "is open"),
        (
            "map $host $first { default ab; } map $first $kind { ab two; }",
            "is two",
        ),
    ] {
        let (yaml, dropped) = header(map);
        assert_eq!(dropped, 0, "{map}: {yaml}");
        assert!(yaml.contains(&format!("X-Kind: {value}")), "{map}: {yaml}");
    }
    for map in [
        "map $remote_addr $kind { 10.0.0.9 odd; default plain; }",
        "map $http_host $kind { a.test ours; default theirs; }",
        "map $http_x $kind { ~^a$ b; default c; }",
        "map $remote_addr $kind { default $http_x; }",
    ] {
        let (yaml, dropped) = header(map);
        assert!(dropped > 0, "{map}: {yaml}");
        assert!(!yaml.contains("X-Kind: is"), "{map}: {yaml}");
    }
}

/// A name whose locations differ by port: a pattern of either has what both serve there, and `match` tells which.
#[test]
fn locations_that_differ_by_port_are_routes_by_scheme_w_38() {
    let to_https = "redirect https://a.test${request.path}";
    for (plain, secured, expected) in [
        (
            "location /.well-known/acme-challenge/ { proxy_pass http://10.0.0.2; }
            location / { return 301 https://$host$request_uri; }",
            "location /api/ { proxy_pass http://10.0.0.3; } location / { proxy_pass http://10.0.0.1; }",
            vec![
                "exact /.well-known/acme-challenge http redirect /.well-known/acme-challenge/"
                    .to_owned(),
                "exact /.well-known/acme-challenge https pool 10.0.0.1".to_owned(),
                "path /.well-known/acme-challenge/ http pool 10.0.0.2".to_owned(),
                "path /.well-known/acme-challenge/ https pool 10.0.0.1".to_owned(),
                format!("exact /api http {to_https}"),
                "exact /api https redirect /api/".to_owned(),
                format!("path /api/ http {to_https}"),
                "path /api/ https pool 10.0.0.3".to_owned(),
                format!("path / http {to_https}"),
                "path / https pool 10.0.0.1".to_owned(),
            ],
        ),
        (
            "location = /health { return 200 ok; } location / { return 302 https://$host$request_uri; }",
            r"location = /health { return 200 ok; } location ~ \.js$ { proxy_pass http://10.0.0.3; }
            location / { proxy_pass http://10.0.0.1; }",
            vec![
                "exact /health both respond 200".to_owned(),
                format!(r"regex .*(?:\.js$) http {to_https}"),
                r"regex .*(?:\.js$) https pool 10.0.0.3".to_owned(),
                format!("path / http {to_https}"),
                "path / https pool 10.0.0.1".to_owned(),
            ],
        ),
        // What an expression takes of other paths is a pattern of its own.
        (
            "location /up { proxy_pass http://10.0.0.2; } location / { return 403; }",
            r"location ~ \.js$ { proxy_pass http://10.0.0.3; } location / { proxy_pass http://10.0.0.1; }",
            vec![
                r"regex /up.*(?:\.js$) http pool 10.0.0.2".to_owned(),
                r"regex /up.*(?:\.js$) https pool 10.0.0.3".to_owned(),
                "regex /up http pool 10.0.0.2".to_owned(),
                "regex /up https pool 10.0.0.1".to_owned(),
                r"regex .*(?:\.js$) http respond 403".to_owned(),
                r"regex .*(?:\.js$) https pool 10.0.0.3".to_owned(),
                "path / http respond 403".to_owned(),
                "path / https pool 10.0.0.1".to_owned(),
            ],
        ),
    ] {
        let made = converted(&on_both(plain, secured)).unwrap();
        let report = made.report.text();
        assert_eq!(routes_of(&made.yaml), expected, "{}", made.yaml);
        assert!(made.yaml.contains("plain_http: serve"), "{}", made.yaml);
        assert_eq!(made.report.count(Verdict::Dropped), 0, "{report}");
        let said =
            "a.conf:1: kept    server: routes of the virtual host of this name, for plain http";
        assert!(report.contains(said), "{report}");
    }
}

/// Where two lists of locations cannot stand in one, that of TLS counts, and the report names what is lost.
#[test]
fn locations_for_plain_http_that_cannot_be_told_apart_are_dropped_w_38() {
    let challenge = "location /.well-known/acme-challenge/ { proxy_pass http://10.0.0.2; }";
    let rest = "location / { return 301 https://$host$request_uri; }";
    let app = "location / { proxy_pass http://10.0.0.1; }";
    for secured in [
        r"location ~ ^/[a-z./-]+/x { return 403; }",
        "ssl_verify_client on; ssl_client_certificate c;",
    ] {
        let plain = format!("{challenge} {rest}");
        let secured = format!("{secured} {app}");
        let made = converted(&on_both(&plain, &secured)).unwrap();
        let report = made.report.text();
        assert!(made.yaml.contains("plain_http: redirect"), "{}", made.yaml);
        assert!(!made.yaml.contains("10.0.0.2"), "{}", made.yaml);
        assert!(!made.yaml.contains("match:"), "{}", made.yaml);
        let lost = "dropped location /.well-known/acme-challenge/: over plain http everything is redirected";
        assert!(report.contains(lost), "{report}");
    }
    let other = on_both(
        &format!("{challenge} location / {{ proxy_pass http://10.0.0.2; }}"),
        &format!("location ~ ^/[a-z./-]+/x {{ return 403; }} {app}"),
    );
    let made = converted(&other).unwrap();
    assert!(made.yaml.contains("plain_http: redirect"), "{}", made.yaml);
    let lost = "dropped server: the same name has other routes with TLS";
    let report = made.report.text();
    assert!(report.contains(lost), "{report}");
}

/// Without a server for TLS there is nothing to tell apart.
#[test]
fn a_server_that_sends_most_to_https_keeps_its_other_locations() {
    let text = "server { server_name a.test; location = /up { return 200 up; }
        location / { return 301 https://$host$request_uri; } }";
    let made = converted(text).unwrap();
    let expected = [
        "exact /up both respond 200",
        "path / both redirect https://a.test${request.path}",
    ];
    assert_eq!(routes_of(&made.yaml), expected, "{}", made.yaml);
    assert!(made.yaml.contains("plain_http: serve"), "{}", made.yaml);
    // No address can be told beforehand for all of these names.
    let made = converted(&text.replace("a.test;", "*.a.test;")).unwrap();
    assert!(made.yaml.contains("plain_http: redirect"), "{}", made.yaml);
    assert!(!made.yaml.contains("/up"), "{}", made.yaml);
}

/// One server on port 80 and one on 443, with what they have inside.
fn on_both(plain: &str, secured: &str) -> String {
    let plain = plain.replace('\n', " ");
    format!(
        "server {{ server_name a.test; {plain} }}
        server {{ listen 443 ssl; server_name a.test; ssl_certificate a; ssl_certificate_key b; {secured} }}"
    )
}

/// The routes of the first virtual host: pattern, scheme, and what serves it.
fn routes_of(yaml: &str) -> Vec<String> {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    let routes = value.pointer("/virtual_hosts/0/routes").unwrap();
    routes.as_array().unwrap().iter().map(route_of).collect()
}

fn route_of(route: &serde_json::Value) -> String {
    let text = |place: &str| match route.pointer(place) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let has = |key: &&str| route.get(key).is_some();
    let key = ["exact", "path", "regex"].into_iter().find(has).unwrap();
    let scheme = match route.get("match") {
        Some(_) => text("/match/scheme"),
        None => "both".to_owned(),
    };
    let serves = match ["pool", "pools", "redirect"].into_iter().find(has) {
        Some("pool") => format!("pool {}", text("/pool")),
        Some("pools") => format!("pools {} {}", text("/pools/http"), text("/pools/https")),
        Some(_) => format!("redirect {}", text("/redirect/to")),
        None => format!("respond {}", text("/respond/status")),
    };
    format!("{key} {} {scheme} {serves}", text(&format!("/{key}")))
}

/// The order of writing counts, and neighbours that say the same stand together.
#[test]
fn addresses_are_let_in_in_the_order_of_writing() {
    for (rules, expected) in [
        (
            "allow 10.0.0.1; deny all;",
            "- allow: 10.0.0.1\n          - deny: all\n",
        ),
        (
            "deny 10.0.0.7; allow 10.0.0.1/8; allow 2001:db8::/32; deny all;",
            "- deny: 10.0.0.7\n          - allow: [10.0.0.0/8, 2001:db8::/32]\n          - deny: all\n",
        ),
        ("deny 192.168.1.0/24;", "- deny: 192.168.1.0/24\n"),
    ] {
        let text = format!(
            "server {{ server_name a.test; {rules} location / {{ proxy_pass http://10.0.0.1; }} }}"
        );
        let made = converted(&text).unwrap();
        let yaml = made.yaml.replace('"', "");
        assert!(yaml.contains(expected), "{rules}: {yaml}");
        assert_eq!(made.report.count(Verdict::Dropped), 0, "{rules}");
    }
    let text =
        "server { server_name a.test; location / { deny all; proxy_pass http://10.0.0.1; } }";
    let made = converted(text).unwrap();
    assert!(made.yaml.contains("status: 403"), "{}", made.yaml);
    assert_eq!(made.report.count(Verdict::Dropped), 0);
}

/// A prefix without a slash at its end takes `/foobar` as well, and what is behind it goes on.
#[test]
fn a_prefix_that_ends_within_a_segment_is_changed_as_nginx_changes_it() {
    let text = "server { server_name a.test; location /foo { proxy_pass http://10.0.0.1/bar; } }";
    let yaml = converted(text).unwrap().yaml;
    let segments = yaml.find("- path: /foo\n").unwrap();
    let rest = yaml.find("- regex: /foo\n").unwrap();
    assert!(segments < rest, "{yaml}");
    for line in [
        "strip_prefix: /foo\n",
        "add_prefix: /bar\n",
        "regex: /foo(.*)\n",
        "with: /bar$1\n",
    ] {
        assert!(yaml.replace('"', "").contains(line), "{line}: {yaml}");
    }
}

/// Each of several rewrites has a route of its own before that of the location.
#[test]
fn several_rewrites_are_as_many_routes() {
    let text = "server { server_name a.test; location /v1/ { rewrite ^/v1/users/(.*)$ /u/$1 break;
        rewrite ^/v1/(.*)$ /api/$1 break; proxy_pass http://10.0.0.1; } }";
    let made = converted(text).unwrap();
    assert_eq!(
        made.report.count(Verdict::Dropped),
        0,
        "{}",
        made.report.text()
    );
    assert_eq!(made.yaml.matches("rewrite:").count(), 2, "{}", made.yaml);
    assert_eq!(made.yaml.matches("pool: ").count(), 3, "{}", made.yaml);
    let text = text.replace("^/v1/users", "^/v2/users");
    let made = converted(&text).unwrap();
    assert_eq!(
        made.report.count(Verdict::Dropped),
        1,
        "{}",
        made.report.text()
    );
}

/// Redirects are routes of their own, in nginx's order: those of a server before its locations, those of a location
/// before what else it does.
#[test]
fn rewrites_that_redirect_are_routes_with_what_their_groups_match() {
    let text = "server { server_name a.test;
        rewrite ^/old/(.*)$ https://b.test/$1 permanent;
        location /v1/ { rewrite ^/v1/x/(.*)$ /x/$1? redirect; rewrite ^/v1/(.*)$ /api/$1 break;
            proxy_pass http://10.0.0.1; }
        location = /one { rewrite ^ /two permanent; }
        location / { proxy_pass http://10.0.0.1; } }";
    let made = converted(text).unwrap();
    let (yaml, report) = (made.yaml.replace('"', ""), made.report.text());
    assert_eq!(made.report.count(Verdict::Dropped), 0, "{report}");
    let places: Vec<usize> = [
        "regex: /old/(.*)$\n",
        "regex: ^/v1/x/(.*)$\n",
        "path: /v1/\n",
        "path: /\n",
    ]
    .iter()
    .map(|line| {
        yaml.find(&line.replace('^', ""))
            .unwrap_or_else(|| panic!("{line}: {yaml}"))
    })
    .collect();
    assert!(places.is_sorted(), "{yaml}");
    for line in [
        "to: https://b.test/$1\n",
        "regex: /old/(.*)\n",
        "status: 301\n",
        "to: /x/$1\n",
        "query: drop\n",
        "to: /two\n",
        "with: /api/$1\n",
    ] {
        assert!(yaml.contains(line), "{line}: {yaml}");
    }
    for (rewrite, why) in [
        (
            "rewrite ^/a(.*)$ https://b.test$1 permanent;",
            "has no host that is known",
        ),
        (
            "rewrite ^/a(.*)$ $1 permanent;",
            "has no host that is known",
        ),
        ("rewrite ^/a(?=b)(.*)$ /b$1 permanent;", "look-around"),
        ("rewrite ^/a$ /b/$arg_x/$1 permanent;", "cannot be said"),
        (
            "rewrite ^/a$ /b; rewrite ^/c$ /d permanent;",
            "behind a `rewrite`",
        ),
    ] {
        let text = format!(
            "server {{ server_name a.test; {rewrite} location / {{ proxy_pass http://10.0.0.1; }} }}"
        );
        let report = converted(&text).unwrap().report.text();
        assert!(report.contains(why), "{rewrite}: {report}");
    }
    let query = "server { server_name a.test; rewrite ^/a$ /b?c=1 redirect; location / { proxy_pass http://10.0.0.1; } }";
    let made = converted(query).unwrap();
    assert_eq!(
        made.report.count(Verdict::Changed),
        1,
        "{}",
        made.report.text()
    );
}

#[test]
fn an_upstream_that_is_out_of_use_lends_the_pool_nothing() {
    let text = "upstream app { server 10.0.0.1 max_fails=7 fail_timeout=70s slow_start=7s down;
            server 10.0.0.2 max_fails=2; server 10.0.0.3 max_fails=2; }
        server { server_name a.test; location / { proxy_pass http://app; } }";
    let made = converted(text).unwrap();
    let report = made.report.text();
    assert!(made.yaml.contains("max_fails: 2\n"), "{}", made.yaml);
    for lent in ["10.0.0.1", "fail_timeout", "slow_start"] {
        assert!(!made.yaml.contains(lent), "{lent}: {}", made.yaml);
    }
    assert_eq!(made.report.count(Verdict::Changed), 0, "{report}");
    assert_eq!(made.report.count(Verdict::Dropped), 0, "{report}");
}

/// A page is at hand or it is not: none comes from an upstream, or past what its location keeps from some.
#[test]
fn error_pages_are_files_texts_and_redirects_w_43() {
    let text = "server { server_name a.test; root /var/www; types { text/html html; }
        error_page 502 504 /50x.html; error_page 404 = @none; error_page 403 https://b.test/no;
        location = /50x.html { internal; }
        location @none { return 200 none; }
        location /own/ { proxy_pass http://10.0.0.1; proxy_intercept_errors on; }
        location / { proxy_pass http://10.0.0.1; } }";
    let made = converted(text).unwrap();
    let (yaml, report) = (made.yaml.replace('"', ""), made.report.text());
    assert_eq!(made.report.count(Verdict::Dropped), 0, "{report}");
    for line in [
        "- statuses: [502, 504]\n",
        "body_file: /var/www/50x.html\n",
        "content_type: text/html\n",
        "- statuses: [404]\n",
        "status: 200\n",
        "body: none\n",
        "to: https://b.test/no\n",
        // What nginx answers with 502 where nobody is there.
        "- statuses: [503]\n",
    ] {
        assert!(yaml.contains(line), "{line}: {yaml}");
    }
    assert_eq!(
        yaml.matches("upstream_errors: replace").count(),
        3,
        "{yaml}"
    );
    for (page, why) in [
        ("error_page 404 /x.html;", "an upstream makes the page"),
        ("error_page 404 /secret/x.html;", "keeps the page from some"),
        (
            "error_page 404 /errors/$status.html;",
            "depends on the request",
        ),
        ("error_page 404 @nowhere;", "no such location"),
        ("error_page 404 /files/../x.html;", "depends on the request"),
        ("error_page 301 /files/x.html;", "from 400 to 599"),
        ("error_page 495 496 /files/x.html;", "answered with 400"),
        ("error_page 404 =700 /files/x.html;", "no such status"),
        ("error_page 404 $http_x;", "cannot be said"),
        ("error_page 404 @proxied;", "`secondary` of the pool"),
    ] {
        let text = format!(
            "server {{ server_name a.test; {page}
            location /secret/ {{ root /srv; auth_basic x; }} location /files/ {{ root /srv; }}
            location @proxied {{ proxy_pass http://10.0.0.2; }} location / {{ proxy_pass http://10.0.0.1; }} }}"
        );
        let made = converted(&text).unwrap();
        let report = made.report.text();
        assert!(report.contains(why), "{page}: {report}");
        assert!(!made.yaml.contains("error_pages"), "{page}: {}", made.yaml);
    }
}

/// One address beside all of them cannot be bound, and nobody is to be heard where nginx did not hear him.
#[test]
fn one_address_beside_all_of_them_is_left_out() {
    let text = "server { listen 80; server_name a.test; return 200 a; }
        server { listen 10.0.0.1:80; listen 10.0.0.1:81; server_name b.test; return 200 b; }";
    let made = converted(text).unwrap();
    assert!(!made.yaml.contains("10.0.0.1:80"), "{}", made.yaml);
    assert!(made.yaml.contains("10.0.0.1:81"), "{}", made.yaml);
    assert_eq!(
        made.report.count(Verdict::Dropped),
        1,
        "{}",
        made.report.text()
    );
}

/// What is not told where nobody is asked is told as nginx tells it.
#[test]
fn who_is_not_asked_for_a_certificate_has_none_w_24() {
    let text =
        "server { server_name a.test; listen 443 ssl; ssl_certificate a; ssl_certificate_key b;
        location / { proxy_set_header X-Verify $ssl_client_verify; proxy_pass http://10.0.0.1; } }";
    let made = converted(text).unwrap();
    assert!(made.yaml.contains("X-Verify: NONE"), "{}", made.yaml);
    let list = text.replace(
        "location",
        "ssl_verify_client on; ssl_client_certificate c; ssl_crl d; location",
    );
    let made = converted(&list).unwrap();
    assert!(made.yaml.contains("crl_file: d"), "{}", made.yaml);
    assert!(
        made.yaml.contains("${tls.client.verified}"),
        "{}",
        made.yaml
    );
}

/// What nginx keeps back by itself is kept back, but for what the file has it pass on.
#[test]
fn what_nginx_keeps_back_of_answers_is_kept_back() {
    let text = |more: &str| {
        format!(
            "server {{ server_name a.test; location / {{ {more} proxy_pass http://10.0.0.1; }} }}"
        )
    };
    let made = converted(&text("")).unwrap();
    assert!(
        made.yaml.contains("remove: [Server, X-Accel"),
        "{}",
        made.yaml
    );
    let made = converted(&text("proxy_pass_header Server;")).unwrap();
    assert!(made.yaml.contains("remove: [X-Accel"), "{}", made.yaml);
}

/// The type of a text is that of its path's ending, or the default.
#[test]
fn texts_have_the_type_that_nginx_gives_them() {
    for (location, expected) in [
        ("location = /a.html { return 200 a; }", "text/html"),
        ("location = /a { return 200 a; }", "text/plain"),
        ("location = /a { default_type a/b; return 200 a; }", "a/b"),
        (
            "types { image/x-a a; } location = /b.a { return 200 a; }",
            "image/x-a",
        ),
    ] {
        let text = format!("server {{ server_name a.test; {location} }}");
        let made = converted(&text).unwrap();
        let expected = format!("content_type: {expected}\n");
        assert!(made.yaml.contains(&expected), "{location}: {}", made.yaml);
    }
}

/// A header that nginx replaced does not come from the client, whatever becomes of its value.
#[test]
fn a_header_that_cannot_be_said_is_removed_w_25() {
    for (rule, kept) in [
        (
            "PROXY-MUTUAL-AUTH-HEADER $ssl_client_s_dn",
            "PROXY-MUTUAL-AUTH-HEADER: \"${tls.client.subject_dn}\"",
        ),
        ("X-Print $ssl_client_fingerprint", "remove: [X-Print]"),
        ("X-User $some_variable", "remove: [X-User]"),
        ("X-User ''", "remove: [X-User]"),
        ("X-Tenant blue", "X-Tenant: blue"),
        (
            "X-Method $request_method",
            "X-Method: \"${request.method}\"",
        ),
        ("X-Dollar 'a$'", "X-Dollar: \"a$\""),
    ] {
        let text = format!(
            "server {{ server_name a.test; location / {{ proxy_set_header {rule}; proxy_pass http://10.0.0.1; }} }}"
        );
        let made = converted(&text).unwrap();
        assert!(made.yaml.contains(kept), "{rule}: {}", made.yaml);
    }
}

/// IPv4 and IPv6 of one port are one socket here: a second one could not be bound.
#[test]
fn all_addresses_of_both_kinds_are_one_listener() {
    let text = "server { listen 80; listen [::]:80; server_name a.test; return 200 a; }";
    let made = converted(text).unwrap();
    assert_eq!(made.yaml.matches("bind:").count(), 1, "{}", made.yaml);
    assert!(made.yaml.contains("bind: \"[::]:80\""), "{}", made.yaml);
}

/// nginx's `[::]` is IPv6 alone, unless it is told otherwise (`ipv6only`).
#[test]
fn it_is_said_where_ipv4_is_heard_that_nobody_asked_for() {
    let said = |listens: &str| {
        let text = format!("server {{ {listens} server_name a.test; return 200 a; }}");
        let report = converted(&text).unwrap().report.text();
        report.contains("heard by IPv4, too")
    };
    assert!(said("listen [::]:80;"));
    assert!(said("listen 81; listen [::]:80 ipv6only=on;"));
    for right in [
        "listen [::]:80 ipv6only=off;",
        "listen [::]:80; listen 80;",
        "listen [::]:80; listen *:80;",
        "listen [2001:db8::1]:80;",
        "listen 80;",
    ] {
        assert!(!said(right), "{right}");
    }
    let beside = "server { server_name b.test; return 200 b; }
        server { listen [::]:80; server_name a.test; return 200 a; }";
    let report = converted(beside).unwrap().report.text();
    assert!(!report.contains("heard by IPv4, too"), "{report}");
}

/// What refuses by an expression that cannot be said refuses more, and never less.
#[test]
fn a_location_that_refuses_by_look_around_refuses_more() {
    let text = r"server { server_name a.test; location / { proxy_pass http://10.0.0.1; }
        location ~ /\.(?!well-known) { deny all; } }";
    let made = converted(text).unwrap();
    assert!(
        made.yaml.contains(r#"regex: ".*(?:/\\.)""#),
        "{}",
        made.yaml
    );
    assert!(made.yaml.contains("status: 403"), "{}", made.yaml);
}

#[test]
fn compression_is_nginxs_with_what_it_does_where_nothing_is_said() {
    let text = "gzip on;
        server { server_name a.test; gzip_types text/css TEXT/HTML; gzip_comp_level 6; gzip_min_length 1k;
        location / { proxy_pass http://10.0.0.1; }
        location /all { gzip_types * text/css; gzip_proxied any; gzip_vary on; proxy_pass http://10.0.0.1; }
        location /off { gzip off; proxy_pass http://10.0.0.1; } }";
    let made = converted(text).unwrap();
    for lines in [
        "compression: { algorithms: [gzip], level: 6, min_size: 1KiB, types: [text/html, text/css] }",
        "compression: { algorithms: [gzip], level: 6, min_size: 1KiB, types: [*] }",
    ] {
        assert_eq!(flat(&made.yaml).matches(lines).count(), 1, "{}", made.yaml);
    }
    assert_eq!(
        made.report.count(Verdict::Dropped),
        0,
        "{}",
        made.report.text()
    );
    let alone =
        converted("server { server_name a.test; location / { gzip on; proxy_pass http://b; } }");
    let usual = "{ algorithms: [gzip], level: 1, min_size: 20B, types: [text/html] }";
    assert!(flat(&alone.unwrap().yaml).contains(usual));
}

#[test]
fn clients_are_announced_by_those_whom_nginx_believes() {
    let text = "set_real_ip_from 10.0.0.0/8; set_real_ip_from unix:; real_ip_header proxy_protocol;
        server { listen 80 proxy_protocol; listen unix:/run/a.sock proxy_protocol; server_name a.test;
        location / { proxy_pass http://10.0.0.1; } }
        server { listen unix:/run/b.sock; listen 81 http2; server_name b.test;
        location / { proxy_pass http://10.0.0.1; } }";
    let made = converted(text).unwrap();
    let yaml = flat(&made.yaml);
    for listener in [
        "{ bind: 0.0.0.0:80, name: http, proxy_protocol: { from: [10.0.0.0/8] } }",
        "{ bind: unix:/run/a.sock, mode: 0666, name: http-unix, proxy_protocol: {} }",
        "{ bind: unix:/run/b.sock, mode: 0666, name: http-unix-2 }",
        "{ bind: 0.0.0.0:81, h2c: true, name: http-81 }",
    ] {
        assert!(yaml.contains(listener), "{yaml}");
    }
    assert!(!yaml.contains("trusted_proxies"), "{yaml}");
    assert_eq!(
        made.report.count(Verdict::Dropped),
        0,
        "{}",
        made.report.text()
    );
    // Whom nobody names anybody could be.
    let open = "server { listen 80 proxy_protocol; listen 81; server_name a.test; return 200 a; }";
    let open = converted(open).unwrap();
    assert!(!open.yaml.contains("proxy_protocol"), "{}", open.yaml);
    assert_eq!(
        open.report.count(Verdict::Dropped),
        1,
        "{}",
        open.report.text()
    );
}

#[test]
fn rules_about_sockets_of_the_file_system_let_nobody_else_in() {
    let of = |rules: &str| {
        let text = format!(
            "server {{ listen unix:/run/a.sock; server_name a.test;
            location / {{ {rules} proxy_pass http://10.0.0.1; }} }}"
        );
        flat(&converted(&text).unwrap().yaml)
    };
    let denied = of("deny unix:;");
    assert!(
        denied.contains("addresses: [{ deny: 127.0.0.1 }]"),
        "{denied}"
    );
    let allowed = of("allow unix:; deny all;");
    assert!(allowed.contains("addresses: [{ deny: all }]"), "{allowed}");
}

#[test]
fn upstreams_that_begin_slowly_or_are_services_do_so_here() {
    let text = "upstream a { server 10.0.0.1:81 slow_start=30s weight=2; server 10.0.0.2:81 slow_start=30s; }
        upstream b { server b.internal service=http resolve; server b.internal service=_x._tcp weight=3; }
        upstream c { server c.internal service=one.two; server 10.0.0.3; }
        server { server_name a.test; location / { proxy_pass http://a; }
        location /b { proxy_pass http://b; } location /c { proxy_pass http://c; } }";
    let made = converted(text).unwrap();
    let yaml = flat(&made.yaml);
    for part in [
        "slow_start: 30s",
        "{ service: _http._tcp.b.internal }",
        "{ service: _x._tcp.b.internal, weight: 3 }",
    ] {
        assert_eq!(yaml.matches(part).count(), 1, "{yaml}");
    }
    let lost = made.report.directives.iter();
    let lost = lost.filter(|entry| entry.verdict == Verdict::Dropped);
    let lost: Vec<&str> = lost.map(|entry| entry.directive.as_str()).collect();
    assert_eq!(lost, ["server c.internal service=one.two"]);
}

/// nginx says so of one upstream, Portway of all: whoever says otherwise, or nothing, is told of.
#[test]
fn what_one_upstream_says_and_the_pool_does_is_a_change_for_the_others() {
    let text = "upstream a { server 10.0.0.1:81; server 10.0.0.2:81 max_fails=0; }
        upstream b { server 10.0.1.1:81 max_fails=2; server 10.0.1.2:81 max_fails=2 fail_timeout=10s; }
        upstream c { server 10.0.2.1:81 slow_start=0; server 10.0.2.2:81; }
        server { server_name a.test; location / { proxy_pass http://a; }
        location /b { proxy_pass http://b; } location /c { proxy_pass http://c; } }";
    let made = converted(text).unwrap();
    let yaml = flat(&made.yaml);
    assert_eq!(yaml.matches("max_fails: 0").count(), 1, "{yaml}");
    assert_eq!(yaml.matches("max_fails: 2").count(), 1, "{yaml}");
    let changed = made.report.directives.iter();
    let changed = changed.filter(|entry| entry.verdict == Verdict::Changed);
    let changed: Vec<&str> = changed.map(|entry| entry.directive.as_str()).collect();
    assert_eq!(changed, ["server 10.0.0.1:81"]);
}

#[test]
fn grpc_goes_by_http_2_with_the_directives_of_its_own() {
    let text = "upstream calls { server 10.0.0.1:50051; }
        server { listen 443 ssl http2; server_name a.test; ssl_certificate a.crt; ssl_certificate_key a.key;
        proxy_read_timeout 5m; grpc_read_timeout 10m;
        location /orders { grpc_pass grpc://calls; grpc_set_header X-From edge; proxy_set_header X-No no; }
        location /secret { grpc_pass grpcs://calls; grpc_ssl_verify on; }
        location /bare { grpc_pass 10.0.0.2:50051; }
        location / { proxy_pass http://calls; } }";
    let made = converted(text).unwrap();
    let yaml = flat(&made.yaml);
    for part in [
        "calls: { primary: [10.0.0.1:50051], scheme: h2c }",
        "calls-2: { primary: [10.0.0.1:50051] }",
        "calls-tls: { primary: [10.0.0.1:50051], scheme: h2 }",
        "10.0.0.2-50051: { primary: [10.0.0.2:50051], scheme: h2c }",
        "X-From: edge",
    ] {
        assert_eq!(yaml.matches(part).count(), 1, "{part}: {yaml}");
    }
    assert_eq!(yaml.matches("streaming: true").count(), 3, "{yaml}");
    assert_eq!(yaml.matches("read_idle: 10m").count(), 3, "{yaml}");
    assert_eq!(yaml.matches("read_idle: 5m").count(), 1, "{yaml}");
    assert!(!yaml.contains("X-No"), "{yaml}");
}

/// A configuration on one line, its maps and lists between brackets.
fn flat(yaml: &str) -> String {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    shown(&value)
}

fn shown(value: &serde_json::Value) -> String {
    let joined = |items: Vec<String>| items.join(", ");
    match value {
        serde_json::Value::Array(items) => {
            format!("[{}]", joined(items.iter().map(shown).collect()))
        }
        serde_json::Value::Object(map) if map.is_empty() => "{}".to_owned(),
        serde_json::Value::Object(map) => {
            let entries = map.iter();
            let entries = entries.map(|(key, value)| format!("{key}: {}", shown(value)));
            format!("{{ {} }}", joined(entries.collect()))
        }
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
            value.to_string()
        }
    }
}

fn converted(text: &str) -> Result<Conversion, ConvertError> {
    let read = |path: &Path| {
        let is_there = path == Path::new("a.conf");
        is_there
            .then(|| text.as_bytes().to_vec())
            .ok_or_else(|| io::Error::other("not there"))
    };
    let surroundings = Surroundings {
        read: &read,
        list: &|_| Ok(Vec::new()),
    };
    nginx::convert(Path::new("a.conf"), Path::new(""), surroundings)
}

fn folder() -> PathBuf {
    root().join("tests/fixtures/nginx")
}

/// The folder of the fixtures stands for nginx's.
fn surroundings() -> Surroundings<'static> {
    Surroundings {
        read: &|path| fs::read(folder().join(path)),
        list: &|path| {
            let entries = fs::read_dir(folder().join(path))?;
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        },
    }
}
