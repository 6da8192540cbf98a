//! What a child tells its supervisor: that it is ready, and that it makes progress. Progress is a counter that the
//! supervisor reads, so that a heartbeat costs an atomic store and never a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ractor::ActorRef;

use super::directory::Slot;
use super::supervisor::SupervisorMessage;
use crate::domain::ids::Incarnation;
use crate::domain::restart::ChildName;

/// Four beats within the shortest deadline that a child may have.
const ATTEND_EVERY: Duration = Duration::from_millis(250);

/// The signs of life of one incarnation. Counters of their own: nothing else is published through them, hence relaxed.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Odd while a message is being handled. Written by the actor's own task alone.
    handling: AtomicU64,
    beats: AtomicU64,
}

/// What the supervisor saw at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reading {
    handling: u64,
    beats: u64,
}

impl Pulse {
    pub(super) fn read(&self) -> Reading {
        Reading { handling: self.handling.load(Relaxed), beats: self.beats.load(Relaxed) }
    }

    /// Marks the time of handling one message; the mark ends when the guard is dropped, also by a kill.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.handling.store(self.handling.load(Relaxed).wrapping_add(1), Relaxed);
        Busy(self)
    }
}

impl Reading {
    /// Whether a child that was at `before` made progress: it did something, or it is idle and waits for a message.
    pub(super) fn shows_progress_since(self, before: Self) -> bool {
        self.handling.is_multiple_of(2) || self != before
    }
}

pub(super) struct Busy<'a>(&'a Pulse);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.handling.store(self.0.handling.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

/// A child's handle on its supervisor. Cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Reporter {
    pub(super) slot: Arc<Slot>,
    pub(super) incarnation: Incarnation,
    pub(super) pulse: Arc<Pulse>,
    ready: Arc<AtomicBool>,
    supervisor: ActorRef<SupervisorMessage>,
}

impl Reporter {
    pub(super) fn new(slot: Arc<Slot>, incarnation: Incarnation, supervisor: ActorRef<SupervisorMessage>) -> Self {
        Self { slot, incarnation, pulse: Arc::default(), ready: Arc::default(), supervisor }
    }

    #[must_use]
    pub fn name(&self) -> &ChildName {
        &self.slot.name
    }

    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Says that the child is ready. Only the first call of an incarnation is a message.
    pub fn ready(&self) {
        if !self.ready.swap(true, Relaxed) {
            let message = SupervisorMessage::Ready { name: self.slot.name.clone(), incarnation: self.incarnation };
            // A supervisor that is gone takes this child with it.
            drop(self.supervisor.send_message(message));
        }
    }

    /// Says that the child made progress. An actor need not: the supervisor sees whether it is stuck in a message. A task
    /// or a thread that has a heartbeat deadline must, and so must a handler that rightly waits longer than its deadline.
    pub fn heartbeat(&self) {
        self.pulse.beats.fetch_add(1, Relaxed);
    }

    #[inline]
    pub(super) fn is_injected(&self) -> bool {
        self.slot.injection.is_set()
    }

    /// Panics, waits forever or spins when that was injected into this child. Actors do this before every message without
    /// being asked; tasks call it at the top of their loop.
    #[inline]
    pub async fn obey_injection(&self) {
        if self.slot.injection.is_set() {
            self.slot.injection.obey().await;
        }
    }

    /// Waits for something that may rightly take its time (a socket, a client) and shows meanwhile that the task itself still
    /// runs: its silence is then a wedge and never a quiet market.
    pub async fn attend<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            self.obey_injection().await;
            self.heartbeat();
            // Work that is done already costs no timer.
            if let Ok(done) = tokio::time::timeout(ATTEND_EVERY, &mut work).await {
                return done;
            }
        }
    }

    /// The same for a thread.
    #[inline]
    pub fn obey_injection_blocking(&self) {
        if self.slot.injection.is_set() {
            self.slot.injection.obey_blocking();
        }
    }
}
