//! The clock that supervision reads: the wall's date when it was made, and monotonic from there. A step of the wall clock
//! must not look like a stall or an eternity of backoff; who trades follows such a step, by `messages/clock`. Under tokio's
//! paused time it stands still with everything else.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::domain::time::Timestamp;

/// A date that only runs forward. Cheap to copy; copies agree.
#[derive(Debug, Clone, Copy)]
pub struct MonotonicClock {
    date: Timestamp,
    origin: Instant,
}

impl MonotonicClock {
    /// Takes the wall's date now.
    #[must_use]
    pub fn start() -> Self {
        // A clock before 1970 counts as 1970: only differences matter here.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { date: Timestamp::ZERO + since_epoch, origin: Instant::now() }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.date + self.origin.elapsed()
    }
}
