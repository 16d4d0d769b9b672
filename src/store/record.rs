//! The format of the records that the disk store writes: `version | expiry | sealed CBOR`.
//!
//! CBOR lets a field be added that older records lack; what changes its shape takes a new version, and
//! [`version_1`] shows how an older one is read. Ends are not sealed; `entry` has them.

use sha2::Digest;
use sha2::Sha256;

use crate::model::end::Incarnation;
use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::store::RecordSealer;

pub(super) mod version_1;

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
    let version = *version;
    if !READ_VERSIONS.contains(&version) {
        return Err(ReadRecordError::Version(version));
    }
    let (_expires, sealed) = rest
        .split_first_chunk::<8>()
        .ok_or(ReadRecordError::Short)?;
    let plain = sealer.open(sso, sealed).ok_or(ReadRecordError::Seal)?;
    let session = match version {
        1 => ciborium::from_reader(plain.as_slice()).map(version_1::Record::migrate),
        _ => ciborium::from_reader(plain.as_slice()),
    }
    .map_err(|_| ReadRecordError::Content)?;
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
    READ_VERSIONS
        .contains(version)
        .then(|| Timestamp::from_millis(u64::from_be_bytes(*expires)))
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

const RECORD_VERSION: u8 = 2;
/// What stands around the seal is the same in all of these.
const READ_VERSIONS: std::ops::RangeInclusive<u8> = 1..=RECORD_VERSION;
/// Saves most records from growing their buffer step by step.
const PLAIN_BYTES_USUAL: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::*;
    use crate::model::id::AdoptionId;
    use crate::model::id::ProviderSessionId;
    use crate::model::id::SessionId;
    use crate::model::identity::AuthLevel;
    use crate::model::identity::Identity;
    use crate::model::name::ClusterId;
    use crate::model::name::HostName;
    use crate::model::peer::Data;
    use crate::model::session::Attributes;
    use crate::model::session::Generation;
    use crate::model::session::Holder;
    use crate::model::session::Release;
    use crate::model::session::Reservation;
    use crate::model::session::SessionState;
    use crate::model::session::SsoFacts;

    #[test]
    fn a_record_is_read_as_it_was_written_in_every_state() {
        let states = [
            SessionState::Ended,
            SessionState::Live,
            SessionState::Moved {
                to: north(),
                generation: Generation(2),
                adoption: Some(AdoptionId::from_bytes([4; 16])),
            },
            SessionState::Pending(Release {
                adoption: AdoptionId::from_bytes([4; 16]),
                from: north(),
                generation: Generation(2),
                version: 9,
            }),
        ];
        for state in states {
            let session = Session {
                state,
                held_since: at(120),
                reserved: Some(Reservation {
                    adoption: AdoptionId::from_bytes([5; 16]),
                    by: north(),
                    until: at(130),
                    version: 9,
                    data: Data::All,
                }),
                provider_session: Some(ProviderSessionId::of("https://idp.example.test", "7")),
                attributes: Attributes::Unknown,
                ..standing()
            };
            let bytes = write_session(&session, &Summed).unwrap();
            assert_eq!(read_session(&sso(), &bytes, &Summed), Ok(session));
            assert_eq!(outer_expiry(&bytes), Some(at(10_000)));
        }
    }

    #[test]
    fn a_record_of_the_first_release_is_read() {
        let bytes = version_1::example::live();
        assert_eq!(read_session(&sso(), &bytes, &Summed), Ok(standing()));
        assert_eq!(outer_expiry(&bytes), Some(at(10_000)));
        let moved = Session {
            state: SessionState::Moved {
                to: north(),
                generation: Generation(2),
                adoption: None,
            },
            ..standing()
        };
        assert_eq!(
            read_session(&sso(), &version_1::example::moved(), &Summed),
            Ok(moved)
        );
    }

    #[test]
    fn a_record_of_a_later_release_is_refused() {
        let mut bytes = write_session(&standing(), &Summed).unwrap();
        bytes[0] = RECORD_VERSION + 1;
        let newer = ReadRecordError::Version(RECORD_VERSION + 1);
        assert_eq!(read_session(&sso(), &bytes, &Summed), Err(newer));
        assert_eq!(outer_expiry(&bytes), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in vec(any::<u8>(), 0..200), version in 0_u8..4) {
            let mut record = vec![version];
            record.extend_from_slice(&bytes);
            for bytes in [&bytes, &record] {
                let sso = SsoId::from_bytes([0; 16]);
                assert!(read_session(&sso, bytes, &Plain).is_err());
                outer_expiry(bytes);
            }
        }
    }

    fn standing() -> Session {
        Session {
            id: SessionId::from_bytes([1; 16]),
            facts: SsoFacts {
                sso: sso(),
                subject: UserName::parse("alice").unwrap(),
                store: StoreName::parse("staff").unwrap(),
                first_authenticated: at(100),
                expires: at(10_000),
                generation: Generation(0),
                level: AuthLevel::MAX,
                level_reached: at(100),
            },
            state: SessionState::Live,
            identity: Identity {
                store: StoreName::parse("staff").unwrap(),
                subject: UserName::parse("alice").unwrap(),
                name: None,
                email: Some("alice@example.test".into()),
                groups: Vec::new(),
                attributes: Default::default(),
            },
            last_access: at(100),
            client_address: std::net::Ipv4Addr::LOCALHOST.into(),
            held_since: at(100),
            reserved: None,
            provider_session: None,
            attributes: Attributes::Known,
            noted: Some(Default::default()),
            aliases: vec![Holder {
                cluster: north(),
                session: SessionId::from_bytes([8; 16]),
            }],
            visited: vec![HostName::parse("app.example.test").unwrap()],
            version: 5,
        }
    }

    fn north() -> ClusterId {
        ClusterId::parse("north").unwrap()
    }

    fn sso() -> SsoId {
        SsoId::from_bytes([1; 16])
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Puts a checksum in front.
    struct Summed;

    impl RecordSealer for Summed {
        fn seal(&self, _sso: &SsoId, plain: &[u8]) -> Vec<u8> {
            let sum = plain.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            [&[sum], plain].concat()
        }

        fn open(&self, sso: &SsoId, sealed: &[u8]) -> Option<Vec<u8>> {
            let plain = sealed.get(1..)?.to_vec();
            (self.seal(sso, &plain) == sealed).then_some(plain)
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
