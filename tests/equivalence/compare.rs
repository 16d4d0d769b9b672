//! Where nginx and Portway differ about a request: what the upstream saw, and what the client got.

use std::collections::BTreeSet;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::io::Read;

use flate2::read::GzDecoder;

use crate::client::Answer;
use crate::client::Framing;
use crate::client::Header;
use crate::configuration::Configuration;
use crate::requests::Conversation;
use crate::requests::Sent;
use crate::upstream::Seen;

/// A request with what came of it.
pub(crate) struct Exchange<'e> {
    pub(crate) configuration: &'e Configuration,
    pub(crate) conversation: &'e Conversation,
    pub(crate) sent: &'e Sent,
    pub(crate) nginx: Outcome,
    pub(crate) portway: Outcome,
}

/// What came of a request with one of the two.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) seen: Vec<Seen>,
    pub(crate) answer: Result<Answer, String>,
    /// The port that was connected to, if it was one.
    pub(crate) port: Option<u16>,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    pub(crate) about: About,
    pub(crate) nginx: String,
    pub(crate) portway: String,
}

/// Something that can differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// How many requests upstreams saw.
    Asked,
    Pool,
    Method,
    Target,
    /// The version towards the upstream.
    Version,
    /// A header that the upstream saw, in lower case.
    Header(String),
    /// How the upstream was told where the body ends.
    Framing,
    Body,
    /// Whether there is an answer at all.
    Answered,
    Interim,
    Status,
    /// A header that the client saw, in lower case.
    AnswerHeader(String),
    /// How the client was told where the body ends.
    AnswerFraming,
    AnswerBody,
    Trailers,
    /// What came back through a changed protocol.
    Echoed,
    /// Whether the connection may be used again.
    Keeps,
}

/// All differences about a request.
pub(crate) fn differences(exchange: &Exchange<'_>) -> Vec<Difference> {
    let mut found = Found(Vec::new());
    let (nginx, portway) = (&exchange.nginx, &exchange.portway);
    found.note(About::Asked, nginx.seen.len(), portway.seen.len());
    for (one, other) in nginx.seen.iter().zip(&portway.seen) {
        found.seen((nginx, one), (portway, other));
    }
    match (&nginx.answer, &portway.answer) {
        (Ok(one), Ok(other)) => found.answers((nginx, one), (portway, other)),
        (one, other) => {
            let said = |answer: &Result<Answer, String>| match answer {
                Ok(answer) => format!("{}", answer.status),
                Err(_) => "no answer".to_owned(),
            };
            found.note(About::Answered, said(one), said(other));
        }
    }
    found.0
}

struct Found(Vec<Difference>);

impl Found {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "texts, numbers and references are noted alike"
    )]
    fn note<T: ToString>(&mut self, about: About, nginx: T, portway: T) {
        let (nginx, portway) = (nginx.to_string(), portway.to_string());
        if nginx != portway {
            self.0.push(Difference {
                about,
                nginx,
                portway,
            });
        }
    }

    fn seen(&mut self, (here, one): (&Outcome, &Seen), (there, other): (&Outcome, &Seen)) {
        self.note(About::Pool, &one.pool, &other.pool);
        self.note(About::Method, &one.method, &other.method);
        let target = |seen: &Seen| String::from_utf8_lossy(&seen.target).into_owned();
        self.note(About::Target, target(one), target(other));
        self.note(About::Version, &one.version, &other.version);
        let framing = |seen: &Seen| framing(seen.framing);
        self.note(About::Framing, framing(one), framing(other));
        self.note(About::Body, shown(&one.body), shown(&other.body));
        self.headers((here, &one.headers), (there, &other.headers), About::Header);
    }

    fn answers(&mut self, (here, one): (&Outcome, &Answer), (there, other): (&Outcome, &Answer)) {
        self.note(
            About::Interim,
            format!("{:?}", one.interim),
            format!("{:?}", other.interim),
        );
        self.note(About::Status, one.status, other.status);
        self.note(
            About::AnswerFraming,
            framing(one.framing),
            framing(other.framing),
        );
        self.note(About::AnswerBody, shown(&meant(one)), shown(&meant(other)));
        self.note(About::Echoed, shown(&one.echoed), shown(&other.echoed));
        self.note(About::Keeps, one.keeps(), other.keeps());
        let trailers = |answer: &Answer| lines(&answer.trailers);
        self.note(About::Trailers, trailers(one), trailers(other));
        let about = About::AnswerHeader;
        self.headers((here, &one.headers), (there, &other.headers), about);
    }

    fn headers(
        &mut self,
        (here, one): (&Outcome, &[Header]),
        (there, other): (&Outcome, &[Header]),
        about: fn(String) -> About,
    ) {
        let names: BTreeSet<String> = one
            .iter()
            .chain(other)
            .map(|header| header.name.to_ascii_lowercase())
            .collect();
        // The framing has an entry of its own.
        let framing = ["content-length", "transfer-encoding"];
        for name in names
            .iter()
            .filter(|name| !framing.contains(&name.as_str()))
        {
            let (nginx, portway) = (values(here, one, name), values(there, other, name));
            self.note(about(name.clone()), nginx, portway);
        }
    }
}

/// The values of a header, one behind the other, without what differs by chance.
fn values(outcome: &Outcome, headers: &[Header], name: &str) -> String {
    let named = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case(name));
    let values: Vec<String> = named
        .map(|header| {
            // An id may have the digits of the port in it.
            let value = without_ids(&header.value);
            // Where everybody knows the port, nobody writes it.
            let value = outcome.port.map_or_else(
                || value.clone(),
                |port| {
                    let value = value.replace(&format!(":{port}"), "");
                    value.replace(&port.to_string(), "{port}")
                },
            );
            match name {
                "date" => "{date}".to_owned(),
                "connection" => format!("<{}>", value.to_ascii_lowercase()),
                _ => format!("<{value}>"),
            }
        })
        .collect();
    if values.is_empty() {
        return "absent".to_owned();
    }
    values.concat()
}

/// A value with `{id}` in the place of the id of a request.
fn without_ids(value: &str) -> String {
    let words = value.split('=').map(|word| {
        let is_id = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { "{id}" } else { word }
    });
    words.collect::<Vec<&str>>().join("=")
}

/// A body as clients take it: two encoders need not find the same bytes for it.
fn meant(answer: &Answer) -> Vec<u8> {
    let mut encoded = answer.headers.iter();
    let is_encoded = encoded.any(|header| {
        header.name.eq_ignore_ascii_case("content-encoding") && header.value == "gzip"
    });
    let mut decoded = Vec::new();
    let mut decoder = GzDecoder::new(answer.body.as_slice());
    // What an upstream only calls encoded stays as it is.
    match decoder.read_to_end(&mut decoded) {
        Ok(_) if is_encoded => decoded,
        Ok(_) | Err(_) => answer.body.clone(),
    }
}

fn lines(headers: &[Header]) -> String {
    let lines = headers.iter();
    let lines = lines.map(|header| format!("{}: {}", header.name, header.value));
    lines.collect::<Vec<String>>().join("; ")
}

/// A length is not shown: the body has one.
fn framing(framing: Framing) -> &'static str {
    match framing {
        Framing::Chunked => "chunked",
        Framing::Close => "until it closes",
        Framing::Length(_) => "length",
        Framing::None => "none",
    }
}

/// A body, shortened to where it can be told from others.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned();
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("{} bytes {:x} {text:?}", body.len(), hasher.finish())
}

const SHOWN: usize = 60;
