//! When a connection is dead or late though its socket lives: each stream that has spoken must speak again in time, whatever pings
//! say; and what it tells must not be older than it was. How late data are is measured against the least that the connection
//! ever had, so that a venue whose clock is not ours is not late.

use std::time::Duration;

use super::{LANES, Lane};
use crate::domain::time::Timestamp;

/// How long each stream may be silent: a mark comes once a second or once in three, books and touches of the quietest symbols once
/// in some ten seconds. Nobody has to trade, and a candle comes when it comes.
const SILENCE_MAX: [Option<Duration>; LANES] =
    [Some(Duration::from_secs(60)), Some(Duration::from_secs(60)), None, Some(Duration::from_secs(15)), None];
/// Later than this is not now any more: what is decided on it is decided on the past.
const LATE_MAX: Duration = Duration::from_secs(5);
/// One frame that hung somewhere is no lag; for so long, it is.
const LATE_FOR: Duration = Duration::from_secs(2);

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    Silent { lane: Lane, since: Duration },
    Behind { by: Duration },
}

/// The streams of one symbol on one connection.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    heard_at: [Option<Timestamp>; LANES],
    /// The least difference between our clock and the venue's, in nanoseconds.
    least: Option<i64>,
    late_since: Option<Timestamp>,
}

impl Watch {
    /// A frame of a lane came. `venue_time` is the venue's own, where the frame had one.
    pub fn heard(&mut self, now: Timestamp, lane: Lane, venue_time: Option<Timestamp>) -> Option<Late> {
        self.heard_at[lane as usize] = Some(now);
        let difference = now.0.saturating_sub(venue_time?.0);
        let least = *self.least.insert(self.least.map_or(difference, |least| least.min(difference)));
        let by = Duration::from_nanos(difference.saturating_sub(least).unsigned_abs());
        if by <= LATE_MAX {
            self.late_since = None;
            return None;
        }
        let since = *self.late_since.get_or_insert(now);
        (now.since(since) >= LATE_FOR).then_some(Late::Behind { by })
    }

    /// Time has passed.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Option<Late> {
        const ALL: [Lane; LANES] = [Lane::Depth, Lane::Ticker, Lane::Trade, Lane::Mark, Lane::Candle];
        ALL.into_iter().find_map(|lane| {
            let (heard_at, most) = (self.heard_at[lane as usize]?, SILENCE_MAX[lane as usize]?);
            let since = now.since(heard_at);
            (since > most).then_some(Late::Silent { lane, since })
        })
    }
}

impl std::fmt::Display for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent { lane, since } => write!(f, "expected the {lane:?} stream to speak, found it silent for {since:?}"),
            Self::Behind { by } => write!(f, "expected data of now, found them {by:?} late"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_723_110_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_stream_that_spoke_once_must_go_on() {
        let mut watch = Watch::default();
        assert_eq!(watch.overdue(START + SECOND * 3_600), None, "what never spoke is not missed");
        watch.heard(START, Lane::Mark, None);
        watch.heard(START, Lane::Trade, None);
        assert_eq!(watch.overdue(START + SECOND * 15), None);
        let late = watch.overdue(START + SECOND * 16).unwrap();
        assert_eq!(late, Late::Silent { lane: Lane::Mark, since: SECOND * 16 });
        watch.heard(START + SECOND * 16, Lane::Mark, None);
        assert_eq!(watch.overdue(START + SECOND * 30), None, "nobody has to trade");
    }

    #[test]
    fn lag_is_measured_against_the_connections_own_best() {
        // The venue's clock is an hour ahead, which is no lag.
        let venue = |at: Timestamp| Some(at + SECOND * 3_600);
        let mut watch = Watch::default();
        for n in 0..10 {
            let now = START + SECOND * n;
            assert_eq!(watch.heard(now, Lane::Depth, venue(now - Duration::from_millis(40))), None);
        }
        let late = |watch: &mut Watch, n: u32| {
            let now = START + SECOND * n;
            watch.heard(now, Lane::Depth, venue(now - SECOND * 7))
        };
        assert_eq!(late(&mut watch, 10), None, "one late frame is none");
        assert_eq!(late(&mut watch, 11), None);
        assert_eq!(late(&mut watch, 12), Some(Late::Behind { by: SECOND * 7 - Duration::from_millis(40) }));
        let now = START + SECOND * 13;
        assert_eq!(watch.heard(now, Lane::Depth, venue(now)), None);
        assert_eq!(late(&mut watch, 14), None, "it had caught up");
    }
}
