//! How the daemon's time keeps to the wall clock and never goes back. It is fed with the reading of a monotonic clock, and
//! now and then with the wall's; it reads neither.
//!
//! A wall that is ahead (the machine was suspended, the time server came late) is followed at once: whatever was to happen
//! meanwhile is due, and the trading day is the wall's. A wall that is behind is waited for at half speed. Going back would
//! give rows of the journal times before those of their causes; standing still would freeze every deadline for as long as
//! the step was, that of an order without an answer and that of the kill switch's next sweep among them.

use std::time::Duration;

use super::time::Timestamp;

/// Closer than this is not corrected. A bar waits 250 ms for late trades, 200 ms of which are the way of a batch: with this
/// it still closes after them.
const BOUND: Duration = Duration::from_millis(50);
/// A correction backwards begins so much later: whoever reads the clock at this moment by the old rule is not ahead of one
/// who reads it by the new one.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// Where on the wall's time a monotonic clock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallAnchor {
    /// The date of the monotonic clock's zero.
    date: Timestamp,
    /// From here on, and for so long, half of the time that passes is left out.
    slow_from: Duration,
    slow_for: Duration,
}

impl WallAnchor {
    /// Anchors a monotonic clock that shows zero.
    #[must_use]
    pub const fn new(wall: Timestamp) -> Self {
        Self { date: wall, slow_from: Duration::ZERO, slow_for: Duration::ZERO }
    }

    #[must_use]
    pub fn at(&self, elapsed: Duration) -> Timestamp {
        let slowed = elapsed.saturating_sub(self.slow_from).min(self.slow_for);
        self.date + (elapsed - slowed / 2)
    }

    /// The anchor from now on, if the wall is elsewhere than this one leads to.
    #[must_use]
    pub fn following(&self, elapsed: Duration, wall: Timestamp) -> Option<Self> {
        let leads_to = self.date + elapsed - self.slow_for / 2;
        if wall.since(leads_to).max(leads_to.since(wall)) <= BOUND {
            return None;
        }
        let now = self.at(elapsed);
        let ahead = now.since(wall);
        if ahead.is_zero() {
            return Some(Self::new(wall - elapsed));
        }
        // At half speed it takes twice as long as it is ahead.
        Some(Self { date: now - elapsed, slow_from: elapsed + SLOW_AFTER, slow_for: ahead * 2 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: Timestamp = Timestamp(1_800_000_000_000_000_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_wall_that_keeps_pace_changes_nothing() {
        let anchor = WallAnchor::new(NOON);
        assert_eq!(anchor.at(seconds(10)), NOON + seconds(10));
        assert_eq!(anchor.following(seconds(10), NOON + seconds(10) + BOUND), None);
        assert_eq!(anchor.following(seconds(10), NOON + seconds(10) - BOUND), None);
    }

    #[test]
    fn a_wall_that_went_ahead_is_followed_at_once() {
        let woken = NOON + HOUR * 14;
        let anchor = WallAnchor::new(NOON).following(seconds(10), woken).unwrap();
        assert_eq!(anchor.at(seconds(10)), woken);
        assert_eq!(anchor.at(seconds(11)), woken + seconds(1));
        assert_eq!(anchor.at(seconds(10)).utc_day(), woken.utc_day());
    }

    #[test]
    fn a_wall_that_went_back_is_waited_for_at_half_speed() {
        let (stepped, wall) = (seconds(10), |elapsed: Duration| NOON + elapsed - seconds(60));
        let anchor = WallAnchor::new(NOON).following(stepped, wall(stepped)).unwrap();
        assert_eq!(anchor.at(stepped), NOON + stepped, "not back");
        let half = stepped + SLOW_AFTER + seconds(60);
        assert_eq!(anchor.at(half), wall(half) + seconds(30), "half of it after a minute");
        let reached = stepped + SLOW_AFTER + seconds(120);
        assert_eq!(anchor.at(reached), wall(reached));
        assert_eq!(anchor.at(reached + HOUR), wall(reached + HOUR));
        assert_eq!(anchor.following(half, wall(half)), None, "on its way there: nothing to correct");
    }

    #[test]
    fn a_step_back_that_is_taken_back_ends_the_waiting() {
        let anchor = WallAnchor::new(NOON).following(seconds(10), NOON - HOUR).unwrap();
        let later = seconds(20);
        let anchor = anchor.following(later, NOON + later).unwrap();
        assert_eq!(anchor.at(later), NOON + later);
        assert_eq!(anchor.at(HOUR), NOON + HOUR);
    }

    proptest! {
        #[test]
        fn whatever_the_wall_does_time_never_goes_back_and_meets_it_in_the_end(
            steps in prop::collection::vec((1u64..20_000, -100_000i64..100_000), 1..20)
        ) {
            let (mut anchor, mut elapsed, mut offset, mut last) = (WallAnchor::new(NOON), Duration::ZERO, 0i64, NOON);
            let wall = |elapsed: Duration, offset: i64| Timestamp(NOON.0 + offset * 1_000_000) + elapsed;
            for (millis, step) in steps {
                for _ in 0..10 {
                    elapsed += Duration::from_millis(millis) / 10;
                    prop_assert!(anchor.at(elapsed) >= last);
                    last = anchor.at(elapsed);
                }
                offset += step;
                // Who still reads by the old anchor a moment later is not ahead.
                let late = elapsed + SLOW_AFTER / 2;
                let by_the_old = anchor.at(late);
                anchor = anchor.following(elapsed, wall(elapsed, offset)).unwrap_or(anchor);
                prop_assert!(anchor.at(late) >= by_the_old);
                prop_assert!(anchor.at(elapsed) >= last);
            }
            elapsed += HOUR * 24;
            let off = anchor.at(elapsed).0 - wall(elapsed, offset).0;
            prop_assert!(off.unsigned_abs() <= BOUND.as_nanos() as u64, "{off}");
        }
    }
}
