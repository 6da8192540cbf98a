//! How many new orders one account may send: the rate that its owner set, and the venue's own limits. A pure machine over sliding
//! windows, which are stricter than the venue's calendar ones. It counts; whether an order is worth it is decided elsewhere.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::time::Timestamp;

/// Longer windows (a day's orders on spot) are the server's to count; it answers -1015.
const WINDOW_MAX: Duration = Duration::from_secs(60);

/// Too many orders already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {limit} new orders in {window:?}, found one more; the next one may leave at {until}")]
pub struct TooMany {
    pub limit: u32,
    pub window: Duration,
    pub until: Timestamp,
}

#[derive(Debug, Clone)]
struct Window {
    length: Duration,
    limit: u32,
    sent: VecDeque<Timestamp>,
}

#[derive(Debug, Clone)]
pub struct OrderRate {
    windows: Vec<Window>,
    shut_until: Timestamp,
}

impl OrderRate {
    #[must_use]
    pub fn new(per_second: u32, venue: &[(Duration, u32)]) -> Self {
        let own = (Duration::from_secs(1), per_second);
        let short = venue.iter().copied().filter(|(length, _)| *length <= WINDOW_MAX);
        let window = |(length, limit)| Window { length, limit, sent: VecDeque::new() };
        Self { windows: std::iter::once(own).chain(short).map(window).collect(), shut_until: Timestamp::ZERO }
    }

    /// Counts a new order, or says why it must not leave. `opens` is false for one that only reduces: it counts, and is let
    /// through where the owner's own limit alone is against it.
    ///
    /// # Errors
    /// When there are too many.
    pub fn take(&mut self, now: Timestamp, opens: bool) -> Result<(), TooMany> {
        for (place, window) in self.windows.iter_mut().enumerate() {
            let start = now - window.length;
            while window.sent.front().is_some_and(|sent| *sent <= start) {
                window.sent.pop_front();
            }
            let own = place == 0;
            if window.sent.len() >= window.limit as usize && (opens || !own) {
                let until = window.sent.front().map_or(now, |oldest| *oldest + window.length);
                return Err(TooMany { limit: window.limit, window: window.length, until });
            }
        }
        if now < self.shut_until {
            return Err(TooMany { limit: 0, window: self.shut_until.since(now), until: self.shut_until });
        }
        for window in &mut self.windows {
            window.sent.push_back(now);
        }
        Ok(())
    }

    /// The venue said that it were too many (-1015).
    pub fn refused(&mut self, now: Timestamp, retry_after: Option<Duration>) {
        self.shut_until = self.shut_until.max(now + retry_after.unwrap_or(Duration::from_secs(10)).min(WINDOW_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_owners_rate_slides_and_lets_reductions_pass() {
        let mut rate = OrderRate::new(2, &[]);
        assert!(rate.take(at(0), true).is_ok() && rate.take(at(900), true).is_ok());
        assert_eq!(rate.take(at(999), true).unwrap_err().until, at(1_000));
        assert!(rate.take(at(999), false).is_ok());
        // Counted all the same: two in the second up to now.
        assert!(rate.take(at(1_000), true).is_err());
        assert!(rate.take(at(1_901), true).is_ok());
    }

    #[test]
    fn the_venues_limit_holds_for_everything() {
        let mut rate = OrderRate::new(1_000, &[(Duration::from_secs(10), 3), (Duration::from_secs(86_400), 1)]);
        for millis in 0..3 {
            rate.take(at(millis), true).unwrap();
        }
        let refused = rate.take(at(5_000), false).unwrap_err();
        assert_eq!((refused.limit, refused.until), (3, at(10_000)));
        assert!(rate.take(at(10_000), true).is_ok());
        rate.refused(at(20_000), Some(Duration::from_secs(4)));
        assert!(rate.take(at(23_999), true).is_err() && rate.take(at(24_000), true).is_ok());
    }
}
