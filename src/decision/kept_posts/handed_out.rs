//! Which forms have been handed out to be sent again, and how often: a page that sends a form again does so by
//! itself, and where it comes back to be kept each time nothing else ever stops it (D-10, D-22).
//!
//! A form is the same when the same browser posts the same fields to the same host, however it writes them.

use std::collections::VecDeque;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;

use crate::decision::form::FieldValue;
use crate::decision::kept_posts::KEPT_FOR;
use crate::decision::kept_posts::KeptPost;
use crate::model::id::Nonce;
use crate::model::name::HostName;
use crate::model::time::Timestamp;

/// The forms that were handed out lately, the last at the end.
#[derive(Debug, Default)]
pub(super) struct HandedOut(VecDeque<Round>);

#[derive(Debug)]
struct Round {
    nonce: Nonce,
    host: HostName,
    fields: u64,
    times: u8,
    last: Timestamp,
}

impl HandedOut {
    /// Whether a form has been handed out as often as it may be.
    pub(super) fn is_enough(&self, post: &KeptPost) -> bool {
        let mut own = self.0.iter().filter(|round| round.is_of(post)).peekable();
        // What is in a form costs time, and most come once.
        if own.peek().is_none() {
            return false;
        }
        let fields = digest(post);
        own.any(|round| round.fields == fields && round.times >= TIMES_MAX)
    }

    /// Counts one more, and forgets the oldest where there are more than so many.
    pub(super) fn note(&mut self, post: &KeptPost, now: Timestamp, most: usize) {
        let fields = digest(post);
        let is_same = |round: &Round| round.fields == fields && round.is_of(post);
        let before = self.0.iter().position(is_same);
        let before = before.and_then(|at| self.0.remove(at));
        self.0.push_back(Round {
            nonce: post.nonce,
            host: post.host.clone(),
            fields,
            times: before.map_or(1, |round| round.times.saturating_add(1)),
            last: now,
        });
        while self.0.len() > most {
            self.0.pop_front();
        }
    }

    /// Forgets those that were handed out so long ago that nobody is on the way with one any more.
    pub(super) fn forget_old(&mut self, now: Timestamp) {
        self.0.retain(|round| now.since(round.last) < KEPT_FOR);
    }
}

impl Round {
    fn is_of(&self, post: &KeptPost) -> bool {
        self.host == post.host && self.nonce.matches(&post.nonce)
    }
}

/// A number for the fields of a form. Two forms with the same one are one browser's own.
fn digest(post: &KeptPost) -> u64 {
    let mut hasher = DefaultHasher::new();
    for field in post.form.fields(post.body.expose()).into_iter().flatten() {
        field.name.hash(&mut hasher);
        match field.value {
            FieldValue::File {
                name,
                media_type,
                content,
            } => {
                (name, media_type).hash(&mut hasher);
                content.expose().hash(&mut hasher);
            }
            FieldValue::Text(text) => text.hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// How often: whoever sends the same form again and again, and has to sign in each time, comes back to a GET then.
pub(super) const TIMES_MAX: u8 = 8;
