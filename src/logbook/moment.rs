//! Points in time as they stand in lines, always UTC.

use crate::model::time::Timestamp;

/// How a point in time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MomentStyle {
    /// `2026-11-22T14:05:06.789Z`.
    Rfc3339,
    /// `22/Nov/2026:14:05:06 +0000`, as in the combined log format.
    Combined,
}

/// Writes points in time, remembering the second written last: many lines share it.
#[derive(Debug, Default)]
pub struct MomentWriter {
    second: Option<(u64, MomentStyle)>,
    text: Vec<u8>,
}

impl MomentWriter {
    /// Appends a point in time.
    pub fn write(&mut self, at: Timestamp, style: MomentStyle, line: &mut Vec<u8>) {
        if self.second != Some((at.as_secs(), style)) {
            self.text.clear();
            write_second(at.as_secs(), style, &mut self.text);
            self.second = Some((at.as_secs(), style));
        }
        line.extend_from_slice(&self.text);
        if style == MomentStyle::Rfc3339 {
            line.push(b'.');
            push_digits(at.as_millis() % 1000, 3, line);
            line.push(b'Z');
        }
    }
}

/// A point in time as in RFC 3339.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let mut text = Vec::new();
    MomentWriter::default().write(at, MomentStyle::Rfc3339, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// The same to the second, for people.
#[must_use]
pub fn rfc3339_seconds(at: Timestamp) -> String {
    let mut text = Vec::new();
    write_second(at.as_secs(), MomentStyle::Rfc3339, &mut text);
    text.push(b'Z');
    String::from_utf8(text).unwrap_or_default()
}

fn write_second(second: u64, style: MomentStyle, text: &mut Vec<u8>) {
    let (year, month, day) = date_of(second / SECONDS_A_DAY);
    let of_day = second % SECONDS_A_DAY;
    let time = [of_day / 3600, of_day / 60 % 60, of_day % 60];
    match style {
        MomentStyle::Rfc3339 => {
            push_digits(year, 4, text);
            text.push(b'-');
            push_digits(month, 2, text);
            text.push(b'-');
            push_digits(day, 2, text);
            push_time(b'T', time, text);
        }
        MomentStyle::Combined => {
            push_digits(day, 2, text);
            text.push(b'/');
            let index = usize::try_from(month.saturating_sub(1)).unwrap_or_default();
            text.extend_from_slice(MONTHS.get(index).copied().unwrap_or_default());
            text.push(b'/');
            push_digits(year, 4, text);
            push_time(b':', time, text);
            text.extend_from_slice(b" +0000");
        }
    }
}

fn push_time(mark: u8, [hour, minute, second]: [u64; 3], text: &mut Vec<u8>) {
    for (mark, part) in [(mark, hour), (b':', minute), (b':', second)] {
        text.push(mark);
        push_digits(part, 2, text);
    }
}

/// The civil date of a day since the Unix epoch, by counting from a March: leap days come last then.
const fn date_of(day: u64) -> (u64, u64, u64) {
    let day = day + DAYS_TO_EPOCH;
    let era = day / DAYS_AN_ERA;
    let of_era = day % DAYS_AN_ERA;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_month)
}

/// Appends a number with at least so many digits.
pub(super) fn push_digits(number: u64, width: usize, text: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut rest = number;
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        if rest == 0 && used >= width.max(1) {
            break;
        }
        *place += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used += 1;
    }
    let begin = digits.len().saturating_sub(used);
    text.extend_from_slice(digits.get(begin..).unwrap_or_default());
}

const SECONDS_A_DAY: u64 = 24 * 60 * 60;
/// Days of 400 years of the Gregorian calendar.
const DAYS_AN_ERA: u64 = 146_097;
/// From the first of March of the year 0.
const DAYS_TO_EPOCH: u64 = 719_468;
const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn written(millis: u64, style: MomentStyle) -> String {
        let mut line = Vec::new();
        let mut writer = MomentWriter::default();
        writer.write(Timestamp::from_millis(millis), style, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn every_day_of_centuries_reads_as_a_calendar_says() {
        for day in (0..80_000).step_by(13) {
            let millis = day * 86_400_000 + 45_296_007;
            let expected = jiff::Timestamp::from_millisecond(i64::try_from(millis).unwrap());
            let expected = format!("{:.3}", expected.unwrap());
            assert_eq!(written(millis, MomentStyle::Rfc3339), expected);
        }
        let at = 1_795_356_306_789;
        assert_eq!(
            written(at, MomentStyle::Combined),
            "22/Nov/2026:14:05:06 +0000"
        );
        assert_eq!(
            rfc3339_seconds(Timestamp::from_millis(at)),
            "2026-11-22T14:05:06Z"
        );
    }

    #[test]
    fn the_second_that_is_remembered_is_the_one_that_is_written() {
        let mut writer = MomentWriter::default();
        let mut line = Vec::new();
        for millis in [999, 1000, 1001, 999] {
            writer.write(
                Timestamp::from_millis(millis),
                MomentStyle::Rfc3339,
                &mut line,
            );
        }
        let expected = "1970-01-01T00:00:00.999Z1970-01-01T00:00:01.000Z1970-01-01T00:00:01.001Z1970-01-01T00:00:00.999Z";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn numbers_have_the_digits_asked_for_and_as_many_as_they_need() {
        let digits = |number, width| {
            let mut text = Vec::new();
            push_digits(number, width, &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(digits(0, 0), "0");
        assert_eq!(digits(7, 3), "007");
        assert_eq!(digits(12_345, 2), "12345");
        assert_eq!(digits(u64::MAX, 1), u64::MAX.to_string());
    }
}
