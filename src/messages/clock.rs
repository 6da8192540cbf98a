//! The daemon's clock: everybody who trades reads the same one, the embedded exchange among them. The rule by which it
//! keeps to the wall's time is `domain/clock`.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_utils::atomic::AtomicCell;
use tokio::time::Instant;

use crate::domain::clock::WallAnchor;
use crate::domain::time::Timestamp;

/// Two clocks cannot be read at once. A reading that took longer was interrupted in between and says nothing.
const READ_WITHIN: Duration = Duration::from_millis(5);

/// Cheap to clone; all clones agree. Under tokio's paused time it stands still with everything else.
#[derive(Debug, Clone)]
pub struct Clock {
    origin: Instant,
    anchor: Arc<AtomicCell<WallAnchor>>,
}

/// How far the wall's time was from this clock's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WallStep {
    Ahead(Duration),
    Behind(Duration),
}

impl Clock {
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now(), anchor: Arc::new(AtomicCell::new(WallAnchor::new(wall()))) }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.anchor.load().at(self.origin.elapsed())
    }

    /// Looks at the wall's time and says so when this clock has to be led to it. To be called again and again, by one task.
    pub fn follow_wall(&self) -> Option<WallStep> {
        let elapsed = self.origin.elapsed();
        let wall = wall();
        if self.origin.elapsed() - elapsed > READ_WITHIN {
            return None;
        }
        self.follow(elapsed, wall)
    }

    fn follow(&self, elapsed: Duration, wall: Timestamp) -> Option<WallStep> {
        let anchor = self.anchor.load();
        let next = anchor.following(elapsed, wall)?;
        let now = anchor.at(elapsed);
        self.anchor.store(next);
        Some(if wall >= now { WallStep::Ahead(wall.since(now)) } else { WallStep::Behind(now.since(wall)) })
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place where the trading side's time comes from")]
fn wall() -> Timestamp {
    // A wall clock before 1970 is wrong; zero is the honest answer to it.
    Timestamp::ZERO + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_clone_follows_the_wall_that_one_of_them_was_shown() {
        let clock = Clock::start();
        let (other, began) = (clock.clone(), clock.now());
        tokio::time::advance(Duration::from_secs(10)).await;
        let elapsed = clock.origin.elapsed();
        assert_eq!(clock.follow(elapsed, clock.now()), None);
        let hour = Duration::from_secs(3_600);
        assert_eq!(clock.follow(elapsed, clock.now() + hour), Some(WallStep::Ahead(hour)));
        assert_eq!(other.now(), began + Duration::from_secs(10) + hour);
        assert_eq!(clock.follow(elapsed, clock.now() - hour), Some(WallStep::Behind(hour)));
        assert_eq!(other.now(), began + Duration::from_secs(10) + hour, "never back");
    }
}
