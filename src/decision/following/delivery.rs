//! The batches in which ends are pushed to a peer: each said once, none too long (S-15).
//!
//! A push is only the quick way. What it loses, the peer reads from the log.

use std::collections::HashMap;

use crate::model::end::End;
use crate::model::id::ProviderSessionId;
use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::peer::ENDS_MAX;

/// Leaves out what another of the ends says too, and cuts the rest into messages, oldest first.
///
/// A tombstone says more than a move, a higher move more than a lower, and a later cut-off more than an
/// earlier. Whatever lives longest is kept.
#[must_use]
pub fn batches(ends: impl IntoIterator<Item = End>) -> Vec<Vec<End>> {
    let mut told: Vec<End> = Vec::new();
    let mut places: HashMap<Subject, usize> = HashMap::new();
    for end in ends {
        let place = *places.entry(subject(&end)).or_insert(told.len());
        match told.get_mut(place) {
            Some(standing) => widen(standing, end),
            None => told.push(end),
        }
    }
    told.chunks(ENDS_MAX).map(<[End]>::to_vec).collect()
}

/// What an end is about.
#[derive(PartialEq, Eq, Hash)]
enum Subject {
    Provider(ProviderSessionId),
    Sso(SsoId),
    User(StoreName, UserName),
}

fn subject(end: &End) -> Subject {
    match end {
        End::Tombstone { sso, .. } | End::Moved { sso, .. } => Subject::Sso(*sso),
        End::UserCutOff { store, subject, .. } => Subject::User(store.clone(), subject.clone()),
        End::ProviderCutOff { session, .. } => Subject::Provider(*session),
    }
}

/// Makes an end say what another one about the same says too.
fn widen(standing: &mut End, other: End) {
    match (&mut *standing, &other) {
        (
            End::Tombstone { expires, .. },
            End::Tombstone {
                expires: theirs, ..
            }
            | End::Moved {
                expires: theirs, ..
            },
        )
        | (
            End::ProviderCutOff { expires, .. },
            End::ProviderCutOff {
                expires: theirs, ..
            },
        ) => {
            *expires = (*expires).max(*theirs);
        }
        (
            End::Moved {
                holder, expires, ..
            },
            End::Moved {
                holder: theirs,
                expires: longer,
                ..
            },
        ) => {
            if *theirs > *holder {
                holder.clone_from(theirs);
            }
            *expires = (*expires).max(*longer);
        }
        (
            End::UserCutOff {
                authenticated_before,
                expires,
                ..
            },
            End::UserCutOff {
                authenticated_before: theirs,
                expires: longer,
                ..
            },
        ) => {
            *authenticated_before = (*authenticated_before).max(*theirs);
            *expires = (*expires).max(*longer);
        }
        (
            End::Moved { .. }
            | End::Tombstone { .. }
            | End::UserCutOff { .. }
            | End::ProviderCutOff { .. },
            _,
        ) => *standing = other,
    }
}
