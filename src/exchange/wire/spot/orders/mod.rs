//! Spot's orders on the wire: placing, cancelling, replacing, amending, lists and what an account asks of them, as rows of the
//! table of routes; and the user events, as the venue writes them. Requests are read into the engine's words and answers written
//! from its views; nothing is decided here but which parameters may stand together.

mod cancel;
mod events;
mod lists;
mod numbers;
mod pair;
mod parse;
mod place;
mod query;
mod report;
#[cfg(test)]
mod tests;

pub use events::encode;

use crate::exchange::core::Reject;
use crate::exchange::wire::{Problem, Route};

/// Every row of spot's orders.
#[must_use]
pub fn routes() -> Vec<Route> {
    [place::routes(), cancel::routes(), lists::routes(), query::routes()].into_iter().flatten().collect()
}

/// A refusal in spot's words.
fn refused(reject: Reject) -> Problem {
    Problem::rejected(reject, true)
}
