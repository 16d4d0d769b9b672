//! What a connection remembers of the authn cookie that was opened on it last.
//!
//! A browser sends the same cookies with every request of a connection; decrypting and reading them again
//! says nothing new. Only that is spared: whether the cookie is still good, and whether its session serves,
//! is judged each time.

use parking_lot::Mutex;

use crate::crypto::claims::AuthnCookie;
use crate::crypto::key_ring::Edition;
use crate::crypto::sameness::are_same;
use crate::model::name::HostName;

/// The authn cookie that was opened last, by what it was opened from.
#[derive(Default)]
pub struct OpenedCookie(Mutex<Option<Opened>>);

struct Opened {
    /// As it was sent.
    sealed: Box<[u8]>,
    /// The host it was sent to: at another one the same bytes do not open (M-015).
    host: HostName,
    /// The keys it was opened with: a retired one opens nothing.
    keys: Edition,
    cookie: AuthnCookie,
}

impl OpenedCookie {
    /// The cookie that these bytes open to, if they are those of last time; compared in constant time, for
    /// a connection may carry requests of many users.
    pub(super) fn recall(
        &self,
        sealed: &str,
        host: &HostName,
        keys: Edition,
    ) -> Option<AuthnCookie> {
        let opened = self.0.lock();
        let opened = opened.as_ref()?;
        let is_same = opened.keys == keys
            && opened.host == *host
            && are_same(&opened.sealed, sealed.as_bytes());
        is_same.then(|| opened.cookie.clone())
    }

    /// Remembers a cookie that was opened with keys of at least that edition.
    pub(super) fn keep(&self, sealed: &str, host: &HostName, keys: Edition, cookie: &AuthnCookie) {
        let opened = Opened {
            sealed: sealed.as_bytes().into(),
            host: host.clone(),
            keys,
            cookie: cookie.clone(),
        };
        let before = self.0.lock().replace(opened);
        drop(before);
    }
}

impl std::fmt::Debug for OpenedCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedCookie").finish_non_exhaustive()
    }
}
