//! The table of what may differ between nginx and Portway with the converted configuration, and why.
//!
//! A row is as narrow as its reason. What is in no row fails the test, and so does a row that nothing needs.

use portway::decision::path::normalise;

use crate::compare::About;
use crate::compare::Difference;
use crate::compare::Exchange;
use crate::requests::Body;
use crate::requests::Conversation;
use crate::requests::Shows;

/// A row.
struct Row {
    name: &'static str,
    what: &'static str,
    why: &'static str,
    is: Is,
}

/// What a row is about.
enum Is {
    /// Single differences.
    Part(fn(&Exchange<'_>, &Difference) -> bool),
    /// A request that goes another way altogether.
    Whole(fn(&Exchange<'_>) -> bool),
}

/// The row for a request that goes another way altogether.
pub(crate) fn whole(exchange: &Exchange<'_>) -> Option<&'static str> {
    let mut rows = ROWS.iter();
    let found = rows.find(|row| matches!(row.is, Is::Whole(is) if is(exchange)));
    found.map(|row| row.name)
}

/// The row for a single difference.
pub(crate) fn part(exchange: &Exchange<'_>, difference: &Difference) -> Option<&'static str> {
    let mut rows = ROWS.iter();
    let found = rows.find(|row| matches!(row.is, Is::Part(is) if is(exchange, difference)));
    found.map(|row| row.name)
}

/// The names of all rows.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}

/// The table as Markdown.
pub(crate) fn table() -> String {
    let mut text = String::from("| with Portway | because |\n| --- | --- |\n");
    for row in ROWS {
        text.push_str(&format!("| {} | {} |\n", row.what, row.why));
    }
    text
}

/// By what they are about: requests that go another way first.
const ROWS: &[Row] = &[
    Row {
        name: "unknown host",
        what: "A name that no server has is answered with 421",
        why: "nginx's first server takes such requests, whatever they are for (W-01)",
        is: Is::Whole(|exchange| exchange.portway_refuses(421) && !exchange.host_is_known()),
    },
    Row {
        name: "other authority",
        what: "A request whose target names another host than its `Host` header is answered with 400",
        why: "applications would go by one of the two, and rules by the other; nginx goes by the target",
        is: Is::Whole(|exchange| {
            exchange.portway_refuses(400) && exchange.sent.target.starts_with("http://other.test")
        }),
    },
    Row {
        name: "odd target",
        what: "Paths that servers read in different ways are answered with 400: escaped slashes, backslashes, \
               question marks, hashes and zeros, parameters behind `;` where they matter, escapes that are none or no UTF-8; and `\"`, `<` and `>`, also \
               in queries",
        why: "a rule for one path must not be passed by another spelling of it; `tolerate` lets some through",
        is: Is::Whole(|exchange| exchange.portway_refuses(400) && is_odd(&exchange.sent.target)),
    },
    Row {
        name: "case",
        what: "Paths that belong to another location when their case is folded are answered with 400",
        why: "an application that does not mind the case would serve what the other location keeps",
        is: Is::Whole(|exchange| {
            let path = exchange.sent.path();
            exchange.portway_refuses(400) && path.to_ascii_lowercase() != path
        }),
    },
    Row {
        name: "websocket",
        what: "WebSockets pass wherever a client asks for one",
        why: "no setting is needed for them (W-20); the application decides",
        is: Is::Whole(|exchange| {
            let asked = exchange.nginx.seen.first();
            exchange.portway_says(101) && asked.is_some_and(|seen| seen.value("upgrade").is_none())
        }),
    },
    Row {
        name: "origin",
        what: "A WebSocket from a page of a host that is not served is answered with 403",
        why: "a page of anybody's could speak in the user's name; `Origin` is compared with the served hosts",
        is: Is::Whole(|exchange| {
            exchange.portway_refuses(403)
                && exchange.sent.upgrades()
                && exchange.sent.value("Origin").is_some()
        }),
    },
    Row {
        name: "closed",
        what: "A location with `auth_basic`, `limit_except` or an `if` that refuses answers 403 to everybody",
        why: "who may pass is for a policy: `access: protected`; the report says so of each",
        is: Is::Whole(|exchange| {
            let mut closed = exchange.configuration.closed.iter();
            let path = canonical(&exchange.sent.target).unwrap_or_default();
            exchange.portway_refuses(403) && closed.any(|prefix| path.starts_with(prefix.as_str()))
        }),
    },
    Row {
        name: "files",
        what: "Locations with files answer 404",
        why: "Portway serves no files; put a web server behind it as a pool",
        is: Is::Whole(|exchange| {
            let path = canonical(&exchange.sent.target).unwrap_or_default();
            let files = ["/static/", "/media/"]
                .iter()
                .any(|prefix| path.starts_with(prefix));
            exchange.portway_refuses(404)
                && files
                && exchange.configuration.text.contains("root /nonexistent")
        }),
    },
    Row {
        name: "too many",
        what: "Requests beyond `limit_req` are answered with 429 and `Retry-After`",
        why: "that is what the status is for; nginx says 503 where it is not told otherwise",
        is: Is::Whole(|exchange| {
            let nginx = exchange.nginx.answer.as_ref().map(|answer| answer.status);
            exchange.portway_refuses(429) && matches!(nginx, Ok(503 | 413))
        }),
    },
    Row {
        name: "body for an answer",
        what: "Where Portway answers by itself the body of a request is not looked at",
        why: "nobody gets it; nginx asks for it, and answers with 413 where it is too large",
        is: Is::Whole(|exchange| {
            let (Ok(nginx), Ok(portway)) = (&exchange.nginx.answer, &exchange.portway.answer)
            else {
                return false;
            };
            let large = nginx.status == 413 && exchange.sent.body_size() > 1 << 20;
            let asked = nginx.interim != portway.interim;
            let own = exchange.portway.seen.is_empty() && portway.status != 413;
            own && (large || asked)
        }),
    },
    Row {
        name: "body sent again",
        what: "A request with a body is not sent to another upstream once one has got it",
        why: "the body is passed on as it comes and not kept, and may have had its effect (W-08)",
        is: Is::Whole(|exchange| {
            let failed = [502, 503, 504].iter();
            let failed = failed.copied().any(|status| exchange.portway_says(status));
            let times = |seen: usize, more: usize| seen == 1 && more > seen;
            exchange.sent.body != Body::None
                && failed
                && times(exchange.portway.seen.len(), exchange.nginx.seen.len())
        }),
    },
    Row {
        name: "nobody there",
        what: "Where no upstream can be connected to the answer is 503 with `Retry-After`, and not 502",
        why: "upstreams may be about to come (W-33)",
        is: Is::Part(|exchange, it| {
            let status = it.is(&About::Status, "502", "503");
            exchange.portway_refuses(503) && (status || it.is_back("retry-after"))
        }),
    },
    Row {
        name: "version",
        what: "Upstreams are spoken to by HTTP/1.1",
        why: "nginx speaks HTTP/1.0 where it is not told otherwise (W-19)",
        is: Is::Part(|_, it| it.is(&About::Version, "HTTP/1.0", "HTTP/1.1")),
    },
    Row {
        name: "connection",
        what: "Upstreams get a `Connection` header with a WebSocket, and none otherwise",
        why: "connections to them are kept (W-20)",
        is: Is::Part(|exchange, it| {
            let header = it.is_about("connection");
            header && (it.portway == "absent" || exchange.sent.upgrades())
        }),
    },
    Row {
        name: "framing",
        what: "A body that comes in chunks goes on in chunks",
        why: "nginx keeps the whole body back and tells its length; Portway passes it on as it comes",
        is: Is::Part(|_, it| it.is(&About::Framing, "length", "chunked")),
    },
    Row {
        name: "expect",
        what: "`Expect: 100-continue` goes on, and the upstream says whether it wants the body",
        why: "nginx asks for the body by itself, also where the upstream is going to refuse it",
        is: Is::Part(|_, it| it.is_about("expect") && it.nginx == "absent"),
    },
    Row {
        name: "cookies",
        what: "Several `Cookie` headers become one",
        why: "applications that read only the first would miss the others (RFC 9113 §8.2.3)",
        is: Is::Part(|_, it| it.is_about("cookie") && it.nginx.replace("><", "; ") == it.portway),
    },
    Row {
        name: "forwarding headers",
        what: "Forwarding headers of clients, such as `X-Forwarded-For`, `X-Real-IP` and `Forwarded`, do not get \
               through, whether the file sets them or not",
        why: "a client could say with them where it comes from; those of `trusted_proxies` are believed (W-12)",
        is: Is::Part(|_, it| {
            let About::Header(name) = &it.about else {
                return false;
            };
            let own = it.nginx.rsplit([' ', '<']).next();
            FORWARDING.contains(&name.as_str())
                && (it.portway == "absent" || own == it.portway.strip_prefix('<'))
        }),
    },
    Row {
        name: "identity headers",
        what: "`Remote-User` and its like of clients do not get through",
        why: "applications behind Portway believe them",
        is: Is::Part(|_, it| it.is_about("remote-user") && it.portway == "absent"),
    },
    Row {
        name: "protected headers",
        what: "A header that one location sets does not get through from clients at any other",
        why: "applications believe it (W-25)",
        is: Is::Part(|exchange, it| {
            let About::Header(name) = &it.about else {
                return false;
            };
            let mut set = exchange.configuration.headers.iter();
            it.portway == "absent"
                && it.nginx == "<forged>"
                && set.any(|own| own.eq_ignore_ascii_case(name))
        }),
    },
    Row {
        name: "per hop",
        what: "A header that the client names in `Connection` does not get through",
        why: "it is for the next server only (RFC 9110 §7.6.1); nginx passes it on",
        is: Is::Part(|_, it| it.is_about("x-hop") && it.portway == "absent"),
    },
    Row {
        name: "prefix header",
        what: "Where the path of `proxy_pass` takes the place of a prefix, `X-Forwarded-Prefix` tells the upstream \
               which one that was",
        why: "applications that read it write links that work",
        is: Is::Part(|_, it| it.is_about("x-forwarded-prefix") && it.nginx == "absent"),
    },
    Row {
        name: "host",
        what: "`$http_host` is in lower case, and without a dot at its end",
        why: "the host that was decided on is the host that is passed on",
        is: Is::Part(|_, it| {
            let text = it
                .nginx
                .to_ascii_lowercase()
                .replace(".>", ">")
                .replace(".:", ":");
            it.is_about("host") && text == it.portway
        }),
    },
    Row {
        name: "canonical path",
        what: "The upstream is asked for the path in its canonical form: without empty segments, `.`, `..`, and \
               escapes of characters that need none",
        why: "the bytes that are decided on are the bytes that are forwarded",
        is: Is::Part(|_, it| {
            let nginx = canonical(&it.nginx).map(|target| bare(&target));
            it.about == About::Target && nginx == Some(bare(&it.portway))
        }),
    },
    Row {
        name: "empty query",
        what: "A question mark with nothing behind it stays where the path is changed",
        why: "nothing of a query is changed; nginx leaves it out",
        is: Is::Part(|_, it| {
            it.about == About::Target && format!("{}?", bare(&it.nginx)) == bare(&it.portway)
        }),
    },
    Row {
        name: "pages",
        what: "Answers by `return` without a text have no page, and Portway's own errors have another one, for \
               programs as JSON, with headers that keep it out of caches and frames",
        why: "nginx's pages name nginx",
        is: Is::Part(|exchange, it| {
            let page = exchange.nginx.answer.as_ref().is_ok_and(|answer| {
                answer.status >= 300
                    && (exchange.sent.method == "HEAD" || answer.body.starts_with(PAGE))
            });
            let about = if let About::AnswerHeader(name) = &it.about {
                OF_PAGES.contains(&name.as_str())
            } else {
                [About::AnswerBody, About::AnswerFraming].contains(&it.about)
            };
            let replaced = exchange
                .configuration
                .text
                .contains("proxy_intercept_errors on;");
            page && about && (exchange.portway_answers() || replaced)
        }),
    },
    Row {
        name: "error pages",
        what: "Pages for errors are kept out of caches and have no `ETag`; they keep the `Retry-After` of the error",
        why: "an error may be over by the next request, and programs go by when to try again (W-43)",
        is: Is::Part(|exchange, it| {
            let headers = [
                "cache-control",
                "etag",
                "retry-after",
                "x-content-type-options",
            ];
            let about = headers.iter().any(|header| it.is_back(header));
            about && exchange.configuration.text.contains("error_page ")
        }),
    },
    Row {
        name: "absolute redirect",
        what: "Redirects to paths stay paths",
        why: "the browser knows the host; nginx puts it in front",
        is: Is::Part(|exchange, it| {
            let rest = it
                .nginx
                .split_once("://")
                .and_then(|(_, rest)| rest.split_once('/'));
            it.is_back("location")
                && exchange.portway.seen.is_empty()
                && rest.is_some_and(|(_, path)| {
                    let (nginx, portway) = (format!("/{path}"), it.portway.replace('<', ""));
                    nginx == portway
                        || canonical(nginx.trim_end_matches('>'))
                            .is_some_and(|nginx| nginx == portway.trim_end_matches('>'))
                })
        }),
    },
    Row {
        name: "canonical redirect",
        what: "Redirects with the path of the request in them have it in its canonical form",
        why: "as for upstreams",
        is: Is::Part(|exchange, it| {
            let path = canonical(&exchange.sent.target);
            it.is_back("location")
                && exchange.portway.seen.is_empty()
                && path.is_some_and(|path| {
                    let end = format!("{}>", exchange.sent.target);
                    let before = it.nginx.strip_suffix(&end);
                    before.is_some_and(|before| format!("{before}{path}>") == it.portway)
                })
        }),
    },
    Row {
        name: "location of a path",
        what: "Where a prefix is changed, a `Location` that is a path and the paths of cookies are changed back",
        why: "they would lead to where nobody is; nginx changes only whole addresses back",
        is: Is::Part(|_, it| {
            let path = it.is_back("location")
                && it.nginx.starts_with("</")
                && it.portway.ends_with(&it.nginx[1..]);
            path || it.is_back("set-cookie") && it.nginx.contains("Path=/v2/")
        }),
    },
    Row {
        name: "location of an upstream",
        what: "A `Location` that names the upstream as it was told leads to the public host, whatever its path is",
        why: "browsers cannot reach the upstream; nginx changes only what is below the path of `proxy_pass`",
        is: Is::Part(|exchange, it| {
            let told = exchange
                .nginx
                .seen
                .first()
                .and_then(|seen| seen.value("host"));
            let told = told.map(|host| format!("<http://{host}/"));
            let told = told.as_deref();
            let Conversation { door, name, .. } = exchange.conversation;
            let scheme = if door.secure { "https" } else { "http" };
            let public = format!("<{scheme}://{name}/");
            let rest = told.and_then(|told| it.nginx.strip_prefix(told));
            it.is_back("location")
                && it.portway.starts_with(&public)
                && rest.is_some_and(|rest| it.portway.ends_with(&format!("/{rest}")))
        }),
    },
    Row {
        name: "location of a pool",
        what: "A `Location` that names the `upstream` block stays where the upstream was told another `Host`",
        why: "nothing has told the application that name",
        is: Is::Part(|exchange, it| {
            let told = exchange
                .portway
                .seen
                .first()
                .and_then(|seen| seen.value("host"));
            let name = exchange
                .portway
                .seen
                .first()
                .map(|seen| format!("<http://{}/", seen.pool));
            it.is_back("location")
                && told != exchange.portway.seen.first().map(|seen| seen.pool.clone())
                && name.is_some_and(|name| it.portway.starts_with(&name))
        }),
    },
    Row {
        name: "date of a change",
        what: "An answer that changes the protocol has no `Date`",
        why: "nothing needs it; it is the application's to say",
        is: Is::Part(|exchange, it| exchange.portway_says(101) && it.is_back("date")),
    },
    Row {
        name: "announced trailers",
        what: "An answer of HTTP/1.1 has no `Trailer`",
        why: "neither passes on what follows the body; nginx announces it all the same",
        is: Is::Part(|_, it| it.is_back("trailer") && it.portway == "absent"),
    },
    Row {
        name: "to https",
        what: "Plain http is redirected to https with 308 where the method is another one than GET or HEAD",
        why: "with 301 browsers would ask with GET, and without the body",
        is: Is::Part(|_, it| it.is(&About::Status, "301", "308")),
    },
    Row {
        name: "added headers",
        what: "`add_header` holds for answers with any status",
        why: "a header rule knows no statuses; nginx needs `always` for that",
        is: Is::Part(|exchange, it| {
            let status = exchange
                .nginx
                .answer
                .as_ref()
                .map_or(0, |answer| answer.status);
            let added = matches!(&it.about, About::AnswerHeader(name)
                if exchange.configuration.text.to_lowercase().contains(&format!("add_header {name} ")));
            added && it.nginx == "absent" && !ADDED.contains(&status)
        }),
    },
    Row {
        name: "several values",
        what: "A header that the client sends twice is no value for a header that is set",
        why: "which of the two counts is nobody's to guess; nginx takes the first",
        is: Is::Part(|exchange, it| {
            let sent = exchange.sent.headers.iter();
            let times = sent.filter(|(name, _)| name == "X-Tenant").count();
            it.is_about("x-tenant") && it.portway == "absent" && times > 1
        }),
    },
    Row {
        name: "unverified names",
        what: "Of a certificate that nobody trusted has signed no names are told",
        why: "whoever made it chose them (W-25)",
        is: Is::Part(|exchange, it| {
            let names = [
                "x-subject",
                "x-subject-legacy",
                "x-issuer",
                "x-issuer-legacy",
                "x-serial",
            ];
            let header = names.iter().any(|name| it.is_about(name));
            header && it.portway == "absent" && exchange.conversation.shows == Shows::Strange
        }),
    },
    Row {
        name: "compression",
        what: "`Vary: Accept-Encoding` is always said of what is compressed for others",
        why: "caches would give compressed answers to who cannot read them",
        is: Is::Part(|exchange, it| {
            let compresses = exchange.configuration.text.contains("gzip on;");
            it.is_back("vary") && compresses && it.portway.contains("<Accept-Encoding>")
        }),
    },
    Row {
        name: "not compressed",
        what: "The answer to a request for a part stays as it is, also where it is the whole; so does one to `HEAD`, \
               and one that announces trailers",
        why: "who asks for a part may have another part already, of the plain bytes; trailers would be lost",
        is: Is::Part(|exchange, it| {
            let mut headers = ["accept-ranges", "content-encoding", "etag", "vary"].iter();
            let about =
                headers.any(|header| it.is_back(header)) || it.about == About::AnswerFraming;
            let part = exchange.sent.value("Range").is_some() || exchange.sent.method == "HEAD";
            let trailers = exchange.sent.value("X-Want") == Some("trailers");
            about && exchange.configuration.text.contains("gzip on;") && (part || trailers)
        }),
    },
    Row {
        name: "type of nothing",
        what: "An answer without a body has no `Content-Type`",
        why: "there is nothing that could be of a type",
        is: Is::Part(|exchange, it| {
            let empty = exchange
                .nginx
                .answer
                .as_ref()
                .is_ok_and(|answer| answer.body.is_empty());
            it.is_back("content-type") && it.portway == "absent" && empty
        }),
    },
    Row {
        name: "port of redirects",
        what: "Redirects have the port that the client names in `Host`",
        why: "that is where it got through; nginx has the port that it listens on",
        is: Is::Part(|exchange, it| {
            let host = exchange.sent.value("Host").unwrap_or_default();
            it.is_back("location")
                && host.ends_with(":8080")
                && it.portway.replace(":8080", "") == it.nginx
        }),
    },
    Row {
        name: "server",
        what: "There is no `Server` header of Portway's",
        why: "nobody needs it but attackers",
        is: Is::Part(|_, it| it.is_back("server") && it.portway == "absent"),
    },
    Row {
        name: "request id",
        what: "Answers have an `X-Request-Id`",
        why: "with it a user's complaint is found in the log",
        is: Is::Part(|_, it| it.is_back("x-request-id") && it.nginx == "absent"),
    },
    Row {
        name: "end of a connection",
        what: "The connection is closed after a request whose body came in chunks or waited to be asked for, or did not have to be read, and after an upstream that failed or whose error a page takes the place of",
        why: "the next request must not begin where servers disagree that the last one ended; pingora keeps no connection whose answer was not passed on to its end",
        is: Is::Part(|exchange, it| {
            let chunked = matches!(exchange.sent.body, Body::Chunked(_))
                || exchange.sent.value("Expect").is_some();
            let unread = exchange.portway.seen.is_empty()
                && (exchange.sent.body != Body::None || !exchange.portway_says(200));
            let replaced = exchange
                .configuration
                .text
                .contains("proxy_intercept_errors on;");
            let failed = exchange.portway_says(502) || exchange.portway_says(504);
            let is_meant = chunked || unread || replaced || failed;
            it.is(&About::Keeps, "true", "false") && is_meant
        }),
    },
    Row {
        name: "connection of answers",
        what: "The `Connection` header of answers may differ",
        why: "it says the same: whether the connection is kept is compared by itself",
        is: Is::Part(|_, it| it.is_back("connection")),
    },
];

/// Whether servers read a target in different ways.
fn is_odd(target: &str) -> bool {
    let lower = target.to_ascii_lowercase();
    let path = lower.split('?').next().unwrap_or_default();
    let escapes = ["%2f", "%5c", "%00", "%zz", "%25", "%3f", "%23", "%e9"];
    escapes.iter().any(|escape| path.contains(escape))
        || path.contains(['\\', '#', '^', '{', '|', ';'])
        || lower.contains(['"', '<', '>'])
}

/// A target in its canonical form.
fn canonical(target: &str) -> Option<String> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (target, String::new()),
    };
    let path = normalise(path).ok()?;
    Some(format!("{}{query}", path.as_str()))
}

/// A target with characters as themselves that nginx escapes where it changes a path.
fn bare(target: &str) -> String {
    let escapes = [
        ("%22", "\""),
        ("%7B", "{"),
        ("%7D", "}"),
        ("%7C", "|"),
        ("%5E", "^"),
    ];
    let plain = |text: String, (escape, character)| text.replace(escape, character);
    escapes.into_iter().fold(target.to_owned(), plain)
}

impl Exchange<'_> {
    fn portway_says(&self, status: u16) -> bool {
        self.portway
            .answer
            .as_ref()
            .is_ok_and(|answer| answer.status == status)
    }

    /// Portway answers so, and no upstream has heard of the request.
    fn portway_refuses(&self, status: u16) -> bool {
        self.portway_says(status) && self.portway.seen.is_empty()
    }

    /// Portway has made the answer itself; upstreams give none with these statuses.
    fn portway_answers(&self) -> bool {
        let failed = self.portway_says(502) || self.portway_says(504);
        failed || self.portway.seen.is_empty()
    }

    fn host_is_known(&self) -> bool {
        let host = self
            .sent
            .value("Host")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let host = host.split(':').next().unwrap_or_default();
        let host = host.trim_end_matches('.');
        self.conversation.door.names.iter().any(|name| name == host)
    }
}

impl Difference {
    fn is(&self, about: &About, nginx: &str, portway: &str) -> bool {
        self.about == *about && self.nginx == nginx && self.portway == portway
    }

    /// Whether it is about this header on the way to the upstream.
    fn is_about(&self, header: &str) -> bool {
        matches!(&self.about, About::Header(name) if name == header)
    }

    /// Whether it is about this header of the answer.
    fn is_back(&self, header: &str) -> bool {
        matches!(&self.about, About::AnswerHeader(name) if name == header)
    }
}

/// How nginx's own pages begin.
const PAGE: &[u8] = b"<html>\r\n<head><title>";
/// The statuses for which nginx adds headers without `always`.
const ADDED: &[u16] = &[200, 201, 204, 206, 301, 302, 303, 304, 307, 308];
const OF_PAGES: &[&str] = &[
    "cache-control",
    "content-security-policy",
    "content-type",
    "referrer-policy",
    "x-content-type-options",
    "x-frame-options",
];
const FORWARDING: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
    "x-request-id",
];
