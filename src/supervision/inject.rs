//! Faults on demand: a child can be made to panic, to wait forever or to spin, to show that its supervisor copes. Costs
//! one relaxed load per message while nothing is injected. Only an operator or a test sets it; nothing in the daemon does.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use ractor::ActorCell;
use strum::{Display, EnumString};

/// What the child shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum Inject {
    Panic = 1,
    /// Wait at an await, forever: a kill ends it.
    Wedge = 2,
    /// Burn its thread without an await, until `Directory::end_injection`: no kill ends it.
    Spin = 3,
}

const NONE: u8 = 0;
const ENDED: u8 = u8::MAX;

/// The flag of one child.
#[derive(Debug, Default)]
pub(super) struct Injection(AtomicU8);

impl Injection {
    pub(super) fn set(&self, kind: Inject) {
        self.0.store(kind as u8, Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.0.store(ENDED, Ordering::Release);
    }

    #[inline]
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != NONE
    }

    /// Takes the order, so that the next incarnation is healthy.
    fn take(&self) -> Option<Inject> {
        match self.0.swap(NONE, Ordering::AcqRel) {
            1 => Some(Inject::Panic),
            2 => Some(Inject::Wedge),
            3 => Some(Inject::Spin),
            _ => None,
        }
    }

    pub(super) async fn obey(&self) {
        match self.take() {
            Some(Inject::Panic) => panic!("injected panic"),
            Some(Inject::Wedge) => std::future::pending().await,
            Some(Inject::Spin) => self.spin(),
            None => {}
        }
    }

    /// The same for a thread, where a wedge is a thread that sleeps on.
    pub(super) fn obey_blocking(&self) {
        match self.take() {
            Some(Inject::Panic) => panic!("injected panic"),
            Some(Inject::Wedge) => {
                while self.0.load(Ordering::Acquire) != ENDED {
                    std::thread::park_timeout(Duration::from_millis(10));
                }
                panic!("injected wedge ended");
            }
            Some(Inject::Spin) => self.spin(),
            None => {}
        }
    }

    fn spin(&self) {
        while self.0.load(Ordering::Acquire) != ENDED {
            std::hint::spin_loop();
        }
        self.0.store(NONE, Ordering::Release);
        panic!("injected spin ended");
    }
}

/// Wakes an idle actor without knowing its messages: a change in a process group of its own arrives at its supervision
/// port, where the injection is looked at as it is before a message.
pub(super) fn nudge(cell: &ActorCell) {
    let group = format!("inject-{}", cell.get_id());
    ractor::pg::monitor(group.clone(), cell.clone());
    ractor::pg::join(group.clone(), vec![cell.clone()]);
    ractor::pg::demonitor(group.clone(), cell.get_id());
    ractor::pg::leave(group, vec![cell.clone()]);
}
