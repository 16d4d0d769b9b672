//! Why a request is not forwarded, and what the client is told of it.
//!
//! One exhaustive match from each kind of error to a refusal, and from each refusal to its words.

use std::time::Duration;

use http::StatusCode;
use pingora::Error;
use pingora::ErrorSource;
use pingora::ErrorType;

use crate::proxy::address::with_socket;
use crate::proxy::context::Admitted;
use crate::proxy::context::RequestContext;
use crate::proxy::forward::target_of;
use crate::proxy::inbound::InboundError;

/// Why a request is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It can be read in more than one way.
    BadRequest,
    /// It is denied for where it comes from, whoever makes it.
    Barred,
    /// Its body is larger than the route allows.
    BodyTooLarge,
    /// Its body comes too slowly.
    BodyTooSlow,
    /// Its virtual host wants a certificate, and there is none (W-24).
    CertificateMissing,
    /// The certificate of its client is not good (W-24).
    CertificateRefused,
    /// It was sent to https again and again, and comes back by http (D-10).
    Circling,
    /// The policy denies it.
    Denied,
    /// It expects what cannot be done.
    Expectation,
    /// Its header is larger than the limit.
    HeaderTooLarge,
    /// Something went wrong here.
    Internal,
    /// The route does not take its method.
    MethodNotAllowed,
    /// No virtual host of that name is served by this listener (W-01).
    Misdirected,
    /// No route takes its path.
    NotFound,
    /// Its client has as many requests served as it may.
    TooManyAtOnce,
    /// Its client sends more requests than it may, and may again after this time.
    TooManyRequests(Duration),
    /// What its application would have to be told of its user is too long, and nothing is ever cut off.
    Untellable,
    /// The upstream did not answer in time.
    UpstreamLate,
    /// The upstream broke off or made no sense.
    UpstreamBroken,
    /// No upstream is there (W-33).
    Unavailable,
}

impl Refusal {
    /// The status it is answered with.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::CertificateMissing | Self::CertificateRefused => {
                StatusCode::BAD_REQUEST
            }
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Circling => StatusCode::LOOP_DETECTED,
            Self::Barred | Self::Denied => StatusCode::FORBIDDEN,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::HeaderTooLarge | Self::Untellable => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooManyAtOnce | Self::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::UpstreamLate => StatusCode::GATEWAY_TIMEOUT,
            Self::UpstreamBroken => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the user reads: the keys of a heading and a sentence.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::BadRequest | Self::Expectation => ("bad_request", "bad_request_text"),
            Self::Barred => ("denied", "barred_text"),
            Self::BodyTooLarge => ("too_large", "too_large_text"),
            Self::BodyTooSlow => ("too_slow", "too_slow_text"),
            Self::CertificateMissing => ("certificate_missing", "certificate_missing_text"),
            Self::CertificateRefused => ("certificate_refused", "certificate_refused_text"),
            Self::Circling => ("circling", "circling_http_text"),
            Self::Denied => ("denied", "denied_text"),
            Self::HeaderTooLarge => ("too_large", "header_too_large_text"),
            Self::Internal => ("internal", "internal_text"),
            Self::MethodNotAllowed => ("not_allowed", "not_allowed_text"),
            Self::Misdirected => ("misdirected", "misdirected_text"),
            Self::NotFound => ("not_found", "not_found_text"),
            Self::TooManyAtOnce => ("too_many", "too_many_at_once_text"),
            Self::TooManyRequests(_) => ("too_many", "too_many_text"),
            Self::Untellable => ("untellable", "untellable_text"),
            Self::UpstreamLate => ("no_answer", "late_text"),
            Self::UpstreamBroken => ("no_answer", "broken_text"),
            Self::Unavailable => ("unavailable", "unavailable_text"),
        }
    }

    /// After which time it may be otherwise.
    pub(super) const fn wait(self) -> Option<Duration> {
        match self {
            Self::TooManyAtOnce => Some(AT_ONCE_WAIT),
            Self::TooManyRequests(wait) => Some(wait),
            Self::Unavailable => Some(UNAVAILABLE_WAIT),
            Self::BadRequest
            | Self::Barred
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::CertificateMissing
            | Self::CertificateRefused
            | Self::Circling
            | Self::Denied
            | Self::Expectation
            | Self::HeaderTooLarge
            | Self::Internal
            | Self::MethodNotAllowed
            | Self::Misdirected
            | Self::NotFound
            | Self::Untellable
            | Self::UpstreamLate
            | Self::UpstreamBroken => None,
        }
    }

    /// Whether the connection is closed after the answer, because where the next request begins is in
    /// doubt, or because only another one can show another certificate.
    pub(super) const fn closes(self) -> bool {
        matches!(
            self,
            Self::BadRequest
                | Self::BodyTooLarge
                | Self::BodyTooSlow
                | Self::CertificateMissing
                | Self::CertificateRefused
                | Self::Expectation
                | Self::HeaderTooLarge
                | Self::Internal
        )
    }
}

/// The refusal of a head that was not understood.
pub(super) const fn refusal_of(error: InboundError) -> Refusal {
    match error {
        InboundError::Malformed(_) => Refusal::BadRequest,
        InboundError::HeaderTooLarge => Refusal::HeaderTooLarge,
        InboundError::Expectation => Refusal::Expectation,
    }
}

/// Tells of a request that failed. Whoever is not signed in has no line for each: anybody can have many fail. What is
/// told of one pool keeps back nothing of another.
pub(super) fn tell_failure(status: u16, error: &Error, ctx: &RequestContext) {
    let admitted = ctx.admitted.as_deref();
    let client = match (admitted, &ctx.current) {
        (Some(admitted), _) if admitted.permit.session().is_some() => None,
        (Some(admitted), _) => Some(admitted.arrived.origin.client),
        (None, current) => current.as_ref().map(|current| current.connection.peer.ip()),
    };
    let target = admitted.and_then(target_of);
    let pool = target.map(|target| target.pool.config.name.as_str());
    let kept_back = match client {
        None => Some(0),
        Some(client) => {
            let kind = error.etype().as_str();
            let why = format!("{status} {kind} {}", pool.unwrap_or_default());
            ctx.serving.may_tell(client, &why)
        }
    };
    if let Some(kept_back) = kept_back {
        let error = reason(error, admitted);
        tracing::info!(request_id = %ctx.id, status, pool, kept_back, %error, "request failed");
    }
}

/// What a log says of an error of pingora's that ended a request. A status that a phase has asked for is told beside it.
pub(super) fn reason(error: &Error, admitted: Option<&Admitted>) -> String {
    let told = match (error.etype(), &error.context, &error.cause) {
        (ErrorType::HTTPStatus(_), Some(why), None) => why.as_str().to_owned(),
        _ => error.to_string().trim_start().to_owned(),
    };
    match admitted.and_then(|admitted| admitted.tried.last()) {
        Some(at) => with_socket(told, &at.shown),
        None => told,
    }
}

/// The answer to an error of pingora's; none when the client is gone.
pub(super) fn refusal_for(error: &Error) -> Option<Refusal> {
    match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(408), _) => Some(Refusal::BodyTooSlow),
        (ErrorType::HTTPStatus(413), _) => Some(Refusal::BodyTooLarge),
        (ErrorType::HTTPStatus(400..=499), _) => Some(Refusal::BadRequest),
        (ErrorType::HTTPStatus(503), _) => Some(Refusal::Unavailable),
        (ErrorType::HTTPStatus(502), _) => Some(Refusal::UpstreamBroken),
        (ErrorType::HTTPStatus(_), _) => Some(Refusal::Internal),
        (ErrorType::ReadTimedout, ErrorSource::Downstream) => Some(Refusal::BodyTooSlow),
        (
            ErrorType::WriteError
            | ErrorType::ReadError
            | ErrorType::ConnectionClosed
            | ErrorType::WriteTimedout,
            ErrorSource::Downstream,
        ) => None,
        (_, ErrorSource::Downstream) => Some(Refusal::BadRequest),
        (ErrorType::ReadTimedout | ErrorType::WriteTimedout, ErrorSource::Upstream) => {
            Some(Refusal::UpstreamLate)
        }
        (
            ErrorType::ConnectTimedout
            | ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError,
            _,
        ) => Some(Refusal::Unavailable),
        (_, ErrorSource::Upstream) => Some(Refusal::UpstreamBroken),
        (_, ErrorSource::Internal | ErrorSource::Unset) => Some(Refusal::Internal),
    }
}

/// When another request will be over is not known.
const AT_ONCE_WAIT: Duration = Duration::from_secs(1);
const UNAVAILABLE_WAIT: Duration = Duration::from_secs(5);
