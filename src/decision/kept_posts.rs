//! Posts that are kept while somebody signs in: each once, for the browser that made it, and never more than
//! there is room for (D-22).
//!
//! Which posts may be kept is the proxy's to say; what they hold is of no interest here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::decision::form::FormType;
use crate::decision::kept_posts::handed_out::HandedOut;
use crate::model::id::Nonce;
use crate::model::id::PostId;
use crate::model::name::HostName;
use crate::model::network::Network;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

mod handed_out;

/// A post that is kept.
#[derive(Clone, Debug)]
pub struct KeptPost {
    /// The host that it was made to.
    pub host: HostName,
    /// The nonce cookie of the browser that made it.
    pub nonce: Nonce,
    /// How its body is to be read.
    pub form: FormType,
    /// Its body.
    pub body: Secret,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptRules {
    /// Largest body, in bytes.
    pub bytes_max: usize,
    /// Most posts of one address.
    pub per_address_max: usize,
    /// Most posts in all.
    pub posts_max: usize,
}

impl Default for KeptRules {
    fn default() -> Self {
        Self {
            bytes_max: 256 << 10,
            per_address_max: 64,
            posts_max: 512,
        }
    }
}

/// The posts that are kept.
#[derive(Debug)]
pub struct KeptPosts {
    rules: KeptRules,
    posts: BTreeMap<PostId, Entry>,
    handed_out: HandedOut,
}

#[derive(Debug)]
struct Entry {
    post: KeptPost,
    from: Network,
    since: Timestamp,
}

impl KeptPosts {
    /// Begins with none.
    #[must_use]
    pub fn new(rules: KeptRules) -> Self {
        Self {
            rules,
            posts: BTreeMap::new(),
            handed_out: HandedOut::default(),
        }
    }

    /// Goes by other rules from now on; what is kept stays until there is something new to keep.
    pub const fn retune(&mut self, rules: KeptRules) {
        self.rules = rules;
    }

    /// Keeps a post, if there may be any. Where an address has too many, its oldest goes; where there are too
    /// many in all, the oldest of the address that has the most: so who sends many pushes out their own. One that
    /// its browser has been handed again and again is not kept once more (D-10).
    pub fn keep(&mut self, id: PostId, post: KeptPost, from: IpAddr, now: Timestamp) -> Kept {
        if post.body.expose().len() > self.rules.bytes_max || self.rules.posts_max == 0 {
            return Kept::No;
        }
        self.forget_old(now);
        if self.handed_out.is_enough(&post) {
            return Kept::No;
        }
        let from = Network::of(from);
        if self.count(from) >= self.rules.per_address_max {
            self.forget_oldest(from);
        }
        while self.posts.len() >= self.rules.posts_max {
            let Some(most) = self.busiest() else {
                return Kept::No;
            };
            self.forget_oldest(most);
        }
        let entry = Entry {
            post,
            from,
            since: now,
        };
        self.posts.insert(id, entry);
        Kept::Yes
    }

    /// Takes a post out, for the browser that made it at that host; for anybody else it stays.
    pub fn take(
        &mut self,
        id: PostId,
        nonces: &[Nonce],
        host: &HostName,
        now: Timestamp,
    ) -> Option<KeptPost> {
        self.forget_old(now);
        let post = &self.posts.get(&id)?.post;
        let is_own = post.host == *host && nonces.iter().any(|nonce| nonce.matches(&post.nonce));
        if !is_own {
            return None;
        }
        let post = self.posts.remove(&id)?.post;
        self.handed_out.note(&post, now, self.rules.posts_max);
        Some(post)
    }

    /// Every post that is kept, each with where it came from and since when.
    pub fn all(&self) -> impl Iterator<Item = (PostId, &KeptPost, Network, Timestamp)> {
        let posts = self.posts.iter();
        posts.map(|(id, entry)| (*id, &entry.post, entry.from, entry.since))
    }

    /// Goes on keeping what another process has kept since then.
    pub fn put_back(&mut self, id: PostId, post: KeptPost, from: Network, since: Timestamp) {
        if self.posts.len() < self.rules.posts_max {
            self.posts.insert(id, Entry { post, from, since });
        }
    }

    /// Forgets posts whose sign-in took too long.
    pub fn forget_old(&mut self, now: Timestamp) {
        self.posts
            .retain(|_, entry| now.since(entry.since) < KEPT_FOR);
        self.handed_out.forget_old(now);
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.posts.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty()
    }

    fn count(&self, from: Network) -> usize {
        self.posts
            .values()
            .filter(|entry| entry.from == from)
            .count()
    }

    fn busiest(&self) -> Option<Network> {
        let mut counts: BTreeMap<Network, usize> = BTreeMap::new();
        for entry in self.posts.values() {
            *counts.entry(entry.from).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(from, _)| from)
    }

    fn forget_oldest(&mut self, from: Network) {
        let own = self.posts.iter().filter(|(_, entry)| entry.from == from);
        let oldest = own.min_by_key(|(_, entry)| entry.since);
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.posts.remove(&id);
        }
    }
}

/// Whether a post is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is not; the user comes back to the page that it was for.
    No,
    /// It is.
    Yes,
}

/// How long a sign-in may take for which a post is kept: as long as a login page may stay open.
pub const KEPT_FOR: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn id(n: u16) -> PostId {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        PostId::from_bytes(bytes)
    }

    fn nonce(n: u8) -> Nonce {
        Nonce::from_bytes([n; 16])
    }

    fn host(name: &str) -> HostName {
        HostName::parse(name).unwrap()
    }

    fn post(of: u8, bytes: usize) -> KeptPost {
        KeptPost {
            host: host("app.test"),
            nonce: nonce(of),
            form: FormType::parse("text/plain").unwrap(),
            body: Secret::new(vec![of; bytes]),
        }
    }

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(n))
    }

    fn take(kept: &mut KeptPosts, n: u16, of: u8, at: &str, now: Timestamp) -> bool {
        let nonces = [nonce(99), nonce(of)];
        kept.take(id(n), &nonces, &host(at), now).is_some()
    }

    #[test]
    fn a_post_is_taken_once_by_the_browser_that_made_it_where_it_was_made_d_22() {
        let mut kept = KeptPosts::new(KeptRules::default());
        assert_eq!(kept.keep(id(1), post(1, 10), address(1), NOW), Kept::Yes);
        assert!(!take(&mut kept, 1, 2, "app.test", NOW), "another browser");
        assert!(!take(&mut kept, 1, 1, "other.test", NOW), "another host");
        assert!(!take(&mut kept, 2, 1, "app.test", NOW), "another post");
        assert!(take(&mut kept, 1, 1, "app.test", NOW));
        assert!(!take(&mut kept, 1, 1, "app.test", NOW), "a second time");
    }

    #[test]
    fn a_post_is_kept_as_long_as_a_sign_in_may_take() {
        let mut kept = KeptPosts::new(KeptRules::default());
        kept.keep(id(1), post(1, 10), address(1), NOW);
        kept.keep(id(2), post(1, 10), address(1), NOW);
        let late = NOW.after(KEPT_FOR);
        assert!(take(
            &mut kept,
            1,
            1,
            "app.test",
            late.before(Duration::from_millis(1))
        ));
        assert!(!take(&mut kept, 2, 1, "app.test", late));
        assert!(kept.is_empty());
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_nothing_where_nothing_may_be() {
        let mut kept = KeptPosts::new(KeptRules::default());
        let large = KeptRules::default().bytes_max + 1;
        assert_eq!(kept.keep(id(1), post(1, large), address(1), NOW), Kept::No);
        let none = KeptRules {
            posts_max: 0,
            ..KeptRules::default()
        };
        let mut kept = KeptPosts::new(none);
        assert_eq!(kept.keep(id(1), post(1, 1), address(1), NOW), Kept::No);
    }

    #[test]
    fn who_sends_many_pushes_out_their_own() {
        let mut kept = KeptPosts::new(KeptRules::default());
        kept.keep(id(0), post(1, 1), address(1), NOW);
        for n in 1..1000 {
            kept.keep(
                id(n),
                post(2, 1),
                address(2),
                NOW.after(Duration::from_millis(n.into())),
            );
        }
        let of_one = KeptRules::default().per_address_max;
        assert_eq!(kept.len(), 1 + of_one);
        // Also from many addresses, as long as each has more than one.
        for n in 1000..3000_u16 {
            let from = address(1000 + u32::from(n) % 200);
            kept.keep(
                id(n),
                post(2, 1),
                from,
                NOW.after(Duration::from_millis(n.into())),
            );
        }
        assert!(kept.len() <= KeptRules::default().posts_max);
        assert!(take(
            &mut kept,
            0,
            1,
            "app.test",
            NOW.after(Duration::from_secs(5))
        ));
    }

    fn form(of: u8, boundary: &str, value: &str) -> KeptPost {
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let disposition = "Content-Disposition: form-data; name=\"a\"";
        let body = format!("--{boundary}\r\n{disposition}\r\n\r\n{value}\r\n--{boundary}--\r\n");
        KeptPost {
            form: FormType::parse(&content_type).unwrap(),
            body: Secret::new(body.into_bytes()),
            ..post(of, 0)
        }
    }

    /// How often a form is kept and handed out, one round every `apart`; at most 20 times.
    fn handed_out(kept: &mut KeptPosts, from: Timestamp, apart: Duration) -> u8 {
        let mut now = from;
        for round in 0..20 {
            // A browser chooses another boundary each time.
            let form = form(1, &format!("x{round}"), "same");
            if kept.keep(id(7), form, address(1), now) == Kept::No {
                return round;
            }
            assert!(take(kept, 7, 1, "app.test", now));
            now = now.after(apart);
        }
        20
    }

    #[test]
    fn a_form_is_handed_out_so_often_and_no_more_however_slowly_it_comes_back_d_10_d_22() {
        let most = handed_out::TIMES_MAX;
        for apart in [Duration::ZERO, Duration::from_secs(21), KEPT_FOR / 2] {
            let mut kept = KeptPosts::new(KeptRules::default());
            assert_eq!(handed_out(&mut kept, NOW, apart), most, "{apart:?}");
            let now = NOW.after(apart * u32::from(most));
            let other = kept.keep(id(1), form(1, "x", "other"), address(1), now);
            assert_eq!(other, Kept::Yes, "another form of the browser");
            let other = kept.keep(id(2), form(2, "x", "same"), address(1), now);
            assert_eq!(other, Kept::Yes, "the same of another browser");
            let later = now.after(KEPT_FOR);
            assert_eq!(handed_out(&mut kept, later, apart), most, "{apart:?}");
        }
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_there_may_be(
            posts in vec((any::<u16>(), 0_u32..20, 0_u64..10_000), 0..300),
        ) {
            let rules = KeptRules { bytes_max: 10, per_address_max: 3, posts_max: 20 };
            let mut kept = KeptPosts::new(rules);
            let mut now = NOW;
            for (n, from, pause) in posts {
                now = now.after(Duration::from_millis(pause));
                kept.keep(id(n), post(1, 10), address(from), now);
                prop_assert!(kept.len() <= 20);
                prop_assert!(kept.count(Network::of(address(from))) <= 3);
                prop_assert!(kept.posts.contains_key(&id(n)));
            }
        }
    }
}
