//! What time it is at the venue. A pure machine: it is told of round trips and keeps the best; between them it goes by a steady
//! time that no step of the wall touches, so that a wall that jumps shows as an offset and not as refused requests. It asks
//! nobody and reads no clock.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::time::Timestamp;

/// Round trips kept: the quickest of them is believed. At one in thirty seconds it is four minutes, in which a quartz drifts by
/// some ten milliseconds at most.
const KEPT: usize = 8;
/// What two clocks may drift apart between the oldest trip and the newest, and a venue's answer is cut off to a millisecond.
const DRIFT_MAX: Duration = Duration::from_millis(50);

/// One round trip. `steady` times are of a clock that is never set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trip {
    took: Duration,
    /// The middle of the trip, and what the venue's clock showed then.
    middle: Duration,
    venue: Timestamp,
}

impl Trip {
    /// Whether one clock can have said both: a trip tells the venue's time to half of what it took.
    fn agrees_with(&self, later: &Self) -> bool {
        let passed = later.middle.saturating_sub(self.middle);
        let off = later.venue.0.saturating_sub((self.venue + passed).0).unsigned_abs();
        Duration::from_nanos(off) <= (self.took + later.took) / 2 + DRIFT_MAX
    }
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
    /// A round trip that began and ended at these steady times, and what the venue said in it. One that contradicts an earlier one
    /// says that the venue's clock was set: the earlier one is of no use any more, however quick it was.
    pub fn heard(&mut self, began: Duration, ended: Duration, venue: Timestamp) {
        let took = ended.saturating_sub(began);
        let trip = Trip { took, middle: began + took / 2, venue };
        self.trips.retain(|earlier| earlier.agrees_with(&trip));
        self.trips.push_back(trip);
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
        self.venue_time(ours, steady).0.saturating_sub(ours.0) / 1_000_000
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
    fn a_venue_whose_clock_is_set_is_believed_at_once_and_so_is_its_way_back() {
        let mut clock = ClockOffset::default();
        let ms = Duration::from_millis;
        // Ours and the venue's agree: both are at a thousand seconds when the steady one is at zero.
        let trip = |clock: &mut ClockOffset, at_second: u64, took: u64, ahead: i64| {
            let began = Duration::from_secs(at_second);
            clock.heard(began, began + ms(took), at(1_000_000 + at_second as i64 * 1_000 + took as i64 / 2 + ahead));
        };
        trip(&mut clock, 10, 2, 0);
        trip(&mut clock, 40, 300, 120);
        assert_eq!(clock.trips.len(), 2, "what a slow trip says differs by less than it may");
        trip(&mut clock, 70, 40, 3_000);
        assert_eq!(clock.offset_millis(at(1_071_000), SECOND * 71), 3_000, "however quick the earlier ones were");
        assert!(clock.admit(at(1_071_000), SECOND * 71, SECOND).is_err());
        trip(&mut clock, 100, 40, 0);
        assert_eq!(clock.admit(at(1_101_000), SECOND * 101, SECOND), Ok(()));
    }

    #[test]
    fn a_time_that_is_none_is_an_offset_like_any_other() {
        let mut clock = ClockOffset::default();
        for nonsense in [i64::MIN, i64::MAX] {
            clock.heard(SECOND, SECOND, at(nonsense));
            assert!(clock.admit(at(1_700_000_000_000), SECOND * 2, SECOND).is_err());
        }
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
