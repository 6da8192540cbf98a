//! How lives end: drawn from a seed, so that a campaign can be told by two numbers. What it covers stands in the weights.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

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
}

impl Death {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting(_) => "starting",
            Self::Ready(_) => "ready",
            Self::Trading(_) => "trading",
            Self::AtAnOrder { .. } => "at an order",
            Self::Stopping(_) => "stopping",
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

pub struct Deaths(ChaCha8Rng);

impl Deaths {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn within(&mut self, bound: Duration) -> Duration {
        self.0.random_range(Duration::ZERO..bound)
    }

    pub fn next_life(&mut self) -> Life {
        let millis = Duration::from_millis;
        let death = match self.0.random_range(0..100) {
            0..12 => Death::Starting(self.within(millis(900))),
            12..20 => Death::Ready(self.within(millis(60))),
            20..45 => Death::Trading(self.within(millis(1_500))),
            // An answer over loopback takes some hundred microseconds, a commit some hundred more.
            45..85 => Death::AtAnOrder { orders: self.0.random_range(1..40), after: self.within(millis(4)) },
            _ => Death::Stopping(self.within(millis(150))),
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
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}
