//! The short words with which a question is turned away: all that a stranger learns.
//!
//! The whole reason is in the log of whoever turned it away.

use std::fmt;

use http::StatusCode;

/// Why a question was turned away before anybody answered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::backchannel) enum Code {
    /// Too many questions are under way.
    Busy,
    /// The time of the certificate that the connection was opened with is over.
    CertificateExpired,
    /// The answer failed.
    Failed,
    /// The bytes are no message.
    Malformed,
    /// This end expects another security mode of the asker (MDC-SEC-4).
    ModeMismatch,
    /// The asker may not ask this.
    NotPermitted,
    /// The asker has not proven who it is.
    NotProven,
    /// There is nothing at this path.
    NoSuchPath,
    /// A code of a later release, or none.
    Other,
    /// The clocks differ too much, or the message is too old.
    Skew,
    /// The message is larger than messages are.
    TooLarge,
    /// The message did not arrive in time.
    TooSlow,
    /// Nobody of this name is configured here.
    UnknownPeer,
    /// The question is not known to this release.
    UnknownVerb,
    /// The language is not spoken here.
    Version,
    /// The message is meant for another data centre.
    WrongCluster,
    /// The message names another sender than the one who has proven itself.
    WrongSender,
}

impl Code {
    pub(super) const ALL: [Self; 17] = [
        Self::Busy,
        Self::CertificateExpired,
        Self::Failed,
        Self::Malformed,
        Self::ModeMismatch,
        Self::NotPermitted,
        Self::NotProven,
        Self::NoSuchPath,
        Self::Other,
        Self::Skew,
        Self::TooLarge,
        Self::TooSlow,
        Self::UnknownPeer,
        Self::UnknownVerb,
        Self::Version,
        Self::WrongCluster,
        Self::WrongSender,
    ];

    /// The code as it is written.
    pub(in crate::backchannel) const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::CertificateExpired => "certificate-expired",
            Self::Failed => "failed",
            Self::Malformed => "malformed",
            Self::ModeMismatch => "mode-mismatch",
            Self::NotPermitted => "not-permitted",
            Self::NotProven => "not-proven",
            Self::NoSuchPath => "no-such-path",
            Self::Other => "other",
            Self::Skew => "skew",
            Self::TooLarge => "too-large",
            Self::TooSlow => "too-slow",
            Self::UnknownPeer => "unknown-peer",
            Self::UnknownVerb => "unknown-verb",
            Self::Version => "version",
            Self::WrongCluster => "wrong-cluster",
            Self::WrongSender => "wrong-sender",
        }
    }

    /// Reads a code.
    pub(in crate::backchannel) fn parse(text: &str) -> Self {
        let found = Self::ALL.into_iter().find(|code| code.as_str() == text);
        found.unwrap_or(Self::Other)
    }

    /// The status that goes with it.
    pub(in crate::backchannel) const fn status(self) -> StatusCode {
        match self {
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::CertificateExpired
            | Self::ModeMismatch
            | Self::NotPermitted
            | Self::NotProven
            | Self::Skew
            | Self::UnknownPeer
            | Self::WrongCluster
            | Self::WrongSender => StatusCode::FORBIDDEN,
            Self::Failed | Self::Other => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownVerb | Self::Version => StatusCode::NOT_IMPLEMENTED,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
