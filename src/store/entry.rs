//! The format of what the disk store keeps beside its records: ends, and how far peers were read.
//!
//! An end holds no attributes and is not sealed: a lost key must not revive what was logged out. Each
//! begins with a version byte; numbers are big-endian.

use crate::model::end::End;
use crate::model::end::Incarnation;
use crate::model::end::Position;
use crate::model::end::Pulled;
use crate::model::id::ProviderSessionId;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::EndCause;
use crate::model::session::Generation;
use crate::model::session::Rank;
use crate::model::time::Timestamp;

/// Writes an end.
pub(super) fn write_end(end: &End) -> Vec<u8> {
    match end {
        End::Tombstone {
            sso,
            cause,
            expires,
        } => [
            &[END_VERSION, TOMBSTONE, cause_code(*cause)],
            time(*expires).as_slice(),
            sso.as_bytes(),
        ]
        .concat(),
        End::Moved {
            sso,
            holder,
            expires,
        } => [
            &[END_VERSION, MOVED],
            time(*expires).as_slice(),
            sso.as_bytes(),
            &holder.generation.0.to_be_bytes(),
            holder.cluster.as_str().as_bytes(),
        ]
        .concat(),
        End::UserCutOff {
            store,
            subject,
            authenticated_before,
            expires,
        } => [
            &[END_VERSION, USER_CUT_OFF],
            time(*authenticated_before).as_slice(),
            time(*expires).as_slice(),
            store.as_str().as_bytes(),
            // Neither kind of name holds a control character.
            &[0],
            subject.as_str().as_bytes(),
        ]
        .concat(),
        End::ProviderCutOff { session, expires } => [
            &[END_VERSION, PROVIDER_CUT_OFF],
            time(*expires).as_slice(),
            session.as_bytes(),
        ]
        .concat(),
    }
}

/// Reads an end; `None` when the bytes are not one.
pub(super) fn read_end(bytes: &[u8]) -> Option<End> {
    let ([version, kind], rest) = bytes.split_first_chunk::<2>()?;
    match (*version, *kind) {
        (END_VERSION, TOMBSTONE) => read_tombstone(rest),
        (END_VERSION, MOVED) => read_move(rest),
        (END_VERSION, USER_CUT_OFF) => read_user_cut_off(rest),
        (END_VERSION, PROVIDER_CUT_OFF) => read_provider_cut_off(rest),
        _ => None,
    }
}

/// Writes how far the log of a peer was read.
pub(super) fn write_pulled(pulled: &Pulled) -> Vec<u8> {
    [
        &[PULLED_VERSION],
        pulled.incarnation.0.as_slice(),
        &pulled.position.0.to_be_bytes(),
        &time(pulled.sent),
    ]
    .concat()
}

/// Reads how far the log of a peer was read; `None` when the bytes do not say it, and the log is read
/// from its beginning then.
pub(super) fn read_pulled(bytes: &[u8]) -> Option<Pulled> {
    let ([version], rest) = bytes.split_first_chunk::<1>()?;
    let (incarnation, rest) = rest.split_first_chunk::<16>()?;
    let (position, rest) = rest.split_first_chunk::<8>()?;
    let pulled = Pulled {
        incarnation: Incarnation(*incarnation),
        position: Position(u64::from_be_bytes(*position)),
        sent: at(rest.try_into().ok()?),
    };
    (*version == PULLED_VERSION).then_some(pulled)
}

fn read_tombstone(bytes: &[u8]) -> Option<End> {
    let (cause, rest) = bytes.split_first()?;
    let (expires, sso) = rest.split_first_chunk::<8>()?;
    Some(End::Tombstone {
        sso: SsoId::from_bytes(sso.try_into().ok()?),
        cause: CAUSES.get(usize::from(*cause)).copied()?,
        expires: at(*expires),
    })
}

fn read_move(bytes: &[u8]) -> Option<End> {
    let (expires, rest) = bytes.split_first_chunk::<8>()?;
    let (sso, rest) = rest.split_first_chunk::<16>()?;
    let (generation, cluster) = rest.split_first_chunk::<4>()?;
    let holder = Rank {
        generation: Generation(u32::from_be_bytes(*generation)),
        cluster: ClusterId::parse(std::str::from_utf8(cluster).ok()?).ok()?,
    };
    Some(End::Moved {
        sso: SsoId::from_bytes(*sso),
        holder,
        expires: at(*expires),
    })
}

fn read_user_cut_off(bytes: &[u8]) -> Option<End> {
    let (before, rest) = bytes.split_first_chunk::<8>()?;
    let (expires, names) = rest.split_first_chunk::<8>()?;
    let (store, subject) = std::str::from_utf8(names).ok()?.split_once('\0')?;
    Some(End::UserCutOff {
        store: StoreName::parse(store).ok()?,
        subject: UserName::parse(subject).ok()?,
        authenticated_before: at(*before),
        expires: at(*expires),
    })
}

fn read_provider_cut_off(bytes: &[u8]) -> Option<End> {
    let (expires, session) = bytes.split_first_chunk::<8>()?;
    Some(End::ProviderCutOff {
        session: ProviderSessionId::from_bytes(session.try_into().ok()?),
        expires: at(*expires),
    })
}

const fn time(timestamp: Timestamp) -> [u8; 8] {
    timestamp.as_millis().to_be_bytes()
}

const fn at(bytes: [u8; 8]) -> Timestamp {
    Timestamp::from_millis(u64::from_be_bytes(bytes))
}

const END_VERSION: u8 = 1;
const PULLED_VERSION: u8 = 1;

/// The kinds of ends; a code, once given, stays.
const TOMBSTONE: u8 = 0;
const USER_CUT_OFF: u8 = 1;
const MOVED: u8 = 2;
const PROVIDER_CUT_OFF: u8 = 3;

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
        let sso = SsoId::from_bytes([7; 16]);
        let expires = Timestamp::from_millis(12);
        let tombstones = CAUSES.map(|cause| End::Tombstone {
            sso,
            cause,
            expires,
        });
        let others = [
            End::Moved {
                sso,
                holder: Rank {
                    generation: Generation(u32::MAX),
                    cluster: ClusterId::parse("north-1").unwrap(),
                },
                expires,
            },
            End::UserCutOff {
                store: StoreName::parse("staff").unwrap(),
                subject: UserName::parse("Jörg (sales)").unwrap(),
                authenticated_before: Timestamp::from_millis(u64::MAX),
                expires,
            },
            End::ProviderCutOff {
                session: ProviderSessionId::of("https://idp.example.test", "7"),
                expires,
            },
        ];
        for end in tombstones.into_iter().chain(others) {
            assert_eq!(read_end(&write_end(&end)), Some(end));
        }
    }

    #[test]
    fn ends_of_the_first_release_are_read() {
        let tombstone = [[1, 0, 3].as_slice(), &[0, 0, 0, 0, 0, 0, 0, 12], &[7; 16]].concat();
        let end = End::Tombstone {
            sso: SsoId::from_bytes([7; 16]),
            cause: EndCause::LoggedOut,
            expires: Timestamp::from_millis(12),
        };
        assert_eq!(read_end(&tombstone), Some(end));
        let cut_off = [
            [1, 1].as_slice(),
            &[0, 0, 0, 0, 0, 0, 0, 5],
            &[0, 0, 0, 0, 0, 0, 0, 12],
            b"staff\0alice",
        ]
        .concat();
        let end = End::UserCutOff {
            store: StoreName::parse("staff").unwrap(),
            subject: UserName::parse("alice").unwrap(),
            authenticated_before: Timestamp::from_millis(5),
            expires: Timestamp::from_millis(12),
        };
        assert_eq!(read_end(&cut_off), Some(end));
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_anything_else_is_none() {
        let pulled = Pulled {
            incarnation: Incarnation([3; 16]),
            position: Position(77),
            sent: Timestamp::from_millis(u64::MAX),
        };
        let bytes = write_pulled(&pulled);
        assert_eq!(read_pulled(&bytes), Some(pulled));
        for length in 0..bytes.len() {
            assert_eq!(read_pulled(&bytes[..length]), None);
        }
        assert_eq!(read_pulled(&[bytes.as_slice(), &[0]].concat()), None);
        assert_eq!(read_pulled(&[&[2], &bytes[1..]].concat()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in vec(any::<u8>(), 0..200), kind in 0_u8..5) {
            let mut end = vec![END_VERSION, kind];
            end.extend_from_slice(&bytes);
            for bytes in [&bytes, &end] {
                drop(read_end(bytes));
                read_pulled(bytes);
            }
        }
    }
}
