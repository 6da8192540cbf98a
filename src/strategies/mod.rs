//! Strategies: one file each, no async, no clock, no I/O. A strategy sees the market, its orders and its accounts through
//! a `Desk` and puts its wishes onto it; the `StrategyHost` around it numbers intents and keeps positions.

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::market::MarketUpdate;
use crate::domain::order::{AccountView, OrderIntent, OrderReport, Refusal};
use crate::domain::market_data::Candle;

/// What a strategy host is told. The same inputs come from actors, the backtest and the simulation.
#[derive(Debug, Clone)]
pub enum HostInput<'a> {
    /// History of the strategy's bar interval, oldest first, before any live bar.
    WarmUp { symbol: Symbol, candles: &'a [Candle] },
    Market(&'a MarketUpdate),
    Report(&'a OrderReport),
    Refused(&'a Refusal),
    /// An account's books: after recovery and on every change.
    Account(&'a AccountView),
}

/// What a strategy host wants.
#[derive(Debug, Clone, PartialEq)]
pub enum StrategyEffect {
    Propose(OrderIntent),
    Cancel { account: AccountId, symbol: Symbol, client_order_id: ClientOrderId, reason: String },
    SetLeverage { account: AccountId, symbol: Symbol, leverage: u8 },
}
