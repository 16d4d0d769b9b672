//! The format of what the disk store writes: sealed records and plain ends, a version byte in front.
//!
//! A record is `version | expiry | sealed CBOR`; CBOR lets a later version add fields. An end holds no
//! attributes and is not sealed: a lost key must not revive what was logged out.

use sha2::Digest;
use sha2::Sha256;

use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::EndCause;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::ports::end_log::End;
use crate::ports::end_log::Incarnation;
use crate::store::RecordSealer;

/// Why stored bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadRecordError {
    /// What was sealed is not a session, or not the one that it is stored under.
    #[error("the record does not hold its session")]
    Content,
    /// The seal does not open: the bytes changed, or the key is gone.
    #[error("the record does not open")]
    Seal,
    /// Fewer bytes than any record has.
    #[error("the record is too short")]
    Short,
    /// The version is not one that this release reads.
    #[error("the record has the unknown version {0}")]
    Version(u8),
}

/// Writes a record.
///
/// # Errors
/// When the session cannot be written as CBOR.
pub(super) fn write_session(
    session: &Session,
    sealer: &dyn RecordSealer,
) -> Result<Vec<u8>, ciborium::ser::Error<std::io::Error>> {
    let mut plain = Vec::with_capacity(PLAIN_BYTES_USUAL);
    ciborium::into_writer(session, &mut plain)?;
    let mut bytes = vec![RECORD_VERSION];
    bytes.extend_from_slice(&session.facts.expires.as_millis().to_be_bytes());
    bytes.extend_from_slice(&sealer.seal(&session.facts.sso, &plain));
    Ok(bytes)
}

/// Reads the record that is stored under `sso`.
///
/// # Errors
/// See [`ReadRecordError`]; nothing of the bytes may be used then.
pub(super) fn read_session(
    sso: &SsoId,
    bytes: &[u8],
    sealer: &dyn RecordSealer,
) -> Result<Session, ReadRecordError> {
    let (version, rest) = bytes.split_first().ok_or(ReadRecordError::Short)?;
    if *version != RECORD_VERSION {
        return Err(ReadRecordError::Version(*version));
    }
    let (_expires, sealed) = rest
        .split_first_chunk::<8>()
        .ok_or(ReadRecordError::Short)?;
    let plain = sealer.open(sso, sealed).ok_or(ReadRecordError::Seal)?;
    let session: Session =
        ciborium::from_reader(plain.as_slice()).map_err(|_| ReadRecordError::Content)?;
    if session.facts.sso == *sso {
        Ok(session)
    } else {
        Err(ReadRecordError::Content)
    }
}

/// When the session of a record expires, as its outside says: good for forgetting a record that does
/// not open, never for letting one serve.
pub(super) fn outer_expiry(bytes: &[u8]) -> Option<Timestamp> {
    let (version, rest) = bytes.split_first()?;
    let expires = rest.first_chunk::<8>()?;
    (*version == RECORD_VERSION).then(|| Timestamp::from_millis(u64::from_be_bytes(*expires)))
}

/// A short hash that says whose record it may be without opening it. It tells users apart, not who
/// they are: the incarnation makes it another one in every store.
pub(super) fn user_tag(incarnation: Incarnation, store: &StoreName, subject: &UserName) -> u64 {
    let hash = Sha256::new()
        .chain_update(incarnation.0)
        .chain_update(store.as_str())
        .chain_update([0])
        .chain_update(subject.as_str())
        .finalize();
    hash.iter()
        .take(8)
        .fold(0, |tag, byte| (tag << 8) | u64::from(*byte))
}

/// Writes an end.
pub(super) fn write_end(end: &End) -> Vec<u8> {
    match end {
        End::Tombstone {
            sso,
            cause,
            expires,
        } => {
            let mut bytes = vec![END_VERSION, TOMBSTONE, cause_code(*cause)];
            bytes.extend_from_slice(&expires.as_millis().to_be_bytes());
            bytes.extend_from_slice(sso.as_bytes());
            bytes
        }
        End::UserCutOff {
            store,
            subject,
            authenticated_before,
            expires,
        } => {
            let mut bytes = vec![END_VERSION, USER_CUT_OFF];
            bytes.extend_from_slice(&authenticated_before.as_millis().to_be_bytes());
            bytes.extend_from_slice(&expires.as_millis().to_be_bytes());
            bytes.extend_from_slice(store.as_str().as_bytes());
            // Neither kind of name holds a control character.
            bytes.push(0);
            bytes.extend_from_slice(subject.as_str().as_bytes());
            bytes
        }
    }
}

/// Reads an end; `None` when the bytes are not one.
pub(super) fn read_end(bytes: &[u8]) -> Option<End> {
    let ([version, kind], rest) = bytes.split_first_chunk::<2>()?;
    match (*version, *kind) {
        (END_VERSION, TOMBSTONE) => read_tombstone(rest),
        (END_VERSION, USER_CUT_OFF) => read_cut_off(rest),
        _ => None,
    }
}

fn read_tombstone(bytes: &[u8]) -> Option<End> {
    let (cause, rest) = bytes.split_first()?;
    let (expires, sso) = rest.split_first_chunk::<8>()?;
    Some(End::Tombstone {
        sso: SsoId::from_bytes(sso.try_into().ok()?),
        cause: CAUSES.get(usize::from(*cause)).copied()?,
        expires: Timestamp::from_millis(u64::from_be_bytes(*expires)),
    })
}

fn read_cut_off(bytes: &[u8]) -> Option<End> {
    let (before, rest) = bytes.split_first_chunk::<8>()?;
    let (expires, names) = rest.split_first_chunk::<8>()?;
    let (store, subject) = std::str::from_utf8(names).ok()?.split_once('\0')?;
    Some(End::UserCutOff {
        store: StoreName::parse(store).ok()?,
        subject: UserName::parse(subject).ok()?,
        authenticated_before: Timestamp::from_millis(u64::from_be_bytes(*before)),
        expires: Timestamp::from_millis(u64::from_be_bytes(*expires)),
    })
}

const RECORD_VERSION: u8 = 1;
const END_VERSION: u8 = 1;
const TOMBSTONE: u8 = 0;
const USER_CUT_OFF: u8 = 1;

/// Saves most records from growing their buffer step by step.
const PLAIN_BYTES_USUAL: usize = 1024;

/// The causes in the order of their codes; a code, once given, stays.
const CAUSES: [EndCause; 5] = [
    EndCause::Disabled,
    EndCause::Evicted,
    EndCause::Killed,
    EndCause::LoggedOut,
    EndCause::Replaced,
];

const fn cause_code(cause: EndCause) -> u8 {
    match cause {
        EndCause::Disabled => 0,
        EndCause::Evicted => 1,
        EndCause::Killed => 2,
        EndCause::LoggedOut => 3,
        EndCause::Replaced => 4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::*;

    #[test]
    fn every_end_is_read_as_it_was_written() {
        for cause in CAUSES {
            let sso = SsoId::from_bytes([7; 16]);
            let end = End::Tombstone {
                sso,
                cause,
                expires: Timestamp::from_millis(12),
            };
            assert_eq!(read_end(&write_end(&end)), Some(end));
        }
        let end = End::UserCutOff {
            store: StoreName::parse("staff").unwrap(),
            subject: UserName::parse("Jörg (sales)").unwrap(),
            authenticated_before: Timestamp::from_millis(u64::MAX),
            expires: Timestamp::from_millis(3),
        };
        assert_eq!(read_end(&write_end(&end)), Some(end));
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in vec(any::<u8>(), 0..200), version in 0_u8..3) {
            let mut record = vec![version];
            record.extend_from_slice(&bytes);
            for bytes in [&bytes, &record] {
                let sso = SsoId::from_bytes([0; 16]);
                assert!(read_session(&sso, bytes, &Plain).is_err());
                drop(read_end(bytes));
                outer_expiry(bytes);
            }
        }
    }

    struct Plain;

    impl RecordSealer for Plain {
        fn seal(&self, _sso: &SsoId, plain: &[u8]) -> Vec<u8> {
            plain.to_vec()
        }

        fn open(&self, _sso: &SsoId, sealed: &[u8]) -> Option<Vec<u8>> {
            Some(sealed.to_vec())
        }
    }
}
