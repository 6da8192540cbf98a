//! How deep a mailbox is. An actor's mailbox is unbounded and cannot be read, so each envelope carries a token that counts
//! it in and, when it is handled or thrown away with a dead actor, out. The gauge never blocks and never refuses: what to
//! do at the bound is the sender's decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The depth of one mailbox, its high-water mark, and whether it is over its bound. Counters of their own: no other
/// memory is published through them, hence relaxed.
#[derive(Debug)]
pub struct MailboxGauge {
    depth: AtomicUsize,
    high_water: AtomicUsize,
    bound: usize,
    alarm: AtomicBool,
}

impl MailboxGauge {
    #[must_use]
    pub fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self { depth: AtomicUsize::new(0), high_water: AtomicUsize::new(0), bound, alarm: AtomicBool::new(false) })
    }

    /// Counts a message in; it is counted out when the token is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> InMailbox {
        let depth = self.depth.fetch_add(1, Relaxed) + 1;
        if depth > self.high_water.load(Relaxed) {
            self.high_water.fetch_max(depth, Relaxed);
        }
        if depth > self.bound && !self.alarm.load(Relaxed) {
            self.alarm.store(true, Relaxed);
        }
        InMailbox(Arc::clone(self))
    }

    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth.load(Relaxed)
    }

    #[must_use]
    pub fn high_water(&self) -> usize {
        self.high_water.load(Relaxed)
    }

    #[must_use]
    pub const fn bound(&self) -> usize {
        self.bound
    }

    /// Whether there is room for one more within the bound.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.depth() < self.bound
    }

    /// Whether the bound was exceeded since the last call.
    pub fn take_alarm(&self) -> bool {
        self.alarm.load(Relaxed) && self.alarm.swap(false, Relaxed)
    }
}

/// One message in a mailbox. Keep it inside the envelope.
#[derive(Debug)]
pub struct InMailbox(Arc<MailboxGauge>);

impl Drop for InMailbox {
    fn drop(&mut self) {
        self.0.depth.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_falls_when_a_message_is_dropped_unread_and_the_high_water_mark_stays() {
        let gauge = MailboxGauge::new(2);
        let three: Vec<_> = (0..3).map(|_| gauge.enter()).collect();
        assert_eq!((gauge.depth(), gauge.high_water(), gauge.has_room()), (3, 3, false));
        drop(three);
        assert_eq!((gauge.depth(), gauge.high_water(), gauge.has_room()), (0, 3, true));
    }

    #[test]
    fn the_alarm_is_raised_past_the_bound_and_taken_once() {
        let gauge = MailboxGauge::new(1);
        let _first = gauge.enter();
        assert!(!gauge.take_alarm(), "at the bound is within it");
        let _second = gauge.enter();
        assert!(gauge.take_alarm());
        assert!(!gauge.take_alarm());
    }
}
