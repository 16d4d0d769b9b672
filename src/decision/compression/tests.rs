//! What is compressed for whom.

use super::*;

fn all() -> Compression {
    Compression {
        codings: vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
        level: 4,
        bytes_min: 100,
        types: vec![
            MediaPattern::parse("text/*").unwrap(),
            MediaPattern::parse("application/json").unwrap(),
            MediaPattern::parse("application/*+xml").unwrap(),
        ],
    }
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let lines = lines.iter();
    lines
        .map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        })
        .collect()
}

/// What becomes of a page of 1,000 bytes for a client that says this of codings.
fn taken(accept: &[&'static str]) -> Verdict {
    let lines: Vec<_> = accept
        .iter()
        .map(|line| ("accept-encoding", *line))
        .collect();
    let asked = headers(&lines);
    let asked = Asked {
        method: &Method::GET,
        version: Version::HTTP_11,
        headers: &asked,
    };
    let page = headers(&[("content-type", "text/html"), ("content-length", "1000")]);
    all().judge(&asked, StatusCode::OK, &page)
}

/// What becomes of an answer for a client that takes gzip.
fn becomes(status: u16, answer: &[(&'static str, &'static str)]) -> Verdict {
    let asked = headers(&[("accept-encoding", "gzip")]);
    let asked = Asked {
        method: &Method::GET,
        version: Version::HTTP_2,
        headers: &asked,
    };
    let status = StatusCode::from_u16(status).unwrap();
    all().judge(&asked, status, &headers(answer))
}

#[test]
fn a_client_gets_the_coding_that_it_likes_best_and_none_that_it_refuses() {
    let (zstd, brotli, gzip) = (Coding::Zstd, Coding::Brotli, Coding::Gzip);
    for (accept, expected) in [
        (&["gzip"][..], Some(gzip)),
        (&["gzip, br, zstd"], Some(zstd)),
        (&["gzip", "br"], Some(brotli)),
        (&["GZIP;Q=0.1"], Some(gzip)),
        (&["x-gzip"], Some(gzip)),
        (&["gzip;q=1.0, br;q=0.9"], Some(gzip)),
        (&["gzip ; q=0.501, br; q=0.5"], Some(gzip)),
        (&["*"], Some(zstd)),
        (&["*;q=0.5, zstd;q=0"], Some(brotli)),
        (&["gzip, *;q=0"], Some(gzip)),
        (&["identity, gzip"], Some(gzip)),
        (&["gzip;q=0"], None),
        (&["gzip;q=0.000"], None),
        (&["*;q=0"], None),
        (&["identity"], None),
        (&["identity, gzip;q=0.5"], None),
        (&["deflate, compress"], None),
        (&[""], None),
        (&[], None),
        // What cannot be read is not taken for a yes.
        (&["gzip;q=2"], None),
        (&["gzip;q=1.001"], None),
        (&["gzip;q=.5"], None),
        (&["gzip;q="], None),
        (&["gzip;q=0.5000"], None),
        (&["gzip;q=-1"], None),
        (&["gzip;level=9"], None),
        (&["gzipped"], None),
    ] {
        let expected = expected.map_or(Verdict::PlainForNow, Verdict::Coded);
        assert_eq!(taken(accept), expected, "{accept:?}");
    }
}

#[test]
fn what_must_arrive_as_it_is_stays_so() {
    let coded = Verdict::Coded(Coding::Gzip);
    let html = ("content-type", "text/html; charset=utf-8");
    assert_eq!(becomes(200, &[html]), coded);
    assert_eq!(becomes(200, &[html, ("content-length", "100")]), coded);
    assert_eq!(
        becomes(404, &[("content-type", "APPLICATION/Atom+XML")]),
        coded
    );
    for odd in [
        &[html, ("content-length", "99")][..],
        &[html, ("content-encoding", "identity")],
        &[html, ("content-encoding", "zstd")],
        &[html, ("content-range", "bytes 0-1/2")],
        &[html, ("trailer", "server-timing")],
        &[html, ("content-digest", "sha-256=:AAAA:")],
        &[html, ("cache-control", "max-age=1, No-Transform")],
        &[("content-type", "text/event-stream")],
        &[("content-type", "Text/Event-Stream; charset=utf-8")],
        &[("content-type", "application/grpc+json")],
        &[("content-type", "image/png")],
        &[("content-type", "application/xml")],
        &[("content-type", "")],
        &[],
    ] {
        assert_eq!(becomes(200, odd), Verdict::Plain, "{odd:?}");
    }
    for status in [100, 101, 201, 204, 206, 302, 304, 401, 500, 503] {
        assert_eq!(becomes(status, &[html]), Verdict::Plain, "{status}");
    }
}

#[test]
fn an_answer_without_a_byte_is_of_no_coding_whatever_the_minimum() {
    let least = Compression {
        bytes_min: 0,
        ..all()
    };
    let asked = headers(&[("accept-encoding", "br")]);
    let asked = Asked {
        method: &Method::GET,
        version: Version::HTTP_11,
        headers: &asked,
    };
    let verdict = |length| {
        let answer = headers(&[("content-type", "text/html"), ("content-length", length)]);
        least.judge(&asked, StatusCode::OK, &answer)
    };
    assert_eq!(verdict("0"), Verdict::Plain);
    assert_eq!(verdict("1"), Verdict::Coded(Coding::Brotli));
}

#[test]
fn who_cannot_take_a_compressed_answer_is_told_that_others_can() {
    let page = headers(&[("content-type", "text/html")]);
    for (method, version, lines) in [
        (Method::HEAD, Version::HTTP_11, &[][..]),
        (Method::GET, Version::HTTP_10, &[]),
        (Method::GET, Version::HTTP_11, &[("range", "bytes=0-9")]),
        (
            Method::GET,
            Version::HTTP_2,
            &[("cache-control", "no-transform")],
        ),
    ] {
        let mut asked = headers(lines);
        asked.insert("accept-encoding", HeaderValue::from_static("gzip"));
        let asked = Asked {
            method: &method,
            version,
            headers: &asked,
        };
        let verdict = all().judge(&asked, StatusCode::OK, &page);
        assert_eq!(
            verdict,
            Verdict::PlainForNow,
            "{method} {version:?} {lines:?}"
        );
    }
}

#[test]
fn all_types_are_no_type_that_comes_piece_by_piece() {
    let everything = Compression {
        types: vec![MediaPattern::parse("*").unwrap()],
        ..all()
    };
    let asked = headers(&[("accept-encoding", "br")]);
    let asked = Asked {
        method: &Method::GET,
        version: Version::HTTP_11,
        headers: &asked,
    };
    let verdict = |media| {
        let answer = headers(&[("content-type", media)]);
        everything.judge(&asked, StatusCode::OK, &answer)
    };
    assert_eq!(verdict("image/svg+xml"), Verdict::Coded(Coding::Brotli));
    for stream in [
        "text/event-stream",
        "application/grpc",
        "multipart/x-mixed-replace; boundary=x",
    ] {
        assert_eq!(verdict(stream), Verdict::Plain, "{stream}");
    }
}

#[test]
fn a_pattern_of_media_types_has_one_star_at_most() {
    for good in [
        "*",
        "text/*",
        "Text/HTML",
        "application/*+json",
        "image/svg+xml",
    ] {
        assert!(MediaPattern::parse(good).is_some(), "{good}");
    }
    for bad in [
        "",
        "text",
        "/html",
        "text/",
        "*/*",
        "text/html; charset=utf-8",
        "a/b/c",
        "te xt/html",
        "text/html,text/css",
    ] {
        assert!(MediaPattern::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_validator_becomes_weak_and_is_known_by_that_again() {
    let value = HeaderValue::from_static;
    assert_eq!(weakened(&value("\"v1\"")), Some(value("W/\"v1\"")));
    assert_eq!(weakened(&value("W/\"v1\"")), Some(value("W/\"v1\"")));
    assert_eq!(weakened(&value("v1")), None);
    for (asked, tag, expected) in [
        ("W/\"v1\"", "\"v1\"", Some("W/\"v1\"")),
        ("\"v0\", W/\"v1\"", "\"v1\"", Some("W/\"v1\"")),
        ("W/\"v1\", \"v1\"", "\"v1\"", None),
        ("\"v1\"", "\"v1\"", None),
        ("W/\"v1\"", "W/\"v1\"", None),
        ("*", "\"v1\"", None),
    ] {
        let asked_by = headers(&[("if-none-match", asked)]);
        let known = known_as(&asked_by, &value(tag));
        assert_eq!(known, expected.map(value), "{asked}");
    }
}
