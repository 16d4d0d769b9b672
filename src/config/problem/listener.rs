//! What can be wrong about where connections are accepted.

/// What is wrong about a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenerProblem {
    /// Permissions of a file that there is not.
    #[error("an address has no `mode`")]
    ModeOfAddress,
    /// Anybody could announce anything.
    #[error("it is not said who may announce clients")]
    SendersMissing,
    /// Addresses of senders that have none.
    #[error("who connects to a socket of the file system has no address")]
    SendersOfSocket,
}

impl ListenerProblem {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(self) -> String {
        let fixed = match self {
            Self::ModeOfAddress => "leave it out; it is for `bind: unix:/…`",
            Self::SendersMissing => "name the addresses of the balancers in front in `from`",
            Self::SendersOfSocket => "leave `from` out; `mode` says who may connect",
        };
        fixed.to_owned()
    }
}
