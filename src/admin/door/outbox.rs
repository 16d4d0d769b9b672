//! What the successor is told without waiting for an answer: accesses, and posts that are kept while a user signs
//! in.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::admin::door::wire::Question;
use crate::admin::door::wire::asked::PostAsked;
use crate::model::id::SsoId;
use crate::model::time::Timestamp;

/// What is still to be told.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    pub(super) news: Notify,
}

#[derive(Default)]
struct Waiting {
    touched: BTreeMap<SsoId, Timestamp>,
    posts: Vec<PostAsked>,
}

impl Outbox {
    /// Notes an access; where there are too many, one of a session that is there already.
    pub(super) fn touched(&self, sso: SsoId, at: Timestamp) {
        let mut waiting = self.waiting.lock();
        if waiting.touched.len() < TOUCHED_MAX || waiting.touched.contains_key(&sso) {
            let latest = waiting.touched.entry(sso).or_insert(at);
            *latest = at.max(*latest);
        }
    }

    /// Notes a post; whether there is room.
    pub(super) fn kept(&self, post: PostAsked) -> bool {
        let mut waiting = self.waiting.lock();
        let has_room = waiting.posts.len() < POSTS_MAX;
        if has_room {
            waiting.posts.push(post);
            self.news.notify_one();
        }
        has_room
    }

    /// Takes everything out, as questions.
    pub(super) fn take(&self) -> Vec<Question> {
        let Waiting { touched, posts } = std::mem::take(&mut *self.waiting.lock());
        let touched: Vec<_> = touched.into_iter().collect();
        let touched = touched.chunks(TOUCHED_AT_ONCE);
        let touched = touched.map(|some| Question::Touch(some.to_vec()));
        let posts = posts.into_iter().map(Box::new).map(Question::KeepPost);
        posts.chain(touched).collect()
    }
}

/// Sessions with accesses that are not told of yet.
const TOUCHED_MAX: usize = 1 << 16;
const TOUCHED_AT_ONCE: usize = 1000;
const POSTS_MAX: usize = 64;
