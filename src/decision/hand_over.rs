//! The way of a browser between gate and collector: when it takes a new sign-in, what becomes of a session
//! that a gate cannot take up, and when the way has gone round too often (MDC-ADOPT-4, MDC-FAIL-3, D-10).
//!
//! What is asked and answered on the way is in `gate` and the collector.

use std::num::NonZeroU8;
use std::time::Duration;

use crate::crypto::claims::Freshness;
use crate::crypto::claims::Rounds;
use crate::crypto::claims::Seen;
use crate::crypto::tags::AddressTag;
use crate::decision::endpoints;
use crate::model::claim::NotLive;
use crate::model::name::HostName;
use crate::model::time::Timestamp;

/// What becomes of a browser that comes back from the collector with a session that does not serve here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upshot {
    /// The user signs in anew.
    SignInAnew,
    /// It is told that this does not work at the moment.
    TryLater,
    /// It is told that this does not work.
    TurnAway,
    /// It is told that clocks differ.
    TellOfClocks,
}

/// What becomes of a session that the collector honours and this data centre does not. To send the browser
/// back without more ado would have it handed over again, and again; who has just signed in for this is
/// not asked to do so once more.
#[must_use]
pub const fn upshot(why: NotLive, freshness: Freshness) -> Upshot {
    match (why, freshness) {
        (NotLive::Unanswered | NotLive::LeaseOver | NotLive::HeldElsewhere, _) => Upshot::TryLater,
        (NotLive::Skew, _) => Upshot::TellOfClocks,
        // It may have been ended in another tab meanwhile.
        (
            NotLive::Ended
            | NotLive::Expired
            | NotLive::ExpiredHere
            | NotLive::Idle
            | NotLive::IdleHere,
            _,
        ) => Upshot::SignInAnew,
        (NotLive::Refused | NotLive::Mismatched | NotLive::UnknownStore, _)
        | (_, Freshness::Now) => Upshot::TurnAway,
        (NotLive::Disabled | NotLive::Missing | NotLive::Reauthenticate, Freshness::Earlier) => {
            Upshot::SignInAnew
        }
    }
}

/// How recent an authentication has to be for a gate that did not honour a cookie for this reason.
#[must_use]
pub const fn demanded(refused: Option<NotLive>) -> Freshness {
    match refused {
        Some(NotLive::Reauthenticate) => Freshness::Now,
        Some(
            NotLive::Disabled
            | NotLive::Ended
            | NotLive::Expired
            | NotLive::ExpiredHere
            | NotLive::HeldElsewhere
            | NotLive::Idle
            | NotLive::IdleHere
            | NotLive::LeaseOver
            | NotLive::Mismatched
            | NotLive::Missing
            | NotLive::Refused
            | NotLive::Skew
            | NotLive::Unanswered
            | NotLive::UnknownStore,
        )
        | None => Freshness::Earlier,
    }
}

/// What is told to the collector of a cookie that was not honoured.
#[must_use]
pub const fn seen(why: NotLive) -> Seen {
    match why {
        NotLive::HeldElsewhere
        | NotLive::LeaseOver
        | NotLive::Mismatched
        | NotLive::Refused
        | NotLive::Unanswered
        | NotLive::UnknownStore => Seen::Unconfirmed,
        NotLive::Skew => Seen::ClocksDiffer,
        NotLive::Disabled
        | NotLive::Ended
        | NotLive::Expired
        | NotLive::ExpiredHere
        | NotLive::Idle
        | NotLive::IdleHere
        | NotLive::Missing
        | NotLive::Reauthenticate => Seen::Over,
    }
}

/// What is to blame for rounds that do not end. The request of the last one was made after the first, which
/// was at `since`, and not later than now. One that says otherwise has its time from a clock that is further
/// off than clocks may be: what is made for its gate has lapsed there on arrival (S-22, S-24).
#[must_use]
pub fn blamed(
    seen: Seen,
    requested: Timestamp,
    since: Timestamp,
    now: Timestamp,
    limit: Duration,
) -> Seen {
    let is_late = requested.after(limit) < since;
    if is_late || requested > now.after(limit) {
        Seen::ClocksDiffer
    } else {
        seen
    }
}

/// Counts one more round without a question to the same target of a host; none where there were enough of
/// them. Tabs that are opened at once show the same cookie, and so count as one.
///
/// The page that sends a kept post again (D-22) has another query each time, so all those of a host are one
/// target. It submits itself, which no browser ever stops, at the pace of scripts and networks: its rounds
/// are told from honest ones by nothing but their number.
#[must_use]
pub fn one_more(
    before: Option<Rounds>,
    (host, target): (&HostName, &str),
    seen: Seen,
    now: Timestamp,
) -> Option<Rounds> {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let (target, window) = if path == endpoints::REPLAY {
        (path, WINDOW)
    } else {
        (target, window(seen))
    };
    let to = AddressTag::of(host, target);
    let going_on = before.filter(|rounds| rounds.to == to && now.since(rounds.since) < window);
    let Some(rounds) = going_on else {
        return Some(Rounds {
            to,
            count: NonZeroU8::MIN,
            since: now,
        });
    };
    (rounds.count < ROUNDS_MAX).then(|| Rounds {
        count: rounds.count.saturating_add(1),
        ..rounds
    })
}

/// An authn cookie that lapses soon is renewed often, and so is one whose bearer reaches a host now by one address
/// and now by another; neither is a fault. Rounds that are one follow on each other's heels.
const fn window(seen: Seen) -> Duration {
    match seen {
        Seen::Good | Seen::Strayed => Duration::from_secs(5),
        Seen::ClocksDiffer
        | Seen::NonceOnly
        | Seen::Nothing
        | Seen::Over
        | Seen::Unconfirmed
        | Seen::Unreadable => WINDOW,
    }
}

const WINDOW: Duration = Duration::from_mins(1);

/// Rounds that are gone; browsers follow about twenty redirects in a row, which are six or seven.
const ROUNDS_MAX: NonZeroU8 = match NonZeroU8::new(3) {
    Some(most) => most,
    None => NonZeroU8::MIN,
};

#[cfg(test)]
mod tests {
    use super::*;

    const BEGINNING: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn one_round(
        before: Option<Rounds>,
        target: &str,
        seen: Seen,
        now: Timestamp,
    ) -> Option<Rounds> {
        let host = HostName::parse("app.test").unwrap();
        one_more(before, (&host, target), seen, now)
    }

    /// How many rounds are gone, one every `apart`, before it is said to be enough; at most 20.
    fn rounds(seen: Seen, apart: Duration) -> u32 {
        rounds_to(|_| "/".to_owned(), seen, apart)
    }

    fn rounds_to(target: impl Fn(u32) -> String, seen: Seen, apart: Duration) -> u32 {
        let (mut before, mut now) = (None, BEGINNING);
        for gone in 0..20 {
            match one_round(before, &target(gone), seen, now) {
                None => return gone,
                more @ Some(_) => before = more,
            }
            now = now.after(apart);
        }
        20
    }

    #[test]
    fn three_rounds_within_a_minute_are_enough_d_10() {
        assert_eq!(rounds(Seen::Nothing, Duration::ZERO), 3);
        assert_eq!(rounds(Seen::Unconfirmed, 19 * SECOND), 3);
        assert_eq!(rounds(Seen::Unconfirmed, 20 * SECOND), 20);
    }

    #[test]
    fn a_cookie_that_lapses_soon_or_strays_is_renewed_again_and_again_mdc_cookie_3_d_19() {
        assert_eq!(rounds(Seen::Good, 2 * SECOND), 20);
        assert_eq!(rounds(Seen::Good, SECOND), 3);
        assert_eq!(rounds(Seen::Strayed, 2 * SECOND), 20);
        assert_eq!(rounds(Seen::Strayed, SECOND), 3);
    }

    #[test]
    fn a_kept_post_is_sealed_anew_in_each_round_and_counted_all_the_same_d_10_d_22() {
        let replay = |n: u32| format!("{}?{}=sealed{n}", endpoints::REPLAY, endpoints::POST);
        for seen in [Seen::NonceOnly, Seen::Good, Seen::Strayed] {
            assert_eq!(rounds_to(replay, seen, Duration::ZERO), 3, "{seen:?}");
            assert_eq!(rounds_to(replay, seen, 19 * SECOND), 3, "{seen:?}");
            assert_eq!(rounds_to(replay, seen, 20 * SECOND), 20, "{seen:?}");
        }
        let other = |n: u32| format!("{}{n}?p=sealed", endpoints::REPLAY);
        assert_eq!(rounds_to(other, Seen::NonceOnly, Duration::ZERO), 20);
    }

    #[test]
    fn another_address_begins_anew_and_tabs_that_open_at_once_count_as_one_d_9_d_10() {
        let mut before = None;
        for n in 0..20 {
            let target = format!("/{n}");
            before = one_round(before, &target, Seen::Nothing, BEGINNING);
            assert_eq!(before.unwrap().count, NonZeroU8::MIN);
        }
        for _ in 0..20 {
            let tab = one_round(before, "/19", Seen::Nothing, BEGINNING);
            assert_eq!(tab.unwrap().count.get(), 2);
        }
    }

    #[test]
    fn a_clock_that_is_behind_ends_no_count_early() {
        let first = one_round(None, "/", Seen::Nothing, BEGINNING).unwrap();
        let behind = BEGINNING.before(100 * SECOND);
        let second = one_round(Some(first), "/", Seen::Nothing, behind).unwrap();
        assert_eq!(second.count.get(), 2);
    }

    #[test]
    fn silence_is_told_and_not_asked_about_again_mdc_fail_3() {
        for freshness in [Freshness::Earlier, Freshness::Now] {
            for why in [
                NotLive::Unanswered,
                NotLive::LeaseOver,
                NotLive::HeldElsewhere,
            ] {
                assert_eq!(upshot(why, freshness), Upshot::TryLater, "{why:?}");
            }
            for why in [NotLive::Refused, NotLive::Mismatched, NotLive::UnknownStore] {
                assert_eq!(upshot(why, freshness), Upshot::TurnAway, "{why:?}");
            }
        }
    }

    #[test]
    fn clocks_that_are_too_far_apart_are_told_and_no_sign_in_is_asked_for_s_22() {
        for freshness in [Freshness::Earlier, Freshness::Now] {
            let upshot = upshot(NotLive::Skew, freshness);
            assert_eq!(upshot, Upshot::TellOfClocks);
        }
        assert_eq!(seen(NotLive::Skew), Seen::ClocksDiffer);
        assert_eq!(demanded(Some(NotLive::Skew)), Freshness::Earlier);
    }

    #[test]
    fn a_request_from_before_the_rounds_or_after_now_blames_the_clocks_d_10_s_22() {
        let (since, now) = (BEGINNING, BEGINNING.after(2 * SECOND));
        let limit = 120 * SECOND;
        let blamed = |requested| blamed(Seen::NonceOnly, requested, since, now, limit);
        let within = [since.before(limit), since, now, now.after(limit)];
        for requested in within {
            assert_eq!(blamed(requested), Seen::NonceOnly, "{requested:?}");
        }
        for requested in [
            since.before(limit + SECOND),
            now.after(limit + SECOND),
            since.before(10_000 * SECOND),
            now.after(10_000 * SECOND),
        ] {
            assert_eq!(blamed(requested), Seen::ClocksDiffer, "{requested:?}");
        }
    }

    #[test]
    fn nobody_is_asked_to_sign_in_anew_who_has_just_done_so_mdc_adopt_4() {
        for why in [NotLive::Reauthenticate, NotLive::Missing, NotLive::Disabled] {
            assert_eq!(
                upshot(why, Freshness::Earlier),
                Upshot::SignInAnew,
                "{why:?}"
            );
            assert_eq!(upshot(why, Freshness::Now), Upshot::TurnAway, "{why:?}");
        }
    }

    #[test]
    fn a_session_that_was_ended_in_another_tab_meanwhile_leads_to_the_login_page_s_17() {
        for freshness in [Freshness::Earlier, Freshness::Now] {
            for why in [
                NotLive::Ended,
                NotLive::Expired,
                NotLive::ExpiredHere,
                NotLive::Idle,
                NotLive::IdleHere,
            ] {
                assert_eq!(upshot(why, freshness), Upshot::SignInAnew, "{why:?}");
            }
        }
    }
}
