//! What happened in a run: who asked what where and what came back, what the gateways said in their logs,
//! which faults there were. The checker reads nothing else.
//!
//! Times are milliseconds since the run began, by one clock that no fault moves. No judgement lives here.

use std::fmt;
use std::time::Duration;

/// Milliseconds since the run began.
pub(crate) type Millis = u64;

/// A data centre of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) usize);

/// A login that succeeded; it stands for the SSO session that it began (S-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LoginId(pub(crate) usize);

/// From the moment before something was begun to the moment after it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Millis,
    pub(crate) to: Millis,
}

/// A login that was answered.
#[derive(Clone, Debug)]
pub(crate) struct SignIn {
    pub(crate) login: LoginId,
    pub(crate) user: String,
    pub(crate) node: NodeId,
    pub(crate) span: Span,
    /// Whose ID cookie was presented: its session ends with this login (S-11).
    pub(crate) replaces: Option<LoginId>,
}

/// A form that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) user: String,
    pub(crate) node: NodeId,
    pub(crate) at: Millis,
    pub(crate) came: Came,
}

/// What came of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A login, or a page that says that there is none.
    Answer,
    /// Nothing, so that there may be a session or not.
    Silence,
}

/// Who judged a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Desk {
    Application,
    Collector,
}

/// What came back for a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The session was served, or renewed without a login.
    Accepted,
    /// Somebody else's session was served.
    Crossed,
    /// No answer, or an error: it may have been served or not.
    Failed,
    /// The user was sent to sign in.
    Refused,
}

/// Which cookies a user came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookies {
    /// As they were at some time, perhaps long ago.
    Copied,
    /// As they are: every answer has been taken in.
    Current,
}

/// A request with a cookie of a known login.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) login: LoginId,
    pub(crate) cookies: Cookies,
    pub(crate) node: NodeId,
    pub(crate) desk: Desk,
    pub(crate) span: Span,
    pub(crate) verdict: Verdict,
}

/// A sign-out, as far as it was answered.
#[derive(Clone, Debug)]
pub(crate) struct SignOut {
    pub(crate) node: NodeId,
    pub(crate) span: Span,
    /// The application's answer, and the session of the authn cookie presented there.
    pub(crate) begun: Option<(Millis, LoginId)>,
    /// The page at the end.
    pub(crate) told: Option<Told>,
}

/// Somebody began what ends a session, whether or not an answer came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MayEnd {
    pub(crate) login: LoginId,
    pub(crate) at: Millis,
}

/// What the page at the end of a sign-out said.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) at: Millis,
    /// The sessions of the cookies presented (S-18).
    pub(crate) logins: Vec<LoginId>,
    /// Whether it was written down where the user signed out.
    pub(crate) own: Lasting,
    /// The other data centres that have confirmed it.
    pub(crate) confirmed: Vec<NodeId>,
}

/// What an end survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// A crash.
    Durable,
    /// Not a crash.
    Memory,
}

/// A line of a gateway's log about a session, stamped when it was read.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) node: NodeId,
    pub(crate) at: Millis,
    /// The session's short hash.
    pub(crate) session: String,
    pub(crate) said: Said,
}

/// What a gateway said of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Adopted,
    NotAdopted,
    /// A cookie was not honoured, for this reason.
    Refused(String),
    SignedIn {
        user: String,
    },
}

/// Something that was done to the gateways or to the network between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: What,
    /// While it was being done.
    pub(crate) began: Span,
    /// While it was being undone; a gateway is up again when it listens.
    pub(crate) over: Span,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Its clock is this many seconds ahead.
    Ahead(NodeId, i64),
    /// Killed, and started again at the end.
    Down(NodeId),
    /// Its disk takes no more: it is full, or the process may not write.
    Full(NodeId),
    /// What is sent this way arrives late.
    Held { from: NodeId, to: NodeId },
    /// What is sent this way is lost.
    Lost { from: NodeId, to: NodeId },
    /// Every connection between the two is reset.
    Reset(NodeId, NodeId),
    /// It does not run, and goes on at the end.
    Stopped(NodeId),
}

/// What the gateways were configured to, and how much time they are given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promises {
    pub(crate) lifetime: Duration,
    pub(crate) idle: Duration,
    pub(crate) lease: Duration,
    pub(crate) per_user_max: usize,
    pub(crate) holding: Holding,
    /// By when a connected data centre refuses what has ended in another (R2).
    pub(crate) fan_out: Duration,
    /// The same while something is wrong anywhere: what is killed, stopped and started again takes the
    /// machine's time from the others.
    pub(crate) fan_out_disturbed: Duration,
    /// By when one does that was cut off or gone (R3).
    pub(crate) heal: Duration,
}

/// In how many data centres a session may be held at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holding {
    /// One: the policy is anchored.
    One,
    Several,
}

/// All of a run.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) promises: Promises,
    pub(crate) nodes: usize,
    pub(crate) sign_ins: Vec<SignIn>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) sign_outs: Vec<SignOut>,
    pub(crate) may_end: Vec<MayEnd>,
    pub(crate) forms: Vec<Form>,
    pub(crate) words: Vec<Word>,
    pub(crate) faults: Vec<Fault>,
}

impl Span {
    /// Whether a moment is in it.
    pub(crate) fn holds(self, moment: Millis) -> bool {
        self.from <= moment && moment <= self.to
    }

    /// Whether the two have a moment in common.
    pub(crate) fn meets(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

impl Fault {
    /// The longest that it may have lasted.
    pub(crate) fn outer(&self) -> Span {
        Span {
            from: self.began.from,
            to: self.over.to,
        }
    }

    /// What it has certainly lasted; `None` when that is nothing.
    pub(crate) fn inner(&self) -> Option<Span> {
        let (from, to) = (self.began.to, self.over.from);
        (from < to).then_some(Span { from, to })
    }
}

impl What {
    /// Whether news may not get from one of these two to the other because of it, in either direction.
    pub(crate) fn parts(self, one: NodeId, other: NodeId) -> bool {
        let concerned = |node: NodeId| node == one || node == other;
        match self {
            Self::Ahead(..) => false,
            Self::Down(node) | Self::Full(node) | Self::Stopped(node) => concerned(node),
            Self::Held { from: a, to: b } | Self::Lost { from: a, to: b } | Self::Reset(a, b) => {
                concerned(a) && concerned(b)
            }
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = u8::try_from(self.0).map_or('?', |number| char::from(b'a' + number));
        write!(f, "dc-{letter}")
    }
}

impl fmt::Display for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "login {}", self.0)
    }
}

/// A span of time in milliseconds.
pub(crate) fn millis(span: Duration) -> Millis {
    Millis::try_from(span.as_millis()).unwrap()
}
