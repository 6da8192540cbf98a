//! The fault simulation's checker: a model of its own of what must hold (I1–I12), fed by what happened and by the venue's truth.
//! It is told every step and answers with what that step broke. It reads no machine's state and changes nothing; a word of the
//! daemon about itself it takes only where that word is what it checks.

mod bookings;
mod children;
mod crossing;
mod exposure;
mod look;
mod modes;
mod observation;
mod orders;
#[cfg(test)]
mod tests;

use crate::domain::time::Timestamp;

use super::venue::VenueFact;

pub use look::{Invariant, Violation};
pub use observation::{Holder, LocalAccount, Observation, RunPhase, Sender};

use bookings::Bookings;
use children::Children;
use crossing::Crossing;
use exposure::Exposure;
use look::Look;
use modes::Modes;
use orders::Orders;

/// The model.
#[derive(Debug, Default)]
pub struct Checker {
    look: Look,
    canaries: Vec<String>,
    orders: Orders,
    exposure: Exposure,
    crossing: Crossing,
    modes: Modes,
    bookings: Bookings,
    children: Children,
}

impl Checker {
    /// One step. `now` is the world's time: no clock of the daemon's or the venue's.
    pub fn observe(&mut self, now: Timestamp, seen: &Observation<'_>) -> Vec<Violation> {
        self.look.step += 1;
        self.look.now = self.look.now.max(now);
        match seen {
            Observation::HandedOver { by, order, .. } => self.orders.handed_over(order.client_order_id, *by),
            Observation::Venue(VenueFact::Left { account, order }) => {
                let by = self.orders.sender(order.client_order_id);
                self.hold(&Observation::Left { account: *account, by, order });
            }
            seen => self.hold(seen),
        }
        self.look.take()
    }

    fn hold(&mut self, seen: &Observation<'_>) {
        let look = &mut self.look;
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
        // These two ask what stood before.
        self.exposure.observe(look, &self.orders, seen);
        self.crossing.observe(look, &self.orders, seen);
        self.orders.observe(look, seen);
        self.modes.observe(look, &self.orders, seen);
        self.bookings.observe(look, seen);
        self.children.observe(look, &self.orders, &self.modes, seen);
    }

    /// How often an invariant was held against something: one that never was has not been checked.
    #[must_use]
    pub fn held(&self, invariant: Invariant) -> u64 {
        self.look.held(invariant)
    }
}
