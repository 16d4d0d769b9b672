//! Writes the history down while it happens; shared by everybody who takes part.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::history::Asked;
use crate::history::Fault;
use crate::history::Form;
use crate::history::History;
use crate::history::LoginId;
use crate::history::MayEnd;
use crate::history::Millis;
use crate::history::Promises;
use crate::history::SignIn;
use crate::history::SignOut;
use crate::history::Word;
use crate::history::millis;

/// A history in the making.
pub(crate) struct Chronicle {
    /// What the gateways were configured to.
    pub(crate) promises: Promises,
    began: Instant,
    history: Mutex<History>,
    logins: AtomicUsize,
    troubles: Mutex<BTreeMap<&'static str, u64>>,
    /// What is counted and not judged.
    pub(crate) counts: Counts,
}

/// What happened that the checker has no use for.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) requests: Counter,
    pub(crate) unanswered: Counter,
    pub(crate) sign_ins_refused: Counter,
    pub(crate) sign_ins_unanswered: Counter,
    pub(crate) writes_failed: Counter,
    /// Lines of a gateway's log that carry a time far ahead of the real one.
    pub(crate) lines_ahead: Counter,
    /// Lines that carry one far behind it.
    pub(crate) lines_behind: Counter,
}

/// Counts one thing.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Chronicle {
    pub(crate) fn begin(promises: Promises, nodes: usize) -> Arc<Self> {
        let history = History {
            promises,
            nodes,
            sign_ins: Vec::new(),
            asked: Vec::new(),
            sign_outs: Vec::new(),
            may_end: Vec::new(),
            forms: Vec::new(),
            words: Vec::new(),
            faults: Vec::new(),
        };
        Arc::new(Self {
            promises,
            began: Instant::now(),
            history: Mutex::new(history),
            logins: AtomicUsize::new(0),
            troubles: Mutex::default(),
            counts: Counts::default(),
        })
    }

    pub(crate) fn now(&self) -> Millis {
        millis(self.began.elapsed())
    }

    /// When the run began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn next_login(&self) -> LoginId {
        LoginId(self.logins.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn signed_in(&self, sign_in: SignIn) {
        self.history.lock().sign_ins.push(sign_in);
    }

    pub(crate) fn asked(&self, asked: Asked) {
        self.history.lock().asked.push(asked);
    }

    pub(crate) fn signed_out(&self, sign_out: SignOut) {
        self.history.lock().sign_outs.push(sign_out);
    }

    /// Somebody goes about ending these.
    pub(crate) fn may_end(&self, logins: impl IntoIterator<Item = LoginId>) {
        let at = self.now();
        let ends = logins.into_iter().map(|login| MayEnd { login, at });
        self.history.lock().may_end.extend(ends);
    }

    /// A form was sent.
    pub(crate) fn form(&self, form: Form) {
        self.history.lock().forms.push(form);
    }

    pub(crate) fn word(&self, word: Word) {
        self.history.lock().words.push(word);
    }

    /// A trouble of this name has come.
    pub(crate) fn befell(&self, trouble: &'static str) {
        *self.troubles.lock().entry(trouble).or_default() += 1;
    }

    /// How often a trouble of this name has come.
    pub(crate) fn befallen(&self, trouble: &str) -> u64 {
        self.troubles.lock().get(trouble).copied().unwrap_or(0)
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.history.lock().faults.push(fault);
    }

    pub(crate) fn history(&self) -> History {
        self.history.lock().clone()
    }
}
