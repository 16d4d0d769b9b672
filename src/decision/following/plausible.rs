//! What of a peer's end is believed: an end is taken whatever the peer's clock, but no clock may lock a user
//! out for good or keep an entry for ever (S-15, S-22).

use std::time::Duration;

use crate::model::end::End;
use crate::model::time::Timestamp;

/// The end as far as it can be meant: cutting off no later sign-ins than clocks may differ by, and kept no
/// longer than any session lasts.
#[must_use]
pub fn plausible(mut end: End, now: Timestamp, hard_skew: Duration) -> End {
    let last = now.after(End::KEPT_MAX);
    match &mut end {
        End::Tombstone { expires, .. }
        | End::Moved { expires, .. }
        | End::ProviderCutOff { expires, .. } => *expires = (*expires).min(last),
        End::UserCutOff {
            authenticated_before,
            expires,
            ..
        } => {
            // Its clock may be ahead by that, and it allows others to be ahead of it by as much.
            let latest = now.after(2 * hard_skew);
            *authenticated_before = (*authenticated_before).min(latest);
            *expires = (*expires).min(last);
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::SsoId;
    use crate::model::name::StoreName;
    use crate::model::name::UserName;
    use crate::model::session::EndCause;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);
    const HARD: Duration = Duration::from_mins(2);
    const YEARS: Duration = Duration::from_hours(10 * 366 * 24);

    fn cut_off(before: Timestamp, expires: Timestamp) -> End {
        End::UserCutOff {
            store: StoreName::parse("local").unwrap(),
            subject: UserName::parse("alice").unwrap(),
            authenticated_before: before,
            expires,
        }
    }

    #[test]
    fn a_clock_that_is_years_ahead_locks_nobody_out_for_years_s_15_s_22() {
        let end = plausible(cut_off(NOW.after(YEARS), NOW.after(2 * YEARS)), NOW, HARD);
        assert_eq!(end, cut_off(NOW.after(2 * HARD), NOW.after(End::KEPT_MAX)));
    }

    #[test]
    fn an_end_of_a_clock_that_is_honoured_stays_as_it_is() {
        let day = Duration::from_hours(24);
        let ends = [
            cut_off(NOW.after(2 * HARD), NOW.after(day)),
            End::Tombstone {
                sso: SsoId::from_bytes([1; 16]),
                cause: EndCause::LoggedOut,
                expires: NOW.after(day),
            },
        ];
        for end in ends {
            assert_eq!(plausible(end.clone(), NOW, HARD), end);
        }
    }
}
