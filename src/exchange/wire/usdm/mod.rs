//! The private side of USD-M on the wire: orders, positions, the account and its history, and its user stream, as Binance has
//! them under `/fapi`, or Aster where that dialect is asked for. It reads, asks the engine and writes; it decides nothing about
//! an order.

mod listen_keys;
mod names;
mod order_json;
mod orders;
mod text;
mod wish;

use std::future::Future;
use std::sync::Arc;

use super::{Answer, Context, Dialect, Parameters, Route};

use names::Names;

/// What the requests of one product share.
#[derive(Debug)]
pub struct Usdm {
    dialect: Dialect,
    names: Names,
}

impl Usdm {
    /// `seed` is what the names are drawn from that it gives to orders and listen keys.
    #[must_use]
    pub const fn new(dialect: Dialect, seed: [u8; 32]) -> Self {
        Self { dialect, names: Names::new(seed) }
    }
}

/// Every private request of the product.
#[must_use]
pub fn routes(usdm: &Arc<Usdm>) -> Vec<Route> {
    orders::routes(usdm)
}

/// A handler that shares the product.
fn with<F, H>(usdm: &Arc<Usdm>, handler: H) -> impl Fn(Context, Parameters) -> F + Send + Sync + 'static
where
    H: Fn(Arc<Usdm>, Context, Parameters) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let usdm = Arc::clone(usdm);
    move |context, parameters| handler(Arc::clone(&usdm), context, parameters)
}
