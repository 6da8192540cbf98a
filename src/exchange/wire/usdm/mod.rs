//! The private side of USD-M on the wire: orders, positions, the account and its history, and its user stream, as Binance has
//! them under `/fapi`, or Aster where that dialect is asked for. It reads, asks the engine and writes; it decides nothing about
//! an order.

mod account;
mod account_json;
mod algos;
mod aster;
mod batch;
mod events;
mod history;
mod listen_key;
mod listen_keys;
mod modify;
mod names;
mod order_json;
mod orders;
mod settings;
mod text;
mod trades;
mod user_sockets;
mod wish;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ids::AccountId;

use super::{Answer, Context, Dialect, Handler, Parameters, Route};

pub use aster::with_newer_paths;
use listen_keys::ListenKeys;
use names::Names;
use user_sockets::Listeners;
pub use user_sockets::UserSockets;

/// What the requests of one product share.
#[derive(Debug)]
pub struct Usdm {
    dialect: Dialect,
    names: Names,
    listen_keys: Mutex<ListenKeys>,
    listeners: Mutex<Listeners>,
    /// Who wants fees taken in BNB. Nobody has any here, so it changes no number.
    fee_burners: Mutex<BTreeSet<AccountId>>,
}

impl Usdm {
    /// `seed` is what the names are drawn from that it gives to orders and listen keys.
    #[must_use]
    pub fn new(dialect: Dialect, seed: [u8; 32]) -> Self {
        Self { dialect, names: Names::new(seed), listen_keys: Mutex::default(), listeners: Mutex::default(), fee_burners: Mutex::default() }
    }

    /// A fault: the account's listen key runs out now.
    pub fn expire_listen_key(&self, account: AccountId) {
        self.listen_keys().expire_early(account);
    }

    fn listen_keys(&self) -> MutexGuard<'_, ListenKeys> {
        held(&self.listen_keys)
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        held(&self.listeners)
    }

    /// Ends a listen key for everybody who listens by it.
    fn leave(&self, key: &str) {
        self.listeners().end(key, None);
    }

    fn burns_fees(&self, account: AccountId) -> bool {
        held(&self.fee_burners).contains(&account)
    }

    fn burn_fees(&self, account: AccountId, on: bool) {
        let mut burners = held(&self.fee_burners);
        if on {
            burners.insert(account);
        } else {
            burners.remove(&account);
        }
    }
}

/// Held for one look or one change, never across an await; a panic while it was held leaves whole entries only.
fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every private request of the product.
#[must_use]
pub fn routes(usdm: &Arc<Usdm>) -> Vec<Route> {
    let algos = match usdm.dialect {
        Dialect::Binance => algos::routes(usdm),
        // There is no algo service: conditional orders are orders.
        Dialect::Aster => Vec::new(),
    };
    let parts = [
        algos,
        orders::routes(usdm),
        batch::routes(usdm),
        modify::routes(),
        trades::routes(),
        account::routes(usdm),
        history::routes(),
        settings::routes(usdm),
        listen_key::routes(usdm),
    ];
    let rows: Vec<Route> = parts.into_iter().flatten().collect();
    match usdm.dialect {
        Dialect::Binance => rows,
        Dialect::Aster => with_newer_paths(rows),
    }
}

/// A handler that shares the product.
fn with<F, H>(usdm: &Arc<Usdm>, handler: H) -> impl Handler
where
    H: Fn(Arc<Usdm>, Context, Parameters) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let usdm = Arc::clone(usdm);
    move |context: Context, parameters: Parameters| handler(Arc::clone(&usdm), context, parameters)
}
