//! Windows of time by the wall clock of a place: hours, days of the week, dates.
//!
//! A moment is turned into the clock of the place and never the other way, so every moment has exactly
//! one answer: an hour that a change of the clocks skips is in no window, and one that comes twice is in
//! its window both times. What time it is comes in as an argument.

use jiff::civil::Date;
use jiff::civil::Time;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::tz::TimeZoneDatabase;

use crate::model::time::Timestamp;

/// When something holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    /// Whose clock counts.
    pub zone: TimeZone,
    /// The days of the week on which a window begins; none means every day.
    pub days: Days,
    /// The hours; none means the whole day.
    pub hours: Option<Hours>,
    /// The dates on which a window begins, first and last; empty means every date.
    pub dates: Vec<(Date, Date)>,
}

/// Days of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Days(u8);

/// Hours of a day, or over midnight where the end is not after the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The first moment that belongs to them.
    pub from: Time,
    /// The first that does not; none is midnight at the end of the day.
    pub to: Option<Time>,
}

impl TimeWindow {
    /// Whether a moment lies in the window; `None` where the calendar does not know the moment. What
    /// begins before midnight belongs, as a whole, to the day on which it begins.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> Option<bool> {
        let here = local(&self.zone, now)?;
        let (date, time) = (here.date(), here.time());
        let begun = match self.hours {
            None => Some(date),
            Some(hours) => hours.begun(date, time),
        };
        Some(begun.is_some_and(|date| self.has_day(date)))
    }

    fn has_day(&self, date: Date) -> bool {
        let in_range = |(first, last): &(Date, Date)| (*first..=*last).contains(&date);
        let is_date = self.dates.is_empty() || self.dates.iter().any(in_range);
        is_date && (self.days == Days::default() || self.days.has(date.weekday()))
    }
}

impl Hours {
    /// The date on which the hours began that a time belongs to, if it does to any.
    fn begun(self, date: Date, time: Time) -> Option<Date> {
        let over_midnight = self.to.is_some_and(|to| to <= self.from);
        let before_end = self.to.is_none_or(|to| time < to);
        match (time >= self.from, over_midnight) {
            (true, true) => Some(date),
            (true, false) => before_end.then_some(date),
            (false, true) if before_end => date.yesterday().ok(),
            (false, _) => None,
        }
    }
}

impl Days {
    /// These days and one more.
    #[must_use]
    pub fn with(self, day: Weekday) -> Self {
        Self(self.0 | bit(day))
    }

    fn has(self, day: Weekday) -> bool {
        self.0 & bit(day) != 0
    }
}

fn bit(day: Weekday) -> u8 {
    1 << day.to_monday_zero_offset()
}

/// Finds a time zone by its IANA name, in the data that is built in: which rules hold does not depend on
/// the machine.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

/// What the clocks of a zone show at a moment.
#[must_use]
pub fn local(zone: &TimeZone, moment: Timestamp) -> Option<jiff::civil::DateTime> {
    let millis = i64::try_from(moment.as_millis()).ok()?;
    let moment = jiff::Timestamp::from_millisecond(millis).ok()?;
    Some(zone.to_datetime(moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_that_is_skipped_is_in_no_window_and_the_one_that_comes_twice_is_in_it_twice() {
        // Berlin: on 29 March 2026 the clocks go from 2:00 to 3:00, on 25 October from 3:00 to 2:00.
        let window = hours("Europe/Berlin", (2, 0), Some((3, 0)));
        for (moment, expected) in [
            ("2026-03-29T00:59:59Z", false),
            ("2026-03-29T01:00:00Z", false),
            ("2026-03-28T01:30:00Z", true),
            ("2026-10-24T23:59:59Z", false),
            ("2026-10-25T00:00:00Z", true),
            ("2026-10-25T00:59:59Z", true),
            ("2026-10-25T01:00:00Z", true),
            ("2026-10-25T01:59:59Z", true),
            ("2026-10-25T02:00:00Z", false),
        ] {
            assert_eq!(window.holds(at(moment)), Some(expected), "{moment}");
        }
        // A window around the gap: on that day it is an hour shorter, and has no hole.
        let night = hours("Europe/Berlin", (1, 0), Some((4, 0)));
        let holding = (0..23 * 60)
            .map(|minute| at("2026-03-28T23:00:00Z").after(minutes(minute)))
            .filter(|moment| night.holds(*moment) == Some(true));
        assert_eq!(holding.count(), 120);
        let overlap = (0..25 * 60)
            .map(|minute| at("2026-10-24T22:00:00Z").after(minutes(minute)))
            .filter(|moment| night.holds(*moment) == Some(true));
        assert_eq!(overlap.count(), 240);
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
        let mut window = hours("UTC", (22, 0), Some((6, 0)));
        window.days = Days::default().with(Weekday::Friday);
        for (moment, expected) in [
            ("2026-11-20T21:59:59Z", false),
            ("2026-11-20T22:00:00Z", true),
            ("2026-11-21T05:59:59Z", true),
            ("2026-11-21T06:00:00Z", false),
            ("2026-11-21T22:30:00Z", false),
            ("2026-11-20T05:00:00Z", false),
        ] {
            assert_eq!(window.holds(at(moment)), Some(expected), "{moment}");
        }
    }

    #[test]
    fn dates_and_days_are_those_of_the_place() {
        let mut window = hours("Pacific/Auckland", (0, 0), None);
        window.dates = vec![("2026-12-25".parse().unwrap(), "2026-12-26".parse().unwrap())];
        for (moment, expected) in [
            ("2026-12-24T10:59:59Z", false),
            ("2026-12-24T11:00:00Z", true),
            ("2026-12-26T10:59:59Z", true),
            ("2026-12-26T11:00:00Z", false),
        ] {
            assert_eq!(window.holds(at(moment)), Some(expected), "{moment}");
        }
        window.days = Days::default().with(Weekday::Saturday);
        assert_eq!(window.holds(at("2026-12-24T11:00:00Z")), Some(false));
        assert_eq!(window.holds(at("2026-12-25T11:00:00Z")), Some(true));
    }

    #[test]
    fn a_moment_beyond_the_calendar_cannot_be_told() {
        let window = hours("UTC", (0, 0), None);
        assert_eq!(window.holds(Timestamp::from_millis(u64::MAX)), None);
        assert_eq!(window.holds(Timestamp::from_millis(i64::MAX as u64)), None);
    }

    #[test]
    fn zones_are_those_of_the_data_that_is_built_in() {
        for name in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"] {
            assert!(zone(name).is_some(), "{name}");
        }
        for name in ["", "Berlin", "CEST", "Europe/../etc/passwd", "+02:00"] {
            assert!(zone(name).is_none(), "{name}");
        }
    }

    fn hours(name: &str, from: (i8, i8), to: Option<(i8, i8)>) -> TimeWindow {
        let time = |(hour, minute)| Time::constant(hour, minute, 0, 0);
        TimeWindow {
            zone: zone(name).unwrap(),
            days: Days::default(),
            hours: Some(Hours {
                from: time(from),
                to: to.map(time),
            }),
            dates: Vec::new(),
        }
    }

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_millis(moment.as_millisecond().try_into().unwrap())
    }

    fn minutes(count: u64) -> std::time::Duration {
        std::time::Duration::from_mins(count)
    }
}
