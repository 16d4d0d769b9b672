//! Log lines about callers that were turned away, a few of each kind: whoever can connect must not be able
//! to fill the log.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::backchannel::wire::Code;
use crate::decision::upstream::stable_hash;
use crate::model::time::Timestamp;

/// What was complained about lately: for each address the reasons, as hashes.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<IpAddr, Vec<Told>>>);

#[derive(Clone, Copy, Debug)]
struct Told {
    reason: u64,
    at: Timestamp,
    /// Not told since.
    kept_back: u64,
}

impl Complaints {
    /// Tells of a caller, unless the same was told of it lately.
    pub(super) fn tell(&self, caller: IpAddr, code: Option<Code>, why: &str, now: Timestamp) {
        let Some(kept_back) = self.note(caller, why, now) else {
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

    /// Whether to tell, and how often it was not told before.
    fn note(&self, caller: IpAddr, why: &str, now: Timestamp) -> Option<u64> {
        let mut callers = self.0.lock();
        if callers.len() >= CALLERS_MAX && !callers.contains_key(&caller) {
            callers.retain(|_, told| told.iter().any(|told| is_recent(told.at, now)));
            if callers.len() >= CALLERS_MAX {
                return None;
            }
        }
        let told = callers.entry(caller).or_default();
        let reason = stable_hash(why.as_bytes());
        if let Some(last) = told.iter_mut().find(|told| told.reason == reason) {
            if is_recent(last.at, now) {
                last.kept_back = last.kept_back.saturating_add(1);
                return None;
            }
            last.at = now;
            return Some(std::mem::take(&mut last.kept_back));
        }
        told.retain(|told| is_recent(told.at, now) || told.kept_back > 0);
        if told.len() >= REASONS_PER_CALLER_MAX {
            told.retain(|told| is_recent(told.at, now));
        }
        if told.len() >= REASONS_PER_CALLER_MAX {
            return None;
        }
        told.push(Told {
            reason,
            at: now,
            kept_back: 0,
        });
        Some(0)
    }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    at <= now && now.since(at) < QUIET
}

/// How long the same is not told again.
const QUIET: Duration = Duration::from_secs(10);
/// Callers that are remembered, and reasons for each: a caller may make up names without end.
const CALLERS_MAX: usize = 1024;
const REASONS_PER_CALLER_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    #[test]
    fn the_same_is_told_once_in_a_while_with_how_often_it_happened() {
        let complaints = Complaints::default();
        let caller = IpAddr::from([192, 0, 2, 1]);
        let note = |why, seconds| complaints.note(caller, why, at(seconds));
        assert_eq!(note("unknown", 0), Some(0));
        assert_eq!(note("unknown", 1), None);
        assert_eq!(note("wrong cluster", 1), Some(0));
        assert_eq!(note("unknown", 9), None);
        assert_eq!(note("unknown", 10), Some(2));
        assert_eq!(note("unknown", 20), Some(0));
    }

    #[test]
    fn a_crowd_of_callers_and_a_caller_of_many_names_are_not_told_one_by_one() {
        let complaints = Complaints::default();
        for caller in 0..3000_u32 {
            let caller = IpAddr::from(caller.to_be_bytes());
            complaints.note(caller, "unknown", at(0));
        }
        assert_eq!(complaints.0.lock().len(), CALLERS_MAX);
        let caller = IpAddr::from([192, 0, 2, 1]);
        let told = (0..100).filter_map(|name| complaints.note(caller, &format!("{name}"), at(20)));
        assert_eq!(told.count(), REASONS_PER_CALLER_MAX);
        assert_eq!(complaints.note(caller, "another", at(40)), Some(0));
    }
}
