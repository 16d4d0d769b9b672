//! How is written what tells of the way between gate and collector: how recent an authentication is, what
//! came with the browser, how often it went round.

use std::num::NonZeroU8;

use crate::crypto::claims::Freshness;
use crate::crypto::claims::Rounds;
use crate::crypto::claims::Seen;
use crate::crypto::codec::Malformed;
use crate::crypto::codec::Reader;
use crate::crypto::codec::Writer;
use crate::crypto::tags::AddressTag;
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

pub(super) fn write_seen(to: &mut Writer, seen: Seen) {
    to.byte(match seen {
        Seen::Nothing => 0,
        Seen::NonceOnly => 1,
        Seen::Unreadable => 2,
        Seen::ClocksDiffer => 3,
        Seen::Good => 4,
        Seen::Over => 5,
        Seen::Unconfirmed => 6,
    });
}

pub(super) fn read_seen(from: &mut Reader<'_>) -> Result<Seen, Malformed> {
    match from.byte()? {
        0 => Ok(Seen::Nothing),
        1 => Ok(Seen::NonceOnly),
        2 => Ok(Seen::Unreadable),
        3 => Ok(Seen::ClocksDiffer),
        4 => Ok(Seen::Good),
        5 => Ok(Seen::Over),
        6 => Ok(Seen::Unconfirmed),
        _ => Err(Malformed),
    }
}

/// Most cookies know of none, which takes one byte.
pub(super) fn write_rounds(to: &mut Writer, rounds: Option<&Rounds>, begun: Timestamp) {
    match rounds {
        None => to.byte(0),
        Some(rounds) => to
            .byte(rounds.count.get())
            .raw(rounds.to.as_bytes())
            .time_after(begun, rounds.since),
    };
}

pub(super) fn read_rounds(
    from: &mut Reader<'_>,
    begun: Timestamp,
) -> Result<Option<Rounds>, Malformed> {
    let Some(count) = NonZeroU8::new(from.byte()?) else {
        return Ok(None);
    };
    Ok(Some(Rounds {
        to: AddressTag::from_bytes(from.array()?),
        count,
        since: from.time_after(begun)?,
    }))
}
