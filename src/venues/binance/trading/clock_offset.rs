//! What time it is at the venue. A pure machine: it is told of round trips and keeps the best; between them it goes by a steady
//! time that no step of the wall touches, so that a wall that jumps shows as an offset and not as refused requests. It asks
//! nobody and reads no clock.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::time::Timestamp;

/// Round trips kept: the quickest of them is believed. At one in thirty seconds it is four minutes, in which a quartz drifts by
/// some ten milliseconds at most.
const KEPT: usize = 8;

/// One round trip. `steady` times are of a clock that is never set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trip {
    took: Duration,
    /// The middle of the trip, and what the venue's clock showed then.
    middle: Duration,
    venue: Timestamp,
}

/// The clocks are too far apart for entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockDoubt {
    #[error("the venue's clock has not been asked yet")]
    Unknown,
    #[error("expected the venue's clock within {limit:?} of ours, found it {offset_millis} ms off")]
    TooFar { limit: Duration, offset_millis: i64 },
}

#[derive(Debug, Clone, Default)]
pub struct ClockOffset {
    trips: VecDeque<Trip>,
}

impl ClockOffset {
    /// A round trip that began and ended at these steady times, and what the venue said in it.
    pub fn heard(&mut self, began: Duration, ended: Duration, venue: Timestamp) {
        let took = ended.saturating_sub(began);
        self.trips.push_back(Trip { took, middle: began + took / 2, venue });
        if self.trips.len() > KEPT {
            self.trips.pop_front();
        }
    }

    /// The venue contradicted what we thought (-1021): only what is heard from now on counts.
    pub fn distrust(&mut self) {
        self.trips.clear();
    }

    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.trips.is_empty()
    }

    /// The venue's time now, as far as it is known; our own before the first round trip.
    #[must_use]
    pub fn venue_time(&self, ours: Timestamp, steady: Duration) -> Timestamp {
        let Some(best) = self.trips.iter().min_by_key(|trip| trip.took) else { return ours };
        if steady >= best.middle { best.venue + (steady - best.middle) } else { best.venue - (best.middle - steady) }
    }

    /// How far the venue's clock is ahead of ours, in milliseconds; negative when it is behind.
    #[must_use]
    pub fn offset_millis(&self, ours: Timestamp, steady: Duration) -> i64 {
        (self.venue_time(ours, steady).0 - ours.0) / 1_000_000
    }

    /// Whether an entry may leave.
    ///
    /// # Errors
    /// When the clocks are too far apart, or nobody has looked yet.
    pub fn admit(&self, ours: Timestamp, steady: Duration, limit: Duration) -> Result<(), ClockDoubt> {
        if !self.is_known() {
            return Err(ClockDoubt::Unknown);
        }
        let offset_millis = self.offset_millis(ours, steady);
        let off = Duration::from_millis(offset_millis.unsigned_abs());
        if off > limit { Err(ClockDoubt::TooFar { limit, offset_millis }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_quickest_round_trip_is_believed_and_time_goes_on_from_it() {
        let mut clock = ClockOffset::default();
        assert_eq!(clock.venue_time(at(7), SECOND), at(7));
        clock.heard(SECOND, SECOND * 3, at(9_000));
        clock.heard(SECOND * 4, SECOND * 4 + Duration::from_millis(10), at(20_005));
        assert_eq!(clock.venue_time(at(0), SECOND * 5 + Duration::from_millis(5)), at(21_005));
        for trip in 5..20 {
            clock.heard(SECOND * trip, SECOND * trip + Duration::from_millis(20), at(20_000 + i64::from(trip) * 1_000));
        }
        assert_eq!(clock.trips.len(), KEPT, "the old ones are forgotten, however quick");
    }

    #[test]
    fn a_wall_that_jumps_is_an_offset_and_refuses_entries() {
        let mut clock = ClockOffset::default();
        assert_eq!(clock.admit(at(0), SECOND, SECOND), Err(ClockDoubt::Unknown));
        clock.heard(SECOND, SECOND, at(100_000));
        assert_eq!(clock.admit(at(100_400), SECOND, SECOND), Ok(()));
        // The wall was set an hour ahead; a second has passed.
        let refused = clock.admit(at(3_701_000), SECOND * 2, SECOND).unwrap_err();
        assert_eq!(refused, ClockDoubt::TooFar { limit: SECOND, offset_millis: -3_600_000 });
        assert_eq!(clock.venue_time(at(3_701_000), SECOND * 2), at(101_000), "requests go on being in time");
        clock.distrust();
        assert!(!clock.is_known());
    }
}
