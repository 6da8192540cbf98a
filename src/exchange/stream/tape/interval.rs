//! When the bars of an interval open and close: whole numbers of seconds from the epoch, weeks from Monday, months from their
//! first day; moved by an offset where a client counts its days by another clock than UTC.

use std::time::Duration;

use crate::venues::binance::interval::{interval_name, interval_of};

const SECOND_MS: i64 = 1_000;
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;
const WEEK_MS: i64 = 7 * DAY_MS;
/// 1970-01-05, the first Monday.
const MONDAY_MS: i64 = 4 * DAY_MS;

/// The length of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interval {
    Seconds(u32),
    Week,
    Month,
}

impl Interval {
    /// The interval of that name. `1s` is spot's; other whole seconds are nobody's but the daemon's own, and `extended` says
    /// that it is asking.
    #[must_use]
    pub fn of(name: &str, has_second: bool, extended: bool) -> Option<Self> {
        match name {
            "1w" => return Some(Self::Week),
            "1M" => return Some(Self::Month),
            _ => {}
        }
        let seconds = u32::try_from(interval_of(name)?.as_secs()).ok()?;
        let plain = match seconds {
            1 => has_second,
            _ => !name.ends_with('s'),
        };
        (plain || extended).then_some(Self::Seconds(seconds))
    }

    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Week => "1w".to_owned(),
            Self::Month => "1M".to_owned(),
            // An interval is made from its name, so that it has one.
            Self::Seconds(seconds) => interval_name(Duration::from_secs(u64::from(seconds))).unwrap_or_default(),
        }
    }

    /// The opening of the bar that `at` lies in, in milliseconds. `offset` is what a client's clock is ahead of UTC.
    #[must_use]
    pub fn opens(self, at: i64, offset: i64) -> i64 {
        let local = at.saturating_add(offset);
        let opens = match self {
            Self::Seconds(seconds) => down_to(local, i64::from(seconds.max(1)) * SECOND_MS),
            Self::Week => down_to(local - MONDAY_MS, WEEK_MS) + MONDAY_MS,
            Self::Month => month_of(local, 0),
        };
        opens.saturating_sub(offset)
    }

    /// The opening of the bar after the one that opens at `opens`.
    #[must_use]
    pub fn next(self, opens: i64, offset: i64) -> i64 {
        match self {
            Self::Seconds(seconds) => opens.saturating_add(i64::from(seconds.max(1)) * SECOND_MS),
            Self::Week => opens.saturating_add(WEEK_MS),
            Self::Month => month_of(opens.saturating_add(offset), 1).saturating_sub(offset),
        }
    }

    /// The longest that a bar of it may be.
    #[must_use]
    pub fn longest_ms(self) -> i64 {
        match self {
            Self::Seconds(seconds) => i64::from(seconds) * SECOND_MS,
            Self::Week => WEEK_MS,
            Self::Month => 31 * DAY_MS,
        }
    }
}

fn down_to(at: i64, length: i64) -> i64 {
    at.div_euclid(length).saturating_mul(length)
}

/// The first instant of the month that `at` lies in, or of the one `later` after it. Beyond the calendar, the instant itself.
fn month_of(at: i64, later: i16) -> i64 {
    let first = jiff::Timestamp::from_millisecond(at).ok().and_then(|at| {
        let day = at.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month();
        let months = jiff::Span::new().try_months(later).ok()?;
        day.checked_add(months).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()
    });
    first.map_or(at, |first| first.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-08-08 23:54:15.5 UTC, a Thursday.
    const AT: i64 = 1_723_161_255_500;

    #[test]
    fn names_are_the_venues_and_its_own_products() {
        for name in ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"] {
            assert_eq!(Interval::of(name, false, false).map(Interval::name).as_deref(), Some(name));
        }
        assert_eq!(Interval::of("1s", true, false), Some(Interval::Seconds(1)));
        assert_eq!(Interval::of("1s", false, false), None, "USD-M has no seconds");
        assert_eq!(Interval::of("5s", true, false), None);
        assert_eq!(Interval::of("5s", false, true), Some(Interval::Seconds(5)));
        assert_eq!(Interval::of("7m", true, true), None);
    }

    #[test]
    fn weeks_open_on_monday_and_months_on_their_first() {
        assert_eq!(Interval::Week.opens(AT, 0), 1_722_816_000_000);
        assert_eq!(Interval::Month.opens(AT, 0), 1_722_470_400_000);
        assert_eq!(Interval::Month.next(1_722_470_400_000, 0), 1_725_148_800_000);
        assert_eq!(Interval::of("1m", false, false).unwrap().opens(AT, 0), 1_723_161_240_000);
    }

    #[test]
    fn a_day_by_another_clock_opens_at_its_midnight() {
        let day = Interval::of("1d", false, false).unwrap();
        // 2024-08-09 00:00 at UTC+8 is 16:00 UTC of the day before.
        assert_eq!(day.opens(AT, 8 * HOUR_MS), 1_723_132_800_000);
        assert_eq!(Interval::Month.opens(AT, 8 * HOUR_MS), 1_722_470_400_000 - 8 * HOUR_MS);
        assert_eq!(Interval::Month.next(1_722_470_400_000 - 8 * HOUR_MS, 8 * HOUR_MS), 1_725_148_800_000 - 8 * HOUR_MS);
    }
}
