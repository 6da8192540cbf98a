//! Spot's rows of the route table: `/api/v3` for what concerns accounts and orders, and the `/sapi` routes that clients call when
//! they start. Public market data is `stream`'s.

mod account;
mod orders;
pub mod sapi;

use super::Route;

pub use orders::encode;

/// Every row of spot.
#[must_use]
pub fn routes() -> Vec<Route> {
    [orders::routes(), account::routes(), sapi::routes()].into_iter().flatten().collect()
}
