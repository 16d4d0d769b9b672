//! The messages of the back-channel as bytes: the only place where bytes of a peer become types.
//!
//! A message is one CBOR map, the envelope, whose `body` is a question or an answer. A field that is not
//! known is passed over, so that releases can differ; a verb that is not known is told apart from bytes
//! that make no sense. Every list and text has a bound (`bounds`). Who may say what is decided elsewhere.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::Deserializer;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;

pub(super) use self::code::Code;
use crate::crypto::peer_proof::PROOF_BYTES;
use crate::crypto::pki::node_name::NodeName;
use crate::model::time::Timestamp;

pub(super) mod bounds;
mod code;
#[cfg(test)]
mod tests;

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    /// They are not what was asked for.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// They are a question or an answer that this release does not know.
    #[error("the message says {0:?}, which is not known here")]
    UnknownVerb(String),
    /// They are written in a later language.
    #[error("the message has version {0}")]
    Version(u16),
    /// A list or text in them is longer than anything honest is.
    #[error("the {0} of the message break their bound")]
    Bound(&'static str),
}

/// What may stand in an envelope.
pub(super) trait Body: Serialize + DeserializeOwned {
    /// The names that a body can have.
    const VERBS: &'static [&'static str];

    /// Makes sure that what was read keeps its bounds.
    fn check(&self) -> Result<(), WireError>;
}

/// What an envelope says besides its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letterhead {
    /// Who says it.
    pub(super) from: NodeName,
    /// To whom.
    pub(super) to: NodeName,
    /// When, by the sender's clock.
    pub(super) sent: Timestamp,
    /// How long the sender waits for an answer, by its clock.
    pub(super) valid_until: Timestamp,
}

/// Writes a message.
///
/// # Errors
/// When the body cannot be written as CBOR.
pub(super) fn enclose<B: Body>(head: &Letterhead, body: &B) -> Result<Vec<u8>, WireError> {
    write(&EnvelopeOut {
        version: VERSION,
        from: head.from.to_string(),
        to: head.to.to_string(),
        sent: head.sent,
        valid_until: head.valid_until,
        body,
    })
}

/// Reads what a message says besides its body.
///
/// # Errors
/// When it has none, or is of another version.
pub(super) fn letterhead(bytes: &[u8]) -> Result<Letterhead, WireError> {
    let head: HeadIn = read(bytes)?;
    is_ours(head.version)?;
    Ok(Letterhead {
        from: node(&head.from)?,
        to: node(&head.to)?,
        sent: head.sent,
        valid_until: head.valid_until,
    })
}

/// Reads the body of a message.
///
/// # Errors
/// See [`WireError`].
pub(super) fn body<B: Body>(bytes: &[u8]) -> Result<B, WireError> {
    let read_body: Result<BodyIn<B>, WireError> = read(bytes);
    let body = read_body.map_err(|error| unknown_verb::<B>(bytes).unwrap_or(error))?;
    body.body.check()?;
    Ok(body.body)
}

/// The first words on a connection: each end says who it is and whom it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    /// Who says it.
    pub(super) from: NodeName,
    /// To whom.
    pub(super) to: NodeName,
    /// A fresh nonce, without TLS.
    pub(super) nonce: Option<[u8; PROOF_BYTES]>,
}

impl Opening {
    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written as CBOR.
    pub(super) fn enclose(&self) -> Result<Vec<u8>, WireError> {
        write(&OpeningWire {
            version: VERSION,
            from: self.from.to_string(),
            to: self.to.to_string(),
            nonce: self.nonce,
        })
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let opening: OpeningWire = read(bytes)?;
        is_ours(opening.version)?;
        Ok(Self {
            from: node(&opening.from)?,
            to: node(&opening.to)?,
            nonce: opening.nonce,
        })
    }
}

/// Writes a proof.
///
/// # Errors
/// When it cannot be written as CBOR.
pub(super) fn enclose_proof(proof: [u8; PROOF_BYTES]) -> Result<Vec<u8>, WireError> {
    write(&ProofWire { proof })
}

/// Reads a proof.
///
/// # Errors
/// When the bytes are something else.
pub(super) fn read_proof(bytes: &[u8]) -> Result<[u8; PROOF_BYTES], WireError> {
    read::<ProofWire>(bytes).map(|wire| wire.proof)
}

/// Writes why nothing else is said.
pub(super) fn enclose_code(code: Code) -> Vec<u8> {
    let code = code.as_str().to_owned();
    write(&CodeWire { code }).unwrap_or_default()
}

/// Reads why nothing else is said.
pub(super) fn read_code(bytes: &[u8]) -> Code {
    let code = read::<CodeWire>(bytes).map(|wire| Code::parse(&wire.code));
    code.unwrap_or(Code::Other)
}

/// The number and signature of a message without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// Its number on the connection.
    pub(super) counter: u64,
    /// The signature over it.
    pub(super) tag: [u8; PROOF_BYTES],
}

impl Signature {
    /// Writes it into headers.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let tag = HeaderValue::from_str(&URL_SAFE_NO_PAD.encode(self.tag));
        if let Ok(tag) = tag {
            headers.insert(SIGNATURE, tag);
        }
        headers.insert(COUNTER, HeaderValue::from(self.counter));
    }

    /// Reads it from headers; none if there is no whole one, or more than one.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let only = |name: &HeaderName| {
            let mut values = headers.get_all(name).iter();
            let first = values.next()?.to_str().ok()?;
            values.next().is_none().then_some(first)
        };
        let tag = URL_SAFE_NO_PAD.decode(only(&SIGNATURE)?).ok()?;
        Some(Self {
            counter: only(&COUNTER)?.parse().ok()?,
            tag: tag.try_into().ok()?,
        })
    }
}

#[derive(Serialize)]
struct EnvelopeOut<'a, B> {
    version: u16,
    from: String,
    to: String,
    sent: Timestamp,
    valid_until: Timestamp,
    body: &'a B,
}

#[derive(Deserialize)]
struct HeadIn {
    version: u16,
    from: String,
    to: String,
    sent: Timestamp,
    valid_until: Timestamp,
}

#[derive(Deserialize)]
struct BodyIn<B> {
    body: B,
}

#[derive(Serialize, Deserialize)]
struct OpeningWire {
    version: u16,
    from: String,
    to: String,
    #[serde(default)]
    nonce: Option<[u8; PROOF_BYTES]>,
}

#[derive(Serialize, Deserialize)]
struct ProofWire {
    proof: [u8; PROOF_BYTES],
}

#[derive(Serialize, Deserialize)]
struct CodeWire {
    code: String,
}

/// The name of a question or answer: a text, or the only key of a map.
struct Verb(String);

impl<'de> Deserialize<'de> for Verb {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(VerbVisitor)
    }
}

struct VerbVisitor;

impl<'de> Visitor<'de> for VerbVisitor {
    type Value = Verb;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a verb")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Verb, E> {
        Ok(Verb(text.chars().take(VERB_CHARS_SHOWN).collect()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Verb, A::Error> {
        let key: Option<String> = map.next_key()?;
        let key = key.ok_or_else(|| serde::de::Error::custom("an empty map"))?;
        map.next_value::<IgnoredAny>()?;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.visit_str(&key)
    }
}

/// Whether a body that could not be read is a verb of a later release.
fn unknown_verb<B: Body>(bytes: &[u8]) -> Option<WireError> {
    let verb: BodyIn<Verb> = read(bytes).ok()?;
    let Verb(name) = verb.body;
    (!B::VERBS.contains(&name.as_str())).then_some(WireError::UnknownVerb(name))
}

fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::with_capacity(BYTES_USUAL);
    ciborium::into_writer(value, &mut bytes)
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    Ok(bytes)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH_MAX)
        .map_err(|error| WireError::Malformed(shown(&error)))?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(WireError::Malformed("trailing bytes".to_owned()))
    }
}

/// As much of an error as belongs in a log line: it may quote what the other end sent.
fn shown(error: &dyn fmt::Display) -> String {
    error.to_string().chars().take(ERROR_CHARS_SHOWN).collect()
}

const fn is_ours(version: u16) -> Result<(), WireError> {
    if version == VERSION {
        Ok(())
    } else {
        Err(WireError::Version(version))
    }
}

fn node(uri: &str) -> Result<NodeName, WireError> {
    NodeName::parse(uri).ok_or_else(|| WireError::Malformed("not the name of a node".to_owned()))
}

/// The language that is spoken.
const VERSION: u16 = 1;
/// What every body is, questions and answers alike.
pub(super) const MEDIA_TYPE: &str = "application/vnd.portway.back-channel.v1+cbor";
/// Where a connection is opened.
pub(super) const OPEN_PATH: &str = "/portway/1/open";
/// Where a password is proven, without TLS.
pub(super) const PROVE_PATH: &str = "/portway/1/prove";
/// Where peers ask.
pub(super) const ASK_PATH: &str = "/portway/1/ask";
/// Where gates without an engine ask.
pub(super) const GATE_PATH: &str = "/portway/1/gate";
/// Largest question, in bytes.
pub(super) const QUESTION_BYTES_MAX: usize = 1 << 20;
/// Largest answer, in bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Largest message of somebody who has proven nothing yet, in bytes.
pub(super) const OPENING_BYTES_MAX: usize = 1 << 10;

const COUNTER: HeaderName = HeaderName::from_static("portway-counter");
const SIGNATURE: HeaderName = HeaderName::from_static("portway-signature");
/// Deepest nesting; our own messages stay below a third of it.
const DEPTH_MAX: usize = 32;
/// As much of a foreign word as is put into a log line.
const VERB_CHARS_SHOWN: usize = 32;
const ERROR_CHARS_SHOWN: usize = 160;
const BYTES_USUAL: usize = 512;
