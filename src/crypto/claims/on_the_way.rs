//! How is written what tells of the way between gate and collector: how recent an authentication is, what
//! came with the browser, how often it went round, what a host asks of sessions.

use std::num::NonZeroU8;
use std::time::Duration;

use crate::crypto::bearer::Bound;
use crate::crypto::claims::Freshness;
use crate::crypto::claims::Rounds;
use crate::crypto::claims::Seen;
use crate::crypto::codec::Malformed;
use crate::crypto::codec::Reader;
use crate::crypto::codec::Writer;
use crate::crypto::tags::AddressTag;
use crate::model::claim::Activity;
use crate::model::claim::HostLimits;
use crate::model::time::Timestamp;

pub(super) fn write_freshness(to: &mut Writer, freshness: Freshness) {
    to.byte(match freshness {
        Freshness::Earlier => 0,
        Freshness::Now => 1,
    });
}

pub(super) fn read_freshness(from: &mut Reader<'_>) -> Result<Freshness, Malformed> {
    match from.byte()? {
        0 => Ok(Freshness::Earlier),
        1 => Ok(Freshness::Now),
        _ => Err(Malformed),
    }
}

/// What came with the browser, what the host asks of sessions, and whether this is activity. Most hosts ask
/// nothing, which takes no byte.
pub(super) fn write_seen(to: &mut Writer, seen: Seen, limits: &HostLimits, activity: Activity) {
    let seen = match seen {
        Seen::Nothing => 0,
        Seen::NonceOnly => 1,
        Seen::Unreadable => 2,
        Seen::ClocksDiffer => 3,
        Seen::Good => 4,
        Seen::Over => 5,
        Seen::Unconfirmed => 6,
        Seen::Strayed => 7,
    };
    let renews = match activity {
        Activity::Counts => 0,
        Activity::None => NO_ACTIVITY,
    };
    if *limits == HostLimits::NONE {
        to.byte(seen | renews);
        return;
    }
    to.byte(seen | renews | LIMITED);
    for limit in [limits.idle_timeout, limits.lifetime] {
        // No limit is zero long.
        let millis = limit.map_or(0, |limit| limit.as_millis());
        to.short_number(u64::try_from(millis).unwrap_or(u64::MAX));
    }
}

pub(super) fn read_seen(from: &mut Reader<'_>) -> Result<(Seen, HostLimits, Activity), Malformed> {
    let byte = from.byte()?;
    let activity = match byte & NO_ACTIVITY {
        0 => Activity::Counts,
        _ => Activity::None,
    };
    let seen = match byte & !(LIMITED | NO_ACTIVITY) {
        0 => Seen::Nothing,
        1 => Seen::NonceOnly,
        2 => Seen::Unreadable,
        3 => Seen::ClocksDiffer,
        4 => Seen::Good,
        5 => Seen::Over,
        6 => Seen::Unconfirmed,
        7 => Seen::Strayed,
        _ => return Err(Malformed),
    };
    if byte & LIMITED == 0 {
        return Ok((seen, HostLimits::NONE, activity));
    }
    let mut limit = || {
        let millis = from.short_number()?;
        Ok((millis > 0).then(|| Duration::from_millis(millis)))
    };
    let limits = HostLimits {
        idle_timeout: limit()?,
        lifetime: limit()?,
    };
    // A second spelling of none.
    if limits == HostLimits::NONE {
        return Err(Malformed);
    }
    Ok((seen, limits, activity))
}

/// How many rounds there were, in a byte whose highest bits are for what else is there; most cookies know of none.
/// A count beyond 31 is cut, which none reaches.
pub(super) fn rounds_count(rounds: Option<&Rounds>) -> u8 {
    rounds.map_or(0, |rounds| rounds.count.get().min(!Bound::KINDS))
}

pub(super) fn write_rounds(to: &mut Writer, rounds: Option<&Rounds>, begun: Timestamp) {
    if let Some(rounds) = rounds {
        to.raw(rounds.to.as_bytes()).time_after(begun, rounds.since);
    }
}

pub(super) fn read_rounds(
    from: &mut Reader<'_>,
    count: u8,
    begun: Timestamp,
) -> Result<Option<Rounds>, Malformed> {
    let Some(count) = NonZeroU8::new(count) else {
        return Ok(None);
    };
    Ok(Some(Rounds {
        to: AddressTag::from_bytes(from.array()?),
        count,
        since: from.time_after(begun)?,
    }))
}

/// Set beside what was seen where limits follow.
const LIMITED: u8 = 0x80;
/// Set beside it where the request is no activity.
const NO_ACTIVITY: u8 = 0x40;
