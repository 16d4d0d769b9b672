//! What an engine knows in memory only and must not forget while one process follows another: tokens that were
//! used, attempts that were counted, posts that are kept (S-24, D-22).
//!
//! How it gets from one process to the other is not this room's matter.

use std::net::Ipv6Addr;

use serde::Deserialize;
use serde::Serialize;

use crate::decision::form::FormType;
use crate::decision::kept_posts::KeptPost;
use crate::decision::throttle::ThrottleCounts;
use crate::engine::EmbeddedEngine;
use crate::model::id::Nonce;
use crate::model::id::PostId;
use crate::model::id::TokenId;
use crate::model::name::HostName;
use crate::model::network::Network;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

/// A piece of what an engine knows in memory only. What is in it is secret.
#[derive(Serialize, Deserialize)]
pub enum Remembered {
    /// The attempts at credentials.
    Attempts(ThrottleCounts),
    /// A post of somebody who is signing in.
    Post(RememberedPost),
    /// The one-step tokens that were used, and when they expire (S-24).
    Spent(Vec<(TokenId, Timestamp)>),
}

/// A post of somebody who is signing in (D-22).
#[derive(Serialize, Deserialize)]
pub struct RememberedPost {
    id: PostId,
    host: HostName,
    nonce: Nonce,
    form: FormType,
    body: Vec<u8>,
    from: [u8; 16],
    since: Timestamp,
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Attempts(_) => "Attempts(…)",
            Self::Post(_) => "Post(…)",
            Self::Spent(_) => "Spent(…)",
        })
    }
}

impl std::fmt::Debug for RememberedPost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RememberedPost").finish_non_exhaustive()
    }
}

impl EmbeddedEngine {
    /// Everything that is known in memory only, piece by piece. Whatever comes after it is not in it.
    pub fn remembered(&self) -> Vec<Remembered> {
        let posts = self.posts.lock();
        let posts = posts.all().map(|(id, post, from, since)| {
            Remembered::Post(RememberedPost {
                id,
                host: post.host.clone(),
                nonce: post.nonce,
                form: post.form.clone(),
                body: post.body.expose().to_vec(),
                from: from.bytes(),
                since,
            })
        });
        let mut all: Vec<_> = posts.collect();
        all.push(Remembered::Attempts(self.attempts.counted()));
        all.push(Remembered::Spent(self.spent.all()));
        all
    }

    /// Goes on with what another process knew.
    pub fn remember(&self, piece: Remembered) {
        match piece {
            Remembered::Attempts(counted) => self.attempts.take_over(&counted),
            Remembered::Post(post) => {
                let kept = KeptPost {
                    host: post.host,
                    nonce: post.nonce,
                    form: post.form,
                    body: Secret::new(post.body),
                };
                let from = Network::of(Ipv6Addr::from(post.from).into());
                let mut posts = self.posts.lock();
                posts.put_back(post.id, kept, from, post.since);
            }
            Remembered::Spent(tokens) => {
                let now = self.parts.clock.now();
                for (token, expires) in tokens {
                    self.spent.spend(token, expires, now);
                }
            }
        }
    }
}
