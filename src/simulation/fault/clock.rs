//! The machine that the daemon runs on: its monotonic clock, which may run fast or slow, and its wall clock, which may be set. The
//! daemon's own time follows the wall by the daemon's own rule.

use std::time::Duration;

use crate::domain::clock::WallAnchor;
use crate::domain::time::Timestamp;

const MILLION: i128 = 1_000_000;

#[derive(Debug, Clone)]
pub struct MachineClock {
    /// The world's time and the monotonic reading when the rate last changed.
    rated_at: Timestamp,
    reading: Duration,
    /// Millionths that the machine's clock is fast.
    fast: i64,
    /// The wall's time less what an undisturbed machine would show, in nanoseconds.
    wall_off: i64,
    anchor: WallAnchor,
    booted: Timestamp,
}

impl MachineClock {
    /// A process starts: its monotonic clock shows zero. The wall's offset and the rate are the machine's and stay.
    #[must_use]
    pub fn start(now: Timestamp, fast: i64, wall_off: i64) -> Self {
        let anchor = WallAnchor::new(Timestamp(now.0 + wall_off));
        Self { rated_at: now, reading: Duration::ZERO, fast, wall_off, anchor, booted: now }
    }

    /// What the monotonic clock shows.
    #[must_use]
    pub fn elapsed(&self, now: Timestamp) -> Duration {
        let real = now.since(self.rated_at).as_nanos() as i128;
        let shown = real * (MILLION + i128::from(self.fast)) / MILLION;
        self.reading + Duration::from_nanos(u64::try_from(shown).unwrap_or_default())
    }

    /// The daemon's time, which everybody who trades reads.
    #[must_use]
    pub fn now(&self, now: Timestamp) -> Timestamp {
        self.anchor.at(self.elapsed(now))
    }

    /// Supervision's time: no step of the wall touches it.
    #[must_use]
    pub fn steady(&self, now: Timestamp) -> Timestamp {
        self.booted + self.elapsed(now)
    }

    /// The world's time at which supervision's clock shows `steady`.
    #[must_use]
    pub fn when(&self, now: Timestamp, steady: Timestamp) -> Timestamp {
        let wait = steady.since(self.steady(now)).as_nanos() as i128;
        // Rounded up: a timer is never early.
        let real = wait * MILLION / (MILLION + i128::from(self.fast)) + 1;
        now + Duration::from_nanos(u64::try_from(real).unwrap_or_default())
    }

    /// What the metronome does with each beat.
    pub fn follow_wall(&mut self, now: Timestamp) {
        let wall = Timestamp(now.0 + self.wall_off);
        if let Some(next) = self.anchor.following(self.elapsed(now), wall) {
            self.anchor = next;
        }
    }

    pub fn set_rate(&mut self, now: Timestamp, fast: i64) {
        self.reading = self.elapsed(now);
        self.rated_at = now;
        self.fast = fast;
    }

    pub fn step_wall(&mut self, by: i64) {
        self.wall_off += by;
    }

    /// The wall shows what it should.
    pub fn set_right(&mut self) {
        self.wall_off = 0;
    }

    /// The machine's state, which a process that ends leaves behind.
    #[must_use]
    pub fn machine(&self) -> (i64, i64) {
        (self.fast, self.wall_off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_800_000_000_000_000_000);

    #[test]
    fn a_fast_machine_counts_more_and_its_timers_fire_at_its_own_time() {
        let clock = MachineClock::start(NOON, 1_000, 0);
        let later = NOON + Duration::from_secs(100);
        assert_eq!(clock.elapsed(later), Duration::from_millis(100_100));
        let due = clock.steady(later) + Duration::from_secs(10);
        let at = clock.when(later, due);
        assert!(clock.steady(at) >= due && at < later + Duration::from_secs(10), "{at}");
    }

    #[test]
    fn a_wall_that_was_set_moves_the_daemons_time_and_not_supervisions() {
        let mut clock = MachineClock::start(NOON, 0, 0);
        clock.step_wall(5_000_000_000);
        let later = NOON + Duration::from_secs(1);
        clock.follow_wall(later);
        assert_eq!(clock.now(later), NOON + Duration::from_secs(6));
        assert_eq!(clock.steady(later), later);
        assert_eq!(MachineClock::start(later, clock.machine().0, clock.machine().1).now(later), NOON + Duration::from_secs(6));
    }

    #[test]
    fn a_changed_rate_does_not_make_the_reading_jump() {
        let mut clock = MachineClock::start(NOON, 0, 0);
        let later = NOON + Duration::from_secs(10);
        clock.set_rate(later, -500);
        assert_eq!(clock.elapsed(later), Duration::from_secs(10));
    }
}
