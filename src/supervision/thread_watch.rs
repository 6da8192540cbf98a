//! Sees from outside that a thread no longer runs its tasks. A handler that spins cannot be killed and its own runtime
//! cannot tell; a thread of its own, which depends on no runtime, looks at the heartbeats of the others.
//!
//! No false alarm when the whole process stood still (suspended, swapped out, a starved machine): time counts as silence
//! only as far as the watch itself was awake to see it. A look that comes late counts for at most twice its interval, so
//! that after any pause the watched thread still has most of the limit to show a beat. The watch over the disk is the same.
//! A thread that waits for a processor, which others have, is not silent meanwhile either, up to a bound: it trades no more then.

use std::time::{Duration, Instant};

use super::child::Child;
use super::runtimes::ThreadHeartbeat;
use crate::domain::restart::ChildName;

/// As often as the heartbeats come.
const LOOK_EVERY: Duration = super::runtimes::HEARTBEAT_EVERY;
/// Found within half a second (one beat and one look on top), eight beats missed: ordinary scheduling does not do that.
pub const STALL_LIMIT_DEFAULT: Duration = Duration::from_millis(400);
/// So many limits without a beat are a stall whatever the thread waits for: for as long, nobody watches the orders that are out.
const WAITING_LIMITS_MAX: u32 = 4;

/// What one look showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Alive,
    /// No beat for this long, within the limit or reported before.
    Silent(Duration),
    /// The limit is reached. Said once per stall.
    Stalled(Duration),
}

/// The decision about one thread, or about any work that must go on: fed with the time of each look and the beats it saw.
#[derive(Debug, Clone)]
pub struct ThreadWatch {
    limit: Duration,
    look_every: Duration,
    beats: Option<u64>,
    looked_at: Duration,
    /// Since the last beat, as far as the watch was awake.
    awake_for: Duration,
    /// What the thread had waited for processors by then.
    waited: Duration,
    reported: bool,
}

impl ThreadWatch {
    #[must_use]
    pub const fn new(limit: Duration, look_every: Duration) -> Self {
        Self {
            limit,
            look_every,
            beats: None,
            looked_at: Duration::ZERO,
            awake_for: Duration::ZERO,
            waited: Duration::ZERO,
            reported: false,
        }
    }

    /// `now` is any monotonic time.
    pub fn look(&mut self, now: Duration, beats: u64) -> Verdict {
        self.look_at(now, beats, Duration::ZERO)
    }

    /// As [`ThreadWatch::look`], at a thread that has waited so long for processors since it began.
    pub fn look_at(&mut self, now: Duration, beats: u64, waited: Duration) -> Verdict {
        let awake_for = now.saturating_sub(self.looked_at).min(self.look_every * 2);
        self.looked_at = now;
        if self.beats.replace(beats) != Some(beats) {
            (self.awake_for, self.waited, self.reported) = (Duration::ZERO, waited, false);
            return Verdict::Alive;
        }
        self.awake_for += awake_for;
        let silent_for = self.awake_for.saturating_sub(waited.saturating_sub(self.waited));
        let is_stalled = silent_for >= self.limit || self.awake_for >= self.limit * WAITING_LIMITS_MAX;
        if !is_stalled || std::mem::replace(&mut self.reported, true) {
            return Verdict::Silent(silent_for);
        }
        Verdict::Stalled(self.awake_for)
    }

    /// A look that found nothing to do, and so nothing to be silent about.
    pub fn idle(&mut self, now: Duration) -> Verdict {
        self.looked_at = now;
        self.beats = None;
        self.awake_for = Duration::ZERO;
        self.reported = false;
        Verdict::Alive
    }
}

/// A thread that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StallFound {
    pub thread: &'static str,
    pub silent_for: Duration,
}

/// A child with a thread of its own that watches the others, each with its limit, and calls `on_stall` once for each stall. The callback runs on
/// the watch's thread: set the halt gate there, hand over the rest.
#[must_use]
pub fn watch_threads(
    name: ChildName,
    threads: Vec<(ThreadHeartbeat, Duration)>,
    on_stall: impl Fn(StallFound) + Send + Sync + 'static,
) -> Child {
    let body = move |context: super::child::ChildContext| {
        let began = Instant::now();
        let mut watches: Vec<_> = threads.iter().map(|(thread, limit)| (thread, ThreadWatch::new(*limit, LOOK_EVERY))).collect();
        context.reporter.ready();
        while !context.stop.is_cancelled() {
            std::thread::park_timeout(LOOK_EVERY);
            context.reporter.heartbeat();
            context.reporter.obey_injection_blocking();
            for (thread, watch) in &mut watches {
                if let Verdict::Stalled(silent_for) = watch.look_at(began.elapsed(), thread.beats(), thread.waited()) {
                    on_stall(StallFound { thread: thread.name(), silent_for });
                }
                thread.ask();
            }
        }
        Ok(())
    };
    // Twenty looks: a watch that misses them is itself stuck.
    Child::thread(name, body).heartbeat(LOOK_EVERY * 20).ready_within(Duration::from_secs(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(400);
    const TICK: Duration = Duration::from_millis(50);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Looks every 50 ms from `from` on at a thread that does not beat, until the watch says so.
    fn stalled_after(watch: &mut ThreadWatch, from: Duration) -> Duration {
        (1..100)
            .map(|n| from + TICK * n)
            .find(|now| matches!(watch.look(*now, 7), Verdict::Stalled(_)))
            .map(|now| now - from)
            .expect("a silent thread is found")
    }

    #[test]
    fn a_thread_that_stops_beating_is_found_within_half_a_second_and_reported_once() {
        let mut watch = ThreadWatch::new(LIMIT, TICK);
        assert_eq!(watch.look(ms(50), 7), Verdict::Alive);
        assert!(stalled_after(&mut watch, ms(50)) <= ms(500));
        assert!(matches!(watch.look(ms(1_000), 7), Verdict::Silent(_)));
    }

    /// Looks every 50 ms at a thread that does not beat and waits for a processor so long of each; when it is found.
    fn found_while_waiting(of_each: u64) -> u64 {
        let mut watch = ThreadWatch::new(LIMIT, TICK);
        watch.look_at(ms(50), 7, ms(1_000));
        let found = |n: &u64| matches!(watch.look_at(ms(50 + 50 * n), 7, ms(1_000 + of_each * n)), Verdict::Stalled(_));
        (1..100).find(found).unwrap() * 50
    }

    #[test]
    fn waiting_for_a_processor_is_no_silence_up_to_a_bound() {
        assert_eq!(found_while_waiting(0), 400);
        assert_eq!(found_while_waiting(25), 800, "it spins, and has half a processor for it");
        assert_eq!(found_while_waiting(50), 1_600);
    }

    #[test]
    fn a_process_that_was_suspended_for_an_hour_is_no_stall() {
        let mut watch = ThreadWatch::new(LIMIT, TICK);
        watch.look(ms(50), 7);
        let resumed = Duration::from_secs(3_600);
        assert_eq!(watch.look(resumed, 7), Verdict::Silent(ms(100)), "the watch itself slept through that hour");
        assert_eq!(watch.look(resumed + TICK, 8), Verdict::Alive);
    }

    #[test]
    fn a_thread_that_is_still_silent_after_a_suspension_is_found() {
        let mut watch = ThreadWatch::new(LIMIT, TICK);
        watch.look(ms(50), 7);
        let resumed = Duration::from_secs(3_600);
        watch.look(resumed, 7);
        assert!(stalled_after(&mut watch, resumed) <= ms(500));
    }

    #[test]
    fn work_that_ends_and_begins_anew_is_measured_from_its_beginning() {
        let mut watch = ThreadWatch::new(LIMIT, TICK);
        let mut now = Duration::ZERO;
        let mut look = |work: Option<u64>| {
            now += TICK;
            match work {
                Some(work) => watch.look(now, work),
                None => watch.idle(now),
            }
        };
        for commit in 0..20 {
            for _ in 0..7 {
                assert!(!matches!(look(Some(commit)), Verdict::Stalled(_)), "each is within the limit");
            }
        }
        for _ in 0..7 {
            look(Some(99));
            assert_eq!(look(None), Verdict::Alive);
        }
        assert!((0..9).any(|_| matches!(look(Some(99)), Verdict::Stalled(_))));
    }

    #[test]
    fn a_second_stall_after_a_recovery_is_reported_again() {
        let mut watch = ThreadWatch::new(LIMIT, TICK);
        watch.look(ms(50), 7);
        stalled_after(&mut watch, ms(50));
        assert_eq!(watch.look(ms(10_000), 6), Verdict::Alive);
        assert_eq!(watch.look(ms(10_050), 7), Verdict::Alive);
        assert!(stalled_after(&mut watch, ms(10_050)) <= ms(500));
    }
}
