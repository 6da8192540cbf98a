//! Strategies: one file each, no async, no clock, no I/O. A strategy sees the market, its orders and its accounts through
//! a `Desk` and puts its wishes onto it; the `StrategyHost` around it numbers intents and keeps positions.
//!
//! To add one: write a file with a struct that implements [`Strategy`] and [`Configured`], and one line in [`registry`];
//! or, in a binary of your own, `registry().with(Kind::of::<Yours>())`. `examples/custom_strategy.rs` is one to copy.

mod books;
pub mod bracket;
mod desk;
pub mod ema_cross;
mod host;
pub mod indicator_score;
pub mod patience;
mod registry;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::market::{MarketUpdate, MarketView};
use crate::domain::market_data::Candle;
use crate::domain::order::{AccountView, OrderIntent, OrderReport, Refusal};

pub use books::{Holdings, WorkingOrder};
pub use desk::{Desk, Draft};
pub use host::{HostConfig, StrategyHost};
pub use registry::{Built, Configured, Kind, Problem, Registry};

/// The kinds that come with Ringfence. A new one is one line here.
#[must_use]
pub fn registry() -> Registry {
    Registry::default().with(Kind::of::<ema_cross::EmaCross>()).with(Kind::of::<indicator_score::IndicatorScore>())
}

/// What decides. A strategy gets each input once, in order, and must behave the same for the same inputs: no clock but
/// [`Desk::now`], no random numbers, no iteration over hashed maps.
pub trait Strategy: Send {
    /// What it wants to hear. Asked once, before the first input.
    fn interest(&self) -> Interest;

    /// Takes one input; whatever it wants done it puts onto the desk.
    fn on(&mut self, input: StrategyInput<'_>, desk: &mut Desk<'_>);
}

/// What a strategy wants to hear. Reports, refusals and account views it always hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interest {
    /// Every market update, not only closed bars. Without it an update costs the host a look-up and a copy, some 10 ns.
    pub market_updates: bool,
    /// How many closed bars of history it wants before the first live one.
    pub warm_up_bars: usize,
}

/// What a strategy is told.
#[derive(Debug, Clone, Copy)]
pub enum StrategyInput<'a> {
    /// A bar of the configured interval closed. With `warming` it is history: learn from it; proposals are dropped.
    Bar {
        symbol: Symbol,
        candle: &'a Candle,
        warming: bool,
    },
    Market(&'a MarketView),
    /// One of its orders changed. Position and working orders on the desk already include it.
    Report(&'a OrderReport),
    /// Risk said no, or nobody answered in time (`control` is `unanswered`). The order is off the desk already.
    Refused(&'a Refusal),
    /// An account's books changed. The first one opens the account to the strategy.
    Account(&'a AccountView),
    /// A time asked for with [`Desk::wake_at`] has passed.
    Wake,
}

/// What a strategy host is told. The same inputs come from actors, the backtest and the simulation.
///
/// At start and after a restart a host is fed in this order: `WarmUp` for each symbol, then for each account a `Report` of
/// every order of this strategy that is not terminal, then the account's `Account` view. An account is open to the
/// strategy from its first view, so that nothing is decided on half of its books. From then on the reports and views of
/// one account come in the order in which its executor made them, a fill's report before the view that includes it.
#[derive(Debug, Clone)]
pub enum HostInput<'a> {
    /// History of the strategy's bar interval, oldest first, before any live bar.
    WarmUp {
        symbol: Symbol,
        candles: &'a [Candle],
    },
    Market(&'a MarketUpdate),
    Report(&'a OrderReport),
    Refused(&'a Refusal),
    /// An account's books: after recovery and on every change.
    Account(&'a AccountView),
    /// The account's books are about to be told anew, because its executor or the risk manager was started again: a leverage
    /// that was asked of it before may be lost.
    Anew(AccountId),
}

/// What a strategy host wants.
#[derive(Debug, Clone, PartialEq)]
pub enum StrategyEffect {
    Propose(Arc<OrderIntent>),
    Cancel { account: AccountId, symbol: Symbol, client_order_id: ClientOrderId, reason: String },
    SetLeverage { account: AccountId, symbol: Symbol, leverage: u8 },
}
