//! The fault simulation's checker: a model of its own of what must hold (I1–I12), fed by what happened and by the venue's truth.
//! It is told every step and answers with what that step broke. It reads no machine's state and changes nothing; a word of the
//! daemon about itself it takes only where that word is what it checks.

mod look;
mod observation;
mod orders;

use crate::domain::time::Timestamp;

pub use look::{Invariant, Violation};
pub use observation::{Holder, LocalAccount, Observation, RunPhase, Sender};

use look::Look;
use orders::Orders;

/// The model.
#[derive(Debug, Default)]
pub struct Checker {
    look: Look,
    canaries: Vec<String>,
    orders: Orders,
}

impl Checker {
    /// One step. `now` is the world's time: no clock of the daemon's or the venue's.
    pub fn observe(&mut self, now: Timestamp, seen: &Observation<'_>) -> Vec<Violation> {
        let look = &mut self.look;
        look.step += 1;
        look.now = look.now.max(now);
        match seen {
            Observation::Began { canaries, .. } => self.canaries = canaries.to_vec(),
            Observation::Text { place, text } => {
                look.at(Invariant::I10);
                if self.canaries.iter().any(|canary| text.contains(canary.as_str())) {
                    look.broke(Invariant::I10, format!("no key in {place}"), "one of the planted ones");
                }
            }
            Observation::Compared { what, expected, found } => {
                look.at(Invariant::I9);
                if expected != found {
                    look.broke(Invariant::I9, format!("{what} the same: {expected}"), found.to_string());
                }
            }
            _ => {}
        }
        self.orders.observe(look, seen);
        look.take()
    }

    /// How often an invariant was held against something: one that never was has not been checked.
    #[must_use]
    pub fn held(&self, invariant: Invariant) -> u64 {
        self.look.held(invariant)
    }
}
