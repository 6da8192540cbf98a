//! Spot's rows of the route table: `/api/v3` for what concerns accounts and orders, and the `/sapi` routes that clients call when
//! they start. Public market data is `stream`'s.

mod sapi;

use super::Route;

/// Every row of spot.
#[must_use]
pub fn routes() -> Vec<Route> {
    sapi::routes()
}
