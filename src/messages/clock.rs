//! The daemon's time: the wall clock at start plus monotonic time since. It never steps, so that a deadline cannot fire
//! early or never because somebody set the machine's clock (F18).

use std::time::Instant;

use crate::domain::time::Timestamp;

#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that shows `base` now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "one of the two places that read the machine's clock")]
    pub fn starting_at(base: Timestamp) -> Self {
        Self { base, started: Instant::now() }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.base + self.started.elapsed()
    }
}
