//! Kline intervals in Binance's words: `1s`, `1m`, `15m`, `1h`, `1d`, `1w`. Between Ringfence's own client and the exchange that
//! it carries inside, any whole number of seconds is an interval too (`5s`); that is an extension, which Binance refuses.
//! Months have no fixed length and are not made here.

use std::time::Duration;

use crate::domain::market_data::Candle;

const INTERVALS: [(u64, &str); 15] = [
    (1, "1s"),
    (60, "1m"),
    (180, "3m"),
    (300, "5m"),
    (900, "15m"),
    (1_800, "30m"),
    (3_600, "1h"),
    (7_200, "2h"),
    (14_400, "4h"),
    (21_600, "6h"),
    (28_800, "8h"),
    (43_200, "12h"),
    (86_400, "1d"),
    (259_200, "3d"),
    (604_800, "1w"),
];

/// The longest bar that is built anywhere.
const SECONDS_MAX: u64 = 30 * 86_400;

/// The interval's name; of one that Binance does not have, its seconds. `None` for what is no whole number of seconds, or none
/// at all.
#[must_use]
pub fn interval_name(interval: Duration) -> Option<String> {
    let seconds = interval.as_secs();
    if interval.subsec_nanos() != 0 || !(1..=SECONDS_MAX).contains(&seconds) {
        return None;
    }
    let known = INTERVALS.iter().find(|(known, _)| *known == seconds);
    Some(known.map_or_else(|| format!("{seconds}s"), |(_, name)| (*name).to_owned()))
}

/// The interval of that name: one of Binance's, or a whole number of seconds.
#[must_use]
pub fn interval_of(name: &str) -> Option<Duration> {
    if let Some((seconds, _)) = INTERVALS.iter().find(|(_, known)| *known == name) {
        return Some(Duration::from_secs(*seconds));
    }
    let digits = name.strip_suffix('s').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0'))?;
    let seconds = digits.parse().ok().filter(|seconds| (1..=SECONDS_MAX).contains(seconds))?;
    Some(Duration::from_secs(seconds))
}

/// The length of a candle, in whole seconds. Its close time is the last instant inside: a unit (1 ms, 1 µs or 1 ns) before the
/// next open.
#[must_use]
pub fn candle_interval(candle: &Candle) -> Duration {
    Duration::from_secs((candle.close_time.since(candle.open_time) + Duration::from_millis(1)).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_binance_is_read_and_written_back() {
        for (seconds, name) in INTERVALS {
            assert_eq!(interval_of(name), Some(Duration::from_secs(seconds)), "{name}");
            assert_eq!(interval_name(Duration::from_secs(seconds)).as_deref(), Some(name));
        }
    }

    #[test]
    fn other_whole_seconds_are_named_by_their_number() {
        assert_eq!(interval_of("5s"), Some(Duration::from_secs(5)));
        assert_eq!(interval_name(Duration::from_secs(5)).as_deref(), Some("5s"));
        assert_eq!(interval_of("90s"), Some(Duration::from_secs(90)));
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        for name in ["", "s", "0s", "05s", "-1s", "+1s", "1.5s", "7m", "1M", "1H", "99999999999s", "9999999999999999999999s"] {
            assert_eq!(interval_of(name), None, "{name}");
        }
        assert_eq!(interval_name(Duration::from_millis(1_500)), None);
        assert_eq!(interval_name(Duration::ZERO), None);
    }
}
