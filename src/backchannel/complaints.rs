//! Log lines about callers that were turned away, a few of each kind.

use std::net::IpAddr;

use crate::backchannel::wire::Code;
use crate::model::time::Timestamp;
use crate::telemetry;

/// What was complained about lately.
#[derive(Debug, Default)]
pub(super) struct Complaints(telemetry::complaints::Complaints);

impl Complaints {
    /// Tells of a caller, unless the same was told of it lately.
    pub(super) fn tell(&self, caller: IpAddr, code: Option<Code>, why: &str, now: Timestamp) {
        let Some(kept_back) = self.0.note(caller, why, now) else {
            return;
        };
        let code = code.map(Code::as_str);
        tracing::warn!(
            %caller,
            code,
            kept_back,
            reason = why,
            "a back-channel caller was turned away"
        );
    }
}
