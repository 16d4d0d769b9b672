//! Answers of upstreams, compressed on their way to the client.
//!
//! Which ones, and how, is `decision::compression`'s matter; here heads are changed and bodies encoded. Each piece of
//! a body is passed on whole as it comes: an encoder that waited for more would hold up whoever waits for what an
//! application has said so far. Deliberately absent: Portway's own pages, which stay plain, for what they hold of a
//! client's words stands beside secrets.

use std::io;
use std::io::Write;
use std::sync::Arc;

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::StatusCode;
use http::Version;
use http::header;
use parking_lot::Mutex;
use pingora::Error;
use pingora::ErrorType;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use tokio::sync::OwnedSemaphorePermit;
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::decision::compression::Asked;
use crate::decision::compression::Coding;
use crate::decision::compression::Verdict;
use crate::decision::compression::known_as;
use crate::decision::compression::weakened;
use crate::proxy::context::RequestContext;
use crate::proxy::hollow;

/// An answer that is being compressed.
pub struct Compressor {
    encoder: Encoder,
    _place: OwnedSemaphorePermit,
}

/// The coding with what has not been passed on yet.
enum Encoder {
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
    // It cannot be shared as it is; nobody ever waits for it.
    Zstd(Mutex<ZstdEncoder<'static, Vec<u8>>>),
}

/// Readies the head of an answer, and the encoder where its body is to be compressed. Comes after the rules of the
/// route, which may say what an answer is.
///
/// # Errors
/// When a header cannot be set.
pub(super) fn begin(
    session: &mut Session,
    head: &mut ResponseHeader,
    ctx: &mut RequestContext,
) -> pingora::Result<()> {
    let admitted = ctx.admitted.as_deref();
    let Some(wanted) = admitted.and_then(|at| at.route.config.compression.as_deref()) else {
        return Ok(());
    };
    let request = session.req_header();
    if head.status == StatusCode::NOT_MODIFIED {
        let tag = head.headers.get(header::ETAG);
        if let Some(known) = tag.and_then(|tag| known_as(&request.headers, tag)) {
            head.insert_header(header::ETAG, known)?;
        }
        // As on the answer itself (RFC 9110 §15.4.5).
        return vary(head);
    }
    let asked = Asked {
        method: &request.method,
        version: request.version,
        headers: &request.headers,
    };
    let coding = match wanted.judge(&asked, head.status, &head.headers) {
        Verdict::Plain => return Ok(()),
        Verdict::PlainForNow => return vary(head),
        Verdict::Coded(coding) => coding,
    };
    vary(head)?;
    let place = Arc::clone(&ctx.serving.compressing).try_acquire_owned();
    let (Ok(place), Ok(encoder)) = (place, Encoder::new(coding, wanted.level)) else {
        return Ok(());
    };
    ctx.compressor = Some(Box::new(Compressor {
        encoder,
        _place: place,
    }));
    // Of others the length has told by now that there is a body; HTTP/1.1 has no head that is all without one.
    if head.version == Version::HTTP_2 && !head.headers.contains_key(header::CONTENT_LENGTH) {
        hollow::mend_if_empty(session);
    }
    announce(head, coding)
}

/// Encodes a piece of an answer's body, if it is compressed; `end` with the last one.
///
/// # Errors
/// When the encoder gives up, which breaks the answer off.
pub(super) fn encode(
    ctx: &mut RequestContext,
    body: &mut Option<Bytes>,
    end: bool,
) -> pingora::Result<()> {
    if ctx.compressor.is_none() {
        return Ok(());
    }
    let piece = body.take().unwrap_or_default();
    let coded = if end {
        match ctx.compressor.take() {
            Some(compressor) => compressor.encoder.end(&piece),
            None => Ok(Bytes::new()),
        }
    } else {
        match &mut ctx.compressor {
            Some(compressor) if !piece.is_empty() => compressor.encoder.pass(&piece),
            _ => Ok(Bytes::new()),
        }
    };
    let coded = coded.map_err(broken)?;
    // An empty piece would be taken for the end of the body.
    *body = Some(coded).filter(|coded| !coded.is_empty());
    Ok(())
}

/// Ends an answer whose upstream lets trailers follow: they give way to the end of the body, which only an HTTP/2
/// client could have seen more than.
///
/// # Errors
/// As for [`encode`].
pub(super) fn end_at_trailers(ctx: &mut RequestContext) -> pingora::Result<Option<Bytes>> {
    let mut rest = None;
    encode(ctx, &mut rest, true)?;
    Ok(rest)
}

impl Encoder {
    fn new(coding: Coding, level: u8) -> io::Result<Self> {
        let level = u32::from(level);
        Ok(match coding {
            Coding::Brotli => {
                let writer = CompressorWriter::new(Vec::new(), BUFFER_BYTES, level, WINDOW_BITS);
                Self::Brotli(Box::new(writer))
            }
            Coding::Gzip => {
                let level = flate2::Compression::new(level);
                Self::Gzip(GzEncoder::new(Vec::new(), level))
            }
            Coding::Zstd => {
                let level = i32::try_from(level).unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
                let mut encoder = ZstdEncoder::new(Vec::new(), level)?;
                encoder.window_log(WINDOW_BITS)?;
                Self::Zstd(Mutex::new(encoder))
            }
        })
    }

    /// Encodes a piece so that all of it can be decoded.
    fn pass(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        let coded = match self {
            Self::Brotli(writer) => {
                writer.write_all(piece)?;
                writer.flush()?;
                writer.get_mut()
            }
            Self::Gzip(writer) => {
                writer.write_all(piece)?;
                writer.flush()?;
                writer.get_mut()
            }
            Self::Zstd(writer) => {
                let writer = writer.get_mut();
                writer.write_all(piece)?;
                writer.flush()?;
                writer.get_mut()
            }
        };
        Ok(Bytes::from(std::mem::take(coded)))
    }

    /// Encodes the last piece, and ends.
    fn end(self, piece: &[u8]) -> io::Result<Bytes> {
        let coded = match self {
            Self::Brotli(mut writer) => {
                writer.write_all(piece)?;
                writer.into_inner()
            }
            Self::Gzip(mut writer) => {
                writer.write_all(piece)?;
                writer.finish()?
            }
            Self::Zstd(writer) => {
                let mut writer = writer.into_inner();
                writer.write_all(piece)?;
                writer.finish()?
            }
        };
        Ok(Bytes::from(coded))
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// Says that an answer depends on what its client takes.
fn vary(head: &mut ResponseHeader) -> pingora::Result<()> {
    let lines = head.headers.get_all(header::VARY).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let mut names = lines.flat_map(|line| line.split(',')).map(str::trim);
    let covers = |name: &str| name == "*" || name.eq_ignore_ascii_case("accept-encoding");
    if !names.any(covers) {
        head.append_header(header::VARY, ACCEPT_ENCODING)?;
    }
    Ok(())
}

/// Says how an answer is encoded, and takes away what was true of it before only. Its length shows at its end.
fn announce(head: &mut ResponseHeader, coding: Coding) -> pingora::Result<()> {
    head.remove_header(&header::CONTENT_LENGTH);
    head.remove_header(&header::ACCEPT_RANGES);
    head.insert_header(header::CONTENT_ENCODING, coding.as_str())?;
    match head.headers.get(header::ETAG).map(weakened) {
        Some(Some(weak)) => head.insert_header(header::ETAG, weak)?,
        Some(None) => {
            head.remove_header(&header::ETAG);
        }
        None => {}
    }
    if head.version != Version::HTTP_2 {
        // An upstream of HTTP/1.0 ends its answers otherwise.
        head.set_version(Version::HTTP_11);
    }
    head.insert_header(header::TRANSFER_ENCODING, "chunked")
}

fn broken(error: io::Error) -> Box<Error> {
    Error::because(
        ErrorType::InternalError,
        "an answer could not be compressed",
        error,
    )
}

/// So many answers are compressed at the same time; further ones stay as they are. Each takes up to some 2 MiB.
pub(super) const COMPRESSED_MAX: usize = 256;
/// How far back repetitions are looked for, as a power of two, in bytes: more takes memory for each answer.
const WINDOW_BITS: u32 = 18;
const BUFFER_BYTES: usize = 4096;
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("Accept-Encoding");

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::collection::vec;
    use proptest::prelude::Strategy;
    use proptest::prelude::any;
    use proptest::prelude::prop_oneof;
    use proptest::proptest;

    use super::*;

    const ALL: [Coding; 3] = [Coding::Brotli, Coding::Gzip, Coding::Zstd];

    /// What can be decoded of what has come so far.
    fn decoded(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut buffer = [0; 1 << 12];
        let mut reader: Box<dyn Read> = match coding {
            Coding::Brotli => Box::new(brotli::Decompressor::new(coded, 4096)),
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(coded)),
            Coding::Zstd => Box::new(zstd::Decoder::new(coded).unwrap()),
        };
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            out.extend_from_slice(&buffer[..count]);
        }
        out
    }

    /// Bytes with much to save, and with nothing.
    fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let dull = (any::<u8>(), 0..70_000_usize).prop_map(|(byte, count)| vec![byte; count]);
        vec(prop_oneof![vec(any::<u8>(), 0..3000), dull], 0..6)
    }

    proptest! {
        #[test]
        fn whatever_its_pieces_an_answer_is_decoded_to_the_same_bytes(
            pieces in pieces(),
            level in 1_u8..=9,
        ) {
            for coding in ALL {
                let mut encoder = Encoder::new(coding, level).unwrap();
                let mut coded = Vec::new();
                let (last, first) = pieces.split_last().map_or((&[][..], &[][..]), |(last, first)| {
                    (last.as_slice(), first)
                });
                let mut sent = Vec::new();
                for piece in first {
                    coded.extend_from_slice(&encoder.pass(piece).unwrap());
                    sent.extend_from_slice(piece);
                    assert_eq!(decoded(coding, &coded), sent, "{coding:?}: a piece is held back");
                }
                coded.extend_from_slice(&encoder.end(last).unwrap());
                sent.extend_from_slice(last);
                assert_eq!(decoded(coding, &coded), sent, "{coding:?}");
            }
        }
    }

    #[test]
    fn what_repeats_itself_becomes_shorter_at_every_level() {
        let page = "<li>one more line of a page</li>\n".repeat(2000);
        for coding in ALL {
            for level in 1..=9 {
                let encoder = Encoder::new(coding, level).unwrap();
                let coded = encoder.end(page.as_bytes()).unwrap();
                let is_short = coded.len() * 20 < page.len();
                assert!(is_short, "{coding:?} {level}: {}", coded.len());
            }
        }
    }
}
