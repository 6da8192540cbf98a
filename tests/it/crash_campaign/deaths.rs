//! How lives end: drawn from a seed, so that a campaign can be told by two numbers. What it covers stands in the weights: every named
//! I/O boundary of the daemon is one of the ends, before and after it.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::support::io_faults::{IoFaults, When};

/// One end by `kill -9`, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// So long after the process was made: in opening the journal, in replaying, in asking the venue, in its first orders.
    Starting(Duration),
    /// So long after it said that it is ready.
    Ready(Duration),
    /// So long after its strategies were let loose.
    Trading(Duration),
    /// So long after so many orders left: while answers, fills and their rows are on their way.
    AtAnOrder { orders: usize, after: Duration },
    /// So long after it was asked to stop in order.
    Stopping(Duration),
    /// At the n-th time that it comes to that boundary, right before the call or right after.
    AtBoundary { boundary: &'static str, nth: u64, when: When },
    /// By itself, because its disk fails there.
    Disk { boundary: &'static str, refusal: Refusal },
}

/// What a disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// One call has no effect and says so.
    Once,
    /// One call says that it had no effect, and had one.
    Lies,
    /// There is no room any more.
    Full,
}

impl Refusal {
    pub fn arm(self, faults: &IoFaults, boundary: &str) {
        match self {
            Self::Once => faults.fail_at(boundary, 1, libc::EIO),
            Self::Lies => faults.fail_after(boundary, 1, libc::EIO),
            Self::Full => faults.fail_from(boundary, 1, libc::ENOSPC),
        }
    }
}

/// Where a disk fails: the calls that something is lost or doubled by, when they are believed.
const DISK: [&str; 4] = ["journal.append", "journal.sync", "checkpoint.write", "checkpoint.sync"];

impl Death {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting(_) => "starting",
            Self::Ready(_) => "ready",
            Self::Trading(_) => "trading",
            Self::AtAnOrder { .. } => "at an order",
            Self::Stopping(_) => "stopping",
            Self::AtBoundary { .. } => "at a boundary",
            Self::Disk { .. } => "by a failing disk",
        }
    }
}

/// A life to be led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    pub death: Death,
    /// It begins without strategies, its books are held against the exchange's, and a reload lets them loose. Otherwise they trade
    /// from the start on.
    pub looked_at: bool,
    /// An ordered stop leaves open orders where they are.
    pub keep: bool,
}

/// The second counts the boundaries that were drawn.
pub struct Deaths(ChaCha8Rng, usize);

impl Deaths {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed), 0)
    }

    fn within(&mut self, bound: Duration) -> Duration {
        self.0.random_range(Duration::ZERO..bound)
    }

    /// All of them in turn, so that none is left out of a short campaign by chance.
    fn at_a_boundary(&mut self) -> Death {
        let all: Vec<&'static str> = IoFaults::boundaries().collect();
        let boundary = all[self.1 % all.len()];
        let when = if (self.1 / all.len()).is_multiple_of(2) { When::Before } else { When::After };
        self.1 += 1;
        Death::AtBoundary { boundary, nth: self.0.random_range(1..6), when }
    }

    pub fn next_life(&mut self) -> Life {
        let millis = Duration::from_millis;
        let death = match self.0.random_range(0..100) {
            0..8 => Death::Starting(self.within(millis(900))),
            8..12 => Death::Ready(self.within(millis(60))),
            12..26 => Death::Trading(self.within(millis(1_500))),
            // An answer over loopback takes some hundred microseconds, a commit some hundred more.
            26..48 => Death::AtAnOrder { orders: self.0.random_range(1..40), after: self.within(millis(4)) },
            48..56 => Death::Stopping(self.within(millis(150))),
            56..92 => self.at_a_boundary(),
            _ => {
                let refusal = [Refusal::Once, Refusal::Lies, Refusal::Full][self.0.random_range(0..3)];
                Death::Disk { boundary: DISK[self.0.random_range(0..DISK.len())], refusal }
            }
        };
        Life { death, looked_at: self.0.random_bool(0.7), keep: self.0.random_bool(0.5) }
    }
}

#[test]
fn a_seed_tells_a_campaign() {
    let draw = |seed| {
        (0..200)
            .map({
                let mut deaths = Deaths::new(seed);
                move |_| deaths.next_life()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    let kinds: std::collections::BTreeSet<_> = draw(7).iter().map(|life| life.death.name()).collect();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    let boundaries = draw(7).into_iter().filter_map(|life| match life.death {
        Death::AtBoundary { boundary, .. } => Some(boundary),
        _ => None,
    });
    assert_eq!(boundaries.collect::<std::collections::BTreeSet<_>>().len(), IoFaults::boundaries().count());
}
